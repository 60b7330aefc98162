package gateway

import (
	"net/netip"
	"slices"

	"seikan/internal/routing/bgp"
)

// relayed are the routes that are passed on: those learned that carry a prefix
// now, by prefix. own are the prefixes that we announce ourselves.
func relayed(chosen map[netip.Prefix]pick, learned map[string][]bgp.Route, own []netip.Prefix) (out []bgp.Relayed) {
	for p, by := range chosen {
		if !by.learned || p.Bits() == 0 || slices.Contains(own, p) {
			continue
		}
		for _, r := range learned[by.tunnel] {
			if r.Prefix == p {
				out = append(out, bgp.Relayed{Prefix: p, ASPath: r.ASPath})
			}
		}
	}
	slices.SortFunc(out, func(a, b bgp.Relayed) int { return a.Prefix.Compare(b.Prefix) })
	return out
}

// toldTo are the prefixes that a peer is told of: own, and what is passed on but
// for what went through a system of its number.
func toldTo(peer uint32, own []netip.Prefix, relayed []bgp.Relayed) []netip.Prefix {
	out := own
	for _, r := range relayed {
		if !slices.Contains(r.ASPath, peer) {
			out = append(slices.Clip(out), r.Prefix)
		}
	}
	return out
}
