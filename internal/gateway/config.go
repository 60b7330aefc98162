package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A Config is everything one VPN gateway is told. The same type describes the
// customer's end and AWS's: who initiates is an option of each tunnel.
type Config struct {
	Name    string
	Tunnels []Tunnel
	// Forward turns on IP forwarding in the gateway's namespace.
	Forward bool
	// RoutesElsewhere leaves the routes to whoever runs the gateway, as a transit
	// gateway has tables of its own: the gateway has tunnels, addresses and
	// sessions, and reports what it learns.
	RoutesElsewhere bool
	BGP             BGP
}

// A Tunnel is one of a gateway's tunnels. Names follow AWS's tunnel options;
// ranges are those of vpn §2.1 unless a comment says otherwise.
type Tunnel struct {
	ID        string // unique in the gateway, such as "vpn-0abc/1"
	Interface string // name of its TUN, at most 15 bytes
	Initiate  bool   // we start IKE; otherwise we wait for the peer
	Outside   Outside
	// PSK is left out of every encoding; package worker carries it by hand.
	PSK secret.Secret `json:"-"`
	// Certificates are used instead of PSK; one of the two is given.
	Certificates Certificates
	// Versions of IKE that are spoken, 2 and 1 in any order; an initiator tries
	// 2 first. Empty means DefaultVersions. With both, whoever can drop packets on
	// the way can have 1 used.
	Versions []int
	IKE      []suite.IKE // in order of preference
	ESP      []suite.ESP // in order of preference
	// Inside is our address in the tunnel's /30, or in its /126 when it carries
	// IPv6, with its prefix length; the zero value gives the TUN no address.
	Inside   netip.Prefix
	LocalTS  netip.Prefix // traffic selectors; the zero value means all of Inside's family, 0.0.0.0/0 or ::/0
	RemoteTS netip.Prefix
	Lifetime Lifetime
	Liveness Liveness
	// ReplayWindow is in packets, 64 to 2048; 0 means 1024.
	ReplayWindow int
	Extensions   Extensions
	// Routes are the prefixes behind the peer. Of the tunnels that list a
	// prefix the gateway uses one that is up; while none is, the prefix is
	// unreachable, so that nothing leaves in clear. They go before those that peers
	// announce.
	Routes []netip.Prefix
	// SourceNAT gives what leaves through the tunnel its inside address for a
	// source. Whoever answers then needs no route to our networks, and cannot
	// begin a connection to them.
	SourceNAT bool
	BGP       Session
	Endpoint  Endpoint
}

// An Endpoint is what our end of a tunnel does as AWS's ends do. The zero value
// is any other's.
type Endpoint struct {
	// AnswerIKEv1 keeps Initiate to IKEv2: IKEv1 is answered where Versions
	// allow it, and never begun (vpn §3.1).
	AnswerIKEv1 bool
	// Generation is any number: with another one the tunnel is begun anew, though
	// nothing else has changed.
	Generation int
	// Draining leaves to the tunnel only what no other tunnel can carry. Its SAs
	// go on.
	Draining bool
	// List names what of BGP.Lists the peer is told of; empty: none.
	List string
}

// Outside is where a tunnel's packets go between the gateways.
type Outside struct {
	// Local is our own address; the zero value means whichever the route to
	// the peer has. Several tunnels may share one.
	Local netip.Addr
	// Remote is the peer's public address. The zero value means any, for a peer
	// with a certificate for which we wait: whoever authenticates at Local and
	// is not the peer of another tunnel there. One tunnel of each Local.
	Remote netip.Addr
	// LocalID and RemoteID are IKE identities: an address, a name, user@name,
	// or a distinguished name. Empty means the address itself, with
	// certificates the subject of ours, and of the peer's any that we trust; a
	// RemoteID of %any accepts whoever holds the key.
	LocalID, RemoteID string
	ForceEncap        bool // encapsulate in UDP 4500 though no NAT is found
}

// Lifetime says when SAs are renewed. Durations of zero mean AWS's defaults.
type Lifetime struct {
	Phase1, Phase2 time.Duration // 15 min to 8 h (28,800 s); 15 min to 1 h (3,600 s)
	RekeyMargin    time.Duration // 270 s
	RekeyFuzz      int           // percent, 0 to 100; 0 means none, AWS's default is 100
}

