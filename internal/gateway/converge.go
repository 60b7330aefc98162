package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
)

// A failure is why a tunnel does not run, and how long it is left so.
type failure struct {
	at    time.Time
	err   error
	pause time.Duration
}

const (
	// steady is how long a tunnel must have run for its break to be news.
	steady = time.Minute
	// maxPause is the longest pause after a break.
	maxPause = 30 * time.Second
)

// nextPause is how long a tunnel that broke is left so, when it ran for lived
// and was started after a pause of last. What breaks again and again costs the
// peer a whole negotiation each time.
func nextPause(lived, last time.Duration) time.Duration {
	if lived >= steady || last == 0 {
		return retryAfter
	}
	return min(2*last, maxPause)
}

// converge makes the running tunnels those that are wanted, and the routes
// those that the live tunnels call for. What fails keeps nothing else from
// being done; the error joins it all.
func (g *Gateway) converge(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	err := errors.Join(g.convergeTunnelsLocked(ctx), g.convergeCarriersLocked(), g.convergeBGPLocked(ctx), g.convergeRoutesLocked(ctx), g.convergeBFDLocked(ctx))
	if _, leaves := g.effectiveLocked(); !leaves {
		g.seenLocked()
	}
	signal(g.changed)
	return err
}

// convergeTunnelsLocked stops tunnels that are unwanted, changed or broken and
// starts those that are missing. The caller holds g.mu.
func (g *Gateway) convergeTunnelsLocked(ctx context.Context) error {
	wanted := map[string]Tunnel{}
	for _, t := range g.want.Tunnels {
		wanted[t.ID] = t
	}
	g.endTunnelsLocked(ctx, wanted)
	g.settleLocked()
	var errs []error
	for _, t := range g.want.Tunnels {
		if g.tunnels[t.ID] != nil {
			continue
		}
		if f, ok := g.failed[t.ID]; !ok || time.Since(f.at) >= f.pause {
			g.startLocked(ctx, t)
		}
		if f, ok := g.failed[t.ID]; ok {
			errs = append(errs, fmt.Errorf("tunnel %s: %w", t.ID, f.err))
		}
	}
	g.mail.Store(newDirectory(g.tunnels))
	g.closeUnusedLocked()
	return errors.Join(errs...)
}

// endTunnelsLocked stops the tunnels that must not go on as they are, and
// forgets failures of tunnels that nobody wants. The caller holds g.mu.
func (g *Gateway) endTunnelsLocked(ctx context.Context, wanted map[string]Tunnel) {
	look := g.pathsChanged.Swap(false)
	for id := range g.failed {
		if _, ok := wanted[id]; !ok {
			delete(g.failed, id)
		}
	}
	for id, r := range g.tunnels {
		t, ok := wanted[id]
		broken := r.broken()
		same := ok && broken == nil && (g.unseen == nil || t.sameSession(r.cfg) && g.reproved(ctx, r, t))
		if same && r.leaving.step != parted {
			if !look || !g.movedLocked(ctx, r) {
				r.leaving = leaving{}
				continue
			}
		} else if broken == nil && g.leavesLocked(r, wanted) {
			continue
		}
		g.endLocked(id, r)
		if ok && broken != nil {
			g.log.Error("tunnel broke; it is started again", "tunnel", id, "err", broken)
			g.failed[id] = failure{time.Now(), broken, nextPause(time.Since(r.started), r.pause)}
		}
	}
}

// endLocked stops r, the tunnel called id. The caller holds g.mu.
func (g *Gateway) endLocked(id string, r *running) {
	r.stop()
	delete(g.tunnels, id)
	delete(g.between, r.peer)
	g.routing.applied = nil // routes and addresses went with the TUN
}

// startLocked starts t, or remembers why that failed. The caller holds g.mu.
func (g *Gateway) startLocked(ctx context.Context, t Tunnel) {
	r, err := g.start(ctx, t.withDefaults())
	if err != nil {
		g.failed[t.ID] = failure{time.Now(), err, retryAfter}
		return
	}
	r.cfg, r.started, r.pause = t, time.Now(), g.failed[t.ID].pause
	g.tunnels[t.ID] = r
	g.between[r.peer] = t.ID
	g.routing.applied = nil // the TUN is new
	delete(g.failed, t.ID)
}

// closeUnusedLocked closes the sockets that we opened for an address that no
// tunnel uses any more. The caller holds g.mu.
func (g *Gateway) closeUnusedLocked() {
	used := map[netip.Addr]bool{}
	for _, r := range g.tunnels {
		used[r.peer.local] = true
	}
	for a, o := range g.outsides {
		if used[a] || slices.Contains(g.opts.Outsides, o) {
			continue
		}
		delete(g.outsides, a)
		if err := o.Close(); err != nil {
			g.log.Warn("closing outside sockets", "outside", o.String(), "err", err)
		}
	}
}

// convergeRoutesLocked lays the routes. The caller holds g.mu.
func (g *Gateway) convergeRoutesLocked(ctx context.Context) error {
	up, mtu := map[string]bool{}, map[string]int{}
	for id, r := range g.tunnels {
		up[id], mtu[id] = r.up(), r.data.MTU()
	}
	peers := g.peersLocked()
	g.forgetStaleLocked(peers)
	g.saveLearnedLocked(peers)
	for id := range g.cutLocked(peers) {
		up[id] = false
	}
	learned := g.learnLocked(peers)
	g.routing.chosen = choose(g.have.Tunnels, up, learned, g.routing.chosen)
	if g.have.BGP.Relay {
		was := g.routing.relayed
		g.routing.relayed = relayed(g.routing.chosen, learned, g.have.BGP.Announce)
		if !reflect.DeepEqual(was, g.routing.relayed) {
			signal(g.kick) // the peers are told
		}
	} else {
		g.routing.relayed = nil
	}
	want := spec(g.have, g.routing.chosen, g.routing.held, mtu)
	if g.routing.applied != nil && reflect.DeepEqual(*g.routing.applied, want) {
		return nil
	}
	report, err := g.host.Apply(ctx, want)
	if err != nil {
		g.routing.applied = nil // who knows how much of it
		return err
	}
	g.routing.applied, g.routing.intact = &want, report.Fingerprint
	return nil
}

// intact reports whether the kernel is as it was when it was as it shall be, and
// nothing waits for time to pass: a tunnel to be started, routes of before to be
// forgotten. It may not be known.
func (g *Gateway) intact(ctx context.Context) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.routing.applied == nil || g.routing.intact == 0 || len(g.failed) > 0 || len(g.routing.stale.routes) > 0 || !g.watching.Load() {
		return false
	}
	now, err := g.host.Fingerprint(ctx)
	return err == nil && now == g.routing.intact
}

// forgetApplied makes the next converge look at the kernel again.
func (g *Gateway) forgetApplied() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.routing.applied = nil
}

// status is that of t, which does not run because of f.
func (f failure) status(t Tunnel) TunnelStatus {
	s := TunnelStatus{ID: t.ID, Interface: t.Interface, Inside: t.Inside, Phase: ike.Failed.String(), Since: f.at}
	if f.err != nil {
		s.Reason = f.err.Error()
	}
	return s
}
