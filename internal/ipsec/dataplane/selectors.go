package dataplane

import (
	"encoding/binary"
	"net/netip"

	"seikan/internal/ipsec/ike"
)

// Protocols that have ports where we look for them.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58
	protoSCTP   = 132
)

// selectors are the traffic selectors of one direction of an SA (RFC 4301
// section 4.4.1): a packet matches when one of src matches its source and one
// of dst its destination.
type selectors struct {
	src, dst []ike.Selector
	all4     bool // everything that is IPv4 matches: the usual case
	all6     bool
}

func newSelectors(src, dst []ike.Selector) selectors {
	return selectors{
		src: src, dst: dst,
		all4: hasAll(src, false) && hasAll(dst, false),
		all6: hasAll(src, true) && hasAll(dst, true),
	}
}

// hasAll reports whether one of ts is all of IPv4 or all of IPv6.
func hasAll(ts []ike.Selector, v6 bool) bool {
	first, last := netip.IPv4Unspecified(), netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if v6 {
		var ones [16]byte
		for i := range ones {
			ones[i] = 0xff
		}
		first, last = netip.IPv6Unspecified(), netip.AddrFrom16(ones)
	}
	for _, s := range ts {
		if s.Protocol == 0 && s.StartPort == 0 && s.EndPort == 65535 && s.Start == first && s.End == last {
			return true
		}
	}
	return false
}

// match reports whether pkt, a whole IP packet, is within s.
func (s *selectors) match(pkt []byte) bool {
	switch {
	case len(pkt) >= 20 && pkt[0]>>4 == 4:
		if s.all4 {
			return true
		}
	case len(pkt) >= 40 && pkt[0]>>4 == 6:
		if s.all6 {
			return true
		}
	default:
		return false
	}
	f := flowOf(pkt)
	return matchOne(s.src, f.src, f.proto, f.srcPort, f.ports) && matchOne(s.dst, f.dst, f.proto, f.dstPort, f.ports)
}

// A flow is what selectors look at.
type flow struct {
	src, dst         netip.Addr
	proto            uint8
	srcPort, dstPort uint16
	ports            bool // the ports are known: not in a later fragment
}

// flowOf reads the flow of a packet whose fixed header is whole. An IPv6
// packet with extension headers has unknown ports.
func flowOf(pkt []byte) flow {
	var f flow
	var l4 []byte
	if pkt[0]>>4 == 4 {
		f.src, f.dst = netip.AddrFrom4([4]byte(pkt[12:16])), netip.AddrFrom4([4]byte(pkt[16:20]))
		f.proto = pkt[9]
		hdr := int(pkt[0]&15) * 4
		if binary.BigEndian.Uint16(pkt[6:])&0x1fff == 0 && hdr <= len(pkt) {
			l4 = pkt[hdr:]
		}
	} else {
		f.src, f.dst = netip.AddrFrom16([16]byte(pkt[8:24])), netip.AddrFrom16([16]byte(pkt[24:40]))
		f.proto = pkt[6]
		l4 = pkt[40:]
	}
	switch f.proto {
	case protoTCP, protoUDP, protoSCTP:
		if len(l4) >= 4 {
			f.srcPort, f.dstPort, f.ports = binary.BigEndian.Uint16(l4), binary.BigEndian.Uint16(l4[2:]), true
		}
	case protoICMP, protoICMPv6:
		// "[...] the ICMP message type and code": one value, on both sides.
		// https://www.rfc-editor.org/rfc/rfc7296#section-3.13.1
		if len(l4) >= 2 {
			f.srcPort = binary.BigEndian.Uint16(l4)
			f.dstPort, f.ports = f.srcPort, true
		}
	}
	return f
}

// matchOne reports whether one of ts covers an end of a flow. A selector of
// certain ports does not cover a packet whose ports are unknown.
func matchOne(ts []ike.Selector, addr netip.Addr, proto uint8, port uint16, known bool) bool {
	for i := range ts {
		s := &ts[i]
		if s.Protocol != 0 && s.Protocol != proto {
			continue
		}
		if addr.Less(s.Start) || s.End.Less(addr) || addr.BitLen() != s.Start.BitLen() {
			continue
		}
		if s.StartPort == 0 && s.EndPort == 65535 || known && s.StartPort <= port && port <= s.EndPort {
			return true
		}
	}
	return false
}
