package packet

import "encoding/binary"

// Explicit congestion notification, the low two bits of the traffic class (RFC
// 3168 section 5).
const (
	ecnMask = 3
	notECT  = 0
	ect1    = 1
	ce      = 3 // congestion experienced
)

// TrafficClass is DSCP and ECN of pkt, an IPv4 or IPv6 packet whose header is
// whole: what the outer header of a tunnel copies (RFC 6040 section 4.1, RFC
// 2983 section 3).
func TrafficClass(pkt []byte) uint8 {
	if pkt[0]>>4 == 6 {
		return pkt[0]<<4 | pkt[1]>>4
	}
	return pkt[1]
}

// CombineECN gives pkt, an IPv4 or IPv6 packet whose header is whole, the ECN
// that it has on leaving a tunnel whose outer header had the traffic class
// outer: congestion that the tunnel's path marked is passed on (RFC 6040
// section 4.2). It reports false when pkt must be dropped instead, since its
// sender would not understand the mark. DSCP stays as it is.
func CombineECN(pkt []byte, outer uint8) bool {
	outer &= ecnMask
	inner := TrafficClass(pkt) & ecnMask
	switch {
	case outer == ce && inner == notECT:
		return false
	case outer == ce && inner != ce, outer == ect1 && inner == ect1^ecnMask: // ECT(0) becomes ECT(1)
		setECN(pkt, outer)
	}
	return true
}

// setECN changes the ECN of pkt, and its checksum.
func setECN(pkt []byte, ecn uint8) {
	if pkt[0]>>4 == 6 {
		pkt[1] = pkt[1]&^(ecnMask<<4) | ecn<<4
		return
	}
	IPv4(pkt).setWord(0, binary.BigEndian.Uint16(pkt)&^ecnMask|uint16(ecn))
}
