package resource

import (
	"net/netip"
	"strconv"
	"time"

	"seikan/internal/secret"
)

// A VPNConnection is exactly two tunnels between one customer gateway and one
// VPN gateway (vpn §1.1).
type VPNConnection struct {
	ID                VPNConnectionID
	OwnerID           Account
	State             State
	Type              string // GatewayType
	Category          string // "VPN"
	CustomerGatewayID CustomerGatewayID
	VPNGatewayID      VPNGatewayID

	// StaticRoutesOnly is fixed at creation: false means BGP.
	StaticRoutesOnly bool
	// LocalCIDR is the customer's side and RemoteCIDR the cloud's: the traffic
	// selectors of phase 2 (vpn §1.1: "local" is always on-premises).
	LocalCIDR, RemoteCIDR netip.Prefix
	Tunnels               [2]TunnelOptions
	Routes                []StaticRoute // by destination
	Telemetry             [2]TunnelTelemetry
	// Slot numbers the connection among those of its gateway, from 0: its
	// tunnels are tun<2·Slot+1> and tun<2·Slot+2> as long as it lives.
	Slot    int
	Created time.Time
	Deleted time.Time // when State became deleted; zero before
	Tags    Tags
}

// Alive reports whether the connection is neither deleted nor about to be.
func (c VPNConnection) Alive() bool { return c.State == StatePending || c.State == StateAvailable }

// Up reports whether at least one tunnel is up.
func (c VPNConnection) Up() bool {
	return c.Telemetry[0].Status == TunnelUp || c.Telemetry[1].Status == TunnelUp
}

// VisitSecrets shows each secret of the connection with its name, which is
// stable: the store keeps them under it, apart from the rest of the row.
func (c *VPNConnection) VisitSecrets(visit func(name string, s *secret.Secret)) {
	for i := range c.Tunnels {
		visit("tunnel"+strconv.Itoa(i+1)+".psk", &c.Tunnels[i].PreSharedKey)
	}
}

// A StaticRoute is a network behind the customer gateway.
type StaticRoute struct {
	Destination netip.Prefix
	State       State // pending, available, deleted
}

// A TelemetryStatus is UP or DOWN (vpn §1.6).
type TelemetryStatus string

// Telemetry states.
const (
	TunnelUp   TelemetryStatus = "UP"
	TunnelDown TelemetryStatus = "DOWN"
)

// TunnelTelemetry is what is known of one tunnel (vpn §1.7).
type TunnelTelemetry struct {
	OutsideIP     netip.Addr
	Status        TelemetryStatus
	StatusMessage string // empty for a static connection
	// Reason says why the tunnel is down, in the gateway's words: an extension
	// of Seikan, for AWS's telemetry has no such field. Of a dynamic connection
	// whose IPsec is up it says what last kept BGP down.
	Reason             string
	AcceptedRouteCount int
	CertificateARN     CertificateARN // of the cloud's end; empty with pre-shared keys
	LastStatusChange   time.Time      // whole seconds, UTC
	Detail             TunnelDetail
	// Learned are the prefixes that the customer gateway announces over the
	// tunnel and that may be used, by prefix; none while its IPsec is down.
	Learned []LearnedRoute
}

// A LearnedRoute is one prefix that a customer gateway announces by BGP.
type LearnedRoute struct {
	Prefix netip.Prefix
	ASPath []uint32 // the customer gateway's number first
	MED    uint32   // DefaultMED when none is sent
	Origin string   // "IGP", "EGP", "incomplete"
}

// DefaultMED is what a route that came by a VPN without a MED counts as (vpn
// §4.2).
const DefaultMED = 100

// A TunnelDetail is what the gateway reports of a tunnel beyond AWS's
// telemetry; its zero value stands for a tunnel that is down.
type TunnelDetail struct {
	IKEVersion  string // "ikev1", "ikev2"
	NATDetected bool
	Phase1      string // "AES256-GCM-16/PRF-SHA2-384/DH20"
	Phase2      string
	// InsideLocal is the cloud's inside address, InsideRemote the customer's.
	InsideLocal, InsideRemote netip.Addr
	BytesIn, BytesOut         uint64 // inner octets since the tunnel came up
}
