package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

// everything are lists that allow one suite in each phase.
func everything(versions ...string) vpn.Algorithms {
	return vpn.Algorithms{
		IKEVersions:      versions,
		Phase1Encryption: []string{"AES128"}, Phase1Integrity: []string{"SHA2-256"}, Phase1DHGroups: []int{14},
		Phase2Encryption: []string{"AES128"}, Phase2Integrity: []string{"SHA2-256"}, Phase2DHGroups: []int{14},
	}
}

func TestWorkersGatewayDoesWhatTheTunnelOptionsSay(t *testing.T) {
	for _, tt := range []struct {
		in       vpn.WorkerTunnel
		action   policy.Action
		versions []int
	}{
		{vpn.WorkerTunnel{Liveness: vpn.WorkerLiveness{Action: "clear"}, Algorithms: everything("ikev1", "ikev2")}, policy.Clear, []int{1, 2}},
		{vpn.WorkerTunnel{Liveness: vpn.WorkerLiveness{Action: "none"}, Algorithms: everything("ikev2")}, policy.None, []int{2}},
		{vpn.WorkerTunnel{Liveness: vpn.WorkerLiveness{Action: "restart"}, Initiate: true, Algorithms: everything("ikev1")}, policy.Restart, []int{1}},
	} {
		got, err := workerTunnel(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got.Liveness.Action != tt.action || !slices.Equal(got.Versions, tt.versions) || got.Initiate != tt.in.Initiate {
			t.Errorf("%s: got action %d, versions %v, initiate %v", tt.in.Liveness.Action, got.Liveness.Action, got.Versions, got.Initiate)
		}
	}
	watched := vpn.WorkerTunnel{Liveness: vpn.WorkerLiveness{Action: "clear"}, Algorithms: everything("ikev2"),
		BGP: vpn.WorkerSession{PeerASN: 65000, BFD: resource.BFD{Interval: time.Second, Multiplier: 3}}}
	if got, err := workerTunnel(watched); err != nil || got.BGP.BFD != (gateway.BFD{Interval: time.Second, Multiplier: 3}) {
		t.Errorf("got BFD %+v, %v, want every second, 3 times", got.BGP.BFD, err)
	}
	if _, err := workerTunnel(vpn.WorkerTunnel{Liveness: vpn.WorkerLiveness{Action: "hold"}, Algorithms: everything("ikev2")}); err == nil || !strings.Contains(err.Error(), "hold") {
		t.Errorf("got %v, want an error that names the word", err)
	}
}

// TestEveryTunnelOptionIsTakenByTheGateway goes through what a connection may
// ask for: the worker would refuse all tunnels for the sake of one.
func TestEveryTunnelOptionIsTakenByTheGateway(t *testing.T) {
	all := vpn.Algorithms{
		Phase1Encryption: []string{"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"}, Phase2Encryption: []string{"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"},
		Phase1Integrity: []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"}, Phase2Integrity: []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"},
		Phase1DHGroups: []int{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24}, Phase2DHGroups: []int{2, 5, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24},
	}
	for _, versions := range [][]string{{"ikev1"}, {"ikev2"}, {"ikev1", "ikev2"}} {
		for _, action := range []string{"clear", "none", "restart"} {
			for _, start := range []bool{false, true} {
				if start && len(versions) == 1 && versions[0] == "ikev1" {
					continue // refused by the operation
				}
				all.IKEVersions = versions
				cfg, err := workerConfig(vpn.Worker{Name: "vgw", Tunnels: []vpn.WorkerTunnel{{
					ID: "vpn-1/1", Interface: "tun1", Outside: netip.MustParseAddr("203.0.113.10"), Peer: netip.MustParseAddr("198.51.100.2"),
					Auth: vpn.WorkerAuth{PSK: secret.FromString("ExampleKey_0123456789")}, Algorithms: all, Liveness: vpn.WorkerLiveness{Action: action}, Initiate: start,
					Lifetime: vpn.WorkerLifetime{RekeyFuzz: 100},
				}}})
				if err == nil {
					err = cfg.Validate()
				}
				if err != nil {
					t.Errorf("%v, %s, start %v: %v", versions, action, start, err)
				}
			}
		}
	}
}

// A worker whose sessions are all over IPv6 has a name of its own for BGP, which
// its gateway could not choose.
func TestAWorkerWithIPv6InsideIsTakenByTheGateway(t *testing.T) {
	tunnel := func(n int, inside, all string) vpn.WorkerTunnel {
		return vpn.WorkerTunnel{ID: fmt.Sprintf("vpn-%d/1", n), Interface: fmt.Sprintf("tun%d", n),
			Outside: netip.MustParseAddr("2001:db8:52::10"), Peer: netip.MustParseAddr(fmt.Sprintf("2001:db8:50::%d", n)),
			Inside: netip.MustParsePrefix(inside), LocalTS: netip.MustParsePrefix(all), RemoteTS: netip.MustParsePrefix(all),
			Auth: vpn.WorkerAuth{PSK: secret.FromString("ExampleKey_0123456789")}, Algorithms: everything("ikev2"), Liveness: vpn.WorkerLiveness{Action: "clear"},
			BGP: vpn.WorkerSession{PeerASN: 65000},
		}
	}
	six := vpn.Worker{GatewayID: "tgw-1", Tunnels: []vpn.WorkerTunnel{tunnel(1, "fd00:10::1/126", "::/0")}, BGP: vpn.WorkerBGP{ASN: 64512}}
	both := six
	both.Tunnels = []vpn.WorkerTunnel{six.Tunnels[0], tunnel(2, "169.254.10.1/30", "0.0.0.0/0")}
	for name, w := range map[string]vpn.Worker{"IPv6": six, "both": both} {
		cfg, err := workerConfig(w)
		if err == nil {
			err = cfg.Validate()
		}
		if err != nil || cfg.BGP.RouterID.IsValid() != (name == "IPv6") {
			t.Errorf("%s: got router ID %v, %v, want one where no inside address could be it", name, cfg.BGP.RouterID, err)
		}
	}
}
