package why

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

func lookCloud(e Evidence) look {
	switch {
	case e.Cloud == nil:
		return dark("the AWS end could not be looked at")
	case e.Connection != nil && e.Connection.State == "modifying":
		return bad(Finding{Code: "modifying", What: fmt.Sprintf("%s is being modified, and AWS rebuilds its endpoints for that", e.Connection.ID),
			Setting: "wait, change one tunnel's options at a time (ModifyVpnTunnelOptions), and do not let a tool change both at once"})
	case e.Connection != nil && e.Connection.State != "available":
		return bad(Finding{Code: "connection-state", What: fmt.Sprintf("%s is %s", e.Connection.ID, e.Connection.State), Setting: "wait until it is available, or make another"})
	case e.Cloud.Error != "":
		return bad(Finding{Code: "cloud-gateway", What: "the AWS end does not run: " + e.Cloud.Error, Setting: "see the log of the cloud's host"})
	}
	return fine("%s runs", e.Cloud.Name)
}

// lookBack looks whether the AWS end sends the client's address into a tunnel.
func lookBack(e Evidence) look {
	g := e.Cloud
	if g == nil || g.Error != "" {
		return dark("the AWS end could not be asked")
	}
	if e.Transit != nil {
		return e.Transit.backThrough(e.Ask.From)
	}
	if r, ok := g.route(e.Ask.From); ok {
		if r.Tunnel == "" {
			return bad(Finding{Code: "no-tunnel-up", What: fmt.Sprintf("the AWS end has no tunnel up for %v", r.Prefix), Setting: "bring a tunnel of the connection up"})
		}
		return fine("%v by %s%s", r.Prefix, r.Tunnel, learned(r.Learned))
	}
	for _, r := range g.Routes {
		if r.Refused != "" && r.Prefix.Contains(e.Ask.From) {
			return bad(Finding{Code: "refused-route", What: fmt.Sprintf("the AWS end does not use %v, which the customer gateway announces: %s", r.Prefix, r.Refused),
				Setting: "announce a prefix that does not overlap the VPC's own"})
		}
	}
	if e.Connection != nil && !e.Connection.Static {
		return bad(Finding{Code: "not-advertised", What: fmt.Sprintf("the customer gateway does not announce the client's network, that of %v", e.Ask.From),
			Setting: "announce it (bgp: announce, --advertise)"})
	}
	return bad(Finding{Code: "no-static-route", What: fmt.Sprintf("the VPN connection has no static route that holds the client, %v", e.Ask.From),
		Setting: "add the site's network to the connection (CreateVpnConnectionRoute)"})
}

// spread is how many tunnels share the flows to a prefix.
func (g Gateway) spread(p netip.Prefix) (n int) {
	for _, r := range g.Routes {
		if r.Prefix == p && r.Tunnel != "" && r.Refused == "" {
			n++
		}
	}
	return n
}

// lookSymmetry looks whether answers come back by the tunnel that the packets
// went out by, where that matters.
func lookSymmetry(e Evidence) look {
	if e.Customer == nil || e.Cloud == nil || e.Customer.Error != "" || e.Cloud.Error != "" {
		return dark("both ends are needed")
	}
	there, ok := e.Customer.route(e.Ask.To)
	back, known := e.Cloud.route(e.Ask.From)
	_, out := e.Customer.tunnel(there.Tunnel)
	_, in := e.Cloud.tunnel(back.Tunnel)
	if !ok || !known || out < 0 || in < 0 {
		return dark("a direction has no route")
	}
	if n := e.Cloud.spread(back.Prefix); n > 1 && !e.Customer.StrictReverse {
		return fine("out by tunnel %d and back by %d tunnels, a flow by one of them, which the customer gateway takes", out+1, n)
	} else if n > 1 && in == out {
		in = 1 - out // some flows come back by the other one
	}
	if out == in {
		return fine("tunnel %d in both directions", out+1)
	}
	if !e.Customer.StrictReverse {
		return fine("out by tunnel %d and back by tunnel %d, which the customer gateway takes", out+1, in+1)
	}
	return bad(Finding{
		Code:    "one-way",
		What:    fmt.Sprintf("packets go out by tunnel %d and answers come back by tunnel %d, where the customer gateway's host drops them", out+1, in+1),
		Setting: "take answers from both tunnels (rp_filter 0 or 2 on both, no firewall state by link), or steer AWS by a lower MED or a shorter AS path on one",
		Evidence: []string{fmt.Sprintf("%s: %d packets out by %s, %d in by %s; reverse path filter strict", e.Customer.Name,
			e.Customer.Tunnels[out].PacketsOut, e.Customer.Tunnels[out].ID, e.Customer.Tunnels[in].PacketsIn, e.Customer.Tunnels[in].ID)},
	})
}

