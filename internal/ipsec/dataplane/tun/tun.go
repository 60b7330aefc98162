// Package tun opens TUN devices and moves frames to and from them: a virtio
// header, so that the kernel hands over and takes many packets as one (TSO,
// USO, GRO), and what package offload cuts and joins.
//
// It knows nothing of ESP, starts no goroutine and holds no buffer: a TUN on
// which nothing happens is one descriptor. Package dataplane reads and writes
// the devices; package tuntest has one in memory.
package tun

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"seikan/internal/ipsec/dataplane/offload"
)

// MaxPacket is the most octets of the packet in a frame.
const MaxPacket = 65535

// MaxFrame is the most octets of a frame: what a buffer given to Read should
// have room for.
const MaxFrame = offload.HeaderLen + MaxPacket

// ErrEmpty says that there is nothing to read now.
var ErrEmpty = errors.New("tun: nothing to read")

// A Device is a TUN. One goroutine may Wait and one Read while any number Write.
// After Close all three return os.ErrClosed.
type Device interface {
	// Wait waits until there is something to read. Read may return ErrEmpty
	// after it all the same, when somebody else was faster.
	Wait() error
	// Read reads a frame, which package offload understands, to b, and returns
	// its length. It never waits: the error is ErrEmpty when there is none.
	Read(b []byte) (n int, err error)
	// Write writes a frame.
	Write(f *Frame) error
	// JoinsUDP reports whether Write takes frames of UDP datagrams.
	JoinsUDP() bool
	Close() error
}

// A TUN is a Device of the kernel.
type TUN struct {
	file   *os.File
	raw    syscall.RawConn
	name   string
	uso    bool
	closed atomic.Bool

	// Of the goroutine that Waits.
	ready func(fd uintptr) bool // TUN.readable, made once
	asked bool                  // whether it is readable, in this Wait

	// Of the goroutine that Reads.
	read func(fd uintptr) // TUN.readFrame, made once
	buf  []byte
	n    int
	err  error
}

// Open creates the TUN called name in the network namespace of the calling
// thread, with an MTU of mtu octets (68 to 65535). It needs CAP_NET_ADMIN. The
// link is down and has no address: that is for linux/netapply.
func Open(name string, mtu int) (*TUN, error) {
	if mtu < 68 || mtu > MaxPacket {
		return nil, fmt.Errorf("open TUN %s: mtu %d: want 68 to %d", name, mtu, MaxPacket)
	}
	t, err := create(name)
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
func create(name string) (*TUN, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	uso := false
	if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err == nil {
		uso, err = setOffload(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Only now, when it can be waited for.
	t := &TUN{name: name, uso: uso, file: os.NewFile(uintptr(fd), "/dev/net/tun")}
	t.read, t.ready = t.readFrame, t.readable
	t.raw, err = t.file.SyscallConn()
	if err != nil {
		t.file.Close()
		return nil, err
	}
	return t, nil
}

// setOffload lets the kernel hand over segments of TCP in bulk and, where it can
// (Linux 6.2), datagrams of UDP.
func setOffload(fd int) (uso bool, err error) {
	const tcp = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp|unix.TUN_F_USO4|unix.TUN_F_USO6) == nil {
		return true, nil
	}
	return false, unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tcp)
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

// SetCarrier has the link look as if plugged in, or not; it begins plugged in. Without
// a carrier nothing is sent over it, and what is written to it is received all the
// same. It stays up, with its addresses and routes; whether these are used is a
// matter of the sysctl ignore_routes_with_linkdown. The kernel tells it around within
// a second.
func (t *TUN) SetCarrier(on bool) error {
	value := 0
	if on {
		value = 1
	}
	var err error
	if e := t.raw.Control(func(fd uintptr) { err = unix.IoctlSetPointerInt(int(fd), unix.TUNSETCARRIER, value) }); e != nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("carrier of TUN %s: %w", t.name, err)
	}
	return nil
}

// Wait is as Device says.
func (t *TUN) Wait() error {
	t.asked = false
	err := t.raw.Read(t.ready)
	if t.closed.Load() {
		return os.ErrClosed
	}
	return err
}

// readable reports whether there is something to read from fd, or that it has
// failed, which Read says in words. While it is not the runtime waits, and is
// believed afterwards. The system call is a raw one, since the first other one
// after a pause wakes Go's sysmon, a thread that then looks around every 20 µs:
// a packet would wait for the one and share its processor with the other.
func (t *TUN) readable(fd uintptr) bool {
	if t.asked {
		return true
	}
	t.asked = true
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	var now unix.Timespec
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if errno != unix.EINTR {
			return n != 0 || errno != 0
		}
	}
}

// Read is as Device says.
func (t *TUN) Read(b []byte) (int, error) {
	t.buf = b
	err := t.raw.Control(t.read)
	t.buf = nil
	switch {
	case err != nil || t.err == unix.EBADFD: // closed by us, or somebody deleted the link
		return 0, os.ErrClosed
	case t.err == unix.EAGAIN:
		return 0, ErrEmpty
	case t.err != nil:
		return 0, fmt.Errorf("read TUN %s: %w", t.name, t.err)
	}
	return t.n, nil
}

// readFrame reads a frame to t.buf.
func (t *TUN) readFrame(fd uintptr) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&t.buf[0])), uintptr(len(t.buf)))
		switch errno {
		case 0:
			t.n, t.err = int(n), nil
			return
		case unix.EINTR:
			continue
		}
		t.err = errno
		return
	}
}

// JoinsUDP is as Device says.
func (t *TUN) JoinsUDP() bool { return t.uso }

// Close removes the link.
func (t *TUN) Close() error {
	t.closed.Store(true)
	if err := t.file.Close(); err != nil {
		return fmt.Errorf("close TUN %s: %w", t.name, err)
	}
	return nil
}
