package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/gateway/control"
	"seikan/internal/gateway/evidence"
	"seikan/internal/lab/probe"
	"seikan/internal/lab/topology"
	"seikan/internal/linux/netapply"
	"seikan/internal/why"
)

// trialTime is how long a trial of Why waits for an answer.
const trialTime = 2 * time.Second

// Why walks the way from a client of a site to a destination and says what
// stands in it. a has Client, a host's name, Destination and Port; the rest is
// found out. Asking is all it does: nothing of the lab is changed.
func (l *Lab) Why(ctx context.Context, a why.Ask) (why.Verdict, error) {
	client, site, ok := l.t.Host(a.Client)
	if !ok {
		return why.Verdict{}, fmt.Errorf("%w: %q is no host of a site; there is %s", errNoHost, a.Client, strings.Join(siteHosts(l.t), ", "))
	}
	conn, ok := l.connectionOf(site)
	if !ok {
		return why.Verdict{}, fmt.Errorf("the site %s of %s has no VPN connection", site.Name, client.Name)
	}
	l.mu.Lock()
	cloud := l.cloud
	l.mu.Unlock()
	if cloud == nil {
		return why.Verdict{}, fmt.Errorf("this lab has no cloud to look at")
	}
	a.From = client.Address
	name := l.resolve(ctx, &a, client)
	e, err := cloud.Look(ctx, a, conn.Name)
	if err != nil {
		return why.Verdict{}, err
	}
	if name != nil && e.Name != nil {
		name.Private = e.Name.Private
	}
	e.Ask, e.Now, e.Name = a, time.Now(), name
	e.Customer = l.customerEvidence(ctx, conn)
	e.Host = l.clientRoute(client, site, conn, a.To)
	if e.Target != nil {
		e.Target.Running = l.serves(e.Target.Name)
	}
	l.seenAs(&e)
	e.Trials = l.try(ctx, a, e)
	return why.Explain(e), nil
}

func siteHosts(t *topology.Topology) (names []string) {
	for _, s := range t.Sites {
		for _, h := range s.Hosts {
			names = append(names, h.Name)
		}
	}
	return names
}

// connectionOf is the connection of which the customer gateway is a host of the
// site.
func (l *Lab) connectionOf(site topology.Site) (topology.Connection, bool) {
	for _, c := range l.t.VPN {
		if slices.ContainsFunc(site.Hosts, func(h topology.Host) bool { return h.Name == c.CustomerGateway }) {
			return c, true
		}
	}
	return topology.Connection{}, false
}

// resolve asks for the destination as the client does and notes its address in
// a; nil when that is an address already.
func (l *Lab) resolve(ctx context.Context, a *why.Ask, client topology.Host) *why.Name {
	if to, err := netip.ParseAddr(a.Destination); err == nil {
		a.To = to
		return nil
	}
	if instance, _, ok := l.t.Instance(a.Destination); ok && instance.Address.IsValid() {
		a.To = instance.Address // a name of the lab, which no DNS server knows
		return nil
	}
	server, _, ok := l.t.Host(client.Resolver)
	if !ok {
		return &why.Name{Error: client.Name + " asks no DNS server"}
	}
	n := &why.Name{Server: server.Address}
	longest := -1
	for _, f := range server.Forwarders {
		if why.Under(a.Destination, f.Zone) && len(f.Zone) > longest {
			n.Forwarded, longest = f.To, len(f.Zone)
		}
	}
	r, err := l.Ask(ctx, client.Name, probe.Question{Kind: probe.DNS, Target: a.Destination, Resolver: netip.AddrPortFrom(server.Address, 53), Timeout: trialTime})
	switch {
	case err != nil:
		n.Error = err.Error()
	case r.DNS == nil:
		n.Error = fmt.Sprintf("no answer from %v: %s", server.Address, r.Error)
	case r.Outcome != probe.Answered:
		n.Error = r.DNS.Rcode
	default:
		n.Answers = addresses(r.DNS.Answers)
	}
	switch {
	case len(n.Answers) > 0:
		a.To = n.Answers[0]
	case len(n.Forwarded) > 0:
		a.To, a.Port = n.Forwarded[0], 53 // what hinders the question is what is looked for
	}
	return n
}

// addresses are those among DNS answers, "A 10.0.1.4".
func addresses(answers []string) (out []netip.Addr) {
	for _, text := range answers {
		if value, ok := strings.CutPrefix(text, "A "); ok {
			if a, err := netip.ParseAddr(value); err == nil {
				out = append(out, a)
			}
		}
	}
	return out
}

