package why

import (
	"fmt"
	"net/netip"
)

// A Transit is the transit gateway at the AWS end of a connection.
type Transit struct {
	ID string
	// There is how packets from the VPN are forwarded to the destination, Back how
	// those from its VPC are to the client.
	There, Back Passage
	// Zone is that of the destination when the VPC's attachment has no subnet
	// there; empty otherwise.
	Zone string
}

// A Passage is one direction through a transit gateway.
type Passage struct {
	From string // the attachment by which packets come in
	// To is the attachment by which they should leave; empty when nothing attached
	// has the address.
	To    string
	Table string // with which From is associated; empty: none
	// Route is the longest of Table that holds the address, the zero value for
	// none, and Leads the attachment that it leads to, empty for a blackhole.
	Route netip.Prefix
	Leads string
	// Down says that it leads to a VPN of which no tunnel is up.
	Down       bool
	Propagates bool // To propagates to Table
}

// fault is why p does not carry packets to an address; nil when it does.
func (p Passage) fault(id string, to netip.Addr) *Finding {
	switch {
	case p.From == "":
		return nil // nothing is attached that they could come from, which another hop says
	case p.Table == "":
		return &Finding{Code: "not-associated", What: fmt.Sprintf("the attachment %s is associated with no route table of %s, so that nothing that comes by it is forwarded", p.From, id),
			Setting: fmt.Sprintf("associate it (AssociateTransitGatewayRouteTable of %s)", p.From)}
	case p.Route.IsValid() && p.Leads == "":
		return &Finding{Code: "tgw-blackhole", What: fmt.Sprintf("%s of %s drops %v: %v is a blackhole", p.Table, id, to, p.Route),
			Setting: fmt.Sprintf("delete or replace the route (DeleteTransitGatewayRoute %v of %s)", p.Route, p.Table)}
	case p.Route.IsValid() && p.Down:
		return &Finding{Code: "no-tunnel-up", What: fmt.Sprintf("%s of %s has %v by %s, of which no tunnel is up", p.Table, id, p.Route, p.Leads), Setting: "bring a tunnel of the connection up"}
	case p.Route.IsValid() && p.To != "" && p.Leads != p.To:
		return &Finding{Code: "tgw-elsewhere", What: fmt.Sprintf("%s of %s sends %v to %s and not to %s, by %v", p.Table, id, to, p.Leads, p.To, p.Route),
			Setting: "remove the more specific or static route, or the other propagation"}
	case p.Route.IsValid():
		return nil
	case p.To == "":
		return &Finding{Code: "tgw-no-route", What: fmt.Sprintf("%s of %s has no route to %v, and nothing that is attached has that address", p.Table, id, to),
			Setting: "attach the VPC of the destination (CreateTransitGatewayVpcAttachment)"}
	case !p.Propagates:
		return &Finding{Code: "tgw-propagation-off", What: fmt.Sprintf("%s of %s has no route to %v, and %s does not propagate to it", p.Table, id, to, p.To),
			Setting: fmt.Sprintf("let it propagate (EnableTransitGatewayRouteTablePropagation of %s to %s), or add a route (CreateTransitGatewayRoute)", p.To, p.Table)}
	}
	return &Finding{Code: "tgw-no-route", What: fmt.Sprintf("%s of %s has no route to %v, though %s propagates to it", p.Table, id, to, p.To),
		Setting: "bring a tunnel up and announce the client's network by BGP, or add a route (CreateTransitGatewayRoute)"}
}

// lookTransit looks at the way from the VPN to the destination.
func lookTransit(e Evidence) look {
	t := e.Transit
	switch {
	case t == nil:
		return look{}
	case !e.Ask.To.IsValid():
		return dark("the destination's address is not known")
	}
	if f := t.There.fault(t.ID, e.Ask.To); f != nil {
		return bad(*f)
	}
	if t.Zone != "" {
		return bad(Finding{Code: "tgw-zone", What: fmt.Sprintf("%v is in %s, where the attachment %s has no subnet", e.Ask.To, t.Zone, t.There.To),
			Setting: "add a subnet of that zone to the attachment (ModifyTransitGatewayVpcAttachment)"})
	}
	return fine("%s of %s sends %v to %s, by %v", t.There.Table, t.ID, e.Ask.To, t.There.Leads, t.There.Route)
}

// backThrough looks at the way from the destination's VPC to the client.
func (t Transit) backThrough(client netip.Addr) look {
	if t.Back.From == "" {
		return dark("the destination's VPC is not attached to %s", t.ID)
	}
	if f := t.Back.fault(t.ID, client); f != nil {
		return bad(*f)
	}
	return fine("%s of %s sends %v to %s, by %v", t.Back.Table, t.ID, client, t.Back.Leads, t.Back.Route)
}
