package packet

import (
	"encoding/binary"
	"net/netip"
)

const (
	// MaxFragNeeded and MaxPacketTooBig are the most octets that
	// AppendFragNeeded and AppendPacketTooBig append.
	MaxFragNeeded   = 576  // RFC 1812 section 4.3.2.3
	MaxPacketTooBig = 1280 // RFC 4443 section 2.4(c)

	icmpHeader      = 8
	typeUnreachable = 3
	codeFragNeeded  = 4
	typeTooBig      = 2

	ttl = 64
)

// AppendFragNeeded appends to dst the ICMP error "fragmentation needed and DF
// set" (RFC 1191 section 4) about pkt, from src to the sender of pkt: the next
// hop takes mtu octets. It appends nothing, and reports false, when src is not
// IPv4 or RFC 1122 section 3.2.2 forbids an answer: to a fragment but the
// first, to an ICMP error, or to a source that is no single host.
func AppendFragNeeded(dst []byte, pkt IPv4, src netip.Addr, mtu uint16) ([]byte, bool) {
	if !src.Is4() || pkt.FragmentOffset() != 0 || !singleHost(pkt.Src()) || isICMPError(pkt) {
		return dst, false
	}
	quote := pkt[:min(len(pkt), MaxFragNeeded-ipv4Min-icmpHeader)]
	start := len(dst)
	from, to := src.As4(), pkt.Src().As4()
	total := ipv4Min + icmpHeader + len(quote)
	dst = append(dst, 0x45, 0xc0) // precedence of network control (RFC 1812 section 4.3.2.5)
	dst = binary.BigEndian.AppendUint16(dst, uint16(total))
	dst = append(dst, 0, 0, 0, 0, ttl, ProtoICMP, 0, 0)
	dst = append(dst, from[:]...)
	dst = append(dst, to[:]...)
	dst = append(dst, typeUnreachable, codeFragNeeded, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, mtu)
	dst = append(dst, quote...)
	p := IPv4(dst[start:])
	p.SetChecksum()
	msg := p.Payload()
	binary.BigEndian.PutUint16(msg[2:], Checksum(msg))
	return dst, true
}

// AppendPacketTooBig is the same for IPv6: "packet too big" (RFC 4443 section
// 3.2). An mtu below 1280 is reported as it is; the sender then adds a fragment
// header or gives up.
func AppendPacketTooBig(dst []byte, pkt IPv6, src netip.Addr, mtu uint32) ([]byte, bool) {
	if !src.Is6() || src.Is4In6() || !singleHost(pkt.Src()) || isICMPv6Error(pkt) {
		return dst, false
	}
	quote := pkt[:min(len(pkt), MaxPacketTooBig-ipv6Len-icmpHeader)]
	start := len(dst)
	from, to := src.As16(), pkt.Src().As16()
	n := icmpHeader + len(quote)
	dst = append(dst, 0x60, 0, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	dst = append(dst, ProtoICMPv6, ttl)
	dst = append(dst, from[:]...)
	dst = append(dst, to[:]...)
	dst = append(dst, typeTooBig, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, mtu)
	dst = append(dst, quote...)
	msg := dst[start+ipv6Len:]
	binary.BigEndian.PutUint16(msg[2:], Fold(Sum(msg, pseudo(from[:], to[:], ProtoICMPv6, n))))
	return dst, true
}

// singleHost reports whether a can be the address of one host.
func singleHost(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// isICMPError reports whether p carries an ICMP error: destination unreachable,
// source quench, redirect, time exceeded or parameter problem.
func isICMPError(p IPv4) bool {
	if p.Protocol() != ProtoICMP {
		return false
	}
	m, err := ParseICMP(p.Payload())
	if err != nil {
		return true // too short to tell: be silent
	}
	switch m.Type() {
	case 3, 4, 5, 11, 12:
		return true
	}
	return false
}

// isICMPv6Error reports whether p carries an ICMPv6 error: a type below 128.
func isICMPv6Error(p IPv6) bool {
	if p.NextHeader() != ProtoICMPv6 {
		return false
	}
	m, err := ParseICMP(p.Payload())
	return err != nil || m.Type() < 128
}
