package sample

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/filter"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/secret"
	"seikan/internal/site/awsconfig"
	"seikan/internal/site/device"
)

const (
	alice = cloudtest.Alice
	bob   = cloudtest.Bob
)

var siteNetwork = netip.MustParsePrefix("192.168.1.0/24")

// A world has a VPC with a gateway and two connections of alice: one static, one
// with BGP.
type world struct {
	*testing.T
	store           *store.Store
	static, dynamic resource.VPNConnection
}

func newWorld(t *testing.T, change func(*vpn.CreateVPNConnectionInput)) *world {
	t.Helper()
	w := &world{T: t, store: cloudtest.Open(t, store.Config{})}
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		store.VPCs.Put(tx, "vpc-1", resource.VPC{ID: "vpc-1", OwnerID: alice, State: resource.StateAvailable, CIDR: netip.MustParsePrefix("10.0.0.0/16")})
		pool := resource.OutsidePool{Name: "edge", Namespace: "edge"}
		for _, a := range []string{"203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13"} {
			pool.Addresses = append(pool.Addresses, netip.MustParseAddr(a))
		}
		store.OutsidePools.Put(tx, "edge", pool)
		gateway, err := vpn.CreateVPNGateway(tx, alice, vpn.CreateVPNGatewayInput{Type: "ipsec.1"})
		if err != nil {
			return err
		}
		if _, err := vpn.AttachVPNGateway(tx, alice, "vpc-1", gateway.ID); err != nil {
			return err
		}
		for i, to := range []*resource.VPNConnection{&w.static, &w.dynamic} {
			customer, err := vpn.CreateCustomerGateway(tx, alice, vpn.CreateCustomerGatewayInput{Type: "ipsec.1", IPAddress: netip.AddrFrom4([4]byte{198, 51, 100, byte(2 + i)}), BGPASN: 65010})
			if err != nil {
				return err
			}
			in := vpn.CreateVPNConnectionInput{Type: "ipsec.1", CustomerGatewayID: customer.ID, VPNGatewayID: gateway.ID, StaticRoutesOnly: i == 0}
			for n := range in.Tunnels {
				in.Tunnels[n].PreSharedKey = secret.FromString("Key.Of_A.Tunnel." + string('1'+rune(n)))
			}
			if change != nil {
				change(&in)
			}
			if *to, err = vpn.CreateVPNConnection(tx, alice, in); err != nil {
				return err
			}
		}
		return vpn.CreateVPNConnectionRoute(tx, alice, w.static.ID, siteNetwork)
	})
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		vpn.MarkRealised(tx, func(resource.VPNGateway) bool { return false })
		return nil
	})
	return w
}

// ask returns the files of a configuration as one text.
func (w *world) ask(in ConfigurationInput) (text string, err error) {
	w.Helper()
	cloudtest.Do(w, w.store, func(tx *store.Tx) error {
		var files []device.File
		files, err = GetVPNConnectionDeviceSampleConfiguration(tx, alice, in)
		for _, f := range files {
			text += f.Text
		}
		return nil
	})
	return text, err
}

