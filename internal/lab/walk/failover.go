package walk

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"seikan/internal/lab"
	"seikan/internal/lab/probe"
	"seikan/internal/lab/topology"
)

// Limits of the gap: with AWS's own DPD, and with the shorter liveness or the BFD
// that a topology can ask for.
const (
	slowGap = 40 * time.Second
	fastGap = 2 * time.Second
	bfdGap  = time.Second
)

// gapOf is the limit for a tunnel. BFD finds a broken path after Multiplier
// intervals, and may be slower than it can be.
func gapOf(t topology.Tunnel) time.Duration {
	switch l := t.Liveness; {
	case t.BFD != topology.BFD{} && t.BFD.Interval*time.Duration(t.BFD.Multiplier) < bfdGap:
		return bfdGap
	case l.Interval > 0 && l.Timeout > 0:
		return fastGap
	}
	return slowGap
}

// stepFailover cuts the tunnel that carries the traffic, under a ping, and
// measures how long nothing is answered.
func (p *picture) stepFailover(ctx context.Context, w lab.World, tell *Teller) (err error) {
	st, err := w.Status(ctx)
	if err != nil {
		return err
	}
	carrier, ok := p.carrier(st)
	if !ok {
		_, seen := p.tunnelsUp(st)
		return &Failure{Expected: "a tunnel that carries the traffic", Seen: seen, Look: "seikan lab status"}
	}
	limit := gapOf(p.vpn.Tunnels[carrier.Number-1])
	outside := carrier.Remote.Addr()
	defer func() { err = errors.Join(err, mend(ctx, w, []netip.Addr{outside})) }()
	r, err := p.pingOver(ctx, w, tell, outside, limit+2*time.Second)
	if err != nil {
		return err
	}
	tell.Show("cut", "tunnel %d at %v, where %s sent", carrier.Number, outside, p.gateway.Name)
	tell.Show("gap", "%s without an answer, %d of %d pings lost, every 20 ms (at most %v)", probe.Short(r.Ping.Gap), r.Ping.Sent-r.Ping.Received, r.Ping.Sent, limit)
	if r.Ping.Gap == 0 || r.Ping.Gap > limit {
		return &Failure{Expected: fmt.Sprintf("a gap of at most %v, and one at all", limit), Seen: r.String(), Look: "seikan lab status"}
	}
	if st, err = w.Status(ctx); err != nil {
		return err
	}
	now, ok := p.carrier(st)
	if !ok || now.Number == carrier.Number {
		_, seen := p.tunnelsUp(st)
		return &Failure{Expected: "the other tunnel to carry the traffic", Seen: seen, Look: "seikan lab status"}
	}
	tell.Show("goes on", "over tunnel %d, %v → %v", now.Number, now.Local, now.Remote)
	page, err := p.get(ctx, w, 5*time.Second)
	if err == nil && page.Outcome != probe.Answered {
		err = &Failure{Expected: "the service to answer over the other tunnel", Seen: page.String(), Look: "seikan lab status"}
	}
	if err != nil {
		return err
	}
	tell.Show("GET", "%s → %d from %s, %s", p.page(), page.HTTP.Status, page.HTTP.Server, probe.Short(page.Took))
	return nil
}

// carrier is the customer's end of the tunnel that carries traffic.
func (p *picture) carrier(st lab.Status) (lab.TunnelStatus, bool) {
	for _, t := range st.Tunnels {
		if t.Connection == p.vpn.Name && t.End == "customer" && t.Carries && t.Number >= 1 && t.Number <= len(p.vpn.Tunnels) {
			return t, true
		}
	}
	return lab.TunnelStatus{}, false
}

// pingOver pings for a second and for lasting, and cuts after the second.
func (p *picture) pingOver(ctx context.Context, w lab.World, tell *Teller, outside netip.Addr, lasting time.Duration) (probe.Result, error) {
	const interval, before = 20 * time.Millisecond, time.Second
	q := probe.Question{Kind: probe.Ping, Target: p.app.Address.String(), Interval: interval, Count: int((before + lasting) / interval), Timeout: time.Second}
	type answer struct {
		r   probe.Result
		err error
	}
	pinged := make(chan answer, 1)
	go func() {
		r, err := p.ask(ctx, w, p.client.Name, q)
		pinged <- answer{r, err}
	}()
	done := tell.Waiting("pinging while the tunnel is cut")
	defer done()
	select {
	case <-time.After(before):
	case <-ctx.Done():
	}
	cutErr := w.Change(ctx, lab.Change{Cut: outside})
	a := <-pinged
	if err := errors.Join(cutErr, a.err); err != nil {
		return a.r, err
	}
	if a.r.Outcome != probe.Answered {
		return a.r, &Failure{Expected: "ping to " + p.app.Name + " to be answered again", Seen: a.r.String(), Look: "seikan lab status"}
	}
	return a.r, nil
}
