package topology

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The methods of this file check what one field alone does not show: that
// names resolve, that addresses lie where they must, that prefixes do not
// overlap.

func (d *decoder) check(t *Topology) {
	d.checkNames(t)
	d.checkInternet(t)
	for i, s := range t.Sites {
		d.checkSite(t, s, fmt.Sprintf("sites[%d]", i))
	}
	d.checkUplinks(t)
	c := &cloudChecker{d: d, c: &t.Cloud}
	c.check()
	d.checkVPN(t)
	d.checkTransit(t)
	d.checkIPv6(t)
}

// resolve complains when name is not among known.
func (d *decoder) resolve(path, what, name string, known []string) bool {
	if name == "" || slices.Contains(known, name) {
		return true
	}
	switch near := nearest(name, known); {
	case near != "":
		d.errorAt(path, "no %s is called %q; did you mean %q?", what, name, near)
	case len(known) == 0:
		d.errorAt(path, "no %s is called %q; there is none", what, name)
	default:
		d.errorAt(path, "no %s is called %q; there is %s", what, name, list(known))
	}
	return false
}

// list prints at most eight names.
func list(names []string) string {
	out := ""
	for i, n := range names {
		switch {
		case i == 8:
			return out + " …"
		case i > 0:
			out += ", "
		}
		out += n
	}
	return out
}

// unique complains when name was seen before; seen maps names to what they are.
func (d *decoder) unique(seen map[string]string, name, what, path string) {
	if before, taken := seen[name]; taken {
		d.errorAt(path+".name", "%q is taken by %s; choose another name", name, before)
		return
	}
	seen[name] = what
}

// names collects the names of a list.
func names[T any](in []T, name func(T) string) (out []string) {
	for _, v := range in {
		out = append(out, name(v))
	}
	return out
}

// checkNames holds apart what becomes a network namespace or a bridge, and
// what a user gives to `lab exec` and `lab capture`.
func (d *decoder) checkNames(t *Topology) {
	seen := map[string]string{"internet": "the internet's router", "edge": "the cloud's edge"}
	for i, l := range t.Internet {
		d.unique(seen, l.Name, "an internet link", fmt.Sprintf("internet[%d]", i))
	}
	for i, s := range t.Sites {
		d.unique(seen, s.LAN.Name, "the LAN of "+s.Name, fmt.Sprintf("sites[%d].lan", i))
		for j, h := range s.Hosts {
			d.unique(seen, h.Name, "a host of "+s.Name, fmt.Sprintf("sites[%d].hosts[%d]", i, j))
		}
	}
	for i, v := range t.Cloud.VPCs {
		for j, in := range v.Instances {
			d.unique(seen, in.Name, "an instance of "+v.Name, fmt.Sprintf("cloud.vpcs[%d].instances[%d]", i, j))
		}
	}
	sites := map[string]string{}
	for i, s := range t.Sites {
		d.unique(sites, s.Name, "another site", fmt.Sprintf("sites[%d]", i))
	}
}

func (d *decoder) checkInternet(t *Topology) {
	for i, l := range t.Internet {
		path := fmt.Sprintf("internet[%d]", i)
		d.inside(path+".router", l.Router, l.Subnet, 1)
		for _, other := range t.Internet[:i] {
			if l.Subnet.Overlaps(other.Subnet) {
				d.errorAt(path+".subnet", "%v overlaps %v of %s; links of the internet have ranges of their own", l.Subnet, other.Subnet, other.Name)
			}
		}
	}
}

// inside complains unless addr lies in prefix past its first reserved
// addresses and before its last.
func (d *decoder) inside(path string, addr netip.Addr, prefix netip.Prefix, reserved int) {
	if !addr.IsValid() {
		return
	}
	if !prefix.Contains(addr) {
		d.errorAt(path, "%v is not in %v; choose an address of that range", addr, prefix)
		return
	}
	first := prefix.Addr()
	for range reserved {
		if addr == first {
			d.errorAt(path, "%v is one of the first %d addresses of %v, which are reserved; choose a higher one", addr, reserved, prefix)
			return
		}
		first = first.Next()
	}
	if !prefix.Contains(addr.Next()) && prefix.Bits() < 31 {
		d.errorAt(path, "%v is the last address of %v, which is reserved; choose a lower one", addr, prefix)
	}
}

