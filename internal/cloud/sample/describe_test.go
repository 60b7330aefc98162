package sample

import (
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
	"seikan/internal/site/awsconfig"
)

// Every connection that is not deleted has its document (vpn §1.3): of those that no
// gateway could run by it alone our reader says what is missing, and reads the rest.
func TestEveryConnectionHasItsDocument(t *testing.T) {
	w := newWorld(t, nil)
	const key = "A.Key_That.Somebody.Adds"
	withKeys := strings.NewReplacer("<mode>main</mode>", "<mode>main</mode><pre_shared_key>"+key+"</pre_shared_key>")
	atGateway := strings.NewReplacer("<asn></asn>", "<asn>64512</asn>")
	certified := func(c *resource.VPNConnection) {
		c.CustomerGatewayID = "cgw-certified"
		for i := range c.Tunnels {
			c.Tunnels[i].PreSharedKey = secret.Secret{}
		}
	}
	for _, tt := range []struct {
		name   string
		of     resource.VPNConnection
		change func(*resource.VPNConnection)
		says   string            // of the document as it is; empty: nothing
		mend   *strings.Replacer // what the reader asks for
	}{
		{"certificate, BGP", w.dynamic, certified, "/ike/pre_shared_key: empty; a connection that authenticates by certificate has no key, and its certificates are in no file of AWS's: write a file after `seikan gateway example`", withKeys},
		{"certificate, static", w.static, certified, "/ike/pre_shared_key: empty; a connection that authenticates by certificate", withKeys},
		{"certificate, from any address", w.dynamic, func(c *resource.VPNConnection) { certified(c); c.CustomerGatewayID = "cgw-roaming" }, "/ike/pre_shared_key: empty; a connection that authenticates by certificate", withKeys},
		{"no gateway, BGP", w.dynamic, func(c *resource.VPNConnection) { c.VPNGatewayID = "" }, "/vpn_gateway/bgp/asn: empty; the connection is at no gateway, whose number BGP needs: give it one by `aws ec2 modify-vpn-connection`", atGateway},
		{"no gateway, static", w.static, func(c *resource.VPNConnection) { c.VPNGatewayID = "" }, "", nil},
		{"narrowed", w.static, func(c *resource.VPNConnection) { c.LocalCIDR = siteNetwork }, "", nil},
		{"narrowed without way for its BGP", w.dynamic, func(c *resource.VPNConnection) { c.LocalCIDR = siteNetwork }, "", nil},
		{"AES-GCM alone with IKEv1", w.static, func(c *resource.VPNConnection) {
			for i := range c.Tunnels {
				c.Tunnels[i].IKEVersions, c.Tunnels[i].Phase1Encryption = []string{"ikev1"}, []string{"AES128-GCM-16"}
			}
		}, "", nil},
	} {
		c := tt.of
		tt.change(&c)
		var text string
		cloudtest.Do(t, w.store, func(tx *store.Tx) (err error) {
			store.CustomerGateways.Put(tx, "cgw-certified", resource.CustomerGateway{ID: "cgw-certified", OwnerID: alice, BGPASN: 65010, IPAddress: netip.MustParseAddr("198.51.100.9"), CertificateARN: "arn:1"})
			store.CustomerGateways.Put(tx, "cgw-roaming", resource.CustomerGateway{ID: "cgw-roaming", OwnerID: alice, BGPASN: 65010, CertificateARN: "arn:1"})
			text, err = Configuration(tx, c)
			return err
		})
		if told := strings.Contains(text, "local_cidr "+siteNetwork.String()); told != (c.LocalCIDR == siteNetwork) {
			t.Errorf("%s: says that it is narrowed: got %v, want %v in\n%s", tt.name, told, !told, text)
		}
		got, err := awsconfig.Parse([]byte(text), "")
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: got %v, want one line with %q; in\n%s", tt.name, err, tt.says, text)
			}
			got, err = awsconfig.Parse([]byte(tt.mend.Replace(text)), "")
		}
		if err != nil {
			t.Errorf("%s: got %v in\n%s", tt.name, err, text)
			continue
		}
		var customer resource.CustomerGateway
		cloudtest.Do(t, w.store, func(tx *store.Tx) error {
			customer, _ = store.CustomerGateways.Get(tx, c.CustomerGatewayID)
			return nil
		})
		if got.ID != string(c.ID) || got.Static != c.StaticRoutesOnly || got.GatewayID != c.Target() || got.CustomerGatewayID != string(c.CustomerGatewayID) {
			t.Errorf("%s: got %+v, want what the rows say", tt.name, got)
		}
		for i, tunnel := range got.Tunnels {
			want := c.Tunnels[i]
			if tunnel.AWS.Outside != want.OutsideIP || tunnel.Customer.Outside != customer.IPAddress || tunnel.Customer.Inside.Addr() != want.InsideRemote() || !c.StaticRoutesOnly && tunnel.Customer.ASN != customer.BGPASN {
				t.Errorf("%s: tunnel %d: got %+v, want the addresses and numbers of the rows", tt.name, i+1, tunnel)
			}
			if own := c.Tunnels[i].PreSharedKey; !own.IsZero() && !own.Equal(tunnel.PSK) {
				t.Errorf("%s: tunnel %d has another key", tt.name, i+1)
			}
		}
	}
}
