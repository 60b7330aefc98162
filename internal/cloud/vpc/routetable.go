package vpc

import (
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Codes that only route tables answer.
const (
	codeAlreadyAssociated   = "Resource.AlreadyAssociated"
	codeAssociationNotFound = "InvalidAssociationID.NotFound"
	codeGatewayNotAttached  = "Gateway.NotAttached"
	codeVGWNotFound         = "InvalidVpnGatewayID.NotFound"
)

// CreateRouteTable makes a route table with the local route.
func CreateRouteTable(tx *store.Tx, who resource.Account, id resource.VPCID, tags resource.Tags) (resource.RouteTable, error) {
	v, err := store.Find(tx, store.VPCs, who, id, resource.CodeVPCNotFound)
	if err != nil {
		return resource.RouteTable{}, err
	}
	number := firstTable
	for _, t := range store.RouteTables.List(tx) {
		if t.VPCID == id {
			number = max(number, t.Number+1)
		}
	}
	t := resource.RouteTable{
		ID: resource.RouteTableID(tx.NewID("rtb")), OwnerID: who, VPCID: id, Number: number,
		Routes: []resource.Route{localRoute(v.CIDR)}, Tags: tags,
	}
	store.RouteTables.Put(tx, t.ID, t)
	return t, nil
}

// localRoute is the route that every table has and none can lose.
func localRoute(block netip.Prefix) resource.Route {
	return resource.Route{
		Destination: block, GatewayID: resource.LocalGateway,
		State: resource.RouteActive, Origin: resource.OriginCreateRouteTable,
	}
}

// AssociateRouteTable makes a subnet use a table instead of the main one. It
// answers Resource.AlreadyAssociated for a subnet that has a table already and
// InvalidParameterValue when the two are of different VPCs.
func AssociateRouteTable(tx *store.Tx, who resource.Account, id resource.RouteTableID, subnet resource.SubnetID) (resource.Association, error) {
	t, err := store.Find(tx, store.RouteTables, who, id, resource.CodeRouteTableNotFound)
	if err != nil {
		return resource.Association{}, err
	}
	s, err := store.Find(tx, store.Subnets, who, subnet, resource.CodeSubnetNotFound)
	if err != nil {
		return resource.Association{}, err
	}
	if s.VPCID != t.VPCID {
		return resource.Association{}, resource.Errorf(resource.CodeInvalidParameterValue, "SubnetId: %s is in %s, the route table in %s", s.ID, s.VPCID, t.VPCID)
	}
	if other, _, ok := associationOf(tx, func(a resource.Association) bool { return a.SubnetID == subnet }); ok {
		return resource.Association{}, resource.Errorf(codeAlreadyAssociated, "SubnetId: %s is associated with %s already", subnet, other.ID)
	}
	a := resource.Association{ID: resource.AssociationID(tx.NewID("rtbassoc")), SubnetID: subnet}
	t.Associations = append(t.Associations, a)
	store.RouteTables.Put(tx, t.ID, t)
	return a, nil
}

// DisassociateRouteTable gives a subnet back to the main table. It answers
// InvalidAssociationID.NotFound, and InvalidParameterValue for the main
// association itself.
func DisassociateRouteTable(tx *store.Tx, who resource.Account, id resource.AssociationID) error {
	t, at, ok := associationOf(tx, func(a resource.Association) bool { return a.ID == id })
	if !ok || t.OwnerID != who {
		return resource.Errorf(codeAssociationNotFound, "the association %s does not exist", id)
	}
	if t.Associations[at].Main {
		return resource.Errorf(resource.CodeInvalidParameterValue, "AssociationId: %s is the main association, which every VPC keeps", id)
	}
	removeAssociation(tx, t, at)
	return nil
}

// associationOf finds the table and the place of an association.
func associationOf(tx *store.Tx, match func(resource.Association) bool) (resource.RouteTable, int, bool) {
	for _, t := range store.RouteTables.List(tx) {
		if at := slices.IndexFunc(t.Associations, match); at >= 0 {
			return t, at, true
		}
	}
	return resource.RouteTable{}, 0, false
}

func removeAssociation(tx *store.Tx, t resource.RouteTable, at int) {
	t.Associations = slices.Delete(t.Associations, at, at+1)
	store.RouteTables.Put(tx, t.ID, t)
}

// DescribeRouteTables returns the tables of ids, or all of who, with the
// routes that hold now: propagated ones among them, lost targets as blackhole.
func DescribeRouteTables(tx *store.Tx, who resource.Account, ids ...resource.RouteTableID) ([]resource.RouteTable, error) {
	tables, err := store.Describe(tx, store.RouteTables, who, ids, resource.CodeRouteTableNotFound)
	if err != nil {
		return nil, err
	}
	s := Load(tx)
	for i := range tables {
		tables[i].Routes = s.effective(tables[i])
	}
	return tables, nil
}

// DeleteRouteTable removes a table that no subnet uses; DependencyViolation
// for one in use and for the main one.
func DeleteRouteTable(tx *store.Tx, who resource.Account, id resource.RouteTableID) error {
	t, err := store.Find(tx, store.RouteTables, who, id, resource.CodeRouteTableNotFound)
	if err != nil {
		return err
	}
	if len(t.Associations) > 0 {
		return inUse("route table", id, t.Associations[0].ID)
	}
	store.RouteTables.Delete(tx, id)
	return nil
}

// EnableVGWRoutePropagation lets the routes of a gateway enter a table. The
// gateway must be attached to the table's VPC (Gateway.NotAttached).
func EnableVGWRoutePropagation(tx *store.Tx, who resource.Account, id resource.RouteTableID, gateway resource.VPNGatewayID) error {
	t, err := store.Find(tx, store.RouteTables, who, id, resource.CodeRouteTableNotFound)
	if err != nil {
		return err
	}
	if err := attachedGateway(tx, who, gateway, t.VPCID); err != nil {
		return err
	}
	if !slices.Contains(t.PropagatingVGWs, gateway) {
		t.PropagatingVGWs = append(t.PropagatingVGWs, gateway)
		store.RouteTables.Put(tx, t.ID, t)
	}
	return nil
}

// DisableVGWRoutePropagation ends what EnableVGWRoutePropagation began.
func DisableVGWRoutePropagation(tx *store.Tx, who resource.Account, id resource.RouteTableID, gateway resource.VPNGatewayID) error {
	t, err := store.Find(tx, store.RouteTables, who, id, resource.CodeRouteTableNotFound)
	if err != nil {
		return err
	}
	if at := slices.Index(t.PropagatingVGWs, gateway); at >= 0 {
		t.PropagatingVGWs = slices.Delete(t.PropagatingVGWs, at, at+1)
		store.RouteTables.Put(tx, t.ID, t)
	}
	return nil
}

// attachedGateway checks that who owns the gateway and that it is attached to
// vpc.
func attachedGateway(tx *store.Tx, who resource.Account, id resource.VPNGatewayID, vpc resource.VPCID) error {
	g, err := store.Find(tx, store.VPNGateways, who, id, codeVGWNotFound)
	if err != nil {
		return err
	}
	if !g.AttachedTo(vpc) {
		return resource.Errorf(codeGatewayNotAttached, "GatewayId: %s is not attached to %s", id, vpc)
	}
	return nil
}
