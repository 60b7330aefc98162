package vpc

import (
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Numbers of routes of one table (pl §4.2). Those propagated beyond the number
// do not enter it (vpn §4.3).
const (
	maxRoutes     = 50 // static ones
	maxPropagated = 100
)

// Codes that only routes answer.
const (
	codeRouteExists   = "RouteAlreadyExists"
	codeRouteNotFound = "InvalidRoute.NotFound"
	codeRouteLimit    = "RouteLimitExceeded"
	codeTransit       = "InvalidTransitGatewayID.NotFound"
)

// CreateRouteInput is the request of CreateRoute. Exactly one target is set.
type CreateRouteInput struct {
	RouteTableID         resource.RouteTableID
	DestinationCidrBlock netip.Prefix
	GatewayID            resource.VPNGatewayID
	NetworkInterfaceID   resource.NetworkInterfaceID
	InstanceID           resource.InstanceID
	TransitGatewayID     resource.TransitGatewayID // to which the table's VPC is attached
}

// CreateRoute adds a static route. It answers MissingParameter and
// InvalidParameterCombination about the target, RouteAlreadyExists,
// RouteLimitExceeded, Gateway.NotAttached, InvalidTransitGatewayID.NotFound for a
// transit gateway that the VPC is not attached to, and InvalidParameterValue for a
// destination that is no IPv4 block, that users may not route
// (169.254.168.0/22, pl §4.1), or that is part of the VPC's own block: as with AWS
// (pl §4.2), of these only the whole block of a subnet has a route, and to a network
// interface or an instance only, as to an appliance.
func CreateRoute(tx *store.Tx, who resource.Account, in CreateRouteInput) error {
	t, err := store.Find(tx, store.RouteTables, who, in.RouteTableID, resource.CodeRouteTableNotFound)
	if err != nil {
		return err
	}
	v, _ := store.VPCs.Get(tx, t.VPCID)
	dst := in.DestinationCidrBlock.Masked()
	if err := checkDestination(t, dst); err != nil {
		return err
	}
	route, err := routeTo(tx, who, t.VPCID, in)
	if err != nil {
		return err
	}
	if err := checkWithin(tx, v, dst, route); err != nil {
		return err
	}
	route.Destination = dst
	t.Routes = append(t.Routes, route)
	slices.SortFunc(t.Routes, func(a, b resource.Route) int { return comparePrefix(a.Destination, b.Destination) })
	store.RouteTables.Put(tx, t.ID, t)
	return nil
}

// checkDestination says whether a static route to dst may enter the table.
func checkDestination(t resource.RouteTable, dst netip.Prefix) error {
	const field = "DestinationCidrBlock"
	switch {
	case !dst.IsValid() || !dst.Addr().Is4():
		return resource.Errorf(resource.CodeInvalidParameterValue, "%s: %v is not an IPv4 block", field, dst)
	case slices.ContainsFunc(t.Routes, func(r resource.Route) bool { return r.Destination == dst }):
		return resource.Errorf(codeRouteExists, "%s: the table %s has a route to %v already", field, t.ID, dst)
	case dst.Bits() >= 22 && netip.MustParsePrefix("169.254.168.0/22").Contains(dst.Addr()):
		return resource.Errorf(resource.CodeInvalidParameterValue, "%s: %v is part of 169.254.168.0/22, which serves the cloud itself", field, dst)
	case len(t.Routes) > maxRoutes: // the local route does not count
		return resource.Errorf(codeRouteLimit, "the table %s has %d routes, the most there can be", t.ID, maxRoutes)
	}
	return nil
}

// checkWithin says whether a route may lead to a part of the VPC's own block. The
// words are AWS's own, as its users report them.
func checkWithin(tx *store.Tx, v resource.VPC, dst netip.Prefix, to resource.Route) error {
	if !within(dst, v.CIDR) {
		return nil
	}
	if to.NetworkInterfaceID == "" {
		return resource.Errorf(resource.CodeInvalidParameterValue, "The destination CIDR block %v is equal to or more specific than one of this VPC's CIDR blocks. This route can target only an interface or an instance.", dst)
	}
	if !slices.ContainsFunc(store.Subnets.List(tx), func(s resource.Subnet) bool { return s.VPCID == v.ID && s.CIDR == dst }) {
		return resource.Errorf(resource.CodeInvalidParameterValue, "Route destination doesn't match any subnet CIDR blocks.")
	}
	return nil
}

// routeTo checks the target of a route and fills it in.
func routeTo(tx *store.Tx, who resource.Account, vpc resource.VPCID, in CreateRouteInput) (resource.Route, error) {
	route := resource.Route{State: resource.RouteActive, Origin: resource.OriginCreateRoute}
	targets := 0
	for _, id := range []string{string(in.GatewayID), string(in.NetworkInterfaceID), string(in.InstanceID), string(in.TransitGatewayID)} {
		if id != "" {
			targets++
		}
	}
	switch {
	case targets == 0:
		return route, resource.Errorf(resource.CodeMissingParameter, "one of GatewayId, NetworkInterfaceId, InstanceId, TransitGatewayId must be given")
	case targets > 1:
		return route, resource.Errorf(resource.CodeInvalidParameterCombination, "only one of GatewayId, NetworkInterfaceId, InstanceId, TransitGatewayId may be given")
	case in.GatewayID != "":
		route.GatewayID = string(in.GatewayID)
		return route, attachedGateway(tx, who, in.GatewayID, vpc)
	case in.TransitGatewayID != "":
		route.TransitGatewayID = in.TransitGatewayID
		return route, attachedTransit(tx, who, in.TransitGatewayID, vpc)
	case in.InstanceID != "":
		i, err := store.Find(tx, store.Instances, who, in.InstanceID, resource.CodeInstanceNotFound)
		if err != nil {
			return route, err
		}
		route.InstanceID, in.NetworkInterfaceID = i.ID, i.NetworkInterfaceID
	}
	eni, err := store.Find(tx, store.NetworkInterfaces, who, in.NetworkInterfaceID, resource.CodeInterfaceNotFound)
	if err != nil {
		return route, err
	}
	if eni.VPCID != vpc {
		return route, resource.Errorf(resource.CodeInvalidParameterValue, "NetworkInterfaceId: %s is in %s, the route table in %s", eni.ID, eni.VPCID, vpc)
	}
	route.NetworkInterfaceID = eni.ID
	return route, nil
}

// attachedTransit checks that who owns the transit gateway and that vpc is
// attached to it, or about to be.
func attachedTransit(tx *store.Tx, who resource.Account, id resource.TransitGatewayID, vpc resource.VPCID) error {
	if _, err := store.Find(tx, store.TransitGateways, who, id, codeTransit); err != nil {
		return err
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.TransitGatewayID == id && a.VPCID == vpc && a.Alive() {
			return nil
		}
	}
	return resource.Errorf(codeTransit, "TransitGatewayId: %s has no attachment of %s; create that first", id, vpc)
}

// DeleteRoute removes a static route; InvalidRoute.NotFound, and
// InvalidParameterValue for the local one.
func DeleteRoute(tx *store.Tx, who resource.Account, id resource.RouteTableID, dst netip.Prefix) error {
	t, err := store.Find(tx, store.RouteTables, who, id, resource.CodeRouteTableNotFound)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(t.Routes, func(r resource.Route) bool { return r.Destination == dst.Masked() })
	switch {
	case at < 0:
		return resource.Errorf(codeRouteNotFound, "the table %s has no static route to %v", id, dst)
	case t.Routes[at].GatewayID == resource.LocalGateway:
		return resource.Errorf(resource.CodeInvalidParameterValue, "DestinationCidrBlock: the local route to %v cannot be deleted", dst)
	}
	t.Routes = slices.Delete(t.Routes, at, at+1)
	store.RouteTables.Put(tx, t.ID, t)
	return nil
}

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}
