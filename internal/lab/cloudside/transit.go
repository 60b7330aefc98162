package cloudside

import (
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/lab/topology"
)

// transitGateway makes a transit gateway and attaches its VPCs. With route tables
// of its own it has no default one.
func (b *builder) transitGateway(g topology.TransitGateway) error {
	who := b.accounts[g.Account]
	byDefault := len(g.RouteTables) == 0
	made, err := vpn.CreateTransitGateway(b.tx, who, vpn.CreateTransitGatewayInput{Tags: named(g.Name), Options: vpn.TransitGatewayOptionsInput{
		VPNECMP: &g.ECMP, DefaultAssociation: &byDefault, DefaultPropagation: &byDefault,
	}})
	if err != nil {
		return err
	}
	b.transits[g.Name] = made
	return b.steps(each("vpcs", g.VPCs, func(a topology.VPCAttachment) error {
		made, err := vpn.CreateTransitGatewayVPCAttachment(b.tx, who, vpn.CreateTransitGatewayVPCAttachmentInput{
			TransitGatewayID: made.ID, VPCID: b.vpcs[a.VPC].ID, SubnetIDs: b.subnetIDs(a.VPC, a.Subnets), Tags: named(a.VPC),
		})
		b.attachments[g.Name+"/"+a.VPC] = made.ID
		return err
	}))
}

// transitTables makes the route tables of a transit gateway, once all that they
// name is attached to it. What lies behind a static connection is a static route
// in each table that it propagates to, for AWS has no other way (vpn §4.3).
func (b *builder) transitTables(g topology.TransitGateway) error {
	for _, c := range b.t.VPN {
		if c.TransitGateway == g.Name {
			b.attachments[g.Name+"/"+c.Name] = b.attachmentOf(b.connections[c.Name])
		}
	}
	if len(g.RouteTables) == 0 {
		var all []string
		for _, c := range b.t.VPN {
			if c.TransitGateway == g.Name {
				all = append(all, c.Name)
			}
		}
		return b.staticRoutes(g, b.transits[g.Name].PropagationTable, all)
	}
	return b.steps(each("route_tables", g.RouteTables, func(t topology.TransitRouteTable) error { return b.transitTable(g, t) }))
}

func (b *builder) attachmentOf(id resource.VPNConnectionID) resource.TransitGatewayAttachmentID {
	for _, a := range store.TransitGatewayAttachments.List(b.tx) {
		if a.VPNConnectionID == id {
			return a.ID
		}
	}
	return ""
}

func (b *builder) transitTable(g topology.TransitGateway, t topology.TransitRouteTable) error {
	who := b.accounts[g.Account]
	made, err := vpn.CreateTransitGatewayRouteTable(b.tx, who, b.transits[g.Name].ID, named(t.Name))
	if err != nil {
		return err
	}
	attachment := func(name string) resource.TransitGatewayAttachmentID { return b.attachments[g.Name+"/"+name] }
	return b.steps(
		each("associations", t.Associations, func(name string) error {
			return vpn.AssociateTransitGatewayRouteTable(b.tx, who, made.ID, attachment(name))
		}),
		each("propagations", t.Propagations, func(name string) error {
			return vpn.EnableTransitGatewayRouteTablePropagation(b.tx, who, made.ID, attachment(name))
		}),
		each("routes", t.Routes, func(r topology.TransitRoute) error {
			in := vpn.TransitGatewayRouteInput{RouteTableID: made.ID, Destination: r.To, Blackhole: r.Blackhole}
			if !r.Blackhole {
				in.AttachmentID = attachment(r.Attachment)
			}
			return vpn.CreateTransitGatewayRoute(b.tx, who, in)
		}),
		func() error { return b.staticRoutes(g, made.ID, t.Propagations) },
	)
}

// staticRoutes are routes to what lies behind the static ones of the connections
// named.
func (b *builder) staticRoutes(g topology.TransitGateway, table resource.TransitGatewayRouteTableID, connections []string) error {
	for _, c := range b.t.VPN {
		if c.TransitGateway != g.Name || !slices.Contains(connections, c.Name) {
			continue
		}
		for _, p := range c.Routes {
			in := vpn.TransitGatewayRouteInput{RouteTableID: table, Destination: p, AttachmentID: b.attachments[g.Name+"/"+c.Name]}
			if err := vpn.CreateTransitGatewayRoute(b.tx, b.accounts[g.Account], in); err != nil {
				return err
			}
		}
	}
	return nil
}

// routesToTransit makes the routes of a VPC's tables that lead to transit
// gateways.
func (b *builder) routesToTransit(v topology.VPC) error {
	for _, t := range v.RouteTables {
		err := b.steps(each("route_tables "+t.Name+": routes", t.Routes, func(r topology.Route) error {
			return vpc.CreateRoute(b.tx, b.owner(v.Name), vpc.CreateRouteInput{
				RouteTableID: b.routeTables[v.Name+"/"+t.Name], DestinationCidrBlock: r.To, TransitGatewayID: b.transits[r.TransitGateway].ID,
			})
		}))
		if err != nil {
			return err
		}
	}
	return nil
}

// transitRoutes are what the route tables of a transit gateway send into tunnels,
// a line for each.
func transitRoutes(tx *store.Tx, id resource.TransitGatewayID) (out []gateway.RouteStatus) {
	seen := map[gateway.RouteStatus]bool{} // tables have routes in common
	for _, t := range store.TransitGatewayRouteTables.List(tx) {
		if t.TransitGatewayID != id {
			continue
		}
		lines, err := vpn.SearchTransitGatewayRoutes(tx, t.OwnerID, t.ID)
		if err != nil {
			continue // it is being deleted
		}
		for _, l := range lines {
			for _, tunnel := range l.Tunnels {
				if r := (gateway.RouteStatus{Prefix: l.Destination, Tunnel: tunnel, Learned: !l.Static}); !seen[r] {
					seen[r] = true
					out = append(out, r)
				}
			}
		}
	}
	return out
}

// target is the id of the gateway at the cloud's end of a connection, which is
// also its worker's.
func (m *ids) target(c topology.Connection) string {
	return string(m.gateways[c.VPNGateway]) + string(m.transits[c.TransitGateway].ID)
}
