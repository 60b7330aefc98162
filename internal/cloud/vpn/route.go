package vpn

import (
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// maxStaticRoutes is how many a connection may have (vpn §4.5).
const maxStaticRoutes = 100

// CreateVPNConnectionRoute adds a network behind the customer gateway of a
// static connection. Host bits of destination are cleared; a route that is
// there already is not an error. Codes: InvalidVpnConnectionID.NotFound;
// InvalidVpnConnection.InvalidState when the connection is on its way out (one
// that is pending takes its routes with it); InvalidVpnConnection.InvalidType
// for a dynamic one and for one that is not at a VPN gateway; InvalidParameterValue for what is no IPv4 prefix of hosts;
// RouteLimitExceeded.
func CreateVPNConnectionRoute(tx *store.Tx, who resource.Account, id resource.VPNConnectionID, destination netip.Prefix) error {
	c, err := staticConnection(tx, who, id)
	if err != nil {
		return err
	}
	if !destination.IsValid() || !destination.Addr().Is4() || destination.Addr().IsMulticast() {
		return resource.Errorf(resource.CodeInvalidParameterValue, "DestinationCidrBlock: %v is not an IPv4 block of hosts' addresses", destination)
	}
	destination = destination.Masked()
	at, found := findRoute(c, destination)
	if found {
		return nil
	}
	if len(c.Routes) >= maxStaticRoutes {
		return resource.Errorf(codeRouteLimit, "the VPN connection %s has %d static routes, the most it may have", id, maxStaticRoutes)
	}
	c.Routes = slices.Insert(c.Routes, at, resource.StaticRoute{Destination: destination, State: resource.StatePending})
	putRoutes(tx, c)
	return nil
}

// DeleteVPNConnectionRoute removes a static route at once. Codes: those of
// CreateVPNConnectionRoute for the connection; InvalidRoute.Malformed for what
// is no IPv4 prefix and InvalidRoute.NotFound for one that is not there.
func DeleteVPNConnectionRoute(tx *store.Tx, who resource.Account, id resource.VPNConnectionID, destination netip.Prefix) error {
	c, err := staticConnection(tx, who, id)
	if err != nil {
		return err
	}
	if !destination.IsValid() || !destination.Addr().Is4() {
		return resource.Errorf(codeRouteMalformed, "DestinationCidrBlock: %v is not an IPv4 block", destination)
	}
	at, found := findRoute(c, destination.Masked())
	if !found {
		return resource.Errorf(codeRouteNotFound, "the VPN connection %s has no static route to %v", id, destination)
	}
	c.Routes = slices.Delete(c.Routes, at, at+1)
	putRoutes(tx, c)
	return nil
}

// staticConnection finds a connection that takes static routes.
func staticConnection(tx *store.Tx, who resource.Account, id resource.VPNConnectionID) (resource.VPNConnection, error) {
	c, err := store.Find(tx, store.VPNConnections, who, id, codeVPNConnectionNotFound)
	switch {
	case err != nil:
		return c, err
	case !c.Alive():
		return c, resource.Errorf(codeVPNConnectionState, "the VPN connection %s is %s, not available", id, c.State)
	case c.VPNGatewayID == "":
		return c, resource.Errorf(codeVPNConnectionType, "the VPN connection %s is at %s, and static routes of a connection are for VPN gateways; make a transit gateway route", id, targetOf(c).label())
	case !c.StaticRoutesOnly:
		return c, resource.Errorf(codeVPNConnectionType, "the VPN connection %s learns its routes by BGP; static routes need one made with StaticRoutesOnly", id)
	}
	return c, nil
}

func findRoute(c resource.VPNConnection, destination netip.Prefix) (at int, found bool) {
	return slices.BinarySearchFunc(c.Routes, destination, func(r resource.StaticRoute, p netip.Prefix) int {
		return r.Destination.Compare(p)
	})
}

// putRoutes writes c, whose routes have changed, and the count of them that its
// telemetry shows.
func putRoutes(tx *store.Tx, c resource.VPNConnection) {
	for i := range c.Telemetry {
		c.Telemetry[i].AcceptedRouteCount = len(c.Routes)
	}
	store.VPNConnections.Put(tx, c.ID, c)
}
