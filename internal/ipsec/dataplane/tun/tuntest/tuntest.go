// Package tuntest is a TUN in memory, for tests of what reads and writes one.
//
// A test sends packets as if it were the kernel and receives what was written.
// It opens no file; nothing but tests may import it.
package tuntest

import (
	"fmt"
	"os"
	"sync"

	"seikan/internal/ipsec/dataplane/tun"
)

// Batch is the most packets of a Read.
const Batch = tun.BatchSize

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
func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	if err := d.Wait(); err != nil {
		return 0, err
	}
	sizes[0] = copy(bufs[0][offset:], d.next)
	d.next = nil
	for n := 1; n < min(len(bufs), Batch); n++ {
		select {
		case pkt := <-d.toRead:
			sizes[n] = copy(bufs[n][offset:], pkt)
		default:
			return n, nil
		}
	}
	return min(len(bufs), Batch), nil
}

// Write is as tun.Device says. An offset too small for a kernel device is an
// error here too.
func (d *Device) Write(bufs [][]byte, offset int) error {
	if offset < tun.Headroom {
		return fmt.Errorf("tuntest: offset %d: want at least %d", offset, tun.Headroom)
	}
	for _, b := range bufs {
		select {
		case <-d.closed:
			return os.ErrClosed
		default:
		}
		select {
		case d.wrote <- append([]byte(nil), b[offset:]...):
		default:
			d.mu.Lock()
			d.dropped++
			d.mu.Unlock()
		}
	}
	return nil
}

// Close ends Read, Write and Send. It may be called twice.
func (d *Device) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}
