package gateway

import (
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"seikan/internal/linux/netspec"
	"seikan/internal/nettest"
	"seikan/internal/routing/bgp"
)

// heard is a route that AWS announces.
func heard(p string, hops int, med uint32) bgp.Route {
	r := bgp.Route{Prefix: prefix(p), ASPath: []uint32{64512, 1, 2, 3}[:hops], Hops: hops, MED: med, HasMED: med > 0}
	return r
}

// vpn §4.3: static over BGP, the shorter path, the lower MED of the same first
// system, and then staying; a tunnel's health goes before all of it.
func TestChooseByBGP(t *testing.T) {
	vpc := prefix("10.0.0.0/16")
	both := map[string]bool{"1": true, "2": true}
	bare := []Tunnel{{ID: "1"}, {ID: "2"}}
	static := []Tunnel{{ID: "1"}, {ID: "2", Routes: []netip.Prefix{vpc}}}
	other := heard("10.0.0.0/16", 1, 1)
	other.ASPath = []uint32{7224}
	one := func(r bgp.Route) []bgp.Route { return []bgp.Route{r} }
	tests := []struct {
		name     string
		tunnels  []Tunnel
		up       map[string]bool
		one, two []bgp.Route
		before   string
		want     map[netip.Prefix]pick
	}{
		{"the first of equals", bare, both, one(heard("10.0.0.0/16", 1, 100)), one(heard("10.0.0.0/16", 1, 100)), "", map[netip.Prefix]pick{vpc: {"1", true}}},
		{"equals, and the second is in use", bare, both, one(heard("10.0.0.0/16", 1, 100)), one(heard("10.0.0.0/16", 1, 100)), "2", map[netip.Prefix]pick{vpc: {"2", true}}},
		{"a shorter path", bare, both, one(heard("10.0.0.0/16", 3, 0)), one(heard("10.0.0.0/16", 2, 200)), "1", map[netip.Prefix]pick{vpc: {"2", true}}},
		{"a lower MED", bare, both, one(heard("10.0.0.0/16", 1, 200)), one(heard("10.0.0.0/16", 1, 100)), "1", map[netip.Prefix]pick{vpc: {"2", true}}},
		{"no MED counts as 100", bare, both, one(heard("10.0.0.0/16", 1, 101)), one(heard("10.0.0.0/16", 1, 0)), "1", map[netip.Prefix]pick{vpc: {"2", true}}},
		{"MEDs of different systems", bare, both, one(heard("10.0.0.0/16", 1, 200)), one(other), "", map[netip.Prefix]pick{vpc: {"1", true}}},
		{"static", static, both, one(heard("10.0.0.0/16", 1, 1)), nil, "1", map[netip.Prefix]pick{vpc: {"2", false}}},
		{"static whose tunnel is down", static, map[string]bool{"1": true}, one(heard("10.0.0.0/16", 1, 1)), nil, "2", map[netip.Prefix]pick{vpc: {"1", true}}},
		{"the better tunnel is down", bare, map[string]bool{"2": true}, one(heard("10.0.0.0/16", 1, 1)), one(heard("10.0.0.0/16", 3, 200)), "1", map[netip.Prefix]pick{vpc: {"2", true}}},
		{"withdrawn", bare, both, nil, nil, "1", map[netip.Prefix]pick{}},
		{"each its own", bare, both, one(heard("10.1.0.0/16", 1, 0)), one(heard("10.0.0.0/16", 1, 0)), "", map[netip.Prefix]pick{prefix("10.1.0.0/16"): {"1", true}, vpc: {"2", true}}},
	}
	for _, tt := range tests {
		before := map[netip.Prefix]pick{vpc: {tt.before, true}}
		got := choose(tt.tunnels, tt.up, map[string][]bgp.Route{"1": tt.one, "2": tt.two}, before)
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// routeTo is the route of s to dst with its metric; nil when there is none.
func routeTo(s netspec.Spec, dst string, kind netspec.RouteType) *netspec.Route {
	for _, r := range s.Namespaces[0].Routes {
		if r.Dst == prefix(dst) && r.Type == kind {
			return &r
		}
	}
	return nil
}

func TestLearnedRoutesGiveWayToTheSitesOwn(t *testing.T) {
	cfg := Config{Tunnels: []Tunnel{{ID: "1", Interface: "tun1"}}}
	chosen := map[netip.Prefix]pick{prefix("10.0.0.0/16"): {"1", true}, prefix("0.0.0.0/0"): {"1", true}}
	held := map[netip.Prefix]bool{prefix("10.0.0.0/16"): true, prefix("10.1.0.0/16"): true, prefix("0.0.0.0/0"): true}
	s := spec(cfg, chosen, held, nil)
	if r := routeTo(s, "10.0.0.0/16", netspec.Unicast); r == nil || r.Metric != learnedMetric || r.Dev != "tun1" {
		t.Errorf("10.0.0.0/16: got %+v, want it by tun1 with metric %d", r, learnedMetric)
	}
	if r := routeTo(s, "10.1.0.0/16", netspec.Unreachable); r == nil || r.Metric != backstop {
		t.Errorf("10.1.0.0/16, which nobody carries now: got %+v, want it unreachable", r)
	}
	// A learned default route goes before the site's, whatever the metric of that.
	for _, half := range []string{"0.0.0.0/1", "128.0.0.0/1"} {
		if r := routeTo(s, half, netspec.Unicast); r == nil {
			t.Errorf("%s: no route", half)
		}
	}
	if r := routeTo(s, "0.0.0.0/0", netspec.Unreachable); r != nil {
		t.Errorf("the site's own default route is hidden by %+v", r)
	}
	if err := s.Normalize().Validate(); err != nil {
		t.Error(err)
	}
}

func TestRoutesThatWouldHarmAreRefused(t *testing.T) {
	lo := link(t, "lo")
	add := func(dst string) {
		to, err := netlink.ParseIPNet(dst)
		if err != nil {
			t.Fatal(err)
		}
		r := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: to, Scope: netlink.SCOPE_LINK}
		if err := netlink.RouteAdd(r); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netlink.RouteDel(r) })
	}
	add("0.0.0.0/0")
	cfg := waiting()
	cfg.Tunnels[0].Outside.Remote, cfg.Tunnels[1].Outside.Remote = netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.11")
	cfg.BGP = BGP{Announce: []netip.Prefix{prefix("192.168.1.0/24"), prefix("0.0.0.0/0")}}
	g := &Gateway{have: cfg}
	check := func(p, want string) {
		t.Helper()
		if got := g.harm(prefix(p)); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", p, got, want)
		}
	}
	check("10.0.0.0/16", "")
	check("192.168.0.0/16", "")
	check("192.168.1.0/24", "inside 192.168.1.0/24, which we announce ourselves")
	check("192.168.1.128/25", "inside 192.168.1.0/24")
	check("203.0.113.0/24", "it holds 203.0.113.10, the outside address of tunnel 1's peer")
	check("0.0.0.0/0", "give that address a route of its own")
	add("203.0.113.10/32")
	check("0.0.0.0/0", "203.0.113.11")
	add("203.0.113.11/32")
	check("0.0.0.0/0", "")
	check("203.0.113.0/24", "")
	g.have.Tunnels[1].Outside.Remote = netip.Addr{}
	check("0.0.0.0/0", "every address that the peer of tunnel 2 may come from")
}

// dynamic is waiting with BGP.
func dynamic() Config {
	cfg := waiting()
	cfg.BGP = BGP{ASN: 65000, Announce: []netip.Prefix{prefix("192.168.1.0/24")}}
	for i := range cfg.Tunnels {
		cfg.Tunnels[i].Routes, cfg.Tunnels[i].BGP = nil, Session{PeerASN: 64512}
	}
	return cfg
}

func TestGatewaySpeaksBGPWhenTold(t *testing.T) {
	g, log, stop := run(t, dynamic())
	s := until(t, g, "both tunnels and BGP", func(s Status) bool { return runs(s) && s.BGP != nil })
	if s.BGP.ASN != 65000 || s.BGP.RouterID != netip.MustParseAddr("169.254.11.2") || len(s.BGP.Peers) != 2 || s.BGP.Peers[1].Remote != netip.MustParseAddr("169.254.12.1") {
		t.Errorf("got %+v, want ASN 65000, router ID 169.254.11.2 and a peer of each tunnel", s.BGP)
	}
	// The router ID stays when another tunnel comes first; sessions go on with it.
	next := dynamic()
	next.Tunnels[0], next.Tunnels[1] = next.Tunnels[1], next.Tunnels[0]
	if err := g.Set(next); err != nil {
		t.Fatal(err)
	}
	s = until(t, g, "the other order", func(s Status) bool { return s.BGP.Peers[0].Tunnel == "2" })
	if s.BGP.RouterID != netip.MustParseAddr("169.254.11.2") {
		t.Errorf("router ID: got %v, want the one of before", s.BGP.RouterID)
	}
	if err := g.Set(waiting()); err != nil {
		t.Fatal(err)
	}
	until(t, g, "no BGP", func(s Status) bool { return s.BGP == nil })
	if err := stop(); err != nil {
		t.Errorf("Run: got %v", err)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("log: %s", log)
	}
}

