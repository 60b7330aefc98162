package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// aside is a gateway whose routes are somebody else's, with two tunnels to
// systems 65001 and 65002.
func aside() Config {
	cfg := dynamic()
	cfg.RoutesElsewhere, cfg.BGP = true, BGP{ASN: 64512}
	for i := range cfg.Tunnels {
		t := &cfg.Tunnels[i]
		t.ID, t.BGP, t.Routes = fmt.Sprintf("t%d", i+1), Session{PeerASN: 65001 + uint32(i)}, nil
	}
	return cfg
}

func TestAGatewayWhoseRoutesAreElsewhereLaysNone(t *testing.T) {
	p := netip.MustParsePrefix("192.168.1.0/24")
	cfg := aside()
	chosen, held := map[netip.Prefix]pick{p: {tunnel: "t1", learned: true}}, map[netip.Prefix]bool{p: true}
	for _, n := range spec(cfg, chosen, held, nil).Namespaces {
		if len(n.Routes) != 0 || len(n.Links) != 2 || n.Links[0].Sysctls["rp_filter"] != "" || len(n.Links[0].Addrs) != 1 {
			t.Errorf("got %v, want two links with addresses and nothing else", n)
		}
	}
	cfg.RoutesElsewhere = false
	if n := spec(cfg, chosen, held, nil).Namespaces[0]; len(n.Routes) != 2 {
		t.Errorf("of its own: got %v, want a route and its backstop", n.Routes)
	}
}

func TestEachPeerIsToldItsOwn(t *testing.T) {
	cfg := aside()
	vpc, site, all := netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("0.0.0.0/0")
	cfg.BGP.Lists = map[string][]Announcement{
		"in":  {{Prefix: vpc}, {Prefix: site, ASPath: []uint32{65001}}},
		"out": {{Prefix: all}, {Prefix: site, ASPath: []uint32{65001}}, {Prefix: vpc, Behind: "t2"}},
	}
	cfg.Tunnels[0].Endpoint.List, cfg.Tunnels[1].Endpoint.List = "in", "out"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s := cfg.speaker(netip.Addr{}, nil)
	got := fmt.Sprint(s.Peers[0].Announce, s.Peers[1].Announce, s.Relayed)
	if want := "[10.0.0.0/16] [0.0.0.0/0 192.168.1.0/24] [{192.168.1.0/24 [65001]}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if w := cfg.Warnings(); len(w) != 1 || !strings.Contains(w[0], "tunnel t2") {
		t.Errorf("warnings: got %q, want one of the default route over t2", w)
	}
}
