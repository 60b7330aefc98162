package vpc

import (
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/routing/fib"
)

// A Snapshot is the rows that MakePlan looks at, all of one moment.
type Snapshot struct {
	VPCs        []resource.VPC
	Subnets     []resource.Subnet
	RouteTables []resource.RouteTable
	Groups      []resource.SecurityGroup
	Interfaces  []resource.NetworkInterface
	Gateways    []resource.VPNGateway
	Connections []resource.VPNConnection
	// Transit are the attachments of transit gateways.
	Transit []resource.TransitGatewayAttachment
}

// Load takes a Snapshot.
func Load(tx *store.Tx) Snapshot {
	return Snapshot{
		VPCs:        store.VPCs.List(tx),
		Subnets:     store.Subnets.List(tx),
		RouteTables: store.RouteTables.List(tx),
		Groups:      store.SecurityGroups.List(tx),
		Interfaces:  store.NetworkInterfaces.List(tx),
		Gateways:    store.VPNGateways.List(tx),
		Connections: store.VPNConnections.List(tx),
		Transit:     store.TransitGatewayAttachments.List(tx),
	}
}

// effective returns the routes of a table that hold now, by destination: those
// written and those propagated, of which fib selects. A route whose target is
// gone is a blackhole.
func (s Snapshot) effective(t resource.RouteTable) []resource.Route {
	var all []resource.Route
	for _, r := range t.Routes {
		r.State = s.stateOf(t.VPCID, r)
		all = append(all, r)
	}
	var learned []resource.Route
	for _, id := range t.PropagatingVGWs {
		learned = append(learned, s.propagated(t.VPCID, id)...)
	}
	all = append(all, learned[:min(len(learned), maxPropagated)]...)
	offered := make([]fib.Route, len(all))
	byKey := make(map[fib.Route]resource.Route, len(all))
	for i, r := range all {
		offered[i] = fib.Route{
			Destination: r.Destination,
			Origin:      originOf(r),
			Target:      r.Target(),
			Blackhole:   r.State == resource.RouteBlackhole,
		}
		byKey[offered[i]] = r
	}
	var hold []resource.Route
	for _, r := range fib.New(offered).Routes() {
		hold = append(hold, byKey[r])
	}
	return hold
}

func originOf(r resource.Route) fib.Origin {
	switch {
	case r.GatewayID == resource.LocalGateway:
		return fib.Local
	case r.Origin == resource.OriginPropagation:
		return fib.Propagated
	}
	return fib.Static
}

// stateOf says whether the target of a written route exists.
func (s Snapshot) stateOf(vpc resource.VPCID, r resource.Route) resource.RouteState {
	if r.GatewayID == resource.LocalGateway {
		return resource.RouteActive
	}
	if _, ok := s.gateway(vpc, resource.VPNGatewayID(r.GatewayID)); ok {
		return resource.RouteActive
	}
	if _, ok := s.transitOf(vpc, r.TransitGatewayID); ok {
		return resource.RouteActive
	}
	if eni, ok := s.networkInterface(r.NetworkInterfaceID); ok && eni.VPCID == vpc && eni.Namespace != "" {
		return resource.RouteActive
	}
	return resource.RouteBlackhole
}

// propagated returns the routes that a gateway offers now (vpn §4.4).
func (s Snapshot) propagated(vpc resource.VPCID, id resource.VPNGatewayID) []resource.Route {
	g, ok := s.gateway(vpc, id)
	if !ok {
		return nil
	}
	var routes []resource.Route
	for _, dst := range resource.PropagatedRoutes(g, s.Connections) {
		routes = append(routes, resource.Route{
			Destination: dst, GatewayID: string(id),
			State: resource.RouteActive, Origin: resource.OriginPropagation,
		})
	}
	return routes
}

// gateway finds a gateway that is attached to vpc.
func (s Snapshot) gateway(vpc resource.VPCID, id resource.VPNGatewayID) (resource.VPNGateway, bool) {
	for _, g := range s.Gateways {
		if g.ID == id && g.AttachedTo(vpc) {
			return g, true
		}
	}
	return resource.VPNGateway{}, false
}

// transitOf finds the attachment that joins vpc to a transit gateway.
func (s Snapshot) transitOf(vpc resource.VPCID, id resource.TransitGatewayID) (resource.TransitGatewayAttachment, bool) {
	for _, a := range s.Transit {
		if a.VPCID == vpc && a.TransitGatewayID == id && a.State == resource.StateAvailable {
			return a, true
		}
	}
	return resource.TransitGatewayAttachment{}, false
}

func (s Snapshot) networkInterface(id resource.NetworkInterfaceID) (resource.NetworkInterface, bool) {
	for _, eni := range s.Interfaces {
		if eni.ID == id {
			return eni, true
		}
	}
	return resource.NetworkInterface{}, false
}

func (s Snapshot) subnet(id resource.SubnetID) (resource.Subnet, bool) {
	for _, sub := range s.Subnets {
		if sub.ID == id {
			return sub, true
		}
	}
	return resource.Subnet{}, false
}

// tableOf returns the route table of a subnet: its own or the VPC's main one.
func (s Snapshot) tableOf(v resource.VPC, id resource.SubnetID) (resource.RouteTable, bool) {
	var main resource.RouteTable
	for _, t := range s.RouteTables {
		if t.ID == v.MainRouteTable {
			main = t
		}
		for _, a := range t.Associations {
			if a.SubnetID == id {
				return t, true
			}
		}
	}
	return main, main.ID != ""
}
