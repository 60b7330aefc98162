package resource

import "net/netip"

// An OutsidePool is the public addresses that tunnels may be given, of IPv4 and of IPv6, and the
// namespace in which the gateway's sockets are bound to them. The host's or the
// lab's configuration writes it; it belongs to no account.
type OutsidePool struct {
	Name      string
	Namespace string // "edge": where the addresses are configured
	Addresses []netip.Addr
}
