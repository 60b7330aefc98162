// Package tun opens TUN devices: it is the door to
// golang.zx2c4.com/wireguard/tun, whose devices carry virtio headers, so that
// the kernel hands over and takes segments in bulk.
//
// It knows nothing of ESP. Package dataplane reads and writes the devices;
// package tuntest has one in memory.
package tun

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"

	wgtun "golang.zx2c4.com/wireguard/tun"

	"golang.org/x/sys/unix"
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

// A Device is a TUN: whole IP packets in batches. One goroutine may Wait and
// Read while any number Write. After Close all three return os.ErrClosed.
type Device interface {
	// Wait waits until Read would not, so that a device on which nothing
	// happens needs no buffers.
	Wait() error
	// Read waits for packets and puts packet i at bufs[i][offset:], its length
	// in sizes[i]. It needs at least BatchSize buffers and returns how many it
	// filled, also with ErrTooManySegments.
	Read(bufs [][]byte, sizes []int, offset int) (n int, err error)
	// Write takes the packets bufs[i][offset:]; offset is at least Headroom.
	// The device may use bufs, octets before offset and capacity beyond the
	// packet included, until Write returns.
	Write(bufs [][]byte, offset int) error
	Close() error
}

// BatchSize is the most packets of a Read.
const BatchSize = 128

// A TUN is a Device of the kernel. While nothing passes it is one descriptor:
// no goroutine, no buffer.
type TUN struct {
	set    *Set
	file   *os.File
	raw    syscall.RawConn
	name   string
	closed atomic.Bool
}

// Open is Set.Open for a TUN that shares nothing.
func Open(name string, mtu int) (*TUN, error) { return new(Set).Open(name, mtu) }

// Open creates the TUN called name in the network namespace of the calling
// thread, with an MTU of mtu octets (68 to 65535). It needs CAP_NET_ADMIN. The
// link is down and has no address: that is for linux/netapply.
func (s *Set) Open(name string, mtu int) (*TUN, error) {
	if mtu < 68 || mtu > BufferSize {
		return nil, fmt.Errorf("open TUN %s: mtu %d: want 68 to %d", name, mtu, BufferSize)
	}
	t, err := s.create(name)
	if err != nil {
		return nil, fmt.Errorf("open TUN %s: %w", name, err)
	}
	if err := setMTU(name, mtu); err != nil {
		t.Close()
		return nil, fmt.Errorf("open TUN %s: %w", name, err)
	}
	return t, nil
}

// create makes the link.
func (s *Set) create(name string) (*TUN, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err == nil {
		err = offload(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Only now, when it can be waited for.
	t := &TUN{set: s, name: name, file: os.NewFile(uintptr(fd), "/dev/net/tun")}
	t.raw, err = t.file.SyscallConn()
	if err != nil {
		t.file.Close()
		return nil, err
	}
	return t, nil
}

// offload lets the kernel hand over segments of TCP in bulk, and of UDP where
// it can (Linux 6.2).
func offload(fd int) error {
	const tcp = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil {
		return nil
	}
	return unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp)
}

// setMTU gives the link an MTU.
func setMTU(name string, mtu int) error {
	_, err := mtuRequest(name, unix.SIOCSIFMTU, uint32(mtu))
	return err
}

// mtuRequest is one of the two requests about an MTU.
func mtuRequest(name string, request uint, mtu uint32) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	ifr.SetUint32(mtu)
	if err := unix.IoctlIfreq(fd, request, ifr); err != nil {
		return 0, fmt.Errorf("MTU: %w", err)
	}
	return int(ifr.Uint32()), nil
}

// Name is the name of the link.
func (t *TUN) Name() string { return t.name }

// MTU is the MTU of the link now, in octets, for a caller in its namespace.
func (t *TUN) MTU() (int, error) { return mtuRequest(t.name, unix.SIOCGIFMTU, 0) }

// Wait is as Device says.
func (t *TUN) Wait() error {
	err := t.raw.Read(readable)
	if t.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// readable reports whether there is something to read from fd, or that it has
// failed, which Read says in words. While it is not the runtime waits.
func readable(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		if err != unix.EINTR {
			return n != 0 || err != nil
		}
	}
}

// Read is as Device says.
func (t *TUN) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	c, err := t.set.take(t)
	if err != nil {
		return 0, err
	}
	defer t.set.give(c)
	return c.Read(bufs, sizes, offset)
}

// Write is as Device says.
func (t *TUN) Write(bufs [][]byte, offset int) error {
	c, err := t.set.take(t)
	if err != nil {
		return err
	}
	defer t.set.give(c)
	_, err = c.Write(bufs, offset)
	return err
}

// Close removes the link.
func (t *TUN) Close() error {
	t.closed.Store(true)
	if err := t.file.Close(); err != nil {
		return fmt.Errorf("close TUN %s: %w", t.name, err)
	}
	return nil
}
