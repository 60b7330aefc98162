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
	writeBatch = 256
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
	// NoWait has Write refuse what the socket has no room for, instead of
	// waiting, also for other writers that do.
	NoWait bool

	s      *Socket
	hdrs   []mmsghdr
	iovs   []unix.Iovec
	ctrl   [][controlLen]byte
	counts [writeBatch]int // of packets in each message
	name   sockaddr
	named  uint32 // octets of name that count

	todo []mmsghdr             // what is still to be sent
	left []int                 // and how many packets each message holds
	tos  []uint8               // of the packets still to be sent; nil when all are 0
	send func(fd uintptr) bool // Writer.sendmmsg, made once
	try  func(fd uintptr)      // the same, without waiting
	full bool
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
	w.try = func(fd uintptr) { w.full = !w.sendmmsg(fd) }
	return w
}

// Write sends pkts, none of them empty, in order, to one peer. from is the
// source address when the socket is bound to 0.0.0.0 and is otherwise ignored;
// on a raw socket so is the port of to. It returns how many packets the kernel
// took; when some were refused it goes on with the rest and returns the first
// error, which wraps an errno, or net.ErrClosed.
func (w *Writer) Write(pkts [][]byte, from netip.Addr, to netip.AddrPort) (sent int, err error) {
	return w.WriteMarked(pkts, nil, from, to)
}

// WriteMarked is Write with a type of service octet for each packet, DSCP and
// ECN; nil marks them all 0.
func (w *Writer) WriteMarked(pkts [][]byte, tos []uint8, from netip.Addr, to netip.AddrPort) (sent int, err error) {
	if tos != nil && len(tos) != len(pkts) {
		return 0, fmt.Errorf("write %v socket: %d marks for %d packets", w.s.kind, len(tos), len(pkts))
	}
	if !w.s.reaches(to.Addr()) {
		return 0, fmt.Errorf("write %v socket: to %v: want an address of the socket's family", w.s.kind, to)
	}
	if w.s.kind == Raw {
		to = netip.AddrPortFrom(to.Addr(), 0) // for a raw socket a port would be a protocol number
	}
	w.named = setSockaddr(&w.name, to)
	for len(pkts) > 0 {
		chunk := pkts[:min(len(pkts), writeBatch)]
		w.tos = nil
		if tos != nil {
			w.tos, tos = tos[:len(chunk)], tos[len(chunk):]
		}
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
		if err := w.call(); err != nil {
			return sent, err
		}
		for range w.n {
			k := w.left[0]
			sent += k
			pkts = w.drop(pkts, k)
		}
		if w.err == nil {
			continue
		}
		k := w.left[0]
		if k > 1 && w.trainRefused() {
			w.prepare(pkts, from, false)
			continue
		}
		if err == nil {
			err = fmt.Errorf("write %v socket: %w", w.s.kind, w.err)
		}
		pkts = w.drop(pkts, k) // refused: the next ones may be taken
	}
	return sent, err
}

// call gives the kernel what is still to be sent. An error ends the writing:
// the socket is closed, or has no room and we do not wait.
func (w *Writer) call() error {
	if !w.NoWait {
		return w.s.sys.Write(w.send)
	}
	if err := w.s.sys.Control(w.try); err != nil {
		return err
	}
	if w.full {
		return fmt.Errorf("write %v socket: %w", w.s.kind, unix.EAGAIN)
	}
	return nil
}

// drop takes the first message, of k packets, off what is still to be sent, and
// returns the packets that remain.
func (w *Writer) drop(pkts [][]byte, k int) [][]byte {
	w.todo, w.left = w.todo[1:], w.left[1:]
	if w.tos != nil {
		w.tos = w.tos[k:]
	}
	return pkts[k:]
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
			k = w.sameMark(i, train(pkts[i:]))
		}
		h := &w.hdrs[n].hdr
		w.counts[n] = k
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&w.name)), w.named
		h.Iov = &w.iovs[i]
		h.SetIovlen(gather(w.iovs[i:], pkts[i:i+k]))
		h.Control = nil
		h.SetControllen(0)
		if c := w.control(n, segments{k, len(pkts[i]), w.mark(i)}, from); c > 0 {
			h.Control = &w.ctrl[n][0]
			h.SetControllen(c)
		}
		i += k
	}
	w.todo, w.left = w.hdrs[:n], w.counts[:n]
}

// gather makes iovs point at pkts, at those that lie one behind the other as one,
// and returns how many it took.
func gather(iovs []unix.Iovec, pkts [][]byte) (n int) {
	for i, p := range pkts {
		if i > 0 && follows(pkts[i-1], p) {
			iovs[n-1].SetLen(int(iovs[n-1].Len) + len(p))
			continue
		}
		iovs[n].Base = &p[0]
		iovs[n].SetLen(len(p))
		n++
	}
	return n
}

// follows reports whether b begins where a ends.
func follows(a, b []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(a)))+uintptr(len(a)) == uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}

// mark is the type of service of packet i of those still to be sent.
func (w *Writer) mark(i int) uint8 {
	if w.tos == nil {
		return 0
	}
	return w.tos[i]
}

// sameMark is how many of the k packets from i on have the mark of the first:
// the kernel writes one into all packets of a train.
func (w *Writer) sameMark(i, k int) int {
	for j := 1; j < k; j++ {
		if w.mark(i+j) != w.mark(i) {
			return j
		}
	}
	return k
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

// segments are what one message holds: n packets of size octets, but for a
// last shorter one, all of type of service tos.
type segments struct {
	n, size int
	tos     uint8
}

// control writes the control messages of message n, which holds seg. It
// returns how many octets they take.
func (w *Writer) control(n int, seg segments, from netip.Addr) int {
	b, used := w.ctrl[n][:], 0
	if seg.n > 1 {
		putCmsg(b, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
		binary.NativeEndian.PutUint16(b[unix.CmsgLen(0):], uint16(seg.size))
		used += unix.CmsgSpace(2)
	}
	if seg.tos != 0 {
		c := b[used:]
		putCmsg(c, int32(w.s.family.level), int32(w.s.family.mark), 4)
		binary.NativeEndian.PutUint32(c[unix.CmsgLen(0):], uint32(seg.tos))
		used += unix.CmsgSpace(4)
	}
	return used + putSource(b[used:], w.s, from)
}

// putSource writes the control message that has a message leave from the given
// address, if s has no address of its own. It returns how many octets it takes.
func putSource(c []byte, s *Socket, from netip.Addr) int {
	if !s.anyLocal || !from.Is4() || from.IsUnspecified() {
		return 0
	}
	putCmsg(c, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
	data := c[unix.CmsgLen(0):][:unix.SizeofInet4Pktinfo]
	clear(data)
	src := from.As4()
	copy(data[4:], src[:]) // ipi_spec_dst: the source to use
	return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
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
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd,
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
