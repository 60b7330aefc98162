package gateway

import (
	"maps"
	"net/netip"
	"slices"

	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/linux/netapply"
	"seikan/internal/routing/bgp"
)

// peersLocked are the BGP peers, their routes refused where using them would
// harm us. The caller holds g.mu.
func (g *Gateway) peersLocked() []bgp.PeerStatus {
	if g.routing.speech == nil {
		return nil
	}
	peers := g.routing.speech.Status().Peers
	for i := range peers {
		peers[i].Routes = slices.Clone(peers[i].Routes)
	}
	g.addStaleLocked(peers)
	for i := range peers {
		p := &peers[i]
		for j := range p.Routes {
			r := &p.Routes[j]
			if r.Refused != "" {
				continue
			}
			if r.Refused = g.harm(r.Prefix); r.Refused != "" {
				p.Accepted--
			}
		}
	}
	return peers
}

// harm is why a route to p must not be learned from a peer; empty when it may.
// The caller holds g.mu.
func (g *Gateway) harm(p netip.Prefix) string {
	for _, own := range g.have.BGP.Announce {
		// A VPC's local route beats what is propagated, and so do our own networks
		// beat what a peer says of parts of them (vpn §4.3).
		if own.Bits() > 0 && own.Bits() <= p.Bits() && own.Contains(p.Addr()) {
			return "it is inside " + own.String() + ", which we announce ourselves"
		}
	}
	for _, t := range g.have.Tunnels {
		if t.Inside.IsValid() && t.Inside.Contains(p.Addr()) && p.Bits() >= t.Inside.Bits() {
			return "it is of the inside addresses of tunnel " + t.ID + ", " + t.Inside.Masked().String()
		}
		remote := t.Outside.Remote
		if slices.ContainsFunc(g.opts.Outsides, func(o *udp.Outside) bool { return o.Addr() == t.Outside.Local }) {
			continue // its packets leave in another namespace
		}
		if !remote.IsValid() {
			if p.Bits() == 0 && p.Addr().Is4() == t.Outside.Local.Is4() {
				return "it holds every address that the peer of tunnel " + t.ID + " may come from: its packets would chase themselves"
			}
			continue
		}
		if !p.Contains(remote) {
			continue
		}
		// A default route is laid as two halves.
		if own, err := netapply.Covering(remote); err == nil && own.Bits() > max(p.Bits(), 1) {
			continue // a route of the site's own leads there
		}
		return "it holds " + remote.String() + ", the outside address of tunnel " + t.ID + "'s peer, whose packets would chase themselves; give that address a route of its own first"
	}
	return ""
}

// learnLocked is what peers announce that may be used, by tunnel. What is refused is
// logged once. The caller holds g.mu.
func (g *Gateway) learnLocked(peers []bgp.PeerStatus) map[string][]bgp.Route {
	r := &g.routing
	learned, said := map[string][]bgp.Route{}, map[refusedRoute]bool{}
	live, held := false, map[netip.Prefix]bool{}
	for _, p := range peers {
		live = live || p.Established
		for _, route := range p.Routes {
			if route.Refused == "" {
				learned[p.Name] = append(learned[p.Name], route)
				held[route.Prefix] = true
				continue
			}
			key := refusedRoute{p.Name, route.Prefix, route.Refused}
			if said[key] = true; !r.said[key] && route.Refused != bgp.LoopRefused {
				g.log.Warn("a route learned by BGP is refused", "tunnel", p.Name, "prefix", route.Prefix, "reason", route.Refused)
			}
		}
	}
	r.said = said
	// While no session is left nobody says that a prefix is gone: it is unreachable
	// then, so that nothing leaves in clear. So is what another process had learned.
	if !live && len(peers) > 0 {
		maps.Copy(held, r.held)
	}
	r.held = held
	return learned
}

// A refusedRoute is what was said of a route.
type refusedRoute struct {
	tunnel string
	prefix netip.Prefix
	reason string
}
