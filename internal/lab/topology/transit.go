package topology

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
)

// A TransitGateway joins VPCs of its account and VPN connections.
type TransitGateway struct {
	Name    string
	Account string
	ECMP    bool // flows are spread over VPN tunnels of equal routes
	VPCs    []VPCAttachment
	// RouteTables are its own; without any there is the default one, with which
	// every attachment is associated and to which every one propagates.
	RouteTables []TransitRouteTable
}

// A VPCAttachment joins a VPC by subnets, at most one an availability zone.
type VPCAttachment struct {
	VPC     string
	Subnets []string
}

// A TransitRouteTable is looked up for what comes from its Associations. It has
// the routes of its Propagations, and static ones. Attachments have the name of
// the VPC or of the VPN connection.
type TransitRouteTable struct {
	Name         string
	Associations []string
	Propagations []string
	Routes       []TransitRoute
}

// A TransitRoute leads to an attachment, or with Blackhole to nowhere.
type TransitRoute struct {
	To         netip.Prefix
	Attachment string
	Blackhole  bool
}

// Target is the gateway at the cloud's end of a connection.
func (c Connection) Target() string { return c.VPNGateway + c.TransitGateway }

// Reached lists the VPCs that a connection leads to: that of its VPN gateway, or
// those attached to its transit gateway.
func (t *Topology) Reached(c Connection) (out []VPC) {
	for _, v := range t.Cloud.VPCs {
		attached := slices.ContainsFunc(t.Cloud.TransitGateways, func(g TransitGateway) bool {
			return g.Name == c.TransitGateway && slices.ContainsFunc(g.VPCs, func(a VPCAttachment) bool { return a.VPC == v.Name })
		})
		if attached || c.VPNGateway != "" && v.VPNGateway == c.VPNGateway {
			out = append(out, v)
		}
	}
	return out
}

// Behind lists the blocks of the VPCs that a connection leads to.
func (t *Topology) Behind(c Connection) (out []netip.Prefix) {
	if c.InsideIPv6 {
		return nil // VPCs have none
	}
	for _, v := range t.Reached(c) {
		out = append(out, v.CIDR)
	}
	return out
}

// transitGateway reads one.
func (d *decoder) transitGateway(o *object) TransitGateway {
	g := TransitGateway{Name: o.name("name", required), Account: o.name("account", required), ECMP: o.choice("ecmp", "true", "true", "false") == "true"}
	o.objects("vpcs", optional, func(o *object) {
		g.VPCs = append(g.VPCs, VPCAttachment{VPC: o.name("vpc", required), Subnets: o.names("subnets", required)})
	})
	o.objects("route_tables", optional, func(o *object) {
		t := TransitRouteTable{Name: o.name("name", required), Associations: o.names("associations", optional), Propagations: o.names("propagations", optional)}
		o.objects("routes", optional, func(o *object) {
			r := TransitRoute{To: o.prefix("to", required, 0, 32), Attachment: o.name("attachment", optional), Blackhole: o.boolean("blackhole")}
			if r.Blackhole == (r.Attachment != "") {
				d.errorAt(o.path, "leads to one of attachment and blackhole: true; give exactly one of them")
			}
			t.Routes = append(t.Routes, r)
		})
		g.RouteTables = append(g.RouteTables, t)
	})
	return g
}

// checkTransit checks the transit gateways: that what they name is there, and of
// their account, and that an attachment has one table.
func (d *decoder) checkTransit(t *Topology) {
	seen := map[string]string{}
	k := cloudChecker{d: d, c: &t.Cloud}
	for i, g := range t.Cloud.TransitGateways {
		at := fmt.Sprintf("cloud.transit_gateways[%d]", i)
		d.unique(seen, g.Name, "another transit gateway", at)
		d.resolve(at+".account", "account", g.Account, k.accounts())
		attachments := k.transitVPCs(g, at)
		for _, c := range t.VPN {
			if c.TransitGateway != g.Name {
				continue
			}
			if slices.Contains(attachments, c.Name) {
				d.errorAt(at, "has two attachments called %q, a VPC and a VPN connection; rename one of them", c.Name)
			}
			attachments = append(attachments, c.Name)
		}
		k.transitTables(g, at, attachments)
		d.staticTwice(t, g, at)
	}
	k.routesToTransit()
}

