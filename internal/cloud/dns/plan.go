package dns

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"seikan/internal/cloud/dns/server"
	"seikan/internal/cloud/dns/zone"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// A Snapshot is every row that MakePlan needs, of one moment.
type Snapshot struct {
	VPCs          []resource.VPC
	Interfaces    []resource.NetworkInterface
	Zones         []resource.HostedZone
	Directories   []resource.Directory
	Endpoints     []resource.Endpoint
	LoadBalancers []resource.LoadBalancer
	Listeners     []resource.Listener
	TargetGroups  []resource.TargetGroup
	Health        []resource.TargetHealth
}

// Load reads a Snapshot.
func Load(tx *store.Tx) Snapshot {
	return Snapshot{
		VPCs:          store.VPCs.List(tx),
		Interfaces:    store.NetworkInterfaces.List(tx),
		Zones:         store.HostedZones.List(tx),
		Directories:   store.Directories.List(tx),
		Endpoints:     store.Endpoints.List(tx),
		LoadBalancers: store.LoadBalancers.List(tx),
		Listeners:     store.Listeners.List(tx),
		TargetGroups:  store.TargetGroups.List(tx),
		Health:        store.TargetHealths.List(tx),
	}
}

// A Listener is a DNS server that a host runs: UDP and TCP on Address, opened in
// Namespace. One with an Upstream is a server.Forwarder that dials from the
// same namespace; one without is the server.Resolver of VPC.
type Listener struct {
	Namespace string
	Address   netip.AddrPort
	VPC       resource.VPCID
	Upstream  netip.AddrPort // zero: a resolver
}

// String reads like one line of a plan.
func (l Listener) String() string {
	if l.Upstream.IsValid() {
		return fmt.Sprintf("forwarder %s in %s to %s", l.Address, l.Namespace, l.Upstream)
	}
	return fmt.Sprintf("resolver %s in %s of %s", l.Address, l.Namespace, l.VPC)
}

// A Plan is what DNS wants of a host.
type Plan struct {
	Listeners []Listener // sorted by namespace and address
	// Views are what the resolver of each VPC knows: one server.Resolver a VPC,
	// given the new view whenever the rows have changed.
	Views map[resource.VPCID]*server.View
}

const port = 53

// MakePlan says which DNS servers a host runs, and what they know. A VPC whose
// enableDnsSupport is off has no resolver. AWS wants enableDnsHostnames for
// private zones too (pl §3.2); here it is not asked for, since no operation
// sets it. A zone that does not compile, which ChangeResourceRecordSets lets
// nobody make, is left out and reported in the error; the rest of the plan is
// good. MakePlan is pure.
func MakePlan(s Snapshot) (Plan, error) {
	p := Plan{Views: make(map[resource.VPCID]*server.View)}
	public := s.publicNames()
	zones, errs := s.compileZones()
	for _, v := range s.VPCs {
		if !v.EnableDNSSupport {
			continue
		}
		for _, addr := range []netip.Addr{resource.ResolverAddress(v.CIDR), resource.LinkLocalResolver()} {
			p.Listeners = append(p.Listeners, Listener{Namespace: string(v.ID), Address: netip.AddrPortFrom(addr, port), VPC: v.ID})
		}
		view, err := s.view(v, public, zones)
		errs = append(errs, err)
		p.Views[v.ID] = view
		for _, d := range s.Directories {
			if d.VPCID != v.ID {
				continue
			}
			for _, c := range d.Controllers {
				p.Listeners = append(p.Listeners, Listener{Namespace: c.Namespace, Address: netip.AddrPortFrom(c.Address, port),
					VPC: v.ID, Upstream: netip.AddrPortFrom(resource.ResolverAddress(v.CIDR), port)})
			}
		}
	}
	slices.SortFunc(p.Listeners, func(a, b Listener) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), a.Address.Compare(b.Address))
	})
	return p, errors.Join(errs...)
}

// compileZones compiles the zones, each once however many VPCs see it, and says
// which cannot be.
func (s Snapshot) compileZones() (map[resource.HostedZoneID]*zone.Zone, []error) {
	out := make(map[resource.HostedZoneID]*zone.Zone, len(s.Zones))
	var errs []error
	for _, row := range s.Zones {
		z, err := compile(row)
		if err != nil {
			errs = append(errs, fmt.Errorf("hosted zone %s: %w", row.ID, err))
			continue
		}
		out[row.ID] = z
	}
	return out, errs
}

// view is what the resolver of v knows.
func (s Snapshot) view(v resource.VPC, public map[zone.Name][]netip.Addr, compiled map[resource.HostedZoneID]*zone.Zone) (*server.View, error) {
	var zones []*zone.Zone
	for _, row := range s.Zones {
		if z := compiled[row.ID]; z != nil && slices.Contains(row.VPCs, v.ID) {
			zones = append(zones, z)
		}
	}
	set, err := zone.NewSet(zones...)
	if err != nil {
		err = fmt.Errorf("hosted zones of %s: %w", v.ID, err)
		set = nil
	}
	view := &server.View{
		Zones:    set,
		Internal: internalDomains(v),
		Public:   s.publicDomains(),
		Hosts:    make(map[zone.Name][]netip.Addr, len(public)),
		Pointers: make(map[zone.Name]zone.Name),
	}
	for name, addrs := range public {
		view.Hosts[name] = addrs
	}
	for _, eni := range s.Interfaces {
		if eni.VPCID == v.ID && eni.PrivateIP.Is4() {
			for i, name := range hostNames(v.Region, eni.PrivateIP) {
				view.Hosts[name] = []netip.Addr{eni.PrivateIP}
				if i == 0 {
					view.Pointers[zone.Reverse(eni.PrivateIP)] = name
				}
			}
		}
	}
	return view, err
}
