package udp

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seikan/internal/ipsec/ike"
)

// TestDatagramsNobodyWaitsForWakeNobody has datagrams leave and come while a
// socket for IKE is not read.
func TestDatagramsNobodyWaitsForWakeNobody(t *testing.T) {
	a := listen(t, netip.MustParseAddr("127.0.0.1"), Ports{}, Options{})
	b := listen(t, netip.MustParseAddr("127.0.0.2"), Ports{}, Options{})
	send := func(from, to *Outside, text string) {
		t.Helper()
		d := ike.Datagram{Local: netip.AddrPortFrom(from.Addr(), from.Ports().IKE), Remote: netip.AddrPortFrom(to.Addr(), to.Ports().IKE), Data: []byte(text)}
		if err := from.SendIKE(d); err != nil {
			t.Fatal(err)
		}
	}
	r := b.Socket(IKE).NewReader()
	read := func(want string) {
		t.Helper()
		if n, err := r.Read(); err != nil || n != 1 || string(r.Message(0).Data) != want {
			t.Fatalf("Read: got %d messages, %v, want %q", n, err, want)
		}
	}
	started := make(chan struct{})
	go func() { <-started; send(a, b, "one") }()
	close(started)
	read("one")
	// On loopback it is there when sending returns.
	conn := b.Socket(IKE).conn.(*quietConn)
	events := func() int {
		var ev [1]unix.EpollEvent
		n := 0
		if err := conn.sys.Control(func(ep uintptr) { n, _ = unix.EpollWait(int(ep), ev[:], 0) }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	send(a, b, "two")
	send(b, a, "three")
	if n := events(); n != 0 {
		t.Errorf("while nobody reads: got %d events, want none", n)
	}
	read("two")
	if err := conn.watch(epollOf(t, conn), true); err != nil {
		t.Fatal(err)
	}
	send(a, b, "four")
	if n := events(); n != 1 {
		t.Errorf("while somebody waits: got %d events, want 1", n)
	}
	read("four")
}

func epollOf(t *testing.T, c *quietConn) (ep int) {
	t.Helper()
	if err := c.sys.Control(func(fd uintptr) { ep = int(fd) }); err != nil {
		t.Fatal(err)
	}
	return ep
}

// TestQuietSocketEnds interrupts one that is waited for, and closes one.
func TestQuietSocketEnds(t *testing.T) {
	o := listen(t, netip.MustParseAddr("127.0.0.1"), Ports{}, Options{})
	s := o.Socket(IKE)
	ended := make(chan error, 1)
	read := func() { _, err := s.NewReader().Read(); ended <- err }
	go read()
	if err := s.Interrupt(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("interrupted: got %v, want %v", err, os.ErrDeadlineExceeded)
	}
	if err := s.Resume(); err != nil {
		t.Fatal(err)
	}
	go read()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: got %v, want %v", err, net.ErrClosed)
	}
	if err := o.SendIKE(ike.Datagram{Local: netip.AddrPortFrom(o.Addr(), IKEPort), Remote: netip.MustParseAddrPort("127.0.0.9:500"), Data: []byte("x")}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("sending when closed: got %v, want %v", err, net.ErrClosed)
	}
}

// TestQuietSocketMissesNothing has a datagram come after nothing was found and
// before that is waited for, again and again: what is left of the event before
// must not hide it.
func TestQuietSocketMissesNothing(t *testing.T) {
	a := listen(t, netip.MustParseAddr("127.0.0.1"), Ports{}, Options{})
	b := listen(t, netip.MustParseAddr("127.0.0.2"), Ports{}, Options{})
	d := ike.Datagram{Local: netip.AddrPortFrom(a.Addr(), a.Ports().IKE), Remote: netip.AddrPortFrom(b.Addr(), b.Ports().IKE), Data: []byte("ball")}
	conn := b.Socket(IKE).conn
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sys, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		sent := false
		err := sys.Read(func(fd uintptr) bool {
			if _, _, err := unix.Recvfrom(int(fd), make([]byte, 10), unix.MSG_DONTWAIT); err == nil {
				return true
			}
			if !sent {
				sent = true
				if err := a.SendIKE(d); err != nil {
					t.Error(err)
				}
			}
			return false
		})
		if err != nil {
			t.Fatalf("datagram %d was missed: %v", i+1, err)
		}
	}
}
