package gateway

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"seikan/internal/routing/bgp"
)

// A gateway that goes on after it was killed has its SAs at once, and its BGP
// sessions seconds later. Until then it forwards by what it had learned (RFC 4724
// section 4.1), which it keeps for that.

const (
	// keptRoutes is the name of the note that the learned routes are in.
	keptRoutes = "routes"
	// staleFor is how long they count at most: what peers keep ours for, too.
	staleFor = 120 * time.Second
	// endOfRIB is how long a peer may take to announce all that it has, unless it
	// says that it has.
	endOfRIB = 5 * time.Second
)

// A stale is what a gateway had learned before it was killed. The zero value is
// nothing.
type stale struct {
	routes map[string][]bgp.Route // by tunnel
	until  time.Time
	saved  map[string]learnedFrom // what was kept last
	wake   *time.Timer            // when next some of it ends to count; nil before the first
}

// learnedFrom is what is kept of one peer: without it being the same, nothing
// counts.
type learnedFrom struct {
	Local, Remote netip.Addr
	ASN           uint32
	Routes        []bgp.Route
	// Until is when they end to count if they are of a process before already, so
	// that they do not last by being killed again and again.
	Until time.Time `json:",omitzero"`
}

// loadStaleLocked reads what was kept. The caller holds g.mu.
func (g *Gateway) loadStaleLocked() {
	text, err := g.store.Noted(keptRoutes)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	had := map[string]learnedFrom{}
	if err == nil {
		err = json.Unmarshal(text, &had)
	}
	if err != nil {
		g.log.Warn("learned routes of before are not gone on with; BGP will tell", "err", err)
		return
	}
	now := time.Now()
	g.routing.stale.routes, g.routing.stale.until = map[string][]bgp.Route{}, now.Add(staleFor)
	for _, p := range g.want.speaker(netip.Addr{}, nil).Peers {
		if was, ok := had[p.Name]; ok && was.Local == p.Local && was.Remote == p.Remote && was.ASN == p.ASN {
			switch {
			case was.Until.IsZero():
			case !was.Until.After(now):
				continue
			case was.Until.Before(g.routing.stale.until):
				g.routing.stale.until = was.Until
			}
			g.routing.stale.routes[p.Name] = was.Routes
		}
	}
}

// addStaleLocked puts what was kept, and counts, beside what peers announce. The
// caller holds g.mu.
func (g *Gateway) addStaleLocked(peers []bgp.PeerStatus) {
	for i := range peers {
		p := &peers[i]
		if !g.staleCountsLocked(p) {
			continue
		}
		for _, r := range g.routing.stale.routes[p.Name] {
			// What is accepted may be less than it was.
			if bgp.Refusal(r, bgp.Peer{Remote: p.Remote, AcceptDefault: g.have.BGP.AcceptDefault}, g.have.BGP.ASN) != "" {
				continue
			}
			if !slices.ContainsFunc(p.Routes, func(o bgp.Route) bool { return o.Prefix == r.Prefix }) {
				r.Stale = true
				p.Routes = append(p.Routes, r)
				p.Received++
				p.Accepted++
			}
		}
		slices.SortFunc(p.Routes, func(a, b bgp.Route) int { return a.Prefix.Compare(b.Prefix) })
	}
}

// staleCountsLocked reports whether what was kept of p is gone on with: p has not
// said all that it has, and its tunnel is still the one of before. The caller holds
// g.mu.
func (g *Gateway) staleCountsLocked(p *bgp.PeerStatus) bool {
	if _, ok := g.routing.stale.routes[p.Name]; !ok {
		return false
	}
	now := time.Now()
	told := p.Established && (p.Complete || now.Sub(p.Since) >= endOfRIB)
	return !told && !now.After(g.routing.stale.until) && g.tunnels[p.Name].unbroken()
}

// forgetStaleLocked drops what does not count any more, for good. It is for who
// then lays the routes that are left, and has that done again when more ends to
// count. Until it was called gateway.intact is false. The caller holds g.mu.
func (g *Gateway) forgetStaleLocked(peers []bgp.PeerStatus) {
	if len(g.routing.stale.routes) == 0 {
		return
	}
	counts := map[string]bool{}
	for i := range peers {
		counts[peers[i].Name] = g.staleCountsLocked(&peers[i])
	}
	s := &g.routing.stale
	maps.DeleteFunc(s.routes, func(id string, _ []bgp.Route) bool { return !counts[id] })
	next := s.until
	for _, p := range peers {
		if at := p.Since.Add(endOfRIB); counts[p.Name] && p.Established && at.Before(next) {
			next = at
		}
	}
	if s.wake != nil {
		s.wake.Stop()
	}
	if len(s.routes) > 0 {
		s.wake = time.AfterFunc(time.Until(next)+time.Millisecond, func() { signal(g.kick) })
	}
}

// goesOnLocked reports whether packets are forwarded as by another process before:
// one tunnel at least, with what was learned over it. The caller holds g.mu.
func (g *Gateway) goesOnLocked() bool {
	for id := range g.routing.stale.routes {
		if g.tunnels[id].unbroken() {
			return true
		}
	}
	return false
}

// unbroken reports whether r goes on with the SAs that another process had, and
// has not been down since.
func (r *running) unbroken() bool {
	if r == nil || !r.resumed {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.downs) == 0
}

// saveLearnedLocked keeps what was learned for who goes on when we are killed. The
// caller holds g.mu.
func (g *Gateway) saveLearnedLocked(peers []bgp.PeerStatus) {
	if g.store == nil {
		return
	}
	now := map[string]learnedFrom{}
	for _, p := range peers {
		from := learnedFrom{Local: p.Local, Remote: p.Remote, ASN: p.ASN}
		if _, ok := g.routing.stale.routes[p.Name]; ok {
			from.Until = g.routing.stale.until
		}
		for _, r := range p.Routes {
			if r.Refused == "" {
				from.Routes = append(from.Routes, r)
			}
		}
		if len(from.Routes) > 0 {
			now[p.Name] = from
		}
	}
	if reflect.DeepEqual(now, g.routing.stale.saved) {
		return
	}
	var text []byte
	var err error
	if len(now) > 0 {
		text, err = json.Marshal(now)
	}
	if err == nil {
		err = g.store.Note(keptRoutes, text)
	}
	if err != nil {
		g.log.Warn("learned routes cannot be kept; after a restart BGP must tell them first", "err", err)
	}
	g.routing.stale.saved = now
}
