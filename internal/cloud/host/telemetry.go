package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
)

// telemetry tells the store of tunnels that went up or down. Gateways report
// every second; only what changed is written.
type telemetry struct {
	store *store.Store
	// One goroutine at a time uses what is below.
	last  map[string]vpn.Report // by tunnel id; nil before the first record
	paces map[resource.VPNConnectionID]*pace
}

func newTelemetry(s *store.Store) *telemetry {
	return &telemetry{store: s, paces: map[resource.VPNConnectionID]*pace{}}
}

// silent is the report of a tunnel whose gateway has none.
func silent() vpn.Report { return vpn.Report{Reason: "the gateway does not answer"} }

// record writes the changes since the last call. Tunnels of a gateway that
// reports nothing are down, and so are, at first, those that another host left
// up in the store; those that resume are what they were. What is put off, since what
// a peer announces changes all the time, is to be recorded again after that long.
func (t *telemetry) record(ctx context.Context, all map[string]gateway.Status, resuming map[string]bool, at time.Time) (again time.Duration, err error) {
	now := map[string]vpn.Report{}
	for _, g := range all {
		for _, s := range g.Tunnels {
			now[s.ID] = report(s, peerOf(g.BGP, s.ID))
		}
	}
	for id := range resuming {
		if r, told := now[id]; resumes(t.last[id], r, told) {
			now[id] = t.last[id]
		}
	}
	changed := map[string]vpn.Report{}
	for id, r := range now {
		if old, known := t.last[id]; !known || !reflect.DeepEqual(old, r) {
			changed[id] = r
		}
	}
	for id := range t.last {
		if _, ok := now[id]; !ok {
			changed[id] = silent() // said once: the id may never come back
		}
	}
	if t.last == nil {
		err := t.store.Update(ctx, func(tx *store.Tx) error {
			silenceOthers(tx, now)
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return t.write(ctx, changed, now, at)
}

// write writes the changes, of each connection by themselves: what one's customer
// gateway announces may be as much as a transaction holds. What could not be written
// is a change the next time, too, and so is what is put off.
func (t *telemetry) write(ctx context.Context, changed, now map[string]vpn.Report, at time.Time) (again time.Duration, err error) {
	byConnection := map[resource.VPNConnectionID][]string{}
	for id := range changed {
		if conn, _, ok := tunnelOf(id); ok {
			byConnection[conn] = append(byConnection[conn], id)
		}
	}
	leave := func(ids []string) {
		for _, id := range ids {
			delete(now, id)
			if old, known := t.last[id]; known {
				now[id] = old
			}
		}
	}
	for _, conn := range slices.Sorted(maps.Keys(byConnection)) {
		if wait := t.putOff(conn, byConnection[conn], changed, at); wait > 0 {
			again = sooner(again, wait)
			leave(byConnection[conn])
			continue
		}
		e := t.store.Update(ctx, func(tx *store.Tx) error {
			for _, id := range byConnection[conn] {
				_, index, _ := tunnelOf(id)
				vpn.SetTelemetry(tx, conn, index, changed[id])
			}
			return nil
		})
		if e == nil {
			continue
		}
		err = errors.Join(err, fmt.Errorf("telemetry of %s: %w", conn, e))
		leave(byConnection[conn])
	}
	maps.DeleteFunc(t.paces, func(_ resource.VPNConnectionID, p *pace) bool { return p.rested.Before(at) })
	t.last = now
	return again, err
}

// putOff is how long the changes of a connection's tunnels are to wait: only where
// nothing has changed but what their peers announce, and that again and again.
func (t *telemetry) putOff(conn resource.VPNConnectionID, ids []string, changed map[string]vpn.Report, at time.Time) time.Duration {
	for _, id := range ids {
		before, after := t.last[id], changed[id]
		if before.Learned, after.Learned = nil, nil; !reflect.DeepEqual(before, after) {
			return 0
		}
	}
	p := t.paces[conn]
	if p == nil {
		p = &pace{}
		t.paces[conn] = p
	}
	return p.take(at)
}

// resumes reports whether a tunnel that was up and whose gateway is another one now
// is to be left as it was: while that one says nothing, and while only its session
// is missing. told says that r is a report.
func resumes(before, r vpn.Report, told bool) bool {
	return before.Up && (!told || r.Up && before.BGP && !r.BGP)
}

// silenceOthers notes of the tunnels that nobody reports that nobody does.
func silenceOthers(tx *store.Tx, reported map[string]vpn.Report) {
	for _, c := range store.VPNConnections.List(tx) {
		for i := range c.Tunnels {
			if _, ok := reported[vpn.TunnelID(c.ID, i)]; !ok {
				vpn.SetTelemetry(tx, c.ID, i, silent())
			}
		}
	}
}

// peerOf is the BGP session of a tunnel; nil when it has none.
func peerOf(b *gateway.BGPStatus, tunnel string) *gateway.BGPPeer {
	if b == nil {
		return nil
	}
	for i := range b.Peers {
		if b.Peers[i].Tunnel == tunnel {
			return &b.Peers[i]
		}
	}
	return nil
}

// report is what the store keeps of s and of its session, if any. Counters are not among it: they change
// with every packet, and status asks the gateway for them.
func report(s gateway.TunnelStatus, session *gateway.BGPPeer) vpn.Report {
	if !s.Up {
		return vpn.Report{Reason: s.Reason}
	}
	r := vpn.Report{Up: true, Detail: resource.TunnelDetail{
		IKEVersion: "ikev" + strconv.Itoa(s.IKE.Version), NATDetected: s.IKE.NATLocal || s.IKE.NATRemote, Phase1: s.IKE.Suite, Generation: s.Endpoint,
	}}
	if s.Child != nil {
		r.Detail.Phase2 = s.Child.Suite
	}
	if session == nil {
		return r
	}
	if session.BFD != nil && session.BFD.Cut {
		// The session may take as long as its hold time to notice (RFC 5882 section
		// 4.3): what it has brought is of no use before.
		r.Reason = "BFD: its path is broken"
		return r
	}
	r.BGP = session.Established
	if !r.BGP {
		r.Reason = session.LastError
	}
	for _, route := range session.Routes {
		if route.Refused != "" {
			continue
		}
		learned := resource.LearnedRoute{Prefix: route.Prefix, ASPath: route.ASPath, Origin: route.Origin, MED: resource.DefaultMED}
		if route.MED != nil {
			learned.MED = *route.MED
		}
		r.Learned = append(r.Learned, learned)
	}
	return r
}

// tunnelOf takes a tunnel's id, "vpn-…/1", apart; index is 0 or 1.
func tunnelOf(id string) (conn resource.VPNConnectionID, index int, ok bool) {
	name, number, found := strings.Cut(id, "/")
	n, err := strconv.Atoi(number)
	if !found || err != nil || n < 1 || n > 2 {
		return "", 0, false
	}
	return resource.VPNConnectionID(name), n - 1, true
}
