package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"seikan/internal/routing/bgp"
)

// BGP is what all BGP sessions of a gateway have in common.
type BGP struct {
	// ASN is our autonomous system number, 1 to 4294967295; 0 means no BGP.
	ASN uint32
	// RouterID is our BGP identifier; the zero value means the inside address of
	// the first tunnel with a session when BGP began. It stays when that tunnel is
	// gone, since with another one every session would begin anew. It must be
	// given when that address is one of IPv6.
	RouterID netip.Addr
	// Announce are the prefixes that each peer is told of, over a tunnel for IPv6
	// those of IPv6 and over others those of IPv4. 0.0.0.0/0 or ::/0 asks for all
	// traffic of the peer's networks.
	Announce []netip.Prefix
	// Lists are what the peers of some tunnels are told of besides: a tunnel's
	// Endpoint names its list.
	Lists map[string][]Announcement `json:",omitempty"`
	// AcceptDefault lets peers announce 0.0.0.0/0, or ::/0, to us.
	AcceptDefault bool
	// Relay is not used together with Lists. It passes on to each peer what we use of the others' announcements but a
	// default route, as AWS's CloudHub does (vpn §4.6). A peer is not told of what
	// went through a system of its own number.
	Relay bool
}

// A Session is a tunnel's BGP session, between its two inside addresses. The
// zero value is none.
type Session struct {
	PeerASN uint32 // the peer's ASN, not ours; 0 means no session
	// Hold is how long the peer may be silent, 3 s to 65535 s, and Keepalive how
	// often we are heard, at most a third of it; zero means 30 s and 10 s (vpn §4.2).
	Hold, Keepalive time.Duration
	// MaxPrefixes is how many prefixes the peer may announce; one more ends the
	// session. 0 means any number; AWS takes 100 or 1,000 (vpn §4.5).
	MaxPrefixes int
	// MED and Prepend make the peer prefer another tunnel: the metric sent with
	// each prefix, 0 for none, and how many times more our ASN is in the path, 0
	// to 10.
	MED     uint32
	Prepend int
	BFD     BFD // what the tunnel's static routes depend on, too
}

// speaks reports whether t has a BGP session.
func (t Tunnel) speaks() bool { return t.BGP.PeerASN != 0 }

// routerID is that of c, which had been before if the zero value leaves a
// choice and no peer has it now.
func (c Config) routerID(before netip.Addr) netip.Addr {
	if c.BGP.RouterID.IsValid() {
		return c.BGP.RouterID
	}
	var first netip.Addr
	for _, t := range c.Tunnels {
		if !t.speaks() {
			continue
		}
		if insidePeer(t.Inside) == before {
			before = netip.Addr{}
		}
		if own := t.Inside.Addr(); !first.IsValid() && own.Is4() {
			first = own
		}
	}
	if before.IsValid() {
		return before
	}
	return first
}

// speaker is what c asks of BGP, with what is to be passed on. Without peers it is
// nothing.
func (c Config) speaker(before netip.Addr, relayed []bgp.Relayed) bgp.Config {
	if len(c.BGP.Lists) > 0 {
		relayed = c.relayedTo()
	}
	out := bgp.Config{ASN: c.BGP.ASN, RouterID: c.routerID(before), Relayed: relayed}
	for _, t := range c.Tunnels {
		if !t.speaks() {
			continue
		}
		announce := toldTo(t.BGP.PeerASN, c.BGP.announced(t.ipv6()), relayedOf(relayed, t.ipv6()))
		if len(c.BGP.Lists) > 0 {
			announce = append(c.BGP.announced(t.ipv6()), c.announcedBy(t)...)
		}
		out.Peers = append(out.Peers, bgp.Peer{
			Name: t.ID, Local: t.Inside.Addr(), Remote: insidePeer(t.Inside), ASN: t.BGP.PeerASN,
			Hold: t.BGP.Hold, Keepalive: t.BGP.Keepalive, MaxPrefixes: t.BGP.MaxPrefixes,
			AcceptDefault: c.BGP.AcceptDefault, Announce: announce, MED: t.BGP.MED, Prepend: t.BGP.Prepend,
		})
	}
	return out
}

