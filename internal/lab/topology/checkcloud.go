package topology

import (
	"fmt"
	"net/netip"
	"slices"
)

// A cloudChecker checks the cloud's part across its fields.
type cloudChecker struct {
	d *decoder
	c *Cloud
}

func (k *cloudChecker) check() {
	seen := map[string]string{}
	for i, a := range k.c.Accounts {
		at := fmt.Sprintf("cloud.accounts[%d]", i)
		k.d.unique(seen, a.Name, "another account", at)
		for _, other := range k.c.Accounts[:i] {
			if other.ID == a.ID {
				k.d.errorAt(at+".id", "%s is the id of %s; accounts have ids of their own", a.ID, other.Name)
			}
		}
	}
	vpcs, gateways := map[string]string{}, map[string]string{}
	for i, v := range k.c.VPCs {
		at := fmt.Sprintf("cloud.vpcs[%d]", i)
		k.d.unique(vpcs, v.Name, "another VPC", at)
		if v.VPNGateway != "" {
			if _, taken := gateways[v.VPNGateway]; taken {
				k.d.errorAt(at+".vpn_gateway", "%q is attached to another VPC; a VPN gateway has one", v.VPNGateway)
			}
			gateways[v.VPNGateway] = v.Name
		}
		k.vpc(v, at)
	}
	k.loadBalancers()
	k.services()
	k.endpoints()
	k.zones()
	k.directories()
}

func (k *cloudChecker) accounts() []string {
	return names(k.c.Accounts, func(a Account) string { return a.Name })
}

func (k *cloudChecker) vpcNames() []string {
	return names(k.c.VPCs, func(v VPC) string { return v.Name })
}

// find returns the VPC called name, after complaining when there is none.
func (k *cloudChecker) find(at, name string) (VPC, bool) {
	if !k.d.resolve(at, "VPC", name, k.vpcNames()) {
		return VPC{}, false
	}
	return k.c.VPCs[slices.Index(k.vpcNames(), name)], true
}

func subnets(v VPC) []string { return names(v.Subnets, func(s Subnet) string { return s.Name }) }
func groups(v VPC) []string {
	return names(v.SecurityGroups, func(g SecurityGroup) string { return g.Name })
}

func (k *cloudChecker) vpc(v VPC, at string) {
	k.d.resolve(at+".account", "account", v.Account, k.accounts())
	tables := names(v.RouteTables, func(r RouteTable) string { return r.Name })
	seen := map[string]string{}
	for i, r := range v.RouteTables {
		here := fmt.Sprintf("%s.route_tables[%d]", at, i)
		k.d.unique(seen, r.Name, "another route table", here)
		if r.Propagate && v.VPNGateway == "" {
			k.d.errorAt(here+".propagate", "the VPC has no vpn_gateway whose routes could be propagated; name one, or leave this out")
		}
	}
	seen = map[string]string{}
	for i, s := range v.Subnets {
		here := fmt.Sprintf("%s.subnets[%d]", at, i)
		k.d.unique(seen, s.Name, "another subnet", here)
		k.d.resolve(here+".route_table", "route table of this VPC", s.RouteTable, tables)
		if s.CIDR.Bits() < v.CIDR.Bits() || !v.CIDR.Contains(s.CIDR.Addr()) {
			k.d.errorAt(here+".cidr", "%v is not inside the VPC's %v", s.CIDR, v.CIDR)
		}
		for _, other := range v.Subnets[:i] {
			if other.CIDR.Overlaps(s.CIDR) {
				k.d.errorAt(here+".cidr", "%v overlaps %v of %s; subnets of a VPC do not overlap", s.CIDR, other.CIDR, other.Name)
			}
		}
	}
	seen = map[string]string{}
	for i, g := range v.SecurityGroups {
		here := fmt.Sprintf("%s.security_groups[%d]", at, i)
		k.d.unique(seen, g.Name, "another security group", here)
		for j, r := range g.Ingress {
			k.each(fmt.Sprintf("%s.ingress[%d].groups", here, j), "security group of this VPC", r.Groups, groups(v))
		}
	}
	taken := map[netip.Addr]string{}
	for i, in := range v.Instances {
		k.instance(v, in, fmt.Sprintf("%s.instances[%d]", at, i), taken)
	}
}

// each resolves every name of a list.
func (k *cloudChecker) each(at, what string, list, known []string) (ok bool) {
	ok = true
	for i, n := range list {
		ok = k.d.resolve(fmt.Sprintf("%s[%d]", at, i), what, n, known) && ok
		if slices.Contains(list[:i], n) {
			k.d.errorAt(fmt.Sprintf("%s[%d]", at, i), "%q is named twice; keep one", n)
		}
	}
	return ok
}

func (k *cloudChecker) instance(v VPC, in Instance, at string, taken map[netip.Addr]string) {
	k.each(at+".security_groups", "security group of this VPC", in.SecurityGroups, groups(v))
	if !k.d.resolve(at+".subnet", "subnet of this VPC", in.Subnet, subnets(v)) || !in.Address.IsValid() {
		return
	}
	k.subnetAddress(at+".address", in.Address, v, in.Subnet)
	if other, ok := taken[in.Address]; ok {
		k.d.errorAt(at+".address", "%v is the address of %s; instances have addresses of their own", in.Address, other)
	}
	taken[in.Address] = in.Name
}