func (d *decoder) checkSite(t *Topology, s Site, path string) {
	hosts := names(s.Hosts, func(h Host) string { return h.Name })
	servers, taken, routers := []string{}, map[netip.Addr]string{}, 0
	for _, h := range s.Hosts {
		if h.Role == DNSServer {
			servers = append(servers, h.Name)
		}
	}
	for i, h := range s.Hosts {
		at := fmt.Sprintf("%s.hosts[%d]", path, i)
		d.inside(at+".address", h.Address, s.LAN.CIDR, 1)
		if other, ok := taken[h.Address]; ok {
			d.errorAt(at+".address", "%v is the address of %s; hosts have addresses of their own", h.Address, other)
		}
		taken[h.Address] = h.Name
		d.resolve(at+".resolver", "DNS server of this site", h.Resolver, servers)
		if h.Role == Router {
			if routers++; routers > 1 {
				d.errorAt(at+".role", "is a second router; a site has one")
			}
			d.checkUplink(t, h, at)
		}
	}
	for i, r := range s.Routes {
		at := fmt.Sprintf("%s.routes[%d]", path, i)
		d.resolve(at+".via", "host of this site", r.Via, hosts)
		if r.To.Overlaps(s.LAN.CIDR) {
			d.errorAt(at+".to", "%v overlaps the LAN %v; what is on the LAN needs no route", r.To, s.LAN.CIDR)
		}
	}
}

func (d *decoder) checkUplink(t *Topology, h Host, at string) {
	links := names(t.Internet, func(l Link) string { return l.Name })
	if !d.resolve(at+".uplink", "internet link", h.Uplink, links) {
		return
	}
	l := t.Internet[slices.Index(links, h.Uplink)]
	d.inside(at+".outside", h.Outside, l.Subnet, 1)
	if h.Outside == l.Router {
		d.errorAt(at+".outside", "%v is the address of the internet's router; choose another of %v", h.Outside, l.Subnet)
	}
}

// checkUplinks holds that each internet link has one customer.
func (d *decoder) checkUplinks(t *Topology) {
	users := map[string]string{}
	for i, s := range t.Sites {
		for j, h := range s.Hosts {
			if h.Uplink == "" {
				continue
			}
			if other, taken := users[h.Uplink]; taken {
				d.errorAt(fmt.Sprintf("sites[%d].hosts[%d].uplink", i, j), "%s is the uplink of %s; each router has a link of its own", h.Uplink, other)
			}
			users[h.Uplink] = h.Name
		}
	}
	e := t.Cloud.Edge
	links := names(t.Internet, func(l Link) string { return l.Name })
	if !d.resolve("cloud.edge.link", "internet link", e.Link, links) {
		return
	}
	if other, taken := users[e.Link]; taken {
		d.errorAt("cloud.edge.link", "%s is the uplink of %s; the cloud's edge has a link of its own", e.Link, other)
	}
	users[e.Link] = "edge"
	for i, l := range t.Internet {
		if users[l.Name] == "" {
			d.errorAt(fmt.Sprintf("internet[%d]", i), "%s joins nobody to the internet; make it a router's uplink or the cloud's edge, or remove it", l.Name)
		}
	}
	l := t.Internet[slices.Index(links, e.Link)]
	for i, a := range e.Addresses {
		at := fmt.Sprintf("cloud.edge.addresses[%d]", i)
		d.inside(at, a, l.Subnet, 1)
		if a == l.Router || slices.Contains(e.Addresses[:i], a) {
			d.errorAt(at, "%v is taken; choose another address of %v", a, l.Subnet)
		}
	}
}

