package wire

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"seikan/internal/ipsec/ike"
)

// The identification types of phase 2 that ike does not name (RFC 2407 section
// 4.6.2.1).
const (
	idIPv4Subnet ike.IDType = 4
	idIPv6Subnet ike.IDType = 6
	idIPv4Range  ike.IDType = 7
	idIPv6Range  ike.IDType = 8
)

// ID is the Identification payload (RFC 2407 section 4.6.2): who a peer is in
// phase 1, which traffic it means in phase 2.
type ID struct {
	ike.Identity
	Protocol uint8  // 0 is any
	Port     uint16 // 0 is any
	octets   []byte // the body as received
}

// NewID is the identity id for phase 1. Protocol and port are 0: 17 and 500
// would be allowed, too, and say nothing (section 4.6.2).
func NewID(id ike.Identity) *ID { return &ID{Identity: id} }

// Speaker reports whether the protocol and port of p are such as the identity of
// phase 1 may have: none, or those of IKE. RFC 2407 section 4.6.2 wants anything
// else refused. It is older than port 4500, and than the peers which float
// there and leave the port out.
func (p *ID) Speaker() bool {
	const udp = 17
	switch p.Port {
	case 0:
		return p.Protocol == 0 || p.Protocol == udp
	case 500, 4500:
		return p.Protocol == udp
	}
	return false
}

// NewSelectorID is s as an identity of phase 2: an address range's shortest
// form. It fails for a range of ports, which IKEv1 cannot say.
func NewSelectorID(s ike.Selector) (*ID, error) {
	if !s.Start.IsValid() || s.Start.BitLen() != s.End.BitLen() {
		return nil, fmt.Errorf("selector %v: no addresses of one family", s)
	}
	p := &ID{Protocol: s.Protocol, Port: s.StartPort}
	switch {
	case s.StartPort == 0 && s.EndPort == 65535:
		p.Port = 0
	case s.StartPort != s.EndPort || s.StartPort == 0:
		return nil, fmt.Errorf("selector %v: IKEv1 knows one port or all", s)
	}
	single, subnet, span := ike.IDIPv4, idIPv4Subnet, idIPv4Range
	if s.Start.BitLen() == 128 {
		single, subnet, span = ike.IDIPv6, idIPv6Subnet, idIPv6Range
	}
	first := s.Start.AsSlice()
	prefix, ok := s.Prefix()
	switch {
	case ok && prefix.IsSingleIP():
		p.Identity = ike.Identity{Type: single, Data: string(first)}
	case ok:
		p.Identity = ike.Identity{Type: subnet, Data: string(append(first, mask(prefix.Bits(), len(first))...))}
	default:
		p.Identity = ike.Identity{Type: span, Data: string(append(first, s.End.AsSlice()...))}
	}
	return p, nil
}

// mask is a netmask of size octets.
func mask(bits, size int) []byte {
	m := make([]byte, size)
	for i := range bits {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}

// Selector is the traffic that p means in phase 2. It fails for identities
// that are no addresses, and for netmasks with holes.
func (p *ID) Selector() (ike.Selector, error) {
	s := ike.Selector{Protocol: p.Protocol, StartPort: p.Port, EndPort: p.Port}
	if p.Port == 0 {
		s.EndPort = 65535
	}
	size, pair := 4, true
	switch p.Type {
	case ike.IDIPv4, ike.IDIPv6:
		pair = false
	case idIPv4Subnet, idIPv6Subnet, idIPv4Range, idIPv6Range:
	default:
		return ike.Selector{}, fmt.Errorf("identity of type %d is no traffic: %w", p.Type, ErrMalformed)
	}
	if p.Type == ike.IDIPv6 || p.Type == idIPv6Subnet || p.Type == idIPv6Range {
		size = 16
	}
	want := size
	if pair {
		want = 2 * size
	}
	if len(p.Data) != want {
		return ike.Selector{}, fmt.Errorf("identity of type %d with %d octets, want %d: %w", p.Type, len(p.Data), want, ike.ErrLength)
	}
	s.Start, _ = netip.AddrFromSlice([]byte(p.Data[:size]))
	s.End = s.Start
	switch p.Type {
	case idIPv4Subnet, idIPv6Subnet:
		bits, ok := maskBits([]byte(p.Data[size:]))
		if !ok {
			return ike.Selector{}, fmt.Errorf("netmask %x has holes: %w", p.Data[size:], ErrMalformed)
		}
		whole := ike.FromPrefix(netip.PrefixFrom(s.Start, bits))
		s.Start, s.End = whole.Start, whole.End
	case idIPv4Range, idIPv6Range:
		s.End, _ = netip.AddrFromSlice([]byte(p.Data[size:]))
		if s.End.Less(s.Start) {
			return ike.Selector{}, fmt.Errorf("range %v-%v ends before it begins: %w", s.Start, s.End, ErrMalformed)
		}
	}
	return s, nil
}

// maskBits is how many bits of the netmask m are set, if all of them come
// first.
func maskBits(m []byte) (int, bool) {
	bits := 0
	for bits < len(m)*8 && m[bits/8]&(0x80>>(bits%8)) != 0 {
		bits++
	}
	return bits, string(mask(bits, len(m))) == string(m)
}

// Kind is KindID.
func (*ID) Kind() Kind { return KindID }

func (p *ID) append(b []byte) []byte {
	b = append(b, byte(p.Type), p.Protocol)
	b = binary.BigEndian.AppendUint16(b, p.Port)
	return append(b, p.Data...)
}

func (p *ID) parse(b []byte) error {
	if len(b) <= 4 {
		return fmt.Errorf("identity of %d octets: %w", len(b), ike.ErrShort)
	}
	if b[0] == 0 {
		return fmt.Errorf("identity of type 0: %w", ErrMalformed)
	}
	p.octets = b
	p.Protocol, p.Port = b[1], binary.BigEndian.Uint16(b[2:])
	p.Identity = ike.Identity{Type: ike.IDType(b[0]), Data: string(b[4:])}
	return nil
}
