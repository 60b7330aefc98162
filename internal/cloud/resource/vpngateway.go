package resource

import "net/netip"

// A VPNGateway (VGW) is the cloud's end of VPN connections for one VPC. On a
// host it is a namespace named by the id, joined to the VPC's router.
type VPNGateway struct {
	ID            VPNGatewayID
	OwnerID       Account
	State         State
	Type          string // GatewayType
	AmazonSideASN uint32 // 64512 when not given
	Attachment    VPNGatewayAttachment
	// Link is the pair of addresses between the VPC's router (first) and the
	// gateway's namespace (second): a /31 of class E, which no site can use.
	Link netip.Prefix
	Tags Tags
}

// A VPNGatewayAttachment joins a gateway to one VPC. Its zero value means
// never attached.
type VPNGatewayAttachment struct {
	VPCID VPCID
	State AttachmentStatus
}

// AttachedTo reports whether the gateway is joined to vpc now.
func (g VPNGateway) AttachedTo(vpc VPCID) bool {
	return g.Attachment.State == Attached && g.Attachment.VPCID == vpc
}
