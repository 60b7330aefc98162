package device

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

var update = flag.Bool("update", false, "write the golden files")

// Keys of the tunnels.
const (
	keyOne = "KeyOfTunnelOne.For_Tests.Only.01"
	keyTwo = "KeyOfTunnelTwo.For_Tests.Only.02"
)

// office is a connection behind NAT whose tunnels differ, as AWS's may: the
// second allows AES-CBC only.
func office(bgp bool) Connection {
	encr := func(name string) suite.EncrKey {
		e, bits, err := suite.ParseEncr(name)
		if err != nil {
			panic(err)
		}
		return suite.EncrKey{Encr: e, KeyBits: bits}
	}
	cbc := []suite.EncrKey{encr("AES256"), encr("AES128")}
	all := append([]suite.EncrKey{encr("AES256-GCM-16"), encr("AES128-GCM-16")}, cbc...)
	integ := []suite.Integ{suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512}
	groups := []suite.Group{14, 19, 20, 21}
	c := Connection{ID: "vpn-0123456789abcdef0", GatewayID: "vgw-0a1b2c3d4e5f60718", CustomerGatewayID: "cgw-0f1e2d3c4b5a69788", Exact: true}
	c.Gateway = gateway.Config{Name: c.ID, Forward: true}
	for i, end := range []struct{ remote, inside, key string }{
		{"203.0.113.10", "169.254.10.2/30", keyOne}, {"203.0.113.11", "169.254.11.2/30", keyTwo},
	} {
		t := gateway.Tunnel{ID: fmt.Sprintf("tunnel-%d", i+1), Interface: fmt.Sprintf("tun%d", i+1), Initiate: true,
			Outside: gateway.Outside{Remote: netip.MustParseAddr(end.remote), LocalID: "198.51.100.2"}, PSK: secret.FromString(end.key),
			IKE: suite.Combine(all, integ, groups), ESP: suite.CombineESP(all, integ, groups), Inside: netip.MustParsePrefix(end.inside),
			Lifetime: gateway.Lifetime{Phase1: 8 * time.Hour, Phase2: time.Hour, RekeyMargin: 9 * time.Minute, RekeyFuzz: 10},
		}
		if bgp {
			t.BGP = gateway.Session{PeerASN: 64512, Hold: 30 * time.Second, MaxPrefixes: 5000}
		} else {
			t.Routes = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("10.1.0.0/16")}
		}
		c.Gateway.Tunnels = append(c.Gateway.Tunnels, t)
	}
	if bgp {
		c.Gateway.BGP = gateway.BGP{ASN: 65000, Announce: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("192.168.2.0/24")}}
	}
	return c
}

// choices are those that every device accepts.
func choices(t Type, ike string) Choices {
	c := Choices{IKE: ike}
	if t.spec.NeedsLocal {
		c.Local = netip.MustParseAddr("192.168.50.2")
	}
	if t.spec.OwnIdentity || t.spec.OwnIdentityV1 && ike == "ikev1" {
		c.Local = netip.MustParseAddr("198.51.100.2")
	}
	return c
}

// variants calls f for each device, version of IKE and way of routing that there
// is, in a subtest.
func variants(t *testing.T, f func(t *testing.T, typ Type, ike, routing string)) {
	t.Helper()
	all, err := Types()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range all {
		for _, ike := range typ.IKE {
			for _, routing := range typ.Routing {
				t.Run(typ.Name+"/"+ike+"-"+routing, func(t *testing.T) { f(t, typ, ike, routing) })
			}
		}
	}
}

// connectionFor is one that the device can have.
func connectionFor(typ Type, routing string) Connection {
	c := office(routing == "bgp")
	if v1 := typ.spec.Phase1v1; v1 != nil && v1.Integrity["SHA2-256"] == "" { // it has nothing that is not weak
		key, weak := []suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 256}}, []suite.Integ{suite.IntegSHA1}
		for i := range c.Gateway.Tunnels {
			c.Gateway.Tunnels[i].IKE = append(c.Gateway.Tunnels[i].IKE, suite.Combine(key, weak, []suite.Group{14})...)
			c.Gateway.Tunnels[i].ESP = append(c.Gateway.Tunnels[i].ESP, suite.CombineESP(key, weak, []suite.Group{14})...)
		}
	}
	if typ.spec.Policies {
		c.Site = []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}
		for i := range c.Gateway.Tunnels {
			c.Gateway.Tunnels[i].Routes = c.Gateway.Tunnels[i].Routes[:1]
		}
	}
	return c
}

// written is all files of a variant as one text.
func written(t *testing.T, typ Type, ike, routing string) []File {
	t.Helper()
	return writtenFor(t, typ, ike, routing, true)
}

// writtenFor is written for a connection of which it is known, or not, what it
// allows.
func writtenFor(t *testing.T, typ Type, ike, routing string, exact bool) []File {
	t.Helper()
	c := connectionFor(typ, routing)
	c.Exact = exact
	files, err := Configure(typ, c, choices(typ, ike))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestFilesAreThoseOfTheFolder(t *testing.T) {
	variants(t, func(t *testing.T, typ Type, ike, routing string) {
		var got strings.Builder
		for _, f := range written(t, typ, ike, routing) {
			fmt.Fprintf(&got, "==== %s ====\n%s", f.Path, f.Text)
		}
		path := filepath.Join("vendors", typ.Name, "golden", ike+"-"+routing+".golden")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatalf("%v; go test -update writes it", err)
		}
		if got.String() != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", path, got.String(), want)
		}
	})
}

// TestEveryFileHasWhatCounts looks for what AWS's own samples get wrong (vpn
// §7.3), whatever the syntax.
func TestEveryFileHasWhatCounts(t *testing.T) {
	variants(t, func(t *testing.T, typ Type, ike, routing string) {
		var all strings.Builder
		for _, f := range written(t, typ, ike, routing) {
			all.WriteString(f.Text)
			if strings.Contains(f.Text, "\t\n") || strings.Contains(f.Text, "<no value>") || strings.HasSuffix(f.Text, "\n\n") {
				t.Errorf("%s: trailing blanks or a missing value in\n%s", f.Path, f.Text)
			}
		}
		var want []string
		if !typ.spec.AnyPeer {
			want = append(want, "203.0.113.10", "203.0.113.11", keyOne, keyTwo)
		}
		if !typ.spec.AnyPeer && !typ.spec.OwnIdentity {
			want = append(want, "198.51.100.2")
		}
		if routing == "bgp" && typ.Name != ownName && !typ.spec.BGPApart {
			want = append(want, "65000", "64512", "169.254.10.1", "169.254.11.1")
			if !typ.spec.Two {
				want = append(want, "192.168.1.0", "192.168.2.0")
			}
		}
		for _, w := range want {
			if !strings.Contains(all.String(), w) {
				t.Errorf("got no %q in\n%s", w, all.String())
			}
		}
		for _, bad := range []string{"default-originate", "default-information originate"} {
			if strings.Contains(all.String(), bad) {
				t.Errorf("got %q, which asks for all of the other end's traffic", bad)
			}
		}
	})
}
