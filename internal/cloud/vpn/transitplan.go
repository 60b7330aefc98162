package vpn

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"seikan/internal/cloud/onlyv4"
	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netspec"
)

// The routing policy of a transit gateway: what comes in by a link is looked up
// in the table that its attachment is associated with, in noTable when it has
// none.
const (
	transitPriority = 200
	noTable         = 999
	// What the transit gateway itself answers to what came in by a link, such as that
	// a packet is too large, leaves by that link again: no table is asked, for those of
	// others may have a route to the sender. Packets carry the number of such a table
	// as their mark, and answers take it over.
	answerPriority   = 190
	firstTunnelTable = 100_000 // and that of the TUN
	firstVPCTable    = 200_000 // and that of the link, of all that there are
	// lastMetric is that of a blackhole behind each route into a tunnel: a TUN that
	// goes, as with its worker, takes its routes along, and what they carried must not
	// go elsewhere.
	lastMetric = 1 << 16
)

// transit is what a transit gateway needs: a namespace of its own with a kernel
// table for each of its route tables, a link to the router of each attached VPC,
// and the worker that keeps the tunnels of its VPN attachments.
func (s Snapshot) transit(g resource.TransitGateway) ([]netspec.Namespace, Worker) {
	p := transitPlanner{Snapshot: s, gateway: g, attachments: map[resource.TransitGatewayAttachmentID]resource.TransitGatewayAttachment{},
		links: map[string]string{}, lines: map[resource.TransitGatewayRouteTableID][]TransitGatewayRoute{}}
	for _, t := range s.TransitTables {
		if t.TransitGatewayID == g.ID && t.State != resource.StateDeleting {
			p.tables = append(p.tables, t)
			p.lines[t.ID] = transitRoutes(s, t, g.Options.VPNECMP)
		}
	}
	p.own = netspec.Namespace{
		Name: string(g.ID),
		Sysctls: map[string]string{
			"net.ipv4.ip_forward": "1",
			// A reply may come by another tunnel or attachment than its request went.
			"net.ipv4.conf.all.rp_filter":          "0",
			"net.ipv4.conf.default.rp_filter":      "0",
			"net.ipv4.conf.all.send_redirects":     "0",
			"net.ipv4.conf.default.send_redirects": "0",
			// Flows are spread by addresses and ports.
			"net.ipv4.fib_multipath_hash_policy": "1",
			"net.ipv4.fwmark_reflect":            "1",
			// A worker unplugs the TUN of a tunnel that has failed: flows then take the
			// others, and the blackhole behind, without anybody laying routes anew.
			"net.ipv4.conf.all.ignore_routes_with_linkdown":     "1",
			"net.ipv4.conf.default.ignore_routes_with_linkdown": "1",
		},
	}
	for _, a := range s.TransitAttachments {
		if a.TransitGatewayID == g.ID && a.Alive() {
			p.attachments[a.ID] = a
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.attachments)) {
		if a := p.attachments[id]; a.Type == resource.AttachVPC && !p.joinVPC(a) {
			delete(p.attachments, id)
		}
	}
	w := p.worker()
	p.lay()
	p.own.Tables = []netspec.Table{onlyv4.Table(p.six...), p.guard(), p.marks()}
	if len(p.six) > 0 {
		p.own.Sysctls["net.ipv6.fwmark_reflect"] = "1"
		p.own.Sysctls["net.ipv6.conf.all.forwarding"] = "1"
		p.own.Sysctls["net.ipv6.fib_multipath_hash_policy"] = "1"
		p.own.Sysctls["net.ipv6.conf.all.ignore_routes_with_linkdown"] = "1"
		p.own.Sysctls["net.ipv6.conf.default.ignore_routes_with_linkdown"] = "1"
	}
	if len(w.Tunnels) > 0 {
		p.own.Tables = append(p.own.Tables, ends(w.Tunnels))
	}
	return append([]netspec.Namespace{p.own}, p.routers...), w
}

// A transitPlanner plans one transit gateway.
type transitPlanner struct {
	Snapshot
	gateway     resource.TransitGateway
	tables      []resource.TransitGatewayRouteTable
	lines       map[resource.TransitGatewayRouteTableID][]TransitGatewayRoute             // what the tables hold
	attachments map[resource.TransitGatewayAttachmentID]resource.TransitGatewayAttachment // those alive
	links       map[string]string                                                         // of the tunnels there are, by their ids
	six         []string                                                                  // links of those that carry IPv6
	own         netspec.Namespace
	routers     []netspec.Namespace
	vpcs        []attachedVPC
	answers     []string // elements of the map from links to marks
}

// An attachedVPC is a VPC and its link in the transit gateway's namespace.
type attachedVPC struct {
	link string
	cidr netip.Prefix
}

