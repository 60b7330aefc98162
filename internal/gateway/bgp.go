package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"seikan/internal/routing/bgp"
)

// BGP is what all BGP sessions of a gateway have in common.
type BGP struct {
	// ASN is our autonomous system number, 1 to 4294967295; 0 means no BGP.
	ASN uint32
	// RouterID is our BGP identifier; the zero value means the inside address of
	// the first tunnel with a session, for as long as a tunnel has it.
	RouterID netip.Addr
	// Announce are the prefixes that each peer is told of. 0.0.0.0/0 asks for all
	// traffic of the peer's networks.
	Announce []netip.Prefix
	// AcceptDefault lets peers announce 0.0.0.0/0 to us.
	AcceptDefault bool
	// Relay passes on to each peer what we use of the others' announcements but a
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
}

// speaks reports whether t has a BGP session.
func (t Tunnel) speaks() bool { return t.BGP.PeerASN != 0 }

// routerID is that of c, which had been before if the zero value leaves a
// choice.
func (c Config) routerID(before netip.Addr) netip.Addr {
	if c.BGP.RouterID.IsValid() {
		return c.BGP.RouterID
	}
	var first netip.Addr
	for _, t := range c.Tunnels {
		if own := t.Inside.Addr(); t.speaks() && (own == before || !first.IsValid()) {
			first = own
		}
	}
	return first
}

// speaker is what c asks of BGP, with what is to be passed on. Without peers it is
// nothing.
func (c Config) speaker(before netip.Addr, relayed []bgp.Relayed) bgp.Config {
	out := bgp.Config{ASN: c.BGP.ASN, RouterID: c.routerID(before), Relayed: relayed}
	for _, t := range c.Tunnels {
		if !t.speaks() {
			continue
		}
		out.Peers = append(out.Peers, bgp.Peer{
			Name: t.ID, Local: t.Inside.Addr(), Remote: insidePeer(t.Inside), ASN: t.BGP.PeerASN,
			Hold: t.BGP.Hold, Keepalive: t.BGP.Keepalive, MaxPrefixes: t.BGP.MaxPrefixes,
			AcceptDefault: c.BGP.AcceptDefault, Announce: toldTo(t.BGP.PeerASN, c.BGP.Announce, relayed), MED: t.BGP.MED, Prepend: t.BGP.Prepend,
		})
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
		case !insidePeer(t.Inside).IsValid():
			return fmt.Errorf("tunnel %s: BGP needs the two inside addresses of a /30, and Inside is %v; give the tunnel its inside CIDR", t.ID, t.Inside)
		case !d.LocalTS.Contains(t.Inside.Addr()) || !d.RemoteTS.Contains(insidePeer(t.Inside)):
			return fmt.Errorf("tunnel %s: BGP runs between the inside addresses %v and %v, which LocalTS %v and RemoteTS %v keep out of the tunnel; leave both at 0.0.0.0/0, or use static routes",
				t.ID, t.Inside.Addr(), insidePeer(t.Inside), d.LocalTS, d.RemoteTS)
		}
		sessions++
	}
	switch {
	case sessions > 0:
		return c.speaker(netip.Addr{}, nil).Validate()
	case c.BGP.ASN != 0:
		return errors.New("BGP.ASN is given, but no tunnel has a BGP session; give a tunnel its BGP.PeerASN")
	case len(c.BGP.Announce) > 0 || c.BGP.AcceptDefault || c.BGP.Relay || c.BGP.RouterID.IsValid():
		return errors.New("BGP.ASN: missing, though other options of BGP are given; give our own autonomous system number, 1 to 4294967295")
	}
	return nil
}

// Warnings are what of c is allowed and seldom meant.
func (c Config) Warnings() (out []string) {
	for _, p := range c.BGP.Announce {
		if p.Bits() == 0 {
			out = append(out, "0.0.0.0/0 is announced by BGP: all traffic of the peer's networks that has no other route will come through the tunnels")
		}
	}
	return out
}
