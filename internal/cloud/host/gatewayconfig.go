package host

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// workerConfig says to a gateway what the plan says in AWS's words. The lists
// become suites lowest value first, which is the order in which AWS's end
// chooses (vpn §2.2).
func workerConfig(w vpn.Worker) (gateway.Config, error) {
	cfg := gateway.Config{Name: w.Name, Forward: true, RoutesElsewhere: w.Transit}
	if w.BGP.ASN != 0 {
		// A default route that a customer gateway announces is taken, as AWS takes
		// it (vpn §7.3); status warns of it.
		cfg.BGP = gateway.BGP{ASN: w.BGP.ASN, Announce: w.BGP.Announce, Lists: announcements(w.BGP.Lists), AcceptDefault: true, Relay: !w.Transit}
		cfg.BGP.RouterID = routerID(w)
	}
	for _, t := range w.Tunnels {
		tunnel, err := workerTunnel(t)
		if err != nil {
			return gateway.Config{}, fmt.Errorf("tunnel %s: %w", t.ID, err)
		}
		cfg.Tunnels = append(cfg.Tunnels, tunnel)
	}
	return cfg, nil
}

// routerID is the BGP identifier of a gateway whose sessions are all over IPv6: of
// its own id, in the range for benchmarks (RFC 2544) where no peer has an address,
// so that it stays whichever tunnel goes. Class E would do, but for speakers that
// refuse it. The zero value leaves it to the gateway.
func routerID(w vpn.Worker) netip.Addr {
	for _, t := range w.Tunnels {
		if t.BGP.PeerASN != 0 && t.Inside.Addr().Is4() {
			return netip.Addr{}
		}
	}
	sum := sha256.Sum256([]byte(w.GatewayID))
	return netip.AddrFrom4([4]byte{198, 18 | sum[0]&1, sum[1], sum[2]})
}

// announcements are what some customer gateways are told of.
func announcements(in map[string][]vpn.WorkerAnnouncement) map[string][]gateway.Announcement {
	if len(in) == 0 {
		return nil
	}
	out := map[string][]gateway.Announcement{}
	for name, list := range in {
		out[name] = []gateway.Announcement{}
		for _, a := range list {
			out[name] = append(out[name], gateway.Announcement(a))
		}
	}
	return out
}

func workerTunnel(t vpn.WorkerTunnel) (gateway.Tunnel, error) {
	ike, esp, err := Suites(t.Algorithms)
	if err != nil {
		return gateway.Tunnel{}, err
	}
	action, err := dpdAction(t.Liveness.Action)
	if err != nil {
		return gateway.Tunnel{}, err
	}
	med := t.Endpoint.MED
	if t.BGP.PeerASN == 0 {
		med = 0 // there is nobody to tell
	}
	return gateway.Tunnel{
		// AWS begins with IKEv2 only (vpn §3.1).
		ID: t.ID, Interface: t.Interface, Initiate: t.Initiate, PSK: t.Auth.PSK, IKE: ike, ESP: esp, Inside: t.Inside,
		Outside:  gateway.Outside{Local: t.Outside, Remote: t.Peer},
		Versions: ikeVersions(t.Algorithms.IKEVersions),
		LocalTS:  t.LocalTS, RemoteTS: t.RemoteTS,
		// Whoever has a certificate of the same authority is the peer (vpn §3.7).
		Certificates: gateway.Certificates{Own: t.Auth.Chain, Key: t.Auth.Key, CA: t.Auth.CA},
		Lifetime:     gateway.Lifetime(t.Lifetime),
		Liveness:     gateway.Liveness{Interval: t.Liveness.Interval, Timeout: t.Liveness.Timeout, Action: action},
		ReplayWindow: t.ReplayWindow,
		Routes:       t.Routes,
		BGP: gateway.Session{
			PeerASN: t.BGP.PeerASN, Hold: t.BGP.Hold, Keepalive: t.BGP.Keepalive, MaxPrefixes: t.BGP.MaxPrefixes, MED: med, BFD: gateway.BFD(t.BGP.BFD),
		},
		Endpoint: gateway.Endpoint{AnswerIKEv1: t.Initiate, Generation: t.Endpoint.Generation, Draining: t.Endpoint.Draining, List: t.List},
	}, nil
}

