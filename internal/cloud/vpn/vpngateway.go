package vpn

import (
	"cmp"
	"errors"
	"net/netip"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// defaultAmazonASN is the BGP number of a VPN gateway that was given none (vpn
// §4.1).
const defaultAmazonASN = 64512

// errNoLinks is our limit, not the caller's: 32,768 gateways and attachments.
var errNoLinks = errors.New("vpn: every link address of 240.255.0.0/16 is in use")

// CreateVPNGatewayInput says what VPN gateway is wanted.
type CreateVPNGatewayInput struct {
	Type string // "ipsec.1"
	// AmazonSideASN is 64512 to 65534 or 4200000000 to 4294967294; 0 means
	// 64512. It never changes.
	AmazonSideASN uint32
	Tags          resource.Tags
}

// CreateVPNGateway makes a gateway that is pending until a host has built it,
// and of which connections can be made and which can be attached at once.
// Codes: MissingParameter, InvalidParameterValue, VpnGatewayLimitExceeded.
func CreateVPNGateway(tx *store.Tx, who resource.Account, in CreateVPNGatewayInput) (resource.VPNGateway, error) {
	if err := checkType(in.Type); err != nil {
		return resource.VPNGateway{}, err
	}
	asn := cmp.Or(in.AmazonSideASN, defaultAmazonASN)
	if err := checkAmazonASN(asn); err != nil {
		return resource.VPNGateway{}, err
	}
	every := func(resource.VPNGateway) bool { return true }
	if err := checkQuota(tx, store.VPNGateways, who, every, quota{maxVPNGateways, codeVPNGatewayLimit, "VPN gateways of the account"}); err != nil {
		return resource.VPNGateway{}, err
	}
	link, err := freeLink(tx)
	if err != nil {
		return resource.VPNGateway{}, err
	}
	g := resource.VPNGateway{
		ID: resource.VPNGatewayID(tx.NewID("vgw")), OwnerID: who, State: resource.StatePending, Type: in.Type,
		AmazonSideASN: asn, Link: link, Tags: in.Tags,
	}
	store.VPNGateways.Put(tx, g.ID, g)
	return g, nil
}

// freeLink is the lowest /31 of 240.255.0.0/16 that no gateway has and no
// attachment of a transit gateway. A gateway keeps its own for life, so that
// attaching it anew moves nothing else.
func freeLink(tx *store.Tx) (netip.Prefix, error) {
	used := make(map[netip.Prefix]bool)
	for _, g := range store.VPNGateways.List(tx) {
		used[g.Link] = true
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		used[a.Link] = true
	}
	all := netip.PrefixFrom(netip.AddrFrom4([4]byte{240, 255}), 16)
	for a := all.Addr(); all.Contains(a); a = a.Next().Next() {
		if link := netip.PrefixFrom(a, 31); !used[link] {
			return link, nil
		}
	}
	return netip.Prefix{}, errNoLinks
}

// AttachVPNGateway joins a gateway to a VPC of the same account; it is attached
// when a host has built the link. Attaching it where it is already returns that
// attachment. Codes: InvalidVpnGatewayID.NotFound, InvalidVpcID.NotFound;
// InvalidVpnGatewayState while the gateway is being deleted or detached;
// VpnGatewayAttachmentLimitExceeded when it is attached to another VPC;
// InvalidVpcState when the VPC has another gateway (vpn §1.1).
func AttachVPNGateway(tx *store.Tx, who resource.Account, vpc resource.VPCID, id resource.VPNGatewayID) (resource.VPNGatewayAttachment, error) {
	var none resource.VPNGatewayAttachment
	g, err := store.Find(tx, store.VPNGateways, who, id, codeVPNGatewayNotFound)
	if err != nil {
		return none, err
	}
	if _, err := store.Find(tx, store.VPCs, who, vpc, resource.CodeVPCNotFound); err != nil {
		return none, err
	}
	if err := usable(g); err != nil {
		return none, err
	}
	switch at := g.Attachment; {
	case at.State == resource.Detaching:
		return none, resource.Errorf(codeVPNGatewayState, "the VPN gateway %s is being detached from %s; wait until it is detached", id, at.VPCID)
	case joined(g) && at.VPCID == vpc:
		return at, nil
	case joined(g):
		return none, resource.Errorf(codeAttachmentLimit, "the VPN gateway %s is attached to %s; a VPN gateway has one VPC at a time, detach it there first", id, at.VPCID)
	}
	for _, other := range store.VPNGateways.List(tx) {
		if other.Attachment.VPCID == vpc && other.Attachment.State != resource.Detached {
			return none, resource.Errorf(codeVPCState, "the VPC %s is %s to the VPN gateway %s; a VPC has one VPN gateway at a time", vpc, other.Attachment.State, other.ID)
		}
	}
	g.Attachment = resource.VPNGatewayAttachment{VPCID: vpc, State: resource.Attaching}
	store.VPNGateways.Put(tx, g.ID, g)
	return g.Attachment, nil
}

// usable refuses a gateway that is on its way out. A pending one will do: what
// is made of it is built together with it.
func usable(g resource.VPNGateway) error {
	if g.State == resource.StatePending || g.State == resource.StateAvailable {
		return nil
	}
	return resource.Errorf(codeVPNGatewayState, "the VPN gateway %s is %s, not available", g.ID, g.State)
}

// joined reports whether a gateway has, or is about to have, its link.
func joined(g resource.VPNGateway) bool {
	return g.Attachment.State == resource.Attaching || g.Attachment.State == resource.Attached
}

// DetachVPNGateway takes a gateway from its VPC: detaching, and detached when a
// host has removed the link. Detaching twice does nothing. Codes:
// InvalidVpnGatewayID.NotFound, InvalidVpnGatewayAttachment.NotFound.
func DetachVPNGateway(tx *store.Tx, who resource.Account, vpc resource.VPCID, id resource.VPNGatewayID) error {
	g, err := store.Find(tx, store.VPNGateways, who, id, codeVPNGatewayNotFound)
	if err != nil {
		return err
	}
	if g.Attachment.VPCID != vpc || !joined(g) && g.Attachment.State != resource.Detaching {
		return resource.Errorf(codeAttachmentNotFound, "the VPN gateway %s is not attached to %q", id, vpc)
	}
	g.Attachment.State = resource.Detaching
	store.VPNGateways.Put(tx, g.ID, g)
	return nil
}

// DescribeVPNGateways returns the gateways of ids, or without ids all that who
// owns, that pass the filters. Codes: InvalidVpnGatewayID.NotFound, and those of
// filter.Select.
func DescribeVPNGateways(tx *store.Tx, who resource.Account, ids []resource.VPNGatewayID, filters ...filter.Filter) ([]resource.VPNGateway, error) {
	rows, err := store.Describe(tx, store.VPNGateways, who, ids, codeVPNGatewayNotFound)
	if err != nil {
		return nil, err
	}
	return filter.Select(rows, vpnGatewayFields(), func(g resource.VPNGateway) resource.Tags { return g.Tags }, filters)
}

// DeleteVPNGateway deletes a gateway; the row goes when a host has removed what
// it built. Deleting twice does nothing. Codes: InvalidVpnGatewayID.NotFound,
// IncorrectState while it is attached, DependencyViolation while it has a
// connection (vpn §1.9).
func DeleteVPNGateway(tx *store.Tx, who resource.Account, id resource.VPNGatewayID) error {
	g, err := store.Find(tx, store.VPNGateways, who, id, codeVPNGatewayNotFound)
	if err != nil {
		return err
	}
	if joined(g) || g.Attachment.State == resource.Detaching {
		return resource.Errorf(resource.CodeIncorrectState, "the VPN gateway %s is %s to %s; detach it first", id, g.Attachment.State, g.Attachment.VPCID)
	}
	for _, c := range store.VPNConnections.List(tx) {
		if c.VPNGatewayID == id && c.State != resource.StateDeleted {
			return resource.Errorf(resource.CodeDependencyViolation, "the VPN gateway %s has the connection %s; delete that first", id, c.ID)
		}
	}
	g.State = resource.StateDeleting
	store.VPNGateways.Put(tx, g.ID, g)
	return nil
}
