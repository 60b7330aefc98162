package resource

import "net/netip"

// GatewayType is the only type of customer gateway, VPN gateway and VPN
// connection (vpn §1.3).
const GatewayType = "ipsec.1"

// A CustomerGateway describes the device at the other site; making one
// configures nothing (vpn §1.1). It never changes.
type CustomerGateway struct {
	ID      CustomerGatewayID
	OwnerID Account
	State   State
	Type    string // GatewayType
	// IPAddress is the device's, or its NAT router's, outside address, of IPv4 or IPv6. It is
	// invalid for a device without a fixed one, which has a certificate.
	IPAddress      netip.Addr
	CertificateARN CertificateARN // empty: it authenticates by pre-shared keys
	BGPASN         uint32         // 1 to 4294967295; 65000 when not given
	DeviceName     string         // at most 255 bytes
	Tags           Tags
}
