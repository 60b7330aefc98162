package topology

import (
	"math"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"seikan/internal/secret"
)

// The methods of this file say, field by field, what the file may hold.

func (d *decoder) topology(o *object) *Topology {
	t := &Topology{Name: o.name("name", required)}
	o.objects("internet", required, func(o *object) {
		t.Internet = append(t.Internet, Link{Name: o.name("name", required), Subnet: o.prefix("subnet", required, 8, 30), Router: o.addr("router", required),
			Subnet6: o.prefix6("subnet6", 16, 126), Router6: o.addr6("router6")})
	})
	o.objects("sites", required, func(o *object) { t.Sites = append(t.Sites, d.site(o)) })
	c := o.child("cloud", required)
	t.Cloud = d.cloud(c)
	c.done()
	o.objects("vpn", optional, func(o *object) { t.VPN = append(t.VPN, d.connection(o)) })
	o.done()
	return t
}

func (d *decoder) site(o *object) Site {
	s := Site{Name: o.name("name", required)}
	lan := o.child("lan", required)
	s.LAN = LAN{Name: lan.name("name", required), CIDR: lan.prefix("cidr", required, 8, 29), CIDR6: lan.prefix6("cidr6", 16, 126)}
	lan.done()
	o.objects("hosts", required, func(o *object) { s.Hosts = append(s.Hosts, d.host(o)) })
	o.objects("routes", optional, func(o *object) {
		s.Routes = append(s.Routes, SiteRoute{To: o.destination("to"), Via: o.name("via", required)})
	})
	return s
}

func (d *decoder) host(o *object) Host {
	h := Host{Name: o.name("name", required), Address: o.addr("address", required)}
	h.Role = Role(o.choice("role", "", string(Client), string(DNSServer), string(CustomerGateway), string(Router)))
	h.Resolver = o.name("resolver", optional)
	h.Address6 = o.addr6("address6")
	if h.Role == Router {
		h.Uplink, h.Outside, h.Outside6 = o.name("uplink", required), o.addr("outside", required), o.addr6("outside6")
		h.Masquerade = o.choice("nat", "none", "masquerade", "none") == "masquerade"
	}
	if h.Role == DNSServer {
		o.objects("zones", optional, func(o *object) {
			z := SiteZone{Name: o.domain("name")}
			o.objects("records", optional, func(o *object) { z.Records = append(z.Records, d.record(o, false)) })
			h.Zones = append(h.Zones, z)
		})
		o.objects("forwarders", optional, func(o *object) {
			h.Forwarders = append(h.Forwarders, Forwarder{Zone: o.domain("zone"), To: o.addrs("to", required)})
		})
	}
	return h
}

