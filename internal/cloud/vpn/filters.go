package vpn

import (
	"fmt"

	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// codeCustomerGatewayMalformed is the one code of an id that is none (vpn §1.9).
const codeCustomerGatewayMalformed = "InvalidCustomerGatewayId.Malformed"

// customerGatewayFields are the filters of DescribeCustomerGateways (vpn §1.8).
func customerGatewayFields() filter.Fields[resource.CustomerGateway] {
	return filter.Fields[resource.CustomerGateway]{
		"bgp-asn":             func(g resource.CustomerGateway) []string { return asn(g.BGPASN) },
		"customer-gateway-id": func(g resource.CustomerGateway) []string { return filter.One(g.ID) },
		"ip-address": func(g resource.CustomerGateway) []string {
			if !g.IPAddress.IsValid() {
				return nil
			}
			return []string{g.IPAddress.String()}
		},
		"state": func(g resource.CustomerGateway) []string { return filter.One(g.State) },
		"type":  func(g resource.CustomerGateway) []string { return filter.One(g.Type) },
	}
}

// vpnGatewayFields are the filters of DescribeVpnGateways (vpn §1.8). A gateway
// of ours is in no zone, as AWS's new ones are.
func vpnGatewayFields() filter.Fields[resource.VPNGateway] {
	return filter.Fields[resource.VPNGateway]{
		"amazon-side-asn":   func(g resource.VPNGateway) []string { return asn(g.AmazonSideASN) },
		"attachment.state":  func(g resource.VPNGateway) []string { return filter.One(g.Attachment.State) },
		"attachment.vpc-id": func(g resource.VPNGateway) []string { return filter.One(g.Attachment.VPCID) },
		"availability-zone": func(resource.VPNGateway) []string { return nil },
		"state":             func(g resource.VPNGateway) []string { return filter.One(g.State) },
		"type":              func(g resource.VPNGateway) []string { return filter.One(g.Type) },
		"vpn-gateway-id":    func(g resource.VPNGateway) []string { return filter.One(g.ID) },
	}
}

// connectionFields are the filters of DescribeVpnConnections (vpn §1.8) but that
// of the configuration, which the rows do not hold: package sample has it.
func connectionFields(tx *store.Tx) filter.Fields[resource.VPNConnection] {
	return filter.Fields[resource.VPNConnection]{
		"bgp-asn": func(c resource.VPNConnection) []string {
			device, ok := store.CustomerGateways.Get(tx, c.CustomerGatewayID)
			if !ok {
				return nil
			}
			return asn(device.BGPASN)
		},
		"customer-gateway-id":       func(c resource.VPNConnection) []string { return filter.One(c.CustomerGatewayID) },
		"option.static-routes-only": func(c resource.VPNConnection) []string { return filter.YesNo(c.StaticRoutesOnly) },
		"route.destination-cidr-block": func(c resource.VPNConnection) (out []string) {
			for _, r := range c.Routes {
				out = append(out, r.Destination.String())
			}
			return out
		},
		"state":              func(c resource.VPNConnection) []string { return filter.One(c.State) },
		"transit-gateway-id": func(c resource.VPNConnection) []string { return filter.One(c.TransitGatewayID) },
		"type":               func(c resource.VPNConnection) []string { return filter.One(c.Type) },
		"vpn-connection-id":  func(c resource.VPNConnection) []string { return filter.One(c.ID) },
		"vpn-gateway-id":     func(c resource.VPNConnection) []string { return filter.One(c.VPNGatewayID) },
	}
}

// transitGatewayFields are the filters of DescribeTransitGateways (EC2 API
// Reference).
func transitGatewayFields() filter.Fields[resource.TransitGateway] {
	option := func(on func(resource.TransitGatewayOptions) bool) func(resource.TransitGateway) []string {
		return func(g resource.TransitGateway) []string { return filter.EnableDisable(on(g.Options)) }
	}
	return filter.Fields[resource.TransitGateway]{
		"options.amazon-side-asn":                    func(g resource.TransitGateway) []string { return asn(g.AmazonSideASN) },
		"options.association-default-route-table-id": func(g resource.TransitGateway) []string { return filter.One(g.AssociationTable) },
		"options.propagation-default-route-table-id": func(g resource.TransitGateway) []string { return filter.One(g.PropagationTable) },
		"options.auto-accept-shared-attachments":     option(func(o resource.TransitGatewayOptions) bool { return o.AutoAccept }),
		"options.default-route-table-association":    option(func(o resource.TransitGatewayOptions) bool { return o.DefaultAssociation }),
		"options.default-route-table-propagation":    option(func(o resource.TransitGatewayOptions) bool { return o.DefaultPropagation }),
		"options.dns-support":                        option(func(o resource.TransitGatewayOptions) bool { return o.DNSSupport }),
		"options.vpn-ecmp-support":                   option(func(o resource.TransitGatewayOptions) bool { return o.VPNECMP }),
		"owner-id":                                   func(g resource.TransitGateway) []string { return filter.One(g.OwnerID) },
		"state":                                      func(g resource.TransitGateway) []string { return filter.One(g.State) },
		"transit-gateway-id":                         func(g resource.TransitGateway) []string { return filter.One(g.ID) },
	}
}

// transitAttachmentFields are the filters of DescribeTransitGatewayAttachments
// (EC2 API Reference). Attachment, transit gateway and what is attached have one
// owner.
func transitAttachmentFields() filter.Fields[resource.TransitGatewayAttachment] {
	type attachment = resource.TransitGatewayAttachment
	return filter.Fields[attachment]{
		"association.state": func(a attachment) []string {
			switch {
			case a.RouteTableID == "":
				return nil
			case a.State == resource.StatePending:
				return []string{"associating"}
			case a.State == resource.StateDeleting:
				return []string{"disassociating"}
			}
			return []string{"associated"}
		},
		"association.transit-gateway-route-table-id": func(a attachment) []string { return filter.One(a.RouteTableID) },
		"resource-id":                   func(a attachment) []string { return filter.One(a.ResourceID()) },
		"resource-owner-id":             func(a attachment) []string { return filter.One(a.OwnerID) },
		"resource-type":                 func(a attachment) []string { return filter.One(a.Type) },
		"state":                         func(a attachment) []string { return filter.One(a.State) },
		"transit-gateway-attachment-id": func(a attachment) []string { return filter.One(a.ID) },
		"transit-gateway-id":            func(a attachment) []string { return filter.One(a.TransitGatewayID) },
		"transit-gateway-owner-id":      func(a attachment) []string { return filter.One(a.OwnerID) },
	}
}

// transitTableFields are the filters of DescribeTransitGatewayRouteTables (EC2 API
// Reference).
func transitTableFields() filter.Fields[resource.TransitGatewayRouteTable] {
	type table = resource.TransitGatewayRouteTable
	return filter.Fields[table]{
		"default-association-route-table": func(t table) []string { return filter.YesNo(t.DefaultAssociation) },
		"default-propagation-route-table": func(t table) []string { return filter.YesNo(t.DefaultPropagation) },
		"state":                           func(t table) []string { return filter.One(t.State) },
		"transit-gateway-id":              func(t table) []string { return filter.One(t.TransitGatewayID) },
		"transit-gateway-route-table-id":  func(t table) []string { return filter.One(t.ID) },
	}
}

// asn is a BGP number as filters have it.
func asn(n uint32) []string { return []string{fmt.Sprint(n)} }
