package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"seikan/internal/routing/bfd"
	"seikan/internal/routing/bfd/hop"
	"seikan/internal/routing/bgp"
)

// BFD watches the path of a tunnel several times a second (RFC 5880 and 5881),
// between its inside addresses. AWS has none on VPNs; the other end must. The
// zero value is none.
type BFD struct {
	Interval   time.Duration // how often each end is heard, 50 ms to 1 min; the slower of the two ends decides
	Multiplier int           // the tunnel carries nothing after so many of them in silence, 2 to 50
}

// used reports whether there is BFD.
func (b BFD) used() bool { return b != BFD{} }

// check reports what BFD cannot do.
func (b BFD) check() error {
	if !b.used() {
		return nil
	}
	if err := (bfd.Config{Interval: b.Interval, Multiplier: b.Multiplier}).Validate(); err != nil {
		return fmt.Errorf("BGP.BFD: %w", err)
	}
	return nil
}

// A watched is the BFD session of a tunnel that runs.
type watched struct {
	*hop.Link
	cfg BFD
}

// convergeBFDLocked makes the BFD sessions those that are wanted. It comes after
// the addresses are laid. The caller holds g.mu.
func (g *Gateway) convergeBFDLocked(ctx context.Context) error {
	var errs []error
	for _, t := range g.have.Tunnels {
		r := g.tunnels[t.ID]
		if r == nil || r.leaving.step == parted || r.watched.cfg == t.BGP.BFD {
			continue
		}
		r.unwatch()
		if !t.BGP.BFD.used() {
			continue
		}
		l, err := hop.Start(ctx, hop.Config{
			Log: g.log.With("tunnel", t.ID), Local: t.Inside.Addr(), Remote: insidePeer(t.Inside), Device: t.Interface,
			Interval: t.BGP.BFD.Interval, Multiplier: t.BGP.BFD.Multiplier, Changed: func() { signal(g.kick) },
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("tunnel %s: %w", t.ID, err))
			continue
		}
		r.watched = watched{l, t.BGP.BFD}
	}
	return errors.Join(errs...)
}

// unwatch ends the BFD session of r, if it has one, and tells the peer that this
// is no failure. The caller holds gateway.mu.
func (r *running) unwatch() {
	if r.watched.Link != nil {
		r.watched.Stop()
	}
	r.watched = watched{}
}

// cutLocked are the tunnels that BFD has found to carry nothing: the session was
// up and its path broke. As with RFC 5882 a peer that never had BFD, or ended it
// on purpose, cuts nothing, and neither does a failure that a BGP session
// established since has made old. The caller holds g.mu.
func (g *Gateway) cutLocked(peers []bgp.PeerStatus) map[string]bool {
	since := map[string]time.Time{}
	for _, p := range peers {
		if p.Established {
			since[p.Name] = p.Since
		}
	}
	out := map[string]bool{}
	for id, r := range g.tunnels {
		if r.watched.Link != nil && cut(r.watched.Status(), since[id]) {
			out[id] = true
		}
	}
	return out
}

// cut is cutLocked for one session, whose tunnel's BGP session is established
// since then, or not.
func cut(s bfd.Status, established time.Time) bool {
	return s.State != bfd.Up && !s.Failed.IsZero() && !established.After(s.Failed)
}

// A BFDStatus is the BFD session of a tunnel.
type BFDStatus struct {
	State  string    `json:"state"` // of RFC 5880: "AdminDown", "Down", "Init", "Up"
	Peer   string    `json:"peer"`  // the peer's state, as it last said
	Since  time.Time `json:"since"` // when State last changed
	Reason string    `json:"reason,omitempty"`
	// Cut says that the tunnel carries nothing because of it.
	Cut bool `json:"cut"`
	// TransmitMillis is how often we send, and DetectMillis how long the peer may
	// be silent, as negotiated.
	TransmitMillis int64 `json:"transmit_ms"`
	DetectMillis   int64 `json:"detect_ms,omitempty"`
}

// bfdStatus describes the BFD session of r; nil without. The caller holds
// gateway.mu.
func (r *running) bfdStatus(established time.Time) *BFDStatus {
	if r == nil || r.watched.Link == nil {
		return nil
	}
	s := r.watched.Status()
	out := &BFDStatus{
		State: s.State.String(), Peer: s.RemoteState.String(), Since: s.Since, Cut: cut(s, established),
		TransmitMillis: s.Transmit.Milliseconds(), DetectMillis: s.Detect.Milliseconds(),
	}
	if s.Diag != bfd.NoDiag {
		out.Reason = s.Diag.String()
	}
	return out
}
