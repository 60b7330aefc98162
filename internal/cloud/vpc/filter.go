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

// filterTable is the name of the router's nftables table.
const filterTable = "seikan_vpc"

// filter plans the security groups of a VPC. A packet between two interfaces
// passes the sender's egress rules and then, by "goto deliver", the receiver's
// ingress rules. What comes from the VPN gateway meets ingress rules alone: the
// gateway has no interface and so no groups.
//
//	forward → out_<link> → egress_<group> → deliver → in_<link> → ingress_<group>
func (p *planner) filter(v resource.VPC, enis []resource.NetworkInterface) netspec.Table {
	t := netspec.Table{Family: "ip", Name: filterTable}
	t.Sets = append(t.Sets, interfaceSets(enis)...)
	t.Sets = append(t.Sets, p.routerSets(v)...)
	t.Chains = append(t.Chains, forwardChain(), inputChain(), deliverChain())
	p.admitTransit(&t, v, enis)
	used := make(map[resource.SecurityGroupID]bool)
	for _, eni := range enis {
		t.Chains = append(t.Chains, interfaceChains(eni)...)
		for _, id := range eni.Groups {
			used[id] = true
		}
	}
	named := make(map[resource.SecurityGroupID]bool)
	for _, g := range p.Groups {
		if g.VPCID != v.ID || !used[g.ID] {
			continue
		}
		t.Chains = append(t.Chains, groupChains(g)...)
		for _, rule := range slices.Concat(g.Ingress, g.Egress) {
			if rule.Group != "" {
				named[rule.Group] = true
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(named)) {
		t.Sets = append(t.Sets, memberSet(id, p.Interfaces))
	}
	return t
}

// rule makes a rule without comment.
func rule(format string, args ...any) netspec.NftRule {
	return netspec.NftRule{Text: fmt.Sprintf(format, args...)}
}

// spoofRules drop what an interface sends from, or would be given for, an
// address that is not its own, even inside a connection.
func spoofRules() []netspec.NftRule {
	return []netspec.NftRule{
		{Text: "iifname @checked iifname . ip saddr != @own counter drop", Comment: "source check"},
		{Text: "oifname @checked oifname . ip daddr != @own counter drop", Comment: "destination check"},
	}
}

func forwardChain() netspec.Chain {
	return netspec.Chain{
		Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Policy: "drop",
		Rules: append(spoofRules(),
			rule("ct state established,related accept"),
			rule("iifname %q goto deliver", resource.VPNGatewayLink),
			rule("iifname vmap @egress"),
			rule("counter drop"),
		),
	}
}

// inputChain guards the router's own addresses. Neither the default router nor
// the resolver is subject to security groups (pl §4.3), and the VPN gateway
// reaches neither.
func inputChain() netspec.Chain {
	return netspec.Chain{
		Name: "input", Type: "filter", Hook: "input", Priority: "filter", Policy: "drop",
		Rules: []netspec.NftRule{
			rule(`iifname "lo" accept`),
			spoofRules()[0],
			rule("ct state established,related accept"),
			rule("iifname @interfaces ip daddr @routers icmp type echo-request accept"),
			rule("iifname @interfaces ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 accept"),
			rule("counter drop"),
		},
	}
}

// deliverChain ends in a verdict always: chains go to it and never come back.
func deliverChain() netspec.Chain {
	return netspec.Chain{Name: "deliver", Rules: []netspec.NftRule{
		rule("oifname vmap @ingress"),
		rule("iifname != %q oifname %q accept", resource.VPNGatewayLink, resource.VPNGatewayLink),
		rule("counter drop"),
	}}
}

// interfaceSets name the links: all, those whose addresses are checked, and
// the chains of each.
func interfaceSets(enis []resource.NetworkInterface) []netspec.Set {
	all := netspec.Set{Name: "interfaces", Type: "ifname"}
	checked := netspec.Set{Name: "checked", Type: "ifname"}
	own := netspec.Set{Name: "own", Type: "ifname . ipv4_addr"}
	in := netspec.Set{Name: "ingress", Type: "ifname", Value: "verdict"}
	out := netspec.Set{Name: "egress", Type: "ifname", Value: "verdict"}
	for _, eni := range enis {
		link := LinkName(eni.ID)
		all.Elements = append(all.Elements, fmt.Sprintf("%q", link))
		if eni.SourceDestCheck {
			checked.Elements = append(checked.Elements, fmt.Sprintf("%q", link))
		}
		own.Elements = append(own.Elements, fmt.Sprintf("%q . %v", link, eni.PrivateIP))
		in.Elements = append(in.Elements, fmt.Sprintf("%q : goto in_%s", link, link))
		out.Elements = append(out.Elements, fmt.Sprintf("%q : goto out_%s", link, link))
	}
	return []netspec.Set{all, checked, own, in, out}
}

// routerSets name the addresses of the router itself.
func (p *planner) routerSets(v resource.VPC) []netspec.Set {
	routers := netspec.Set{Name: "routers", Type: "ipv4_addr"}
	for _, s := range p.Subnets {
		if s.VPCID == v.ID {
			routers.Elements = append(routers.Elements, resource.RouterAddress(s.CIDR).String())
		}
	}
	dns := netspec.Set{Name: "resolvers", Type: "ipv4_addr"}
	for _, addr := range resolvers(v) {
		dns.Elements = append(dns.Elements, addr.String())
	}
	return []netspec.Set{routers, dns}
}

// memberSet holds the addresses of a group's members, whether held yet or not.
func memberSet(id resource.SecurityGroupID, enis []resource.NetworkInterface) netspec.Set {
	set := netspec.Set{Name: "members_" + digits(id), Type: "ipv4_addr"}
	for _, eni := range enis {
		if slices.Contains(eni.Groups, id) {
			set.Elements = append(set.Elements, eni.PrivateIP.String())
		}
	}
	return set
}

// interfaceChains try each group of an interface and drop what none allows. A
// load balancer that was made without groups has none: everything passes to
// its node, which lets in what it listens for (pl §1.9).
func interfaceChains(eni resource.NetworkInterface) []netspec.Chain {
	in := netspec.Chain{Name: "in_" + LinkName(eni.ID)}
	out := netspec.Chain{Name: "out_" + LinkName(eni.ID)}
	for _, id := range eni.Groups {
		in.Rules = append(in.Rules, rule("jump ingress_%s", digits(id)))
		out.Rules = append(out.Rules, rule("jump egress_%s", digits(id)))
	}
	if eni.Type == resource.InterfaceLoadBalancer && len(eni.Groups) == 0 {
		in.Rules, out.Rules = []netspec.NftRule{rule("accept")}, []netspec.NftRule{rule("goto deliver")}
		return []netspec.Chain{in, out}
	}
	in.Rules = append(in.Rules, rule("counter drop"))
	out.Rules = append(out.Rules, rule("counter drop"))
	return []netspec.Chain{in, out}
}

// groupChains are the rules of one group.
func groupChains(g resource.SecurityGroup) []netspec.Chain {
	in := netspec.Chain{Name: "ingress_" + digits(g.ID)}
	for _, p := range g.Ingress {
		in.Rules = append(in.Rules, rule("%saccept", match("saddr", p)))
	}
	out := netspec.Chain{Name: "egress_" + digits(g.ID)}
	for _, p := range g.Egress {
		out.Rules = append(out.Rules, rule("%sgoto deliver", match("daddr", p)))
	}
	return []netspec.Chain{in, out}
}

// match is the condition of a permission, with a space after each part; empty
// for one that allows everything. The field is that of the peer's address.
func match(field string, p resource.Permission) string {
	var parts []string
	switch {
	case p.Group != "":
		parts = append(parts, "ip "+field+" @members_"+digits(p.Group))
	case p.CIDR != everywhere():
		parts = append(parts, "ip "+field+" "+blockText(p.CIDR))
	}
	switch p.Protocol {
	case resource.TCP, resource.UDP:
		parts = append(parts, string(p.Protocol)+" dport "+span(p.FromPort, p.ToPort))
	case resource.ICMP:
		parts = append(parts, icmpMatch(p.FromPort, p.ToPort))
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, " ") + " "
}

// icmpMatch is the condition on type and code, -1 being any.
func icmpMatch(typ, code int) string {
	switch {
	case typ < 0:
		return "ip protocol icmp"
	case code < 0:
		return fmt.Sprintf("icmp type %d", typ)
	}
	return fmt.Sprintf("icmp type %d icmp code %d", typ, code)
}

// span prints a range of ports.
func span(from, to int) string {
	if from == to {
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

// blockText prints one address without its prefix length.
func blockText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// digits is the part of a group's id that fits the name of a chain.
func digits(id resource.SecurityGroupID) string { return strings.TrimPrefix(string(id), "sg-") }