// customerEvidence asks the connection's customer gateway.
func (l *Lab) customerEvidence(ctx context.Context, c topology.Connection) *why.Gateway {
	resp, err := control.Ask(ctx, l.controlSocket(c.CustomerGateway), control.Request{Verb: control.VerbStatus})
	if err != nil || resp.Status == nil {
		return &why.Gateway{Name: c.CustomerGateway, Error: fmt.Sprint(err)}
	}
	g := evidence.Of(*resp.Status, func(string) bool { return true })
	g.Name = c.CustomerGateway
	err = l.net.In(c.CustomerGateway, func() error {
		g.StrictReverse = evidence.StrictReverse(*resp.Status)
		return nil
	})
	if err != nil {
		l.cfg.Log.Debug("reading the reverse path filter", "host", c.CustomerGateway, "err", err)
	}
	return g
}

// clientRoute is where the client and the routers behind it send what is for to.
func (l *Lab) clientRoute(client topology.Host, site topology.Site, c topology.Connection, to netip.Addr) *why.Host {
	if !to.IsValid() {
		return nil
	}
	h := &why.Host{Gateway: siteHost(site, c.CustomerGateway).Address}
	h.Via = l.nextHop(client.Name, to)
	for via := h.Via; via.IsValid() && via != h.Gateway && len(h.Chain) < len(site.Hosts); {
		at := slices.IndexFunc(site.Hosts, func(h topology.Host) bool { return h.Address == via })
		if at < 0 {
			break
		}
		via = l.nextHop(site.Hosts[at].Name, to)
		h.Chain = append(h.Chain, via)
	}
	return h
}

// nextHop is the zero value when the host has no route.
func (l *Lab) nextHop(host string, to netip.Addr) (via netip.Addr) {
	err := l.net.In(host, func() (err error) {
		via, err = netapply.NextHop(to)
		return err
	})
	if err != nil {
		return netip.Addr{}
	}
	return via
}

// serves reports whether the instance's program runs; one without a program is
// what it shall be.
func (l *Lab) serves(name string) bool {
	_, serves := l.serverOf(name)
	return !serves || l.programs.alive(name)
}

// seenAs notes from where the cloud hears the site: its strangers, when it does
// not hear it from where it should.
func (l *Lab) seenAs(e *why.Evidence) {
	if e.Connection == nil || e.Cloud == nil {
		return
	}
	e.Connection.SiteAddress = e.Connection.CustomerAddress
	for _, t := range e.Cloud.Tunnels {
		if t.Up {
			return
		}
	}
	if e.Cloud.StrangerFrom.IsValid() {
		e.Connection.SiteAddress = e.Cloud.StrangerFrom
	}
}

// try does what the client would do, and where a ping is answered one as large
// as the tunnel takes.
func (l *Lab) try(ctx context.Context, a why.Ask, e why.Evidence) (out []why.Trial) {
	if !a.To.IsValid() {
		return nil
	}
	ask := func(what string, q probe.Question) why.Trial {
		q.Timeout = trialTime
		r, err := l.Ask(ctx, a.Client, q)
		t := why.Trial{What: what, Answered: err == nil && r.Outcome == probe.Answered, Saw: string(r.Outcome)}
		switch {
		case err != nil:
			t.Saw = err.Error()
		case t.Answered:
			t.Saw = probe.Short(r.Took)
		case r.Error != "":
			t.Saw = r.Error
		}
		return t
	}
	ping := probe.Question{Kind: probe.Ping, Target: a.To.String(), Count: 1}
	if a.Port != 0 {
		target := netip.AddrPortFrom(a.To, a.Port)
		out = append(out, ask(fmt.Sprintf("TCP to %v", target), probe.Question{Kind: probe.TCP, Target: target.String()}))
	}
	small := ask("ping", ping)
	if a.Port == 0 {
		out = append(out, small)
	}
	if e.Customer == nil || !small.Answered {
		return out
	}
	if t, ok := e.Customer.Carries(a.To); ok {
		ping.Size = t.MTU
		large := ask(fmt.Sprintf("ping with %d octets, not to be fragmented", t.MTU), ping)
		large.Large = true
		out = append(out, large)
	}
	return out
}

// CloudEvidence is the AWS end of a connection as its gateway describes it; nil
// means that the gateway does not run.
func CloudEvidence(name string, st *gateway.Status, connection string) *why.Gateway {
	if st == nil {
		return &why.Gateway{Name: name, Error: "its worker does not run"}
	}
	g := evidence.Of(*st, func(id string) bool { return strings.HasPrefix(id, connection+"/") })
	g.Name = name
	return g
}
