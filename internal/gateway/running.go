package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"seikan/internal/ipsec/dataplane"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/tunnel"
)

// firstMTU is what a TUN has until its first SA says better, in octets: it
// fits the dearest common suite, CBC with SHA2-256 in UDP (vpn §3.5).
const firstMTU = 1422

// A running tunnel is a session with its peer and the TUN it serves.
type running struct {
	cfg    Tunnel // as configured, without defaults
	peer   peer   // gateway.mu guards it
	tunnel *tunnel.Tunnel
	data   *dataplane.Tunnel
	cancel context.CancelFunc
	close  func() // removes data from the engine

	outside atomic.Pointer[udp.Outside] // that of peer.local
	resumed bool                        // its SAs are those that another process had

	loop    sync.WaitGroup
	watched watched // gateway.mu guards it
	leaving leaving // gateway.mu guards it
	carrier carrier // gateway.mu guards it
	// installed are its SAs, as IKE sees them.
	installed installed

	started time.Time
	pause   time.Duration // how long it had not run before

	mu    sync.Mutex
	wasUp bool
	since time.Time
	downs []Down // the last, at most maxDowns
	err   error  // why it must be started again
}

// start opens the TUN of t, joins it to its outside socket and begins to talk
// to the peer, or to wait for it. The caller holds g.mu.
func (g *Gateway) start(ctx context.Context, t Tunnel) (*running, error) {
	path, err := pathOf(t.Outside)
	if err != nil {
		return nil, err
	}
	between := peer{path.Local, t.Outside.Remote}
	if id, taken := g.takenLocked(between); taken {
		return nil, fmt.Errorf("from %v to %v there is tunnel %s already; IKE could not tell them apart", path.Local, t.Outside.Remote, id)
	}
	outside, err := g.outsideLocked(path.Local)
	if err != nil {
		return nil, err
	}
	dev, err := tun.Open(t.Interface, firstMTU)
	if err != nil {
		return nil, err
	}
	kept := g.keptLocked(t) // what is kept counts how often it is taken up, so that is last
	machine, resumed, err := g.machine(t, path.Local, kept)
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	quiet(t.Interface, t.ipv6(), g.log)
	r := &running{since: time.Now(), peer: between, resumed: resumed, carrier: carrier{dev: dev}}
	r.outside.Store(outside)
	inner := dataplane.TunnelConfig{
		ID: t.ID, Dev: dev, Outside: outside, ReplayWindow: t.ReplayWindow, PathMTU: path.MTU, ICMPSource: insidePeer(t.Inside),
		Gone: func(err error) { r.fail(err); signal(g.kick) },
	}
	outer := tunnel.Config{
		Log: g.log.With("tunnel", t.ID), Machine: machine, Resume: resumed,
		Send:     func(d ike.Datagram) error { return r.outside.Load().SendIKE(d) },
		Sequence: func() uint64 { return r.data.Counters().Sequence },
		Words:    g.opts.Words,
		Initiate: t.Initiate, Changed: func() { r.note(); signal(g.kick) },
	}
	keepIn(kept, &outer, &inner)
	if r.data, err = g.engine.AddTunnel(inner); err != nil {
		return nil, err
	}
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.close = func() {
		g.engine.RemoveTunnel(r.data)
		if kept != nil {
			kept.End()
		}
	}
	r.installed.sas = r.data
	outer.DataPlane = &r.installed
	r.tunnel = tunnel.New(outer)
	r.loop.Go(func() {
		if err := r.tunnel.Run(ctx); err != nil {
			r.fail(err)
			signal(g.kick)
		}
	})
	return r, nil
}

// maxPath is the MTU that no path between gateways is believed to exceed: the
// Internet's. Our own link may well be larger.
const maxPath = 1500

