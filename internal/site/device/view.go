package device

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
)

// A view is what templates see.
type view struct {
	Type Type
	// ID and the others are AWS's names; Short is the connection's in at most 12
	// characters, a letter first.
	ID, GatewayID, CustomerGatewayID, Short string
	Version                                 int // of IKE: the lowest of the tunnels'
	BGP                                     bool
	ASN                                     uint32
	RouterID                                netip.Addr
	Announce, Site                          []netip.Prefix
	AcceptDefault                           bool
	Interface                               string
	Tunnels                                 []tunnel
	// Remarks are what the connection asks for and the files do not say.
	Remarks []string
	// Weak says that a suite is weak because connection and device have no better in
	// common.
	Weak bool
	// Routes are those of the first tunnel.
	Routes []netip.Prefix
}

// A tunnel is one of them.
type tunnel struct {
	N       int    // from 1
	Version int    // of IKE
	Name    string // at most 14 characters, such as vpn-abcdef01-1
	// Mark tells the tunnel from others of the device: unique by its inside range.
	Mark              int
	Local             string // the device's own outside address, or empty
	LocalID, RemoteID string // an address or a name; LocalID may be empty
	Remote            netip.Addr
	PSK               string       // quoted for the device
	Inside            netip.Prefix // the address itself with the length of its range
	Peer              netip.Addr   // the other end's inside address
	Phase1, Phase2    phase
	sizes
	DPD        dpd
	Replay     int // packets
	ForceEncap bool
	Selectors  selectors
	Routes     []netip.Prefix
	Session    session
}

// sizes are the largest packet and TCP segment that a tunnel carries, in octets.
type sizes struct{ MTU, MSS int }

// selectors are what the tunnel may carry.
type selectors struct{ Local, Remote netip.Prefix }

// dpd is dead peer detection in seconds.
type dpd struct{ Interval, Timeout, Retries int }

// session is a BGP session, in seconds.
type session struct {
	PeerASN             uint32
	Hold, Keepalive     int
	MaxPrefixes         int
	MED                 uint32
	Prepend             int
	PrependPath         string // our ASN as often
	LocalPref, Distance int    // the first tunnel is preferred where nothing else decides
	BFD                 bfd
}

// bfd is how a session's path is watched; without an interval it is not.
type bfd struct{ Millis, Multiplier int }

// Mask is the netmask of the inside range.
func (t tunnel) Mask() string { return mask(t.Inside) }

// Network is the inside range.
func (t tunnel) Network() netip.Prefix { return t.Inside.Masked() }

// Remote4 reports whether the other end's outside address is one of IPv4.
func (t tunnel) Remote4() bool { return t.Remote.Is4() }

// NamedID reports whether the device's identity is a name.
func (t tunnel) NamedID() bool { return named(t.LocalID) }

func named(id string) bool {
	_, err := netip.ParseAddr(id)
	return id != "" && err != nil
}

func mask(p netip.Prefix) string {
	bits := ^uint32(0) << (32 - p.Bits())
	if p.Bits() == 0 {
		bits = 0
	}
	return fmt.Sprintf("%d.%d.%d.%d", bits>>24, bits>>16&255, bits>>8&255, bits&255)
}

func (t Type) view(c Connection, choice Choices, versions []int) (view, error) {
	g := c.Gateway
	v := view{Type: t, ID: cmp.Or(c.ID, g.Name), GatewayID: c.GatewayID, CustomerGatewayID: c.CustomerGatewayID,
		Version: slices.Min(versions), BGP: g.BGP.ASN != 0, ASN: g.BGP.ASN, RouterID: g.BGP.RouterID, Announce: g.BGP.Announce, Site: c.Site,
		AcceptDefault: g.BGP.AcceptDefault, Interface: cmp.Or(choice.Interface, t.spec.Interface)}
	v.Short = short(v.ID)
	if v.BGP && !v.RouterID.IsValid() {
		v.RouterID = g.Tunnels[0].Inside.Addr()
	}
	for i, gt := range g.Tunnels {
		if c.Strong {
			gt = strong(gt)
		}
		out, err := t.tunnel(gt, c, versions[i])
		if err != nil {
			return v, fmt.Errorf("tunnel %s: %w", gt.ID, err)
		}
		out.N, out.Name = i+1, fmt.Sprintf("%s-%d", v.Short, i+1)
		out.Session.LocalPref, out.Session.Distance = 110-10*i, 10*(i+1)
		out.Session.PrependPath = strings.TrimSpace(strings.Repeat(fmt.Sprint(v.ASN, " "), out.Session.Prepend))
		if local := choice.Local; local.IsValid() {
			out.Local = local.String()
		}
		v.Tunnels = append(v.Tunnels, out)
		for _, p := range []phase{out.Phase1, out.Phase2} {
			v.Weak = v.Weak || slices.ContainsFunc(p.Suites, func(a algorithms) bool { return a.AWS.weak() })
		}
	}
	v.Routes = v.Tunnels[0].Routes
	if t.spec.Same {
		if err := sameSuites(v.Tunnels); err != nil {
			return v, fmt.Errorf("%s: %w", t.full(), err)
		}
	}
	if !v.BGP && len(v.Routes) == 0 && slices.Contains(t.Routing, "bgp") && !t.spec.Two {
		return v, errors.New("it is static, and nothing says what lies behind the other end; say it with --route, such as --route 10.0.0.0/16, or in routes")
	}
	return v, nil
}

