package resource

import (
	"net/netip"
	"slices"
)

// VPNGatewayLink is the name of a VPN gateway's link in the namespace of the
// VPC's router. It is no ENI: what comes in by it is the customer's.
const VPNGatewayLink = "vgw"

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

// RouterAddress is the router's end of the link, the gateway's next hop to the
// VPC.
func (g VPNGateway) RouterAddress() netip.Addr { return g.Link.Masked().Addr() }

// GatewayAddress is the gateway's end of the link, the router's next hop for
// what VPNGatewayLink carries.
func (g VPNGateway) GatewayAddress() netip.Addr { return g.RouterAddress().Next() }

// PropagatedRoutes are the prefixes that gateway offers to the route tables of
// its VPC: the static routes of each of its connections that has a tunnel up,
// and what customer gateways announce over tunnels whose IPsec is up (vpn §4.4),
// sorted, each once. A gateway that is not attached offers none.
func PropagatedRoutes(gateway VPNGateway, connections []VPNConnection) []netip.Prefix {
	if gateway.Attachment.State != Attached {
		return nil
	}
	var out []netip.Prefix
	for _, c := range connections {
		if c.VPNGatewayID != gateway.ID || !c.Alive() {
			continue
		}
		for _, t := range c.Telemetry {
			for _, r := range t.Learned {
				out = append(out, r.Prefix)
			}
		}
		if !c.Up() {
			continue
		}
		for _, r := range c.Routes {
			if r.State != StateDeleted {
				out = append(out, r.Destination)
			}
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}
