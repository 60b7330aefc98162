package gateway

import (
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"seikan/internal/nettest"
	"seikan/internal/routing/bgp"
)

// What another process had learned carries traffic while BGP has said nothing, and
// else is unreachable, not in clear; it goes with its tunnel's SAs, with time, and
// with what the peer says.
func TestStaleRoutesCountUntilBGPTells(t *testing.T) {
	vpc, other := prefix("10.0.0.0/16"), prefix("10.1.0.0/16")
	for _, tt := range []struct {
		name   string
		change func(*Gateway, *bgp.PeerStatus)
		stale  bool // counts still
	}{
		{"no session yet", func(*Gateway, *bgp.PeerStatus) {}, true},
		{"a session that has not told all", func(_ *Gateway, p *bgp.PeerStatus) { p.Established, p.Since = true, time.Now() }, true},
		{"End-of-RIB", func(_ *Gateway, p *bgp.PeerStatus) {
			p.Established, p.Since, p.Complete = true, time.Now(), true
		}, false},
		{"a session that never says so", func(_ *Gateway, p *bgp.PeerStatus) {
			p.Established, p.Since = true, time.Now().Add(-endOfRIB)
		}, false},
		{"two minutes", func(g *Gateway, _ *bgp.PeerStatus) { g.routing.stale.until = time.Now().Add(-time.Second) }, false},
		{"a tunnel that was down", func(g *Gateway, _ *bgp.PeerStatus) {
			g.tunnels["1"].downs = []Down{{At: time.Now()}}
		}, false},
		{"a tunnel that began anew", func(g *Gateway, _ *bgp.PeerStatus) { g.tunnels["1"].resumed = false }, false},
		{"no tunnel", func(g *Gateway, _ *bgp.PeerStatus) { delete(g.tunnels, "1") }, false},
	} {
		g, err := New(dynamic(), Options{Log: slog.New(slog.NewTextHandler(&nettest.Buffer{}, nil))})
		if err != nil {
			t.Fatal(err)
		}
		g.have, g.tunnels["1"] = g.want, &running{resumed: true}
		g.routing.stale.routes, g.routing.stale.until = map[string][]bgp.Route{"1": {{Prefix: vpc}}}, time.Now().Add(staleFor)
		peers := []bgp.PeerStatus{{Name: "1"}, {Name: "2", Established: true, Complete: true, Since: time.Now()}}
		if tt.stale { // without any session what is not carried is held
			peers[1] = bgp.PeerStatus{Name: "2"}
		}
		tt.change(g, &peers[0])
		peers[0].Routes = append(peers[0].Routes, bgp.Route{Prefix: other})
		g.addStaleLocked(peers)
		learned := g.learnLocked(peers)
		routes := learned["1"]
		if got := len(routes) == 2 && routes[0].Prefix == vpc && routes[0].Stale && !routes[1].Stale && peers[0].Accepted == 1; got != tt.stale || len(routes) == 0 {
			t.Errorf("%s: got %+v, want the route of before %v", tt.name, peers[0], tt.stale)
		}
		if g.routing.held[vpc] != tt.stale || !g.routing.held[other] {
			t.Errorf("%s: held %v, want %v %v", tt.name, g.routing.held, vpc, tt.stale)
		}
	}
}

