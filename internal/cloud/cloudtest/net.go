package cloudtest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

const (
	// Soon is how long something that must happen may take on a busy machine.
	Soon = 5 * time.Second
	// Silence is how long to wait for what must not happen.
	Silence = 300 * time.Millisecond
)

// A Ground is a network of the test's own, empty at first and again at the end.
// The test runs under nettest.Main.
type Ground struct {
	t testing.TB
	*netapply.Host
}

// NewGround returns an empty Ground.
func NewGround(t testing.TB) *Ground {
	t.Helper()
	g := &Ground{t: t, Host: netapply.New(netapply.Options{})}
	t.Cleanup(func() {
		if _, err := g.Apply(context.Background(), netspec.Spec{}); err != nil {
			t.Error(err)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// Lay makes the network that of all specs together.
func (g *Ground) Lay(specs ...netspec.Spec) {
	g.t.Helper()
	spec, err := netspec.Merge(specs...)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.Apply(g.t.Context(), spec); err != nil {
		g.t.Fatal(err)
	}
}

// Listen serves TCP on addr in a namespace until the test ends: it answers each
// connection with "<addr> sees <peer's address>\n" and then sends back what it
// gets.
func (g *Ground) Listen(ns, addr string) {
	g.t.Helper()
	var ln net.Listener
	if err := g.In(ns, func() (err error) {
		ln, err = net.Listen("tcp4", addr)
		return err
	}); err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			go func() {
				defer stop()
				defer conn.Close()
				peer, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
				if _, err := io.WriteString(conn, addr+" sees "+peer+"\n"); err == nil {
					_, _ = io.Copy(conn, conn) // ends when the peer or the test does
				}
			}()
		}
	}()
	g.t.Cleanup(func() {
		cancel()
		ln.Close()
		<-done
	})
}

// Dial connects from a namespace.
func (g *Ground) Dial(ns, addr string, timeout time.Duration) (net.Conn, error) {
	var conn net.Conn
	err := g.In(ns, func() (err error) {
		conn, err = net.DialTimeout("tcp4", addr, timeout)
		return err
	})
	return conn, err
}

// Connect connects from a namespace, which must succeed, and returns the
// connection and the listener's greeting. The connection is closed with the
// test.
func (g *Ground) Connect(ns, addr string) (net.Conn, string) {
	g.t.Helper()
	conn, err := g.Dial(ns, addr, Soon)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	return conn, g.Read(conn)
}

// WantSilence dials from a namespace and reports anything but no answer at
// all.
func (g *Ground) WantSilence(what, ns, addr string) {
	g.t.Helper()
	conn, err := g.Dial(ns, addr, Silence)
	if err == nil {
		conn.Close()
	}
	if !IsTimeout(err) {
		g.t.Errorf("%s: got %v, want silence", what, err)
	}
}

// Read reads what is there of conn, which must be something.
func (g *Ground) Read(conn net.Conn) string {
	g.t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(Soon)); err != nil {
		g.t.Fatal(err)
	}
	buf := make([]byte, 200)
	n, err := conn.Read(buf)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(buf[:n])
}

// WantEcho sends text over conn and wants it back.
func (g *Ground) WantEcho(conn net.Conn, text string) {
	g.t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		g.t.Fatal(err)
	}
	if got := g.Read(conn); got != text {
		g.t.Errorf("echo: got %q, want %q", got, text)
	}
}

// IsTimeout reports whether err is a time that ran out without an answer.
func IsTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
}

// IsReset reports whether err is a connection that the network reset.
func IsReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
