package gateway

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"seikan/internal/ipsec/dataplane"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/tunnel"
)

// firstMTU is what a TUN has until its first SA says better, in octets: it
// fits the dearest common suite, CBC with SHA2-256 in UDP (vpn §3.5).
const firstMTU = 1422

// restartMax is the longest pause before an initiator tries again: a tunnel
// that can come back shall, soon after its path has.
const restartMax = 10 * time.Second

// A running tunnel is a session with its peer and the TUN it serves.
type running struct {
	cfg    Tunnel // as configured, without defaults
	peer   peer
	tunnel *tunnel.Tunnel
	data   *dataplane.Tunnel
	cancel context.CancelFunc
	close  func() // removes data from the engine
	loop   sync.WaitGroup
	err    error // how Run ended; read after loop

	mu    sync.Mutex
	wasUp bool
	since time.Time
}

// start opens the TUN of t, joins it to its outside socket and begins to talk
// to the peer, or to wait for it.
func (g *Gateway) start(ctx context.Context, t Tunnel) (_ *running, err error) {
	local := t.Outside.Local
	if !local.IsValid() {
		if local, err = routeSource(t.Outside.Remote); err != nil {
			return nil, err
		}
	}
	outside, err := g.outsideLocked(local)
	if err != nil {
		return nil, err
	}
	machine, err := ikev2.New(g.machineConfig(t, local))
	if err != nil {
		return nil, err
	}
	dev, err := tun.Open(t.Interface, firstMTU)
	if err != nil {
		return nil, err
	}
	data, err := g.engine.AddTunnel(dataplane.TunnelConfig{
		ID: t.ID, Dev: dev, Outside: outside, ReplayWindow: t.ReplayWindow, ICMPSource: insidePeer(t.Inside),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{data: data, cancel: cancel, since: time.Now(), peer: peer{local, t.Outside.Remote}}
	r.close = func() { g.engine.RemoveTunnel(data) }
	r.tunnel = tunnel.New(tunnel.Config{
		Log: g.log.With("tunnel", t.ID), Machine: machine, DataPlane: data, Send: outside.SendIKE,
		Sequence: func() uint64 { return data.Counters().Sequence },
		Initiate: t.Initiate, Changed: func() { r.note(); signal(g.kick) },
	})
	r.loop.Go(func() { r.err = r.tunnel.Run(ctx) })
	return r, nil
}

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

// routeSource is the local address from which packets to remote would go.
func routeSource(remote netip.Addr) (netip.Addr, error) {
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, udp.IKEPort)))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("no route to the peer %v: %w", remote, err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), nil
}

// machineConfig says to the protocol what t says to us. Its identities were
// checked by Validate.
func (g *Gateway) machineConfig(t Tunnel, local netip.Addr) ikev2.Config {
	localID, _ := parseID(t.Outside.LocalID)
	remoteID, _ := parseID(t.Outside.RemoteID)
	return ikev2.Config{
		Initiator: t.Initiate, Restart: t.Initiate,
		Local: netip.AddrPortFrom(local, udp.IKEPort), Remote: netip.AddrPortFrom(t.Outside.Remote, udp.IKEPort),
		LocalID: localID, RemoteID: remoteID,
		PSK: t.PSK, IKE: t.IKE, ESP: t.ESP, ForceEncap: t.Outside.ForceEncap,
		LocalTS: []ike.Selector{ike.FromPrefix(t.LocalTS)}, RemoteTS: []ike.Selector{ike.FromPrefix(t.RemoteTS)},
		IKELifetime: t.Lifetime.Phase1, ChildLifetime: t.Lifetime.Phase2,
		RekeyMargin: t.Lifetime.RekeyMargin, RekeyFuzz: t.Lifetime.RekeyFuzz,
		DPDInterval: t.Liveness.Interval, DPDTimeout: t.Liveness.Timeout,
		Tuning: ikev2.Tuning{Cookies: g.cookies, RestartMax: restartMax},
	}
}

// anyID accepts whoever holds the key, as strongSwan's %any does.
const anyID = "%any"

// parseID reads an identity; empty and %any are no identity.
func parseID(text string) (ike.Identity, error) {
	if text == "" || text == anyID {
		return ike.Identity{}, nil
	}
	return ike.ParseIdentity(text)
}

// insidePeer is the other usable address of the /30 that ours is in; no
// address without one.
func insidePeer(inside netip.Prefix) netip.Addr {
	if !inside.IsValid() || inside.Bits() != 30 {
		return netip.Addr{}
	}
	if first := inside.Masked().Addr().Next(); first != inside.Addr() {
		return first
	}
	return inside.Addr().Next()
}

// stop tells the peer goodbye and takes the tunnel down.
func (r *running) stop() {
	r.cancel()
	r.loop.Wait()
	r.close()
}

// up reports whether the tunnel carries traffic.
func (r *running) up() bool { return r.tunnel.State().Phase == ike.Established }

// note remembers when the tunnel last went up or down.
func (r *running) note() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if up := r.up(); up != r.wasUp {
		r.wasUp, r.since = up, time.Now()
	}
}

func (r *running) status() TunnelStatus {
	state := r.tunnel.State()
	s := TunnelStatus{
		ID: r.cfg.ID, Interface: r.cfg.Interface, Inside: r.cfg.Inside,
		Up: state.Phase == ike.Established, Phase: state.Phase.String(), Reason: state.Reason,
	}
	r.mu.Lock()
	s.Since = r.since
	r.mu.Unlock()
	s.IKE, s.Child = describe(state)
	s.IKE.Dropped = r.tunnel.Dropped()
	s.Traffic = traffic(r.data.Counters(), r.data.MTU())
	return s
}
