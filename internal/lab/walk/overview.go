package walk

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/lab"
	"seikan/internal/lab/probe"
	"seikan/internal/lab/topology"
)

// A picture is the parts of a topology that the system overview's steps need,
// found by what they are, not by name.
type picture struct {
	site                    topology.Site
	router, gateway, client topology.Host
	dns                     topology.Host
	vpn                     topology.Connection
	consumer, provider      topology.VPC
	app                     topology.Instance   // serves HTTPS in the consumer's VPC
	web                     []topology.Instance // serve HTTPS behind the load balancer
	ftp                     topology.Instance
	balancer                topology.LoadBalancer
	endpoint                topology.Endpoint
	zone                    topology.Zone
	shut                    uint16 // a listener's port that the endpoint's groups do not allow
	caFile                  string
}

// SystemOverview returns the seven steps over a topology of the shape of
// lab/system-overview.yaml. The error says what the topology lacks. caFile is
// the PEM file of the authority that signed the web servers' certificates.
func SystemOverview(t *topology.Topology, caFile string) ([]Step, error) {
	p := &picture{caFile: caFile}
	if err := p.find(t, p.findSite, p.findNames, p.findService, p.findServers, p.findShut); err != nil {
		return nil, err
	}
	return []Step{
		{"A data centre behind NAT, the internet, the cloud's edge", p.stepSite},
		{"The consumer's VPC: gateway, endpoint, names", p.stepConsumer},
		{"The provider's VPC, of the data centre's own range", p.stepProvider},
		{"The VPN connection: two tunnels, both up", p.stepTunnels},
		{"From the client to the private service", p.stepService},
		{"What must not work", p.stepNegative},
		{"One tunnel is cut", p.stepFailover},
	}, nil
}

// find runs what finds the parts; the error says what t lacks.
func (p *picture) find(t *topology.Topology, parts ...func(*topology.Topology) error) error {
	for _, part := range parts {
		if err := part(t); err != nil {
			return fmt.Errorf("%s has no walk-through of its own: %w; `seikan lab up` runs it all the same", t.Name, err)
		}
	}
	return nil
}

func (p *picture) findSite(t *topology.Topology) error {
	if len(t.VPN) == 0 {
		return fmt.Errorf("it has no VPN connection")
	}
	p.vpn = t.VPN[0]
	p.gateway, p.site, _ = t.Host(p.vpn.CustomerGateway)
	for _, h := range p.site.Hosts {
		switch h.Role {
		case topology.Router:
			p.router = h
		case topology.Client:
			p.client = h
		case topology.DNSServer, topology.CustomerGateway:
		}
	}
	if p.router.Name == "" || p.client.Name == "" {
		return fmt.Errorf("its site lacks a router or a client")
	}
	if all := t.Reached(p.vpn); len(all) > 0 {
		p.consumer = all[0]
	}
	for _, i := range p.consumer.Instances {
		if i.Service == topology.HTTPS && i.Address.IsValid() {
			p.app = i
		}
	}
	if p.app.Name == "" {
		return fmt.Errorf("it lacks an HTTPS instance with an address in the VPC that the VPN reaches")
	}
	return nil
}

// findNames finds who answers for names at the site.
func (p *picture) findNames(*topology.Topology) error {
	for _, h := range p.site.Hosts {
		if h.Role == topology.DNSServer {
			p.dns = h
		}
	}
	if p.client.Resolver == "" || p.dns.Name == "" {
		return fmt.Errorf("its site lacks a DNS server, or a client that asks it")
	}
	return nil
}

// findService finds the endpoint in the consumer's VPC with the name that
// stands for it and the load balancer behind it.
func (p *picture) findService(t *topology.Topology) error {
	for _, z := range t.Cloud.Zones {
		for _, r := range z.Records {
			for _, e := range t.Cloud.Endpoints {
				if r.Alias == e.Name && e.VPC == p.consumer.Name && r.Name == "@" {
					p.zone, p.endpoint = z, e
				}
			}
		}
	}
	for _, s := range t.Cloud.EndpointServices {
		for _, lb := range t.Cloud.LoadBalancers {
			if s.Name == p.endpoint.Service && s.LoadBalancer == lb.Name {
				p.balancer = lb
			}
		}
	}
	for _, v := range t.Cloud.VPCs {
		if v.Name == p.balancer.VPC {
			p.provider = v
		}
	}
	if p.provider.Name == "" {
		return fmt.Errorf("no zone has an alias at its apex to an endpoint of the VPC that the VPN reaches")
	}
	return nil
}

