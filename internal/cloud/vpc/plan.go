package vpc

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/cloud/onlyv4"
	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netspec"
)

// The router's routing policy. Table and priority numbers are the same in every
// router, so that a person can read one after having read another.
const (
	localTable        = 100 // the addresses of all interfaces of the VPC
	appliancePriority = 90  // what a route table leads to an appliance within the VPC
	// arrived is the mark of what came in by a link. The reverse path filter asks
	// without it, and so by the way without appliances: answers need not pass them.
	arrived       = 1
	localPriority = 100 // what stays in the VPC, whoever sends it
	linkPriority  = 200 // what leaves it, by the sender's subnet
)

// LinkName is the router's end of an interface: "eni" and the first twelve
// digits of its id, as many as a link's name can hold.
func LinkName(id resource.NetworkInterfaceID) string {
	digits := strings.TrimPrefix(string(id), "eni-")
	return "eni" + digits[:min(12, len(digits))]
}

// A Plan is what the networks want of a host.
type Plan struct{ Spec netspec.Spec }

// MakePlan says what the networks of s need: a router namespace for each VPC,
// both ends of each held interface, routes and security groups. It is pure.
//
// Where rows contradict each other, which no operation lets happen, the
// interface concerned is left out and the error says why: two interfaces in
// one namespace or of one link name, an interface without its subnet. The rest
// of the plan is good.
func MakePlan(s Snapshot) (Plan, error) {
	p := planner{Snapshot: s, spaces: make(map[string]netspec.Namespace)}
	for _, v := range s.VPCs {
		// Before any interface, so that none can take a router's place.
		p.spaces[string(v.ID)] = netspec.Namespace{}
	}
	for _, v := range s.VPCs {
		p.router(v)
	}
	var plan Plan
	for _, ns := range p.spaces {
		plan.Spec.Namespaces = append(plan.Spec.Namespaces, ns)
	}
	plan.Spec = plan.Spec.Normalize()
	return plan, errors.Join(p.errs...)
}

type planner struct {
	Snapshot
	spaces map[string]netspec.Namespace
	errs   []error
}

