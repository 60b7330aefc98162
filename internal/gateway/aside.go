package gateway

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/routing/bgp"
)

// An Announcement is a prefix of a list that the peers of some tunnels are told of.
type Announcement struct {
	Prefix netip.Prefix
	// ASPath are the systems behind us on its way, the nearest first; none for what
	// is our own.
	ASPath []uint32 `json:",omitempty"`
	// Behind is how the IDs of the tunnels begin that lead there, whose peers are
	// not told; empty for none.
	Behind string `json:",omitempty"`
}

// announcedBy are the prefixes of the list that t names, but for what lies behind t
// and what went through a system of its peer's number.
func (c Config) announcedBy(t Tunnel) (out []netip.Prefix) {
	for _, a := range c.BGP.Lists[t.Endpoint.List] {
		behind := a.Behind != "" && strings.HasPrefix(t.ID, a.Behind)
		if a.Prefix.Addr().Is6() == t.ipv6() && !behind && !slices.Contains(a.ASPath, t.BGP.PeerASN) {
			out = append(out, a.Prefix)
		}
	}
	return out
}

// relayedTo are the paths of what is on lists. BGP keeps one path a prefix for all
// peers: that of the first list by name.
func (c Config) relayedTo() (out []bgp.Relayed) {
	known := map[netip.Prefix]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.BGP.Lists)) {
		for _, a := range c.BGP.Lists[name] {
			if len(a.ASPath) > 0 && !known[a.Prefix] {
				known[a.Prefix] = true
				out = append(out, bgp.Relayed{Prefix: a.Prefix, ASPath: a.ASPath})
			}
		}
	}
	slices.SortFunc(out, func(a, b bgp.Relayed) int { return a.Prefix.Compare(b.Prefix) })
	return out
}

// warnAnnounced is what a default route on a list is worth saying.
func (c Config) warnAnnounced() (out []string) {
	for _, t := range c.Tunnels {
		for _, p := range c.announcedBy(t) {
			if p.Bits() == 0 {
				out = append(out, p.String()+" is announced by BGP over tunnel "+t.ID+": all traffic of the peer's networks that has no other route will come through it")
			}
		}
	}
	return out
}
