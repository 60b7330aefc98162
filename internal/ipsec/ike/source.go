package ike

import "net/netip"

// Source is what counts as one origin of attempts to negotiate: an IPv4
// address, or an IPv6 /64, of which every host has all addresses. No address is
// an origin, too.
func Source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // fails for no address only
	return p
}
