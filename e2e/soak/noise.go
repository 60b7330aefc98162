//go:build e2e

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"sync/atomic"
	"time"

	"seikan/internal/linux/netapply"
)

// blockLen is how much is written and read at once, in octets: a multiple of 8.
const blockLen = 256 << 10

// A noise is a sequence of octets that can be made again: the numbers of
// SplitMix64, which never repeat, so that a piece that is lost, doubled or out
// of its place is another content.
type noise struct{ state uint64 }

// fill writes the next octets to b, whose length is a multiple of 8.
func (n *noise) fill(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		n.state += 0x9e3779b97f4a7c15
		z := n.state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(b, z^z>>31)
	}
}

// A stream is noise that one end sends and the other receives, over TCP.
type stream struct {
	name     string
	seed     uint64
	out, in  net.Conn
	arrived  atomic.Int64
	sent     side
	received side
}

// A side is what one end saw.
type side struct {
	octets int64
	sum    []byte
	err    error
}

// connect opens the streams.
func (p plan) connect() (all []*stream, err error) {
	for i := range p.up + p.down {
		from, to, addr, name := client, server, serverAddr, "client → server"
		if i >= p.up {
			from, to, addr, name = server, client, clientAddr, "server → client"
		}
		s := &stream{name: name, seed: uint64(i) << 56}
		var ln net.Listener
		if err := netapply.InNamespace(to, func() (err error) {
			ln, err = net.Listen("tcp4", addr+":0")
			return err
		}); err != nil {
			return nil, err
		}
		defer ln.Close()
		if err := netapply.InNamespace(from, func() (err error) {
			s.out, err = net.DialTimeout("tcp4", ln.Addr().String(), stall)
			return err
		}); err != nil {
			return nil, err
		}
		if s.in, err = ln.Accept(); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// send sends until stop is closed.
func (s *stream) send(stop <-chan struct{}) {
	sum, n, block := sha256.New(), noise{s.seed}, make([]byte, blockLen)
	defer func() { s.sent.sum = sum.Sum(nil) }()
	for {
		select {
		case <-stop:
			s.sent.err = errors.Join(s.sent.err, s.out.(*net.TCPConn).CloseWrite())
			return
		default:
		}
		n.fill(block)
		sum.Write(block)
		k, err := s.out.Write(block)
		s.sent.octets += int64(k)
		if err != nil {
			s.sent.err = err
			return
		}
	}
}

// receive reads until the other end has closed.
func (s *stream) receive() {
	sum := sha256.New()
	s.received.err = s.compare(s.in, sum)
	s.received.octets, s.received.sum = s.arrived.Load(), sum.Sum(nil)
	if s.received.err != nil && s.in != nil {
		s.in.Close() // the sender shall notice
	}
}

// compare reads r to its end and says at which octet it is not the noise of s.
func (s *stream) compare(r io.Reader, sum hash.Hash) error {
	n, got, want := noise{s.seed}, make([]byte, blockLen), make([]byte, blockLen)
	for {
		k, err := io.ReadFull(r, got)
		sum.Write(got[:k])
		n.fill(want)
		if !bytes.Equal(got[:k], want[:k]) {
			i := 0
			for got[i] == want[i] {
				i++
			}
			return fmt.Errorf("octet %d is %02x, not %02x: what was sent is not what arrived", s.arrived.Load()+int64(i), got[i], want[i])
		}
		s.arrived.Add(int64(k))
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// verdict is what is wrong with the stream. Both its sides have ended.
func (s *stream) verdict() error {
	a, b := s.sent, s.received
	switch err := errors.Join(a.err, b.err); {
	case err != nil:
		return fmt.Errorf("%s: %w", s.name, err)
	case a.octets != b.octets:
		return fmt.Errorf("%s: %d octets sent, %d arrived", s.name, a.octets, b.octets)
	case a.octets == 0 || !bytes.Equal(a.sum, b.sum):
		return fmt.Errorf("%s: SHA-256 of %d octets: %x sent, %x arrived", s.name, a.octets, a.sum, b.sum)
	}
	return nil
}

// octets is how many have arrived on all streams.
func octets(all []*stream) (n int64) {
	for _, s := range all {
		n += s.arrived.Load()
	}
	return n
}

// rate is in Mbit/s.
func rate(octets int64, d time.Duration) float64 { return float64(octets) * 8 / 1e6 / d.Seconds() }
