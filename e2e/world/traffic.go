//go:build e2e

package world

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// A Transfer is one stream of bytes from end to end.
type Transfer struct {
	Direction string // "client → server" or "server → client"
	Sent      int64  // octets written at one end
	Received  int64  // octets read at the other
	Same      bool   // whether the SHA-256 of both are equal
	Took      time.Duration
}

// Whole reports whether everything arrived as it was sent.
func (t Transfer) Whole(n int64) bool { return t.Sent == n && t.Received == n && t.Same }

// Rate is the speed in Mbit/s.
func (t Transfer) Rate() float64 { return float64(t.Received) * 8 / 1e6 / t.Took.Seconds() }

// A Load is what a transfer shall move.
type Load struct {
	Up     bool  // from the client; otherwise down to it
	Octets int64 // how many
	// Chunk, when not 0, makes the sender write so many octets every 10 ms, at
	// most; otherwise it writes as fast as it can.
	Chunk int
}

// Transfer moves noise over one TCP connection that the client opens to the
// server.
func (w *World) Transfer(load Load) (Transfer, error) {
	var listener net.Listener
	err := w.In("server", func() (err error) {
		listener, err = new(net.ListenConfig).Listen(context.Background(), "tcp4", Server+":0")
		return err
	})
	if err != nil {
		return Transfer{}, err
	}
	defer listener.Close()
	accepted := make(chan report, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			accepted <- report{err: err}
			return
		}
		accepted <- move(conn, !load.Up, load)
	}()
	var conn net.Conn
	err = w.In("client", func() (err error) {
		conn, err = net.DialTimeout("tcp4", listener.Addr().String(), 10*time.Second)
		return err
	})
	if err != nil {
		return Transfer{}, err
	}
	start := time.Now()
	here := move(conn, load.Up, load)
	there := <-accepted
	out := Transfer{Direction: "client → server", Sent: here.count, Received: there.count, Took: time.Since(start)}
	if !load.Up {
		out.Direction, out.Sent, out.Received = "server → client", there.count, here.count
	}
	out.Same = here.sum == there.sum
	for _, r := range []report{here, there} {
		if r.err != nil {
			return out, fmt.Errorf("%s after %d octets of %d: %w", out.Direction, r.count, load.Octets, r.err)
		}
	}
	return out, nil
}

// report is what one end of a transfer saw.
type report struct {
	count int64
	sum   [sha256.Size]byte
	err   error
}

// move sends or receives on conn and closes it. The receiver answers with the
// number of octets it has, and the sender waits for that: a kernel's buffer is
// not an arrival.
func move(conn net.Conn, send bool, load Load) (r report) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	hash := sha256.New()
	var answer [8]byte
	if send {
		noise := rand.NewChaCha8([32]byte([]byte("seikan end to end: not a secret!")))
		r.count, r.err = pour(io.MultiWriter(conn, hash), io.LimitReader(noise, load.Octets), load.Chunk)
		if r.err == nil {
			_, r.err = io.ReadFull(conn, answer[:])
		}
		if got := int64(binary.BigEndian.Uint64(answer[:])); r.err == nil && got != load.Octets {
			r.err = fmt.Errorf("the receiver has %d octets", got)
		}
	} else {
		r.count, r.err = io.Copy(hash, io.LimitReader(conn, load.Octets))
		binary.BigEndian.PutUint64(answer[:], uint64(r.count))
		if r.err == nil {
			_, r.err = conn.Write(answer[:])
		}
	}
	copy(r.sum[:], hash.Sum(nil))
	return r
}

// pour copies everything, in chunks every 10 ms if chunk is not 0.
func pour(to io.Writer, from io.Reader, chunk int) (n int64, err error) {
	if chunk == 0 {
		return io.Copy(to, from)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		m, err := io.CopyN(to, from, int64(chunk))
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		<-tick.C
	}
}
