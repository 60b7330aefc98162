package resource

import "time"

// Algorithms are what a tunnel may negotiate, by the names and numbers of vpn
// §2.1, in AWS's order: weakest first.
type Algorithms struct {
	IKEVersions      []string // "ikev1", "ikev2"
	Phase1Encryption []string // "AES128", …
	Phase2Encryption []string
	Phase1Integrity  []string // "SHA1", "SHA2-256", …
	Phase2Integrity  []string
	Phase1DHGroups   []int
	Phase2DHGroups   []int
}

// A TunnelLog is one of the two logs of a tunnel (vpn §6.2, §6.3).
type TunnelLog struct {
	Enabled  bool
	GroupARN string // of the log group; given when Enabled
	Format   string // LogJSON, LogText
}

// Formats of a TunnelLog.
const (
	LogJSON = "json"
	LogText = "text"
)

// TunnelLogs are the logs of a tunnel: of its activity, and of its BGP session.
type TunnelLogs struct{ Activity, BGP TunnelLog }

// ConnectionOptions are the options of a connection beside its selectors (vpn
// §2.1). Of those that are fixed to one value here there is no field.
type ConnectionOptions struct {
	Bandwidth string // BandwidthStandard, BandwidthLarge
	// KeyStorage says who shows the keys: the connection's descriptions, or,
	// KeysInSecret, only the secret SecretARN.
	KeyStorage string
	SecretARN  string
	// InsideIPv6 says that the tunnels carry IPv6 and nothing else
	// (TunnelInsideIpVersion), OutsideIPv6 that they are between outside addresses of
	// IPv6 (OutsideIpAddressType). Both are fixed at creation (vpn §4.7).
	InsideIPv6, OutsideIPv6 bool
}

// Values of ConnectionOptions.
const (
	BandwidthStandard = "standard"
	BandwidthLarge    = "large"
	KeysInConnection  = "Standard"
	KeysInSecret      = "SecretsManager"
)

// A TunnelEndpoint is the cloud's end of one tunnel as it is replaced: another
// process of negotiation at the same address with the same options (vpn §3.6).
type TunnelEndpoint struct {
	// Generation counts the endpoints that the tunnel has had before. A host
	// begins a tunnel anew whose generation is another.
	Generation int
	// Draining is when the endpoint began to be emptied of traffic before it is
	// replaced, and Replaced when the last one was; Returning says that the tunnel
	// has not come up since.
	Draining, Replaced time.Time
	Returning          bool

	Maintenance Maintenance
}

// Busy reports whether traffic is kept off the tunnel.
func (e TunnelEndpoint) Busy() bool { return !e.Draining.IsZero() || e.Returning }

// Maintenance is what the cloud wants to do to an endpoint, or has done (vpn
// §3.6).
type Maintenance struct {
	Pending      bool
	AppliedAfter time.Time // when what is pending is done without being asked
	LastApplied  time.Time
}
