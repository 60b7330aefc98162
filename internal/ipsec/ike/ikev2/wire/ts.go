package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"seikan/internal/ipsec/ike"
)

// Traffic selector types (RFC 7296 section 3.13.1).
const (
	tsIPv4 = 7
	tsIPv6 = 8
)

// TS is the Traffic Selector payload of either side (RFC 7296 section 3.13).
// Selectors of types other than IPv4 and IPv6 ranges are dropped when it is
// read, so it may be empty.
type TS struct {
	Responder bool // TSr rather than TSi
	Selectors []ike.Selector
}

// Kind is KindTSi or KindTSr.
func (p *TS) Kind() Kind {
	if p.Responder {
		return KindTSr
	}
	return KindTSi
}

func (p *TS) append(b []byte) []byte {
	b = append(b, byte(len(p.Selectors)), 0, 0, 0)
	for _, s := range p.Selectors {
		kind, n := byte(tsIPv4), 16
		if s.Start.Is6() {
			kind, n = tsIPv6, 40
		}
		b = append(b, kind, s.Protocol, 0, byte(n))
		b = binary.BigEndian.AppendUint16(b, s.StartPort)
		b = binary.BigEndian.AppendUint16(b, s.EndPort)
		b = append(b, s.Start.AsSlice()...)
		b = append(b, s.End.AsSlice()...)
	}
	return b
}

func (p *TS) parse(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("traffic selectors of %d octets: %w", len(b), ike.ErrShort)
	}
	n := int(b[0])
	b = b[4:]
	for i := range n {
		if len(b) < 4 {
			return fmt.Errorf("traffic selector %d: %w", i+1, ike.ErrShort)
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		if size < 8 || size > len(b) {
			return fmt.Errorf("traffic selector %d of %d octets with %d left: %w", i+1, size, len(b), ike.ErrLength)
		}
		s, known, err := parseSelector(b[:size])
		if err != nil {
			return fmt.Errorf("traffic selector %d: %w", i+1, err)
		}
		if known {
			p.Selectors = append(p.Selectors, s)
		}
		b = b[size:]
	}
	if len(b) != 0 {
		return fmt.Errorf("%d octets after the last traffic selector: %w", len(b), ike.ErrLength)
	}
	return nil
}

// parseSelector reads one selector, which is all of b.
func parseSelector(b []byte) (s ike.Selector, known bool, err error) {
	addr := 0
	switch b[0] {
	case tsIPv4:
		addr = 4
	case tsIPv6:
		addr = 16
	default:
		return ike.Selector{}, false, nil
	}
	if len(b) != 8+2*addr {
		return ike.Selector{}, false, fmt.Errorf("%d octets for type %d: %w", len(b), b[0], ike.ErrLength)
	}
	s = ike.Selector{Protocol: b[1], StartPort: binary.BigEndian.Uint16(b[4:]), EndPort: binary.BigEndian.Uint16(b[6:])}
	s.Start, _ = netip.AddrFromSlice(b[8 : 8+addr])
	s.End, _ = netip.AddrFromSlice(b[8+addr:])
	return s, true, nil
}
