package gateway

import (
	"cmp"
	"net/netip"
	"slices"

	"seikan/internal/linux/netspec"
)

// backstop is the metric of the unreachable route that stands behind every
// tunnel route: below any other, so that it is met only when no tunnel is up.
const backstop = 4278198272

// choose says for each prefix which tunnel carries it: the one that carried it
// before while that is up, else the first in configuration order that is up.
// Staying is what AWS does, and spares a flow from hopping back (vpn §4.3).
// Prefixes that no live tunnel carries are absent from the result.
func choose(tunnels []Tunnel, up map[string]bool, before map[netip.Prefix]string) map[netip.Prefix]string {
	chosen := map[netip.Prefix]string{}
	for _, t := range tunnels {
		if !up[t.ID] {
			continue
		}
		for _, p := range t.Routes {
			p = p.Masked()
			if _, taken := chosen[p]; !taken || before[p] == t.ID {
				chosen[p] = t.ID
			}
		}
	}
	return chosen
}

// spec is what the gateway wants of its own namespace. mtu gives the MTU of a
// tunnel by its ID; without one the link keeps what it has.
func spec(cfg Config, chosen map[netip.Prefix]string, mtu map[string]int) netspec.Spec {
	ns := netspec.Namespace{}
	if cfg.Forward {
		ns.Sysctls = map[string]string{"net.ipv4.ip_forward": "1"}
	}
	device := map[string]string{}
	wanted := map[netip.Prefix]bool{}
	// AWS may answer through the other tunnel than the one we use, so the
	// reverse path may be any (vpn §4.3). Not 0: where that of "all" is 1,
	// strict, the greater of the two holds. One map for all links.
	anyPath := map[string]string{"rp_filter": "2"}
	for _, t := range cfg.Tunnels {
		device[t.ID] = t.Interface
		link := netspec.Link{Name: t.Interface, Kind: netspec.External, MTU: mtu[t.ID], Sysctls: anyPath}
		if t.Inside.IsValid() {
			link.Addrs = []netip.Prefix{t.Inside}
		}
		ns.Links = append(ns.Links, link)
		for _, p := range t.Routes {
			wanted[p.Masked()] = true
		}
	}
	for p := range wanted {
		ns.Routes = append(ns.Routes, netspec.Route{Type: netspec.Unreachable, Dst: p, Metric: backstop})
		if id, ok := chosen[p]; ok {
			ns.Routes = append(ns.Routes, netspec.Route{Dst: p, Dev: device[id]})
		}
	}
	slices.SortFunc(ns.Routes, func(a, b netspec.Route) int {
		return cmp.Or(a.Dst.Addr().Compare(b.Dst.Addr()), cmp.Compare(a.Dst.Bits(), b.Dst.Bits()), cmp.Compare(a.Dev, b.Dev))
	})
	return netspec.Spec{Namespaces: []netspec.Namespace{ns}}
}
