package host

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/routing/bgp"
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

// twoConnections is a store with vpn-a and vpn-b on a transit gateway.
func twoConnections(t *testing.T) *store.Store {
	t.Helper()
	s := cloudtest.Open(t, store.Config{})
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		for _, id := range []resource.VPNConnectionID{"vpn-a", "vpn-b"} {
			store.VPNConnections.Put(tx, id, resource.VPNConnection{ID: id, State: resource.StateAvailable, TransitGatewayID: "tgw-1"})
		}
		return nil
	})
	return s
}

// A customer gateway may announce as much as it may: what others' tunnels report is
// written all the same, and what the store refuses is tried again.
func TestWhatOnePeerAnnouncesKeepsNoOtherFromBeingRecorded(t *testing.T) {
	s := twoConnections(t)
	all := func(hops, n int) map[string]gateway.Status {
		var routes []gateway.BGPRoute
		path := slices.Repeat([]uint32{4200000000}, hops)
		for i := range n {
			routes = append(routes, gateway.BGPRoute{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20, byte(i >> 8), byte(i)}), 32), ASPath: path, Origin: "IGP"})
		}
		out := gateway.Status{BGP: &gateway.BGPStatus{}}
		for _, id := range []string{"vpn-a/1", "vpn-a/2", "vpn-b/1"} {
			out.Tunnels = append(out.Tunnels, gateway.TunnelStatus{ID: id, Up: true, IKE: gateway.IKEStatus{Version: 2}})
			p := gateway.BGPPeer{Tunnel: id, Established: true}
			if id != "vpn-b/1" {
				p.Routes = routes
			}
			out.BGP.Peers = append(out.BGP.Peers, p)
		}
		return map[string]gateway.Status{"tgw-1": out}
	}
	status := func(id resource.VPNConnectionID) (got string) {
		cloudtest.Do(t, s, func(tx *store.Tx) error {
			c, _ := store.VPNConnections.Get(tx, id)
			got = c.Telemetry[0].StatusMessage
			return nil
		})
		return got
	}
	r := newTelemetry(s)
	if _, err := r.record(t.Context(), all(1000, 1000), nil, time.Now()); err == nil || status("vpn-b") != "0 BGP ROUTES" {
		t.Errorf("beside what is too much for the store: got %v and %q, want an error and 0 BGP ROUTES", err, status("vpn-b"))
	}
	if _, err := r.record(t.Context(), all(bgp.MaxPath, 1000), nil, time.Now()); err != nil || status("vpn-a") != "1000 BGP ROUTES" {
		t.Errorf("all that may be announced: got %v and %q, want 1000 BGP ROUTES", err, status("vpn-a"))
	}
}

