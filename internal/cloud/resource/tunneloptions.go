package resource

import (
	"net/netip"
	"time"

	"seikan/internal/secret"
)

// TunnelOptions is the complete configuration of one tunnel: nothing is left
// to a default. Ranges and defaults: vpn §2.1.
type TunnelOptions struct {
	OutsideIP  netip.Addr   // the cloud's end; the tunnel's key in the API
	InsideCIDR netip.Prefix // a /30 of 169.254.0.0/16, host bits clear
	// InsideIPv6CIDR is a /126 of fd00::/8 for a tunnel that carries IPv6, which has
	// InsideCIDR besides and does not use it (vpn §2.1).
	InsideIPv6CIDR netip.Prefix

	// PreSharedKey never passes through plain JSON: the store asks for it by
	// VisitSecrets.
	PreSharedKey secret.Secret `json:"-"`

	Phase1Lifetime   time.Duration
	Phase2Lifetime   time.Duration
	RekeyMargin      time.Duration
	RekeyFuzz        int // percent, 0 to 100
	ReplayWindow     int // packets, 64 to 2048
	DPDTimeout       time.Duration
	DPDTimeoutAction string // clear, none, restart
	StartupAction    string // add, start

	Algorithms // its fields are those of the options, as if they stood here

	// LivenessInterval and LivenessTimeout are an extension of Seikan: how long
	// a tunnel may be silent before a probe, and how long probes may go
	// unanswered. Zero means what AWS does: 10 s, and what is left of DPDTimeout.
	LivenessInterval, LivenessTimeout time.Duration
	// BFD is an extension of Seikan, too: AWS has none on VPNs.
	BFD BFD

	Logs TunnelLogs
	// LifecycleControl lets the owner choose when the endpoint is replaced.
	LifecycleControl bool
}

// BFD watches the path of a tunnel with a BGP session several times a second (RFC
// 5880, 5881), if the customer gateway does so, too. The zero value is none.
type BFD struct {
	Interval   time.Duration // how often each end is heard; the slower of the two decides
	Multiplier int           // the path is broken after so many of them in silence
}

// Inside is the block of the addresses that the tunnel's ends have.
func (o TunnelOptions) Inside() netip.Prefix {
	if o.InsideIPv6CIDR.IsValid() {
		return o.InsideIPv6CIDR
	}
	return o.InsideCIDR
}

// InsideLocal is the cloud's inside address, the first usable one (vpn §2.2).
func (o TunnelOptions) InsideLocal() netip.Addr { return o.Inside().Masked().Addr().Next() }

// InsideRemote is the customer's inside address, the second usable one.
func (o TunnelOptions) InsideRemote() netip.Addr { return o.InsideLocal().Next() }