// joinVPC plans the link to the router of a VPC; false when there is no such VPC.
func (p *transitPlanner) joinVPC(a resource.TransitGatewayAttachment) bool {
	at := slices.IndexFunc(p.VPCs, func(v resource.VPC) bool { return v.ID == a.VPCID })
	if at < 0 || !a.Link.IsValid() {
		return false
	}
	here, there := netspec.Peer{Namespace: p.own.Name, Link: a.GatewayLink()}, netspec.Peer{Namespace: string(a.VPCID), Link: a.RouterLink()}
	off := map[string]string{"rp_filter": "0"}
	p.own.Links = append(p.own.Links, netspec.Link{
		Name: here.Link, Kind: netspec.Veth, Peer: there, Sysctls: off, MTU: transitMTU, Comment: "to the router of " + string(a.VPCID),
		Addrs: []netip.Prefix{netip.PrefixFrom(a.GatewayAddress(), a.Link.Bits())},
	})
	p.routers = append(p.routers, netspec.Namespace{Name: there.Namespace, Links: []netspec.Link{{
		Name: there.Link, Kind: netspec.Veth, Peer: here, Sysctls: off, MTU: transitMTU, Comment: "to the transit gateway " + p.own.Name,
		Addrs: []netip.Prefix{netip.PrefixFrom(a.RouterAddress(), a.Link.Bits())},
	}}})
	p.vpcs = append(p.vpcs, attachedVPC{here.Link, p.VPCs[at].CIDR})
	p.policy(here.Link, a)
	b := a.Link.Addr().As4()
	p.answer(netspec.Route{Table: firstVPCTable + int(b[2])<<8 + int(b[3]), Dst: everywhere4(), Via: a.RouterAddress(), Dev: here.Link})
	return true
}

// answer plans that answers to what comes in by a link leave by back, a default
// route in a table of its own.
func (p *transitPlanner) answer(back netspec.Route) {
	rule := netspec.Rule{Priority: answerPriority, IIF: "lo", Mark: uint32(back.Table), Table: back.Table}
	if back.Dst.Addr().Is6() {
		rule.From = everywhere6()
	}
	p.own.Routes, p.own.Rules = append(p.own.Routes, back), append(p.own.Rules, rule)
	p.answers = append(p.answers, fmt.Sprintf("%q : 0x%08x", back.Dev, back.Table))
}

// marks gives packets the mark of the link that they come in by.
func (p *transitPlanner) marks() netspec.Table {
	return netspec.Table{Family: "inet", Name: "answers", Sets: []netspec.Set{{Name: "links", Type: "ifname", Value: "mark", Elements: p.answers}},
		Chains: []netspec.Chain{{Name: "prerouting", Type: "filter", Hook: "prerouting", Priority: "mangle",
			Rules: []netspec.NftRule{{Text: "meta mark set iifname map @links", Comment: "answers go back"}}}}}
}

// transitMTU is that of a transit gateway for VPN (vpn §3.5).
const transitMTU = 1500

// policy says by which table what comes in by link is forwarded.
func (p *transitPlanner) policy(link string, a resource.TransitGatewayAttachment) {
	number := noTable
	for _, t := range p.tables {
		if t.ID == a.RouteTableID {
			number = t.Number
		}
	}
	p.own.Rules = append(p.own.Rules, netspec.Rule{Priority: transitPriority, IIF: link, Table: number})
	if slices.Contains(p.six, link) {
		p.own.Rules = append(p.own.Rules, netspec.Rule{Priority: transitPriority, IIF: link, Table: number, From: everywhere6()})
	}
}

// worker is what the process is told that keeps the tunnels, and plans what the
// namespace has of these.
func (p *transitPlanner) worker() Worker {
	g := p.gateway
	w := Worker{GatewayID: string(g.ID), Name: cmp.Or(g.Tags.Name(), string(g.ID)), Namespace: string(g.ID), Transit: true}
	lists := map[string][]WorkerAnnouncement{}
	for _, c := range p.connectionsAt(target{transit: g.ID}) {
		a, ok := p.attachmentOf(c)
		if !ok {
			continue
		}
		first := len(w.Tunnels)
		p.addTunnels(&w, c, netip.Prefix{})
		for i := range w.Tunnels[first:] {
			t := &w.Tunnels[first+i]
			if t.BGP.PeerASN != 0 && a.RouteTableID != "" {
				t.List = string(a.RouteTableID)
				lists[t.List] = p.announced(a.RouteTableID)
			}
			p.links[t.ID] = t.Interface
			back := netspec.Route{Table: firstTunnelTable + tunnelNumber(c, i), Dst: everywhere4(), Dev: t.Interface}
			if t.Inside.Addr().Is6() {
				p.six, back.Dst = append(p.six, t.Interface), everywhere6()
			}
			p.answer(back)
			p.own.Links = append(p.own.Links, netspec.Link{Name: t.Interface, Kind: netspec.External, Addrs: []netip.Prefix{t.Inside}})
			p.policy(t.Interface, a)
		}
	}
	if w.speaks() {
		w.BGP.ASN, w.BGP.Lists = g.AmazonSideASN, lists
	}
	return w
}