// router plans one VPC.
func (p *planner) router(v resource.VPC) {
	ns := netspec.Namespace{
		Name: string(v.ID),
		Sysctls: map[string]string{
			"net.ipv4.ip_forward": "1",
			// A reply may come by another way than the request went; spoofing is
			// checked per interface in the forward chain.
			"net.ipv4.conf.all.rp_filter":     "0",
			"net.ipv4.conf.default.rp_filter": "0",
			// No neighbour tells the router its routes, or learns of another's.
			"net.ipv4.conf.all.accept_redirects":     "0",
			"net.ipv4.conf.default.accept_redirects": "0",
			"net.ipv4.conf.all.send_redirects":       "0",
			"net.ipv4.conf.default.send_redirects":   "0",
			"net.ipv4.conf.all.accept_source_route":  "0",
		},
		Links:  []netspec.Link{p.loopback(v)},
		Routes: []netspec.Route{{Table: localTable, Type: netspec.Unreachable, Dst: v.CIDR}},
		Rules:  []netspec.Rule{{Priority: localPriority, To: v.CIDR, Table: localTable}},
	}
	var enis []resource.NetworkInterface
	tables := make(map[int]resource.RouteTable)
	for _, eni := range p.held(v.ID) {
		table, err := p.attach(&ns, v, eni)
		if err != nil {
			p.errs = append(p.errs, fmt.Errorf("plan of %s: interface %s: %w", v.ID, eni.ID, err))
			continue
		}
		enis = append(enis, eni)
		tables[table.Number] = table
		ns.Rules = append(ns.Rules, p.guide(v, LinkName(eni.ID), table)...)
	}
	for _, a := range p.transits(v.ID) {
		if table, ok := p.transitTable(v, a); ok {
			tables[table.Number] = table
			ns.Rules = append(ns.Rules, p.guide(v, a.RouterLink(), table)...)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(tables)) {
		ns.Routes = append(ns.Routes, p.routes(tables[number])...)
	}
	ns.Tables = []netspec.Table{p.filter(v, enis), onlyv4.Table()}
	if slices.ContainsFunc(ns.Rules, func(r netspec.Rule) bool { return r.Mark == arrived }) {
		ns.Tables = append(ns.Tables, marks())
	}
	p.spaces[ns.Name] = ns
}

// guide are the rules by which a table guides what comes in by a link: where it leaves
// the VPC, and within it what goes to a subnet that the table leads to an appliance.
func (p *planner) guide(v resource.VPC, link string, t resource.RouteTable) []netspec.Rule {
	out := []netspec.Rule{{Priority: linkPriority, IIF: link, Table: t.Number}}
	for _, r := range t.Routes {
		if r.GatewayID != resource.LocalGateway && within(r.Destination, v.CIDR) {
			out = append(out, netspec.Rule{Priority: appliancePriority, IIF: link, Mark: arrived, To: r.Destination, Table: t.Number})
		}
	}
	return out
}

// marks marks what comes in.
func marks() netspec.Table {
	return netspec.Table{Family: "ip", Name: "seikan_arrived", Chains: []netspec.Chain{{
		Name: "prerouting", Type: "filter", Hook: "prerouting", Priority: "mangle", Rules: []netspec.NftRule{rule("meta mark set 0x%08x", arrived)},
	}}}
}

// within reports whether p is all of block or a part of it.
func within(p, block netip.Prefix) bool { return p.Bits() >= block.Bits() && block.Contains(p.Addr()) }

// held returns the interfaces of a VPC that somebody holds.
func (p *planner) held(id resource.VPCID) []resource.NetworkInterface {
	var enis []resource.NetworkInterface
	for _, eni := range p.Interfaces {
		if eni.VPCID == id && eni.Namespace != "" {
			enis = append(enis, eni)
		}
	}
	return enis
}

// loopback carries the addresses at which the router itself answers: the
// default router of each subnet and the resolver.
func (p *planner) loopback(v resource.VPC) netspec.Link {
	lo := netspec.Link{Name: "lo", Kind: netspec.Loopback}
	addrs := []netip.Addr{}
	for _, s := range p.Subnets {
		if s.VPCID == v.ID {
			addrs = append(addrs, resource.RouterAddress(s.CIDR))
		}
	}
	for _, addr := range append(addrs, resolvers(v)...) {
		lo.Addrs = append(lo.Addrs, host(addr))
	}
	return lo
}

// resolvers are the addresses of DNS in a VPC.
func resolvers(v resource.VPC) []netip.Addr {
	if !v.EnableDNSSupport {
		return nil
	}
	return []netip.Addr{resource.ResolverAddress(v.CIDR), resource.LinkLocalResolver()}
}

// attach plans both ends of an interface: the router's with a host route and
// proxy ARP, by which the subnet looks like one Ethernet to its members, and
// eth0 of the holder. It returns the route table that guides what comes in.
func (p *planner) attach(router *netspec.Namespace, v resource.VPC, eni resource.NetworkInterface) (resource.RouteTable, error) {
	link := LinkName(eni.ID)
	subnet, ok := p.subnet(eni.SubnetID)
	if !ok {
		return resource.RouteTable{}, fmt.Errorf("its subnet %s does not exist", eni.SubnetID)
	}
	table, ok := p.tableOf(v, subnet.ID)
	if !ok {
		return resource.RouteTable{}, fmt.Errorf("its subnet %s has no route table", subnet.ID)
	}
	if slices.ContainsFunc(router.Links, func(l netspec.Link) bool { return l.Name == link }) {
		return resource.RouteTable{}, fmt.Errorf("its link name %s is another interface's too", link)
	}
	if _, taken := p.spaces[eni.Namespace]; taken {
		return resource.RouteTable{}, fmt.Errorf("the namespace %s is a router's or has an eth0 already", eni.Namespace)
	}
	router.Links = append(router.Links, netspec.Link{
		Name: link, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: eni.Namespace, Link: "eth0"},
		Sysctls: map[string]string{"proxy_arp": "1", "rp_filter": reversePath(eni)},
		Comment: string(eni.ID),
	})
	router.Routes = append(router.Routes, netspec.Route{Table: localTable, Dst: host(eni.PrivateIP), Dev: link})
	p.spaces[eni.Namespace] = netspec.Namespace{
		Name: eni.Namespace,
		Links: []netspec.Link{{
			Name: "eth0", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: router.Name, Link: link},
			MAC: eni.MAC, Addrs: []netip.Prefix{netip.PrefixFrom(eni.PrivateIP, subnet.CIDR.Bits())},
			Comment: string(eni.ID),
		}},
		Routes: holderRoutes(subnet),
		Tables: serviceTables(eni),
	}
	return table, nil
}

