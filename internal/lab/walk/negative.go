package walk

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"seikan/internal/lab"
	"seikan/internal/lab/probe"
)

// shortly bounds the probes that are expected to hear nothing.
const shortly = 1200 * time.Millisecond

// stepNegative shows what must not work.
func (p *picture) stepNegative(ctx context.Context, w lab.World, tell *Teller) error {
	for _, part := range []func(context.Context, lab.World, *Teller) error{p.oneWay, p.shutPort, p.apart, p.noLeak} {
		if err := part(ctx, w, tell); err != nil {
			return err
		}
	}
	return nil
}

// An attempt is a TCP connection that must not come about.
type attempt struct{ label, host, target string }

// refused tries and fails when the far end answers.
func (p *picture) refused(ctx context.Context, w lab.World, tell *Teller, a attempt) error {
	r, err := p.ask(ctx, w, a.host, probe.Question{Kind: probe.TCP, Target: a.target, Timeout: shortly})
	if err != nil {
		return err
	}
	if r.Outcome == probe.Answered || r.Outcome == probe.Failed {
		return &Failure{Expected: fmt.Sprintf("no connection from %s to %s", a.host, a.target), Seen: r.String(), Look: "seikan lab exec " + a.host + " -- ip route"}
	}
	tell.Show(a.label, "%s → %s: %s after %s", a.host, a.target, r.Outcome, probe.Short(r.Took))
	return nil
}

// oneWay: the provider cannot open a connection to the consumer, neither to an
// instance nor to the endpoint.
func (p *picture) oneWay(ctx context.Context, w lab.World, tell *Teller) error {
	st, err := w.Status(ctx)
	if err != nil {
		return err
	}
	targets := []netip.Addr{p.app.Address}
	for _, e := range st.Endpoints {
		if e.Name == p.endpoint.Name && len(e.Addresses) > 0 {
			targets = append(targets, e.Addresses[0])
		}
	}
	for _, a := range targets {
		if err := p.refused(ctx, w, tell, attempt{"one way", p.web[1].Name, netip.AddrPortFrom(a, 443).String()}); err != nil {
			return err
		}
	}
	return nil
}

// shutPort: the load balancer listens, the endpoint's security group says no.
func (p *picture) shutPort(ctx context.Context, w lab.World, tell *Teller) error {
	return p.refused(ctx, w, tell, attempt{"closed port", p.client.Name, fmt.Sprintf("%s:%d", p.zone.Name, p.shut)})
}

// apart: a host of the provider's VPC asks for an address that is the client's
// on-premises; nothing of it may be seen there.
func (p *picture) apart(ctx context.Context, w lab.World, tell *Teller) error {
	stop, err := w.Watch(ctx, p.site.LAN.Name)
	if err != nil {
		return err
	}
	err = p.refused(ctx, w, tell, attempt{"same range", p.web[1].Name, netip.AddrPortFrom(p.dns.Address, 53).String()})
	if err == nil {
		// For a while, so that what is late is seen, too.
		q := probe.Question{Kind: probe.Ping, Target: p.client.Address.String(), Count: 12, Interval: 50 * time.Millisecond, Timeout: 300 * time.Millisecond}
		var r probe.Result
		if r, err = p.ask(ctx, w, p.web[1].Name, q); err == nil && r.Outcome == probe.Answered {
			err = &Failure{Expected: "no answer to ping from " + p.web[1].Name + " to " + p.client.Address.String(), Seen: r.String()}
		}
	}
	seen, stopErr := stop()
	if err = errors.Join(err, stopErr); err != nil {
		return err
	}
	if seen.Clear > 0 {
		return &Failure{Expected: fmt.Sprintf("no packet of it on %s", p.site.LAN.Name), Seen: fmt.Sprintf("%d, the first: %v", seen.Clear, seen.Sample), Look: "seikan lab capture " + p.site.LAN.Name}
	}
	tell.Show("", "on %s meanwhile: %d packets of the tunnels, %d others", p.site.LAN.Name, seen.IKE+seen.ESP, seen.Clear)
	return nil
}