// transitVPCs checks the VPC attachments of g and returns their names.
func (k *cloudChecker) transitVPCs(g TransitGateway, at string) (names []string) {
	for i, a := range g.VPCs {
		here := fmt.Sprintf("%s.vpcs[%d]", at, i)
		v, ok := k.find(here+".vpc", a.VPC)
		if !ok {
			continue
		}
		if slices.Contains(names, a.VPC) {
			k.d.errorAt(here+".vpc", "%q is attached twice; a VPC is attached to a transit gateway once", a.VPC)
		}
		names = append(names, a.VPC)
		if v.Account != g.Account {
			k.d.errorAt(here+".vpc", "%q is of the account %s and the transit gateway of %s; attach VPCs of its own account", a.VPC, v.Account, g.Account)
		}
		if !k.each(here+".subnets", "subnet of this VPC", a.Subnets, subnets(v)) {
			continue
		}
		zones := map[string]string{}
		for j, s := range a.Subnets {
			zone := v.Subnets[slices.Index(subnets(v), s)].Zone
			if other, taken := zones[zone]; taken {
				k.d.errorAt(fmt.Sprintf("%s.subnets[%d]", here, j), "%s is in the zone of %s; name one subnet of each zone", s, other)
			}
			zones[zone] = s
		}
	}
	return names
}

// transitTables checks the route tables of g.
func (k *cloudChecker) transitTables(g TransitGateway, at string, attachments []string) {
	const what = "attachment of this transit gateway: a VPC of its vpcs or a VPN connection"
	seen, associated := map[string]string{}, map[string]string{}
	for i, t := range g.RouteTables {
		here := fmt.Sprintf("%s.route_tables[%d]", at, i)
		k.d.unique(seen, t.Name, "another route table", here)
		k.each(here+".associations", what, t.Associations, attachments)
		k.each(here+".propagations", what, t.Propagations, attachments)
		for j, name := range t.Associations {
			if other, taken := associated[name]; taken {
				k.d.errorAt(fmt.Sprintf("%s.associations[%d]", here, j), "%s is associated with %s already; an attachment has one table", name, other)
			}
			associated[name] = t.Name
		}
		to := map[netip.Prefix]bool{}
		for j, r := range t.Routes {
			if r.Attachment != "" {
				k.d.resolve(fmt.Sprintf("%s.routes[%d].attachment", here, j), what, r.Attachment, attachments)
			}
			if to[r.To] {
				k.d.errorAt(fmt.Sprintf("%s.routes[%d].to", here, j), "%v has a route already; keep one", r.To)
			}
			to[r.To] = true
		}
	}
}

// staticTwice finds what would have two static routes in a table of g: those of the
// table, and those to what lies behind the static connections that propagate to it,
// which without tables are all.
func (d *decoder) staticTwice(t *Topology, g TransitGateway, at string) {
	tables := g.RouteTables
	if len(tables) == 0 {
		tables = []TransitRouteTable{{}}
	}
	for i, table := range tables {
		here, to := at, map[netip.Prefix]string{}
		if len(g.RouteTables) > 0 {
			here = fmt.Sprintf("%s.route_tables[%d]", at, i)
		}
		for _, r := range table.Routes {
			to[r.To] = cmp.Or(r.Attachment, "nowhere")
		}
		for _, c := range t.VPN {
			if c.TransitGateway != g.Name || len(g.RouteTables) > 0 && !slices.Contains(table.Propagations, c.Name) {
				continue
			}
			for _, p := range c.Routes {
				if other, taken := to[p]; taken {
					d.errorAt(here, "%v lies behind the static connection %s and has a route to %s already; keep one of them", p, c.Name, other)
				}
				to[p] = c.Name
			}
		}
	}
}

// routesToTransit checks the routes of VPCs' tables.
func (k *cloudChecker) routesToTransit() {
	for i, v := range k.c.VPCs {
		var attached []string
		for _, g := range k.c.TransitGateways {
			if slices.ContainsFunc(g.VPCs, func(a VPCAttachment) bool { return a.VPC == v.Name }) {
				attached = append(attached, g.Name)
			}
		}
		for j, t := range v.RouteTables {
			to := map[netip.Prefix]bool{}
			for n, r := range t.Routes {
				at := fmt.Sprintf("cloud.vpcs[%d].route_tables[%d].routes[%d]", i, j, n)
				k.d.resolve(at+".transit_gateway", "transit gateway that this VPC is attached to", r.TransitGateway, attached)
				if to[r.To] || r.To.Bits() >= v.CIDR.Bits() && v.CIDR.Contains(r.To.Addr()) {
					k.d.errorAt(at+".to", "%v has a route already, or is part of the VPC's own %v; keep one route, to what lies outside", r.To, v.CIDR)
				}
				to[r.To] = true
			}
		}
	}
}