func TestBGPChangesKeepTheSAs(t *testing.T) {
	a, b := waiting().Tunnels[0], dynamic().Tunnels[0]
	if !a.sameSession(b) {
		t.Error("BGP alone begins the tunnel anew")
	}
	x, _ := a.digest()
	if y, _ := b.digest(); x != y {
		t.Error("BGP alone makes kept SAs worthless")
	}
}

func TestValidateNamesWhatBGPLacks(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"BGP.ASN: missing, though tunnel 1": func(c *Config) { c.BGP.ASN = 0 },
		"BGP.ASN is given, but no tunnel":   func(c *Config) { c.Tunnels[0].BGP, c.Tunnels[1].BGP = Session{}, Session{} },
		"BGP.Lists has none":                func(c *Config) { c.Tunnels[0].Endpoint.List = "none" },
		"BGP.PeerASN: missing":              func(c *Config) { c.Tunnels[0].BGP.PeerASN, c.Tunnels[0].BGP.MED = 0, 5 },
		"the two inside addresses":          func(c *Config) { c.Tunnels[0].Inside = netip.Prefix{} },
		"keep out of the tunnel":            func(c *Config) { c.Tunnels[0].LocalTS = prefix("192.168.1.0/24") },
		"ASN 65000 is our own":              func(c *Config) { c.Tunnels[0].BGP.PeerASN = 65000 },
		"is that of peer 1":                 func(c *Config) { c.Tunnels[1].Inside = prefix("169.254.11.2/30") },
		"other options of BGP": func(c *Config) {
			*c = waiting()
			c.BGP.AcceptDefault = true
		},
	} {
		cfg := dynamic()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
	if err := dynamic().Validate(); err != nil {
		t.Error(err)
	}
}

func TestPrefixesStayShutWhileNoSessionIsLeft(t *testing.T) {
	g, err := New(dynamic(), Options{Log: slog.New(slog.NewTextHandler(&nettest.Buffer{}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	vpc := prefix("10.0.0.0/16")
	g.routing.held = map[netip.Prefix]bool{vpc: true}
	g.have = g.want
	speaker, err := bgp.New(g.have.speaker(netip.Addr{}, nil), bgp.Options{Log: g.log})
	if err != nil {
		t.Fatal(err)
	}
	g.routing.speech = &speech{Speaker: speaker}
	if got := g.learnLocked(g.peersLocked()); len(got) != 0 || !g.routing.held[vpc] {
		t.Errorf("without a session: got %v and held %v, want nothing learned and %v held", got, g.routing.held, vpc)
	}
	if got := g.Status().Routes; len(got) != 1 || got[0].Prefix != vpc || got[0].Tunnel != "" || !got[0].Learned {
		t.Errorf("status: got %+v, want %v by nothing", got, vpc)
	}
	g.routing.speech = nil
	if g.learnLocked(g.peersLocked()); g.routing.held[vpc] {
		t.Error("without BGP: still held")
	}
}
