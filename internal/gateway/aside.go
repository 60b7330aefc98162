package gateway

import (
	"net/netip"
	"slices"

	"seikan/internal/routing/bgp"
)

// An Announcement is a prefix that the peer of one tunnel is told of, and the
// systems behind us on its way, the nearest first; none for what is our own.
type Announcement struct {
	Prefix netip.Prefix
	ASPath []uint32
}

// announcedBy are the prefixes that AnnounceTo has for the peer of t, but for
// what went through a system of its number.
func (c Config) announcedBy(t Tunnel) (out []netip.Prefix) {
	for _, a := range c.BGP.AnnounceTo[t.ID] {
		if a.Prefix.Addr().Is6() == t.ipv6() && !slices.Contains(a.ASPath, t.BGP.PeerASN) {
			out = append(out, a.Prefix)
		}
	}
	return out
}

// relayedTo are the paths of what is announced to peers one by one. BGP keeps one
// path a prefix for all of them: that of the first tunnel that has any.
func (c Config) relayedTo() (out []bgp.Relayed) {
	known := map[netip.Prefix]bool{}
	for _, t := range c.Tunnels {
		for _, a := range c.BGP.AnnounceTo[t.ID] {
			if len(a.ASPath) > 0 && !known[a.Prefix] {
				known[a.Prefix] = true
				out = append(out, bgp.Relayed{Prefix: a.Prefix, ASPath: a.ASPath})
			}
		}
	}
	slices.SortFunc(out, func(a, b bgp.Relayed) int { return a.Prefix.Compare(b.Prefix) })
	return out
}

// warnAnnounced is what a default route among AnnounceTo is worth saying.
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
