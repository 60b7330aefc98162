package udp

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// readBatch is how many datagrams, or trains of them, one Read takes;
	// ikeBatch is the same for IKE, which comes in bulk only where there are
	// thousands of tunnels.
	readBatch = 64
	ikeBatch  = 32
	// maxDatagram is the largest datagram or train, in octets.
	maxDatagram = 65535
	// controlLen is room for UDP_GRO or UDP_SEGMENT, IP_TOS and IP_PKTINFO
	// together.
	controlLen = 96
)

// A mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// A Message is what one socket message holds.
type Message struct {
	// Data is one datagram or, when Segment is smaller than it, a train of
	// datagrams of Segment octets each, of which the last may be shorter. On a
	// raw socket the IP header is gone. It is valid until the next Read.
	Data    []byte
	Segment int
	From    netip.AddrPort // the port is 0 on a raw socket
	Local   netip.Addr     // where it was sent to; invalid unless the socket is bound to 0.0.0.0
	TOS     uint8          // type of service of the outer header, DSCP and ECN; 0 for IKE
}

// A Reader reads batches from a socket; one goroutine uses it. It calls
// recvmmsg(2) itself because the ReadBatch of x/net makes a net.Addr for every
// message, and this path shall allocate nothing (benchmarked in this package).
type Reader struct {
	s     *Socket
	hdrs  []mmsghdr
	iovs  []unix.Iovec
	names []sockaddr
	ctrl  [][controlLen]byte
	bufs  [][]byte

	recv func(fd uintptr) bool // method value, made once
	n    int
	err  error
}

// NewReader returns a Reader with buffers of its own: 4 MiB of address space,
// for IKE 2 MiB.
func (s *Socket) NewReader() *Reader {
	n := readBatch
	if s.kind == IKE {
		n = ikeBatch
	}
	r := &Reader{
		s:     s,
		hdrs:  make([]mmsghdr, n),
		iovs:  make([]unix.Iovec, n),
		names: make([]sockaddr, n),
		ctrl:  make([][controlLen]byte, n),
		bufs:  make([][]byte, n),
	}
	slab := make([]byte, n*maxDatagram)
	for i := range r.hdrs {
		r.bufs[i] = slab[i*maxDatagram : (i+1)*maxDatagram : (i+1)*maxDatagram]
		r.iovs[i].Base = &r.bufs[i][0]
		r.iovs[i].SetLen(maxDatagram)
		h := &r.hdrs[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&r.names[i]))
		h.Iov = &r.iovs[i]
		h.SetIovlen(1)
		h.Control = &r.ctrl[i][0]
	}
	r.recv = r.recvmmsg
	return r
}

// Batch is how many messages one Read takes at most.
func (r *Reader) Batch() int { return len(r.hdrs) }

// Read waits for messages and returns how many there are. The error is
// net.ErrClosed after Close and os.ErrDeadlineExceeded after Interrupt;
// another one may pass.
func (r *Reader) Read() (int, error) {
	for i := range r.hdrs {
		h := &r.hdrs[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlLen)
	}
	if err := r.s.sys.Read(r.recv); err != nil {
		return 0, err
	}
	return r.n, r.err
}

// recvmmsg is called by the poller; false means wait until readable.
func (r *Reader) recvmmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.hdrs[0])), uintptr(len(r.hdrs)), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			r.n, r.err = int(n), nil
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		r.n, r.err = 0, fmt.Errorf("read %v socket: %w", r.s.kind, errno)
		return true
	}
}

// Message returns message i of the last Read.
func (r *Reader) Message(i int) Message {
	h := &r.hdrs[i]
	m := Message{Data: r.bufs[i][:h.len], Segment: int(h.len), From: addrPortOf(&r.names[i])}
	if r.s.kind == Raw && m.From.Addr().Is4() { // one of IPv6 comes without its header
		if len(m.Data) > 1 {
			m.TOS = m.Data[1]
		}
		m.Data = stripIPv4(m.Data)
		m.Segment = len(m.Data)
		m.From = netip.AddrPortFrom(m.From.Addr(), 0)
		return m
	}
	if h.hdr.Controllen > 0 {
		m.readControl(r.ctrl[i][:h.hdr.Controllen])
	}
	if r.s.kind == Raw {
		m.From = netip.AddrPortFrom(m.From.Addr(), 0)
	}
	return m
}

// readControl takes segment size, type of service and local address from
// control messages.
func (m *Message) readControl(ctrl []byte) {
	for len(ctrl) >= unix.SizeofCmsghdr {
		hdr, data, rest, err := unix.ParseOneSocketControlMessage(ctrl)
		if err != nil {
			return
		}
		switch {
		case hdr.Level == unix.IPPROTO_UDP && hdr.Type == unix.UDP_GRO && len(data) >= 2:
			if n := segmentSize(data); n > 0 {
				m.Segment = n
			}
		case hdr.Level == unix.IPPROTO_IP && hdr.Type == unix.IP_TOS && len(data) >= 1:
			m.TOS = data[0]
		case hdr.Level == unix.IPPROTO_IPV6 && hdr.Type == unix.IPV6_TCLASS && len(data) >= 4:
			m.TOS = uint8(binary.NativeEndian.Uint32(data))
		case hdr.Level == unix.IPPROTO_IP && hdr.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			m.Local = netip.AddrFrom4([4]byte(data[8:12])) // ipi_addr: where the packet was sent to
		}
		ctrl = rest
	}
}

// segmentSize reads the int of a UDP_GRO control message.
func segmentSize(data []byte) int {
	if len(data) < 4 {
		return int(binary.NativeEndian.Uint16(data))
	}
	return int(binary.NativeEndian.Uint32(data))
}

// stripIPv4 removes the header that a raw socket delivers; nil when it is
// none.
func stripIPv4(b []byte) []byte {
	if len(b) < 20 || b[0]>>4 != 4 {
		return nil
	}
	n := int(b[0]&15) * 4
	if n < 20 || n > len(b) {
		return nil
	}
	return b[n:]
}
