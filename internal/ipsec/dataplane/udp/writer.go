package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// writeBatch is how many packets go into one sendmmsg(2) at most.
	writeBatch = 128
	// maxSegments is how many packets the kernel takes as one train: UDP_MAX_SEGMENTS
	// before Linux 6.9.
	maxSegments = 64
	// maxTrain is the most octets of a train: what an IPv4 packet can hold,
	// less the headers.
	maxTrain = 65535 - 20 - 8
)

// A Writer writes batches to a socket; one goroutine uses it. Consecutive
// packets of one size leave as one message (UDP_SEGMENT) where the kernel can
// do so, without being copied.
type Writer struct {
	s    *Socket
	hdrs []mmsghdr
	iovs []unix.Iovec
	ctrl [][controlLen]byte
	name unix.RawSockaddrInet4

	todo []mmsghdr // what is still to be sent
	send func(fd uintptr) bool
	n    int
	err  error
}

// NewWriter returns a Writer.
func (s *Socket) NewWriter() *Writer {
	w := &Writer{
		s:    s,
		hdrs: make([]mmsghdr, writeBatch),
		iovs: make([]unix.Iovec, writeBatch),
		ctrl: make([][controlLen]byte, writeBatch),
	}
	w.send = w.sendmmsg
	return w
}

// Write sends pkts, none of them empty, in order, to one peer. from is the
// source address when the socket is bound to 0.0.0.0 and is otherwise ignored;
// on a raw socket so is the port of to. It returns how many packets the kernel
// took; when some were refused it goes on with the rest and returns the first
// error, which wraps an errno, or net.ErrClosed.
func (w *Writer) Write(pkts [][]byte, from netip.Addr, to netip.AddrPort) (sent int, err error) {
	if !to.Addr().Is4() {
		return 0, fmt.Errorf("write %v socket: to %v: want an IPv4 address", w.s.kind, to)
	}
	w.name.Family = unix.AF_INET
	w.name.Addr = to.Addr().As4()
	port := to.Port()
	if w.s.kind == Raw {
		port = 0 // for a raw socket it would be a protocol number
	}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&w.name.Port))[:], port)
	for len(pkts) > 0 {
		chunk := pkts[:min(len(pkts), writeBatch)]
		n, e := w.writeChunk(chunk, from)
		sent += n
		if err == nil {
			err = e
		}
		pkts = pkts[len(chunk):]
	}
	return sent, err
}

// writeChunk sends at most writeBatch packets.
func (w *Writer) writeChunk(pkts [][]byte, from netip.Addr) (sent int, err error) {
	w.prepare(pkts, from, w.s.gso.Load())
	for len(w.todo) > 0 {
		w.n, w.err = 0, nil
		if err := w.s.sys.Write(w.send); err != nil {
			return sent, err // closed
		}
		for range w.n {
			k := int(w.todo[0].hdr.Iovlen)
			sent, pkts, w.todo = sent+k, pkts[k:], w.todo[1:]
		}
		if w.err == nil {
			continue
		}
		k := int(w.todo[0].hdr.Iovlen)
		if k > 1 && w.trainRefused() {
			w.prepare(pkts, from, false)
			continue
		}
		if err == nil {
			err = fmt.Errorf("write %v socket: %w", w.s.kind, w.err)
		}
		pkts, w.todo = pkts[k:], w.todo[1:] // refused: the next ones may be taken
	}
	return sent, err
}

// trainRefused reports whether w.err is about the train, so that its packets
// may be taken one by one.
func (w *Writer) trainRefused() bool {
	switch {
	case errors.Is(w.err, unix.EMSGSIZE):
		return true // a segment does not fit the MTU; alone it can be fragmented
	case errors.Is(w.err, unix.EIO), errors.Is(w.err, unix.EINVAL):
		// The route's device or the socket's options do not allow it (or, before
		// Linux 6.10, the MTU), and will not for the next batch.
		if w.s.gso.Swap(false) {
			w.s.log.Warn("UDP segmentation offload switched off", "socket", w.s.kind.String(), "cause", w.err)
		}
		return true
	}
	return false
}

// prepare fills w.todo with the messages that carry pkts, as trains if gso.
func (w *Writer) prepare(pkts [][]byte, from netip.Addr, gso bool) {
	n := 0
	for i := 0; i < len(pkts); n++ {
		k := 1
		if gso {
			k = train(pkts[i:])
		}
		for j, p := range pkts[i : i+k] {
			w.iovs[i+j].Base = &p[0]
			w.iovs[i+j].SetLen(len(p))
		}
		h := &w.hdrs[n].hdr
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&w.name)), unix.SizeofSockaddrInet4
		h.Iov = &w.iovs[i]
		h.SetIovlen(k)
		h.Control = nil
		h.SetControllen(0)
		if c := w.control(n, k, len(pkts[i]), from); c > 0 {
			h.Control = &w.ctrl[n][0]
			h.SetControllen(c)
		}
		i += k
	}
	w.todo = w.hdrs[:n]
}

// train is how many packets from the first on can leave as one message: all of
// one size, but for a last shorter one.
func train(pkts [][]byte) int {
	size, total := len(pkts[0]), 0
	for i, p := range pkts[:min(len(pkts), maxSegments)] {
		total += len(p)
		if len(p) > size || total > maxTrain {
			return max(i, 1)
		}
		if len(p) < size {
			return i + 1
		}
	}
	return min(len(pkts), maxSegments)
}

// control writes the control messages of message n: k packets of size octets.
// It returns how many octets they take.
func (w *Writer) control(n, k, size int, from netip.Addr) int {
	b, used := w.ctrl[n][:], 0
	if k > 1 {
		putCmsg(b, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(size))
		used += unix.CmsgSpace(2)
	}
	if w.s.anyLocal && from.Is4() && !from.IsUnspecified() {
		c := b[used:]
		putCmsg(c, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		data := c[unix.CmsgLen(0):][:unix.SizeofInet4Pktinfo]
		clear(data)
		src := from.As4()
		copy(data[4:], src[:]) // ipi_spec_dst: the source to use
		used += unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	}
	return used
}

// putCmsg writes a control message header for n octets of data.
func putCmsg(b []byte, level, typ int32, n int) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(n))
}

// sendmmsg is called by the poller; false means wait until writable.
func (w *Writer) sendmmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&w.todo[0])), uintptr(len(w.todo)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			w.n, w.err = int(n), nil
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		w.n, w.err = 0, errno
		return true
	}
}