// What was kept is not believed beyond what may be learned now, is forgotten only
// by who lays the routes, and till then calls for that.
func TestStaleRoutesAreForgottenWithTheirRoutes(t *testing.T) {
	cfg := dynamic()
	g, err := New(cfg, Options{Log: slog.New(slog.NewTextHandler(&nettest.Buffer{}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	g.have, g.tunnels["1"] = g.want, &running{resumed: true}
	vpc, peer := prefix("10.0.0.0/16"), bgp.PeerStatus{Name: "1", Remote: netip.MustParseAddr("169.254.11.1")}
	kept := bgp.Route{Prefix: vpc, NextHop: peer.Remote}
	all, loop, elsewhere, none := kept, kept, kept, kept
	all.Prefix, loop.ASPath, elsewhere.NextHop, none.Prefix = prefix("0.0.0.0/0"), []uint32{64512, cfg.BGP.ASN}, netip.Addr{}, netip.Prefix{}
	g.routing.stale.routes, g.routing.stale.until = map[string][]bgp.Route{"1": {all, kept, loop, elsewhere, none}, "gone": {kept}}, time.Now().Add(staleFor)
	look := func() []bgp.Route {
		peers := []bgp.PeerStatus{peer}
		g.addStaleLocked(peers)
		return peers[0].Routes
	}
	if got := look(); len(got) != 1 || got[0].Prefix != vpc {
		t.Errorf("of before: got %+v, want %v alone", got, vpc)
	}
	if !g.goesOnLocked() {
		t.Error("with an unbroken tunnel: packets are not forwarded as before")
	}
	g.tunnels["1"].resumed = false
	if g.goesOnLocked() {
		t.Error("without an unbroken tunnel: packets are forwarded as before")
	}
	if got := look(); len(got) != 0 || len(g.routing.stale.routes) != 2 {
		t.Errorf("a look at the status: got %+v, %+v, want nothing, and all kept", got, g.routing.stale.routes)
	}
	g.tunnels["1"].resumed = true
	g.forgetStaleLocked([]bgp.PeerStatus{peer})
	if got := g.routing.stale.routes; len(got) != 1 || got["1"] == nil {
		t.Errorf("of a peer that is no more: got %+v, want that of 1 alone", got)
	}
	g.routing.stale.until = time.Now().Add(-time.Second)
	g.forgetStaleLocked([]bgp.PeerStatus{peer})
	if got := g.routing.stale.routes; len(got) != 0 {
		t.Errorf("after its time: got %+v, want nothing", got)
	}
}

// The kernel is not as it shall be while it has routes that time takes away.
func TestStaleRoutesKeepAGatewayLooking(t *testing.T) {
	g, _, _ := run(t, waiting())
	until(t, g, "both tunnels", runs)
	if !g.intact(t.Context()) {
		t.Fatal("intact: got false, want true")
	}
	g.mu.Lock()
	g.routing.stale.routes = map[string][]bgp.Route{"1": nil}
	g.mu.Unlock()
	if g.intact(t.Context()) {
		t.Error("with stale routes: intact: got true, want false")
	}
}

// Routes of before count no longer for being kept by one process after another.
func TestStaleRoutesDoNotLastByBeingKilledAgain(t *testing.T) {
	vpc, state := prefix("10.0.0.0/16"), t.TempDir()+"/state"
	process := func() *Gateway {
		g, err := New(dynamic(), Options{Log: slog.New(slog.NewTextHandler(&nettest.Buffer{}, nil)), StateDirectory: state})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.openStore(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.store.Close() })
		g.have = g.want
		return g
	}
	peer := bgp.PeerStatus{Name: "1", Local: netip.MustParseAddr("169.254.11.2"), Remote: netip.MustParseAddr("169.254.11.1"), ASN: 64512}
	peer.Routes = []bgp.Route{{Prefix: vpc, NextHop: peer.Remote}}
	g := process()
	g.saveLearnedLocked([]bgp.PeerStatus{peer})
	last := time.Time{}
	for i := range 3 {
		g.store.Close()
		g = process()
		if len(g.routing.stale.routes["1"]) != 1 {
			t.Fatalf("process %d: got %+v, want the route of before", i+1, g.routing.stale.routes)
		}
		if i > 0 && !g.routing.stale.until.Equal(last) {
			t.Errorf("process %d: they count until %v, want %v as before", i+1, g.routing.stale.until, last)
		}
		last = g.routing.stale.until
		g.saveLearnedLocked([]bgp.PeerStatus{peer})
	}
	g.routing.stale.until = time.Now().Add(-time.Second)
	g.saveLearnedLocked([]bgp.PeerStatus{peer})
	g.store.Close()
	if g = process(); len(g.routing.stale.routes) != 0 {
		t.Errorf("after their time: got %+v, want nothing", g.routing.stale.routes)
	}
}

// When routes of before end to count a look at them is called for, at that time.
func TestStaleRoutesEndOnTime(t *testing.T) {
	for _, tt := range []struct {
		name        string
		established bool
		after       time.Duration
	}{{"a session that never says that it has told all", true, endOfRIB}, {"no session", false, staleFor}} {
		synctest.Test(t, func(t *testing.T) {
			g := &Gateway{kick: make(chan struct{}, 1), want: dynamic(), tunnels: map[string]*running{"1": {resumed: true}}}
			g.have = g.want
			g.routing.stale.routes, g.routing.stale.until = map[string][]bgp.Route{"1": {{Prefix: prefix("10.0.0.0/16")}}}, time.Now().Add(staleFor)
			began, peers := time.Now(), []bgp.PeerStatus{{Name: "1", Established: tt.established, Since: time.Now()}}
			for range 3 { // as other things happen
				g.forgetStaleLocked(peers)
			}
			select {
			case <-g.kick:
			case <-time.After(time.Hour):
				t.Fatalf("%s: nobody looks again", tt.name)
			}
			if after := time.Since(began).Truncate(time.Second); after != tt.after {
				t.Errorf("%s: looks again after %v, want %v", tt.name, after, tt.after)
			}
			if g.forgetStaleLocked(peers); len(g.routing.stale.routes) != 0 {
				t.Errorf("%s: got %+v then, want nothing", tt.name, g.routing.stale.routes)
			}
		})
	}
}
