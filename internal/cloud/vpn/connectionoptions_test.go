package vpn

import (
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// Each connection option of vpn §2.1 with each target: what AWS refuses with the
// code that it has for it, and what only this cloud lacks as unsupported.
func TestConnectionOptionsAreForTheirTargets(t *testing.T) {
	gateway, transit, none := target{gateway: "vgw-1"}, target{transit: "tgw-1"}, target{}
	for _, c := range []struct {
		name string // with the section
		to   target
		in   FixedOptionsInput
		want string // the error; empty for none
	}{
		{"§2.1 nothing", gateway, FixedOptionsInput{}, ""},
		{"§2.1 defaults spelled out", gateway, FixedOptionsInput{TunnelInsideIPVersion: "ipv4", OutsideIPAddressType: "PublicIpv4", Bandwidth: "standard", PreSharedKeyStorage: "Standard"}, ""},
		{"§2.1 acceleration needs a TGW", gateway, FixedOptionsInput{EnableAcceleration: true}, "InvalidParameterCombination: EnableAcceleration: true needs a transit gateway, and vgw-1 is a VPN gateway"},
		{"§5.5 acceleration is not offered", transit, FixedOptionsInput{EnableAcceleration: true}, "UnsupportedOperation: EnableAcceleration: true is not offered by this cloud; leave it out"},
		{"§2.1 IPv6 inside needs a TGW", gateway, FixedOptionsInput{TunnelInsideIPVersion: "ipv6"}, "InvalidParameterCombination: TunnelInsideIpVersion: ipv6 needs a transit gateway, and vgw-1 is a VPN gateway"},
		{"§4.7 IPv6 inside", transit, FixedOptionsInput{TunnelInsideIPVersion: "ipv6", LocalIPv6NetworkCIDR: prefix("2001:db8::/32")}, ""},
		{"§4.7 IPv6 inside, associated later", none, FixedOptionsInput{TunnelInsideIPVersion: "ipv6"}, ""},
		{"§2.1 inside version is a word of two", transit, FixedOptionsInput{TunnelInsideIPVersion: "IPv6"}, `InvalidParameterValue: TunnelInsideIpVersion: "IPv6" is none of ipv4, ipv6`},
		{"§2.1 IPv6 selector without IPv6 inside", transit, FixedOptionsInput{LocalIPv6NetworkCIDR: prefix("::/0")}, "InvalidParameterCombination: LocalIpv6NetworkCidr: ::/0 is for connections whose TunnelInsideIpVersion is ipv6"},
		{"§2.1 the other side, too", transit, FixedOptionsInput{RemoteIPv6NetworkCIDR: prefix("2001:db8::/32")}, "InvalidParameterCombination: RemoteIpv6NetworkCidr: 2001:db8::/32 is for connections whose TunnelInsideIpVersion is ipv6"},
		{"§2.1 the API's spelling of Ipv6", transit, FixedOptionsInput{OutsideIPAddressType: "IPv6"}, `InvalidParameterValue: OutsideIpAddressType: "IPv6" is none of PublicIpv4, PrivateIpv4, Ipv6`},
		{"§4.7 IPv6 outside needs a TGW", gateway, FixedOptionsInput{OutsideIPAddressType: "Ipv6"}, "InvalidParameterCombination: OutsideIpAddressType: Ipv6 needs a transit gateway, and vgw-1 is a VPN gateway"},
		{"§4.7 IPv6 outside", transit, FixedOptionsInput{OutsideIPAddressType: "Ipv6"}, ""},
		{"§4.7 IPv6 inside and outside", transit, FixedOptionsInput{TunnelInsideIPVersion: "ipv6", OutsideIPAddressType: "Ipv6"}, ""},
		{"§1.4 private outside needs its transport", transit, FixedOptionsInput{OutsideIPAddressType: "PrivateIpv4"}, "InvalidParameterCombination: TransportTransitGatewayAttachmentId: is required when OutsideIpAddressType is PrivateIpv4"},
		{"§5.5 private outside is not accelerated", transit, FixedOptionsInput{OutsideIPAddressType: "PrivateIpv4", TransportAttachmentID: "tgw-attach-1", EnableAcceleration: true}, "InvalidParameterCombination: OutsideIpAddressType: PrivateIpv4 and EnableAcceleration exclude each other"},
		{"§5.5 private outside is not offered", transit, FixedOptionsInput{OutsideIPAddressType: "PrivateIpv4", TransportAttachmentID: "tgw-attach-1"}, "UnsupportedOperation: OutsideIpAddressType: PrivateIpv4 is not offered by this cloud; leave it out"},
		{"§1.4 transport without private outside", transit, FixedOptionsInput{TransportAttachmentID: "tgw-attach-1"}, "InvalidParameterCombination: TransportTransitGatewayAttachmentId: is only for OutsideIpAddressType PrivateIpv4"},
		{"§5.3 large needs a TGW", gateway, FixedOptionsInput{Bandwidth: "large"}, "InvalidParameterCombination: TunnelBandwidth: large needs a transit gateway, and vgw-1 is a VPN gateway"},
		{"§5.3 large is not accelerated", transit, FixedOptionsInput{Bandwidth: "large", EnableAcceleration: true}, "InvalidParameterCombination: TunnelBandwidth: large and EnableAcceleration exclude each other"},
		{"§5.3 large at a TGW", transit, FixedOptionsInput{Bandwidth: "large"}, ""},
		{"§5.3 large, associated later", none, FixedOptionsInput{Bandwidth: "large"}, ""},
		{"§2.1 bandwidth is lower case", transit, FixedOptionsInput{Bandwidth: "Large"}, `InvalidParameterValue: TunnelBandwidth: "Large" is none of standard, large`},
		{"§2.1 key storage is a word of two", gateway, FixedOptionsInput{PreSharedKeyStorage: "secretsmanager"}, `InvalidParameterValue: PreSharedKeyStorage: "secretsmanager" is none of Standard, SecretsManager`},
		{"§5.4 concentrator", none, FixedOptionsInput{VPNConcentratorID: "vcn-1"}, "UnsupportedOperation: VpnConcentratorId: vcn-1 is not offered by this cloud; name a transit gateway"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := c.in.options(c.to); text(err) != c.want {
				t.Errorf("got  %q\nwant %q", text(err), c.want)
			}
		})
	}
}

