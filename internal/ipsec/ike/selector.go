package ike

import (
	"fmt"
	"net/netip"
)

// FromPrefix is the selector of every protocol and port in p.
func FromPrefix(p netip.Prefix) Selector {
	p = p.Masked()
	return Selector{EndPort: 65535, Start: p.Addr(), End: lastAddr(p)}
}

// lastAddr is the highest address of p, which must be masked.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Prefix is the selector's addresses as a prefix, if they are one.
func (s Selector) Prefix() (netip.Prefix, bool) {
	if !s.Start.IsValid() || s.Start.BitLen() != s.End.BitLen() {
		return netip.Prefix{}, false
	}
	for bits := range s.Start.BitLen() + 1 {
		p := netip.PrefixFrom(s.Start, bits)
		if p.Masked().Addr() == s.Start && lastAddr(p) == s.End {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// String is a prefix where the range is one, else "first-last"; a protocol
// number and a port range follow where they are not "any":
// "10.0.0.0/8[6/80-443]".
func (s Selector) String() string {
	text := fmt.Sprintf("%v-%v", s.Start, s.End)
	if p, ok := s.Prefix(); ok {
		text = p.String()
	}
	if s.Protocol == 0 && s.StartPort == 0 && s.EndPort == 65535 {
		return text
	}
	return fmt.Sprintf("%s[%d/%d-%d]", text, s.Protocol, s.StartPort, s.EndPort)
}

// Intersect is what s and t have in common; ok is false when that is nothing.
// RFC 7296 section 2.9 calls it narrowing.
func (s Selector) Intersect(t Selector) (both Selector, ok bool) {
	if !s.Start.IsValid() || s.Start.BitLen() != t.Start.BitLen() {
		return Selector{}, false
	}
	both = s
	switch {
	case s.Protocol == 0:
		both.Protocol = t.Protocol
	case t.Protocol != 0 && t.Protocol != s.Protocol:
		return Selector{}, false
	}
	both.StartPort, both.EndPort = max(s.StartPort, t.StartPort), min(s.EndPort, t.EndPort)
	if both.Start.Less(t.Start) {
		both.Start = t.Start
	}
	if t.End.Less(both.End) {
		both.End = t.End
	}
	if both.End.Less(both.Start) || both.EndPort < both.StartPort {
		return Selector{}, false
	}
	return both, true
}

// Contains reports whether every packet of t is one of s.
func (s Selector) Contains(t Selector) bool {
	both, ok := s.Intersect(t)
	return ok && both == t
}
