package vpc

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netspec"
)

// The router's routing policy. Table and priority numbers are the same in every
// router, so that a person can read one after having read another.
const (
	localTable    = 100 // the addresses of all interfaces of the VPC
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
// both ends of each held interface, routes and security groups. It is pure. It
// fails when rows contradict each other: two interfaces in one namespace or of
// one link name, an interface without its subnet.
func MakePlan(s Snapshot) (Plan, error) {
	p := planner{Snapshot: s, spaces: make(map[string]netspec.Namespace)}
	for _, v := range s.VPCs {
		if err := p.router(v); err != nil {
			return Plan{}, fmt.Errorf("plan of %s: %w", v.ID, err)
		}
	}
	var plan Plan
	for _, ns := range p.spaces {
		plan.Spec.Namespaces = append(plan.Spec.Namespaces, ns)
	}
	plan.Spec = plan.Spec.Normalize()
	return plan, nil
}

type planner struct {
	Snapshot
	spaces map[string]netspec.Namespace
}

// router plans one VPC.
func (p *planner) router(v resource.VPC) error {
	ns := netspec.Namespace{
		Name: string(v.ID),
		Sysctls: map[string]string{
			"net.ipv4.ip_forward": "1",
			// A reply may come by another way than the request went; spoofing is
			// checked per interface in the forward chain.
			"net.ipv4.conf.all.rp_filter":     "0",
			"net.ipv4.conf.default.rp_filter": "0",
		},
		Links:  []netspec.Link{p.loopback(v)},
		Routes: []netspec.Route{{Table: localTable, Type: netspec.Unreachable, Dst: v.CIDR}},
		Rules:  []netspec.Rule{{Priority: localPriority, To: v.CIDR, Table: localTable}},
	}
	enis := p.held(v.ID)
	tables := make(map[int]resource.RouteTable)
	for _, eni := range enis {
		subnet, ok := p.subnet(eni.SubnetID)
		if !ok {
			return fmt.Errorf("interface %s: its subnet %s does not exist", eni.ID, eni.SubnetID)
		}
		table, ok := p.tableOf(v, subnet.ID)
		if !ok {
			return fmt.Errorf("subnet %s: it has no route table", subnet.ID)
		}
		if err := p.attach(&ns, eni, subnet); err != nil {
			return err
		}
		tables[table.Number] = table
		ns.Rules = append(ns.Rules, netspec.Rule{Priority: linkPriority, IIF: LinkName(eni.ID), Table: table.Number})
	}
	for _, number := range slices.Sorted(maps.Keys(tables)) {
		ns.Routes = append(ns.Routes, p.routes(tables[number])...)
	}
	ns.Tables = []netspec.Table{p.filter(v, enis)}
	if _, taken := p.spaces[ns.Name]; taken {
		return fmt.Errorf("namespace %s: it is the router's, an interface claims it", ns.Name)
	}
	p.spaces[ns.Name] = ns
	return nil
}

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
// eth0 of the holder.
func (p *planner) attach(router *netspec.Namespace, eni resource.NetworkInterface, subnet resource.Subnet) error {
	link := LinkName(eni.ID)
	if slices.ContainsFunc(router.Links, func(l netspec.Link) bool { return l.Name == link }) {
		return fmt.Errorf("interface %s: its link name %s is another interface's too", eni.ID, link)
	}
	if _, taken := p.spaces[eni.Namespace]; taken {
		return fmt.Errorf("interface %s: the namespace %s has an eth0 already", eni.ID, eni.Namespace)
	}
	router.Links = append(router.Links, netspec.Link{
		Name: link, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: eni.Namespace, Link: "eth0"},
		Sysctls: map[string]string{"proxy_arp": "1", "rp_filter": "0"},
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
	}
	return nil
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

// routes plans a route table. What stays in the VPC never comes here.
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
