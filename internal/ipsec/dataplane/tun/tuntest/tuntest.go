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
	toRead chan []byte
	wrote  chan []byte
	closed chan struct{}
	once   sync.Once

	next []byte // what Wait has seen; the reader's

	mu      sync.Mutex
	dropped int
}

var _ tun.Device = (*Device)(nil)

// New returns a Device whose queues hold n packets each.
func New(n int) *Device {
	return &Device{
		toRead: make(chan []byte, n),
		wrote:  make(chan []byte, n),
		closed: make(chan struct{}),
	}
}

// Send hands pkt, which must not be changed afterwards, to the reader. It
// returns os.ErrClosed when the device is closed.
func (d *Device) Send(pkt []byte) error {
	select {
	case <-d.closed: // even when the queue has room
		return os.ErrClosed
	default:
	}
	select {
	case <-d.closed:
		return os.ErrClosed
	case d.toRead <- pkt:
		return nil
	}
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
	if d.next != nil {
		return nil
	}
	select {
	case <-d.closed:
		return os.ErrClosed
	case d.next = <-d.toRead:
		return nil
	}
}

// Read is as tun.Device says.
func (d *Device) Read(b []byte) (int, error) {
	pkt := d.next
	d.next = nil
	if pkt == nil {
		select {
		case pkt = <-d.toRead:
		default:
			select {
			case <-d.closed:
				return 0, os.ErrClosed
			default:
				return 0, tun.ErrEmpty
			}
		}
	}
	if len(b) < offload.HeaderLen+len(pkt) {
		return 0, fmt.Errorf("tuntest: a buffer of %d octets for a packet of %d", len(b), len(pkt))
	}
	offload.Header{}.Put(b)
	return offload.HeaderLen + copy(b[offload.HeaderLen:], pkt), nil
}

// Write is as tun.Device says. What is joined is cut again.
func (d *Device) Write(f *tun.Frame) error {
	select {
	case <-d.closed:
		return os.ErrClosed
	default:
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
			d.mu.Lock()
			d.dropped++
			d.mu.Unlock()
		}
	}
	return nil
}

// JoinsUDP is as tun.Device says.
func (d *Device) JoinsUDP() bool { return true }

// Close ends Read, Write and Send. It may be called twice.
func (d *Device) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}
