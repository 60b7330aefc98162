package offload

import (
	"bytes"
	"encoding/binary"

	"seikan/internal/packet"
)

const (
	// MaxFrames is how many frames a Joiner holds.
	MaxFrames = 128
	// maxJoined is how many packets of TCP become one frame, maxDatagrams the
	// same of UDP, where the kernel's limit was 64 before Linux 6.9.
	maxJoined    = 256
	maxDatagrams = 64
	// maxOpen is how many frames are looked at for one that a packet continues:
	// more flows than that are seldom mixed within a batch.
	maxOpen = 16
)

// A Joiner makes frames of packets. The zero Joiner is ready.
//
// The packets of a flow stay in order; those of different flows may overtake
// each other. Only TCP segments with data and nothing else, and UDP datagrams
// with a checksum, are joined, and only with checksums that are right: of what is
// joined the kernel computes them anew.
type Joiner struct {
	// UDP allows frames of UDP datagrams, which TUNs take since Linux 6.2.
	UDP bool

	frames  []frame // the first n are in use
	n       int
	barrier int // frames before it are closed
}

// A frame is the packets of one Frame.
type frame struct {
	head   []byte   // the first packet, whole
	rest   [][]byte // payloads of those that follow
	shape  shape    // of head
	total  int      // octets of payload in all
	flags  byte     // of TCP, of the last packet
	proven bool     // the checksums of head are right
	closed bool     // nothing can follow
}

// A shape is where things stand in a packet that may be joined.
type shape struct {
	proto   uint8 // TCP or UDP, or 0: neither, or not to be looked into
	l4, hdr int   // where the transport header and the payload begin
	joins   bool  // it can be part of a frame of several
}

// Reset forgets all packets.
func (j *Joiner) Reset() { j.n, j.barrier = 0, 0 }

// Len is how many frames there are.
func (j *Joiner) Len() int { return j.n }

// Add adds a whole IP packet, which must stay as it is until Reset but for what
// Frame does to it. It reports false, and does nothing, when there is no room.
func (j *Joiner) Add(pkt []byte) bool {
	s := shapeOf(pkt)
	if s.proto == packet.ProtoUDP && !j.UDP {
		s.joins = false
	}
	for i := j.n - 1; s.proto != 0 && i >= max(j.barrier, j.n-maxOpen); i-- {
		f := &j.frames[i]
		if f.shape.proto != s.proto || f.shape.l4 != s.l4 || !sameFlow(f.head, pkt, s.l4) {
			continue
		}
		if !f.closed && s.joins && f.join(pkt, s) {
			return true
		}
		f.closed = true
		break
	}
	if j.n == MaxFrames {
		return false
	}
	if j.n == len(j.frames) {
		j.frames = append(j.frames, frame{})
	}
	f := &j.frames[j.n]
	*f = frame{head: pkt, rest: f.rest[:0], shape: s, closed: !s.joins, total: len(pkt) - s.hdr}
	if s.joins && s.proto == packet.ProtoTCP {
		f.flags = pkt[s.l4+13]
		f.closed = f.flags&psh != 0
	}
	j.n++
	if s.proto == 0 {
		j.barrier = j.n // it may belong to any flow: nothing overtakes it
	}
	return true
}

// shapeOf reads the shape of pkt, a whole IP packet.
func shapeOf(pkt []byte) (s shape) {
	switch {
	case pkt[0] == 0x45 && binary.BigEndian.Uint16(pkt[6:])&0x3fff == 0:
		s.proto, s.l4 = pkt[9], ipv4Len
	case pkt[0]>>4 == 6:
		s.proto, s.l4 = pkt[6], ipv6Len
	default:
		return shape{}
	}
	t := pkt[s.l4:]
	switch {
	case s.proto == packet.ProtoTCP && len(t) >= tcpLen:
		s.hdr = s.l4 + int(t[12]>>4)*4
		s.joins = s.hdr >= s.l4+tcpLen && s.hdr < len(pkt) && t[13]&^psh == ack && t[12]&15 == 0
	case s.proto == packet.ProtoUDP && len(t) >= udpLen:
		s.hdr = s.l4 + udpLen
		s.joins = s.hdr < len(pkt) && int(binary.BigEndian.Uint16(t[4:])) == len(t) && (t[6] != 0 || t[7] != 0)
	default:
		return shape{}
	}
	return s
}

// sameFlow reports whether two packets of one shape have the same addresses and
// ports.
func sameFlow(a, b []byte, l4 int) bool {
	from := addresses(l4)
	return bytes.Equal(a[from:l4+4], b[from:l4+4])
}

// addresses is where the addresses stand in an IP header of l4 octets.
func addresses(l4 int) int {
	if l4 == ipv6Len {
		return 8
	}
	return 12
}

