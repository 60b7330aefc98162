package packet

import "encoding/binary"

// A UDP is a whole UDP datagram (RFC 768).
type UDP []byte

// ParseUDP checks b and returns the datagram that b begins with, cut to its
// length.
func ParseUDP(b []byte) (UDP, error) {
	if len(b) < 8 {
		return nil, ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	if n < 8 {
		return nil, ErrHeader
	}
	if n > len(b) {
		return nil, ErrShort
	}
	return UDP(b[:n]), nil
}

// SrcPort is the source port.
func (u UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(u) }

// DstPort is the destination port.
func (u UDP) DstPort() uint16 { return binary.BigEndian.Uint16(u[2:]) }

// Checksum is the checksum; 0 means none over IPv4.
func (u UDP) Checksum() uint16 { return binary.BigEndian.Uint16(u[6:]) }

// Payload is what follows the header.
func (u UDP) Payload() []byte { return u[8:] }

// A TCP is a whole TCP segment (RFC 9293 section 3.1).
type TCP []byte

// ParseTCP checks b, all of which is the segment: TCP does not know its length.
func ParseTCP(b []byte) (TCP, error) {
	if len(b) < 20 {
		return nil, ErrShort
	}
	hdr := int(b[12]>>4) * 4
	if hdr < 20 {
		return nil, ErrHeader
	}
	if hdr > len(b) {
		return nil, ErrShort
	}
	return TCP(b), nil
}

// HeaderLen is the length of the header with options in octets, 20 to 60.
func (t TCP) HeaderLen() int { return int(t[12]>>4) * 4 }

// SrcPort is the source port.
func (t TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(t) }

// DstPort is the destination port.
func (t TCP) DstPort() uint16 { return binary.BigEndian.Uint16(t[2:]) }

// SYN reports whether the segment opens a connection, or answers one.
func (t TCP) SYN() bool { return t[13]&0x02 != 0 }

// Checksum is the checksum.
func (t TCP) Checksum() uint16 { return binary.BigEndian.Uint16(t[16:]) }

// Options are the options, padding included.
func (t TCP) Options() []byte { return t[20:t.HeaderLen()] }

// Payload is what follows the header.
func (t TCP) Payload() []byte { return t[t.HeaderLen():] }

// An ICMP is an ICMP or ICMPv6 message (RFC 792, RFC 4443 section 2.1).
type ICMP []byte

// ParseICMP checks b, all of which is the message.
func ParseICMP(b []byte) (ICMP, error) {
	if len(b) < 8 {
		return nil, ErrShort
	}
	return ICMP(b), nil
}

// Type is the type.
func (m ICMP) Type() uint8 { return m[0] }

// Code is the code.
func (m ICMP) Code() uint8 { return m[1] }

// Checksum is the checksum.
func (m ICMP) Checksum() uint16 { return binary.BigEndian.Uint16(m[2:]) }

// Rest is the second word of the header, whose meaning depends on the type.
func (m ICMP) Rest() uint32 { return binary.BigEndian.Uint32(m[4:]) }

// Body is what follows the header.
func (m ICMP) Body() []byte { return m[8:] }
