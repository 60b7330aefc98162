package resource

import (
	"net/netip"
	"strings"
)

// Ids of transit gateways.
type (
	TransitGatewayID           string // tgw-…
	TransitGatewayAttachmentID string // tgw-attach-…
	TransitGatewayRouteTableID string // tgw-rtb-…
)

// A TransitGateway (TGW) joins VPCs and VPN connections by route tables of its
// own (vpn §1.1, §4.3).
type TransitGateway struct {
	ID            TransitGatewayID
	OwnerID       Account
	State         State
	Description   string
	AmazonSideASN uint32 // 64512 when not given
	Options       TransitGatewayOptions
	// AssociationTable and PropagationTable are the default route tables; empty
	// when the option is off.
	AssociationTable, PropagationTable TransitGatewayRouteTableID
	Tags                               Tags
}

// TransitGatewayOptions are the switches of a TGW.
type TransitGatewayOptions struct {
	// DefaultAssociation and DefaultPropagation join each new attachment to the
	// default route tables.
	DefaultAssociation, DefaultPropagation bool
	// VPNECMP spreads flows over VPN tunnels whose routes are equal.
	VPNECMP    bool
	AutoAccept bool // attachments of other accounts' VPCs need no acceptance
	DNSSupport bool
	CIDRs      []netip.Prefix // the TGW's own address blocks, at most five
}

// A TransitGatewayAttachment joins one VPC or one VPN connection to a TGW.
type TransitGatewayAttachment struct {
	ID               TransitGatewayAttachmentID
	OwnerID          Account
	State            State
	TransitGatewayID TransitGatewayID
	Type             AttachmentType
	// One of the two, by Type.
	VPCID           VPCID
	VPNConnectionID VPNConnectionID
	SubnetIDs       []SubnetID // of a VPC, one a zone
	// Link is the pair of addresses between the VPC's router (first) and the
	// transit gateway's namespace (second): a /31 of class E. A VPN connection has
	// none.
	Link netip.Prefix
	// RouteTableID is the table that what comes from the attachment is looked up
	// in; empty when it has none.
	RouteTableID TransitGatewayRouteTableID
	Tags         Tags
}

// An AttachmentType is what a TGW attachment joins.
type AttachmentType string

// Types of attachment, lower first by precedence of what they propagate (vpn
// §4.3).
const (
	AttachVPC AttachmentType = "vpc"
	AttachVPN AttachmentType = "vpn"
)

// Alive reports whether the attachment is neither gone nor about to be.
func (a TransitGatewayAttachment) Alive() bool {
	return a.State == StatePending || a.State == StateAvailable
}

// ResourceID is the id of what is attached.
func (a TransitGatewayAttachment) ResourceID() string {
	return string(a.VPCID) + string(a.VPNConnectionID)
}

// RouterAddress is the VPC's end of the link.
func (a TransitGatewayAttachment) RouterAddress() netip.Addr { return a.Link.Masked().Addr() }

// GatewayAddress is the transit gateway's end of the link.
func (a TransitGatewayAttachment) GatewayAddress() netip.Addr { return a.RouterAddress().Next() }

// RouterLink is the name of the link in the namespace of the VPC's router: as
// many digits of the attachment's id as a link's name can hold. It is no ENI.
func (a TransitGatewayAttachment) RouterLink() string { return "tgw" + a.digits() }

// GatewayLink is the name of the link in the transit gateway's namespace.
func (a TransitGatewayAttachment) GatewayLink() string { return "vpc" + a.digits() }

func (a TransitGatewayAttachment) digits() string {
	digits := strings.TrimPrefix(string(a.ID), "tgw-attach-")
	return digits[:min(12, len(digits))]
}

// A TransitGatewayRouteTable is a route table of a TGW.
type TransitGatewayRouteTable struct {
	ID               TransitGatewayRouteTableID
	OwnerID          Account
	State            State
	TransitGatewayID TransitGatewayID
	// Number is the table's number in the kernel of the transit gateway: 1000 for
	// the first, never given twice while a higher one is in use.
	Number             int
	DefaultAssociation bool
	DefaultPropagation bool
	// Propagations are the attachments whose routes the table takes, by id.
	Propagations []TransitGatewayAttachmentID
	Routes       []TransitGatewayStaticRoute // by destination
	Tags         Tags
}

// A TransitGatewayStaticRoute is a route that somebody made.
type TransitGatewayStaticRoute struct {
	Destination netip.Prefix
	// AttachmentID is where it leads; empty for a blackhole.
	AttachmentID TransitGatewayAttachmentID
}

// Owner is OwnerID.
func (r TransitGateway) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r TransitGatewayAttachment) Owner() Account { return r.OwnerID }

// Owner is OwnerID.
func (r TransitGatewayRouteTable) Owner() Account { return r.OwnerID }
