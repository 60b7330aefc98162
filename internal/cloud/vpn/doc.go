// Package vpn is Site-to-Site VPN: customer gateways, VPN gateways, VPN
// connections, their static routes, and transit gateways as operations on the
// store, and the pure plan of what gateways need of a host (vpn §1 to §4).
//
// Operations check a request and change rows, nothing else; MakePlan reads rows,
// nothing else. With time the host calls Advance, which replaces endpoints, and
// RecordHealth, which keeps what owners are to be told. The host makes the plan
// true, runs a worker for each gateway, and tells what came of it through
// MarkRealised, MarkTransitRealised and SetTelemetry. Nothing here
// negotiates keys or touches a kernel. The API, the lab and the host call it; it
// calls no other feature. Of dynamic connections it says who speaks BGP to whom
// and keeps what was learned; the worker speaks. A VPN gateway's worker chooses
// between tunnels by itself; a transit gateway's does not: MakePlan has the routes
// of its tables, chosen from what the store was told (docs/decisions/0012).
package vpn

// Codes of VPN (vpn §1.9); InvalidVpcState is what AWS was seen to answer for
// the second gateway of a VPC.
const (
	codeCustomerGatewayNotFound = "InvalidCustomerGatewayID.NotFound"
	codeVPNGatewayNotFound      = "InvalidVpnGatewayID.NotFound"
	codeVPNConnectionNotFound   = "InvalidVpnConnectionID.NotFound"
	codeAttachmentNotFound      = "InvalidVpnGatewayAttachment.NotFound"
	codeVPNGatewayState         = "InvalidVpnGatewayState"
	codeVPNConnectionState      = "InvalidVpnConnection.InvalidState"
	codeVPNConnectionType       = "InvalidVpnConnection.InvalidType"
	codeVPCState                = "InvalidVpcState"
	codeAttachmentLimit         = "VpnGatewayAttachmentLimitExceeded"
	codeCustomerGatewayLimit    = "CustomerGatewayLimitExceeded"
	codeVPNGatewayLimit         = "VpnGatewayLimitExceeded"
	codeConnectionLimit         = "VpnConnectionLimitExceeded"
	codeOptionConflict          = "InvalidOption.Conflict"
	codeCertificateNotFound     = "ResourceNotFoundException"
	codeCIDRInUse               = "InvalidCidr.InUse"
	codeNoAddresses             = "InsufficientAddressCapacity"
	codeRouteMalformed          = "InvalidRoute.Malformed"
	codeRouteNotFound           = "InvalidRoute.NotFound"
	codeRouteLimit              = "RouteLimitExceeded"
	codeConcurrentMutation      = "ConcurrentMutationLimitExceeded"
	codeUnsupported             = "UnsupportedOperation"
)
