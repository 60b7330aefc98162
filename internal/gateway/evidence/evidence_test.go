package evidence

import (
	"net/netip"
	"testing"
	"time"

	"seikan/internal/gateway"
)

func TestStatusBecomesEvidenceOfItsOwnTunnels(t *testing.T) {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	at := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	st := gateway.Status{
		Name: "vgw", Strangers: 3, StrangerFrom: addr("192.0.2.9"),
		Tunnels: []gateway.TunnelStatus{
			{ID: "vpn-a/1", Up: true, Inside: prefix("169.254.10.1/30"), Initiate: true, Dead: gateway.DeadStatus{AfterSeconds: 30, Action: "clear"},
				IKE:   gateway.IKEStatus{Extensions: []string{"fragmentation"}, Remote: netip.MustParseAddrPort("198.51.100.2:4500")},
				Child: &gateway.ChildStatus{LocalTS: []string{"0.0.0.0/0", "10.0.0.0/8[6/443-443]"}, RemoteTS: []string{"192.168.1.0/24"}},
				Downs: []gateway.Down{{At: at, Seconds: 1.5, Reason: "dead"}}},
			{ID: "vpn-b/1"},
		},
		Routes: []gateway.RouteStatus{{Prefix: prefix("192.168.1.0/24"), Tunnel: "vpn-a/1", Learned: true}, {Prefix: prefix("172.16.0.0/16"), Tunnel: "vpn-b/1"}, {Prefix: prefix("10.9.0.0/16")}},
		BGP: &gateway.BGPStatus{ASN: 64512, Peers: []gateway.BGPPeer{
			{Tunnel: "vpn-a/1", Remote: addr("169.254.10.2"), State: "Established", ASN: 65000, Received: 2, LastError: "x",
				Routes: []gateway.BGPRoute{{Prefix: prefix("0.0.0.0/0"), Refused: "not asked for"}, {Prefix: prefix("192.168.1.0/24")}}},
		}},
	}
	g := Of(st, func(id string) bool { return id == "vpn-a/1" })
	if len(g.Tunnels) != 1 || !g.BGP || g.ASN != 64512 || g.Strangers != 3 || g.StrangerFrom != st.StrangerFrom {
		t.Fatalf("got %+v", g)
	}
	// That of the other connection is left out; the one of no tunnel stays.
	if len(g.Routes) != 3 || g.Routes[1].Prefix != prefix("10.9.0.0/16") || g.Routes[2].Refused != "not asked for" {
		t.Errorf("routes: got %+v", g.Routes)
	}
	tun := g.Tunnels[0]
	if !tun.Up || !tun.Initiate || !tun.Fragmentation || tun.InsideLocal != addr("169.254.10.1") || tun.InsideRemote != addr("169.254.10.2") ||
		tun.Session == nil || tun.Session.PeerASN != 65000 || tun.Dead.After != 30*time.Second {
		t.Errorf("tunnel: got %+v", tun)
	}
	if len(tun.LocalTS) != 1 || tun.LocalTS[0] != prefix("0.0.0.0/0") || len(tun.RemoteTS) != 1 {
		t.Errorf("selectors: got %v and %v, want those of whole prefixes", tun.LocalTS, tun.RemoteTS)
	}
	if len(tun.Downs) != 1 || tun.Downs[0].Lasted != 1500*time.Millisecond {
		t.Errorf("downs: got %+v", tun.Downs)
	}
}
