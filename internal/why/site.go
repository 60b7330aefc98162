package why

import (
	"fmt"
	"net/netip"
	"slices"
)

// lookName says why the destination's name has no address, or a wrong one.
func lookName(e Evidence) look {
	n := e.Name
	if n == nil {
		if _, err := netip.ParseAddr(e.Ask.Destination); err == nil {
			return look{} // no name, no hop
		}
		return dark("%s could not be asked for", e.Ask.Destination)
	}
	asked := fmt.Sprintf("%v, asked for %s, says: %s", n.Server, e.Ask.Destination, orElse(n.Error, words(n.Answers)))
	switch {
	case n.Private != nil && !*n.Private:
		return bad(Finding{Code: "zone-not-associated", What: fmt.Sprintf("the private zone of %s is not associated with the VPC", e.Ask.Destination),
			Setting: "associate the hosted zone with the VPC (AssociateVPCWithHostedZone)", Evidence: []string{asked}})
	case (n.Error != "" || len(n.Answers) == 0) && len(n.Forwarded) == 0:
		return bad(Finding{Code: "not-forwarded", What: fmt.Sprintf("%v passes %s on to nobody and does not know it", n.Server, e.Ask.Destination),
			Setting: "add a conditional forwarder for the zone, to the VPC's inbound resolver addresses", Evidence: []string{asked}})
	case n.unknown():
		// The way to the server that knows it is walked first: Explain comes back.
		return dark("%s; the way to %v, which knows the name, is walked instead", asked, n.Forwarded[0])
	case e.VPC != nil && e.Ask.To.IsValid() && !holds(e.VPC.CIDRs, e.Ask.To):
		return bad(Finding{Code: "public-name", What: fmt.Sprintf("%s is %v here, which is no address of the VPC (%s)", e.Ask.Destination, e.Ask.To, words(e.VPC.CIDRs)),
			Setting: "have the site's DNS server forward the zone to the VPC's resolver, and switch private DNS on at the endpoint", Evidence: []string{asked}})
	}
	return fine("%s is %s", e.Ask.Destination, words(n.Answers))
}

// unknown reports whether the name has no address, though somebody was asked.
func (n *Name) unknown() bool { return n != nil && (n.Error != "" || len(n.Answers) == 0) }

// noName is a name without an address, though nothing stands in the way to the
// server that should know it.
func noName(e Evidence) *Finding {
	return &Finding{
		Code: "no-name", Hop: "name", What: fmt.Sprintf("%s has no address: %s", e.Ask.Destination, orElse(e.Name.Error, "no answer")),
		Setting: fmt.Sprintf("let the site's DNS server reach %s on UDP and TCP 53 through the tunnel, and see the record", words(e.Name.Forwarded)),
	}
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// lookClient looks whether the client sends what is for the destination to the
// customer gateway.
func lookClient(e Evidence) look {
	h := e.Host
	switch {
	case h == nil || !e.Ask.To.IsValid():
		return dark("the client's routes could not be seen")
	case !h.Via.IsValid():
		return bad(Finding{Code: "client-route", What: fmt.Sprintf("%s has no route to %v", e.Ask.Client, e.Ask.To),
			Setting: fmt.Sprintf("add a route to the VPC's range via the customer gateway %v on the client or its router", h.Gateway)})
	case h.Gateway.IsValid() && h.Via != h.Gateway && !slices.Contains(h.Chain, h.Gateway):
		return bad(Finding{Code: "client-route", What: fmt.Sprintf("%s sends %v to %v, not to the customer gateway %v", e.Ask.Client, e.Ask.To, h.Via, h.Gateway),
			Setting: fmt.Sprintf("add a route to the VPC's range via %v on the client or its router", h.Gateway)})
	}
	return fine("via %v", h.Via)
}

func lookCustomer(e Evidence) look {
	switch {
	case e.Customer == nil:
		return dark("the customer gateway could not be looked at")
	case e.Customer.Error != "":
		return bad(Finding{Code: "gateway-stopped", What: "the customer gateway does not run: " + e.Customer.Error,
			Setting: "start it (systemctl start seikan-gateway, seikan gateway run) and see its log"})
	}
	return fine("%s runs", e.Customer.Name)
}

// lookOut looks whether the customer gateway sends the destination into a
// tunnel.
func lookOut(e Evidence) look {
	g := e.Customer
	if g == nil || g.Error != "" {
		return dark("the customer gateway could not be asked")
	}
	if !e.Ask.To.IsValid() {
		return dark("the destination's address is not known")
	}
	r, ok := g.route(e.Ask.To)
	if ok && r.Tunnel != "" {
		return fine("%v by %s%s", r.Prefix, r.Tunnel, learned(r.Learned))
	}
	for _, r := range g.Routes {
		if r.Refused != "" && r.Prefix.Contains(e.Ask.To) {
			return bad(Finding{Code: "refused-route", What: fmt.Sprintf("AWS announces %v, which %s does not use: %s", r.Prefix, g.Name, r.Refused),
				Setting: "allow it in the customer gateway's configuration (default_route: true for 0.0.0.0/0), or announce something narrower"})
		}
	}
	if ok {
		return bad(Finding{Code: "no-tunnel-up", What: fmt.Sprintf("%v is unreachable at %s: no tunnel that may carry it is up", r.Prefix, g.Name),
			Setting: "bring one of its tunnels, and with BGP its session, up"})
	}
	if t := e.Transit; g.BGP && t != nil {
		if f := t.There.fault(t.ID, e.Ask.To); f != nil {
			return bad(*f) // what the table does not hold is not announced (vpn §4.2)
		}
	}
	if g.BGP {
		return bad(Finding{Code: "not-announced", What: fmt.Sprintf("nobody announces a route to %v to %s", e.Ask.To, g.Name),
			Setting: "attach the VPN gateway to the VPC of the destination, or propagate its route in the transit gateway's route table"})
	}
	return bad(Finding{Code: "no-route", What: fmt.Sprintf("%s has no route to %v", g.Name, e.Ask.To),
		Setting: "add the VPC's range to the routes of its tunnels, or use BGP"})
}

func learned(by bool) string {
	if by {
		return ", learned by BGP"
	}
	return ""
}

// lookMTU compares a small packet with a large one.
func lookMTU(e Evidence) look {
	var small, large *Trial
	for i := range e.Trials {
		if e.Trials[i].Large {
			large = &e.Trials[i]
		} else if small == nil {
			small = &e.Trials[i]
		}
	}
	if small == nil || large == nil {
		return dark("no large packet was sent")
	}
	if !small.Answered {
		return dark("not even small packets are answered")
	}
	if large.Answered {
		return fine("%s: %s", large.What, large.Saw)
	}
	f := Finding{Code: "mtu", What: fmt.Sprintf("small packets pass and large ones do not: %s: %s", large.What, large.Saw),
		Setting:  "clamp the MSS to the tunnel's MTU less 40 (1,379 octets and below) at the gateway, and let ICMP \"fragmentation needed\" pass",
		Evidence: []string{fmt.Sprintf("%s: %s", small.What, small.Saw)}}
	for _, end := range []*Gateway{e.Customer, e.Cloud} {
		if end == nil {
			continue
		}
		for _, t := range end.Tunnels {
			if t.Up {
				f.Evidence = append(f.Evidence, fmt.Sprintf("%s, %s: MTU %d, too big and dropped: %d", end.Name, t.ID, t.MTU, t.Drops["too-big"]))
			}
		}
	}
	return bad(f)
}
