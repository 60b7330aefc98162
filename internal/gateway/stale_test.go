package gateway

import (
	"log/slog"
	"testing"
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
