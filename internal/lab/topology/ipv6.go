package topology

import (
	"fmt"
	"net/netip"
	"slices"
)

// IPv6 is in addition to IPv4, which everything has: a link of the internet, a
// LAN, a host and the cloud's edge may have it, and a VPN connection may have it
// inside or outside.

const addr6Rule = "an IPv6 address such as 2001:db8:1::10 belongs here"

// addr6 reads an IPv6 address that a machine can have.
func (o *object) addr6(key string) netip.Addr {
	return o.address(key, optional, addr6Rule, parseAddr6)
}

func parseAddr6(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return netip.Addr{}, false
	}
	return a, true
}

// addrs6 reads a list of addresses.
func (o *object) addrs6(key string) []netip.Addr {
	return o.addresses(key, optional, addr6Rule, parseAddr6)
}

// prefix6 reads an IPv6 prefix of minBits to maxBits with no host bits set.
func (o *object) prefix6(key string, minBits, maxBits int) netip.Prefix {
	rule := fmt.Sprintf("an IPv6 prefix of /%d to /%d such as 2001:db8:1::/%d belongs here", minBits, maxBits, maxBits)
	if minBits == maxBits {
		rule = fmt.Sprintf("an IPv6 prefix of length /%d belongs here", maxBits)
	}
	s, n := o.scalar(key, optional, rule)
	if n == nil {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || !p.Addr().Is6() || p.Addr().Is4In6() || p.Bits() < minBits || p.Bits() > maxBits:
		o.d.errorf(n, o.sub(key), "%q: %s", s, rule)
		return netip.Prefix{}
	case p != p.Masked():
		o.d.errorf(n, o.sub(key), "%q: has bits set beyond /%d; write %v", s, p.Bits(), p.Masked())
	}
	return p
}

const anyPrefixRule = "a prefix of IPv4 or IPv6 without host bits such as 192.168.1.0/24 or 2001:db8:1::/64 belongs here"

// anyPrefix reads a prefix of either family.
func anyPrefix(s string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(s)
	return p, err == nil && !p.Addr().Is4In6() && p == p.Masked()
}

// anyPrefixes reads a list of prefixes of either family.
func (o *object) anyPrefixes(key string, must need) (out []netip.Prefix) {
	o.scalars(key, must, anyPrefixRule, func(s string) bool {
		p, ok := anyPrefix(s)
		out = append(out, p)
		return ok
	})
	return out
}

// destination reads where a route leads: not everything, and nothing of a LAN.
func (o *object) destination(key string) netip.Prefix {
	s, n := o.scalar(key, required, anyPrefixRule)
	if n == nil {
		return netip.Prefix{}
	}
	p, ok := anyPrefix(s)
	if !ok || p.Bits() == 0 {
		o.d.errorf(n, o.sub(key), "%q: %s", s, anyPrefixRule)
		return netip.Prefix{}
	}
	return p
}

// families reads what of IPv6 a connection has.
func (c *Connection) families(o *object) {
	c.InsideIPv6 = o.choice("TunnelInsideIpVersion", "ipv4", "ipv4", "ipv6") == "ipv6"
	c.OutsideIPv6 = o.choice("OutsideIpAddressType", "PublicIpv4", "PublicIpv4", "Ipv6") == "Ipv6"
	local, remote := o.prefix6("LocalIpv6NetworkCidr", 0, 128), o.prefix6("RemoteIpv6NetworkCidr", 0, 128)
	for _, side := range []struct {
		name string
		six  netip.Prefix
		to   *netip.Prefix
	}{{"Local", local, &c.LocalCIDR}, {"Remote", remote, &c.RemoteCIDR}} {
		switch {
		case side.six.IsValid() && !c.InsideIPv6:
			o.d.errorAt(o.sub(side.name+"Ipv6NetworkCidr"), "%v is for `TunnelInsideIpVersion: ipv6`", side.six)
		case side.to.IsValid() && c.InsideIPv6:
			o.d.errorAt(o.sub(side.name+"Ipv4NetworkCidr"), "%v is for connections without `TunnelInsideIpVersion: ipv6`; write %sIpv6NetworkCidr", side.to, side.name)
		case c.InsideIPv6:
			*side.to = side.six
		}
	}
}

// checkIPv6 checks what the fields of IPv6 alone do not show.
func (d *decoder) checkIPv6(t *Topology) {
	for i, l := range t.Internet {
		at := fmt.Sprintf("internet[%d]", i)
		if l.Subnet6.IsValid() != l.Router6.IsValid() {
			d.errorAt(at, "has one of subnet6 and router6; write both or neither")
			continue
		}
		d.inside(at+".router6", l.Router6, l.Subnet6, 1)
		for _, other := range t.Internet[:i] {
			if l.Subnet6.IsValid() && l.Subnet6.Overlaps(other.Subnet6) {
				d.errorAt(at+".subnet6", "%v overlaps %v of %s; links of the internet have ranges of their own", l.Subnet6, other.Subnet6, other.Name)
			}
		}
	}
	for i, s := range t.Sites {
		d.checkSite6(t, s, fmt.Sprintf("sites[%d]", i))
	}
	d.checkEdge6(t)
	for i, c := range t.VPN {
		d.checkFamilies(t, c, fmt.Sprintf("vpn[%d]", i))
	}
}

