package gateway

import (
	"net/netip"
	"strings"
	"testing"
)

// six is waiting with tunnels that carry IPv6.
func six() Config {
	cfg := waiting()
	for i, inside := range []string{"fd00:a::2/126", "fd00:b::2/126"} {
		cfg.Tunnels[i].Inside, cfg.Tunnels[i].Routes = prefix(inside), []netip.Prefix{prefix("2001:db8::/32")}
	}
	return cfg
}

func TestATunnelCarriesOneFamily(t *testing.T) {
	cfg := six()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if d := cfg.Tunnels[0].withDefaults(); d.LocalTS != prefix("::/0") || d.RemoteTS != prefix("::/0") {
		t.Errorf("selectors: got %v and %v, want ::/0", d.LocalTS, d.RemoteTS)
	}
	if got := insidePeer(prefix("fd00:a::2/126")); got != netip.MustParseAddr("fd00:a::1") {
		t.Errorf("the peer: got %v, want fd00:a::1", got)
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"a route of the other", func(c *Config) { c.Tunnels[0].Routes = []netip.Prefix{prefix("10.0.0.0/16")} }, "tunnel 1: field Routes 10.0.0.0/16: the tunnel carries IPv6"},
		{"a selector of the other", func(c *Config) { c.Tunnels[0].LocalTS = prefix("192.168.1.0/24") }, "field LocalTS 192.168.1.0/24 and RemoteTS ::/0: the tunnel carries IPv6"},
		{"an address that no host has", func(c *Config) { c.Tunnels[0].Inside = prefix("ff02::1/126") }, "field Inside ff02::1/126"},
		{"BGP without a name", func(c *Config) {
			c.BGP.ASN, c.Tunnels[0].BGP = 65000, Session{PeerASN: 64512}
		}, "BGP.RouterID: missing, and no session's inside address is one of IPv4"},
		{"an announcement that no session carries", func(c *Config) {
			c.BGP = BGP{ASN: 65000, RouterID: netip.MustParseAddr("192.0.2.1"), Announce: []netip.Prefix{prefix("10.0.0.0/8")}}
			c.Tunnels[0].BGP = Session{PeerASN: 64512}
		}, "field Announce 10.0.0.0/8: no session is of its family"},
	} {
		cfg := six()
		tt.change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestEachSessionAnnouncesItsFamily(t *testing.T) {
	cfg := dynamic()
	cfg.Tunnels[1].Inside = prefix("fd00:b::2/126")
	cfg.BGP.Announce = []netip.Prefix{prefix("192.168.1.0/24"), prefix("2001:db8:1::/48")}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	peers := cfg.speaker(netip.Addr{}, nil).Peers
	if len(peers[0].Announce) != 1 || peers[0].Announce[0] != prefix("192.168.1.0/24") || len(peers[1].Announce) != 1 || peers[1].Announce[0] != prefix("2001:db8:1::/48") {
		t.Errorf("got %v and %v, want each its own family", peers[0].Announce, peers[1].Announce)
	}
}

func TestRoutesOfIPv6(t *testing.T) {
	cfg := six()
	cfg.Forward = true
	s := spec(cfg, map[netip.Prefix]pick{prefix("2001:db8::/32"): {tunnel: "1"}, prefix("::/0"): {"2", true}}, nil, nil)
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	text := s.String()
	for _, want := range []string{
		"sysctl net.ipv6.conf.all.forwarding = 1", "inet6 fd00:a::2/126",
		"route unreachable 2001:db8::/32 metric 4278198272", "route 2001:db8::/32 dev " + cfg.Tunnels[0].Interface,
		"route ::/1 dev " + cfg.Tunnels[1].Interface + " metric 17900", "route 8000::/1 dev " + cfg.Tunnels[1].Interface + " metric 17900",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got no %q in\n%s", want, text)
		}
	}
	plain := spec(waiting(), nil, nil, nil)
	if _, ok := plain.Namespaces[0].Sysctls["net.ipv6.conf.all.forwarding"]; ok {
		t.Error("without IPv6 its forwarding is switched on")
	}
}

// TestInsideAddressesAreNotLearned: a peer could draw another tunnel's session to
// itself.
func TestInsideAddressesAreNotLearned(t *testing.T) {
	g := &Gateway{have: six()}
	for p, refused := range map[string]bool{"fd00:a::1/128": true, "fd00:b::/126": true, "fd00::/8": false, "fd00:c::/126": false} {
		if got := g.harm(prefix(p)); strings.Contains(got, "of the inside addresses of tunnel") != refused {
			t.Errorf("%s: got %q, refused: want %v", p, got, refused)
		}
	}
}