// announced are the prefixes of one family, of which a session has no more.
func (b BGP) announced(v6 bool) (out []netip.Prefix) {
	for _, p := range b.Announce {
		if p.Addr().Is6() == v6 {
			out = append(out, p)
		}
	}
	return out
}

// validateBGP checks what BGP is told.
func (c Config) validateBGP() error {
	sessions := 0
	for _, t := range c.Tunnels {
		d := t.withDefaults()
		switch {
		case !t.speaks() && t.BGP != Session{}:
			return fmt.Errorf("tunnel %s: BGP.PeerASN: missing, though other options of BGP are given; it is the ASN of the tunnel's other end", t.ID)
		case !t.speaks():
			continue
		case c.BGP.ASN == 0:
			return fmt.Errorf("BGP.ASN: missing, though tunnel %s has a BGP session; give our own autonomous system number, 1 to 4294967295", t.ID)
		case t.Endpoint.List != "" && c.BGP.Lists[t.Endpoint.List] == nil:
			return fmt.Errorf("tunnel %s: Endpoint.List %q: BGP.Lists has none of that name; give it, if empty", t.ID, t.Endpoint.List)
		case t.BGP.BFD.check() != nil:
			return fmt.Errorf("tunnel %s: %w", t.ID, t.BGP.BFD.check())
		case !insidePeer(t.Inside).IsValid():
			return fmt.Errorf("tunnel %s: BGP needs the two inside addresses of a /30, or of a /126 for IPv6, and Inside is %v; give the tunnel its inside CIDR", t.ID, t.Inside)
		case !d.LocalTS.Contains(t.Inside.Addr()) || !d.RemoteTS.Contains(insidePeer(t.Inside)):
			return fmt.Errorf("tunnel %s: BGP runs between the inside addresses %v and %v, which LocalTS %v and RemoteTS %v keep out of the tunnel; leave both open, or use static routes",
				t.ID, t.Inside.Addr(), insidePeer(t.Inside), d.LocalTS, d.RemoteTS)
		}
		sessions++
	}
	for _, p := range c.BGP.Announce {
		if sessions > 0 && !slices.ContainsFunc(c.Tunnels, func(t Tunnel) bool { return t.speaks() && t.ipv6() == p.Addr().Is6() }) {
			return fmt.Errorf("field Announce %v: no session is of its family; a session over an inside address of IPv6 carries IPv6, any other IPv4", p)
		}
	}
	switch {
	case sessions > 0 && !c.routerID(netip.Addr{}).IsValid():
		return errors.New("BGP.RouterID: missing, and no session's inside address is one of IPv4; give an IPv4 address of ours")
	case sessions > 0:
		return c.speaker(netip.Addr{}, nil).Validate()
	case c.BGP.ASN != 0:
		return errors.New("BGP.ASN is given, but no tunnel has a BGP session; give a tunnel its BGP.PeerASN")
	case len(c.BGP.Announce) > 0 || len(c.BGP.Lists) > 0 || c.BGP.AcceptDefault || c.BGP.Relay || c.BGP.RouterID.IsValid():
		return errors.New("BGP.ASN: missing, though other options of BGP are given; give our own autonomous system number, 1 to 4294967295")
	}
	return nil
}

// Warnings are what of c is allowed and seldom meant.
func (c Config) Warnings() (out []string) {
	for _, p := range c.BGP.Announce {
		if p.Bits() == 0 {
			out = append(out, p.String()+" is announced by BGP: all traffic of the peer's networks that has no other route will come through the tunnels")
		}
	}
	return append(out, c.warnAnnounced()...)
}
