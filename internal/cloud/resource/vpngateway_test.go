package resource

import (
	"fmt"
	"net/netip"
	"testing"
)

func TestOnlyConnectionsWithATunnelUpPropagateTheirRoutes(t *testing.T) {
	route := func(cidr string, state State) StaticRoute {
		return StaticRoute{Destination: netip.MustParsePrefix(cidr), State: state}
	}
	// Two connections that share a route; the second has one route more.
	base := func() (VPNGateway, []VPNConnection) {
		g := VPNGateway{ID: "vgw-1", Attachment: VPNGatewayAttachment{VPCID: "vpc-1", State: Attached}}
		one := VPNConnection{VPNGatewayID: "vgw-1", State: StateAvailable, Routes: []StaticRoute{route("192.168.1.0/24", StateAvailable)}}
		two := VPNConnection{VPNGatewayID: "vgw-1", State: StateAvailable, Routes: []StaticRoute{
			route("10.9.0.0/16", StatePending), route("192.168.1.0/24", StateAvailable), route("192.168.7.0/24", StateDeleted)}}
		return g, []VPNConnection{one, two}
	}
	for _, c := range []struct {
		name string
		edit func(g *VPNGateway, one, two *VPNConnection)
		want string
	}{
		{"none up", func(_ *VPNGateway, _, _ *VPNConnection) {}, "[]"},
		{"the first's second tunnel up", func(_ *VPNGateway, one, _ *VPNConnection) { one.Telemetry[1].Status = TunnelUp }, "[192.168.1.0/24]"},
		{"both up: each route once", func(_ *VPNGateway, one, two *VPNConnection) {
			one.Telemetry[0].Status, two.Telemetry[0].Status = TunnelUp, TunnelUp
		}, "[10.9.0.0/16 192.168.1.0/24]"},
		{"up, but about to be deleted", func(_ *VPNGateway, one, _ *VPNConnection) {
			one.Telemetry[0].Status, one.State = TunnelUp, StateDeleting
		}, "[]"},
		{"up, but another gateway's", func(_ *VPNGateway, one, _ *VPNConnection) {
			one.Telemetry[0].Status, one.VPNGatewayID = TunnelUp, "vgw-2"
		}, "[]"},
		{"learned: over a tunnel whose session is away for a moment, too", func(_ *VPNGateway, one, two *VPNConnection) {
			one.Telemetry[0].Learned = []LearnedRoute{{Prefix: netip.MustParsePrefix("172.20.0.0/16")}, {Prefix: netip.MustParsePrefix("172.16.0.0/16")}}
			two.Telemetry[0].Status, two.Telemetry[1].Learned = TunnelUp, one.Telemetry[0].Learned[:1]
		}, "[10.9.0.0/16 172.16.0.0/16 172.20.0.0/16 192.168.1.0/24]"},
		{"learned, but about to be deleted", func(_ *VPNGateway, one, _ *VPNConnection) {
			one.Telemetry[0].Learned, one.State = []LearnedRoute{{Prefix: netip.MustParsePrefix("172.20.0.0/16")}}, StateDeleting
		}, "[]"},
		{"up, but not yet attached", func(g *VPNGateway, one, _ *VPNConnection) {
			one.Telemetry[0].Status, g.Attachment.State = TunnelUp, Attaching
		}, "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, list := base()
			c.edit(&g, &list[0], &list[1])
			if got := fmt.Sprint(PropagatedRoutes(g, list)); got != c.want {
				t.Errorf("PropagatedRoutes: got %s, want %s", got, c.want)
			}
		})
	}
}

func TestTheRouterHasTheFirstAddressOfTheLink(t *testing.T) {
	g := VPNGateway{Link: netip.MustParsePrefix("240.255.0.6/31")}
	if got := g.RouterAddress().String() + " " + g.GatewayAddress().String(); got != "240.255.0.6 240.255.0.7" {
		t.Errorf("link addresses: got %s, want 240.255.0.6 240.255.0.7", got)
	}
}