// reversePath is the reverse path filter of the router's end of an interface:
// strict where the source is checked. The packet filter drops forged packets by
// itself; this one also stops ARP requests in the name of others, each of which
// would leave an entry in the table of neighbours, which has 1024 places for
// all namespaces of a machine together.
func reversePath(eni resource.NetworkInterface) string {
	if eni.SourceDestCheck {
		return "1"
	}
	return "0"
}

// serviceTables keep IPv6 out of a namespace that is the cloud's own. What an
// instance does at its end of the link is its owner's business.
func serviceTables(eni resource.NetworkInterface) []netspec.Table {
	if !eni.RequesterManaged {
		return nil
	}
	return []netspec.Table{onlyv4.Table()}
}

// holderRoutes lead everything to the subnet's router. The halves of the subnet
// beat the route that comes with the address, so that members ask for the
// router's Ethernet address alone, which it gives at once: the kernel delays
// the answers of proxy ARP by up to 0.8 s.
func holderRoutes(subnet resource.Subnet) []netspec.Route {
	router := resource.RouterAddress(subnet.CIDR)
	bits := subnet.CIDR.Bits() + 1
	return []netspec.Route{
		{Dst: everywhere(), Via: router, Dev: "eth0"},
		{Dst: netip.PrefixFrom(router, bits).Masked(), Via: router, Dev: "eth0"},
		{Dst: netip.PrefixFrom(resource.LastAddress(subnet.CIDR), bits).Masked(), Via: router, Dev: "eth0"},
	}
}

// routes plans a route table. What stays in the VPC never comes here, but for what the
// table leads to an appliance.
func (p *planner) routes(t resource.RouteTable) []netspec.Route {
	var list []netspec.Route
	hasDefault := false
	for _, r := range p.effective(t) {
		hasDefault = hasDefault || r.Destination == everywhere()
		route := netspec.Route{Table: t.Number, Dst: r.Destination}
		switch {
		case r.GatewayID == resource.LocalGateway:
			continue
		case r.State == resource.RouteBlackhole:
			route.Type = netspec.Blackhole
		case r.GatewayID != "":
			g, _ := p.gateway(t.VPCID, resource.VPNGatewayID(r.GatewayID))
			route.Via, route.Dev, route.OnLink = g.GatewayAddress(), resource.VPNGatewayLink, true
		case r.TransitGatewayID != "":
			a, _ := p.transitOf(t.VPCID, r.TransitGatewayID)
			route.Via, route.Dev, route.OnLink = a.GatewayAddress(), a.RouterLink(), true
		default:
			eni, _ := p.networkInterface(r.NetworkInterfaceID)
			route.Via, route.Dev, route.OnLink = eni.PrivateIP, LinkName(eni.ID), true
		}
		list = append(list, route)
	}
	if !hasDefault {
		list = append(list, netspec.Route{Table: t.Number, Type: netspec.Unreachable, Dst: everywhere()})
	}
	return list
}

// everywhere is 0.0.0.0/0.
func everywhere() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }

// host is the prefix of one address.
func host(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }
