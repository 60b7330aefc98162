package vpn

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// health has RecordHealth look at the cloud's time, and returns the events of
// alice and when it wants to look again.
func (c *cloud) health() (events []resource.HealthEvent, again time.Duration) {
	c.Helper()
	c.do(func(tx *store.Tx) error {
		again = sooner(Advance(tx), RecordHealth(tx))
		events = DescribeHealthEvents(tx, alice)
		if other := DescribeHealthEvents(tx, bob); len(other) > 0 {
			c.Errorf("bob is told of %v, which is alice's", other)
		}
		return nil
	})
	return events, again
}

func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// told prints events: code, last digits of the addresses, and whether it is over.
func told(events []resource.HealthEvent) string {
	var out []string
	for _, e := range events {
		line := strings.TrimPrefix(e.Code, "AWS_VPN_")
		for _, a := range e.Outside {
			line += " " + a.String()[len("203.0.113"):]
		}
		if !e.End.IsZero() {
			line += " over"
		}
		out = append(out, line)
	}
	return strings.Join(out, ", ")
}

// An owner is told of a replaced endpoint when it is complete, and with lifecycle
// control before it begins; not of the endpoints that a connection was made with
// (vpn §6.4).
func TestOwnersAreToldOfReplacedEndpoints(t *testing.T) {
	c := newCloud(t)
	in := c.pair().input()
	on := true
	in.Tunnels[1].LifecycleControl = &on
	row := c.available(in)
	up := func(i, generation int) {
		c.report(row.ID, i, Report{Up: true, Detail: resource.TunnelDetail{Generation: generation}})
	}
	want := func(when, what string) (events []resource.HealthEvent) {
		t.Helper()
		events, _ = c.health()
		if got := told(events); got != what {
			t.Errorf("%s: got %q, want %q", when, got, what)
		}
		return events
	}
	up(0, 0)
	up(1, 0)
	want("new", "")
	c.do(replacing(row.ID, row, 0, false))
	want("draining", "")
	c.now = c.now.Add(drainFor)
	want("begun anew", "")
	up(0, 1)
	want("back", "REDUNDANCY_LOSS .10 over")
	want("nothing new", "REDUNDANCY_LOSS .10 over")

	deadline := c.now.Add(48 * time.Hour)
	c.do(func(tx *store.Tx) error {
		return ScheduleMaintenance(tx, alice, MaintenanceInput{ID: row.ID, OutsideIP: row.Tunnels[1].OutsideIP, Deadline: deadline})
	})
	events := want("maintenance pending", "REDUNDANCY_LOSS .10 over, TUNNEL_MAINTENANCE_PENDING .11")
	if last := events[1]; last.Category != resource.EventScheduledChange || !last.Start.Equal(deadline.Truncate(time.Second)) {
		t.Errorf("pending maintenance: got %+v, want a scheduled change at %v", last, deadline)
	}
	want("still pending", "REDUNDANCY_LOSS .10 over, TUNNEL_MAINTENANCE_PENDING .11")
	c.do(replacing(row.ID, row, 1, true))
	want("applied", "REDUNDANCY_LOSS .10 over, TUNNEL_MAINTENANCE_PENDING .11")
	c.now = c.now.Add(drainFor)
	want("begun anew", "REDUNDANCY_LOSS .10 over, TUNNEL_MAINTENANCE_PENDING .11")
	c.report(row.ID, 1, Report{Reason: "no answer"})
	c.now = c.now.Add(returnWithin)
	events = want("given up", "REDUNDANCY_LOSS .10 over, TUNNEL_MAINTENANCE_PENDING .11, REDUNDANCY_LOSS .11 over")
	if !strings.Contains(events[2].Text, "203.0.113.11 has not come up since") || strings.Contains(events[0].Text, "since") {
		t.Errorf("got %q and %q, want the second to say that the tunnel did not come up", events[0].Text, events[2].Text)
	}
}