// dpdAction is what AWS's word asks of a gateway (vpn §2.1, §3.1).
func dpdAction(word string) (policy.Action, error) {
	switch word {
	case "clear":
		return policy.Clear, nil
	case "none":
		return policy.None, nil
	case "restart":
		return policy.Restart, nil
	}
	return 0, fmt.Errorf("DPDTimeoutAction %q is none of clear, none, restart", word)
}

// ikeVersions turns AWS's names into numbers; names that are none are left out.
func ikeVersions(names []string) (out []int) {
	for n, name := range []string{"ikev1", "ikev2"} {
		if slices.Contains(names, name) {
			out = append(out, n+1)
		}
	}
	return out
}

// Suites turns lists of AWS's names into suites, lowest value first.
func Suites(a vpn.Algorithms) (ike []suite.IKE, esp []suite.ESP, err error) {
	e1, i1, g1, err := lists(a.Phase1Encryption, a.Phase1Integrity, a.Phase1DHGroups)
	if err != nil {
		return nil, nil, fmt.Errorf("phase 1: %w", err)
	}
	e2, i2, g2, err := lists(a.Phase2Encryption, a.Phase2Integrity, a.Phase2DHGroups)
	if err != nil {
		return nil, nil, fmt.Errorf("phase 2: %w", err)
	}
	return suite.Combine(e1, i1, g1), suite.CombineESP(e2, i2, g2), nil
}

func lists(encryption, integrity []string, groups []int) (e []suite.EncrKey, i []suite.Integ, g []suite.Group, err error) {
	for _, name := range encryption {
		id, bits, err := suite.ParseEncr(name)
		if err != nil {
			return nil, nil, nil, err
		}
		e = append(e, suite.EncrKey{Encr: id, KeyBits: bits})
	}
	for _, name := range integrity {
		id, err := suite.ParseInteg(name)
		if err != nil {
			return nil, nil, nil, err
		}
		i = append(i, id)
	}
	for _, n := range groups {
		id, err := suite.ParseGroup(n)
		if err != nil {
			return nil, nil, nil, err
		}
		g = append(g, id)
	}
	return e, i, g, nil
}

// CustomerTunnel is the customer's end of a tunnel: what its device must be
// told. outside is the device's public address, as the cloud knows it. The
// caller adds a name, a link and the routes.
func CustomerTunnel(o resource.TunnelOptions, outside netip.Addr) (gateway.Tunnel, error) {
	id := "" // of whom a certificate names
	if outside.IsValid() {
		id = outside.String()
	}
	ike, esp, err := Suites(vpn.Algorithms{
		Phase1Encryption: o.Phase1Encryption, Phase1Integrity: o.Phase1Integrity, Phase1DHGroups: o.Phase1DHGroups,
		Phase2Encryption: o.Phase2Encryption, Phase2Integrity: o.Phase2Integrity, Phase2DHGroups: o.Phase2DHGroups,
	})
	if err != nil {
		return gateway.Tunnel{}, err
	}
	return gateway.Tunnel{
		Versions: ikeVersions(o.IKEVersions),
		Initiate: true, PSK: o.PreSharedKey, IKE: suite.StrongestFirst(ike), ESP: suite.StrongestFirstESP(esp),
		Inside:       netip.PrefixFrom(o.InsideRemote(), o.Inside().Bits()),
		Outside:      gateway.Outside{Remote: o.OutsideIP, LocalID: id},
		Lifetime:     gateway.Lifetime{Phase1: o.Phase1Lifetime, Phase2: o.Phase2Lifetime, RekeyMargin: o.RekeyMargin, RekeyFuzz: o.RekeyFuzz},
		Liveness:     gateway.Liveness{Interval: o.LivenessInterval, Timeout: o.LivenessTimeout},
		ReplayWindow: o.ReplayWindow,
	}, nil
}
