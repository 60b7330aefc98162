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
	TunnelInsideIPVersion string // ipv4 (default); ipv6, not on VPN gateways
	OutsideIPAddressType  string // PublicIpv4 (default); Ipv6, not on VPN gateways; PrivateIpv4 is not offered
	TransportAttachmentID string // TransportTransitGatewayAttachmentId, for PrivateIpv4
	LocalIPv6NetworkCIDR  netip.Prefix
	RemoteIPv6NetworkCIDR netip.Prefix
	VPNConcentratorID     string // not offered
	Bandwidth             string // TunnelBandwidth: standard (default); large, transit gateways only
	PreSharedKeyStorage   string // Standard (default), SecretsManager
}

// Values of TunnelInsideIpVersion and OutsideIpAddressType.
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
		InsideIPv6: inside == insideIPv6, OutsideIPv6: outside == outsideIPv6,
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
	c.unsupported(in, outside)
	return out, c.err
}

// unsupported refuses what AWS has and this cloud has not.
func (c *checker) unsupported(in FixedOptionsInput, outside string) {
	const cure = "is not offered by this cloud"
	switch {
	case in.VPNConcentratorID != "":
		c.refuse(codeUnsupported, "VpnConcentratorId", "%s %s; name a transit gateway", in.VPNConcentratorID, cure)
	case in.EnableAcceleration:
		c.refuse(codeUnsupported, "EnableAcceleration", "true %s; leave it out", cure)
	case outside == outsideOwn:
		c.refuse(codeUnsupported, "OutsideIpAddressType", "%s %s; leave it out", outside, cure)
	}
}

// fixed is the request that would give the options of c that no later request can
// change, and those that this one may leave as they are.
func fixed(c resource.VPNConnection) FixedOptionsInput {
	in := FixedOptionsInput{Bandwidth: c.Options.Bandwidth, PreSharedKeyStorage: c.Options.KeyStorage}
	if c.Options.InsideIPv6 {
		in.TunnelInsideIPVersion = insideIPv6
	}
	if c.Options.OutsideIPv6 {
		in.OutsideIPAddressType = outsideIPv6
	}
	return in
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

// checkTunnels refuses options of tunnels that their connection cannot have: IPv6
// inside blocks without IPv6, and, without BGP, a log of it (vpn §6.3) and BFD,
// which goes with it.
func checkTunnels(c resource.VPNConnection) error {
	for i, o := range c.Tunnels {
		switch {
		case o.InsideIPv6CIDR.IsValid() && !c.Options.InsideIPv6:
			return resource.Errorf(resource.CodeInvalidParameterCombination, "TunnelOptions.%d.TunnelInsideIpv6Cidr: %v is for connections whose TunnelInsideIpVersion is ipv6", i+1, o.InsideIPv6CIDR)
		case !c.StaticRoutesOnly:
		case o.Logs.BGP.Enabled:
			return resource.Errorf(resource.CodeInvalidParameterCombination, "TunnelOptions.%d.LogOptions.CloudWatchLogOptions.BgpLogEnabled: the connection has static routes only and no BGP; leave it out", i+1)
		case o.BFD != resource.BFD{}:
			return resource.Errorf(resource.CodeInvalidParameterCombination, "TunnelOptions.%d.BFDInterval: the connection has static routes only, and BFD goes with BGP; leave it out, or use a shorter liveness", i+1)
		}
	}
	return nil
}