// subnetAddress complains unless a is free to use in the subnet: the first
// four addresses and the last are AWS's (pl §4.1).
func (k *cloudChecker) subnetAddress(at string, a netip.Addr, v VPC, subnet string) {
	k.d.inside(at, a, v.Subnets[slices.Index(subnets(v), subnet)].CIDR, 4)
}

func (k *cloudChecker) loadBalancers() {
	seen := map[string]string{}
	for i, lb := range k.c.LoadBalancers {
		at := fmt.Sprintf("cloud.load_balancers[%d]", i)
		k.d.unique(seen, lb.Name, "another load balancer", at)
		v, ok := k.find(at+".vpc", lb.VPC)
		if !ok {
			continue
		}
		k.zonesApart(at, v, lb.Subnets)
		instances := names(v.Instances, func(in Instance) string { return in.Name })
		ports := map[uint16]bool{}
		for j, l := range lb.Listeners {
			here := fmt.Sprintf("%s.listeners[%d]", at, j)
			k.each(here+".targets", "instance of this VPC", l.Targets, instances)
			if ports[l.Port] {
				k.d.errorAt(here+".port", "%d has a listener already; each port has one", l.Port)
			}
			ports[l.Port] = true
		}
	}
}

// zonesApart resolves subnets and holds them in different availability zones.
func (k *cloudChecker) zonesApart(at string, v VPC, list []string) {
	if !k.each(at+".subnets", "subnet of "+v.Name, list, subnets(v)) {
		return
	}
	zones := map[string]string{}
	for i, s := range list {
		az := v.Subnets[slices.Index(subnets(v), s)].Zone
		if other, taken := zones[az]; taken && other != s {
			k.d.errorAt(fmt.Sprintf("%s.subnets[%d]", at, i), "%s is in availability zone %s as %s is; choose one subnet of each zone", s, az, other)
		}
		zones[az] = s
	}
}

func (k *cloudChecker) services() {
	seen := map[string]string{}
	balancers := names(k.c.LoadBalancers, func(l LoadBalancer) string { return l.Name })
	for i, s := range k.c.EndpointServices {
		at := fmt.Sprintf("cloud.endpoint_services[%d]", i)
		k.d.unique(seen, s.Name, "another endpoint service", at)
		k.d.resolve(at+".load_balancer", "load balancer", s.LoadBalancer, balancers)
		k.each(at+".allowed_accounts", "account", s.AllowedAccounts, k.accounts())
	}
}

func (k *cloudChecker) endpoints() {
	seen := map[string]string{}
	services := names(k.c.EndpointServices, func(s EndpointService) string { return s.Name })
	for i, e := range k.c.Endpoints {
		at := fmt.Sprintf("cloud.endpoints[%d]", i)
		k.d.unique(seen, e.Name, "another endpoint", at)
		v, ok := k.find(at+".vpc", e.VPC)
		if ok {
			k.zonesApart(at, v, e.Subnets)
			k.each(at+".security_groups", "security group of "+v.Name, e.SecurityGroups, groups(v))
		}
		if !k.d.resolve(at+".service", "endpoint service", e.Service, services) || !ok {
			continue
		}
		s := k.c.EndpointServices[slices.Index(services, e.Service)]
		if owner := k.owner(s.LoadBalancer); v.Account != owner && !slices.Contains(s.AllowedAccounts, v.Account) {
			k.d.errorAt(at+".service", "%s does not allow account %s; add it to the service's allowed_accounts", s.Name, v.Account)
		}
	}
}

// owner is the account that a load balancer is in.
func (k *cloudChecker) owner(balancer string) string {
	for _, lb := range k.c.LoadBalancers {
		for _, v := range k.c.VPCs {
			if lb.Name == balancer && lb.VPC == v.Name {
				return v.Account
			}
		}
	}
	return ""
}

func (k *cloudChecker) zones() {
	var aliases []string
	aliases = append(aliases, names(k.c.Endpoints, func(e Endpoint) string { return e.Name })...)
	aliases = append(aliases, names(k.c.LoadBalancers, func(l LoadBalancer) string { return l.Name })...)
	for i, z := range k.c.Zones {
		at := fmt.Sprintf("cloud.zones[%d]", i)
		k.d.resolve(at+".account", "account", z.Account, k.accounts())
		k.each(at+".vpcs", "VPC", z.VPCs, k.vpcNames())
		for j, r := range z.Records {
			k.d.resolve(fmt.Sprintf("%s.records[%d].alias", at, j), "endpoint or load balancer", r.Alias, aliases)
		}
	}
}

func (k *cloudChecker) directories() {
	seen := map[string]string{}
	for i, dir := range k.c.Directories {
		at := fmt.Sprintf("cloud.directories[%d]", i)
		k.d.unique(seen, dir.Name, "another directory", at)
		v, ok := k.find(at+".vpc", dir.VPC)
		if !ok {
			continue
		}
		k.zonesApart(at, v, dir.Subnets)
		if len(dir.Subnets) != 2 || len(dir.Addresses) != 2 {
			k.d.errorAt(at, "has %d subnets and %d addresses; a directory has two of each", len(dir.Subnets), len(dir.Addresses))
			continue
		}
		for j, a := range dir.Addresses {
			if slices.Contains(subnets(v), dir.Subnets[j]) {
				k.subnetAddress(fmt.Sprintf("%s.addresses[%d]", at, j), a, v, dir.Subnets[j])
			}
		}
	}
}
