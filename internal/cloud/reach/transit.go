package reach

import (
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/why"
)

// lookTransit fills in the transit gateway of a connection and the VPC that holds
// the destination, which need not be attached.
func lookTransit(tx *store.Tx, e *why.Evidence, conn resource.VPNConnection, a why.Ask) (resource.VPC, bool) {
	id := conn.TransitGatewayID
	e.Transit = &why.Transit{ID: string(id)}
	own := attachment(tx, id, func(a resource.TransitGatewayAttachment) bool { return a.VPNConnectionID == conn.ID })
	v, held := holder(tx, conn.OwnerID, id, a.To)
	var to resource.TransitGatewayAttachment
	if held {
		to = attachment(tx, id, func(a resource.TransitGatewayAttachment) bool { return a.VPCID == v.ID })
		e.VPC = &why.VPC{ID: string(v.ID), CIDRs: []netip.Prefix{v.CIDR}, Transit: true, Attached: to.State == resource.StateAvailable, Gateway: string(id)}
	}
	e.Transit.There = passage(tx, own, to, a.To)
	e.Transit.Back = passage(tx, to, own, a.From)
	return v, held
}

// attachment is that of a transit gateway which match picks; the zero value for
// none.
func attachment(tx *store.Tx, id resource.TransitGatewayID, match func(resource.TransitGatewayAttachment) bool) resource.TransitGatewayAttachment {
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.TransitGatewayID == id && a.Alive() && match(a) {
			return a
		}
	}
	return resource.TransitGatewayAttachment{}
}

// holder is the VPC of an account that holds an address, one that is attached
// before others.
func holder(tx *store.Tx, who resource.Account, id resource.TransitGatewayID, to netip.Addr) (out resource.VPC, ok bool) {
	for _, v := range store.VPCs.List(tx) {
		if v.OwnerID != who || !v.CIDR.Contains(to) {
			continue
		}
		attached := attachment(tx, id, func(a resource.TransitGatewayAttachment) bool { return a.VPCID == v.ID })
		if !ok || attached.ID != "" {
			out, ok = v, true
		}
		if attached.ID != "" {
			return out, ok
		}
	}
	return out, ok
}

// passage is how packets to an address that come by one attachment are forwarded,
// when they should leave by another.
func passage(tx *store.Tx, from, to resource.TransitGatewayAttachment, address netip.Addr) why.Passage {
	p := why.Passage{From: string(from.ID), To: string(to.ID), Table: string(from.RouteTableID)}
	table, ok := store.TransitGatewayRouteTables.Get(tx, from.RouteTableID)
	if !ok {
		return p
	}
	p.Propagates = slices.Contains(table.Propagations, to.ID)
	lines, err := vpn.SearchTransitGatewayRoutes(tx, table.OwnerID, table.ID)
	if err != nil {
		return p // it is being deleted
	}
	for _, l := range lines {
		if !l.Destination.Contains(address) || p.Route.IsValid() && l.Destination.Bits() <= p.Route.Bits() {
			continue
		}
		p.Route, p.Leads, p.Down = l.Destination, "", false
		for _, id := range l.Attachments {
			if p.Leads == "" || id == to.ID { // flows may be spread over several
				p.Leads = string(id)
			}
		}
		if a, ok := store.TransitGatewayAttachments.Get(tx, resource.TransitGatewayAttachmentID(p.Leads)); ok {
			p.Down = a.Type == resource.AttachVPN && len(l.Tunnels) == 0
		}
	}
	return p
}

// zoneApart is the zone of an interface when the attachment to its VPC has no
// subnet there.
func zoneApart(tx *store.Tx, t *why.Transit, eni resource.NetworkInterface) string {
	a, ok := store.TransitGatewayAttachments.Get(tx, resource.TransitGatewayAttachmentID(t.Back.From))
	subnet, known := store.Subnets.Get(tx, eni.SubnetID)
	if !ok || !known {
		return ""
	}
	for _, id := range a.SubnetIDs {
		if s, _ := store.Subnets.Get(tx, id); s.Zone == subnet.Zone {
			return ""
		}
	}
	return subnet.Zone
}