func TestDeviceTypesArePaged(t *testing.T) {
	all, next, err := GetVPNConnectionDeviceTypes(0, "")
	if err != nil || next != "" || len(all) < 15 {
		t.Fatalf("got %d devices, next %q, %v, want all of them", len(all), next, err)
	}
	ids := map[string]bool{}
	for _, d := range all {
		if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(d.ID) || ids[d.ID] || d.Vendor == "" || d.Platform == "" || d.Software == "" {
			t.Errorf("got %+v, want eight digits of its own, vendor, platform, software", d)
		}
		ids[d.ID] = true
	}
	var walked []DeviceType
	token := ""
	for range len(all) {
		page, after, err := pageOf(all, 4, token)
		if err != nil {
			t.Fatal(err)
		}
		walked = append(walked, page...)
		if token = after; token == "" {
			break
		}
	}
	if len(walked) != len(all) || walked[len(walked)-1] != all[len(all)-1] {
		t.Errorf("by pages of four: got %d devices, want %d", len(walked), len(all))
	}
	if page, next, err := GetVPNConnectionDeviceTypes(200, ""); err != nil || next != "" || len(page) != len(all) {
		t.Errorf("200 a page: got %d, next %q, %v", len(page), next, err)
	}
	for _, c := range []struct {
		most  int
		token string
		code  string
	}{{199, "", "InvalidParameterValue"}, {1001, "", "InvalidParameterValue"}, {-1, "", "InvalidParameterValue"},
		{0, "x", "InvalidNextToken"}, {0, "ZGV2aWNlLXR5cGVzIDk5OQ", "InvalidNextToken"}, {0, "ZGV2aWNlLXR5cGVzIC0x", "InvalidNextToken"}} {
		if _, _, err := GetVPNConnectionDeviceTypes(c.most, c.token); resource.CodeOf(err) != c.code {
			t.Errorf("%d, %q: got %v, want %s", c.most, c.token, err, c.code)
		}
	}
}

// The configuration is of the connection's rows: its keys, addresses, routes and
// numbers, in the version and strength that are asked for.
func TestSamplesAreOfTheConnection(t *testing.T) {
	w := newWorld(t, nil)
	fortigate, err := device.Find("fortigate")
	if err != nil {
		t.Fatal(err)
	}
	one, two := w.static.Tunnels[0], w.dynamic.Tunnels[1]
	for _, c := range []struct {
		name string
		in   ConfigurationInput
		want []string
		not  string
	}{
		{"static", ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: fortigate.ID},
			[]string{"Key.Of_A.Tunnel.1", "Key.Of_A.Tunnel.2", one.OutsideIP.String(), "198.51.100.2", one.InsideRemote().String(), "10.0.0.0 255.255.0.0", "set ike-version 2", "dhgrp 20 19 21 14 15 16"}, "router bgp"},
		{"BGP", ConfigurationInput{VPNConnectionID: w.dynamic.ID, DeviceTypeID: "fortigate", Announce: []netip.Prefix{siteNetwork}, Interface: "wan2"},
			[]string{two.OutsideIP.String(), "set as 65010", "remote-as 64512", two.InsideLocal().String(), "192.168.1.0 255.255.255.0", `"wan2"`}, ""},
		{"IKEv1", ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: fortigate.ID, InternetKeyExchangeVersion: "ikev1", SampleType: "compatibility"}, []string{"set ike-version 1"}, ""},
		{"recommended", ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: fortigate.ID, SampleType: "recommended"}, []string{"set ike-version 2", "aes256gcm-prfsha256", "dhgrp 20\n"}, "not weak"},
		{"generic", ConfigurationInput{VPNConnectionID: w.dynamic.ID, DeviceTypeID: "generic"}, []string{"Customer Gateway ASN                  : 65010"}, ""},
	} {
		text, err := w.ask(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: got no %q in\n%s", c.name, want, text)
			}
		}
		if c.not != "" && strings.Contains(text, c.not) {
			t.Errorf("%s: got %q in\n%s", c.name, c.not, text)
		}
	}

	// Without being told, it is what the site announces now.
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		learned := []resource.LearnedRoute{{Prefix: netip.MustParsePrefix("172.30.0.0/16"), ASPath: []uint32{65010}}}
		for i := range 2 {
			vpn.SetTelemetry(tx, w.dynamic.ID, i, vpn.Report{Up: true, BGP: true, Learned: learned})
		}
		return nil
	})
	if text, err := w.ask(ConfigurationInput{VPNConnectionID: w.dynamic.ID, DeviceTypeID: "fortigate"}); err != nil || strings.Count(text, "172.30.0.0 255.255.0.0") == 0 {
		t.Errorf("announced now: got %v in\n%s", err, text)
	}
}

func TestWrongRequestsForSamplesAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	weak := newWorld(t, func(in *vpn.CreateVPNConnectionInput) {
		for i := range in.Tunnels {
			in.Tunnels[i].Algorithms = vpn.Algorithms{Phase1Encryption: []string{"AES128"}, Phase1Integrity: []string{"SHA1"}, Phase1DHGroups: []int{2}, Phase2Encryption: []string{"AES128"}, Phase2Integrity: []string{"SHA1"}, Phase2DHGroups: []int{2}}
		}
	})
	for _, c := range []struct {
		name string
		of   *world
		in   ConfigurationInput
		want string
	}{
		{"no connection", w, ConfigurationInput{DeviceTypeID: "fortigate"}, "MissingParameter: VpnConnectionId: is required"},
		{"no device", w, ConfigurationInput{VPNConnectionID: w.static.ID}, "MissingParameter: VpnConnectionDeviceTypeId: is required"},
		{"unknown connection", w, ConfigurationInput{VPNConnectionID: "vpn-0123456789abcdef0", DeviceTypeID: "fortigate"}, "InvalidVpnConnectionID.NotFound"},
		{"unknown device", w, ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "00000000"}, `InvalidParameterValue: VpnConnectionDeviceTypeId: device "00000000"`},
		{"unknown version", w, ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "fortigate", InternetKeyExchangeVersion: "ikev3"}, "InvalidParameterValue: InternetKeyExchangeVersion"},
		{"unknown sample", w, ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "fortigate", SampleType: "best"}, "InvalidParameterValue: SampleType"},
		{"recommended with IKEv1", w, ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "fortigate", InternetKeyExchangeVersion: "ikev1", SampleType: "recommended"}, "UnsupportedOperation: SampleType: recommended is for ikev2"},
		{"what the device cannot do", w, ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "cisco-asa", InternetKeyExchangeVersion: "ikev1"}, "UnsupportedOperation: device cisco-asa: "},
		{"nothing announced", w, ConfigurationInput{VPNConnectionID: w.dynamic.ID, DeviceTypeID: "juniper-srx"}, "UnsupportedOperation: device juniper-srx: nothing says which networks to announce"},
		{"recommended of a weak connection", weak, ConfigurationInput{VPNConnectionID: weak.static.ID, DeviceTypeID: "fortigate", SampleType: "recommended"}, "allows no suite that is not weak"},
	} {
		if text, err := c.of.ask(c.in); err == nil || !strings.Contains(err.Error(), c.want) || text != "" {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		alone, certified := w.dynamic, w.static
		alone.ID, alone.VPNGatewayID = "vpn-alone", ""
		certified.ID, certified.CustomerGatewayID = "vpn-certified", "cgw-certified"
		store.CustomerGateways.Put(tx, "cgw-certified", resource.CustomerGateway{ID: "cgw-certified", OwnerID: alice, CertificateARN: "arn:1"})
		store.VPNConnections.Put(tx, alone.ID, alone)
		store.VPNConnections.Put(tx, certified.ID, certified)
		return nil
	})
	for id, want := range map[resource.VPNConnectionID]string{"vpn-alone": "UnsupportedOperation: the VPN connection vpn-alone is not associated", "vpn-certified": "UnsupportedOperation: the VPN connection vpn-certified authenticates by the certificate arn:1"} {
		if _, err := w.ask(ConfigurationInput{VPNConnectionID: id, DeviceTypeID: "fortigate"}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", id, err, want)
		}
	}
	cloudtest.WantRefusal(t, w.store, "InvalidVpnConnectionID.NotFound", func(tx *store.Tx) error {
		_, err := GetVPNConnectionDeviceSampleConfiguration(tx, bob, ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "fortigate"})
		return err
	})
	cloudtest.Do(t, w.store, func(tx *store.Tx) error { return vpn.DeleteVPNConnection(tx, alice, w.static.ID) })
	if _, err := w.ask(ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "fortigate"}); resource.CodeOf(err) != "InvalidVpnConnection.InvalidState" {
		t.Errorf("of a connection that is deleted: got %v", err)
	}
}

