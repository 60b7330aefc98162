// Package packet reads and changes IP packets in place: headers as views on
// octets, checksums, the TCP segment size, ICMP errors about size, and
// fragmentation of IPv4.
//
// A view is a slice that its constructor has checked; its methods do not fail.
// The package does no I/O, keeps nothing, and allocates nothing but what an
// Append function must grow. Any package may use it.
package packet

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Protocol numbers (IANA).
const (
	ProtoICMP   = 1
	ProtoTCP    = 6
	ProtoUDP    = 17
	ProtoICMPv6 = 58
)

const (
	ipv4Min = 20
	ipv6Len = 40

	flagDF = 0x4000
	flagMF = 0x2000
)

// What a constructor reports.
var (
	ErrShort   = errors.New("packet: shorter than its header says")
	ErrVersion = errors.New("packet: not of this IP version")
	ErrHeader  = errors.New("packet: impossible header length")
)

// An IPv4 is a whole IPv4 packet, options included (RFC 791 section 3.1).
type IPv4 []byte

// ParseIPv4 checks b and returns the packet that b begins with, cut to its
// total length. The header checksum is not looked at.
func ParseIPv4(b []byte) (IPv4, error) {
	if len(b) < ipv4Min {
		return nil, ErrShort
	}
	if b[0]>>4 != 4 {
		return nil, ErrVersion
	}
	hdr, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if hdr < ipv4Min || hdr > total {
		return nil, ErrHeader
	}
	if total > len(b) {
		return nil, ErrShort
	}
	return IPv4(b[:total]), nil
}

// HeaderLen is the length of the header in octets, 20 to 60.
func (p IPv4) HeaderLen() int { return int(p[0]&15) * 4 }

// TOS is the type of service octet: DSCP and ECN.
func (p IPv4) TOS() uint8 { return p[1] }

// ID is the identification.
func (p IPv4) ID() uint16 { return binary.BigEndian.Uint16(p[4:]) }

// DF reports whether the packet may not be fragmented.
func (p IPv4) DF() bool { return p.flags()&flagDF != 0 }

// MF reports whether more fragments follow.
func (p IPv4) MF() bool { return p.flags()&flagMF != 0 }

// FragmentOffset is where the payload stands in the whole one, in octets.
func (p IPv4) FragmentOffset() int { return int(p.flags()&0x1fff) * 8 }

// TTL is the time to live.
func (p IPv4) TTL() uint8 { return p[8] }

// Protocol is the protocol of the payload.
func (p IPv4) Protocol() uint8 { return p[9] }

// Src is the source address.
func (p IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(p[12:16])) }

// Dst is the destination address.
func (p IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// Payload is what follows the header.
func (p IPv4) Payload() []byte { return p[p.HeaderLen():] }

// ChecksumOK reports whether the header checksum is right.
func (p IPv4) ChecksumOK() bool { return Checksum(p[:p.HeaderLen()]) == 0 }

// SetChecksum computes the header checksum anew.
func (p IPv4) SetChecksum() {
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:], Checksum(p[:p.HeaderLen()]))
}

// ClearDF allows the packet to be fragmented, and gives it the identification
// id: that of a packet that could not be fragmented means nothing (RFC 6864
// section 4.1). The checksum is adjusted.
func (p IPv4) ClearDF(id uint16) {
	p.setWord(4, id)
	p.setWord(6, p.flags()&^flagDF)
}

// setWord changes a word of the header and adjusts the checksum.
func (p IPv4) setWord(at int, v uint16) {
	old := binary.BigEndian.Uint16(p[at:])
	binary.BigEndian.PutUint16(p[at:], v)
	binary.BigEndian.PutUint16(p[10:], Adjust(binary.BigEndian.Uint16(p[10:]), old, v))
}

// flags are the flags and the fragment offset.
func (p IPv4) flags() uint16 { return binary.BigEndian.Uint16(p[6:]) }

// An IPv6 is a whole IPv6 packet (RFC 8200 section 3).
type IPv6 []byte

// ParseIPv6 checks b and returns the packet that b begins with, cut to its
// payload length.
func ParseIPv6(b []byte) (IPv6, error) {
	if len(b) < ipv6Len {
		return nil, ErrShort
	}
	if b[0]>>4 != 6 {
		return nil, ErrVersion
	}
	total := ipv6Len + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return nil, ErrShort
	}
	return IPv6(b[:total]), nil
}

// NextHeader is the protocol of what follows the fixed header.
func (p IPv6) NextHeader() uint8 { return p[6] }

// HopLimit is the hop limit.
func (p IPv6) HopLimit() uint8 { return p[7] }

// Src is the source address.
func (p IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(p[8:24])) }

// Dst is the destination address.
func (p IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(p[24:40])) }

// Payload is what follows the fixed header, extension headers included.
func (p IPv6) Payload() []byte { return p[ipv6Len:] }
