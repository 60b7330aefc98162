package cli

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/gateway"
)

func TestGatewayStatusMarksWhatIsWeakAndSaysWhatToChange(t *testing.T) {
	var out bytes.Buffer
	at := netip.MustParseAddrPort("198.51.100.2:500")
	err := printGateway(&streams{out: &out}, gateway.Status{Tunnels: []gateway.TunnelStatus{
		{ID: "good", Up: true, IKE: gateway.IKEStatus{Version: 2, Auth: "PSK", Suite: "S1", Extensions: []string{"fragmentation", "MOBIKE"}, Local: at, Remote: at}, Child: &gateway.ChildStatus{Suite: "S2", SPIIn: "c0ffee01", SPIOut: "c0ffee02", LocalTS: []string{"0.0.0.0/0"}, RemoteTS: []string{"10.0.0.0/16"}},
			SourceNAT: true, Inside: netip.MustParsePrefix("169.254.10.2/30"), Traffic: gateway.Traffic{MTU: 1438, Drops: map[string]uint64{"replay": 2, "no-sa": 70}}},
		{ID: "old", Up: true, IKE: gateway.IKEStatus{Version: 1, Auth: "PSK", Suite: "S3", Weak: []string{"DH2", "SHA1"}, Local: at, Remote: at, NATLocal: true}, Child: &gateway.ChildStatus{Suite: "S4", Weak: []string{"DH5"}}},
		{ID: "small", Up: true, IKE: gateway.IKEStatus{Version: 2, Auth: "RSA-SHA2-256 (1024 bits, weak)", Suite: "S5", Weak: []string{gateway.WeakRSA}, Local: at, Remote: at}},
		{ID: "lost", Phase: "failed", Reason: "the peer says no", IKE: gateway.IKEStatus{Version: 2, Local: at, Remote: at}},
		{ID: "nowhere", Phase: "failed", Reason: "no route to the peer"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "invalid") {
		t.Errorf("an address that is not known is shown in\n%s", out.String())
	}
	for _, want := range []string{
		"good  c0ffee01  c0ffee02         0.0.0.0/0 - 10.0.0.0/16  1438\n",
		"v2 PSK", "S1 S2 ", "good: what leaves has the source 169.254.10.2\n", "good: dropped: no-sa 70, replay 2\n", "198.51.100.2:500 198.51.100.2:500 (NAT here) ", "good: with fragmentation, MOBIKE\n", "v1 PSK", "S3! S4!", "down, failed ", "lost: the peer says no\n",
		"old: weak in phase1: DH2, SHA1; set phase1.dh_groups to 19, 20, 21 or 14 and phase1.integrity to SHA2-256 or above, at both ends\n",
		"v2 RSA-SHA2-256 (1024 bits, weak)", "S5!",
		"small: weak in phase1: RSA below 2048 bits; set certificate_file and ca_file to certificates for larger keys, without weak_keys, at both ends\n",
		"old: weak in phase2: DH5; set phase2.dh_groups to 19, 20, 21 or 14, at both ends\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got no %q in\n%s", want, out.String())
		}
	}
}

func TestGatewayStatusShowsBGPAndWhyItIsNotAsItShouldBe(t *testing.T) {
	var out bytes.Buffer
	prefix := netip.MustParsePrefix
	err := printGateway(&streams{out: &out}, gateway.Status{
		BGP: &gateway.BGPStatus{
			Announce: []netip.Prefix{prefix("0.0.0.0/0")}, Deaf: "address already in use",
			Peers: []gateway.BGPPeer{
				{Tunnel: "tunnel-1", State: "Established", Established: true, Remote: netip.MustParseAddr("169.254.10.1"), ASN: 64512, Received: 2, Accepted: 1, Announced: 3, LastError: "old",
					BFD:    &gateway.BFDStatus{State: "Down", Reason: "control detection time expired", Cut: true, DetectMillis: 900},
					Routes: []gateway.BGPRoute{{Prefix: prefix("10.0.0.0/16")}, {Prefix: prefix("0.0.0.0/0"), Refused: "it is a default route"}}},
				{Tunnel: "tunnel-2", State: "Idle", LastError: "received 6/1 (Cease/Maximum Number of Prefixes Reached)"},
			},
		},
		Routes: []gateway.RouteStatus{{Prefix: prefix("10.0.0.0/16"), Tunnel: "tunnel-1", Learned: true}, {Prefix: prefix("10.1.0.0/16")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"tunnel-1 Established 169.254.10.1 64512 2 1 3 Down, 900 ms", "tunnel-1: BFD: its path is broken, so that it carries nothing: control detection time expired", "BGP: peers cannot open sessions to us, we only to them: address already in use", "BGP: warning: 0.0.0.0/0 is announced",
		"tunnel-1: BGP: 0.0.0.0/0 refused: it is a default route", "tunnel-2: BGP: received 6/1 (Cease/Maximum Number of Prefixes Reached)",
		"10.0.0.0/16 tunnel-1 BGP", "10.1.0.0/16 nothing: unreachable configuration",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(got, "old") {
		t.Errorf("an error of before is shown of a session that is up:\n%s", out.String())
	}
}
