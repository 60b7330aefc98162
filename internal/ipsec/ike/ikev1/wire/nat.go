package wire

import (
	"fmt"
	"net/netip"

	"seikan/internal/ipsec/ike"
)

// NATOA is the NAT-OA payload: an address as its owner knows it (RFC 3947
// section 5.2). Only transport mode has a use for it.
type NATOA struct{ Addr netip.Addr }

// Kind is KindNATOA.
func (*NATOA) Kind() Kind { return KindNATOA }

func (p *NATOA) append(b []byte) []byte {
	id := ike.IdentityOf(p.Addr)
	b = append(b, byte(id.Type), 0, 0, 0)
	return append(b, id.Data...)
}

func (p *NATOA) parse(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("NAT-OA of %d octets: %w", len(b), ike.ErrShort)
	}
	a, ok := netip.AddrFromSlice(b[4:])
	kind := ike.IDType(b[0])
	if !ok || kind != ike.IDIPv4 && kind != ike.IDIPv6 || (kind == ike.IDIPv4) != a.Is4() || a.Is4In6() {
		return fmt.Errorf("NAT-OA of type %d with %d octets: %w", b[0], len(b)-4, ErrMalformed)
	}
	p.Addr = a
	return nil
}
