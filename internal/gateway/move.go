package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
)

// mobike is how a snapshot names the extension by which SAs can move (RFC
// 4555).
const mobike = "MOBIKE"

// handover is how long a tunnel may take to hear that its address changed.
const handover = time.Second

// movedLocked reports whether our own address towards the peer of r is another
// than when r was started, as after a new DHCP lease, so that it must start
// anew. Without a route it is not known to be. Where the peer can follow, the
// SAs move and r goes on. The caller holds g.mu.
func (g *Gateway) movedLocked(ctx context.Context, r *running) bool {
	if r.cfg.Outside.Local.IsValid() {
		return false
	}
	path, err := pathOf(r.cfg.Outside)
	if err != nil || path.Local == r.peer.local {
		return false
	}
	if !slices.Contains(r.tunnel.State().Extensions, mobike) {
		return true
	}
	if err := g.moveLocked(ctx, r, path); err != nil {
		g.log.Warn("the tunnel cannot move to our new address; it is started anew", "tunnel", r.cfg.ID, "local", path.Local, "err", err)
		return true
	}
	return false
}

// moveLocked gives r another address of ours and tells its peer. The caller
// holds g.mu.
func (g *Gateway) moveLocked(ctx context.Context, r *running, path udp.Path) error {
	to := peer{path.Local, r.peer.remote}
	if id, taken := g.takenLocked(to); taken {
		return fmt.Errorf("from %v to %v there is tunnel %s already", to.local, to.remote, id)
	}
	outside, err := g.outsideLocked(path.Local)
	if err != nil {
		return err
	}
	if err := g.engine.MoveTunnel(r.data, outside, path.MTU); err != nil {
		return err
	}
	r.outside.Store(outside)
	delete(g.between, r.peer)
	g.between[to] = r.cfg.ID
	r.peer = to
	ctx, cancel := context.WithTimeout(ctx, handover)
	defer cancel()
	return r.tunnel.Ask(ctx, ike.LocalChanged{Local: netip.AddrPortFrom(path.Local, udp.IKEPort)})
}

// takenLocked finds the tunnel that IKE could not tell from one between these
// addresses. The caller holds g.mu.
func (g *Gateway) takenLocked(between peer) (id string, taken bool) {
	id, taken = g.between[between]
	return id, taken
}
