package walk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"seikan/internal/lab"
	"seikan/internal/lab/probe"
	"seikan/internal/lab/topology"
)

// Through returns the walk-through that suits what t holds: a service behind an
// endpoint, a gateway that roams, or a site and an instance. The error says what
// t lacks. caFile is the PEM file of the authority that signed the web servers'
// certificates.
func Through(t *topology.Topology, caFile string) ([]Step, error) {
	switch {
	case len(t.Cloud.Endpoints) > 0:
		return SystemOverview(t, caFile)
	case len(t.VPN) > 0 && t.VPN[0].Roaming:
		return Roaming(t, caFile)
	}
	return SiteToSite(t, caFile)
}

// SiteToSite returns the steps over a site, a VPC with an instance and the VPN
// connection between them.
func SiteToSite(t *topology.Topology, caFile string) ([]Step, error) {
	p := &picture{caFile: caFile}
	if err := p.find(t, p.findSite); err != nil {
		return nil, err
	}
	return []Step{
		{"A site behind NAT, the internet, the cloud's edge", p.stepSite},
		{"The VPN connection: two tunnels, both up", p.stepConnection},
		{"From the client to the instance", p.stepInstance},
		{"One tunnel is cut", p.stepFailover},
	}, nil
}

// stepConnection shows the tunnels and what routes come of them.
func (p *picture) stepConnection(ctx context.Context, w lab.World, tell *Teller) error {
	if err := p.stepTunnels(ctx, w, tell); err != nil {
		return err
	}
	st, err := w.Status(ctx)
	if err != nil {
		return err
	}
	showResources(tell, st, p.consumer.Account, p.consumer.Name, p.vpn.Target(), p.vpn.Name)
	if !p.vpn.Dynamic() {
		tell.Show("routes", "static: %s behind %s, %v behind %s", joined(p.vpn.Routes), p.gateway.Name, p.consumer.CIDR, p.vpn.Target())
	}
	for _, r := range p.consumer.RouteTables {
		if r.Propagate {
			tell.Show("route table", "%s, routes of %s propagated", r.Name, p.consumer.VPNGateway)
		}
		for _, to := range r.Routes {
			tell.Show("route table", "%s, %v to %s", r.Name, to.To, to.TransitGateway)
		}
	}
	return nil
}

// stepInstance pings the instance and fetches its page.
func (p *picture) stepInstance(ctx context.Context, w lab.World, tell *Teller) error {
	if err := p.reached(ctx, w, tell); err != nil {
		return err
	}
	if err := p.pings(ctx, w, tell); err != nil {
		return err
	}
	r, err := p.get(ctx, w, 5*time.Second)
	if err == nil && (r.Outcome != probe.Answered || r.HTTP == nil) {
		err = &Failure{Expected: "an answer from " + p.app.Name, Seen: r.String(), Look: "seikan lab exec " + p.client.Name + " -- curl -vk " + p.page()}
	}
	if err != nil {
		return err
	}
	tell.Show("GET", "%s → %d from %s, %s, %d bytes, %s", p.page(), r.HTTP.Status, r.HTTP.Server, r.HTTP.TLS, r.Bytes, probe.Short(r.Took))
	tell.Show("", "the server saw %s, the client's own address", r.HTTP.Client)
	return nil
}

// reached waits for the first answer of the instance: what a gateway reports is
// in the VPC's routes a moment later.
func (p *picture) reached(ctx context.Context, w lab.World, tell *Teller) error {
	err := await(ctx, tell, wait{what: p.app.Name + " to answer", limit: 10 * time.Second, every: 100 * time.Millisecond, look: func() (bool, string, error) {
		r, err := p.ask(ctx, w, p.client.Name, probe.Question{Kind: probe.Ping, Target: p.app.Address.String(), Count: 1, Timeout: 500 * time.Millisecond})
		return r.Outcome == probe.Answered, r.String(), err
	}})
	return lookAt(err, "seikan lab status; seikan lab exec "+p.client.Name+" -- ip route get "+p.app.Address.String())
}

// joined is a list as text.
func joined[P fmt.Stringer](list []P) string {
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = p.String()
	}
	return strings.Join(out, ", ")
}
