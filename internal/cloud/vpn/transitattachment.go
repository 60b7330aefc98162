package vpn

import (
	"slices"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// CreateTransitGatewayVPCAttachmentInput says what VPC is joined to what transit
// gateway, by which of its subnets: one of each Availability Zone.
type CreateTransitGatewayVPCAttachmentInput struct {
	TransitGatewayID resource.TransitGatewayID
	VPCID            resource.VPCID
	SubnetIDs        []resource.SubnetID
	Tags             resource.Tags
}

// CreateTransitGatewayVPCAttachment joins a VPC of the same account to a transit
// gateway, and to its default route tables as its options say. Codes:
// MissingParameter, InvalidTransitGatewayID.NotFound, InvalidVpcID.NotFound,
// InvalidSubnetID.NotFound, IncorrectState, DuplicateTransitGatewayAttachment,
// DuplicateSubnetsInSameZone, TransitGatewayAttachmentLimitExceeded.
func CreateTransitGatewayVPCAttachment(tx *store.Tx, who resource.Account, in CreateTransitGatewayVPCAttachmentInput) (resource.TransitGatewayAttachment, error) {
	var none resource.TransitGatewayAttachment
	g, err := usableTransit(tx, who, in.TransitGatewayID)
	if err != nil {
		return none, err
	}
	if _, err := store.Find(tx, store.VPCs, who, in.VPCID, resource.CodeVPCNotFound); err != nil {
		return none, err
	}
	if err := checkAttachedSubnets(tx, who, in); err != nil {
		return none, err
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.TransitGatewayID == g.ID && a.VPCID == in.VPCID {
			return none, resource.Errorf(codeDuplicateAttachment, "the VPC %s is %s to %s by %s; a VPC is attached to a transit gateway once", in.VPCID, a.State, g.ID, a.ID)
		}
	}
	a := resource.TransitGatewayAttachment{Type: resource.AttachVPC, VPCID: in.VPCID, SubnetIDs: slices.Clone(in.SubnetIDs), Tags: in.Tags}
	return attach(tx, g, a)
}

// checkAttachedSubnets checks that the subnets are the VPC's, at least one, and
// no two in one zone.
func checkAttachedSubnets(tx *store.Tx, who resource.Account, in CreateTransitGatewayVPCAttachmentInput) error {
	if len(in.SubnetIDs) == 0 {
		return resource.Errorf(resource.CodeMissingParameter, "SubnetIds: is required; name one subnet of each Availability Zone")
	}
	zones := map[string]resource.SubnetID{}
	for _, id := range in.SubnetIDs {
		subnet, err := store.Find(tx, store.Subnets, who, id, resource.CodeSubnetNotFound)
		if err != nil {
			return err
		}
		if subnet.VPCID != in.VPCID {
			return resource.Errorf(resource.CodeSubnetNotFound, "the subnet %s is of %s, not of %s", id, subnet.VPCID, in.VPCID)
		}
		if other, taken := zones[subnet.Zone]; taken {
			return resource.Errorf(codeDuplicateZone, "SubnetIds: %s and %s are both in %s; name one of them", other, id, subnet.Zone)
		}
		zones[subnet.Zone] = id
	}
	return nil
}

// A ModifyTransitGatewayVPCAttachmentInput changes the subnets of an attachment.
type ModifyTransitGatewayVPCAttachmentInput struct {
	AttachmentID                  resource.TransitGatewayAttachmentID
	AddSubnetIDs, RemoveSubnetIDs []resource.SubnetID
}

// ModifyTransitGatewayVPCAttachment gives the attachment of a VPC other subnets,
// and so other zones from which the transit gateway is reached. Codes:
// InvalidTransitGatewayAttachmentID.NotFound, IncorrectState, MissingParameter when
// none is named or would be left, InvalidSubnetID.NotFound,
// DuplicateSubnetsInSameZone.
func ModifyTransitGatewayVPCAttachment(tx *store.Tx, who resource.Account, in ModifyTransitGatewayVPCAttachmentInput) (resource.TransitGatewayAttachment, error) {
	a, err := usableAttachment(tx, who, in.AttachmentID)
	switch {
	case err != nil:
		return a, err
	case a.Type != resource.AttachVPC:
		return a, resource.Errorf(resource.CodeIncorrectState, "the attachment %s is that of the VPN connection %s, which has no subnets", a.ID, a.VPNConnectionID)
	case len(in.AddSubnetIDs)+len(in.RemoveSubnetIDs) == 0:
		return a, resource.Errorf(resource.CodeMissingParameter, "AddSubnetIds, RemoveSubnetIds: name at least one subnet")
	}
	subnets := slices.Clone(a.SubnetIDs)
	for _, id := range in.RemoveSubnetIDs {
		at := slices.Index(subnets, id)
		if at < 0 {
			return a, resource.Errorf(resource.CodeSubnetNotFound, "RemoveSubnetIds: %s is no subnet of the attachment %s", id, a.ID)
		}
		subnets = slices.Delete(subnets, at, at+1)
	}
	wanted := CreateTransitGatewayVPCAttachmentInput{VPCID: a.VPCID, SubnetIDs: append(subnets, in.AddSubnetIDs...)}
	if err := checkAttachedSubnets(tx, who, wanted); err != nil {
		return a, err
	}
	a.SubnetIDs = wanted.SubnetIDs
	store.TransitGatewayAttachments.Put(tx, a.ID, a)
	return a, nil
}

// attach makes a the row of a new attachment of g, associated and propagated as
// g's options say.
func attach(tx *store.Tx, g resource.TransitGateway, a resource.TransitGatewayAttachment) (resource.TransitGatewayAttachment, error) {
	if err := checkAttachments(tx, g.ID); err != nil {
		return a, err
	}
	a.ID = resource.TransitGatewayAttachmentID(tx.NewID("tgw-attach"))
	a.OwnerID, a.State, a.TransitGatewayID = g.OwnerID, resource.StatePending, g.ID
	a.RouteTableID = g.AssociationTable
	if a.Type == resource.AttachVPC {
		link, err := freeLink(tx)
		if err != nil {
			return a, err
		}
		a.Link = link
	}
	store.TransitGatewayAttachments.Put(tx, a.ID, a)
	if t, ok := store.TransitGatewayRouteTables.Get(tx, g.PropagationTable); ok && g.PropagationTable != "" {
		propagate(tx, t, a.ID)
	}
	return a, nil
}

// checkAttachments refuses more attachments than a transit gateway may have (vpn
// §5.1).
func checkAttachments(tx *store.Tx, id resource.TransitGatewayID) error {
	n := 0
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.TransitGatewayID == id {
			n++
		}
	}
	if n >= maxTransitAttachments {
		return resource.Errorf(codeTransitAttachmentLimit, "attachments of %s: there are %d, the most there can be", id, n)
	}
	return nil
}

