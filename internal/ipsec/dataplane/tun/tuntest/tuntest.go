// Package tuntest is a TUN in memory, for tests of what reads and writes one.
//
// A test sends packets as if it were the kernel and receives what was written.
// It opens no file; nothing but tests may import it.
package tuntest

import (
	"fmt"
	"os"
	"sync"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
)

// A Device implements tun.Device over two bounded queues. The one towards the
// reader blocks the test when it is full; the one from the writer drops the
// newest packet and counts it, as the queue of a socket would.
type Device struct {
	wrote chan []byte

	// mu guards the fields below it; changed says that one of them did.
	mu      sync.Mutex
	changed *sync.Cond
	toRead  [][]byte
	most    int
	closed  bool
	dropped int
}

var _ tun.Device = (*Device)(nil)

// New returns a Device whose queues hold n packets each.
func New(n int) *Device {
	d := &Device{most: n, wrote: make(chan []byte, n)}
	d.changed = sync.NewCond(&d.mu)
	return d
}

// Send hands pkt, which must not be changed afterwards, to the reader. It
// returns os.ErrClosed when the device is closed.
func (d *Device) Send(pkt []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.toRead) == d.most && !d.closed {
		d.changed.Wait()
	}
	if d.closed {
		return os.ErrClosed
	}
	d.toRead = append(d.toRead, pkt)
	d.changed.Broadcast()
	return nil
}

// Packets is what was written to the device, a copy for each packet.
func (d *Device) Packets() <-chan []byte { return d.wrote }

// Dropped is how many written packets found the queue full.
func (d *Device) Dropped() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dropped
}

// Wait is as tun.Device says.
func (d *Device) Wait() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.toRead) == 0 && !d.closed {
		d.changed.Wait()
	}
	if d.closed {
		return os.ErrClosed
	}
	return nil
}

// Read is as tun.Device says.
func (d *Device) Read(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.closed:
		return 0, os.ErrClosed
	case len(d.toRead) == 0:
		return 0, tun.ErrEmpty
	}
	pkt := d.toRead[0]
	if len(b) < offload.HeaderLen+len(pkt) {
		return 0, fmt.Errorf("tuntest: a buffer of %d octets for a packet of %d", len(b), len(pkt))
	}
	d.toRead = d.toRead[1:]
	d.changed.Broadcast()
	offload.Header{}.Put(b)
	return offload.HeaderLen + copy(b[offload.HeaderLen:], pkt), nil
}

// Write is as tun.Device says. What is joined is cut again.
func (d *Device) Write(f *tun.Frame) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return os.ErrClosed
	}
	var s offload.Splitter
	if err := s.Begin(f.AppendTo(nil)); err != nil {
		return err
	}
	for n := s.NextLen(); n > 0; n = s.NextLen() {
		pkt := make([]byte, n)
		s.Next(pkt)
		select {
		case d.wrote <- pkt:
		default:
			d.dropped++
		}
	}
	return nil
}

// JoinsUDP is as tun.Device says.
func (d *Device) JoinsUDP() bool { return true }

// Close ends Wait, Read, Write and Send. It may be called twice.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.changed.Broadcast()
	return nil
}
