package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/lab/topology"
	"seikan/internal/linux/netspec"
)

// Names that the plan gives to namespaces and links of its own.
const (
	internetNS = "internet"
	EdgeNS     = "edge" // where the cloud opens its outside sockets
	lanLink    = "lan0" // a host's link to the site's LAN
	wanLink    = "wan0" // the link of a router and of the edge to the internet
	bridgeLink = "br0"  // in the namespace of a LAN
	tableName  = "seikan_lab"
)

// Faults are what a walk-through broke on purpose.
type Faults struct {
	Cut []netip.Addr // the internet drops what goes to and from these
}

// Plan says what the sites, the internet and the cloud's edge shall be on this
// machine. It does nothing.
func Plan(t *topology.Topology) netspec.Spec {
	var s netspec.Spec
	s.Namespaces = append(s.Namespaces, planInternet(t), planEdge(t))
	for _, site := range t.Sites {
		s.Namespaces = append(s.Namespaces, planLAN(site))
		for _, h := range site.Hosts {
			s.Namespaces = append(s.Namespaces, planHost(t, site, h))
		}
	}
	return s
}

func forwarding() map[string]string { return map[string]string{"net.ipv4.ip_forward": "1"} }

// forwardingBoth is forwarding where there is IPv6, too.
func forwardingBoth(six bool) map[string]string {
	out := forwarding()
	if six {
		out["net.ipv6.conf.all.forwarding"] = "1"
	}
	return out
}

// addrsOf are the addresses of a link that has one of IPv6, too, or has not.
func addrsOf(four netip.Addr, bits int, six netip.Addr, bits6 int) []netip.Prefix {
	out := []netip.Prefix{netip.PrefixFrom(four, bits)}
	if six.IsValid() {
		out = append(out, netip.PrefixFrom(six, bits6))
	}
	return out
}

func loopback() netspec.Link { return netspec.Link{Name: "lo", Kind: netspec.Loopback} }

// planInternet is one router with a link to each customer. It knows its links
// and nothing else, so a packet with a private address finds no way.
func planInternet(t *topology.Topology) netspec.Namespace {
	six := slices.ContainsFunc(t.Internet, func(l topology.Link) bool { return l.Router6.IsValid() })
	ns := netspec.Namespace{Name: internetNS, Sysctls: forwardingBoth(six), Links: []netspec.Link{loopback()}}
	for _, l := range t.Internet {
		ns.Links = append(ns.Links, netspec.Link{Name: l.Name, Kind: netspec.Veth, Peer: customerOf(t, l.Name),
			Addrs: addrsOf(l.Router, l.Subnet.Bits(), l.Router6, l.Subnet6.Bits()), Comment: "the internet's end of " + l.Name})
	}
	// Of IPv6 nothing is private: each provider has a route to its customer's LAN.
	for _, s := range t.Sites {
		for _, h := range s.Hosts {
			if h.Outside6.IsValid() {
				ns.Routes = append(ns.Routes, netspec.Route{Dst: s.LAN.CIDR6, Via: h.Outside6, Dev: h.Uplink})
			}
		}
	}
	return ns
}

// planFaults is what a walk-through breaks: the internet carries nothing for an
// address that is cut. It stands apart from Plan, so that breaking and mending
// touch nothing else.
func planFaults(faults Faults) netspec.Spec {
	cut := func(family, addresses string) netspec.Table {
		set := netspec.Set{Name: "cut", Type: addresses}
		for _, a := range faults.Cut {
			if a.Is6() == (family == "ip6") {
				set.Elements = append(set.Elements, a.String())
			}
		}
		slices.Sort(set.Elements)
		return netspec.Table{Family: family, Name: tableName, Sets: []netspec.Set{set}, Chains: []netspec.Chain{{
			Name: "forward", Type: "filter", Hook: "forward", Priority: "filter",
			Rules: []netspec.NftRule{{Text: family + " saddr @cut drop"}, {Text: family + " daddr @cut drop"}},
		}}}
	}
	return netspec.Spec{Namespaces: []netspec.Namespace{{Name: internetNS, Tables: []netspec.Table{cut("ip", "ipv4_addr"), cut("ip6", "ipv6_addr")}}}}
}

// customerOf is the other end of an internet link: a router or the edge, as the
// topology's checks hold.
func customerOf(t *topology.Topology, link string) netspec.Peer {
	for _, s := range t.Sites {
		for _, h := range s.Hosts {
			if h.Uplink == link {
				return netspec.Peer{Namespace: h.Name, Link: wanLink}
			}
		}
	}
	return netspec.Peer{Namespace: EdgeNS, Link: wanLink}
}