func TestAConnectionHasAtMostOneTarget(t *testing.T) {
	c := newCloud(t)
	in := c.pair().input()
	in.TransitGatewayID = "tgw-1"
	c.refused("InvalidParameterCombination", creating(in), "must not contain both parameter vpnGatewayId and transitGatewayId") // §1.4
	in.VPNGatewayID = ""
	c.refused("InvalidTransitGatewayID.NotFound", creating(in), "tgw-1") // §1.9
}

// An unassociated connection is made, is available, and says so (vpn §5.6, §1.6).
func TestAConnectionMayWaitForItsTarget(t *testing.T) {
	c := newCloud(t)
	in := c.pair().input()
	in.VPNGatewayID = ""
	row := c.connect(in)
	c.realise()
	row, _ = c.connection(row.ID)
	if row.State != resource.StateAvailable || row.AssociationState() != "not-associated" {
		t.Errorf("got %s, %s, want available, not-associated", row.State, row.AssociationState())
	}
	c.refused("InvalidVpnConnection.InvalidType", routing(row.ID, "192.168.1.0/24"), "no gateway")
}

// A secret keeps the keys: descriptions show its name instead (vpn §2.2).
func TestKeysInASecretAreNotDescribed(t *testing.T) {
	c := newCloud(t)
	in := c.pair().input()
	in.Options.PreSharedKeyStorage = resource.KeysInSecret
	in.Tunnels[0].PreSharedKey = secret.FromString("first.key")
	made := c.connect(in)
	c.do(func(tx *store.Tx) error {
		list, err := DescribeVPNConnections(tx, alice, nil)
		if err != nil {
			return err
		}
		for _, shown := range append(list, made) {
			if !shown.Tunnels[0].PreSharedKey.IsZero() || !shown.Tunnels[1].PreSharedKey.IsZero() {
				t.Error("a description shows keys that a secret keeps")
			}
		}
		arn := list[0].Options.SecretARN
		keys, err := GetVPNConnectionSecret(tx, alice, arn)
		if err != nil || !keys[0].Equal(secret.FromString("first.key")) || keys[1].Len() != pskGenerated {
			t.Errorf("secret %s: got keys of %d and %d characters, %v, want the one given and one of %d", arn, keys[0].Len(), keys[1].Len(), err, pskGenerated)
		}
		if _, err := GetVPNConnectionSecret(tx, bob, arn); resource.CodeOf(err) != "ResourceNotFoundException" {
			t.Errorf("another account: got %v, want ResourceNotFoundException", err)
		}
		if _, err := GetVPNConnectionSecret(tx, alice, ""); resource.CodeOf(err) != "ResourceNotFoundException" {
			t.Errorf("no name: got %v, want ResourceNotFoundException", err)
		}
		return nil
	})
	if again := c.connect(in); again.ID != made.ID || !again.Tunnels[0].PreSharedKey.IsZero() {
		t.Errorf("repeated: got %s with a key of %d characters, want %s with none", again.ID, again.Tunnels[0].PreSharedKey.Len(), made.ID)
	}
}