// noLeak: with both tunnels cut, the client goes on asking, and nothing of it
// appears on the internet.
func (p *picture) noLeak(ctx context.Context, w lab.World, tell *Teller) (err error) {
	outside := w.Topology().Cloud.Edge.Addresses
	defer func() { err = errors.Join(err, mend(ctx, w, outside)) }()
	for _, a := range outside {
		if err := w.Change(ctx, lab.Change{Cut: a}); err != nil {
			return err
		}
	}
	err = await(ctx, tell, wait{what: "the customer gateway to find both tunnels dead", limit: 60 * time.Second, every: 200 * time.Millisecond, look: func() (bool, string, error) {
		st, err := w.Status(ctx)
		if err != nil {
			return false, "", err
		}
		up := 0
		for _, t := range st.Tunnels {
			if t.Up && t.End == "customer" && t.Connection == p.vpn.Name {
				up++
			}
		}
		return up == 0, fmt.Sprintf("%d still up", up), nil
	}})
	if err != nil {
		return lookAt(err, "seikan lab status")
	}
	if err := p.askInVain(ctx, w, tell); err != nil {
		return err
	}
	start := time.Now()
	if err := p.mendInOrder(ctx, w, tell); err != nil {
		return err
	}
	tell.Show("mended", "both tunnels are up again %s later", probe.Short(time.Since(start)))
	return nil
}

// askInVain counts what is seen on the internet while the client tries.
func (p *picture) askInVain(ctx context.Context, w lab.World, tell *Teller) error {
	stop, err := w.Watch(ctx, "internet")
	if err != nil {
		return err
	}
	tries := []probe.Question{
		{Kind: probe.Ping, Target: p.app.Address.String(), Count: 20, Interval: 20 * time.Millisecond, Timeout: 300 * time.Millisecond},
		{Kind: probe.TCP, Target: netip.AddrPortFrom(p.app.Address, 443).String(), Timeout: shortly},
		{Kind: probe.DNS, Target: p.zone.Name, Timeout: shortly},
	}
	for _, q := range tries {
		r, e := p.ask(ctx, w, p.client.Name, q)
		if e == nil && r.Outcome == probe.Answered {
			e = &Failure{Expected: "no answer while the tunnels are down", Seen: r.String(), Look: "seikan lab exec " + p.gateway.Name + " -- ip route"}
		}
		if e != nil {
			stop()
			return e
		}
	}
	seen, err := stop()
	if err != nil {
		return err
	}
	if seen.Clear > 0 || seen.ESP > 0 {
		return &Failure{Expected: "only IKE on the internet while the tunnels are down", Seen: fmt.Sprintf("%d clear packets, %d of ESP, the first: %v", seen.Clear, seen.ESP, seen.Sample),
			Look: "seikan lab exec " + p.gateway.Name + " -- ip route"}
	}
	tell.Show("no leak", "tunnels down, %d kinds of request: on the internet %d packets in clear, %d of IKE", len(tries), seen.Clear, seen.IKE)
	return nil
}

// mendInOrder brings the tunnels back one after the other, so that the first is
// the one that carries the traffic: a gateway stays with what works.
func (p *picture) mendInOrder(ctx context.Context, w lab.World, tell *Teller) error {
	st, err := w.Status(ctx)
	if err != nil {
		return err
	}
	for _, t := range st.Tunnels { // by number
		if t.Connection != p.vpn.Name || t.End != "customer" {
			continue
		}
		if err := mend(ctx, w, []netip.Addr{t.Remote.Addr()}); err != nil {
			return err
		}
		up := wait{what: fmt.Sprintf("tunnel %d to come back", t.Number), limit: 60 * time.Second, every: 200 * time.Millisecond}
		up.look = func() (bool, string, error) {
			st, err := w.Status(ctx)
			return p.customerUp(st, t.Number), "it is down", err
		}
		if err := await(ctx, tell, up); err != nil {
			return lookAt(err, "seikan lab status")
		}
	}
	_, err = p.awaitTunnels(ctx, w, tell, 60*time.Second)
	return err
}

// customerUp reports whether the customer's end of tunnel number is up.
func (p *picture) customerUp(st lab.Status, number int) bool {
	return slices.ContainsFunc(st.Tunnels, func(t lab.TunnelStatus) bool {
		return t.Connection == p.vpn.Name && t.End == "customer" && t.Number == number && t.Up
	})
}

// mend carries all addresses again. It works although ctx has ended.
func mend(ctx context.Context, w lab.World, outside []netip.Addr) (err error) {
	ctx = context.WithoutCancel(ctx)
	for _, a := range outside {
		err = errors.Join(err, w.Change(ctx, lab.Change{Mend: a}))
	}
	return err
}