// planEdge holds the cloud's outside addresses. It does not forward: what the
// cloud receives there it receives through sockets.
func planEdge(t *topology.Topology) netspec.Namespace {
	e := t.Cloud.Edge
	link := uplink(t, e.Link)
	wan := netspec.Link{Name: wanLink, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: internetNS, Link: e.Link}, Comment: "the cloud's outside addresses"}
	for _, a := range e.Addresses {
		wan.Addrs = append(wan.Addrs, netip.PrefixFrom(a, link.Subnet.Bits()))
	}
	for _, a := range e.Addresses6 {
		wan.Addrs = append(wan.Addrs, netip.PrefixFrom(a, link.Subnet6.Bits()))
	}
	return netspec.Namespace{Name: EdgeNS, Links: []netspec.Link{loopback(), wan}, Routes: uplinkRoutes(link, len(e.Addresses6) > 0)}
}

// uplinkRoutes are the default routes of whoever is at the other end of link.
func uplinkRoutes(link topology.Link, six bool) []netspec.Route {
	out := []netspec.Route{{Dst: anywhere(), Via: link.Router, Dev: wanLink}}
	if six {
		out = append(out, netspec.Route{Dst: anywhere6(), Via: link.Router6, Dev: wanLink})
	}
	return out
}

func uplink(t *topology.Topology, name string) topology.Link {
	for _, l := range t.Internet {
		if l.Name == name {
			return l
		}
	}
	panic(fmt.Sprintf("lab: link %q passed the topology's checks", name)) // our bug
}

func anywhere() netip.Prefix  { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }
func anywhere6() netip.Prefix { return netip.PrefixFrom(netip.IPv6Unspecified(), 0) }

// planLAN is the site's switch: a bridge in a namespace of its own, so that a
// capture on it sees what hosts say to each other.
func planLAN(site topology.Site) netspec.Namespace {
	ns := netspec.Namespace{Name: site.LAN.Name, Links: []netspec.Link{loopback(), {Name: bridgeLink, Kind: netspec.Bridge, Comment: site.Name + "'s switch"}}}
	for _, h := range site.Hosts {
		ns.Links = append(ns.Links, netspec.Link{Name: h.Name, Kind: netspec.Veth, Master: bridgeLink, Peer: netspec.Peer{Namespace: h.Name, Link: lanLink}})
	}
	return ns
}

func planHost(t *topology.Topology, site topology.Site, h topology.Host) netspec.Namespace {
	ns := netspec.Namespace{Name: h.Name, Links: []netspec.Link{loopback(), {
		Name: lanLink, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: site.LAN.Name, Link: h.Name},
		Addrs: addrsOf(h.Address, site.LAN.CIDR.Bits(), h.Address6, site.LAN.CIDR6.Bits()),
	}}}
	if h.Role == topology.Router {
		planRouter(t, h, &ns)
		return ns
	}
	if h.Role == topology.CustomerGateway {
		ns.Sysctls = forwarding() // the gateway there adds routes of its own
		ns.Routes = backstops(t, site, h.Name)
	}
	ns.Routes = append(ns.Routes, hostRoutes(site, h)...)
	return ns
}

// lastMetric is behind every other route, those of the gateway included.
const lastMetric = 1<<32 - 1

// backstops are what an administrator gives a gateway's host, so that nothing
// for the cloud's private ranges, or for other networks that the site sends to it,
// goes out in clear while no gateway runs there: before its first start and after
// it was stopped.
func backstops(t *topology.Topology, site topology.Site, host string) (routes []netspec.Route) {
	var shut []netip.Prefix
	for _, c := range t.VPN {
		if c.CustomerGateway == host {
			shut = append(shut, t.Behind(c)...)
		}
	}
	for _, r := range site.Routes {
		if r.Via == host && !slices.Contains(shut, r.To) {
			shut = append(shut, r.To)
		}
	}
	for _, p := range shut {
		routes = append(routes, netspec.Route{Type: netspec.Unreachable, Dst: p, Metric: lastMetric})
	}
	return routes
}