// strong is t without its weak suites.
func strong(t gateway.Tunnel) gateway.Tunnel {
	weak := func(c []choice) bool { return len(c) > 0 && c[0].weak() }
	t.IKE = slices.DeleteFunc(slices.Clone(t.IKE), func(s suite.IKE) bool { return weak(phase1Of([]suite.IKE{s})) })
	t.ESP = slices.DeleteFunc(slices.Clone(t.ESP), func(s suite.ESP) bool { return weak(phase2Of([]suite.ESP{s})) })
	return t
}

// weak reports what vpn §2.1 allows and nobody should use.
func (c choice) weak() bool {
	return c.Integrity == "SHA1" || slices.Contains([]int{2, 5, 22, 23, 24}, c.Group)
}

// sameSuites refuses tunnels that differ where a device has one place for both.
func sameSuites(list []tunnel) error {
	for _, t := range list[1:] {
		if !slices.Equal(t.Phase1.Suites, list[0].Phase1.Suites) || !slices.Equal(t.Phase2.Suites, list[0].Phase2.Suites) || t.Phase1.Rekey != list[0].Phase1.Rekey || t.Phase2.Rekey != list[0].Phase2.Rekey {
			return errors.New("the two tunnels allow different suites or lifetimes, and it has one list for both; give both tunnels the same tunnel options")
		}
	}
	return nil
}

// short makes a name of at most 12 characters: of vpn-0123456789abcdef0 the last
// eight digits, as all begin alike.
func short(id string) string {
	const most = 8
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, strings.TrimPrefix(id, "vpn-"))
	return "vpn-" + name[max(0, len(name)-most):]
}

func (t Type) tunnel(g gateway.Tunnel, c Connection, version int) (tunnel, error) {
	out := tunnel{
		Version: version, LocalID: g.Outside.LocalID, RemoteID: g.Outside.RemoteID, Remote: g.Outside.Remote,
		Inside: g.Inside, Peer: g.Inside.Masked().Addr().Next(), Replay: g.ReplayWindow, ForceEncap: g.Outside.ForceEncap,
		Selectors: selectors{g.LocalTS, g.RemoteTS}, Routes: g.Routes,
		DPD: dpd{Interval: max(1, whole(g.Liveness.Interval)), Timeout: max(1, whole(g.Liveness.Timeout))},
		Session: session{PeerASN: g.BGP.PeerASN, Hold: whole(g.BGP.Hold), Keepalive: whole(g.BGP.Keepalive),
			MaxPrefixes: g.BGP.MaxPrefixes, MED: g.BGP.MED, Prepend: g.BGP.Prepend, BFD: bfd{int(g.BGP.BFD.Interval.Milliseconds()), g.BGP.BFD.Multiplier}},
	}
	if out.Peer == g.Inside.Addr() { // we are the first: the other end is the second
		out.Peer = out.Peer.Next()
	}
	inside := g.Inside.Addr().AsSlice()
	out.Mark = int(inside[len(inside)-2])<<8 | int(inside[len(inside)-1])&^3 | 1
	out.DPD.Retries = out.DPD.Timeout/out.DPD.Interval + 1
	out.Session.Hold = cmp.Or(out.Session.Hold, defaultHold)
	out.Session.Keepalive = keepalive(g)
	if g.Outside.Local.IsValid() {
		out.Local = g.Outside.Local.String()
	}
	if t.spec.AnyPeer {
		return out, nil
	}
	var err error
	w1, w2, offer := t.spec.Phase1, t.spec.Phase2, phase1Of(g.IKE)
	if version == 1 {
		if t.spec.Phase1v1 != nil {
			w1 = *t.spec.Phase1v1
		}
		if t.spec.Phase2v1 != nil {
			w2 = *t.spec.Phase2v1
		}
		// IKEv1 has no AES-GCM in phase 1.
		if fit := slices.DeleteFunc(slices.Clone(offer), choice.aead); len(fit) > 0 || !c.Describe {
			offer = fit
		}
	}
	one := c.Exact || t.spec.One
	if out.Phase1, err = w1.choose(offer, one, mostGroups(version)); err != nil {
		return out, fmt.Errorf("phase 1 with IKEv%d: %w", version, err)
	}
	if out.Phase2, err = w2.choose(phase2Of(g.ESP), one, mostGroups(version)); err != nil {
		return out, fmt.Errorf("phase 2 with IKEv%d: %w", version, err)
	}
	margin := g.Lifetime.RekeyMargin
	for _, p := range []*phase{&out.Phase1, &out.Phase2} {
		p.Fuzz = g.Lifetime.RekeyFuzz
		p.Rand = whole(margin) * p.Fuzz / 100
	}
	out.Phase1.Lifetime, out.Phase1.Rekey = whole(g.Lifetime.Phase1), whole(g.Lifetime.Phase1-margin)
	out.Phase2.Lifetime, out.Phase2.Rekey = whole(g.Lifetime.Phase2), whole(g.Lifetime.Phase2-margin)
	out.MTU = out.Phase2.mtu(out.Remote)
	out.MSS = out.MTU - 40 // the headers of IP and TCP
	if g.Inside.Addr().Is6() {
		out.MSS -= 20
	}
	out.PSK, err = t.psk(g.PSK)
	return out, err
}

// defaultHold is the hold time of BGP, in seconds (vpn §4.2).
const defaultHold = 30

// keepalive is how often BGP is heard, in seconds.
func keepalive(g gateway.Tunnel) int {
	return cmp.Or(whole(g.BGP.Keepalive), cmp.Or(whole(g.BGP.Hold), defaultHold)/3)
}

// whole is a duration in seconds.
func whole(d time.Duration) int { return int(d / time.Second) }