// reserved are the inside CIDRs that AWS keeps (vpn §2.1).
func reserved() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("169.254.0.0/30"), netip.MustParsePrefix("169.254.1.0/30"), netip.MustParsePrefix("169.254.2.0/30"),
		netip.MustParsePrefix("169.254.3.0/30"), netip.MustParsePrefix("169.254.4.0/30"), netip.MustParsePrefix("169.254.5.0/30"),
		netip.MustParsePrefix("169.254.169.252/30"),
	}
}

func (d *decoder) checkVPN(t *Topology) {
	var customers, gateways []string
	for _, s := range t.Sites {
		for _, h := range s.Hosts {
			if h.Role == CustomerGateway {
				customers = append(customers, h.Name)
			}
		}
	}
	for _, v := range t.Cloud.VPCs {
		if v.VPNGateway != "" {
			gateways = append(gateways, v.VPNGateway)
		}
	}
	inside, seen := map[string][]netip.Prefix{}, map[string]string{}
	for i, c := range t.VPN {
		at := fmt.Sprintf("vpn[%d]", i)
		d.unique(seen, c.Name, "another connection", at)
		d.resolve(at+".customer_gateway", "host with the role customer-gateway", c.CustomerGateway, customers)
		if c.VPNGateway != "" {
			d.resolve(at+".vpn_gateway", "vpn_gateway of a VPC", c.VPNGateway, gateways)
		}
		if c.TransitGateway != "" {
			d.resolve(at+".transit_gateway", "transit gateway", c.TransitGateway, names(t.Cloud.TransitGateways, func(g TransitGateway) string { return g.Name }))
		}
		d.checkRouting(at, c)
		d.checkAuthentication(at, c)
		for j, tn := range c.Tunnels {
			tunnelAt := fmt.Sprintf("%s.tunnels[%d]", at, j)
			d.checkInsideCIDR(tunnelAt+".TunnelInsideCidr", tn.InsideCIDR, inside[c.Target()])
			inside[c.Target()] = append(inside[c.Target()], tn.InsideCIDR)
			d.checkTunnel(tunnelAt, tn)
			if tn.BFD != (BFD{}) && !c.Dynamic() {
				d.errorAt(tunnelAt+".bfd", "goes with BGP, and the connection has static routes; give the connection a block bgp, or write a shorter liveness")
			}
		}
	}
	want := 0
	for _, c := range t.VPN {
		if !c.OutsideIPv6 {
			want += len(c.Tunnels)
		}
	}
	if have := len(t.Cloud.Edge.Addresses); have < want {
		d.errorAt("cloud.edge.addresses", "has %d; the VPN connections need %d, one for each tunnel", have, want)
	}
}

// CloudASN is the autonomous system number of every VPN gateway, AWS's default
// (vpn §4.1).
const CloudASN = 64512

// checkRouting checks that a connection is static or dynamic, and not both.
func (d *decoder) checkRouting(at string, c Connection) {
	switch {
	case c.Dynamic() && len(c.Routes) > 0:
		d.errorAt(at+".routes", "stand beside bgp; a connection has static routes or BGP: remove one of them")
	case !c.Dynamic() && len(c.Routes) == 0:
		d.errorAt(at+".routes", "is missing; write the networks behind the customer gateway, such as [192.168.1.0/24], or a block bgp")
	case c.Dynamic() && !c.carriesBGP():
		d.errorAt(at, "is narrowed to %v and %v, which keeps BGP between the tunnels' inside addresses out; leave Local… and Remote…NetworkCidr out, or have static routes", orEverything(c.LocalCIDR), orEverything(c.RemoteCIDR))
	case c.BGP.ASN == CloudASN:
		d.errorAt(at+".bgp.asn", "%d is the VPN gateway's own number; the two ends are different systems: choose another, such as 65000", CloudASN)
	}
}

