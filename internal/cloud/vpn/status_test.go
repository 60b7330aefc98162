package vpn

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

func routing(id resource.VPNConnectionID, cidr string) func(*store.Tx) error {
	return func(tx *store.Tx) error { return CreateVPNConnectionRoute(tx, alice, id, prefix(cidr)) }
}

func unrouting(id resource.VPNConnectionID, cidr string) func(*store.Tx) error {
	return func(tx *store.Tx) error { return DeleteVPNConnectionRoute(tx, alice, id, prefix(cidr)) }
}

func (c *cloud) report(id resource.VPNConnectionID, tunnel int, r Report) {
	c.Helper()
	c.do(func(tx *store.Tx) error {
		SetTelemetry(tx, id, tunnel, r)
		return nil
	})
}

// routes prints the routes of a connection with their states.
func routes(c resource.VPNConnection) string {
	var out []string
	for _, r := range c.Routes {
		out = append(out, fmt.Sprintf("%v=%s", r.Destination, r.State))
	}
	return strings.Join(out, " ")
}

func TestAConnectionLivesThroughItsStates(t *testing.T) {
	c := newCloud(t)
	id := c.connect(c.pair().input()).ID
	want := func(state resource.State, list string) {
		t.Helper()
		row, found := c.connection(id)
		if !found || row.State != state || routes(row) != list {
			t.Errorf("got %s with routes %q, want %s with %q", row.State, routes(row), state, list)
		}
	}
	c.do(routing(id, "192.168.1.0/24"))
	want("pending", "192.168.1.0/24=pending")
	c.realise()
	want("available", "192.168.1.0/24=available")
	c.do(routing(id, "10.9.0.0/16"))
	want("available", "10.9.0.0/16=pending 192.168.1.0/24=available")
	c.realise()
	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, id) })
	want("deleting", "10.9.0.0/16=available 192.168.1.0/24=available")
	c.refused("InvalidVpnConnection.InvalidState", routing(id, "10.8.0.0/16"), "deleting")
	c.realise()
	want("deleted", "10.9.0.0/16=deleted 192.168.1.0/24=deleted")
	row, _ := c.connection(id)
	if !row.Tunnels[0].PreSharedKey.IsZero() || !row.Tunnels[1].PreSharedKey.IsZero() || !reflect.DeepEqual(row.Telemetry, [2]resource.TunnelTelemetry{}) {
		t.Errorf("a deleted connection keeps its keys or telemetry: %+v", row.Telemetry)
	}
	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, id) })
	c.now = c.now.Add(time.Hour - time.Second)
	c.realise()
	want("deleted", "10.9.0.0/16=deleted 192.168.1.0/24=deleted")
	c.now = c.now.Add(time.Second)
	c.realise()
	if _, found := c.connection(id); found {
		t.Error("a connection deleted an hour ago is still listed")
	}
}

func TestStaticRoutesAreKeptByTheirRules(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	id := c.connect(p.input()).ID
	c.do(routing(id, "192.168.1.0/24"))
	c.do(routing(id, "10.9.0.0/16"))
	c.do(routing(id, "192.168.1.77/24")) // host bits: the same
	row, _ := c.connection(id)
	if got, want := routes(row), "10.9.0.0/16=pending 192.168.1.0/24=pending"; got != want {
		t.Errorf("routes: got %s, want %s", got, want)
	}
	if got := row.Telemetry[1].AcceptedRouteCount; got != 2 {
		t.Errorf("AcceptedRouteCount: got %d, want 2", got)
	}
	c.refused("InvalidParameterValue", routing(id, "2001:db8::/32"), "2001:db8::/32")
	c.refused("InvalidParameterValue", routing(id, "224.0.0.0/4"), "224.0.0.0/4")
	c.refused("InvalidRoute.Malformed", unrouting(id, "2001:db8::/32"))
	c.refused("InvalidRoute.NotFound", unrouting(id, "192.168.0.0/16"), "192.168.0.0/16")
	c.do(unrouting(id, "192.168.1.9/24"))
	row, _ = c.connection(id)
	if got, want := fmt.Sprint(routes(row), row.Telemetry[0].AcceptedRouteCount), "10.9.0.0/16=pending1"; squeeze(got) != want {
		t.Errorf("after a deletion: got %s, want one route", got)
	}
	for n := range 99 {
		c.do(routing(id, fmt.Sprintf("172.16.%d.0/24", n)))
	}
	c.refused("RouteLimitExceeded", routing(id, "172.17.0.0/16"), "100")

	in := c.pair().input()
	in.StaticRoutesOnly = false
	dynamic := c.connect(in).ID
	c.refused("InvalidVpnConnection.InvalidType", routing(dynamic, "192.168.1.0/24"), "BGP")
	c.refused("InvalidVpnConnection.InvalidType", unrouting(dynamic, "192.168.1.0/24"))
}

