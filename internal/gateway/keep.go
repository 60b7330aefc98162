package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"seikan/internal/ipsec/dataplane"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/keep"
	"seikan/internal/ipsec/tunnel"
	"seikan/internal/secret"
)

// openStore takes the state directory into use, if there is one.
func (g *Gateway) openStore() error {
	if g.opts.StateDirectory == "" {
		return nil
	}
	store, err := keep.Open(g.opts.StateDirectory)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.store = store
	var ids []string
	for _, t := range g.want.Tunnels {
		ids = append(ids, t.ID)
	}
	if err := store.Prune(ids); err != nil {
		g.log.Warn("state of tunnels that are no more", "err", err)
	}
	g.loadStaleLocked()
	return nil
}

// closeStoreLocked lets another gateway have the state directory. The caller
// holds g.mu.
func (g *Gateway) closeStoreLocked() error {
	if g.store == nil {
		return nil
	}
	defer func() { g.store = nil }()
	return errors.Join(g.store.Note(keptRoutes, nil), g.store.Close())
}

// keptLocked is where the state of t is kept; nil if it is not. A tunnel whose
// state cannot be kept works all the same. The caller holds g.mu.
func (g *Gateway) keptLocked(t Tunnel) *keep.Tunnel {
	if g.store == nil {
		return nil
	}
	digest, err := t.digest()
	var k *keep.Tunnel
	if err == nil {
		k, err = g.store.Tunnel(t.ID, digest)
	}
	if err != nil {
		g.log.Error("state of the tunnel cannot be kept; a restart would begin anew", "tunnel", t.ID, "err", err)
		return nil
	}
	return k
}

// restored is the machine that goes on with what k has of t; nil if there is
// nothing to go on with.
func (g *Gateway) restored(t Tunnel, cfg policy.Config, k *keep.Tunnel) *ikev2.Machine {
	switch {
	case k == nil:
		return nil
	case !slices.Contains(t.Versions, 2): // nothing of IKEv1 is kept
		k.Drop()
		return nil
	}
	state, err := k.Load()
	if errors.Is(err, keep.ErrNone) {
		return nil
	}
	defer state.Wipe()
	var m *ikev2.Machine
	if err == nil {
		m, err = ikev2.Restore(cfg, g.shared, time.Now(), state)
	}
	if err != nil {
		g.log.Warn("kept state is not gone on with; the tunnel begins anew", "tunnel", t.ID, "reason", err)
		k.Drop()
		return nil
	}
	return m
}

// digest stands for all of t that its SAs are bound to: what sameSession compares,
// secrets included. Certificates are looked at when the state is restored.
func (t Tunnel) digest() ([32]byte, error) {
	h := sha256.New()
	t = t.bound()
	t.VisitSecrets(func(name string, s *secret.Secret) {
		part := binary.BigEndian.AppendUint32([]byte(name), uint32(s.Len()))
		h.Write(append(part, s.Reveal()...))
		clear(part)
	})
	err := json.NewEncoder(h).Encode(t)
	return [32]byte(h.Sum(nil)), err
}

// keepIn lets k, unless it is nil, keep the state and the sequence numbers of a
// tunnel.
func keepIn(k *keep.Tunnel, t *tunnel.Config, d *dataplane.TunnelConfig) {
	if k == nil {
		return
	}
	t.Keep, d.Ledgers = k, k
}
