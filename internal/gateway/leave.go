package gateway

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/routing/bgp"
)

// A tunnel that is removed or rebuilt while another one can carry its traffic
// leaves in steps, so that nothing on its way is lost: first it is drained, and by
// BGP the peer is told nothing any more over it; then its session is ended, which
// else would hang; then its SAs are deleted at the peer, and what the peer sent
// before it heard so is taken for a while more. Of two that change at once one
// waits for its turn, until the other is back.
const (
	// turnWithin is how long a tunnel waits for its turn at most: the other's leave,
	// IKE, and BGP, which rests for five seconds after a goodbye.
	turnWithin = 15 * time.Second
	// drainWithin is how long the peer has to move its traffic: a BGP message and
	// a route.
	drainWithin = time.Second
	// closeWithin is how long the goodbye of BGP may take.
	closeWithin = 200 * time.Millisecond
	// lingerFor is how long packets may be on their way that were sent before the
	// peer knew: a long round trip and a busy machine.
	lingerFor = 500 * time.Millisecond
)

// A leaving is where a tunnel that leaves stands. The zero value is one that
// stays.
type leaving struct {
	step  step
	until time.Time // when the next step is due
}

// A step is how far a tunnel is that leaves.
type step uint8

const (
	staying step = iota
	queued       // until it is its turn, and else as if it stayed
	draining
	silent // without a BGP session
	parted // the peer was told
)

// lasts is how long a step takes.
func (s step) lasts() time.Duration {
	return [...]time.Duration{queued: turnWithin, draining: drainWithin, silent: closeWithin, parted: lingerFor}[s]
}

// now reports whether the tunnel leaves, or waits to.
func (l leaving) now() bool { return l.step != staying }

// under reports whether it does not wait any more.
func (l leaving) under() bool { return l.step > queued }

// leavesLocked carries r, which shall not go on, through its leave. False says that
// it is over, or that nothing would be won by it: r is down, or there is no tunnel
// that stays to take its traffic. The caller holds g.mu.
func (g *Gateway) leavesLocked(r *running, wanted map[string]Tunnel) bool {
	l, now := &r.leaving, time.Now()
	if l.step == parted {
		return now.Before(l.until)
	}
	if !r.up() {
		return false
	}
	if !l.under() && g.waitsLocked(r, wanted) {
		if l.step == staying {
			g.enter(l, queued)
		}
		if now.Before(l.until) {
			return true
		}
	}
	switch {
	case !g.replaceableLocked(r, wanted):
		return false
	case l.under() && now.Before(l.until):
		return true
	case l.step == silent:
		r.part()
	}
	g.enter(l, max(l.step+1, draining))
	return true
}

// enter begins a step of l, and has it looked at again when that is over.
func (g *Gateway) enter(l *leaving, s step) {
	l.step, l.until = s, time.Now().Add(s.lasts())
	time.AfterFunc(s.lasts(), func() { signal(g.kick) })
}

// replaceableLocked reports whether a tunnel other than r is up and stays, if only
// until it is its turn, that may take r's traffic. The caller holds g.mu.
func (g *Gateway) replaceableLocked(r *running, wanted map[string]Tunnel) bool {
	for id, other := range g.tunnels {
		if t, ok := wanted[id]; ok && other != r && other.up() && (!other.leaving.under() || t.sameSession(other.cfg)) && t.carriesFor(r.cfg) {
			return true
		}
	}
	return false
}

// waitsLocked reports whether r, which shall not go on, is to wait since its traffic
// is another tunnel's that leaves and will be back: until that, or a third one,
// carries. The caller holds g.mu.
func (g *Gateway) waitsLocked(r *running, wanted map[string]Tunnel) bool {
	waits := r.leaving.step == queued
	for id, t := range wanted {
		if id == r.cfg.ID || !t.carriesFor(r.cfg) {
			continue
		}
		other := g.tunnels[id]
		switch {
		case other != nil && other.leaving.under():
			waits = true
		case other != nil && other.up() && t.sameSession(other.cfg) && (!t.speaks() || g.toldLocked(id)):
			return false
		}
	}
	return waits
}

// toldLocked reports whether the peer of the tunnel called id announces what may be
// used. The caller holds g.mu.
func (g *Gateway) toldLocked(id string) bool {
	return slices.ContainsFunc(g.peersLocked(), func(p bgp.PeerStatus) bool { return p.Name == id && p.Established && p.Accepted > 0 })
}

