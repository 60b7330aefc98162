package gateway

import (
	"encoding/json"
	"errors"
	"io/fs"
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
}

// learnedFrom is what is kept of one peer: without it being the same, nothing
// counts.
type learnedFrom struct {
	Local, Remote netip.Addr
	ASN           uint32
	Routes        []bgp.Route
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
	g.routing.stale.routes, g.routing.stale.until = map[string][]bgp.Route{}, time.Now().Add(staleFor)
	for _, p := range g.want.speaker(netip.Addr{}, nil).Peers {
		if was, ok := had[p.Name]; ok && was.Local == p.Local && was.Remote == p.Remote && was.ASN == p.ASN {
			g.routing.stale.routes[p.Name] = was.Routes
		}
	}
}

// addStaleLocked puts what was kept beside what peers announce, unless a peer has
// said all that it has, or its tunnel is not the one of before any more. The caller
// holds g.mu.
func (g *Gateway) addStaleLocked(peers []bgp.PeerStatus) {
	if len(g.routing.stale.routes) == 0 {
		return
	}
	now := time.Now()
	for i := range peers {
		p := &peers[i]
		kept, ok := g.routing.stale.routes[p.Name]
		if !ok {
			continue
		}
		told := p.Established && (p.Complete || now.Sub(p.Since) >= endOfRIB)
		if told || now.After(g.routing.stale.until) || !g.tunnels[p.Name].unbroken() {
			delete(g.routing.stale.routes, p.Name)
			continue
		}
		for _, r := range kept {
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