func (d *decoder) checkSite6(t *Topology, s Site, path string) {
	taken := map[netip.Addr]string{}
	for i, h := range s.Hosts {
		at := fmt.Sprintf("%s.hosts[%d]", path, i)
		switch other, used := taken[h.Address6]; {
		case h.Address6.IsValid() && !s.LAN.CIDR6.IsValid():
			d.errorAt(at+".address6", "%v: the LAN has no cidr6; give it one", h.Address6)
		case h.Address6.IsValid() && used:
			d.errorAt(at+".address6", "%v is the address of %s; hosts have addresses of their own", h.Address6, other)
		case h.Address6.IsValid():
			d.inside(at+".address6", h.Address6, s.LAN.CIDR6, 1)
			taken[h.Address6] = h.Name
		}
		l, ok := t.link(h.Uplink)
		switch {
		case !ok || !h.Outside6.IsValid():
		case !l.Subnet6.IsValid():
			d.errorAt(at+".outside6", "%v: the link %s has no subnet6; give it one", h.Outside6, l.Name)
		case h.Outside6 == l.Router6:
			d.errorAt(at+".outside6", "%v is the address of the internet's router; choose another of %v", h.Outside6, l.Subnet6)
		case !h.Address6.IsValid():
			d.errorAt(at+".address6", "is missing; a router with an outside6 has an address of IPv6 on the LAN, too")
		default:
			d.inside(at+".outside6", h.Outside6, l.Subnet6, 1)
		}
	}
	for i, r := range s.Routes {
		at := fmt.Sprintf("%s.routes[%d]", path, i)
		via := slices.IndexFunc(s.Hosts, func(h Host) bool { return h.Name == r.Via })
		if r.To.Addr().Is6() && via >= 0 && !s.Hosts[via].Address6.IsValid() {
			d.errorAt(at+".via", "%s has no address6, and %v is of IPv6; give it one", r.Via, r.To)
		}
		if s.LAN.CIDR6.IsValid() && r.To.Overlaps(s.LAN.CIDR6) {
			d.errorAt(at+".to", "%v overlaps the LAN %v; what is on the LAN needs no route", r.To, s.LAN.CIDR6)
		}
	}
}

// link is the internet link called name.
func (t *Topology) link(name string) (Link, bool) {
	at := slices.IndexFunc(t.Internet, func(l Link) bool { return l.Name == name })
	if at < 0 {
		return Link{}, false
	}
	return t.Internet[at], true
}

func (d *decoder) checkEdge6(t *Topology) {
	want := 0
	for _, c := range t.VPN {
		if c.OutsideIPv6 {
			want += len(c.Tunnels)
		}
	}
	e := t.Cloud.Edge
	if len(e.Addresses6) < want {
		d.errorAt("cloud.edge.addresses6", "has %d; the VPN connections with `OutsideIpAddressType: Ipv6` need %d, one for each tunnel", len(e.Addresses6), want)
	}
	l, ok := t.link(e.Link)
	if ok && len(e.Addresses6) > 0 && !l.Subnet6.IsValid() {
		d.errorAt("cloud.edge.addresses6", "the link %s has no subnet6; give it one", l.Name)
		return
	}
	for i, a := range e.Addresses6 {
		at := fmt.Sprintf("cloud.edge.addresses6[%d]", i)
		if ok {
			d.inside(at, a, l.Subnet6, 1)
		}
		if a.IsValid() && (a == l.Router6 || slices.Contains(e.Addresses6[:i], a)) {
			d.errorAt(at, "%v is taken; choose another address of %v", a, l.Subnet6)
		}
	}
}

// checkFamilies checks that what is announced and routed is of the family inside,
// and that outside addresses of IPv6 have a way (vpn §4.7).
func (d *decoder) checkFamilies(t *Topology, c Connection, at string) {
	for name, used := range map[string]bool{"TunnelInsideIpVersion": c.InsideIPv6, "OutsideIpAddressType": c.OutsideIPv6} {
		if used && c.VPNGateway != "" {
			d.errorAt(at+"."+name, "IPv6 needs a transit_gateway, and %s is a VPN gateway", c.VPNGateway)
		}
	}
	if c.InsideIPv6 && !c.Dynamic() {
		d.errorAt(at+".TunnelInsideIpVersion", "ipv6 needs a block bgp here: static routes lead a customer gateway to VPCs, which have no IPv6")
	}
	family := "IPv4"
	if c.InsideIPv6 {
		family = "IPv6"
	}
	for _, said := range []struct {
		name string
		list []netip.Prefix
	}{{"bgp.announce", c.BGP.Announce}, {"routes", c.Routes}} {
		for i, p := range said.list {
			if p.IsValid() && p.Addr().Is6() != c.InsideIPv6 {
				d.errorAt(fmt.Sprintf("%s.%s[%d]", at, said.name, i), "%v: the tunnels carry %s and nothing else; make another connection for the other family", p, family)
			}
		}
	}
	for i, tn := range c.Tunnels {
		block := fmt.Sprintf("%s.tunnels[%d].TunnelInsideIpv6Cidr", at, i)
		switch p := tn.InsideIPv6CIDR; {
		case p.IsValid() && !c.InsideIPv6:
			d.errorAt(block, "%v is for `TunnelInsideIpVersion: ipv6`", p)
		case p.IsValid() && p.Addr().As16()[0] != 0xfd:
			d.errorAt(block, "%v is not in fd00::/8; choose a /126 of that range", p)
		}
	}
	if !c.OutsideIPv6 {
		return
	}
	h, site, ok := t.Host(c.CustomerGateway)
	if ok && !h.Address6.IsValid() {
		d.errorAt(at+".OutsideIpAddressType", "Ipv6: the customer gateway %s has no address6; give it one", h.Name)
	}
	if ok && !slices.ContainsFunc(site.Hosts, func(h Host) bool { return h.Outside6.IsValid() }) {
		d.errorAt(at+".OutsideIpAddressType", "Ipv6: the router of %s has no outside6; give it one", site.Name)
	}
}
