package host

import (
	"net/netip"
	"reflect"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
)

func TestAReportHasWhatTheTunnelsSessionBrings(t *testing.T) {
	p, med := netip.MustParsePrefix, uint32(50)
	status := &gateway.BGPStatus{Peers: []gateway.BGPPeer{{Tunnel: "vpn-1/1"}, {
		Tunnel: "vpn-1/2", Established: true, LastError: "an old one", Routes: []gateway.BGPRoute{
			{Prefix: p("10.0.5.0/24"), ASPath: []uint32{65000}, Refused: "it is inside 10.0.0.0/16, which we announce ourselves"},
			{Prefix: p("192.168.1.0/24"), ASPath: []uint32{65000}, Origin: "IGP"},
			{Prefix: p("192.168.2.0/24"), ASPath: []uint32{65000, 65001}, Origin: "EGP", MED: &med},
		}}}}
	cut := &gateway.BGPStatus{Peers: []gateway.BGPPeer{status.Peers[0], status.Peers[1]}}
	cut.Peers[1].BFD = &gateway.BFDStatus{State: "Down", Cut: true}
	up := gateway.TunnelStatus{ID: "vpn-1/2", Up: true, IKE: gateway.IKEStatus{Version: 2}}
	detail := resource.TunnelDetail{IKEVersion: "ikev2"}
	for _, c := range []struct {
		name   string
		status *gateway.BGPStatus
		tunnel gateway.TunnelStatus
		want   vpn.Report
	}{
		{"a gateway without BGP", nil, up, vpn.Report{Up: true, Detail: detail}},
		{"a session", status, up, vpn.Report{Up: true, Detail: detail, BGP: true, Learned: []resource.LearnedRoute{
			{Prefix: p("192.168.1.0/24"), ASPath: []uint32{65000}, MED: 100, Origin: "IGP"},
			{Prefix: p("192.168.2.0/24"), ASPath: []uint32{65000, 65001}, MED: 50, Origin: "EGP"}}}},
		{"a session whose tunnel is dead", status, gateway.TunnelStatus{ID: "vpn-1/2", Reason: "dead peer"}, vpn.Report{Reason: "dead peer"}},
		{"a session whose path BFD found broken", cut, up, vpn.Report{Up: true, Detail: detail, Reason: "BFD: its path is broken"}},
		{"no session yet", status, gateway.TunnelStatus{ID: "vpn-1/1", Up: true, IKE: gateway.IKEStatus{Version: 2}}, vpn.Report{Up: true, Detail: detail}},
	} {
		if got := report(c.tunnel, peerOf(c.status, c.tunnel.ID)); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}