// Liveness says when a silent peer is probed and when it is dead. AWS probes
// after 10 s and, by default, gives up when 30 s have passed without a sign of
// life; shorter values make a faster failover and are an extension of
// Seikan's.
type Liveness struct {
	Interval, Timeout time.Duration
	// Action is what follows a peer's death (vpn §2.1 DPDTimeoutAction).
	Action policy.Action
}

// DefaultVersions are the versions of IKE that a tunnel speaks unless it is
// told otherwise.
func DefaultVersions() []int { return []int{2, 1} }

// Defaults of vpn §2.1 and §2.2.
const (
	defaultPhase1      = 28800 * time.Second
	defaultPhase2      = 3600 * time.Second
	defaultRekeyMargin = 270 * time.Second
	defaultInterval    = 10 * time.Second
	defaultTimeout     = 20 * time.Second // with the interval DPDTimeoutSeconds' default, 30 s
	defaultReplay      = 1024
)

// withDefaults returns t with its zero values replaced.
func (t Tunnel) withDefaults() Tunnel {
	orDuration(&t.Lifetime.Phase1, defaultPhase1)
	orDuration(&t.Lifetime.Phase2, defaultPhase2)
	orDuration(&t.Lifetime.RekeyMargin, defaultRekeyMargin)
	orDuration(&t.Liveness.Interval, defaultInterval)
	orDuration(&t.Liveness.Timeout, defaultTimeout)
	if t.ReplayWindow == 0 {
		t.ReplayWindow = defaultReplay
	}
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if t.ipv6() {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	if !t.LocalTS.IsValid() {
		t.LocalTS = all
	}
	if !t.RemoteTS.IsValid() {
		t.RemoteTS = all
	}
	if t.Outside.RemoteID == "" && !t.Certificates.Used() {
		t.Outside.RemoteID = t.Outside.Remote.String()
	}
	if len(t.Versions) == 0 {
		t.Versions = DefaultVersions()
	}
	return t
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

// Validate checks what would make the gateway fail later. The error names the
// tunnel, the field, the value and the rule.
func (c Config) Validate() error {
	ids, links, peers := map[string]bool{}, map[string]bool{}, map[peer]string{}
	for i, t := range c.Tunnels {
		if t.ID == "" {
			return fmt.Errorf("gateway %q: tunnel %d: ID is empty; every tunnel needs a name of its own", c.Name, i+1)
		}
		if ids[t.ID] {
			return fmt.Errorf("gateway %q: tunnel ID %q is used twice; give each tunnel a name of its own", c.Name, t.ID)
		}
		if links[t.Interface] {
			return fmt.Errorf("gateway %q: tunnel %s: Interface %q is used twice; each tunnel has its own TUN", c.Name, t.ID, t.Interface)
		}
		between := peer{t.Outside.Local, t.Outside.Remote}
		if other, ok := peers[between]; ok {
			return fmt.Errorf("gateway %q: tunnel %s: Outside.Local and Outside.Remote are those of tunnel %s; IKE tells tunnels apart by them: give each a peer address of its own", c.Name, t.ID, other)
		}
		ids[t.ID], links[t.Interface], peers[between] = true, true, t.ID
		if err := t.withDefaults().validate(); err != nil {
			return fmt.Errorf("gateway %q: tunnel %s: %w", c.Name, t.ID, err)
		}
	}
	if err := c.validateBGP(); err != nil {
		return fmt.Errorf("gateway %q: %w", c.Name, err)
	}
	return nil
}

func (t Tunnel) validate() error {
	switch {
	case t.Interface == "" || len(t.Interface) > 15 || strings.ContainsAny(t.Interface, "/%: \t\n") || t.Interface == "." || t.Interface == "..":
		return fmt.Errorf("field Interface %q: a link name has 1 to 15 bytes, without spaces, slash, colon or percent sign", t.Interface)
	case t.Outside.Remote.IsValid() && (t.Outside.Remote.Is4In6() || t.Outside.Remote.Zone() != ""):
		return fmt.Errorf("Outside.Remote %v: an address of IPv4 or IPv6 is wanted, without a zone", t.Outside.Remote)
	case t.Outside.Remote.IsValid() && t.Outside.Local.IsValid() && t.Outside.Local.Is4() != t.Outside.Remote.Is4():
		return fmt.Errorf("Outside.Local %v and Outside.Remote %v: two addresses of one family are wanted", t.Outside.Local, t.Outside.Remote)
	case t.Certificates.Used() && !t.PSK.IsZero():
		return fmt.Errorf("PSK and Certificates are both given; a tunnel authenticates by one of them")
	case !t.Certificates.Used() && (t.PSK.Len() < 8 || t.PSK.Len() > 64):
		return fmt.Errorf("PSK has %d characters; a pre-shared key has 8 to 64 of [A-Za-z0-9._] and does not start with 0", t.PSK.Len())
	case len(t.IKE) == 0 || len(t.ESP) == 0:
		return fmt.Errorf("no IKE or ESP suite is allowed; name at least one encryption, integrity and DH group for each phase")
	case t.Lifetime.Phase2 >= t.Lifetime.Phase1:
		return fmt.Errorf("Lifetime.Phase2 %v must be shorter than Phase1 %v", t.Lifetime.Phase2, t.Lifetime.Phase1)
	case t.Lifetime.RekeyMargin > t.Lifetime.Phase2/2:
		return fmt.Errorf("Lifetime.RekeyMargin %v must be at most half of Phase2 %v", t.Lifetime.RekeyMargin, t.Lifetime.Phase2)
	case t.ReplayWindow < 64 || t.ReplayWindow > 2048:
		return fmt.Errorf("ReplayWindow %d: 64 to 2048 packets", t.ReplayWindow)
	case t.Liveness.Timeout < t.Liveness.Interval/2 || t.Liveness.Interval < 50*time.Millisecond:
		return fmt.Errorf("Liveness %v/%v: the interval is at least 50ms and the timeout at least half of it", t.Liveness.Interval, t.Liveness.Timeout)
	}
	if err := errors.Join(t.Certificates.check(), checkVersions(t.Versions), t.Extensions.check(t.Versions), t.checkSuites(), t.checkAction(), t.checkFamily(), t.checkNAT()); err != nil {
		return err
	}
	for _, id := range []string{t.Outside.LocalID, t.Outside.RemoteID} {
		if _, err := parseID(id); err != nil {
			return err
		}
	}
	for _, s := range t.IKE {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	for _, s := range t.ESP {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	local := t.Outside.Local
	if !local.IsValid() { // not known before there is a route
		local = netip.IPv4Unspecified()
		if t.Outside.Remote.Is6() {
			local = netip.IPv6Unspecified()
		}
	}
	_, err := newMachine(t, local, nil, nil) // the protocols have rules of their own
	return err
}

// ValidatePaths checks that no route would lead a tunnel's own packets into a
// tunnel. Of the local addresses handed somebody else opened the sockets, in
// another namespace, where the routes do not reach; only there may the peer lie
// behind a tunnel, as with a route to 0.0.0.0/0. Validate does not check this.
func (c Config) ValidatePaths(handed ...netip.Addr) error {
	var exposed []Tunnel // by the peer's address, those of any peer first
	for _, t := range c.Tunnels {
		if !slices.Contains(handed, t.Outside.Local) {
			exposed = append(exposed, t)
		}
	}
	slices.SortStableFunc(exposed, func(t, u Tunnel) int { return t.Outside.Remote.Compare(u.Outside.Remote) })
	for _, u := range c.Tunnels {
		for _, p := range u.Routes {
			if len(exposed) > 0 && !exposed[0].Outside.Remote.IsValid() && p.Bits() == 0 && p.Addr().Is4() == exposed[0].Outside.Local.Is4() {
				return fmt.Errorf("gateway %q: tunnel %s: Routes %v holds every address that the peer of tunnel %s may come from: its packets would chase themselves; route narrower prefixes", c.Name, u.ID, p, exposed[0].ID)
			}
			i, _ := slices.BinarySearchFunc(exposed, p.Masked().Addr(), func(t Tunnel, first netip.Addr) int { return t.Outside.Remote.Compare(first) })
			if i < len(exposed) && p.Contains(exposed[i].Outside.Remote) {
				return fmt.Errorf("gateway %q: tunnel %s: Routes %v holds the peer's own address %v of tunnel %s: its packets would chase themselves; route narrower prefixes", c.Name, u.ID, p, exposed[i].Outside.Remote, exposed[i].ID)
			}
		}
	}
	return nil
}