// attachmentOf is the attachment of a connection.
func (p *transitPlanner) attachmentOf(c resource.VPNConnection) (resource.TransitGatewayAttachment, bool) {
	for _, a := range p.attachments {
		if a.VPNConnectionID == c.ID {
			return a, true
		}
	}
	return resource.TransitGatewayAttachment{}, false
}

// announced is what customer gateways are told of whose attachments are associated
// with a table: what it holds, but for blackholes (vpn §4.2), and, to each, for what
// leads back to it alone.
func (p *transitPlanner) announced(id resource.TransitGatewayRouteTableID) []WorkerAnnouncement {
	out := []WorkerAnnouncement{}
	for _, r := range p.lines[id] {
		if r.Blackhole || len(out) == maxTransitAnnounced {
			continue
		}
		a := WorkerAnnouncement{Prefix: r.Destination, ASPath: r.ASPath}
		if to := p.attachments[r.Attachments[0]]; len(r.Attachments) == 1 && to.Type == resource.AttachVPN {
			a.Behind = string(to.VPNConnectionID) + "/"
		}
		out = append(out, a)
	}
	return out
}

// lay plans the kernel's tables. Each ends in blackhole, so that nothing falls
// through to another.
func (p *transitPlanner) lay() {
	ends := []netip.Prefix{everywhere4()}
	if len(p.six) > 0 {
		ends = append(ends, everywhere6())
	}
	end := func(table int, all netip.Prefix) netspec.Route {
		return netspec.Route{Table: table, Dst: all, Type: netspec.Blackhole}
	}
	for _, all := range ends {
		p.own.Routes = append(p.own.Routes, end(noTable, all))
	}
	for _, t := range p.tables {
		known := map[netip.Prefix]bool{}
		for _, r := range p.lines[t.ID] {
			known[r.Destination] = true
			route := p.route(t.Number, r)
			p.own.Routes = append(p.own.Routes, route)
			if route.Type == netspec.Unicast && !route.Via.IsValid() {
				p.own.Routes = append(p.own.Routes, netspec.Route{Table: t.Number, Dst: r.Destination, Type: netspec.Blackhole, Metric: lastMetric})
			}
		}
		for _, all := range ends {
			if !known[all] {
				p.own.Routes = append(p.own.Routes, end(t.Number, all))
			}
		}
	}
}

func everywhere4() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }
func everywhere6() netip.Prefix { return netip.PrefixFrom(netip.IPv6Unspecified(), 0) }

// route is r in the kernel's words.
func (p *transitPlanner) route(table int, r TransitGatewayRoute) netspec.Route {
	out := netspec.Route{Table: table, Dst: r.Destination}
	if r.Blackhole {
		out.Type = netspec.Blackhole
		return out
	}
	six := r.Destination.Addr().Is6()
	if a := p.attachments[r.Attachments[0]]; a.Type == resource.AttachVPC && !six {
		out.Via, out.Dev = a.RouterAddress(), a.GatewayLink()
		return out
	}
	var links []string // those that carry the family
	for _, id := range r.Tunnels {
		if link, ok := p.links[id]; ok && slices.Contains(p.six, link) == six {
			links = append(links, link)
		}
	}
	switch {
	case len(links) == 0:
		out.Type = netspec.Blackhole // no tunnel is up: nothing else may carry it
	case len(links) == 1:
		out.Dev = links[0]
	default:
		out.Spread = netspec.LinksOf(links...)
	}
	return out
}

// guard drops what a VPC would be sent as if from itself, for its security groups
// know their members by address, and what VPCs send to the transit gateway's own
// addresses.
func (p *transitPlanner) guard() netspec.Table {
	forward := netspec.Chain{Name: "forward", Type: "filter", Hook: "forward", Priority: "filter"}
	input := netspec.Chain{Name: "input", Type: "filter", Hook: "input", Priority: "filter"}
	for _, v := range p.vpcs {
		forward.Rules = append(forward.Rules, netspec.NftRule{Text: fmt.Sprintf("oifname %q ip saddr %v counter drop", v.link, v.cidr), Comment: "source check"})
		input.Rules = append(input.Rules, netspec.NftRule{Text: fmt.Sprintf("iifname %q counter drop", v.link), Comment: "nothing here is for the VPC"})
	}
	return netspec.Table{Family: "ip", Name: "tgw", Chains: []netspec.Chain{forward, input}}
}
