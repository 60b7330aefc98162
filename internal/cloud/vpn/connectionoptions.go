package vpn

import (
	"cmp"
	"net/netip"

	"seikan/internal/cloud/resource"
)

// FixedOptionsInput are the options of a connection that no later request can
// change (vpn §1.4), but for Bandwidth and PreSharedKeyStorage. Empty values mean
// the defaults of vpn §2.1. What a target cannot have is refused as AWS refuses
// it; what only this cloud lacks is refused with UnsupportedOperation.
type FixedOptionsInput struct {
	EnableAcceleration    bool   // transit gateways only; not offered
	TunnelInsideIPVersion string // ipv4 (default); ipv6, transit gateways only, is not offered
	OutsideIPAddressType  string // PublicIpv4 (default); PrivateIpv4 and Ipv6 are not offered
	TransportAttachmentID string // TransportTransitGatewayAttachmentId, for PrivateIpv4
	LocalIPv6NetworkCIDR  netip.Prefix
	RemoteIPv6NetworkCIDR netip.Prefix
	VPNConcentratorID     string // not offered
	Bandwidth             string // TunnelBandwidth: standard (default); large, transit gateways only
	PreSharedKeyStorage   string // Standard (default), SecretsManager
}

// Values of options that are not kept, since only one of each is offered.
const (
	insideIPv4  = "ipv4"
	insideIPv6  = "ipv6"
	outsideIPv4 = "PublicIpv4"
	outsideOwn  = "PrivateIpv4"
	outsideIPv6 = "Ipv6"
)

// options checks in for a connection to target.
func (in FixedOptionsInput) options(target target) (resource.ConnectionOptions, error) {
	var c checker
	inside := c.word("TunnelInsideIpVersion", in.TunnelInsideIPVersion, insideIPv4, insideIPv6)
	outside := c.word("OutsideIpAddressType", in.OutsideIPAddressType, outsideIPv4, outsideOwn, outsideIPv6)
	out := resource.ConnectionOptions{
		Bandwidth:  c.word("TunnelBandwidth", in.Bandwidth, resource.BandwidthStandard, resource.BandwidthLarge),
		KeyStorage: c.word("PreSharedKeyStorage", in.PreSharedKeyStorage, resource.KeysInConnection, resource.KeysInSecret),
	}
	atGateway := target.gateway != ""
	combination := func(wrong bool, option, format string, args ...any) {
		if wrong {
			c.refuse(resource.CodeInvalidParameterCombination, option, format, args...)
		}
	}
	combination(in.EnableAcceleration && atGateway, "EnableAcceleration", "true needs a transit gateway, and %s is a VPN gateway", target.gateway)
	combination(inside == insideIPv6 && atGateway, "TunnelInsideIpVersion", "%s needs a transit gateway, and %s is a VPN gateway", inside, target.gateway)
	combination(outside == outsideIPv6 && atGateway, "OutsideIpAddressType", "%s needs a transit gateway, and %s is a VPN gateway", outside, target.gateway)
	combination(out.Bandwidth == resource.BandwidthLarge && atGateway, "TunnelBandwidth", "%s needs a transit gateway, and %s is a VPN gateway", out.Bandwidth, target.gateway)
	combination(out.Bandwidth == resource.BandwidthLarge && in.EnableAcceleration, "TunnelBandwidth", "%s and EnableAcceleration exclude each other", out.Bandwidth)
	combination(outside == outsideOwn && in.TransportAttachmentID == "", "TransportTransitGatewayAttachmentId", "is required when OutsideIpAddressType is %s", outside)
	combination(outside == outsideOwn && in.EnableAcceleration, "OutsideIpAddressType", "%s and EnableAcceleration exclude each other", outside)
	combination(outside != outsideOwn && in.TransportAttachmentID != "", "TransportTransitGatewayAttachmentId", "is only for OutsideIpAddressType %s", outsideOwn)
	for _, side := range []struct {
		option string
		block  netip.Prefix
	}{{"LocalIpv6NetworkCidr", in.LocalIPv6NetworkCIDR}, {"RemoteIpv6NetworkCidr", in.RemoteIPv6NetworkCIDR}} {
		combination(side.block != netip.Prefix{} && inside != insideIPv6, side.option, "%v is for connections whose TunnelInsideIpVersion is ipv6", side.block)
	}
	c.unsupported(in, inside, outside)
	return out, c.err
}

// unsupported refuses what AWS has and this cloud has not.
func (c *checker) unsupported(in FixedOptionsInput, inside, outside string) {
	const cure = "is not offered by this cloud"
	switch {
	case in.VPNConcentratorID != "":
		c.refuse(codeUnsupported, "VpnConcentratorId", "%s %s; name a transit gateway", in.VPNConcentratorID, cure)
	case in.EnableAcceleration:
		c.refuse(codeUnsupported, "EnableAcceleration", "true %s; leave it out", cure)
	case inside != insideIPv4:
		c.refuse(codeUnsupported, "TunnelInsideIpVersion", "%s %s; leave it out", inside, cure)
	case outside != outsideIPv4:
		c.refuse(codeUnsupported, "OutsideIpAddressType", "%s %s; leave it out", outside, cure)
	}
}

// A target is the cloud's end of a connection: one of the two, or neither.
type target struct {
	gateway resource.VPNGatewayID
	transit resource.TransitGatewayID
}

func (t target) String() string { return string(t.gateway) + string(t.transit) }

func targetOf(c resource.VPNConnection) target { return target{c.VPNGatewayID, c.TransitGatewayID} }

// label is how an error names t.
func (t target) label() string { return cmp.Or(t.String(), "no gateway") }

// check refuses a target that is two.
func (t target) check() error {
	if t.gateway != "" && t.transit != "" {
		return resource.Errorf(resource.CodeInvalidParameterCombination, "The request must not contain both parameter vpnGatewayId and transitGatewayId")
	}
	return nil
}

// checkStatic refuses what a connection without BGP cannot have: a log of it (vpn
// §6.3), and BFD, which goes with it.
func checkStatic(c resource.VPNConnection) error {
	if !c.StaticRoutesOnly {
		return nil
	}
	for i, o := range c.Tunnels {
		switch {
		case o.Logs.BGP.Enabled:
			return resource.Errorf(resource.CodeInvalidParameterCombination, "TunnelOptions.%d.LogOptions.CloudWatchLogOptions.BgpLogEnabled: the connection has static routes only and no BGP; leave it out", i+1)
		case o.BFD != resource.BFD{}:
			return resource.Errorf(resource.CodeInvalidParameterCombination, "TunnelOptions.%d.BFDInterval: the connection has static routes only, and BFD goes with BGP; leave it out, or use a shorter liveness", i+1)
		}
	}
	return nil
}