// The document of a connection is AWS's XML, which our own reader takes; deleted
// connections have none, keys in a secret are not in it, and it can be filtered by.
func TestConnectionsAreDescribedWithTheirConfiguration(t *testing.T) {
	w := newWorld(t, func(in *vpn.CreateVPNConnectionInput) {
		if !in.StaticRoutesOnly {
			in.Options.PreSharedKeyStorage = "SecretsManager"
		}
	})
	describe := func(filters ...filter.Filter) (out []Described) {
		t.Helper()
		cloudtest.Do(t, w.store, func(tx *store.Tx) (err error) {
			out, err = DescribeVPNConnections(tx, alice, nil, filters...)
			return err
		})
		return out
	}
	for _, d := range describe() {
		got, err := awsconfig.Parse([]byte(d.CustomerGatewayConfiguration), "")
		if err != nil {
			t.Fatalf("%s: %v in\n%s", d.ID, err, d.CustomerGatewayConfiguration)
		}
		if got.ID != string(d.ID) || got.Static != d.StaticRoutesOnly || got.Tunnels[1].AWS.Outside != d.Tunnels[1].OutsideIP || got.Tunnels[0].Customer.Inside.Addr() != d.Tunnels[0].InsideRemote() {
			t.Errorf("%s: got %+v", d.ID, got)
		}
		if kept := strings.Contains(d.CustomerGatewayConfiguration, "IS_IN_SECRETS_MANAGER"); kept == d.StaticRoutesOnly || strings.Contains(d.CustomerGatewayConfiguration, "Key.Of_A.Tunnel") == kept {
			t.Errorf("%s: the keys of a secret are shown, or others are not, in\n%s", d.ID, d.CustomerGatewayConfiguration)
		}
	}
	byDocument := filter.Filter{Name: "customer-gateway-configuration", Values: []string{"*NoBGPVPNConnection*"}}
	if got := describe(byDocument); len(got) != 1 || got[0].ID != w.static.ID {
		t.Errorf("by a word of the document: got %v, want the static one", got)
	}
	if got := describe(byDocument, filter.Filter{Name: "bgp-asn", Values: []string{"1"}}); len(got) != 0 {
		t.Errorf("by another filter, too: got %v, want none", got)
	}
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		if err := vpn.DeleteVPNConnection(tx, alice, w.static.ID); err != nil {
			return err
		}
		return nil
	})
	for _, d := range describe() {
		if (d.CustomerGatewayConfiguration == "") != (d.ID == w.static.ID) {
			t.Errorf("%s is %s: got a document of %d bytes", d.ID, d.State, len(d.CustomerGatewayConfiguration))
		}
	}
}

// What lies behind a static connection at a transit gateway is in its route tables.
func TestAStaticConnectionAtATransitGatewayHasItsSite(t *testing.T) {
	w := newWorld(t, nil)
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		hub, err := vpn.CreateTransitGateway(tx, alice, vpn.CreateTransitGatewayInput{})
		if err != nil {
			return err
		}
		store.TransitGatewayAttachments.Put(tx, "tgw-attach-1", resource.TransitGatewayAttachment{ID: "tgw-attach-1", OwnerID: alice, State: resource.StateAvailable, Type: resource.AttachVPC, TransitGatewayID: hub.ID, VPCID: "vpc-1"})
		if err := vpn.DeleteVPNConnectionRoute(tx, alice, w.static.ID, siteNetwork); err != nil {
			return err
		}
		if _, err := vpn.ModifyVPNConnection(tx, alice, vpn.ModifyVPNConnectionInput{ID: w.static.ID, TransitGatewayID: hub.ID}); err != nil {
			return err
		}
		attached, err := vpn.DescribeTransitGatewayAttachments(tx, alice, nil, filter.Filter{Name: "resource-id", Values: []string{string(w.static.ID)}})
		if err != nil {
			return err
		}
		return vpn.CreateTransitGatewayRoute(tx, alice, vpn.TransitGatewayRouteInput{RouteTableID: hub.AssociationTable, Destination: siteNetwork, AttachmentID: attached[0].ID})
	})
	text, err := w.ask(ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "mikrotik"})
	if err != nil || !strings.Contains(text, siteNetwork.String()) || !strings.Contains(text, "10.0.0.0/16") {
		t.Errorf("got %v and\n%s", err, text)
	}
}