// pathOf is the outside path of a tunnel. When our address is given, the
// sockets may be another namespace's, whose routes we do not see: then the
// path is the Internet's, as it is to a peer that comes from anywhere.
func pathOf(o Outside) (udp.Path, error) {
	if !o.Remote.IsValid() {
		return udp.Path{Local: o.Local, MTU: maxPath}, nil
	}
	path, err := udp.PathTo(o.Remote)
	if o.Local.IsValid() {
		if err != nil || path.Local != o.Local {
			path.MTU = maxPath
		}
		path.Local, err = o.Local, nil
	}
	path.MTU = max(minPath, min(path.MTU, maxPath))
	return path, err
}

// minPath is the least MTU that the data plane takes.
const minPath = 576

// outsideLocked returns the sockets of local, opening them if nobody did. The
// caller holds g.mu.
func (g *Gateway) outsideLocked(local netip.Addr) (*udp.Outside, error) {
	if o := g.outsides[local]; o != nil {
		return o, nil
	}
	o, err := udp.Listen(local, udp.Ports{IKE: udp.IKEPort, NAT: udp.NATPort}, udp.Options{RawESP: true, Log: g.log})
	if err != nil {
		return nil, err
	}
	g.outsides[local] = o
	return o, nil
}

// insidePeer is the other usable address of the /30, or /126, that ours is in; no
// address without one.
func insidePeer(inside netip.Prefix) netip.Addr {
	if !inside.IsValid() || inside.Bits() != inside.Addr().BitLen()-2 {
		return netip.Addr{}
	}
	if first := inside.Masked().Addr().Next(); first != inside.Addr() {
		return first
	}
	return inside.Addr().Next()
}

// stop tells the peer goodbye and takes the tunnel down.
func (r *running) stop() {
	r.unwatch() // its goodbye goes through the tunnel
	r.cancel()
	r.loop.Wait()
	r.installed.lasting.Store(true) // they go with the tunnel
	r.close()
}

// up reports whether the tunnel carries traffic.
func (r *running) up() bool { return r.tunnel.State().Phase == ike.Established && r.broken() == nil }

// fail says why r must be started again; the first reason stays.
func (r *running) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

// broken is why r must be started again; nil when it need not.
func (r *running) broken() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// note remembers when the tunnel last went up or down.
func (r *running) note() {
	r.mu.Lock()
	defer r.mu.Unlock()
	state, now := r.tunnel.State(), time.Now()
	up := state.Phase == ike.Established
	last := len(r.downs) - 1
	switch {
	case up == r.wasUp:
		if !up && last >= 0 && r.downs[last].Reason == "" {
			r.downs[last].Reason = r.tunnel.Reason() // it is told after the fact
		}
		return
	case up && last >= 0:
		r.downs[last].Seconds = now.Sub(r.downs[last].At).Seconds()
	case !up:
		r.downs = append(r.downs, Down{At: now, Reason: r.tunnel.Reason()})
		r.downs = r.downs[max(0, len(r.downs)-maxDowns):]
	}
	r.wasUp, r.since = up, now
}

func (r *running) status() TunnelStatus {
	state := r.tunnel.State()
	s := TunnelStatus{
		ID: r.cfg.ID, Interface: r.cfg.Interface, Inside: r.cfg.Inside,
		Up: state.Phase == ike.Established, Phase: state.Phase.String(), Reason: state.Reason,
		Endpoint: r.cfg.Endpoint.Generation,
	}
	r.mu.Lock()
	s.Since, s.Downs = r.since, slices.Clone(r.downs)
	r.mu.Unlock()
	live := r.cfg.withDefaults().Liveness
	s.Initiate, s.Dead = r.cfg.Initiate, DeadStatus{AfterSeconds: (live.Interval + live.Timeout).Seconds(), Action: actionWord(live.Action, r.cfg.Initiate)}
	s.IKE, s.Child = describe(state)
	s.IKE.Dropped = r.tunnel.Dropped()
	s.Traffic = traffic(r.data.Counters(), r.data.MTU())
	return s
}