// A peer that announces something else fifty times a second for ten seconds costs one
// transaction a second once it has had its first few, and what it said last is there a
// second later. Meanwhile its tunnel that goes down, and another connection's peer, are
// written at once.
func TestAPeerThatChangesAllTheTimeIsWrittenOnceASecond(t *testing.T) {
	s := twoConnections(t)
	say := func(tunnel string, up bool, octet byte) (gateway.TunnelStatus, gateway.BGPPeer) {
		route := gateway.BGPRoute{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20, octet, 0}), 24), ASPath: []uint32{65000}, Origin: "IGP"}
		return gateway.TunnelStatus{ID: tunnel, Up: up, IKE: gateway.IKEStatus{Version: 2}}, gateway.BGPPeer{Tunnel: tunnel, Established: up, Routes: []gateway.BGPRoute{route}}
	}
	r := newTelemetry(s)
	start := time.Now()
	// record tells of both connections after so long, and returns when to be asked again.
	record := func(after time.Duration, up bool, a, b byte) time.Duration {
		t.Helper()
		st := gateway.Status{BGP: &gateway.BGPStatus{}}
		for tunnel, octet := range map[string]byte{"vpn-a/1": a, "vpn-b/1": b} {
			status, peer := say(tunnel, up || tunnel == "vpn-b/1", octet)
			st.Tunnels, st.BGP.Peers = append(st.Tunnels, status), append(st.BGP.Peers, peer)
		}
		again, err := r.record(t.Context(), map[string]gateway.Status{"tgw-1": st}, nil, start.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	row := func(id resource.VPNConnectionID) (got resource.TunnelTelemetry) {
		t.Helper()
		cloudtest.Do(t, s, func(tx *store.Tx) error {
			c, _ := store.VPNConnections.Get(tx, id)
			got = c.Telemetry[0]
			return nil
		})
		return got
	}
	third := func(id resource.VPNConnectionID) byte {
		t.Helper()
		if l := row(id).Learned; len(l) == 1 {
			return l[0].Prefix.Addr().As4()[2]
		}
		return 0
	}
	const every, whole = 20 * time.Millisecond, 10 * time.Second
	record(0, true, 1, 1)
	written, before := 0, third("vpn-a")
	var again time.Duration
	var last byte
	for at := every; at <= whole; at += every {
		last = byte(2 + at/every%200)
		again = record(at, true, last, 1)
		if now := third("vpn-a"); now != before {
			written, before = written+1, now
			if now != last {
				t.Fatalf("after %v: got network %d, want %d, which is the last", at, now, last)
			}
		}
	}
	if most := changesAtOnce + int(whole/changesEvery); written > most || written < int(whole/changesEvery) {
		t.Errorf("of 500 changes in %v %d were written, want %v to %d", whole, written, whole/changesEvery, most)
	}
	t.Logf("of 500 changes %d were written", written)
	if again <= 0 || again > changesEvery {
		t.Errorf("the last change is to be looked at again after %v, want within %v", again, changesEvery)
	}
	record(whole, true, last, 77)
	if got := third("vpn-b"); got != 77 {
		t.Errorf("another connection's change: got network %d, want 77", got)
	}
	record(whole, false, last, 77)
	if got := row("vpn-a"); got.Status != resource.TunnelDown || len(got.Learned) != 0 {
		t.Errorf("a tunnel that went down: got %+v", got)
	}
	record(whole, true, 1, 77)
	record(whole, true, last, 77)
	if got := third("vpn-a"); got != 1 {
		t.Errorf("of what changed in the same moment: got network %d, want 1", got)
	}
	if again = record(whole+again, true, last, 77); again != 0 || third("vpn-a") != last {
		t.Errorf("after the wait: got network %d and %v more to wait, want %d and none", third("vpn-a"), again, last)
	}
	if record(time.Hour, true, last, 77); len(r.paces) != 0 {
		t.Errorf("an hour later %d connections are still counted", len(r.paces))
	}
}

func TestATunnelThatResumesKeepsWhatItLearned(t *testing.T) {
	up, session := vpn.Report{Up: true}, vpn.Report{Up: true, BGP: true}
	for _, c := range []struct {
		name      string
		before, r vpn.Report
		told      bool
		want      bool
	}{
		{"its gateway says nothing", session, vpn.Report{}, false, true},
		{"and it was down", vpn.Report{}, vpn.Report{}, false, false},
		{"its session is missing", session, up, true, true},
		{"its session is there", session, session, true, false},
		{"it had none", up, up, true, false},
		{"it is down", session, vpn.Report{}, true, false},
	} {
		if got := resumes(c.before, c.r, c.told); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	now := time.Now()
	g := &gateways{state: "somewhere", running: map[string]*runningGateway{
		"died":            {died: now.Add(-time.Second), config: gateway.Config{Tunnels: []gateway.Tunnel{{ID: "a"}}}},
		"resumed":         {lost: now.Add(-time.Second), config: gateway.Config{Tunnels: []gateway.Tunnel{{ID: "b"}}}},
		"long ago":        {lost: now.Add(-time.Minute), config: gateway.Config{Tunnels: []gateway.Tunnel{{ID: "c"}}}},
		"again and again": {lost: now.Add(-21 * time.Second), started: now.Add(-2 * time.Second), died: now.Add(-time.Second), config: gateway.Config{Tunnels: []gateway.Tunnel{{ID: "e"}}}},
		"never":           {config: gateway.Config{Tunnels: []gateway.Tunnel{{ID: "d"}}}},
	}}
	if got, want := g.resuming(now), map[string]bool{"a": true, "b": true}; !reflect.DeepEqual(got, want) {
		t.Errorf("resuming: got %v, want %v", got, want)
	}
	if g.state = ""; len(g.resuming(now)) != 0 {
		t.Error("a gateway without a state directory resumes")
	}
}
