package netapply

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Covering returns the destination of the route by which the namespace that the
// process runs in reaches a: 0.0.0.0/0 when only a default route does.
func Covering(a netip.Addr) (netip.Prefix, error) {
	routes, err := netlink.RouteGetWithOptions(a.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("route to %v: %w", a, err)
	}
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if a.Is6() {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if len(routes) == 0 || routes[0].Dst == nil {
		return all, nil
	}
	ones, _ := routes[0].Dst.Mask.Size()
	return a.Prefix(ones)
}

// NextHop returns by which neighbour the namespace that the process runs in
// reaches a: a itself when it is on a link. The error says that there is no
// route.
func NextHop(a netip.Addr) (netip.Addr, error) {
	routes, err := netlink.RouteGet(a.AsSlice())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("route to %v: %w", a, err)
	}
	if len(routes) == 0 || routes[0].Gw == nil {
		return a, nil
	}
	via, _ := netip.AddrFromSlice(routes[0].Gw)
	return via.Unmap(), nil
}