// associate gives a connection on a transit gateway its attachment.
func associate(tx *store.Tx, c resource.VPNConnection) error {
	if c.TransitGatewayID == "" {
		return nil
	}
	g, err := usableTransit(tx, c.OwnerID, c.TransitGatewayID)
	if err != nil {
		return err
	}
	_, err = attach(tx, g, resource.TransitGatewayAttachment{Type: resource.AttachVPN, VPNConnectionID: c.ID})
	return err
}

// dissociate takes the attachment of a connection away, if it has one. Static
// routes that led to it are blackholes from then on.
func dissociate(tx *store.Tx, id resource.VPNConnectionID) {
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.VPNConnectionID == id && a.Alive() {
			a.State = resource.StateDeleting
			store.TransitGatewayAttachments.Put(tx, a.ID, a)
		}
	}
}

// DescribeTransitGatewayAttachments returns the attachments of ids, or without
// ids all that who owns, that pass the filters. Codes:
// InvalidTransitGatewayAttachmentID.NotFound, and those of filter.Select.
func DescribeTransitGatewayAttachments(tx *store.Tx, who resource.Account, ids []resource.TransitGatewayAttachmentID, filters ...filter.Filter) ([]resource.TransitGatewayAttachment, error) {
	rows, err := store.Describe(tx, store.TransitGatewayAttachments, who, ids, codeAttachmentIDNotFound)
	if err != nil {
		return nil, err
	}
	return filter.Select(rows, transitAttachmentFields(), func(a resource.TransitGatewayAttachment) resource.Tags { return a.Tags }, filters)
}

// DeleteTransitGatewayVPCAttachment takes a VPC from a transit gateway: deleting,
// and gone when a host has removed the link. Deleting twice does nothing. Codes:
// InvalidTransitGatewayAttachmentID.NotFound; IncorrectState for the attachment
// of a VPN connection, which ends with the connection.
func DeleteTransitGatewayVPCAttachment(tx *store.Tx, who resource.Account, id resource.TransitGatewayAttachmentID) error {
	a, err := store.Find(tx, store.TransitGatewayAttachments, who, id, codeAttachmentIDNotFound)
	if err != nil {
		return err
	}
	if a.Type != resource.AttachVPC {
		return resource.Errorf(resource.CodeIncorrectState, "the attachment %s is that of the VPN connection %s; delete or modify that", id, a.VPNConnectionID)
	}
	a.State = resource.StateDeleting
	store.TransitGatewayAttachments.Put(tx, a.ID, a)
	return nil
}

// usableAttachment finds an attachment that is not on its way out.
func usableAttachment(tx *store.Tx, who resource.Account, id resource.TransitGatewayAttachmentID) (resource.TransitGatewayAttachment, error) {
	a, err := store.Find(tx, store.TransitGatewayAttachments, who, id, codeAttachmentIDNotFound)
	if err == nil && !a.Alive() {
		err = resource.Errorf(resource.CodeIncorrectState, "the attachment %s is %s, not available", id, a.State)
	}
	return a, err
}
