package vpn

import (
	"fmt"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// advance calls Advance at the cloud's time and returns when it wants to be
// called again.
func (c *cloud) advance() (again time.Duration) {
	c.Helper()
	c.do(func(tx *store.Tx) error {
		again = Advance(tx)
		return nil
	})
	return again
}

// phase prints how the two endpoints stand: generation, d for draining, r for
// returning, and the MED announced.
func phase(row resource.VPNConnection) (out string) {
	for i, e := range row.Endpoints {
		mark := ""
		if !e.Draining.IsZero() {
			mark = "d"
		}
		if e.Returning {
			mark += "r"
		}
		out += fmt.Sprintf(" %d%s/%d", e.Generation, mark, MED(row, i))
	}
	return out[1:]
}

func replacing(id resource.VPNConnectionID, row resource.VPNConnection, i int, apply bool) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		return ReplaceVPNTunnel(tx, alice, ReplaceVPNTunnelInput{ID: id, OutsideIP: row.Tunnels[i].OutsideIP, ApplyPendingMaintenance: apply})
	}
}

// A replacement lowers the other tunnel's MED first, rebuilds when traffic has
// left, and gives it back when the new endpoint is up; one tunnel at a time (vpn
// §3.6).
func TestAnEndpointIsReplacedAfterItsTrafficHasLeft(t *testing.T) {
	c := newCloud(t)
	row := c.available(c.pair().input())
	id := row.ID
	want := func(when, what string, again time.Duration) {
		t.Helper()
		got := c.advance()
		if row, _ = c.connection(id); phase(row) != what || got != again {
			t.Errorf("%s: got %s, again in %v, want %s, %v", when, phase(row), got, what, again)
		}
	}
	want("before", "0/100 0/100", 0)
	c.do(replacing(id, row, 0, false))
	want("asked for", "0d/100 0/50", drainFor)
	c.refused("ConcurrentMutationLimitExceeded", replacing(id, row, 0, false), "being replaced")
	c.refused("ConcurrentMutationLimitExceeded", replacing(id, row, 1, false), "being replaced")
	c.now = c.now.Add(drainFor - time.Second)
	want("draining", "0d/100 0/50", time.Second)
	c.now = c.now.Add(time.Second)
	want("drained", "1r/100 0/50", returnWithin)
	c.refused("ConcurrentMutationLimitExceeded", replacing(id, row, 1, false), "one at a time")
	c.report(id, 0, Report{Up: true}) // the old endpoint's last word
	want("up before it was rebuilt", "1r/100 0/50", returnWithin)
	c.report(id, 0, Report{Reason: "waiting"})
	want("down", "1r/100 0/50", returnWithin)
	c.report(id, 0, Report{Up: true, Detail: resource.TunnelDetail{Generation: 1}})
	want("up again", "1/100 0/100", 0)
	c.do(replacing(id, row, 1, false)) // now the other one may go
	c.now = c.now.Add(drainFor)
	want("the other one drained", "1/50 1r/100", returnWithin)
	c.now = c.now.Add(returnWithin)
	want("it never came back", "1/100 1/100", 0)
	if row.State != resource.StateAvailable {
		t.Errorf("state: got %s, want available throughout", row.State)
	}
}

// Pending maintenance waits for its deadline or for its owner, and critical or
// uncontrolled maintenance for nobody but the other tunnel (vpn §3.6).
func TestMaintenanceIsAppliedWhenItIsDue(t *testing.T) {
	c := newCloud(t)
	yes := true
	in := c.pair().input()
	in.Tunnels[0].LifecycleControl = &yes
	row := c.available(in)
	deadline := c.now.Add(time.Hour)
	schedule := func(i int, critical bool) {
		t.Helper()
		c.do(func(tx *store.Tx) error {
			return ScheduleMaintenance(tx, alice, MaintenanceInput{ID: row.ID, OutsideIP: row.Tunnels[i].OutsideIP, Deadline: deadline, Critical: critical})
		})
	}
	status := func(i int) (m resource.Maintenance) {
		t.Helper()
		c.do(func(tx *store.Tx) (err error) {
			m, err = GetVPNTunnelReplacementStatus(tx, alice, row.ID, row.Tunnels[i].OutsideIP)
			return err
		})
		return m
	}
	want := func(when, what string, again time.Duration) {
		t.Helper()
		got := c.advance()
		if now, _ := c.connection(row.ID); phase(now) != what || got != again {
			t.Errorf("%s: got %s, again in %v, want %s, %v", when, phase(now), got, what, again)
		}
	}
	schedule(0, false)
	want("under control", "0/100 0/100", time.Hour)
	if m := status(0); !m.Pending || !m.AppliedAfter.Equal(deadline) {
		t.Errorf("status: got %+v, want pending until %v", m, deadline)
	}
	schedule(1, false)
	want("without control", "0/50 0d/100", drainFor)
	c.now = deadline
	want("the deadline, while the other one is away", "0/50 1r/100", returnWithin)
	c.report(row.ID, 1, Report{Up: true, Detail: resource.TunnelDetail{Generation: 1}})
	want("the other one is back, which is a change that brings the host back", "0/100 1/100", 0)
	want("and again", "0d/100 1/50", drainFor)
	if m := status(0); m.Pending || !m.LastApplied.Equal(c.now) {
		t.Errorf("status: got %+v, want applied now", m)
	}
	c.now = c.now.Add(drainFor)
	c.advance()
	c.report(row.ID, 0, Report{Up: true, Detail: resource.TunnelDetail{Generation: 1}})
	c.advance()
	schedule(0, false)
	c.do(replacing(row.ID, row, 0, true))
	if m := status(0); m.Pending {
		t.Errorf("applied by its owner: got %+v, want none pending", m)
	}
	want("applied by its owner", "1d/100 1/50", drainFor)
	c.now = c.now.Add(drainFor)
	c.advance()
	c.report(row.ID, 0, Report{Up: true, Detail: resource.TunnelDetail{Generation: 2}})
	c.advance()
	schedule(0, true)
	want("critical", "2d/100 1/50", drainFor)
}

// The plan says which tunnel is emptied and which endpoint is wanted, of that
// tunnel alone.
func TestThePlanOfAReplacement(t *testing.T) {
	s := snapshot()
	s.Connections[1].Endpoints[0] = resource.TunnelEndpoint{Generation: 3, Draining: time.Unix(1, 0)}
	s.Connections[0].Endpoints[1] = resource.TunnelEndpoint{Generation: 1, Returning: true}
	got := ""
	for _, tun := range MakePlan(s).Workers[0].Tunnels {
		got += fmt.Sprint(tun.ID, " ", tun.Endpoint, ", ")
	}
	if want := "vpn-b/1 {3 true 100}, vpn-b/2 {0 false 50}, vpn-a/1 {0 false 50}, vpn-a/2 {1 true 100}, "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