func TestTelemetryReadsAsAWSWritesIt(t *testing.T) {
	up := Report{Up: true, Reason: "never shown", Detail: resource.TunnelDetail{IKEVersion: "ikev2", NATDetected: true}}
	with := func(r Report, session bool, reason string, prefixes ...string) Report {
		r.BGP, r.Reason = session, reason
		for _, p := range prefixes {
			r.Learned = append(r.Learned, resource.LearnedRoute{Prefix: prefix(p), ASPath: []uint32{65000}, MED: resource.DefaultMED, Origin: "IGP"})
		}
		return r
	}
	for _, test := range []struct {
		name   string
		static bool
		in     Report
		want   string // status, message, accepted routes, reason, IKE version
	}{
		{"static, down", true, Report{Reason: "no answer"}, `DOWN "" 1 "no answer" ""`},
		{"static, up", true, up, `UP "" 1 "" "ikev2"`},
		{"dynamic, down", false, Report{Reason: "no answer"}, `DOWN "IPSEC IS DOWN" 0 "no answer" ""`},
		{"dynamic, up without BGP", false, with(up, false, "hold timer expired"), `DOWN "IPSEC IS UP" 0 "hold timer expired" "ikev2"`},
		{"dynamic, BGP without a route", false, with(up, true, "an old error"), `UP "0 BGP ROUTES" 0 "" "ikev2"`},
		{"dynamic, BGP with two", false, with(up, true, "", "192.168.1.0/24", "192.168.2.0/24"), `UP "2 BGP ROUTES" 2 "" "ikev2" 192.168.1.0/24 192.168.2.0/24`},
		{"dynamic, the peer restarts gracefully", false, with(up, false, "closed", "192.168.1.0/24"), `DOWN "IPSEC IS UP" 0 "closed" "ikev2" 192.168.1.0/24`},
		{"dynamic, a session that has not noticed that the tunnel is dead", false, with(Report{}, true, "dead peer", "192.168.1.0/24"), `DOWN "IPSEC IS DOWN" 0 "dead peer" ""`},
		{"static, though BGP is spoken", true, with(up, true, "", "192.168.2.0/24"), `UP "" 1 "" "ikev2"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			row := resource.VPNConnection{StaticRoutesOnly: test.static}
			row.Tunnels[1].InsideCIDR = prefix("169.254.11.0/30")
			if test.static {
				row.Routes = []resource.StaticRoute{{Destination: prefix("192.168.1.0/24")}}
			}
			got := telemetry(row, 1, test.in)
			text := fmt.Sprintf("%s %q %d %q %q", got.Status, got.StatusMessage, got.AcceptedRouteCount, got.Reason, got.Detail.IKEVersion)
			for _, r := range got.Learned {
				text += " " + r.Prefix.String()
			}
			if text != test.want {
				t.Errorf("got %s, want %s", text, test.want)
			}
			inside := fmt.Sprint(got.Detail.InsideLocal, " ", got.Detail.InsideRemote)
			if test.in.Up && inside != "169.254.11.1 169.254.11.2" {
				t.Errorf("inside addresses: got %s, want 169.254.11.1 169.254.11.2", inside)
			}
		})
	}
}

func TestTheLastChangeIsThatOfTheStatus(t *testing.T) {
	c := newCloud(t)
	id := c.connect(c.pair().input()).ID
	at := func(want int64) {
		t.Helper()
		row, _ := c.connection(id)
		if got := row.Telemetry[0].LastStatusChange.Unix(); got != want {
			t.Errorf("last change: got %d, want %d", got, want)
		}
		if got := row.Telemetry[1].LastStatusChange.Unix(); got != 1700000000 {
			t.Errorf("last change of the other tunnel: got %d, want 1700000000", got)
		}
	}
	later := func(r Report) {
		t.Helper()
		c.now = c.now.Add(10 * time.Second)
		c.report(id, 0, r)
	}
	later(Report{Reason: "no answer"})
	at(1700000000)
	later(Report{Up: true})
	at(1700000020)
	later(Report{Up: true, Detail: resource.TunnelDetail{Phase2: "AES256-GCM-16"}}) // rekeyed
	at(1700000020)
	later(Report{Reason: "dead peer"})
	at(1700000040)
}

// A watcher is woken by what is written: equal reports must write nothing.
func TestEqualReportsWriteNothing(t *testing.T) {
	c := newCloud(t)
	id := c.connect(c.pair().input()).ID
	c.realise()
	r := Report{Up: true, Detail: resource.TunnelDetail{IKEVersion: "ikev2"}}
	c.report(id, 1, r)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []store.Change
	_ = c.store.Watch(ctx, func(changes []store.Change) {
		seen = append(seen, changes...)
		if changes != nil {
			cancel()
			return
		}
		for range 3 {
			c.now = c.now.Add(time.Minute)
			c.report(id, 1, r)
			c.report("vpn-none", 0, r)
			c.report(id, 2, r)
			c.realise()
		}
		c.do(func(tx *store.Tx) error {
			putPool(tx, "last", "203.0.113.99")
			return nil
		})
	})
	if len(seen) != 1 || seen[0].Table != "outside-pool" {
		t.Errorf("changes: got %v, want that of the pool alone", seen)
	}
}

func TestNothingIsReportedOfAConnectionOnItsWayOut(t *testing.T) {
	c := newCloud(t)
	id := c.connect(c.pair().input()).ID
	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, id) })
	c.report(id, 0, Report{Up: true})
	if row, _ := c.connection(id); row.Telemetry[0].Status != resource.TunnelDown {
		t.Errorf("status: got %s, want DOWN", row.Telemetry[0].Status)
	}
}
