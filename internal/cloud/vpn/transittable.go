package vpn

import (
	"net/netip"
	"slices"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Codes of a transit gateway's route tables.
const (
	codeAlreadyAssociated   = "Resource.AlreadyAssociated"
	codeAssociationNotFound = "InvalidAssociation.NotFound"
	codePropagationTwice    = "TransitGatewayRouteTablePropagation.Duplicate"
	codePropagationNotFound = "TransitGatewayRouteTablePropagation.NotFound"
	codeRouteExists         = "RouteAlreadyExists"
)

// CreateTransitGatewayRouteTable makes a route table. Codes:
// InvalidTransitGatewayID.NotFound, IncorrectState,
// TransitGatewayRouteTableLimitExceeded.
func CreateTransitGatewayRouteTable(tx *store.Tx, who resource.Account, id resource.TransitGatewayID, tags resource.Tags) (resource.TransitGatewayRouteTable, error) {
	g, err := usableTransit(tx, who, id)
	if err != nil {
		return resource.TransitGatewayRouteTable{}, err
	}
	here := func(t resource.TransitGatewayRouteTable) bool { return t.TransitGatewayID == id }
	if err := checkQuota(tx, store.TransitGatewayRouteTables, who, here, quota{maxTransitRouteTables, codeTransitTableLimit, "route tables of " + string(id)}); err != nil {
		return resource.TransitGatewayRouteTable{}, err
	}
	t := newTransitTable(tx, g, tags)
	store.TransitGatewayRouteTables.Put(tx, t.ID, t)
	return t, nil
}

// firstTransitTable is the number of a transit gateway's first table in its
// kernel.
const firstTransitTable = 1000

func newTransitTable(tx *store.Tx, g resource.TransitGateway, tags resource.Tags) resource.TransitGatewayRouteTable {
	number := firstTransitTable
	for _, t := range store.TransitGatewayRouteTables.List(tx) {
		if t.TransitGatewayID == g.ID {
			number = max(number, t.Number+1)
		}
	}
	return resource.TransitGatewayRouteTable{
		ID: resource.TransitGatewayRouteTableID(tx.NewID("tgw-rtb")), OwnerID: g.OwnerID, State: resource.StatePending, TransitGatewayID: g.ID, Number: number, Tags: tags,
	}
}

// DescribeTransitGatewayRouteTables returns the tables of ids, or without ids
// all that who owns, that pass the filters. Codes: InvalidRouteTableID.NotFound,
// and those of filter.Select.
func DescribeTransitGatewayRouteTables(tx *store.Tx, who resource.Account, ids []resource.TransitGatewayRouteTableID, filters ...filter.Filter) ([]resource.TransitGatewayRouteTable, error) {
	rows, err := store.Describe(tx, store.TransitGatewayRouteTables, who, ids, resource.CodeRouteTableNotFound)
	if err != nil {
		return nil, err
	}
	return filter.Select(rows, transitTableFields(), func(t resource.TransitGatewayRouteTable) resource.Tags { return t.Tags }, filters)
}

// DeleteTransitGatewayRouteTable deletes a table. Codes:
// InvalidRouteTableID.NotFound, and IncorrectState while it is a default one or
// an attachment is associated with it.
func DeleteTransitGatewayRouteTable(tx *store.Tx, who resource.Account, id resource.TransitGatewayRouteTableID) error {
	t, err := store.Find(tx, store.TransitGatewayRouteTables, who, id, resource.CodeRouteTableNotFound)
	if err != nil {
		return err
	}
	if t.DefaultAssociation || t.DefaultPropagation {
		return resource.Errorf(resource.CodeIncorrectState, "the route table %s is a default one of %s; choose another default first", id, t.TransitGatewayID)
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.RouteTableID == id {
			return resource.Errorf(resource.CodeIncorrectState, "the route table %s is associated with %s; disassociate it first", id, a.ID)
		}
	}
	t.State = resource.StateDeleting
	store.TransitGatewayRouteTables.Put(tx, t.ID, t)
	return nil
}

// transitTable finds a table of g that is not on its way out.
func transitTable(tx *store.Tx, g resource.TransitGateway, id resource.TransitGatewayRouteTableID) (resource.TransitGatewayRouteTable, error) {
	t, err := usableTable(tx, g.OwnerID, id)
	if err == nil && t.TransitGatewayID != g.ID {
		err = resource.Errorf(resource.CodeInvalidParameterValue, "the route table %s is of %s, not of %s", id, t.TransitGatewayID, g.ID)
	}
	return t, err
}

func usableTable(tx *store.Tx, who resource.Account, id resource.TransitGatewayRouteTableID) (resource.TransitGatewayRouteTable, error) {
	t, err := store.Find(tx, store.TransitGatewayRouteTables, who, id, resource.CodeRouteTableNotFound)
	if err == nil && t.State == resource.StateDeleting {
		err = resource.Errorf(resource.CodeIncorrectState, "the route table %s is deleting", id)
	}
	return t, err
}

// tableAndAttachment finds both, of one transit gateway.
func tableAndAttachment(tx *store.Tx, who resource.Account, table resource.TransitGatewayRouteTableID, attachment resource.TransitGatewayAttachmentID) (resource.TransitGatewayRouteTable, resource.TransitGatewayAttachment, error) {
	t, err := usableTable(tx, who, table)
	if err != nil {
		return t, resource.TransitGatewayAttachment{}, err
	}
	a, err := usableAttachment(tx, who, attachment)
	if err == nil && a.TransitGatewayID != t.TransitGatewayID {
		err = resource.Errorf(resource.CodeInvalidParameterValue, "the attachment %s is of %s and the route table %s of %s", attachment, a.TransitGatewayID, table, t.TransitGatewayID)
	}
	return t, a, err
}

// AssociateTransitGatewayRouteTable makes table the one in which what comes from
// attachment is looked up. Codes: those of tables and attachments;
// Resource.AlreadyAssociated while it has a table.
func AssociateTransitGatewayRouteTable(tx *store.Tx, who resource.Account, table resource.TransitGatewayRouteTableID, attachment resource.TransitGatewayAttachmentID) error {
	t, a, err := tableAndAttachment(tx, who, table, attachment)
	if err != nil {
		return err
	}
	if a.RouteTableID != "" {
		return resource.Errorf(codeAlreadyAssociated, "Transit Gateway Attachment %s is already associated to a route table.", attachment)
	}
	a.RouteTableID = t.ID
	store.TransitGatewayAttachments.Put(tx, a.ID, a)
	return nil
}

// DisassociateTransitGatewayRouteTable takes an attachment's table away: what
// comes from it goes nowhere. Codes: those of tables and attachments;
// InvalidAssociation.NotFound.
func DisassociateTransitGatewayRouteTable(tx *store.Tx, who resource.Account, table resource.TransitGatewayRouteTableID, attachment resource.TransitGatewayAttachmentID) error {
	t, a, err := tableAndAttachment(tx, who, table, attachment)
	if err != nil {
		return err
	}
	if a.RouteTableID != t.ID {
		return resource.Errorf(codeAssociationNotFound, "the attachment %s is not associated with %s", attachment, table)
	}
	a.RouteTableID = ""
	store.TransitGatewayAttachments.Put(tx, a.ID, a)
	return nil
}

// EnableTransitGatewayRouteTablePropagation has attachment's routes in table.
// Codes: those of tables and attachments;
// TransitGatewayRouteTablePropagation.Duplicate.
func EnableTransitGatewayRouteTablePropagation(tx *store.Tx, who resource.Account, table resource.TransitGatewayRouteTableID, attachment resource.TransitGatewayAttachmentID) error {
	t, a, err := tableAndAttachment(tx, who, table, attachment)
	if err != nil {
		return err
	}
	if slices.Contains(t.Propagations, a.ID) {
		return resource.Errorf(codePropagationTwice, "Propagation %s already exists in Transit Gateway Route Table %s.", attachment, table)
	}
	propagate(tx, t, a.ID)
	return nil
}

func propagate(tx *store.Tx, t resource.TransitGatewayRouteTable, id resource.TransitGatewayAttachmentID) {
	at, _ := slices.BinarySearch(t.Propagations, id)
	t.Propagations = slices.Insert(slices.Clone(t.Propagations), at, id)
	store.TransitGatewayRouteTables.Put(tx, t.ID, t)
}

// DisableTransitGatewayRouteTablePropagation takes attachment's routes out of
// table. Codes: those of tables and attachments;
// TransitGatewayRouteTablePropagation.NotFound.
func DisableTransitGatewayRouteTablePropagation(tx *store.Tx, who resource.Account, table resource.TransitGatewayRouteTableID, attachment resource.TransitGatewayAttachmentID) error {
	t, a, err := tableAndAttachment(tx, who, table, attachment)
	if err != nil {
		return err
	}
	at := slices.Index(t.Propagations, a.ID)
	if at < 0 {
		return resource.Errorf(codePropagationNotFound, "%s does not propagate to %s", attachment, table)
	}
	t.Propagations = slices.Delete(slices.Clone(t.Propagations), at, at+1)
	store.TransitGatewayRouteTables.Put(tx, t.ID, t)
	return nil
}

// A TransitGatewayRouteInput is a static route: to an attachment, or, with
// Blackhole, to nowhere.
type TransitGatewayRouteInput struct {
	RouteTableID resource.TransitGatewayRouteTableID
	Destination  netip.Prefix // host bits are cleared
	AttachmentID resource.TransitGatewayAttachmentID
	Blackhole    bool
}

// CreateTransitGatewayRoute adds a static route, which goes before every
// propagated one to the same destination (vpn §4.3). Codes: those of tables and
// attachments; MissingParameter, InvalidParameterCombination,
// InvalidParameterValue, RouteAlreadyExists, RouteLimitExceeded.
func CreateTransitGatewayRoute(tx *store.Tx, who resource.Account, in TransitGatewayRouteInput) error {
	return setTransitRoute(tx, who, in, false)
}

// ReplaceTransitGatewayRoute makes a static route lead elsewhere. Codes: those of
// CreateTransitGatewayRoute; InvalidRoute.NotFound.
func ReplaceTransitGatewayRoute(tx *store.Tx, who resource.Account, in TransitGatewayRouteInput) error {
	return setTransitRoute(tx, who, in, true)
}

func setTransitRoute(tx *store.Tx, who resource.Account, in TransitGatewayRouteInput, replace bool) error {
	t, err := usableTable(tx, who, in.RouteTableID)
	switch {
	case err != nil:
		return err
	case !in.Destination.IsValid() || in.Destination.Addr().Is4In6() || in.Destination.Addr().IsMulticast():
		return resource.Errorf(resource.CodeInvalidParameterValue, "DestinationCidrBlock: %v is not a block of hosts' addresses", in.Destination)
	case in.Blackhole && in.AttachmentID != "":
		return resource.Errorf(resource.CodeInvalidParameterCombination, "Blackhole: true and TransitGatewayAttachmentId %s exclude each other; give one", in.AttachmentID)
	case !in.Blackhole && in.AttachmentID == "":
		return resource.Errorf(resource.CodeMissingParameter, "TransitGatewayAttachmentId: is required unless Blackhole is true")
	case !in.Blackhole:
		if _, _, err := tableAndAttachment(tx, who, t.ID, in.AttachmentID); err != nil {
			return err
		}
	}
	route := resource.TransitGatewayStaticRoute{Destination: in.Destination.Masked(), AttachmentID: in.AttachmentID}
	at, found := findTransitRoute(t, route.Destination)
	switch {
	case replace && !found:
		return resource.Errorf(codeRouteNotFound, "the route table %s has no static route to %v", t.ID, route.Destination)
	case !replace && found:
		return resource.Errorf(codeRouteExists, "Route in Route Table (%s) with destination (%v) already exists", t.ID, route.Destination)
	case !replace && staticTransitRoutes(tx, t.TransitGatewayID) >= maxTransitRoutes:
		return resource.Errorf(codeRouteLimit, "the transit gateway %s has %d routes, the most it may have", t.TransitGatewayID, maxTransitRoutes)
	}
	t.Routes = slices.Clone(t.Routes)
	if replace {
		t.Routes[at] = route
	} else {
		t.Routes = slices.Insert(t.Routes, at, route)
	}
	store.TransitGatewayRouteTables.Put(tx, t.ID, t)
	return nil
}

// staticTransitRoutes counts the static routes of a transit gateway.
func staticTransitRoutes(tx *store.Tx, id resource.TransitGatewayID) (n int) {
	for _, t := range store.TransitGatewayRouteTables.List(tx) {
		if t.TransitGatewayID == id {
			n += len(t.Routes)
		}
	}
	return n
}

// DeleteTransitGatewayRoute removes a static route. Codes: those of tables;
// InvalidRoute.NotFound.
func DeleteTransitGatewayRoute(tx *store.Tx, who resource.Account, table resource.TransitGatewayRouteTableID, destination netip.Prefix) error {
	t, err := usableTable(tx, who, table)
	if err != nil {
		return err
	}
	at, found := findTransitRoute(t, destination.Masked())
	if !found {
		return resource.Errorf(codeRouteNotFound, "the route table %s has no static route to %v", table, destination)
	}
	t.Routes = slices.Delete(slices.Clone(t.Routes), at, at+1)
	store.TransitGatewayRouteTables.Put(tx, t.ID, t)
	return nil
}

func findTransitRoute(t resource.TransitGatewayRouteTable, destination netip.Prefix) (at int, found bool) {
	return slices.BinarySearchFunc(t.Routes, destination, func(r resource.TransitGatewayStaticRoute, p netip.Prefix) int { return r.Destination.Compare(p) })
}
