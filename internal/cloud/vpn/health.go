package vpn

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Codes of events. The first two are AWS's; how it calls the notice before
// maintenance is not published, and the third is ours (vpn §6.4).
const (
	EventRedundancyLoss = "AWS_VPN_REDUNDANCY_LOSS"            // an endpoint was replaced
	EventSingleTunnel   = "AWS_VPN_SINGLE_TUNNEL_NOTIFICATION" // one tunnel is up and the other one is not
	EventMaintenance    = "AWS_VPN_TUNNEL_MAINTENANCE_PENDING" // lifecycle control: an endpoint will be replaced
)

// When a single tunnel is told of: after so long on one day, once a month, and
// again each week while it goes on (vpn §6.4).
const (
	singleFor     = time.Hour
	singleAgain   = 30 * 24 * time.Hour
	singleRefresh = 7 * 24 * time.Hour
)

// keepEvents is how many events of a connection are kept.
const keepEvents = 50

// RecordHealth tells the owners of connections what AWS Health would: that an
// endpoint has been replaced, that one will be, that a connection lives on one
// tunnel. It returns when to call it again, 0 for not. The host calls it before
// each look, after Advance; when there is nothing new it writes nothing.
func RecordHealth(tx *store.Tx) (again time.Duration) {
	known := make(map[resource.VPNConnectionID]bool)
	for _, c := range store.VPNConnections.List(tx) {
		known[c.ID] = true
		if !c.Alive() {
			continue
		}
		h, seen := store.VPNHealth.Get(tx, c.ID)
		if !seen {
			h = resource.ConnectionHealth{ID: c.ID, OwnerID: c.OwnerID}
			for i, e := range c.Endpoints {
				h.Endpoints[i].Generation = e.Generation // the first ones replace nothing
			}
		}
		tellReplaced(tx, &h, c)
		tellMaintenance(tx, &h, c)
		if wait := tellSingle(tx, &h, c); wait > 0 && (again == 0 || wait < again) {
			again = wait
		}
		if extra := len(h.Events) - keepEvents; extra > 0 {
			h.Events = h.Events[extra:]
		}
		store.VPNHealth.Put(tx, h.ID, h)
	}
	for _, h := range store.VPNHealth.List(tx) {
		if !known[h.ID] {
			store.VPNHealth.Delete(tx, h.ID)
		}
	}
	return again
}

// tellReplaced tells of endpoints that are new and have traffic again, or have
// been given up: of both in one event if both are.
func tellReplaced(tx *store.Tx, h *resource.ConnectionHealth, c resource.VPNConnection) {
	var outside []netip.Addr
	var began time.Time
	after := "All is as it was."
	for i, e := range c.Endpoints {
		if e.Busy() || e.Generation == h.Endpoints[i].Generation || c.State != resource.StateAvailable {
			continue
		}
		h.Endpoints[i].Generation = e.Generation
		outside = append(outside, c.Tunnels[i].OutsideIP)
		if c.Telemetry[i].Status != resource.TunnelUp {
			after = fmt.Sprintf("The tunnel of %v has not come up since.", c.Tunnels[i].OutsideIP)
		}
		if began.IsZero() || !e.Replaced.IsZero() && e.Replaced.Before(began) {
			began = e.Replaced
		}
	}
	switch len(outside) {
	case 1:
		tell(tx, h, resource.HealthEvent{Code: EventRedundancyLoss, Category: resource.EventNotification, Outside: outside, Start: began, End: tx.Now(),
			Text: fmt.Sprintf("Your VPN connection %s was without redundancy for a while: the endpoint %v of one of its two tunnels has been replaced. %s", c.ID, outside[0], after)})
	case 2:
		tell(tx, h, resource.HealthEvent{Code: EventRedundancyLoss, Category: resource.EventNotification, Outside: outside, Start: began, End: tx.Now(),
			Text: fmt.Sprintf("The endpoints %v and %v of both tunnels of your VPN connection %s have been replaced. %s", outside[0], outside[1], c.ID, after)})
	}
}