// join adds pkt, of the same flow, to f if it continues it.
func (f *frame) join(pkt []byte, s shape) bool {
	size, n := len(f.head)-f.shape.hdr, len(pkt)-s.hdr
	most := maxJoined
	if s.proto == packet.ProtoUDP {
		most = maxDatagrams
	}
	if n > size || s.hdr != f.shape.hdr || len(f.rest)+2 > most || f.shape.hdr+f.total+n > 0xffff {
		return false
	}
	if !f.continuesIP(pkt) || s.proto == packet.ProtoTCP && !f.continuesTCP(pkt, s) {
		return false
	}
	if !f.proven && !checksumsOK(f.head, f.shape) || !checksumsOK(pkt, s) {
		return false
	}
	f.proven = true
	f.rest = append(f.rest, pkt[s.hdr:])
	f.total += n
	f.closed = n < size
	if s.proto == packet.ProtoTCP {
		f.flags = pkt[s.l4+13]
		f.closed = f.closed || f.flags&psh != 0
	}
	return true
}

// continuesIP reports whether the IP header of pkt is that of the next packet
// of f.
func (f *frame) continuesIP(pkt []byte) bool {
	h := f.head
	if pkt[0]>>4 == 6 {
		return binary.BigEndian.Uint32(h) == binary.BigEndian.Uint32(pkt) && h[7] == pkt[7]
	}
	const df = 0x4000
	if h[1] != pkt[1] || h[6] != pkt[6] || h[7] != pkt[7] || h[8] != pkt[8] {
		return false
	}
	// The kernel counts identifications up. Those of packets that may not be
	// fragmented mean nothing (RFC 6864 section 4.1).
	id, first := binary.BigEndian.Uint16(pkt[4:]), binary.BigEndian.Uint16(h[4:])
	return id == first+uint16(len(f.rest))+1 || binary.BigEndian.Uint16(pkt[6:])&df != 0 && id == first
}

// continuesTCP reports whether the TCP header of pkt is that of the next
// segment of f.
func (f *frame) continuesTCP(pkt []byte, s shape) bool {
	a, b := f.head[s.l4:s.hdr], pkt[s.l4:s.hdr]
	return binary.BigEndian.Uint32(a[4:])+uint32(f.total) == binary.BigEndian.Uint32(b[4:]) &&
		binary.BigEndian.Uint32(a[8:]) == binary.BigEndian.Uint32(b[8:]) && // acknowledgment
		binary.BigEndian.Uint16(a[14:]) == binary.BigEndian.Uint16(b[14:]) && // window
		bytes.Equal(a[18:], b[18:]) // urgent pointer, options
}

// checksumsOK reports whether the checksums of pkt are right, that of an IPv4
// header and that of the transport: the kernel makes both anew for what is
// joined, and must not make a wrong one right.
func checksumsOK(pkt []byte, s shape) bool {
	if s.l4 == ipv4Len && packet.Checksum(pkt[:ipv4Len]) != 0 {
		return false
	}
	return packet.Fold(packet.Sum(pkt[s.l4:], pseudo(pkt, s, len(pkt)-s.l4))) == 0
}

// pseudo is the sum of the pseudo header of pkt, for n octets.
func pseudo(pkt []byte, s shape, n int) uint64 {
	return packet.Sum(pkt[addresses(s.l4):s.l4], uint64(s.proto)+uint64(n))
}

// Frame is frame i: what goes before it, its first packet, whose headers are
// now those of the frame, and the payloads that follow.
func (j *Joiner) Frame(i int) (h Header, head []byte, rest [][]byte) {
	f := &j.frames[i]
	if len(f.rest) == 0 {
		return Header{}, f.head, nil
	}
	s, pkt := f.shape, f.head
	length := s.hdr + f.total
	if s.l4 == ipv6Len {
		binary.BigEndian.PutUint16(pkt[4:], uint16(length-ipv6Len))
	} else {
		binary.BigEndian.PutUint16(pkt[2:], uint16(length))
		packet.IPv4(pkt[:ipv4Len]).SetChecksum()
	}
	h = Header{
		NeedsChecksum: true, ChecksumFrom: uint16(s.l4), ChecksumAt: tcpCsum,
		HeadersLen: uint16(s.hdr), Size: uint16(len(f.head) - s.hdr),
	}
	t := pkt[s.l4:]
	switch {
	case s.proto == packet.ProtoUDP:
		h.GSO, h.ChecksumAt = UDP, udpCsum
		binary.BigEndian.PutUint16(t[4:], uint16(length-s.l4))
	case s.l4 == ipv6Len:
		h.GSO = TCPv6
	default:
		h.GSO = TCPv4
	}
	if s.proto == packet.ProtoTCP {
		t[13] = f.flags
	}
	binary.BigEndian.PutUint16(t[h.ChecksumAt:], ^packet.Fold(pseudo(pkt, s, length-s.l4)))
	return h, pkt, f.rest
}