// carriesBGP reports whether the selectors let the tunnels' inside addresses pass.
func (c Connection) carriesBGP() bool {
	for _, t := range c.Tunnels {
		inside := t.InsideCIDR
		if c.InsideIPv6 {
			inside = t.InsideIPv6CIDR
		}
		for _, p := range []netip.Prefix{c.LocalCIDR, c.RemoteCIDR} {
			if open := !p.IsValid() || p.Bits() == 0; !open && !(inside.IsValid() && p.Overlaps(inside) && p.Bits() <= inside.Bits()) {
				return false
			}
		}
	}
	return true
}

// orEverything is a selector in words.
func orEverything(p netip.Prefix) string {
	if !p.IsValid() {
		return "everything"
	}
	return p.String()
}

// checkAuthentication checks what goes with certificates, and what without an
// address of the customer gateway (vpn §3.7).
func (d *decoder) checkAuthentication(at string, c Connection) {
	if c.Roaming && !c.Certificates {
		d.errorAt(at+".roaming", "needs `authentication: certificate`; a pre-shared key is chosen by the customer gateway's address")
	}
	for i, t := range c.Tunnels {
		tunnel := fmt.Sprintf("%s.tunnels[%d]", at, i)
		if c.Certificates && !t.PSK.IsZero() {
			d.errorAt(tunnel+".PreSharedKey", "stands beside `authentication: certificate`; remove one of them")
		}
		if c.Roaming && t.StartupAction == "start" {
			d.errorAt(tunnel+".StartupAction", "start needs the customer gateway's address, and a roaming one has none; write add")
		}
		if c.Roaming && t.DPDTimeoutAction == "restart" {
			d.errorAt(tunnel+".DPDTimeoutAction", "restart needs the customer gateway's address, and a roaming one has none; write clear or none")
		}
	}
}

func (d *decoder) checkInsideCIDR(at string, p netip.Prefix, others []netip.Prefix) {
	if !netip.MustParsePrefix("169.254.0.0/16").Contains(p.Addr()) {
		d.errorAt(at, "%v is not in 169.254.0.0/16; choose a /30 of that range", p)
		return
	}
	if slices.Contains(reserved(), p) {
		d.errorAt(at, "%v is reserved by AWS; choose another /30 of 169.254.0.0/16, such as 169.254.10.0/30", p)
	}
	for _, o := range others {
		if o.Overlaps(p) {
			d.errorAt(at, "%v is used by another tunnel of this VPN gateway; each tunnel has a /30 of its own", p)
		}
	}
}

func (d *decoder) checkTunnel(at string, t Tunnel) {
	phase1, phase2, margin := t.Phase1Lifetime.Seconds(), t.Phase2Lifetime.Seconds(), t.RekeyMargin.Seconds()
	if phase1 == 0 {
		phase1 = 28800
	}
	if phase2 == 0 {
		phase2 = 3600
	}
	if phase2 >= phase1 {
		d.errorAt(at+".Phase2LifetimeSeconds", "%v must be less than Phase1LifetimeSeconds, which is %v", phase2, phase1)
	}
	if margin > phase2/2 {
		d.errorAt(at+".RekeyMarginTimeSeconds", "%v is more than half of Phase2LifetimeSeconds, which is %v", margin, phase2)
	}
	if slices.Equal(t.Algorithms.IKEVersions, []string{"ikev1"}) && len(t.Algorithms.Phase1Encryption) > 0 &&
		!slices.ContainsFunc(t.Algorithms.Phase1Encryption, func(name string) bool { return !strings.Contains(name, "GCM") }) {
		d.errorAt(at+".Phase1EncryptionAlgorithms", "ikev1 has no AES-GCM in phase 1; add AES128 or AES256, or allow ikev2")
	}
	if t.StartupAction == "start" && len(t.Algorithms.IKEVersions) > 0 && !slices.Contains(t.Algorithms.IKEVersions, "ikev2") {
		d.errorAt(at+".StartupAction", "start needs ikev2 among IKEVersions; add it, or write add")
	}
}
