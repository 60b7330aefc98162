package device

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
	"seikan/internal/site/awsconfig"
)

// TestAWSFormatsAreReadAgain has our own reader of AWS's files take what is
// written in AWS's formats, and find the connection in it.
func TestAWSFormatsAreReadAgain(t *testing.T) {
	for _, name := range []string{"generic", "aws-xml"} {
		for _, gateway := range []string{"vgw-0a1b2c3d4e5f60718", "tgw-0a1b2c3d4e5f60718"} {
			for _, bgp := range []bool{true, false} {
				typ, err := Find(name)
				if err != nil {
					t.Fatal(err)
				}
				c := office(bgp)
				c.GatewayID = gateway
				files, err := Configure(typ, c, Choices{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := awsconfig.Parse([]byte(files[0].Text), c.ID)
				if err != nil {
					t.Fatalf("%s, BGP %v: %v in\n%s", name, bgp, err, files[0].Text)
				}
				if got.Static == bgp || got.GatewayID != gateway || got.CustomerGatewayID != c.CustomerGatewayID {
					t.Errorf("%s: got static %v, %s, %s, want BGP %v, %s, %s", name, got.Static, got.GatewayID, got.CustomerGatewayID, bgp, gateway, c.CustomerGatewayID)
				}
				for i, tun := range got.Tunnels {
					want := c.Gateway.Tunnels[i]
					if tun.AWS.Outside != want.Outside.Remote || tun.Customer.Outside.String() != want.Outside.LocalID || tun.Customer.Inside != want.Inside ||
						!tun.PSK.Equal(want.PSK) || tun.AWS.ASN != want.BGP.PeerASN || tun.Customer.ASN != c.Gateway.BGP.ASN || tun.HoldTime != want.BGP.Hold ||
						tun.Stated.IKE.Lifetime != want.Lifetime.Phase1 || tun.Stated.ESP.Lifetime != want.Lifetime.Phase2 ||
						tun.Stated.IKE.Encryption != "aes-256-gcm-16" || tun.Stated.IKE.Group != 20 || tun.MSS != 1398 || tun.DPD.Retries != 3 {
						t.Errorf("%s, tunnel %d: got %+v, want %+v", name, i+1, tun, want)
					}
				}
			}
		}
	}
}

// TestIPv6OutsideIsReadAgainOrRefused is the same for outside addresses of IPv6
// (vpn §4.7); what else is written for them is refused or has them.
func TestIPv6OutsideIsReadAgainOrRefused(t *testing.T) {
	six := func() Connection {
		c := office(true)
		for i := range c.Gateway.Tunnels {
			c.Gateway.Tunnels[i].Outside = gateway.Outside{Remote: netip.MustParseAddr(fmt.Sprintf("2001:db8:fc::1%d", i)), LocalID: "2001:db8:1::4"}
		}
		return c
	}
	all, err := Types()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range all {
		files, err := Configure(typ, six(), Choices{})
		if !typ.spec.Outside6 && typ.Name != ownName {
			if err == nil || !strings.Contains(err.Error(), "of IPv6") && !typ.spec.NeedsLocal && !typ.spec.Policies && slices.Contains(typ.Routing, "bgp") {
				t.Errorf("%s: got %v, want an error about IPv6", typ.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", typ.Name, err)
			continue
		}
		if typ.spec.AnyPeer && strings.Contains(files[0].Text, "2001:db8:fc") {
			t.Errorf("%s: got an address of IPv6 among prefixes of IPv4 in\n%s", typ.Name, files[0].Text)
		}
		if typ.Name != "aws-xml" {
			continue
		}
		got, err := awsconfig.Parse([]byte(files[0].Text), "")
		if err != nil {
			t.Fatalf("%v in\n%s", err, files[0].Text)
		}
		for i, tun := range got.Tunnels {
			if want := six().Gateway.Tunnels[i].Outside; tun.AWS.Outside != want.Remote || tun.Customer.Outside.String() != want.LocalID || tun.MSS != 1378 {
				t.Errorf("tunnel %d: got %v, %v, MSS %d, want %v, %v, 1378 behind a header of 40 octets", i+1, tun.AWS.Outside, tun.Customer.Outside, tun.MSS, want.Remote, want.LocalID)
			}
		}
	}
}

// TestIPv6InsideIsReadAgainOrRefused is the same for what the tunnels carry.
func TestIPv6InsideIsReadAgainOrRefused(t *testing.T) {
	six := office(true)
	six.Gateway.BGP = gateway.BGP{ASN: 65000, RouterID: netip.MustParseAddr("169.254.10.2"), Announce: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}}
	for i := range six.Gateway.Tunnels {
		six.Gateway.Tunnels[i].Inside = netip.MustParsePrefix(fmt.Sprintf("fd00:1%d::2/126", i))
	}
	for _, name := range []string{"strongswan", "frr", "bird", "fortigate", "generic"} {
		typ, err := Find(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Configure(typ, six, Choices{}); err == nil || !strings.Contains(err.Error(), "carries IPv6") {
			t.Errorf("%s: got %v, want an error about IPv6", name, err)
		}
	}
	typ, err := Find("aws-xml")
	if err != nil {
		t.Fatal(err)
	}
	files, err := Configure(typ, six, Choices{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := awsconfig.Parse([]byte(files[0].Text), "")
	if err != nil {
		t.Fatalf("%v in\n%s", err, files[0].Text)
	}
	for i, tun := range got.Tunnels {
		if want := six.Gateway.Tunnels[i].Inside; tun.Customer.Inside != want || tun.AWS.Inside.Addr() != want.Masked().Addr().Next() || tun.MSS != 1378 {
			t.Errorf("tunnel %d: got %v, %v, MSS %d, want %v, the first address of it, 1378", i+1, tun.Customer.Inside, tun.AWS.Inside, tun.MSS, want)
		}
	}
}

// TestOurOwnFileIsReadAgain has conffile find the same gateway.
func TestOurOwnFileIsReadAgain(t *testing.T) {
	typ, err := Find("seikan")
	if err != nil {
		t.Fatal(err)
	}
	for _, bgp := range []bool{true, false} {
		c := office(bgp)
		files, err := Configure(typ, c, Choices{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := conffile.Parse([]byte(files[0].Text), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for i, tun := range got.Gateway.Tunnels {
			want := c.Gateway.Tunnels[i]
			if !tun.PSK.Equal(want.PSK) || len(tun.IKE) != len(want.IKE) || !reflect.DeepEqual(tun.BGP, want.BGP) || !reflect.DeepEqual(tun.Routes, want.Routes) || tun.Outside != want.Outside || tun.Lifetime != want.Lifetime {
				t.Errorf("BGP %v, tunnel %d: got %+v, want %+v", bgp, i+1, tun, want)
			}
		}
	}
}