// carriesFor reports whether t may lead where u does, as far as the configuration
// says: a gateway may have tunnels to many sites.
func (t Tunnel) carriesFor(u Tunnel) bool {
	switch {
	case t.speaks() && u.speaks():
		return t.BGP.PeerASN == u.BGP.PeerASN
	case t.speaks() || u.speaks() || len(t.Routes) == 0 || len(u.Routes) == 0:
		return true // who knows
	}
	return slices.ContainsFunc(t.Routes, func(p netip.Prefix) bool { return slices.ContainsFunc(u.Routes, p.Overlaps) })
}

// effectiveLocked is what is wanted, and as they were the tunnels that leave, which
// carry only what no other can, or wait to. leaves reports whether there are any. The caller
// holds g.mu.
func (g *Gateway) effectiveLocked() (cfg Config, leaves bool) {
	cfg = g.want
	for id, r := range g.tunnels {
		if !r.leaving.now() {
			continue
		}
		if !leaves {
			cfg.Tunnels, leaves = slices.Clone(cfg.Tunnels), true
		}
		is := func(t Tunnel) bool { return t.ID == id }
		was := r.cfg
		if i := slices.IndexFunc(g.have.Tunnels, is); i >= 0 {
			was = g.have.Tunnels[i] // its routes and BGP may have changed since it began
		}
		was.Endpoint.Draining = was.Endpoint.Draining || r.leaving.under()
		if i := slices.IndexFunc(cfg.Tunnels, is); i >= 0 {
			cfg.Tunnels[i] = was
		} else {
			cfg.Tunnels = append(cfg.Tunnels, was)
		}
	}
	return cfg, leaves
}

// settleLocked makes what runs what is wanted as far as it is for now: with the
// tunnels that leave, unless these and others cannot be side by side, as with one
// interface for both; then they end at once. The caller holds g.mu.
func (g *Gateway) settleLocked() {
	have, leaves := g.effectiveLocked()
	if leaves && have.Validate() != nil {
		for id, r := range g.tunnels {
			if r.leaving.now() {
				g.endLocked(id, r)
			}
		}
		have = g.want
	}
	g.have = have
}

// leavesSpeakingLocked is what want, which is asked of BGP, becomes by tunnels that
// leave: they announce nothing, so that the peer uses another one, and are then
// without a session. The caller holds g.mu.
func (g *Gateway) leavesSpeakingLocked(want bgp.Config) bgp.Config {
	var peers []bgp.Peer
	for _, p := range want.Peers {
		if r := g.tunnels[p.Name]; r != nil && r.leaving.under() {
			if p.Announce = nil; r.leaving.step > draining {
				continue
			}
		}
		peers = append(peers, p)
	}
	want.Peers = peers
	return want
}

// part tells the peer goodbye. What it has sent is taken until r is stopped.
func (r *running) part() {
	r.unwatch() // its goodbye goes through the tunnel
	r.installed.lasting.Store(true)
	r.cancel()
	r.loop.Wait()
}

// outlive is how much longer than IKE an SA lives that is the last in use: until
// the routes are laid over another tunnel, packets go this way, and a peer that has
// deleted it still takes what was on its way.
const outlive = 100 * time.Millisecond

// installed are the SAs of a tunnel in the data plane.
type installed struct {
	sas
	lasting atomic.Bool   // SAs that IKE is done with stay until the tunnel goes
	used    atomic.Uint32 // the inbound SPI of the SA that is sent with
}

// sas is what IKE has the data plane do.
type sas interface {
	InstallInbound(*ike.ChildSA) error
	UseOutbound(*ike.ChildSA) error
	Remove(spiIn uint32)
	MovePeer(local, remote netip.AddrPort)
	LastInbound() time.Time
}

// UseOutbound makes sa the one that is sent with.
func (i *installed) UseOutbound(sa *ike.ChildSA) error {
	i.used.Store(sa.SPIIn)
	return i.sas.UseOutbound(sa)
}

// Remove forgets an SA as soon as that may be.
func (i *installed) Remove(spiIn uint32) {
	switch {
	case i.lasting.Load():
	case i.used.CompareAndSwap(spiIn, 0):
		time.AfterFunc(outlive, func() {
			if !i.lasting.Load() {
				i.sas.Remove(spiIn)
			}
		})
	default:
		i.sas.Remove(spiIn)
	}
}
