package gateway

import (
	"cmp"
	"net/netip"
	"slices"

	"seikan/internal/linux/netspec"
	"seikan/internal/routing/bgp"
)

const (
	// backstop is the metric of the unreachable route that stands behind every
	// tunnel route: below any other, so that it is met only when no tunnel is up.
	backstop = 4278198272
	// learnedMetric is that of routes learned by BGP: any route that the site has
	// to the same prefix is better, a static one of ours, too.
	learnedMetric = 17900
	// noMED is what a route without a MED counts as, as AWS has it (vpn §4.2).
	noMED = 100
)

// A pick is the tunnel that carries a prefix, and whether by BGP.
type pick struct {
	tunnel  string
	learned bool
}

// An offer is a tunnel's offer to carry a prefix: by a static route, or by one
// that its peer announces.
type offer struct {
	pick
	route    bgp.Route // when learned
	before   bool      // it carries the prefix now
	draining bool      // it shall carry nothing that another can
}

// better reports whether o is better than p, which is of an earlier tunnel: one
// whose end is not about to be replaced (vpn §3.6), a static route, the shorter
// AS path, between paths by the same first system the lower MED, and then the
// tunnel that is in use (vpn §4.3).
func (o offer) better(p offer) bool {
	if o.draining != p.draining {
		return p.draining
	}
	if o.learned != p.learned {
		return p.learned
	}
	if o.learned && o.route.Hops != p.route.Hops {
		return o.route.Hops < p.route.Hops
	}
	if o.learned && slices.Equal(o.first(), p.first()) && o.med() != p.med() {
		return o.med() < p.med()
	}
	return o.before
}

// first is the first system of a path.
func (o offer) first() []uint32 { return o.route.ASPath[:min(1, len(o.route.ASPath))] }

func (o offer) med() uint32 {
	if !o.route.HasMED {
		return noMED
	}
	return o.route.MED
}

// choose says for each prefix which tunnel carries it. A tunnel that is not up
// carries nothing; of equal offers the one that carried it before stays, else it
// is the first in configuration order. Staying is what AWS does, and spares a flow
// from hopping back (vpn §4.3). Prefixes that no live tunnel carries are absent.
func choose(tunnels []Tunnel, up map[string]bool, learned map[string][]bgp.Route, before map[netip.Prefix]pick) map[netip.Prefix]pick {
	best := map[netip.Prefix]offer{}
	consider := func(p netip.Prefix, o offer) {
		o.before = before[p] == o.pick
		if held, taken := best[p]; !taken || o.better(held) {
			best[p] = o
		}
	}
	for _, t := range tunnels {
		if !up[t.ID] {
			continue
		}
		for _, p := range t.Routes {
			consider(p.Masked(), offer{pick: pick{tunnel: t.ID}, draining: t.Endpoint.Draining})
		}
		for _, r := range learned[t.ID] {
			consider(r.Prefix, offer{pick: pick{tunnel: t.ID, learned: true}, route: r, draining: t.Endpoint.Draining})
		}
	}
	chosen := map[netip.Prefix]pick{}
	for p, o := range best {
		chosen[p] = o.pick
	}
	return chosen
}

// spec is what the gateway wants of its own namespace: held are prefixes that are
// unreachable unless chosen, beside the static ones. mtu gives the MTU of a
// tunnel by its ID; without one the link keeps what it has.
func spec(cfg Config, chosen map[netip.Prefix]pick, held map[netip.Prefix]bool, mtu map[string]int) netspec.Spec {
	ns := netspec.Namespace{}
	if cfg.Forward {
		ns.Sysctls = forwarding(cfg.Tunnels)
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
		if cfg.RoutesElsewhere {
			link.Sysctls = nil // what is checked there is no more ours
		}
		if t.Inside.IsValid() {
			link.Addrs = []netip.Prefix{t.Inside}
		}
		ns.Links = append(ns.Links, link)
		for _, p := range t.Routes {
			wanted[p.Masked()] = true
		}
	}
	if cfg.RoutesElsewhere {
		return netspec.Spec{Namespaces: []netspec.Namespace{ns}}
	}
	for p := range held {
		if p.Bits() > 0 { // where a default route is gone the site's own holds
			wanted[p] = true
		}
	}
	for p := range wanted {
		ns.Routes = append(ns.Routes, netspec.Route{Type: netspec.Unreachable, Dst: p, Metric: backstop})
	}
	for p, by := range chosen {
		for _, dst := range by.destinations(p) {
			r := netspec.Route{Dst: dst, Dev: device[by.tunnel]}
			if by.learned {
				r.Metric = learnedMetric
			}
			ns.Routes = append(ns.Routes, r)
		}
	}
	slices.SortFunc(ns.Routes, func(a, b netspec.Route) int {
		return cmp.Or(a.Dst.Addr().Compare(b.Dst.Addr()), cmp.Compare(a.Dst.Bits(), b.Dst.Bits()), cmp.Compare(a.Dev, b.Dev))
	})
	ns.Tables = sourceNAT(cfg.Tunnels)
	return netspec.Spec{Namespaces: []netspec.Namespace{ns}}
}

// destinations are those of the routes to p. A learned default route is asked for,
// and goes before any of the site's: it is laid as two halves.
func (k pick) destinations(p netip.Prefix) []netip.Prefix {
	if k.learned && p.Bits() == 0 {
		return halves(p)
	}
	return []netip.Prefix{p}
}
