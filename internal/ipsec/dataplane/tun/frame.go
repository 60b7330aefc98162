package tun

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"seikan/internal/ipsec/dataplane/offload"
)

// A Frame is what Write takes: a header and the pieces of one IP packet, or of
// several that are joined, each where it is. It can be used again and again, by
// one goroutine at a time, and then allocates nothing.
type Frame struct {
	header [offload.HeaderLen]byte
	vec    []unix.Iovec // the first is header
	pieces [][]byte     // what the others point at

	do  func(fd uintptr) // Frame.writev, made once
	err error
}

// Reset makes f a frame of header h and no packet yet.
func (f *Frame) Reset(h offload.Header) {
	h.Put(f.header[:])
	f.vec, f.pieces = f.vec[:0], f.pieces[:0]
	f.add(f.header[:])
}

// Append adds a piece of packet, which must stay as it is until it is written.
func (f *Frame) Append(b []byte) {
	if len(b) > 0 {
		f.add(b)
		f.pieces = append(f.pieces, b)
	}
}

func (f *Frame) add(b []byte) {
	v := unix.Iovec{Base: &b[0]}
	v.SetLen(len(b))
	f.vec = append(f.vec, v)
}

// Octets is how long the packet is.
func (f *Frame) Octets() (n int) {
	for _, p := range f.pieces {
		n += len(p)
	}
	return n
}

// AppendTo appends the header and the packet to b, for a Device in memory.
func (f *Frame) AppendTo(b []byte) []byte {
	b = append(b, f.header[:]...)
	for _, p := range f.pieces {
		b = append(b, p...)
	}
	return b
}

// writev writes f to fd.
func (f *Frame) writev(fd uintptr) {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&f.vec[0])), uintptr(len(f.vec)))
		switch errno {
		case 0:
			f.err = nil
			return
		case unix.EINTR:
			continue
		}
		f.err = errno
		return
	}
}

// Write is as Device says.
func (t *TUN) Write(f *Frame) error {
	if f.do == nil {
		f.do = f.writev
	}
	if err := t.raw.Control(f.do); err != nil {
		return os.ErrClosed
	}
	if f.err != nil {
		return fmt.Errorf("write TUN %s: %w", t.name, f.err)
	}
	return nil
}
