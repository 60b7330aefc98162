package esp

import "seikan/internal/ipsec/ike/suite"

// Sizes of headers in octets.
const (
	ipv4Header = 20
	ipv6Header = 40
	udpHeader  = 8
	tcpHeader  = 20
)

// A Path is what sealed packets travel on.
type Path struct {
	MTU  int  // of the outer path in octets; 1500 when zero
	NAT  bool // ESP in UDP (RFC 3948)
	IPv6 bool // the outer header is IPv6
}

// Overhead is what s adds to an inner packet, in octets, without padding and
// outer headers: ESP header, IV, trailer and ICV. It is 0 for a suite that
// cannot be used.
func Overhead(s suite.ESP) int {
	d, err := dimsOf(s)
	if err != nil {
		return 0
	}
	return espHeader + d.iv + espTrailer + d.icv
}

// MTU is the largest inner packet, in octets, that sealed with s fits in one
// packet of p: what remains of the path, rounded down to whole blocks, less
// the two octets of the trailer (vpn §3.5). It is 0 when nothing fits or s
// cannot be used.
func MTU(p Path, s suite.ESP) int {
	d, err := dimsOf(s)
	if err != nil {
		return 0
	}
	n := p.MTU
	if n == 0 {
		n = 1500
	}
	n -= ipv4Header
	if p.IPv6 {
		n -= ipv6Header - ipv4Header
	}
	if p.NAT {
		n -= udpHeader
	}
	n -= espHeader + d.iv + d.icv
	return max(0, n-n%d.block-espTrailer)
}

// MSS is the TCP segment size, in octets, for inner packets of at most mtu
// octets, with an inner IPv4 or IPv6 header without options.
func MSS(mtu int, v6 bool) int {
	if v6 {
		return max(0, mtu-ipv6Header-tcpHeader)
	}
	return max(0, mtu-ipv4Header-tcpHeader)
}
