package offload

import (
	"encoding/binary"

	"seikan/internal/packet"
)

const (
	ipv4Len = 20
	ipv6Len = 40
	udpLen  = 8
	tcpLen  = 20

	tcpCsum = 16 // where the checksum stands in the header
	udpCsum = 6

	fin, psh, ack, cwr = 0x01, 0x08, 0x10, 0x80
)

// A Splitter cuts one frame at a time. The zero Splitter is ready.
type Splitter struct {
	h   Header
	pkt []byte // of the frame: headers, then all payload
	l4  int    // where the transport header begins
	hdr int    // where the payload begins; 0 when pkt is the only packet
	at  int    // octets of payload cut already
	n   uint16 // packets cut already

	// Sums of what is the same in all packets: of the IPv4 header, and of the
	// transport header with its pseudo header.
	ipSum, l4Sum uint64
}

// Begin makes frame, a Header and an IP packet, the one to cut. The frame must
// not be changed until it is. The error is ErrFrame.
func (s *Splitter) Begin(frame []byte) error {
	h, pkt, err := parseHeader(frame)
	if err != nil {
		return err
	}
	*s = Splitter{h: h}
	if s.pkt, err = whole(pkt); err != nil {
		return ErrFrame
	}
	if h.GSO == None {
		from := int(h.ChecksumFrom) // the IP header is not to be written over
		if h.NeedsChecksum && (from < ipHeader(s.pkt) || from+int(h.ChecksumAt)+2 > len(s.pkt)) {
			return ErrFrame
		}
		return nil
	}
	return s.begin()
}

// whole cuts b to the length that its IP header states.
func whole(b []byte) ([]byte, error) {
	if len(b) > 0 && b[0]>>4 == 6 {
		return packet.ParseIPv6(b)
	}
	return packet.ParseIPv4(b)
}

// ipHeader is the length of the IP header of pkt, for IPv6 without extension
// headers.
func ipHeader(pkt []byte) int {
	if pkt[0]>>4 == 6 {
		return ipv6Len
	}
	return int(pkt[0]&15) * 4
}

// begin reads the headers of a frame of several packets.
func (s *Splitter) begin() error {
	v6 := s.pkt[0]>>4 == 6
	if v6 {
		s.l4 = int(s.h.ChecksumFrom) // behind extension headers, if there are any
	} else {
		s.l4 = int(s.pkt[0]&15) * 4
	}
	known := s.h.GSO == UDP || s.h.GSO == TCPv4 && !v6 || s.h.GSO == TCPv6 && v6
	if !known || s.h.Size == 0 || v6 && s.l4 < ipv6Len || !v6 && binary.BigEndian.Uint16(s.pkt[6:])&0x3fff != 0 {
		return ErrFrame
	}
	least := udpLen
	if s.h.GSO != UDP {
		least = tcpLen
	}
	if len(s.pkt) < s.l4+least {
		return ErrFrame
	}
	s.hdr = s.l4 + least
	if s.h.GSO != UDP {
		s.hdr = s.l4 + int(s.pkt[s.l4+12]>>4)*4
	}
	if s.hdr < s.l4+least || s.hdr >= len(s.pkt) {
		return ErrFrame
	}
	s.sums(v6)
	return nil
}

// sums computes what does not change from packet to packet, without the words
// that do, which are left out as if they were 0.
func (s *Splitter) sums(v6 bool) {
	p, t := s.pkt, s.pkt[s.l4:s.hdr]
	s.l4Sum = packet.ProtoTCP
	if s.h.GSO == UDP {
		s.l4Sum = packet.ProtoUDP
	}
	if v6 {
		s.l4Sum = packet.Sum(p[8:40], s.l4Sum)
	} else {
		s.ipSum = packet.Sum(p[12:s.l4], packet.Sum(p[6:10], uint64(binary.BigEndian.Uint16(p))))
		s.l4Sum = packet.Sum(p[12:20], s.l4Sum)
	}
	if s.h.GSO != UDP {
		// Ports, acknowledgment, window, urgent pointer, options; not the sequence
		// number, the word of the flags, the checksum.
		s.l4Sum = packet.Sum(t[18:], packet.Sum(t[14:16], packet.Sum(t[8:12], packet.Sum(t[:4], s.l4Sum))))
		return
	}
	s.l4Sum = packet.Sum(t[:4], s.l4Sum)
}