// The logs of a tunnel and its lifecycle control (vpn §2.1, §6.2, §6.3).
func TestLogOptionsAreChecked(t *testing.T) {
	on, group := true, "arn:aws:logs:us-east-1:111111111111:log-group:/aws/vendedlogs/vpn:*"
	activity := func(in TunnelLogInput) TunnelOptionsInput {
		return TunnelOptionsInput{Logs: TunnelLogsInput{Activity: in}}
	}
	bgp := func(in TunnelLogInput) TunnelOptionsInput {
		return TunnelOptionsInput{Logs: TunnelLogsInput{BGP: in}}
	}
	for _, c := range []struct {
		name string
		in   TunnelOptionsInput
		want string
	}{
		{"off", TunnelOptionsInput{}, ""},
		{"on", activity(TunnelLogInput{&on, group, "text"}), ""},
		{"on without a group", activity(TunnelLogInput{Enabled: &on}), "MissingParameter: TunnelOptions.1.LogOptions.CloudWatchLogOptions.LogGroupArn: is required while LogOptions.CloudWatchLogOptions.LogEnabled is true; give the log group's ARN"},
		{"BGP on without a group", bgp(TunnelLogInput{Enabled: &on}), "MissingParameter: TunnelOptions.1.LogOptions.CloudWatchLogOptions.BgpLogGroupArn: is required while LogOptions.CloudWatchLogOptions.BgpLogEnabled is true; give the log group's ARN"},
		{"no ARN", activity(TunnelLogInput{&on, "/aws/vendedlogs/vpn", ""}), `InvalidParameterValue: TunnelOptions.1.LogOptions.CloudWatchLogOptions.LogGroupArn: "/aws/vendedlogs/vpn" is not the ARN of a log group, such as arn:aws:logs:us-east-1:111111111111:log-group:/aws/vendedlogs/vpn`},
		{"another service's ARN", bgp(TunnelLogInput{&on, "arn:aws:s3:::bucket", ""}), `InvalidParameterValue: TunnelOptions.1.LogOptions.CloudWatchLogOptions.BgpLogGroupArn: "arn:aws:s3:::bucket" is not the ARN of a log group, such as arn:aws:logs:us-east-1:111111111111:log-group:/aws/vendedlogs/vpn`},
		{"unknown format", bgp(TunnelLogInput{&on, group, "xml"}), `InvalidParameterValue: TunnelOptions.1.LogOptions.CloudWatchLogOptions.BgpLogOutputFormat: "xml" is none of json, text`},
		{"IPv6 inside block of another network", TunnelOptionsInput{InsideIPv6CIDR: prefix("2001:db8::/126")}, "InvalidParameterValue: TunnelOptions.1.TunnelInsideIpv6Cidr: 2001:db8::/126 is not a /126 of fd00::/8"},
		{"IPv6 inside block of another length", TunnelOptionsInput{InsideIPv6CIDR: prefix("fd00::/128")}, "InvalidParameterValue: TunnelOptions.1.TunnelInsideIpv6Cidr: fd00::/128 is not a /126 of fd00::/8"},
		{"IPv6 inside block with host bits", TunnelOptionsInput{InsideIPv6CIDR: prefix("fd00::5/126")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := c.in.complete(1)
			if text(err) != c.want {
				t.Errorf("got  %q\nwant %q", text(err), c.want)
			}
			if c.name == "off" && (o.Logs != resource.TunnelLogs{Activity: resource.TunnelLog{Format: "json"}, BGP: resource.TunnelLog{Format: "json"}} || o.LifecycleControl) {
				t.Errorf("defaults: got %+v and lifecycle control %v, want both logs off and json, and no control", o.Logs, o.LifecycleControl)
			}
		})
	}
	cl := newCloud(t)
	in := cl.pair().input()
	in.Tunnels[1] = bgp(TunnelLogInput{&on, group, ""})
	cl.refused("InvalidParameterCombination", creating(in), "TunnelOptions.2.LogOptions.CloudWatchLogOptions.BgpLogEnabled") // §6.3: dynamic only
	in.StaticRoutesOnly = false
	cl.refused("", creating(in))
}

func TestBFDGoesWithBGP(t *testing.T) {
	c := newCloud(t)
	in := c.pair().input()
	in.Tunnels[1].BFD = &resource.BFD{Interval: 250 * time.Millisecond}
	in.StaticRoutesOnly = true
	c.refused(resource.CodeInvalidParameterCombination, creating(in), "TunnelOptions.2.BFDInterval: the connection has static routes only")
	in.StaticRoutesOnly = false
	if got := c.connect(in).Tunnels; got[0].BFD != (resource.BFD{}) || got[1].BFD != (resource.BFD{Interval: 250 * time.Millisecond, Multiplier: 3}) {
		t.Errorf("got %+v and %+v, want none and every 250ms, 3 times", got[0].BFD, got[1].BFD)
	}
}