var domainRule = regexp.MustCompile(`^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// domain reads a DNS name without the final dot.
func (o *object) domain(key string) string {
	const rule = "a DNS name in lower case without a final dot, such as service.example, belongs here"
	s, n := o.scalar(key, required, rule)
	if n != nil && (!domainRule.MatchString(s) || len(s) > 253) {
		o.d.errorf(n, o.sub(key), "%q: %s", s, rule)
	}
	return s
}

func (d *decoder) record(o *object, aliases bool) Record {
	const rule = `a name relative to the zone, or "@" for the zone itself, belongs here`
	var n *yaml.Node
	var r Record
	r.Name, n = o.scalar("name", required, rule)
	if n != nil && r.Name != "@" && !domainRule.MatchString(r.Name) && !strings.HasPrefix(r.Name, "*") {
		d.errorf(n, o.sub("name"), "%q: %s", r.Name, rule)
	}
	if aliases {
		if r.Alias = o.name("alias", optional); r.Alias != "" {
			return r
		}
	}
	r.Type = o.choice("type", "", "A", "AAAA", "CNAME", "TXT")
	r.TTL = o.seconds("ttl", 0, 604800)
	if r.TTL == 0 {
		r.TTL = 5 * time.Minute
	}
	r.Value, n = o.scalar("value", required, "what the record says belongs here")
	if n == nil {
		return r
	}
	addr, err := netip.ParseAddr(r.Value)
	switch {
	case r.Type == "A" && (err != nil || !addr.Is4()):
		d.errorf(n, o.sub("value"), "%q: an A record holds an IPv4 address", r.Value)
	case r.Type == "AAAA" && (err != nil || !addr.Is6()):
		d.errorf(n, o.sub("value"), "%q: an AAAA record holds an IPv6 address", r.Value)
	case r.Type == "CNAME" && !domainRule.MatchString(r.Value):
		d.errorf(n, o.sub("value"), "%q: a CNAME record holds a DNS name without the final dot", r.Value)
	case r.Type == "TXT" && len(r.Value) > 255:
		d.errorf(n, o.sub("value"), "has %d bytes; a TXT record here holds at most 255", len(r.Value))
	}
	return r
}

func (d *decoder) cloud(o *object) (c Cloud) {
	e := o.child("edge", required)
	c.Edge = Edge{Link: e.name("link", required), Addresses: e.addrs("addresses", required), Addresses6: e.addrs6("addresses6")}
	e.done()
	o.objects("accounts", required, func(o *object) {
		const rule = "an account id has 12 digits"
		a := Account{Name: o.name("name", required)}
		id, n := o.scalar("id", required, rule)
		if n != nil && (len(id) != 12 || strings.Trim(id, "0123456789") != "") {
			d.errorf(n, o.sub("id"), "%q: %s", id, rule)
		}
		a.ID = id
		c.Accounts = append(c.Accounts, a)
	})
	o.objects("vpcs", required, func(o *object) { c.VPCs = append(c.VPCs, d.vpc(o)) })
	o.objects("load_balancers", optional, func(o *object) { c.LoadBalancers = append(c.LoadBalancers, d.loadBalancer(o)) })
	o.objects("endpoint_services", optional, func(o *object) {
		c.EndpointServices = append(c.EndpointServices, EndpointService{Name: o.name("name", required), LoadBalancer: o.name("load_balancer", required),
			AcceptanceRequired: o.boolean("acceptance_required"), AllowedAccounts: o.names("allowed_accounts", optional)})
	})
	o.objects("endpoints", optional, func(o *object) {
		c.Endpoints = append(c.Endpoints, Endpoint{Name: o.name("name", required), VPC: o.name("vpc", required), Service: o.name("service", required),
			Subnets: o.names("subnets", required), SecurityGroups: o.names("security_groups", optional), Accept: o.boolean("accept")})
	})
	o.objects("zones", optional, func(o *object) {
		z := Zone{Name: o.domain("name"), Account: o.name("account", required), VPCs: o.names("vpcs", required)}
		o.objects("records", optional, func(o *object) { z.Records = append(z.Records, d.record(o, true)) })
		c.Zones = append(c.Zones, z)
	})
	o.objects("directories", optional, func(o *object) {
		c.Directories = append(c.Directories, Directory{Name: o.name("name", required), Domain: o.domain("domain"), VPC: o.name("vpc", required),
			Subnets: o.names("subnets", required), Addresses: o.addrs("addresses", required)})
	})
	o.objects("transit_gateways", optional, func(o *object) { c.TransitGateways = append(c.TransitGateways, d.transitGateway(o)) })
	return c
}

func (d *decoder) vpc(o *object) VPC {
	v := VPC{Name: o.name("name", required), Account: o.name("account", required), CIDR: o.prefix("cidr", required, 16, 28)}
	v.VPNGateway = o.name("vpn_gateway", optional)
	o.objects("subnets", required, func(o *object) {
		v.Subnets = append(v.Subnets, Subnet{Name: o.name("name", required), CIDR: o.prefix("cidr", required, 16, 28),
			Zone: o.choice("az", "", "a", "b", "c", "d", "e", "f"), RouteTable: o.name("route_table", optional)})
	})
	o.objects("route_tables", optional, func(o *object) {
		t := RouteTable{Name: o.name("name", required), Propagate: o.boolean("propagate")}
		o.objects("routes", optional, func(o *object) {
			t.Routes = append(t.Routes, Route{To: o.prefix("to", required, 0, 32), TransitGateway: o.name("transit_gateway", required)})
		})
		v.RouteTables = append(v.RouteTables, t)
	})
	o.objects("security_groups", optional, func(o *object) {
		g := SecurityGroup{Name: o.name("name", required)}
		o.objects("ingress", optional, func(o *object) { g.Ingress = append(g.Ingress, d.groupRule(o)) })
		v.SecurityGroups = append(v.SecurityGroups, g)
	})
	o.objects("instances", optional, func(o *object) {
		i := Instance{Name: o.name("name", required), Subnet: o.name("subnet", required), Address: o.addr("address", optional),
			Service: Service(o.choice("service", string(NoService), string(NoService), string(HTTPS), string(FTP))), SecurityGroups: o.names("security_groups", optional)}
		if i.Service == FTP {
			i.PassivePort = uint16(o.number("passive_port", 1024, 1024, 65535))
		}
		v.Instances = append(v.Instances, i)
	})
	return v
}

func (d *decoder) groupRule(o *object) GroupRule {
	r := GroupRule{Protocol: o.choice("protocol", "", "tcp", "udp", "icmp", "all"), To: 65535}
	if r.Protocol == "tcp" || r.Protocol == "udp" {
		const rule = "a port such as 443 or a range such as 1024-2047 belongs here"
		if s, n := o.scalar("ports", optional, rule); n != nil {
			var ok bool
			if r.From, r.To, ok = parsePorts(s); !ok {
				d.errorf(n, o.sub("ports"), "%q: %s", s, rule)
			}
		}
	}
	r.CIDRs, r.Groups = o.prefixes("cidrs", optional), o.names("groups", optional)
	if len(r.CIDRs)+len(r.Groups) == 0 && o.node.Kind == yaml.MappingNode {
		d.errorf(o.node, o.path, "allows nobody; name prefixes in cidrs or groups in groups")
	}
	return r
}

func parsePorts(s string) (from, to uint16, ok bool) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	a, err1 := strconv.ParseUint(low, 10, 16)
	b, err2 := strconv.ParseUint(high, 10, 16)
	return uint16(a), uint16(b), err1 == nil && err2 == nil && a <= b
}

func (d *decoder) loadBalancer(o *object) LoadBalancer {
	lb := LoadBalancer{Name: o.name("name", required), VPC: o.name("vpc", required), Subnets: o.names("subnets", required), CrossZone: o.boolean("cross_zone")}
	o.objects("listeners", required, func(o *object) {
		l := Listener{Port: uint16(o.number("port", 0, 1, 65535)), Targets: o.names("targets", required)}
		if l.Port == 0 && o.fields["port"] == nil && o.node.Kind == yaml.MappingNode {
			d.errorf(o.node, o.sub("port"), "is missing; the TCP port that clients connect to belongs here")
		}
		l.TargetPort = uint16(o.number("target_port", int(l.Port), 1, 65535))
		h := o.child("health", optional)
		l.Health = Health{Port: uint16(h.number("port", int(l.TargetPort), 1, 65535)),
			Interval: h.seconds("interval", 5, 300), Healthy: h.number("healthy", 5, 2, 10), Unhealthy: h.number("unhealthy", 2, 2, 10)}
		if l.Health.Interval == 0 {
			l.Health.Interval = 30 * time.Second
		}
		h.done()
		lb.Listeners = append(lb.Listeners, l)
	})
	return lb
}

func (d *decoder) connection(o *object) Connection {
	c := Connection{Name: o.name("name", required), CustomerGateway: o.name("customer_gateway", required), VPNGateway: o.name("vpn_gateway", optional), TransitGateway: o.name("transit_gateway", optional)}
	if (c.VPNGateway == "") == (c.TransitGateway == "") && o.node.Kind == yaml.MappingNode {
		d.errorf(o.node, o.path, "has exactly one of vpn_gateway and transit_gateway; name the gateway at the cloud's end")
	}
	c.Routes = o.anyPrefixes("routes", optional)
	c.LocalCIDR, c.RemoteCIDR = o.prefix("LocalIpv4NetworkCidr", optional, 0, 32), o.prefix("RemoteIpv4NetworkCidr", optional, 0, 32)
	if b := o.child("bgp", optional); b.node.Kind != 0 {
		c.BGP = BGP{ASN: uint32(b.number("asn", 0, 1, math.MaxUint32)), Announce: b.anyPrefixes("announce", required)}
		if c.BGP.ASN == 0 && b.fields["asn"] == nil {
			d.errorf(b.node, b.sub("asn"), "is missing; the customer gateway's autonomous system number, such as 65000, belongs here")
		}
		b.done()
	}
	c.families(o)
	c.Certificates = o.choice("authentication", "psk", "psk", "certificate") == "certificate"
	c.Roaming = o.boolean("roaming")
	n := 0
	o.objects("tunnels", required, func(o *object) {
		t := d.tunnel(o)
		if n < len(c.Tunnels) {
			c.Tunnels[n] = t
		}
		n++
	})
	if n != len(c.Tunnels) && n > 0 {
		d.errorAt(o.sub("tunnels"), "has %d; a connection has exactly two tunnels", n)
	}
	return c
}

// pskWords and pskRule say what a pre-shared key looks like (vpn §2.1).
const pskWords = "a key has 8 to 64 of A-Z a-z 0-9 . _ and does not begin with 0"

var pskRule = regexp.MustCompile(`^[A-Za-z1-9._][A-Za-z0-9._]{7,63}$`)

// tunnel reads the options of vpn §2.1, by AWS's names.
func (d *decoder) tunnel(o *object) Tunnel {
	t := Tunnel{InsideCIDR: o.prefix("TunnelInsideCidr", required, 30, 30), InsideIPv6CIDR: o.prefix6("TunnelInsideIpv6Cidr", 126, 126)}
	if s, n := o.scalar("PreSharedKey", optional, pskWords); n != nil {
		if !pskRule.MatchString(s) {
			// The key is not shown: errors are read over shoulders and kept in logs.
			d.errorf(n, o.sub("PreSharedKey"), "%d characters given; %s", len(s), pskWords)
		}
		t.PSK = secret.FromString(s)
	}
	t.Phase1Lifetime = o.seconds("Phase1LifetimeSeconds", 900, 28800)
	t.Phase2Lifetime = o.seconds("Phase2LifetimeSeconds", 900, 3600)
	t.RekeyMargin = o.seconds("RekeyMarginTimeSeconds", 60, 1800)
	t.RekeyFuzz = o.number("RekeyFuzzPercentage", -1, 0, 100)
	t.ReplayWindow = o.number("ReplayWindowSize", 0, 64, 2048)
	t.DPDTimeout = o.seconds("DPDTimeoutSeconds", 30, 86400)
	t.DPDTimeoutAction = o.choice("DPDTimeoutAction", "clear", "clear", "none", "restart")
	t.StartupAction = o.choice("StartupAction", "add", "add", "start")
	encryption := []string{"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"}
	integrity := []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"}
	t.Algorithms = Algorithms{
		IKEVersions:      o.choices("IKEVersions", "ikev1", "ikev2"),
		Phase1Encryption: o.choices("Phase1EncryptionAlgorithms", encryption...),
		Phase2Encryption: o.choices("Phase2EncryptionAlgorithms", encryption...),
		Phase1Integrity:  o.choices("Phase1IntegrityAlgorithms", integrity...),
		Phase2Integrity:  o.choices("Phase2IntegrityAlgorithms", integrity...),
		Phase1DHGroups: o.numbers("Phase1DHGroupNumbers", func(g int) bool { return g == 2 || g >= 14 && g <= 24 },
			"one of the DH groups 2 and 14 to 24 belongs here"),
		Phase2DHGroups: o.numbers("Phase2DHGroupNumbers", func(g int) bool { return slices.Contains([]int{2, 5}, g) || g >= 14 && g <= 24 },
			"one of the DH groups 2, 5 and 14 to 24 belongs here"),
	}
	l := o.child("liveness", optional)
	t.Liveness = Liveness{Interval: l.duration("interval", 50*time.Millisecond, 10*time.Second), Timeout: l.duration("timeout", 100*time.Millisecond, time.Hour)}
	l.done()
	if b := o.child("bfd", optional); b.node.Kind != 0 {
		t.BFD = BFD{Interval: b.duration("interval", 50*time.Millisecond, time.Minute), Multiplier: b.number("multiplier", 3, 2, 50)}
		if b.fields["interval"] == nil && b.node.Kind == yaml.MappingNode {
			d.errorf(b.node, b.sub("interval"), "is missing; how often each end is heard, such as 250ms, belongs here")
		}
		b.done()
	}
	return t
}
