package resource

import "net/netip"

// A RouteTable holds the routes of the subnets associated with it (pl §4.2).
type RouteTable struct {
	ID      RouteTableID
	OwnerID Account
	VPCID   VPCID
	// Number is the table's number in the kernel of the VPC's router: 1000 for
	// the VPC's first, never given twice while a higher one is in use.
	Number int
	// Routes holds what was written: the local route and those of CreateRoute,
	// in order of destination. Propagated ones are computed, never stored.
	Routes       []Route
	Associations []Association
	// PropagatingVGWs are the gateways whose learned and static routes enter
	// this table.
	PropagatingVGWs []VPNGatewayID
	Tags            Tags
}

// LocalGateway is the target of the route to the VPC's own block.
const LocalGateway = "local"

// A Route sends Destination to exactly one target.
type Route struct {
	Destination netip.Prefix
	// GatewayID is "local" or a virtual private gateway's id.
	GatewayID          string
	NetworkInterfaceID NetworkInterfaceID
	TransitGatewayID   TransitGatewayID
	InstanceID         InstanceID // set beside NetworkInterfaceID when that is an instance's
	State              RouteState // as last described; a plan looks again
	Origin             RouteOrigin
}

// Target is the id of what the route leads to, whichever it is.
func (r Route) Target() string {
	return r.GatewayID + string(r.NetworkInterfaceID) + string(r.TransitGatewayID)
}

// A RouteState says whether a route's target exists.
type RouteState string

// Route states (pl §4.2).
const (
	RouteActive    RouteState = "active"
	RouteBlackhole RouteState = "blackhole"
)

// A RouteOrigin says who wrote a route.
type RouteOrigin string

// Route origins (pl §4.2, vpn §4.4).
const (
	OriginCreateRouteTable RouteOrigin = "CreateRouteTable"
	OriginCreateRoute      RouteOrigin = "CreateRoute"
	OriginPropagation      RouteOrigin = "EnableVgwRoutePropagation"
)

// An Association ties a subnet to a route table; the main one names no subnet.
type Association struct {
	ID       AssociationID
	SubnetID SubnetID
	Main     bool
}