func (p *picture) findServers(t *topology.Topology) error {
	for _, i := range p.provider.Instances {
		switch i.Service {
		case topology.HTTPS:
			p.web = append(p.web, i)
		case topology.FTP:
			p.ftp = i
		case topology.NoService:
		}
	}
	if len(p.web) < 2 || p.ftp.Name == "" {
		return fmt.Errorf("it lacks two HTTPS instances or an FTP instance in the provider's VPC")
	}
	return nil
}

// findShut finds a port that the load balancer serves and the endpoint's
// security groups do not let in from the site.
func (p *picture) findShut(*topology.Topology) error {
	for _, l := range p.balancer.Listeners {
		if !p.admits(l.Port) {
			p.shut = l.Port
			return nil
		}
	}
	return fmt.Errorf("every port of the load balancer is open at the endpoint, so none can be seen refused")
}

func (p *picture) admits(port uint16) bool {
	for _, g := range p.consumer.SecurityGroups {
		for _, name := range p.endpoint.SecurityGroups {
			if g.Name != name {
				continue
			}
			for _, r := range g.Ingress {
				if r.Protocol != "udp" && r.Protocol != "icmp" && r.From <= port && port <= r.To {
					return true
				}
			}
		}
	}
	return false
}

// resolver is the DNS server that the client asks.
func (p *picture) resolver() netip.AddrPort { return netip.AddrPortFrom(p.dns.Address, 53) }

// ask is World.Ask with the client's resolver and the lab's authority filled in.
func (p *picture) ask(ctx context.Context, w lab.World, host string, q probe.Question) (probe.Result, error) {
	q.CAFile = p.caFile
	if p.dns.Address.IsValid() {
		q.Resolver = p.resolver()
	}
	return w.Ask(ctx, host, q)
}

// expect asks and fails unless the answer came.
func (p *picture) expect(ctx context.Context, w lab.World, q probe.Question, what, look string) (probe.Result, error) {
	r, err := p.ask(ctx, w, p.client.Name, q)
	if err == nil && r.Outcome != probe.Answered {
		err = &Failure{Expected: what, Seen: r.String(), Look: look}
	}
	return r, err
}

// stepSite shows that the only way out is the masquerading router, and that
// nothing comes in through it.
func (p *picture) stepSite(ctx context.Context, w lab.World, tell *Teller) error {
	t := w.Topology()
	for _, h := range p.site.Hosts {
		if h.Role == topology.Router {
			continue
		}
		tell.Show(h.Name, "%v on %s %v, default route via %v", h.Address, p.site.LAN.Name, p.site.LAN.CIDR, p.router.Address)
	}
	nat := "routes"
	if p.router.Masquerade {
		nat = "masquerades"
	}
	tell.Show(p.router.Name, "%v inside, %v outside, %s, no inbound mapping", p.router.Address, p.router.Outside, nat)
	edge := t.Cloud.Edge.Addresses[0]
	tell.Show("cloud edge", "%s", addrs(t.Cloud.Edge.Addresses))
	r, err := p.expect(ctx, w, probe.Question{Kind: probe.Ping, Target: edge.String(), Count: 3, Interval: 100 * time.Millisecond, Timeout: 2 * time.Second},
		"the client to reach the cloud's edge through NAT", "seikan lab capture internet")
	if err != nil {
		return err
	}
	tell.Show("out", "ping %s → %v: %d of %d answered, %s", p.client.Name, edge, r.Ping.Received, r.Ping.Sent, probe.Short(r.Ping.Avg))
	in, err := w.Ask(ctx, "internet", probe.Question{Kind: probe.TCP, Target: netip.AddrPortFrom(p.router.Outside, 443).String(), Timeout: 700 * time.Millisecond})
	if err != nil {
		return err
	}
	if in.Outcome == probe.Answered || in.Outcome == probe.Refused {
		return &Failure{Expected: "no answer to a connection from the internet", Seen: in.String(), Look: "seikan lab exec router -- nft list ruleset"}
	}
	tell.Show("in", "TCP internet → %v:443: %s after %s", p.router.Outside, in.Outcome, probe.Short(in.Took))
	return nil
}