// A connection at a transit gateway with IPv6 inside and BFD: each device is told of
// both what it can be, the document has the inside addresses of IPv6, and more
// prefixes are taken than a VPN gateway would announce.
func TestIPv6InsideAndBFDAreDescribed(t *testing.T) {
	w := &world{T: t, store: cloudtest.Open(t, store.Config{})}
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		store.OutsidePools.Put(tx, "edge", resource.OutsidePool{Name: "edge", Namespace: "edge", Addresses: []netip.Addr{
			netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.11"), netip.MustParseAddr("203.0.113.12"), netip.MustParseAddr("203.0.113.13")}})
		hub, err := vpn.CreateTransitGateway(tx, alice, vpn.CreateTransitGatewayInput{})
		if err != nil {
			return err
		}
		store.VPCs.Put(tx, "vpc-1", resource.VPC{ID: "vpc-1", OwnerID: alice, State: resource.StateAvailable, CIDR: netip.MustParsePrefix("10.0.0.0/16")})
		store.TransitGatewayAttachments.Put(tx, "tgw-attach-1", resource.TransitGatewayAttachment{ID: "tgw-attach-1", OwnerID: alice, State: resource.StateAvailable, Type: resource.AttachVPC, TransitGatewayID: hub.ID, VPCID: "vpc-1"})
		for i, to := range []*resource.VPNConnection{&w.static, &w.dynamic} {
			customer, err := vpn.CreateCustomerGateway(tx, alice, vpn.CreateCustomerGatewayInput{Type: "ipsec.1", IPAddress: netip.AddrFrom4([4]byte{198, 51, 100, byte(2 + i)}), BGPASN: 65010})
			if err != nil {
				return err
			}
			in := vpn.CreateVPNConnectionInput{Type: "ipsec.1", CustomerGatewayID: customer.ID, TransitGatewayID: hub.ID, StaticRoutesOnly: i == 0}
			in.Options.TunnelInsideIPVersion = "ipv6"
			if i == 1 {
				for n := range in.Tunnels {
					in.Tunnels[n].BFD = &resource.BFD{Interval: 300 * time.Millisecond, Multiplier: 3}
				}
			}
			if *to, err = vpn.CreateVPNConnection(tx, alice, in); err != nil {
				return err
			}
		}
		return nil
	})
	for _, c := range []resource.VPNConnection{w.dynamic, w.static} {
		var text string
		cloudtest.Do(t, w.store, func(tx *store.Tx) (err error) {
			text, err = Configuration(tx, c)
			return err
		})
		got, err := awsconfig.Parse([]byte(text), "")
		if err != nil {
			t.Errorf("%s: %v in\n%s", c.ID, err, text)
			continue
		}
		if got.Static != c.StaticRoutesOnly || got.Tunnels[1].Customer.Inside.Addr() != c.Tunnels[1].InsideRemote() || !got.Tunnels[1].AWS.Inside.Addr().Is6() {
			t.Errorf("%s: got %+v", c.ID, got)
		}
	}
	text, err := w.ask(ConfigurationInput{VPNConnectionID: w.dynamic.ID, DeviceTypeID: "seikan"})
	for _, want := range []string{"bfd", "max_prefixes: 5000", "router_id: " + w.dynamic.Tunnels[0].InsideCIDR.Masked().Addr().Next().Next().String()} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("our own gateway: got %v and no %q in\n%s", err, want, text)
		}
	}
	if text, err := w.ask(ConfigurationInput{VPNConnectionID: w.static.ID, DeviceTypeID: "seikan"}); err != nil || strings.Contains(text, "10.0.0.0") {
		t.Errorf("static: got %v and a block of IPv4 in\n%s", err, text)
	}
}
