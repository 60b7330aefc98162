package store

import "seikan/internal/cloud/resource"

// The tables of networks and VPN. The nouns of load balancers, endpoints and
// DNS have theirs in files of their own beside this one. Every feature may read
// every table; which one writes it stands here.
var (
	// Written by cloud/vpc.
	VPCs           = Table[resource.VPCID, resource.VPC]{Name: "vpc"}
	Subnets        = Table[resource.SubnetID, resource.Subnet]{Name: "subnet"}
	RouteTables    = Table[resource.RouteTableID, resource.RouteTable]{Name: "route-table"}
	SecurityGroups = Table[resource.SecurityGroupID, resource.SecurityGroup]{Name: "security-group"}
	Instances      = Table[resource.InstanceID, resource.Instance]{Name: "instance"}

	// Written by cloud/ipam only, for cloud/vpc and for services.
	NetworkInterfaces = Table[resource.NetworkInterfaceID, resource.NetworkInterface]{Name: "network-interface"}

	// Written by cloud/vpn.
	CustomerGateways = Table[resource.CustomerGatewayID, resource.CustomerGateway]{Name: "customer-gateway"}
	VPNGateways      = Table[resource.VPNGatewayID, resource.VPNGateway]{Name: "vpn-gateway"}
	VPNConnections   = Table[resource.VPNConnectionID, resource.VPNConnection]{Name: "vpn-connection"}

	VPNHealth = Table[resource.VPNConnectionID, resource.ConnectionHealth]{Name: "vpn-health"}

	TransitGateways           = Table[resource.TransitGatewayID, resource.TransitGateway]{Name: "transit-gateway"}
	TransitGatewayAttachments = Table[resource.TransitGatewayAttachmentID, resource.TransitGatewayAttachment]{Name: "transit-gateway-attachment"}
	TransitGatewayRouteTables = Table[resource.TransitGatewayRouteTableID, resource.TransitGatewayRouteTable]{Name: "transit-gateway-route-table"}
	CertificateAuthorities    = Table[resource.CertificateAuthorityARN, resource.CertificateAuthority]{Name: "certificate-authority"}
	Certificates              = Table[resource.CertificateARN, resource.Certificate]{Name: "certificate"}

	// Written by the host's or the lab's configuration.
	OutsidePools = Table[string, resource.OutsidePool]{Name: "outside-pool"}
)