// stepConsumer waits for the endpoint and shows what the consumer has.
func (p *picture) stepConsumer(ctx context.Context, w lab.World, tell *Teller) error {
	var e lab.EndpointStatus
	err := await(ctx, tell, wait{what: "the endpoint to be available", limit: 20 * time.Second, every: 250 * time.Millisecond, look: func() (bool, string, error) {
		st, err := w.Status(ctx)
		if err != nil {
			return false, "", err
		}
		for _, s := range st.Endpoints {
			if s.Name == p.endpoint.Name {
				e = s
			}
		}
		return e.State == "available" && len(e.Addresses) > 0, fmt.Sprintf("state %q", e.State), nil
	}})
	if err != nil {
		return lookAt(err, "seikan lab status")
	}
	st, err := w.Status(ctx)
	if err != nil {
		return err
	}
	showResources(tell, st, p.consumer.Account, p.consumer.Name, p.consumer.VPNGateway)
	for _, r := range p.consumer.RouteTables {
		if r.Propagate {
			tell.Show("route table", "%s, routes of %s propagated", r.Name, p.consumer.VPNGateway)
		}
	}
	tell.Show("endpoint", "%s %s at %s, security group %s", e.ID, e.State, addrs(e.Addresses), strings.Join(p.endpoint.SecurityGroups, ", "))
	tell.Show("to", "%s", e.Service)
	tell.Show("zone", "%s → ALIAS → %s", p.zone.Name, e.DNSName)
	for _, d := range w.Topology().Cloud.Directories {
		if d.VPC == p.consumer.Name {
			tell.Show("forwarders", "%s (%s)", addrs(d.Addresses), d.Domain)
		}
	}
	return nil
}

// stepProvider waits for the health checks and shows what the provider has.
func (p *picture) stepProvider(ctx context.Context, w lab.World, tell *Teller) error {
	st, err := p.awaitTargets(ctx, w, tell, "every target to be healthy", func(s lab.TargetStatus) bool { return s.Health == "healthy" })
	if err != nil {
		return err
	}
	showResources(tell, st, p.provider.Account, p.provider.Name, p.balancer.Name, p.endpoint.Service)
	tell.Show("range", "%v, the data centre has %v", p.provider.CIDR, p.site.LAN.CIDR)
	for _, l := range p.balancer.Listeners {
		var targets []string
		for _, s := range st.Targets {
			if s.LoadBalancer == p.balancer.Name && s.Port == l.Port {
				targets = append(targets, fmt.Sprintf("%s %v %s", s.Instance, s.Address, s.Health))
			}
		}
		tell.Show(fmt.Sprintf("TCP %d", l.Port), "%s (health at %d)", strings.Join(targets, ", "), l.Health.Port)
	}
	for _, s := range w.Topology().Cloud.EndpointServices {
		if s.Name == p.endpoint.Service {
			tell.Show("acceptance", "required: %v; given: %v", s.AcceptanceRequired, p.endpoint.Accept)
		}
	}
	return nil
}

// awaitTargets waits until all targets of the balancer satisfy ok.
func (p *picture) awaitTargets(ctx context.Context, w lab.World, tell *Teller, what string, ok func(lab.TargetStatus) bool) (st lab.Status, err error) {
	err = await(ctx, tell, wait{what: what, limit: 60 * time.Second, every: 250 * time.Millisecond, look: func() (bool, string, error) {
		var seen []string
		n := 0
		if st, err = w.Status(ctx); err != nil {
			return false, "", err
		}
		for _, s := range st.Targets {
			if s.LoadBalancer != p.balancer.Name {
				continue
			}
			n++
			if !ok(s) {
				seen = append(seen, strings.TrimSpace(fmt.Sprintf("%s:%d %s %s", s.Instance, s.Port, s.Health, s.Reason)))
			}
		}
		if n == 0 {
			return false, "no targets", nil
		}
		return len(seen) == 0, strings.Join(seen, ", "), nil
	}})
	return st, lookAt(err, "seikan lab status; seikan lab exec "+p.web[0].Name+" -- ss -ltn")
}