// hostRoutes are a host's way out and the site's static routes.
func hostRoutes(site topology.Site, h topology.Host) (routes []netspec.Route) {
	for _, r := range site.Hosts {
		if r.Role == topology.Router {
			routes = append(routes, netspec.Route{Dst: anywhere(), Via: r.Address, Dev: lanLink})
		}
		if r.Outside6.IsValid() && h.Address6.IsValid() {
			routes = append(routes, netspec.Route{Dst: anywhere6(), Via: r.Address6, Dev: lanLink})
		}
	}
	for _, r := range site.Routes {
		switch via := siteHost(site, r.Via); {
		case via.Name == h.Name:
		case r.To.Addr().Is4():
			routes = append(routes, netspec.Route{Dst: r.To, Via: via.Address, Dev: lanLink})
		case h.Address6.IsValid():
			routes = append(routes, netspec.Route{Dst: r.To, Via: via.Address6, Dev: lanLink})
		}
	}
	return routes
}

func siteHost(site topology.Site, name string) topology.Host {
	for _, h := range site.Hosts {
		if h.Name == name {
			return h
		}
	}
	panic(fmt.Sprintf("lab: host %q passed the topology's checks", name)) // our bug
}

// planRouter is a home or office router: a default route, and where it says so
// masquerading with nothing let in that was not asked for.
func planRouter(t *topology.Topology, h topology.Host, ns *netspec.Namespace) {
	link := uplink(t, h.Uplink)
	ns.Sysctls = forwardingBoth(h.Outside6.IsValid())
	ns.Links = append(ns.Links, netspec.Link{Name: wanLink, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: internetNS, Link: h.Uplink},
		Addrs: addrsOf(h.Outside, link.Subnet.Bits(), h.Outside6, link.Subnet6.Bits())})
	ns.Routes = append(ns.Routes, uplinkRoutes(link, h.Outside6.IsValid())...)
	if !h.Masquerade {
		return
	}
	if h.Outside6.IsValid() {
		ns.Tables = append(ns.Tables, firewall6())
	}
	ns.Tables = append(ns.Tables, netspec.Table{Family: "ip", Name: tableName, Chains: []netspec.Chain{
		{Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Policy: "drop", Rules: []netspec.NftRule{
			{Text: "ct state established,related accept"},
			{Text: `iifname "` + lanLink + `" accept`, Comment: "the inside may open connections"},
		}},
		{Name: "input", Type: "filter", Hook: "input", Priority: "filter", Rules: []netspec.NftRule{
			{Text: "ct state established,related accept"},
			{Text: `iifname "` + wanLink + `" drop`, Comment: "no inbound mapping, no answer"},
		}},
		{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: "srcnat", Rules: []netspec.NftRule{
			{Text: `oifname "` + wanLink + `" masquerade`},
		}},
	}})
}

// firewall6 is what such a router does for IPv6, of which it translates nothing:
// in comes only what was asked for, and what the protocol cannot do without (RFC
// 4890).
func firewall6() netspec.Table {
	return netspec.Table{Family: "ip6", Name: tableName, Chains: []netspec.Chain{
		{Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Policy: "drop", Rules: []netspec.NftRule{
			{Text: "ct state established,related accept"},
			{Text: `iifname "` + lanLink + `" accept`, Comment: "the inside may open connections"},
		}},
	}}
}

// A place is where a link is found on this machine. An empty Link means all
// links of the namespace.
type place struct{ Namespace, Link string }

// places are the links that a user may name: each LAN, each internet link, the
// internet as a whole; beside them HOST/LINK is understood.
func places(t *topology.Topology) map[string]place {
	out := map[string]place{internetNS: {internetNS, ""}}
	for _, l := range t.Internet {
		out[l.Name] = place{internetNS, l.Name}
	}
	for _, s := range t.Sites {
		out[s.LAN.Name] = place{s.LAN.Name, bridgeLink}
	}
	return out
}

// LinkNames lists what `lab capture` takes, but for HOST/LINK.
func LinkNames(t *topology.Topology) (names []string) {
	for n := range places(t) {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// findLink resolves a link name; namespaces maps hosts and instances to theirs.
func findLink(t *topology.Topology, namespaces map[string]string, name string) (place, error) {
	if p, ok := places(t)[name]; ok {
		return p, nil
	}
	host, link, ok := strings.Cut(name, "/")
	if ns := namespaces[host]; ok && ns != "" && link != "" {
		return place{ns, link}, nil
	}
	return place{}, fmt.Errorf("no link is called %q; there is %s, and HOST/LINK such as cgw/tun1 for the hosts %s",
		name, strings.Join(LinkNames(t), ", "), strings.Join(t.Machines(), ", "))
}
