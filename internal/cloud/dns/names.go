package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/cloud/dns/zone"
	"seikan/internal/cloud/resource"
)

// oldRegion is the one region whose instances have names of another form (pl
// §3.6).
const oldRegion = "us-east-1"

// hostNames are the names of an address of a VPC, the one that its reverse name
// points to first. Names of the general form exist in every region.
func hostNames(region string, addr netip.Addr) []zone.Name {
	host := "ip-" + strings.ReplaceAll(addr.String(), ".", "-")
	texts := []string{host + "." + region + ".compute.internal"}
	if region == oldRegion {
		texts = []string{host + ".ec2.internal", texts[0]}
	}
	return parseAll(texts)
}

// parseAll leaves out what is not a name: a region's is the user's own.
func parseAll(texts []string) []zone.Name {
	var out []zone.Name
	for _, text := range texts {
		if name, err := zone.ParseName(text); err == nil {
			out = append(out, name)
		}
	}
	return out
}

// internalDomains are those that a VPC's resolver answers for itself: host names
// and the reverse names of private addresses and of the VPC's own (pl §3.8,
// autodefined rules).
func internalDomains(v resource.VPC) []zone.Name {
	texts := []string{v.Region + ".compute.internal", "10.in-addr.arpa", "168.192.in-addr.arpa"}
	if v.Region == oldRegion {
		texts = append(texts, "ec2.internal")
	}
	for n := 16; n <= 31; n++ {
		texts = append(texts, fmt.Sprintf("%d.172.in-addr.arpa", n))
	}
	block := v.CIDR.Addr().As4() // of /16 or longer: its first two octets are fixed
	texts = append(texts, fmt.Sprintf("%d.%d.in-addr.arpa", block[1], block[0]))
	return parseAll(texts)
}

// publicDomains hold the names of endpoints and load balancers, which every
// resolver of the world knows (pl §1.6, §2.2).
func (s Snapshot) publicDomains() []zone.Name {
	texts := []string{"vpce.amazonaws.com"}
	for _, v := range s.VPCs {
		if text := "elb." + v.Region + ".amazonaws.com"; !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return parseAll(texts)
}

// publicNames are the names of all endpoints and load balancers with their
// addresses. An endpoint that is not available has names without addresses.
func (s Snapshot) publicNames() map[zone.Name][]netip.Addr {
	out := make(map[zone.Name][]netip.Addr)
	add := func(text string, addrs []netip.Addr) {
		if name, err := zone.ParseName(text); err == nil {
			out[name] = addrs
		}
	}
	working := s.workingNodes()
	for _, b := range s.LoadBalancers {
		var good, all []netip.Addr
		for _, n := range b.Nodes {
			all = append(all, n.Address)
			if working[n.NetworkInterfaceID] {
				good = append(good, n.Address)
			}
			add(n.Zone+"."+b.DNSName, []netip.Addr{n.Address})
		}
		add(b.DNSName, orAll(good, all))
	}
	for _, ep := range s.Endpoints {
		for _, entry := range ep.DNSEntries {
			add(entry.Name, endpointAddrs(ep, entry, working))
		}
	}
	return out
}

// endpointAddrs are the addresses of one name of an endpoint: those of the zones
// that work or, when none does, of all (pl §1.6).
func endpointAddrs(ep resource.Endpoint, entry resource.DNSEntry, working map[resource.NetworkInterfaceID]bool) []netip.Addr {
	if ep.State != resource.StateAvailable {
		return nil
	}
	var good, all []netip.Addr
	for _, a := range ep.Attachments {
		if entry.Zone != "" && entry.Zone != a.Zone {
			continue
		}
		all = append(all, a.Address)
		if working[a.Node] {
			good = append(good, a.Address)
		}
	}
	return orAll(good, all)
}

func orAll(good, all []netip.Addr) []netip.Addr {
	if len(good) > 0 {
		return good
	}
	return all
}

// workingNodes are the load balancer nodes that have a healthy target in each
// target group in use: the others are withdrawn from DNS (pl §2.2).
func (s Snapshot) workingNodes() map[resource.NetworkInterfaceID]bool {
	healthy := make(map[string]bool)
	for _, h := range s.Health {
		healthy[h.Key()] = h.State == resource.HealthHealthy
	}
	groups := make(map[resource.TargetGroupARN]resource.TargetGroup)
	for _, g := range s.TargetGroups {
		groups[g.ARN] = g
	}
	working := make(map[resource.NetworkInterfaceID]bool)
	for _, b := range s.LoadBalancers {
		for _, n := range b.Nodes {
			working[n.NetworkInterfaceID] = true
			for _, l := range s.Listeners {
				if l.LoadBalancerARN == b.ARN && !serves(b, n, groups[l.TargetGroupARN], healthy) {
					working[n.NetworkInterfaceID] = false
				}
			}
		}
	}
	return working
}

// serves reports whether node n has a healthy target in g.
func serves(b resource.LoadBalancer, n resource.LoadBalancerNode, g resource.TargetGroup, healthy map[string]bool) bool {
	for _, t := range g.Targets {
		h := resource.TargetHealth{TargetGroupARN: g.ARN, TargetID: t.ID, Port: t.Port, Node: n.NetworkInterfaceID}
		if b.Reaches(n, t) && healthy[h.Key()] {
			return true
		}
	}
	return false
}
