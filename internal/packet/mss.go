package packet

import "encoding/binary"

// TCP options (RFC 9293 section 3.2).
const (
	optEnd = 0
	optNop = 1
	optMSS = 2
)

// ClampMSS lowers the maximum segment size in pkt to mss octets when pkt is a
// TCP SYN over IPv4 or IPv6 that offers more, and adjusts the TCP checksum. It
// reports whether it changed anything. A SYN without the option is left alone:
// its sender takes 536 or 1220 (RFC 9293 section 3.7.1). So are fragments but
// the first, and IPv6 packets with extension headers.
func ClampMSS(pkt []byte, mss int) bool {
	if mss < 0 || mss > 0xffff {
		return false
	}
	seg := synOf(pkt)
	if seg == nil {
		return false
	}
	opts := seg.Options()
	for i := 0; i < len(opts); {
		switch opts[i] {
		case optEnd:
			return false
		case optNop:
			i++
			continue
		}
		if i+1 >= len(opts) {
			return false
		}
		n := int(opts[i+1])
		if n < 2 || i+n > len(opts) {
			return false
		}
		if opts[i] == optMSS && n == 4 {
			return seg.lowerMSS(20+i+2, uint16(mss))
		}
		i += n
	}
	return false
}

// lowerMSS lowers the 16 bits at offset at, which need not be even.
func (t TCP) lowerMSS(at int, mss uint16) bool {
	old := binary.BigEndian.Uint16(t[at:])
	if old <= mss {
		return false
	}
	binary.BigEndian.PutUint16(t[at:], mss)
	sum := t.Checksum()
	if at%2 == 0 {
		sum = Adjust(sum, old, mss)
	} else {
		// Each octet lies in the other half of a word of its own; swapped, the
		// difference is the same (RFC 1071 section 2B).
		sum = Adjust(sum, old<<8|old>>8, mss<<8|mss>>8)
	}
	binary.BigEndian.PutUint16(t[16:], sum)
	return true
}

// synOf is the TCP segment with SYN in pkt, or nil.
func synOf(pkt []byte) TCP {
	const ipv4Flags, ipv6Flags, syn = 33, 53, 2 // where TCP's flags stand behind the shortest headers
	// Most packets are not a SYN: leave before anything is parsed.
	var l4 []byte
	switch {
	case len(pkt) >= 40 && pkt[0]>>4 == 4 && pkt[9] == ProtoTCP:
		if pkt[0]&15 == 5 && pkt[ipv4Flags]&syn == 0 {
			return nil
		}
		p, err := ParseIPv4(pkt)
		if err != nil || p.FragmentOffset() != 0 {
			return nil
		}
		l4 = p.Payload()
	case len(pkt) >= 60 && pkt[0]>>4 == 6 && pkt[6] == ProtoTCP:
		if pkt[ipv6Flags]&syn == 0 {
			return nil
		}
		p, err := ParseIPv6(pkt)
		if err != nil {
			return nil
		}
		l4 = p.Payload()
	default:
		return nil
	}
	t, err := ParseTCP(l4)
	if err != nil || !t.SYN() {
		return nil
	}
	return t
}