// stepTunnels waits until both ends say that both tunnels are up.
func (p *picture) stepTunnels(ctx context.Context, w lab.World, tell *Teller) error {
	st, err := p.awaitTunnels(ctx, w, tell, 45*time.Second)
	if err != nil {
		return err
	}
	for _, t := range st.Tunnels {
		if t.Connection != p.vpn.Name {
			continue
		}
		if t.End == "customer" {
			tell.Show(fmt.Sprintf("tunnel %d", t.Number), "%v → %v, %s, NAT in front of %s", t.Local, t.Remote, t.IKE, whose(t.NATLocal, t.NATRemote))
			tell.Show("", "phase 1 %s, phase 2 %s", t.Phase1, t.Phase2)
			if !t.NATLocal && p.router.Masquerade && !p.vpn.OutsideIPv6 {
				return &Failure{Expected: "the customer gateway to find itself behind NAT", Seen: "no NAT detected", Look: "seikan lab capture internet"}
			}
			tell.Show("", "authenticated by %s", t.Auth)
			if err := p.wantedVersion(t); err != nil {
				return err
			}
		}
		tell.Show("", "%s's inside address %v%s", t.End, t.Inside, learned(t))
	}
	return nil
}

// learned says what an end of a tunnel has by BGP.
func learned(t lab.TunnelStatus) string {
	if t.BGP == nil {
		return ""
	}
	said := ", by BGP it has " + joined(t.BGP.Learned)
	if t.Telemetry != "" {
		said += ": " + t.Telemetry
	}
	return said
}

// wantedVersion fails unless a tunnel speaks a version of IKE that the topology
// allows it.
func (p *picture) wantedVersion(t lab.TunnelStatus) error {
	if t.Number < 1 || t.Number > len(p.vpn.Tunnels) {
		return nil
	}
	allowed := p.vpn.Tunnels[t.Number-1].Algorithms.IKEVersions
	if len(allowed) == 0 || slices.Contains(allowed, t.IKE) {
		return nil
	}
	return &Failure{Expected: fmt.Sprintf("tunnel %d to speak %s", t.Number, strings.Join(allowed, " or ")), Seen: t.IKE, Look: "seikan lab status; seikan lab capture internet"}
}

func whose(local, remote bool) string {
	switch {
	case local && remote:
		return "both"
	case local:
		return "us"
	case remote:
		return "the peer"
	}
	return "nobody"
}

// awaitTunnels waits until all ends of the connection's tunnels are up.
func (p *picture) awaitTunnels(ctx context.Context, w lab.World, tell *Teller, limit time.Duration) (st lab.Status, err error) {
	err = await(ctx, tell, wait{what: "both tunnels to be up at both ends", limit: limit, every: 200 * time.Millisecond, look: func() (bool, string, error) {
		if st, err = w.Status(ctx); err != nil {
			return false, "", err
		}
		up, seen := p.tunnelsUp(st)
		return up == 2*len(p.vpn.Tunnels) && p.routed(st), seen, nil
	}})
	return st, lookAt(err, "the log of the lab; seikan lab capture internet")
}

// tunnelsUp counts the ends that are up, and says of each what it says.
func (p *picture) tunnelsUp(st lab.Status) (up int, seen string) {
	var parts []string
	for _, t := range st.Tunnels {
		if t.Connection != p.vpn.Name {
			continue
		}
		state := "up"
		if t.Up {
			up++
		} else {
			state = strings.TrimSpace("down " + t.Detail)
		}
		if t.Up && t.BGP != nil && !t.BGP.Established {
			state += " without BGP, " + t.BGP.State
		}
		parts = append(parts, fmt.Sprintf("tunnel %d (%s) %s", t.Number, t.End, state))
	}
	parts = append(parts, st.Notes...)
	if len(parts) == 0 {
		return 0, "no tunnel"
	}
	return up, strings.Join(parts, ", ")
}

// routed reports whether each end of the connection's tunnels has learned a route
// over it, where BGP is spoken.
func (p *picture) routed(st lab.Status) bool {
	return !slices.ContainsFunc(st.Tunnels, func(t lab.TunnelStatus) bool {
		return t.Connection == p.vpn.Name && p.vpn.Dynamic() && (t.BGP == nil || len(t.BGP.Learned) == 0)
	})
}

// lookAt adds to a failure where its cause may be found.
func lookAt(err error, look string) error {
	if f, ok := err.(*Failure); ok && f.Look == "" {
		return &Failure{f.Expected, f.Seen, look}
	}
	return err
}

// showResources prints the ids of what has one of the names.
func showResources(tell *Teller, st lab.Status, account string, names ...string) {
	tell.Show("account", "%s", account)
	for _, n := range names {
		for _, r := range st.Resources {
			if r.Name == n {
				tell.Show(r.Kind, "%s %s %s", r.Name, r.ID, r.State)
			}
		}
	}
}

func addrs(list []netip.Addr) string { return joined(list) }
