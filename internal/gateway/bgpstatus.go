package gateway

import (
	"net/netip"
	"slices"
	"time"

	"seikan/internal/routing/bgp"
)

// A RouteStatus says which tunnel carries a prefix; Tunnel is empty while none
// is up.
type RouteStatus struct {
	Prefix netip.Prefix `json:"prefix"`
	Tunnel string       `json:"tunnel,omitempty"`
	// Learned says that a peer announced the prefix by BGP; otherwise it is
	// configured.
	Learned bool `json:"learned,omitempty"`
}

// A BGPStatus is what a gateway with BGP shows of it.
type BGPStatus struct {
	ASN      uint32         `json:"asn"`
	RouterID netip.Addr     `json:"router_id"`
	Announce []netip.Prefix `json:"announce,omitempty"`
	// Deaf is why peers cannot open sessions to us; we still open them.
	Deaf  string    `json:"deaf,omitempty"`
	Peers []BGPPeer `json:"peers"`
}

// A BGPPeer is the BGP session of a tunnel.
type BGPPeer struct {
	Tunnel      string     `json:"tunnel"`
	Local       netip.Addr `json:"local"`
	Remote      netip.Addr `json:"remote"`
	ASN         uint32     `json:"asn"`
	State       string     `json:"state"` // of RFC 4271: "Idle" … "Established"
	Established bool       `json:"established"`
	Since       time.Time  `json:"since,omitzero"` // when Established last changed
	// Received counts the prefixes that the peer announces, Accepted those that
	// may be used, and Announced those that we announce to it.
	Received    int    `json:"received"`
	Accepted    int    `json:"accepted"`
	Announced   int    `json:"announced"`
	HoldSeconds int    `json:"hold_seconds,omitempty"` // as negotiated
	LastError   string `json:"last_error,omitempty"`   // such as "received 6/1 (Cease/Maximum Number of Prefixes Reached)"

	LastErrorAt time.Time  `json:"last_error_at,omitzero"`
	BFD         *BFDStatus `json:"bfd,omitempty"`
	Routes      []BGPRoute `json:"routes,omitempty"`
}

// A BGPRoute is a prefix that a peer announces.
type BGPRoute struct {
	Prefix  netip.Prefix `json:"prefix"`
	NextHop netip.Addr   `json:"next_hop"`
	ASPath  []uint32     `json:"as_path"`
	MED     *uint32      `json:"med,omitempty"`
	Origin  string       `json:"origin"`
	Stale   bool         `json:"stale,omitempty"`   // kept while the peer restarts
	Refused string       `json:"refused,omitempty"` // why it is not used
}

// routesLocked says which tunnel carries each prefix, the configured ones first;
// of routes that are laid elsewhere it says nothing. The caller holds g.mu.
func (g *Gateway) routesLocked(peers []bgp.PeerStatus) (out []RouteStatus) {
	if g.have.RoutesElsewhere {
		return nil
	}
	seen := map[netip.Prefix]bool{}
	add := func(p netip.Prefix, learned bool) {
		if seen[p] {
			return
		}
		seen[p] = true
		by, ok := g.routing.chosen[p]
		if ok {
			learned = by.learned
		}
		out = append(out, RouteStatus{Prefix: p, Tunnel: by.tunnel, Learned: learned})
	}
	for _, t := range g.have.Tunnels {
		for _, p := range t.Routes {
			add(p.Masked(), false)
		}
	}
	var learned []netip.Prefix
	for _, p := range peers {
		for _, r := range p.Routes {
			if r.Refused == "" {
				learned = append(learned, r.Prefix)
			}
		}
	}
	for p := range g.routing.held {
		if len(peers) > 0 {
			learned = append(learned, p)
		}
	}
	slices.SortFunc(learned, netip.Prefix.Compare)
	for _, p := range learned {
		add(p, true)
	}
	return out
}

// bgpLocked describes BGP; nil without. The caller holds g.mu.
func (g *Gateway) bgpLocked(peers []bgp.PeerStatus) *BGPStatus {
	if g.routing.speech == nil {
		return nil
	}
	out := &BGPStatus{
		ASN: g.have.BGP.ASN, RouterID: g.routing.routerID, Announce: g.have.BGP.Announce,
		Deaf: g.routing.speech.Status().Deaf,
	}
	for _, p := range peers {
		peer := BGPPeer{
			Tunnel: p.Name, Local: p.Local, Remote: p.Remote, ASN: p.ASN,
			State: p.State, Established: p.Established, Since: p.Since,
			Received: p.Received, Accepted: p.Accepted, Announced: p.Announced,
			HoldSeconds: int(p.Hold / time.Second), LastError: p.LastError, LastErrorAt: p.LastErrorAt,
		}
		var established time.Time
		if p.Established {
			established = p.Since
		}
		peer.BFD = g.tunnels[p.Name].bfdStatus(established)
		for _, r := range p.Routes {
			route := BGPRoute{Prefix: r.Prefix, NextHop: r.NextHop, ASPath: r.ASPath, Origin: r.Origin, Stale: r.Stale, Refused: r.Refused}
			if r.HasMED {
				route.MED = &r.MED
			}
			peer.Routes = append(peer.Routes, route)
		}
		out.Peers = append(out.Peers, peer)
	}
	return out
}
