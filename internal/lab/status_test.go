package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/gateway"
)

func TestATunnelShowsItsSessionAndWarnsOfADefaultRoute(t *testing.T) {
	p := netip.MustParsePrefix
	g := gateway.Status{
		Tunnels: []gateway.TunnelStatus{{ID: "one", Up: true}, {ID: "two", Up: true}},
		Routes:  []gateway.RouteStatus{{Prefix: p("192.168.1.0/24"), Tunnel: "two", Learned: true}},
		BGP: &gateway.BGPStatus{Peers: []gateway.BGPPeer{{Tunnel: "two", State: "Established", Established: true, Announced: 1, Routes: []gateway.BGPRoute{
			{Prefix: p("0.0.0.0/0")}, {Prefix: p("10.0.5.0/24"), Refused: "it is inside 10.0.0.0/16, which we announce ourselves"}, {Prefix: p("192.168.1.0/24")}}}}},
	}
	got := TunnelsOf("vpn", "cloud", g)
	if got[0].BGP != nil || got[0].Carries || got[1].BGP == nil || !got[1].Carries {
		t.Fatalf("got %+v, want a session with the second tunnel only, which carries", got)
	}
	if s, want := fmt.Sprint(*got[1].BGP), "{true Established [0.0.0.0/0 192.168.1.0/24] 1  <nil>}"; s != want {
		t.Errorf("session: got %s, want %s", s, want)
	}
	g.BGP.Peers[0].BFD = &gateway.BFDStatus{State: "Down", DetectMillis: 750, Cut: true}
	if b := TunnelsOf("vpn", "cloud", g)[1].BGP.BFD; b == nil || *b != (BFDStatus{"Down", 750, true}) {
		t.Errorf("BFD: got %+v, want it down, the tunnel cut", b)
	}
	notes := defaultWarnings(got)
	if len(notes) != 1 || !strings.Contains(notes[0], "tunnel 2 of vpn") || !strings.Contains(notes[0], "0.0.0.0/0") {
		t.Errorf("notes: got %q, want one about tunnel 2", notes)
	}
	g.BGP.Peers[0].Routes[0].Refused = "default route, which is not accepted unless asked for"
	if notes := defaultWarnings(TunnelsOf("vpn", "cloud", g)); len(notes) != 0 {
		t.Errorf("a default route that is refused: got %q, want no warning", notes)
	}
}