// An owner is told of a connection of which one tunnel alone has been up for more
// than an hour of a day: once a month, again each week that it goes on, and not
// of one that has both or none (vpn §6.4).
func TestOwnersAreToldOfASingleTunnel(t *testing.T) {
	c := newCloud(t)
	c.now = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	row := c.available(c.pair().input())
	state := func(one, two bool) {
		c.report(row.ID, 0, Report{Up: one})
		c.report(row.ID, 1, Report{Up: two})
	}
	want := func(when, what string, wait time.Duration) (events []resource.HealthEvent) {
		t.Helper()
		events, again := c.health()
		if got := told(events); got != what || again != wait {
			t.Errorf("%s: got %q, again in %v, want %q, %v", when, got, again, what, wait)
		}
		return events
	}
	state(false, false)
	want("none is up", "", 0)
	c.now = c.now.Add(2 * time.Hour) // noon
	want("none for two hours", "", 0)
	state(true, false)
	want("one is up", "", time.Hour+time.Millisecond)
	c.now = c.now.Add(40 * time.Minute)
	state(true, true)
	want("both are, after 40 minutes", "", 0)
	c.now = c.now.Add(time.Hour)
	state(true, false)
	want("one again", "", 20*time.Minute+time.Millisecond)
	c.now = c.now.Add(21 * time.Minute) // 14:01
	want("an hour in all", "SINGLE_TUNNEL_NOTIFICATION .11", 9*time.Hour+59*time.Minute)
	c.now = c.now.Add(24 * time.Hour)
	want("the next day", "SINGLE_TUNNEL_NOTIFICATION .11", 9*time.Hour+59*time.Minute)
	c.now = c.now.Add(7 * 24 * time.Hour)
	if events := want("after a week", "SINGLE_TUNNEL_NOTIFICATION .11", 9*time.Hour+59*time.Minute); !events[0].Updated.Equal(c.now) {
		t.Errorf("after a week: got last told at %v, want %v", events[0].Updated, c.now)
	}
	c.now = c.now.Add(23 * 24 * time.Hour)
	want("after a month", "SINGLE_TUNNEL_NOTIFICATION .11, SINGLE_TUNNEL_NOTIFICATION .11", 9*time.Hour+59*time.Minute)
	state(false, false)
	want("none is up", "SINGLE_TUNNEL_NOTIFICATION .11, SINGLE_TUNNEL_NOTIFICATION .11", 0)

	// Short ones on two sides of midnight are not added up.
	c = newCloud(t)
	c.now = time.Date(2026, 3, 1, 23, 15, 0, 0, time.UTC)
	row = c.available(c.pair().input())
	state(false, true)
	want("before midnight", "", time.Hour+time.Millisecond)
	c.now = c.now.Add(90 * time.Minute)
	want("45 minutes of each day", "", 15*time.Minute+time.Millisecond)

	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, row.ID) })
	c.realise()
	c.now = c.now.Add(2 * time.Hour)
	c.realise()
	c.do(func(tx *store.Tx) error {
		RecordHealth(tx)
		if rows := store.VPNHealth.List(tx); len(rows) > 0 {
			t.Errorf("of a connection that is gone: got %v", rows)
		}
		return nil
	})
}

// Events are bounded, and look as EventBridge delivers them.
func TestEventsAreThoseOfEventBridge(t *testing.T) {
	c := newCloud(t)
	row := c.available(c.pair().input())
	c.health()
	for generation := range keepEvents + 3 {
		c.do(replacing(row.ID, row, 0, false))
		c.health()
		c.now = c.now.Add(drainFor)
		c.health()
		c.report(row.ID, 0, Report{Up: true, Detail: resource.TunnelDetail{Generation: generation + 1}})
		c.health()
	}
	events, _ := c.health()
	if len(events) != keepEvents {
		t.Errorf("got %d events, want the last %d", len(events), keepEvents)
	}
	last := events[len(events)-1]
	line, err := HealthEventJSON(alice, last)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Source, Account, Region string
		DetailType              string `json:"detail-type"`
		Resources               []string
		Detail                  struct {
			EventARN, Service, EventTypeCode, EventTypeCategory, StatusCode, StartTime, EndTime string
			EventDescription                                                                    []struct{ LatestDescription string }
			AffectedEntities                                                                    []struct{ EntityValue string }
		}
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%s %s %s %s %v %s %s %s %s %v", got.Source, got.DetailType, got.Account, got.Region, got.Resources, got.Detail.Service, got.Detail.EventTypeCode, got.Detail.EventTypeCategory, got.Detail.StatusCode, got.Detail.AffectedEntities)
	want := fmt.Sprintf("aws.health AWS Health Event 111111111111 us-east-1 [%s] VPN AWS_VPN_REDUNDANCY_LOSS accountNotification closed [{%s}]", row.ID, row.ID)
	if text != want || !strings.HasSuffix(got.Detail.EndTime, " GMT") || !strings.HasPrefix(got.Detail.EventARN, "arn:aws:health:us-east-1::event/VPN/AWS_VPN_REDUNDANCY_LOSS/AWS_VPN_REDUNDANCY_LOSS_") ||
		len(got.Detail.EventDescription) != 1 || !strings.Contains(got.Detail.EventDescription[0].LatestDescription, "203.0.113.10") {
		t.Errorf("got %s\n%s\nwant %s", text, line, want)
	}
}
