package vpn

import (
	"cmp"
	"net/netip"
	"slices"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Codes of transit gateways, as AWS's clients know them.
const (
	codeTransitNotFound        = "InvalidTransitGatewayID.NotFound"
	codeAttachmentIDNotFound   = "InvalidTransitGatewayAttachmentID.NotFound"
	codeTransitLimit           = "TransitGatewayLimitExceeded"
	codeTransitAttachmentLimit = "TransitGatewayAttachmentLimitExceeded"
	codeTransitTableLimit      = "TransitGatewayRouteTableLimitExceeded"
	codeDuplicateAttachment    = "DuplicateTransitGatewayAttachment"
	codeDuplicateZone          = "DuplicateSubnetsInSameZone"
)

// CreateTransitGatewayInput says what transit gateway is wanted. Nil and zero
// values mean AWS's defaults: every switch on but AutoAccept.
type CreateTransitGatewayInput struct {
	Description string
	// AmazonSideASN is 64512 to 65534 or 4200000000 to 4294967294; 0 means 64512.
	AmazonSideASN uint32
	Options       TransitGatewayOptionsInput
	Tags          resource.Tags
}

// TransitGatewayOptionsInput are the switches of a transit gateway, nil for the
// default, or in a modification for what it is.
type TransitGatewayOptionsInput struct {
	DefaultAssociation, DefaultPropagation, VPNECMP, AutoAccept, DNSSupport *bool
	// CIDRs are blocks of the gateway's own, IPv4 and /24 or larger, at most five.
	CIDRs []netip.Prefix
}

// over is o with what in names.
func (in TransitGatewayOptionsInput) over(o resource.TransitGatewayOptions) resource.TransitGatewayOptions {
	for _, s := range []struct {
		to   *bool
		from *bool
	}{{&o.DefaultAssociation, in.DefaultAssociation}, {&o.DefaultPropagation, in.DefaultPropagation}, {&o.VPNECMP, in.VPNECMP},
		{&o.AutoAccept, in.AutoAccept}, {&o.DNSSupport, in.DNSSupport}} {
		if s.from != nil {
			*s.to = *s.from
		}
	}
	if in.CIDRs != nil {
		o.CIDRs = slices.Clone(in.CIDRs)
	}
	return o
}

// CreateTransitGateway makes a transit gateway, with a default route table
// unless both default options are off. It is pending until a host has built it
// and takes attachments at once. Codes: InvalidParameterValue,
// TransitGatewayLimitExceeded.
func CreateTransitGateway(tx *store.Tx, who resource.Account, in CreateTransitGatewayInput) (resource.TransitGateway, error) {
	var none resource.TransitGateway
	g := resource.TransitGateway{OwnerID: who, State: resource.StatePending, Description: in.Description, AmazonSideASN: cmp.Or(in.AmazonSideASN, defaultAmazonASN), Tags: in.Tags}
	if err := checkAmazonASN(g.AmazonSideASN); err != nil {
		return none, err
	}
	g.Options = in.Options.over(resource.TransitGatewayOptions{DefaultAssociation: true, DefaultPropagation: true, VPNECMP: true, DNSSupport: true})
	if err := checkTransitCIDRs(g.Options.CIDRs); err != nil {
		return none, err
	}
	every := func(resource.TransitGateway) bool { return true }
	if err := checkQuota(tx, store.TransitGateways, who, every, quota{maxTransitGateways, codeTransitLimit, "transit gateways of the account"}); err != nil {
		return none, err
	}
	g.ID = resource.TransitGatewayID(tx.NewID("tgw"))
	if g.Options.DefaultAssociation || g.Options.DefaultPropagation {
		t := newTransitTable(tx, g, nil)
		t.DefaultAssociation, t.DefaultPropagation = g.Options.DefaultAssociation, g.Options.DefaultPropagation
		if t.DefaultAssociation {
			g.AssociationTable = t.ID
		}
		if t.DefaultPropagation {
			g.PropagationTable = t.ID
		}
		store.TransitGatewayRouteTables.Put(tx, t.ID, t)
	}
	store.TransitGateways.Put(tx, g.ID, g)
	return g, nil
}

// checkAmazonASN checks the number of the cloud's end (vpn §4.1).
func checkAmazonASN(asn uint32) error {
	if asn >= 64512 && asn <= 65534 || asn >= 4200000000 && asn <= 4294967294 {
		return nil
	}
	return resource.Errorf(resource.CodeInvalidParameterValue, "AmazonSideAsn: %d is neither 64512 to 65534 nor 4200000000 to 4294967294", asn)
}

func checkTransitCIDRs(list []netip.Prefix) error {
	if len(list) > maxTransitCIDRs {
		return resource.Errorf(resource.CodeInvalidParameterValue, "TransitGatewayCidrBlocks: %d blocks, at most %d", len(list), maxTransitCIDRs)
	}
	for i, p := range list {
		if !p.IsValid() || !p.Addr().Is4() || p.Bits() > 24 || p != p.Masked() || p.Addr().IsLinkLocalUnicast() {
			return resource.Errorf(resource.CodeInvalidParameterValue, "TransitGatewayCidrBlocks: %v is not an IPv4 block of /24 or larger without host bits", p)
		}
		if slices.ContainsFunc(list[:i], p.Overlaps) {
			return resource.Errorf(resource.CodeInvalidParameterValue, "TransitGatewayCidrBlocks: %v overlaps another one", p)
		}
	}
	return nil
}

// A ModifyTransitGatewayInput changes what it names.
type ModifyTransitGatewayInput struct {
	TransitGatewayID resource.TransitGatewayID
	Description      *string
	Options          TransitGatewayOptionsInput
	// AssociationTable and PropagationTable make another route table the default
	// one.
	AssociationTable, PropagationTable resource.TransitGatewayRouteTableID
}

// ModifyTransitGateway changes the options of a transit gateway; attachments
// that exist stay where they are associated. Codes:
// InvalidTransitGatewayID.NotFound, IncorrectState,
// InvalidRouteTableID.NotFound, InvalidParameterValue, and
// InvalidParameterCombination for a default option that is on without a table.
func ModifyTransitGateway(tx *store.Tx, who resource.Account, in ModifyTransitGatewayInput) (resource.TransitGateway, error) {
	g, err := usableTransit(tx, who, in.TransitGatewayID)
	if err != nil {
		return g, err
	}
	g.Options = in.Options.over(g.Options)
	if err := checkTransitCIDRs(g.Options.CIDRs); err != nil {
		return g, err
	}
	if in.Description != nil {
		g.Description = *in.Description
	}
	for _, d := range []struct {
		on     bool
		option string
		table  *resource.TransitGatewayRouteTableID
		asked  resource.TransitGatewayRouteTableID
	}{{g.Options.DefaultAssociation, "DefaultRouteTableAssociation", &g.AssociationTable, in.AssociationTable},
		{g.Options.DefaultPropagation, "DefaultRouteTablePropagation", &g.PropagationTable, in.PropagationTable}} {
		if *d.table = cmp.Or(d.asked, *d.table); !d.on {
			*d.table = ""
			continue
		}
		if *d.table == "" {
			return g, resource.Errorf(resource.CodeInvalidParameterCombination, "%s: enable needs a route table; name one", d.option)
		}
		if _, err := transitTable(tx, g, *d.table); err != nil {
			return g, err
		}
	}
	for _, t := range store.TransitGatewayRouteTables.List(tx) {
		if t.TransitGatewayID == g.ID {
			t.DefaultAssociation, t.DefaultPropagation = t.ID == g.AssociationTable, t.ID == g.PropagationTable
			store.TransitGatewayRouteTables.Put(tx, t.ID, t)
		}
	}
	store.TransitGateways.Put(tx, g.ID, g)
	return g, nil
}

// usableTransit finds a transit gateway that is not on its way out.
func usableTransit(tx *store.Tx, who resource.Account, id resource.TransitGatewayID) (resource.TransitGateway, error) {
	g, err := store.Find(tx, store.TransitGateways, who, id, codeTransitNotFound)
	if err == nil && g.State != resource.StatePending && g.State != resource.StateAvailable {
		err = resource.Errorf(resource.CodeIncorrectState, "the transit gateway %s is %s, not available", id, g.State)
	}
	return g, err
}

// DescribeTransitGateways returns the transit gateways of ids, or without ids
// all that who owns, that pass the filters. Codes:
// InvalidTransitGatewayID.NotFound, and those of filter.Select.
func DescribeTransitGateways(tx *store.Tx, who resource.Account, ids []resource.TransitGatewayID, filters ...filter.Filter) ([]resource.TransitGateway, error) {
	rows, err := store.Describe(tx, store.TransitGateways, who, ids, codeTransitNotFound)
	if err != nil {
		return nil, err
	}
	return filter.Select(rows, transitGatewayFields(), func(g resource.TransitGateway) resource.Tags { return g.Tags }, filters)
}

// DeleteTransitGateway deletes a transit gateway with its route tables. Deleting
// twice does nothing. Codes: InvalidTransitGatewayID.NotFound, and
// IncorrectState while it has an attachment.
func DeleteTransitGateway(tx *store.Tx, who resource.Account, id resource.TransitGatewayID) error {
	g, err := store.Find(tx, store.TransitGateways, who, id, codeTransitNotFound)
	if err != nil {
		return err
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.TransitGatewayID == id {
			return resource.Errorf(resource.CodeIncorrectState, "the transit gateway %s has the attachment %s of %s; delete that first", id, a.ID, a.ResourceID())
		}
	}
	g.State = resource.StateDeleting
	store.TransitGateways.Put(tx, g.ID, g)
	return nil
}