// Packet is the whole frame as if it were one packet: what all its packets have
// in common is in its headers.
func (s *Splitter) Packet() []byte { return s.pkt }

// Joined reports whether the frame may be more than one packet.
func (s *Splitter) Joined() bool { return s.hdr != 0 }

// Packets is how many packets the frame is made of.
func (s *Splitter) Packets() int {
	if s.hdr == 0 {
		return 1
	}
	return (len(s.pkt) - s.hdr + int(s.h.Size) - 1) / int(s.h.Size)
}

// NextLen is the length of the packet that Next cuts, 0 when there is none.
func (s *Splitter) NextLen() int {
	if s.hdr == 0 {
		if s.n > 0 {
			return 0
		}
		return len(s.pkt)
	}
	k := min(int(s.h.Size), len(s.pkt)-s.hdr-s.at)
	if k == 0 {
		return 0
	}
	return s.hdr + k
}

// Next writes the next packet to dst, whose length is NextLen and not 0.
func (s *Splitter) Next(dst []byte) {
	if s.hdr == 0 {
		copy(dst, s.pkt)
		s.n = 1
		if s.h.NeedsChecksum {
			s.finish(dst)
		}
		return
	}
	payload := s.pkt[s.hdr+s.at:][:len(dst)-s.hdr]
	copy(dst, s.pkt[:s.hdr])
	sum := packet.CopySum(dst[s.hdr:], payload, s.l4Sum)
	l4len := len(dst) - s.l4
	if dst[0]>>4 == 6 {
		binary.BigEndian.PutUint16(dst[4:], uint16(len(dst)-ipv6Len))
	} else {
		id := binary.BigEndian.Uint16(dst[4:]) + s.n
		binary.BigEndian.PutUint16(dst[2:], uint16(len(dst)))
		binary.BigEndian.PutUint16(dst[4:], id)
		binary.BigEndian.PutUint16(dst[10:], packet.Fold(s.ipSum+uint64(len(dst))+uint64(id)))
	}
	if s.h.GSO == UDP {
		s.nextUDP(dst[s.l4:], l4len, sum)
	} else {
		s.nextTCP(dst[s.l4:], l4len, sum)
	}
	s.at += len(payload)
	s.n++
}

// nextTCP completes the header of t, a segment of n octets whose payload and
// what is the same in all have the sum sum (RFC 9293 section 3.1): FIN and PSH
// are of the last, CWR is of the first (RFC 3168 section 6.1.2).
func (s *Splitter) nextTCP(t []byte, n int, sum uint64) {
	// From the frame's header: t, which was written just now, is not to be waited for.
	h := s.pkt[s.l4:]
	seq, flags := binary.BigEndian.Uint32(h[4:])+uint32(s.at), binary.BigEndian.Uint16(h[12:])
	if s.l4+s.at+n < len(s.pkt) {
		flags &^= fin | psh
	}
	if s.n > 0 {
		flags &^= cwr
	}
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint16(t[12:], flags)
	sum += uint64(seq>>16) + uint64(seq&0xffff) + uint64(flags) + uint64(n)
	binary.BigEndian.PutUint16(t[tcpCsum:], packet.Fold(sum))
}

// nextUDP completes the header of u, a datagram of n octets, likewise.
func (s *Splitter) nextUDP(u []byte, n int, sum uint64) {
	binary.BigEndian.PutUint16(u[4:], uint16(n))
	if !s.h.NeedsChecksum && u[6] == 0 && u[7] == 0 {
		return // it has none
	}
	csum := packet.Fold(sum + 2*uint64(n))
	if csum == 0 {
		csum = 0xffff // RFC 768: 0 says that there is none
	}
	binary.BigEndian.PutUint16(u[udpCsum:], csum)
}

// finish completes the checksum of the only packet.
func (s *Splitter) finish(pkt []byte) {
	from, at := int(s.h.ChecksumFrom), int(s.h.ChecksumFrom)+int(s.h.ChecksumAt)
	sum := packet.Checksum(pkt[from:])
	if sum == 0 && s.h.ChecksumAt == udpCsum {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(pkt[at:], sum)
}