func lookAttachment(e Evidence) look {
	v := e.VPC
	switch {
	case v == nil:
		return dark("the VPC could not be looked at")
	case !v.Attached && v.Transit:
		return bad(Finding{Code: "not-attached", What: fmt.Sprintf("%s has no attachment of %s", v.Gateway, v.ID), Setting: fmt.Sprintf("attach it (CreateTransitGatewayVpcAttachment of %s to %s)", v.ID, v.Gateway)})
	case !v.Attached:
		return bad(Finding{Code: "not-attached", What: fmt.Sprintf("%s is not attached to %s", v.Gateway, v.ID), Setting: fmt.Sprintf("attach it (AttachVpnGateway %s to %s)", v.Gateway, v.ID)})
	case e.Ask.To.IsValid() && !holds(v.CIDRs, e.Ask.To):
		return bad(Finding{Code: "not-in-vpc", What: fmt.Sprintf("%v is no address of %s (%s)", e.Ask.To, v.ID, words(v.CIDRs)), Setting: "ask for an address of the VPC"})
	}
	if !e.Ask.To.IsValid() {
		return fine("%s is attached to %s", v.Gateway, v.ID)
	}
	return fine("%s holds %v, %s is attached", v.ID, e.Ask.To, v.Gateway)
}

// lookTable looks whether the destination's subnet knows the way back.
func lookTable(e Evidence) look {
	v := e.VPC
	switch {
	case v == nil || v.Table == "":
		return dark("the route table could not be looked at")
	case v.Back == v.Gateway:
		return fine("%s sends %v to %s", v.Table, e.Ask.From, v.Back)
	case v.Back != "":
		return bad(Finding{Code: "route-elsewhere", What: fmt.Sprintf("%s sends the client's address %v to %s, not to %s", v.Table, e.Ask.From, v.Back, v.Gateway),
			Setting: "remove the more specific route, or renumber: a local route and a static one beat what is propagated"})
	case v.Transit:
		return bad(Finding{Code: "no-vpc-route", What: fmt.Sprintf("%s has no route to the client %v", v.Table, e.Ask.From),
			Setting: fmt.Sprintf("add one (CreateRoute in %s to %s)", v.Table, v.Gateway)})
	case !v.Propagates:
		return bad(Finding{Code: "propagation-off", What: fmt.Sprintf("%s has no route to the client %v, and the routes of %s are not propagated into it", v.Table, e.Ask.From, v.Gateway),
			Setting: fmt.Sprintf("switch propagation on (EnableVgwRoutePropagation %s into %s), or add a route", v.Gateway, v.Table)})
	}
	return bad(Finding{Code: "not-propagated", What: fmt.Sprintf("%s has no route to the client %v, though %s is propagated into it", v.Table, e.Ask.From, v.Gateway),
		Setting: "bring a tunnel up, and with BGP announce the client's network"})
}

func lookEndpoint(e Evidence) look {
	p := e.Endpoint
	switch {
	case p == nil:
		return look{}
	case e.Ask.Port == 0:
		return bad(Finding{Code: "no-ping", What: "an interface endpoint answers no ping", Setting: "ask about a port of the service"})
	case p.State == "pendingAcceptance":
		return bad(Finding{Code: "endpoint-pending", What: fmt.Sprintf("%s waits to be accepted by the owner of %s", p.ID, p.Service), Setting: "accept it (AcceptVpcEndpointConnections)"})
	case p.State != "available":
		return bad(Finding{Code: "endpoint-state", What: fmt.Sprintf("%s is %s", p.ID, p.State), Setting: "make another endpoint, and have it accepted"})
	}
	return fine("%s is available", p.ID)
}

func lookGroups(e Evidence) look {
	var g *Groups
	switch {
	case e.Endpoint != nil:
		g = e.Endpoint.Groups
	case e.Target != nil:
		g = e.Target.Groups
	}
	if g == nil {
		return dark("the security groups could not be looked at")
	}
	if g.Allowed {
		return fine("%s: %s let it in", g.Interface, strings.Join(g.IDs, ", "))
	}
	what := "ICMP"
	if e.Ask.Port != 0 {
		what = fmt.Sprintf("TCP %d", e.Ask.Port)
	}
	return bad(Finding{Code: "security-group", What: fmt.Sprintf("the security groups (%s) at %s do not let %s from %v in", strings.Join(g.IDs, ", "), g.Interface, what, e.Ask.From),
		Setting: fmt.Sprintf("add an inbound rule for %s from the client's network (AuthorizeSecurityGroupIngress)", what)})
}

func lookBalancer(e Evidence) look {
	b := e.Balancer
	switch {
	case b == nil:
		return look{}
	case e.Ask.Port != 0 && !slices.Contains(b.Ports, e.Ask.Port):
		return bad(Finding{Code: "no-listener", What: fmt.Sprintf("%s has no listener on port %d", b.Name, e.Ask.Port), Setting: "add a listener (CreateListener), or ask for another port"})
	case b.Healthy == 0:
		return bad(Finding{Code: "no-healthy-target", What: fmt.Sprintf("none of the %d targets of %s on port %d is healthy", b.Targets, b.Name, e.Ask.Port),
			Setting: "start the service on a target, or mend the health check's port", Evidence: b.Reasons})
	}
	return fine("%s: %d of %d targets healthy", b.Name, b.Healthy, b.Targets)
}

func lookTarget(e Evidence) look {
	switch {
	case e.Target == nil:
		return dark("what answers in the end could not be looked at")
	case !e.Target.Running:
		return bad(Finding{Code: "target-stopped", What: fmt.Sprintf("nothing serves at %s", e.Target.Name), Setting: "start its service"})
	}
	for _, t := range e.Trials {
		if strings.Contains(t.Saw, "refused") {
			return bad(Finding{Code: "refused", What: fmt.Sprintf("%s answers, but refuses port %d", e.Target.Name, e.Ask.Port), Setting: "ask for a port that it listens on, or start its service"})
		}
	}
	return fine("%s runs", e.Target.Name)
}
