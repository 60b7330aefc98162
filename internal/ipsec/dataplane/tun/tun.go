// Package tun opens TUN devices: it is the door to
// golang.zx2c4.com/wireguard/tun, whose devices carry virtio headers, so that
// the kernel hands over and takes segments in bulk.
//
// It knows nothing of ESP. Package dataplane reads and writes the devices;
// package tuntest has one in memory.
package tun

import (
	"errors"
	"fmt"
	"sync"

	wgtun "golang.zx2c4.com/wireguard/tun"
)

const (
	// Headroom is how many octets must precede each packet given to Write.
	Headroom = 16 // at least a virtio header of 10
	// BufferSize is how large a buffer given to Read must be beyond its
	// offset, in octets, and should be in capacity beyond a packet given to
	// Write, for segments to be joined in it.
	BufferSize = 65535
)

// ErrTooManySegments says that the kernel handed over more segments than Read
// had buffers; those that fit were delivered. It is not the end of the device.
var ErrTooManySegments = wgtun.ErrTooManySegments

// A Device is a TUN: whole IP packets in batches. One goroutine may Read while
// any number Write. After Close both return os.ErrClosed.
type Device interface {
	// Read waits for packets and puts packet i at bufs[i][offset:], its length
	// in sizes[i]. It needs at least BatchSize buffers and returns how many it
	// filled, also with ErrTooManySegments.
	Read(bufs [][]byte, sizes []int, offset int) (n int, err error)
	// Write takes the packets bufs[i][offset:]; offset is at least Headroom.
	// The device may use bufs, octets before offset and capacity beyond the
	// packet included, until Write returns.
	Write(bufs [][]byte, offset int) error
	// BatchSize is the most packets of a Read; it never changes.
	BatchSize() int
	Close() error
}

// A TUN is a Device of the kernel.
type TUN struct {
	dev     wgtun.Device
	name    string
	drained sync.WaitGroup
}

// Open creates the TUN called name in the network namespace of the calling
// thread, with an MTU of mtu octets (68 to 65535). It needs CAP_NET_ADMIN. The
// link is down and has no address: that is for linux/netapply.
func Open(name string, mtu int) (*TUN, error) {
	if mtu < 68 || mtu > BufferSize {
		return nil, fmt.Errorf("open TUN %s: mtu %d: want 68 to %d", name, mtu, BufferSize)
	}
	dev, err := wgtun.CreateTUN(name, mtu)
	if err != nil {
		return nil, fmt.Errorf("open TUN %s: %w", name, err)
	}
	t := &TUN{dev: dev, name: name}
	// The library blocks on its short queue of link events when nobody reads
	// it, and closes it at Close.
	t.drained.Go(func() {
		for range dev.Events() {
			continue
		}
	})
	return t, nil
}

// Name is the name of the link.
func (t *TUN) Name() string { return t.name }

// MTU is the MTU of the link now, in octets.
func (t *TUN) MTU() (int, error) { return t.dev.MTU() }

// Read is as Device says.
func (t *TUN) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	return t.dev.Read(bufs, sizes, offset)
}

// Write is as Device says.
func (t *TUN) Write(bufs [][]byte, offset int) error {
	_, err := t.dev.Write(bufs, offset)
	return err
}

// BatchSize is as Device says.
func (t *TUN) BatchSize() int { return t.dev.BatchSize() }

// Close removes the link and waits for what Open started.
func (t *TUN) Close() error {
	err := t.dev.Close()
	t.drained.Wait()
	if err != nil {
		return errors.Join(fmt.Errorf("close TUN %s", t.name), err)
	}
	return nil
}