// tellMaintenance tells an owner with lifecycle control what is pending.
func tellMaintenance(tx *store.Tx, h *resource.ConnectionHealth, c resource.VPNConnection) {
	for i, e := range c.Endpoints {
		m := e.Maintenance
		if m.Pending && !h.Endpoints[i].Pending && c.Tunnels[i].LifecycleControl && m.AppliedAfter.After(tx.Now()) {
			outside := c.Tunnels[i].OutsideIP
			tell(tx, h, resource.HealthEvent{Code: EventMaintenance, Category: resource.EventScheduledChange, Outside: []netip.Addr{outside}, Start: m.AppliedAfter,
				Text: fmt.Sprintf("Maintenance of the tunnel endpoint %v of your VPN connection %s is pending. Apply it with ReplaceVpnTunnel and ApplyPendingMaintenance; else it is applied after %s.", outside, c.ID, m.AppliedAfter.UTC().Format(time.RFC3339))})
		}
		h.Endpoints[i].Pending = m.Pending
	}
}

// tellSingle tells of a connection that has had one tunnel up and one down for
// long. It returns when to look again.
func tellSingle(tx *store.Tx, h *resource.ConnectionHealth, c resource.VPNConnection) time.Duration {
	now := tx.Now().UTC()
	s := &h.Single
	if day := now.Truncate(24 * time.Hour); !day.Equal(s.Day) {
		if !s.Since.IsZero() {
			s.Since = day
		}
		s.Day, s.Spent = day, 0
	}
	up := slices.IndexFunc(c.Telemetry[:], func(t resource.TunnelTelemetry) bool { return t.Status == resource.TunnelUp })
	single := up >= 0 && c.Telemetry[1-up].Status != resource.TunnelUp
	switch {
	case single && s.Since.IsZero():
		s.Since = now
	case !single && !s.Since.IsZero():
		s.Spent += now.Sub(s.Since)
		s.Since = time.Time{}
	}
	spent := s.Spent
	if single {
		spent += now.Sub(s.Since)
	}
	last := -1
	for i, e := range h.Events {
		if e.Code == EventSingleTunnel {
			last = i
		}
	}
	if spent <= singleFor {
		if single {
			return singleFor - spent + time.Millisecond
		}
		return 0
	}
	switch {
	case last < 0 || now.Sub(h.Events[last].Start) >= singleAgain:
		down := 1 - max(up, 0)
		tell(tx, h, resource.HealthEvent{Code: EventSingleTunnel, Category: resource.EventNotification, Outside: []netip.Addr{c.Tunnels[down].OutsideIP}, Start: now,
			Text: fmt.Sprintf("Your VPN connection %s has had one tunnel up and the other one, with the endpoint %v, down for more than an hour on %s. Set up both, so that traffic goes on while one is replaced.", c.ID, c.Tunnels[down].OutsideIP, s.Day.Format(time.DateOnly))})
	case now.Sub(h.Events[last].Updated) >= singleRefresh:
		h.Events = slices.Clone(h.Events)
		h.Events[last].Updated = now
	}
	if !single {
		return 0
	}
	return s.Day.Add(24 * time.Hour).Sub(now) // the next day is counted anew
}

// tell adds an event, with a name of its own.
func tell(tx *store.Tx, h *resource.ConnectionHealth, e resource.HealthEvent) {
	_, serial, _ := strings.Cut(tx.NewID(e.Code), "-")
	e.ARN = fmt.Sprintf("arn:aws:health:%s::event/VPN/%s/%s_%s", resource.DefaultRegion, e.Code, e.Code, serial)
	e.Connection, e.Updated = h.ID, tx.Now()
	e.Start, e.End, e.Updated = whole(e.Start), whole(e.End), whole(e.Updated)
	h.Events = append(slices.Clone(h.Events), e)
}

// whole is t in UTC and whole seconds, as events have it; zero stays.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Second)
}

// DescribeHealthEvents returns the events of who's connections, the oldest first.
func DescribeHealthEvents(tx *store.Tx, who resource.Account) (out []resource.HealthEvent) {
	for _, h := range store.VPNHealth.List(tx) {
		if h.OwnerID == who {
			out = append(out, h.Events...)
		}
	}
	slices.SortStableFunc(out, func(a, b resource.HealthEvent) int { return a.Updated.Compare(b.Updated) })
	return out
}
