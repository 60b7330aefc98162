package device

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

func TestDevicesHaveIDsOfAWSsKindAndSayWhatTheyAre(t *testing.T) {
	all, err := Types()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ids := map[string]string{}
	for _, d := range all {
		names = append(names, d.Name)
		if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(d.ID) || ids[d.ID] != "" {
			t.Errorf("%s: ID %q, also of %q, want eight digits of its own", d.Name, d.ID, ids[d.ID])
		}
		ids[d.ID] = d.Name
		if d.Vendor == "" || d.Platform == "" || d.Software == "" || len(d.Notes) == 0 || len(d.IKE) == 0 || len(d.Routing) == 0 {
			t.Errorf("%s: got %+v, want all of it", d.Name, d)
		}
		for _, id := range []string{d.ID, d.Name} {
			if got, err := Find(id); err != nil || got.Name != d.Name {
				t.Errorf("Find(%q): got %s, %v, want %s", id, got.Name, err, d.Name)
			}
		}
		if _, ok := quotings()[d.spec.Quote]; !ok {
			t.Errorf("%s: Quote %q is no way of quoting", d.Name, d.spec.Quote)
		}
	}
	for _, want := range []string{"aws-xml", "bird", "cisco-asa", "cisco-iosxe", "fortigate", "frr", "generic", "juniper-srx", "libreswan", "mikrotik", "opnsense", "paloalto", "pfsense", "seikan", "strongswan", "vyos", "yamaha-rtx"} {
		if !slices.Contains(names, want) {
			t.Errorf("got %v, want %s among them", names, want)
		}
	}
	if _, err := Find("nothing"); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "fortigate") {
		t.Errorf("Find of nothing: got %v, want ErrUnknown and the names", err)
	}
}

func TestKeysAreQuotedForEachSyntaxOrRefused(t *testing.T) {
	for _, tt := range []struct{ quote, key, want string }{
		{"swanctl", `plain.Key_1`, `"plain.Key_1"`},
		{"swanctl", `a"b\c#d }`, `"a\"b\\c#d }"`},
		{"swanctl", "0x1234", "0x307831323334"},
		{"swanctl", "0sAAAA", "0x307341414141"},
		{"swanctl", "schlüssel", "0x7363686cc3bc7373656c"},
		{"swanctl", "two\nlines", "0x74776f0a6c696e6573"},
		{"libreswan", `a"b`, "0x612262"},
		{"libreswan", `a\b 'c'`, `"a\b 'c'"`},
		{"single", `a"b $c`, `'a"b $c'`},
		{"fortios", `a"b\c`, `"a\"b\\c"`},
		{"junos", `a"b;}#`, `"a\"b;}#"`},
		{"panos", `a b#c`, `"a b#c"`},
		{"cisco", `a!b"`, ""},
		{"cisco", `a!b`, `a!b`},
		{"yamaha", `a b`, `"a b"`},
		{"routeros", `a"b$c?d\e`, `"a\"b\$c\?d\\e"`},
		{"xml", `a<b>&c`, `a&lt;b&gt;&amp;c`},
		// What cannot be written.
		{"single", `a'b`, ""},
		{"fortios", "what?", ""},
		{"fortios", "two\nlines", ""},
		{"junos", "schlüssel", ""},
		{"panos", `a\b`, ""},
		{"cisco", "two words", ""},
		{"cisco", "6 secret", ""},
		{"yamaha", `a"b`, ""},
		{"xml", "a\x01b", ""},
		{"text", "two words", ""},
	} {
		typ := Type{Vendor: "Maker", spec: spec{Quote: tt.quote}}
		got, err := typ.psk(secret.FromString(tt.key))
		switch {
		case got != tt.want || (err == nil) != (tt.want != ""):
			t.Errorf("%s of %q: got %q, %v, want %q", tt.quote, tt.key, got, err, tt.want)
		case err != nil && (strings.Contains(err.Error(), tt.key) || !strings.Contains(err.Error(), "Maker") || !strings.Contains(err.Error(), "set another")):
			t.Errorf("%s of %q: got %q, want the device and the cure, and not the key", tt.quote, tt.key, err)
		}
	}
	if _, err := (Type{spec: spec{Quote: "none", MaxPSK: 4}}).psk(secret.FromString("12345")); err == nil {
		t.Error("a key of 5 characters where 4 fit: got no error")
	}
}

// onlySuites leaves a connection one suite in each phase.
func onlySuites(c *Connection, encr suite.Encr, bits int, integ suite.Integ, group suite.Group) {
	for i := range c.Gateway.Tunnels {
		key := []suite.EncrKey{{Encr: encr, KeyBits: bits}}
		c.Gateway.Tunnels[i].IKE = suite.Combine(key, []suite.Integ{integ}, []suite.Group{group})
		c.Gateway.Tunnels[i].ESP = suite.CombineESP(key, []suite.Integ{integ}, []suite.Group{group})
	}
}

func TestWhatADeviceCannotDoIsRefusedByName(t *testing.T) {
	local := netip.MustParseAddr("192.168.50.2")
	for _, tt := range []struct {
		device, want string
		change       func(c *Connection, choice *Choices)
	}{
		{"yamaha-rtx", "encryption AES128, AES256; integrity SHA1, SHA2-256; groups 2, 5, 14", func(c *Connection, o *Choices) {
			onlySuites(c, suite.AESGCM16, 256, suite.IntegSHA256, 14)
		}},
		{"libreswan", "none of the connection's suites (AES128/SHA1/DH2)", func(c *Connection, _ *Choices) { onlySuites(c, suite.AESCBC, 128, suite.IntegSHA1, 2) }},
		{"cisco-asa", "integrity SHA1; groups 14", func(_ *Connection, o *Choices) {
			o.IKE, o.Local = "ikev1", netip.MustParseAddr("198.51.100.2")
		}},
		{"cisco-asa", "cannot be behind NAT", func(*Connection, *Choices) {}},
		{"yamaha-rtx", "behind NAT it needs IKEv2", func(_ *Connection, o *Choices) { o.IKE = "ikev1" }},
		{"cisco-iosxe", "say so with --local-address 198.51.100.2", func(_ *Connection, o *Choices) { o.IKE = "ikev1" }},
		{"cisco-iosxe", "say so with --local-address 198.51.100.2", func(c *Connection, o *Choices) {
			o.Local = netip.Addr{} // it is not known where the device is
			c.Gateway.Tunnels[1].Versions = []int{1}
		}},
		{"cisco-iosxe", "with IKEv1: the connection allows no suite", func(c *Connection, o *Choices) {
			o.IKE, o.Local = "ikev1", netip.MustParseAddr("198.51.100.2")
			onlySuites(c, suite.AESGCM16, 256, suite.IntegSHA256, 14)
		}},
		{"yamaha-rtx", "--local-address", func(_ *Connection, o *Choices) { o.Local = netip.Addr{} }},
		{"mikrotik", "no configuration for a connection with bgp routing", func(c *Connection, _ *Choices) { *c = office(true) }},
		{"mikrotik", "one pair of them", func(*Connection, *Choices) {}},
		{"frr", "no configuration for a connection with static routing", func(*Connection, *Choices) {}},
		{"cisco-iosxe", "which Cisco IOS-XE", func(c *Connection, _ *Choices) { c.Gateway.Tunnels[1].Outside.ForceEncap = true }},
		{"paloalto", "narrowed to 192.168.0.0/16", func(c *Connection, _ *Choices) {
			c.Gateway.Tunnels[0].LocalTS = netip.MustParsePrefix("192.168.0.0/16")
		}},
		{"fortigate", "does not allow ikev1 on all tunnels", func(c *Connection, o *Choices) {
			o.IKE, c.Gateway.Tunnels[1].Versions = "ikev1", []int{2}
		}},
		{"opnsense", "takes no such name", func(c *Connection, _ *Choices) { c.Gateway.Tunnels[0].Outside.LocalID = "who@office.example" }},
		{"aws-xml", "exactly two", func(c *Connection, _ *Choices) { c.Gateway.Tunnels = c.Gateway.Tunnels[:1] }},
		{"vyos", "a name has letters", func(_ *Connection, o *Choices) { o.Interface = "eth0'; reboot" }},
		{"strongswan", "letters, digits", func(c *Connection, _ *Choices) { c.ID = "vpn-1\n}" }},
		{"strongswan", "nothing says what lies behind", func(c *Connection, _ *Choices) {
			for i := range c.Gateway.Tunnels {
				c.Gateway.Tunnels[i].Routes = nil
			}
		}},
		{"vyos", "in a /30", func(c *Connection, _ *Choices) { c.Gateway.Tunnels[0].Inside = netip.Prefix{} }},
	} {
		typ, err := Find(tt.device)
		if err != nil {
			t.Fatal(err)
		}
		c, choice := office(false), Choices{Local: local}
		tt.change(&c, &choice)
		_, err = Configure(typ, c, choice)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "device "+tt.device+": ") {
			t.Errorf("%s: got %v, want %q", tt.device, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), keyOne) || strings.Contains(err.Error(), keyTwo)) {
			t.Errorf("%s: the error shows a key: %v", tt.device, err)
		}
	}
}

func TestTheVersionAskedForOrTheBestOfBoth(t *testing.T) {
	typ, err := Find("strongswan")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		asked    string
		versions []int
		want     string
	}{{"", nil, "version = 2"}, {"ikev1", nil, "version = 1"}, {"", []int{1}, "version = 1"}} {
		c := office(false)
		for i := range c.Gateway.Tunnels {
			c.Gateway.Tunnels[i].Versions = tt.versions
		}
		files, err := Configure(typ, c, Choices{IKE: tt.asked})
		if err != nil || !strings.Contains(files[0].Text, tt.want) {
			t.Errorf("asked %q, allowed %v: got %v, want %q", tt.asked, tt.versions, err, tt.want)
		}
	}
}

// Tunnels that have no version in common have each its own.
func TestTunnelsThatAllowOtherVersionsHaveEachItsOwn(t *testing.T) {
	for device, want := range map[string][]string{
		"strongswan": {"version = 2", "version = 1"}, "fortigate": {"set ike-version 2", "set ike-version 1"},
		"libreswan": {"ikev2=insist", "ikev2=no", "ikev1-policy=accept"}, "vyos": {"key-exchange 'ikev2'", "key-exchange 'ikev1'"},
	} {
		typ, err := Find(device)
		if err != nil {
			t.Fatal(err)
		}
		c := office(false)
		c.Gateway.Tunnels[0].Versions, c.Gateway.Tunnels[1].Versions = []int{2}, []int{1}
		files, err := Configure(typ, c, Choices{})
		if err != nil {
			t.Errorf("%s: %v", device, err)
			continue
		}
		for _, w := range want {
			if strings.Count(files[0].Text, w) != 1 {
				t.Errorf("%s: want %q once in\n%s", device, w, files[0].Text)
			}
		}
		if _, err := Configure(typ, c, Choices{IKE: "ikev2"}); err == nil || !strings.Contains(err.Error(), "does not allow ikev2 on all tunnels") {
			t.Errorf("%s, asked for ikev2: got %v", device, err)
		}
	}
	asa, err := Find("cisco-asa")
	if err != nil {
		t.Fatal(err)
	}
	asa.IKE = []string{"ikev2"} // as if it had no other
	c := office(false)
	if _, err := Configure(asa, c, Choices{IKE: "ikev1"}); err == nil || !strings.Contains(err.Error(), "it speaks ikev2") {
		t.Errorf("asked for ikev1: got %v", err)
	}
	c.Gateway.Tunnels[1].Versions = []int{1}
	if _, err := Configure(asa, c, Choices{}); err == nil || !strings.Contains(err.Error(), "which the connection does not allow on tunnel tunnel-2") {
		t.Errorf("a device that has IKEv2 only: got %v", err)
	}
	c.Gateway.Tunnels = nil
	if _, err := Configure(asa, c, Choices{}); err == nil {
		t.Error("no tunnels: got no error")
	}
}

// TestTunnelsKeepTheirOwnOptions has two that differ.
func TestTunnelsKeepTheirOwnOptions(t *testing.T) {
	typ, err := Find("strongswan")
	if err != nil {
		t.Fatal(err)
	}
	c := office(true)
	cbc := []suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 256}}
	two := &c.Gateway.Tunnels[1]
	two.IKE, two.ESP = suite.Combine(cbc, []suite.Integ{suite.IntegSHA512}, []suite.Group{15}), suite.CombineESP(cbc, []suite.Integ{suite.IntegSHA512}, []suite.Group{15})
	two.Outside.ForceEncap = true
	two.Outside.LocalID = "office.example"
	two.BGP.MED, two.BGP.Prepend = 200, 2
	files, err := Configure(typ, c, Choices{Local: netip.MustParseAddr("192.168.1.2")})
	if err != nil {
		t.Fatal(err)
	}
	_, second, _ := strings.Cut(files[0].Text, "vpn-9abcdef0-2 {")
	for _, want := range []string{"proposals = aes256-sha512-modp3072\n", "esp_proposals = aes256-sha512-modp3072\n", "encap = yes", "id = office.example", "local_addrs = 192.168.1.2"} {
		if !strings.Contains(second, want) {
			t.Errorf("got no %q in\n%s", want, second)
		}
	}
	if !strings.Contains(files[2].Text, "mtu=1406 mss=1366") { // AES-CBC with SHA2-512, NAT traversal on (vpn §3.5)
		t.Errorf("got no MTU of 1406 in\n%s", files[2].Text)
	}
	frr, err := Find("frr")
	if err != nil {
		t.Fatal(err)
	}
	files, err = Configure(frr, c, Choices{})
	if err != nil || !strings.Contains(files[0].Text, " set metric 200\n set as-path prepend 65000 65000\n") {
		t.Errorf("got %v, want MED and prepending in\n%v", err, files)
	}
}

// TestAWeakConnectionIsSaidToBe looks for the remark, and for none where all is
// well.
func TestAWeakConnectionIsSaidToBe(t *testing.T) {
	typ, err := Find("fortigate")
	if err != nil {
		t.Fatal(err)
	}
	for _, weak := range []bool{true, false} {
		c := office(false)
		if weak {
			onlySuites(&c, suite.AESCBC, 128, suite.IntegSHA1, 2)
		}
		files, err := Configure(typ, c, Choices{})
		if err != nil || strings.Contains(files[0].Text, "not weak") != weak {
			t.Errorf("weak %v: got %v, %v", weak, files, err)
		}
	}
}

// TestMTUIsThatOfTheTable holds the formula to AWS's table with NAT traversal
// (vpn §3.5).
func TestMTUIsThatOfTheTable(t *testing.T) {
	for s, want := range map[choice]int{
		{Encryption: "AES256-GCM-16"}:                 1438,
		{Encryption: "AES128", Integrity: "SHA1"}:     1422,
		{Encryption: "AES128", Integrity: "SHA2-256"}: 1422,
		{Encryption: "AES256", Integrity: "SHA2-384"}: 1422,
		{Encryption: "AES256", Integrity: "SHA2-512"}: 1406,
	} {
		if got := (phase{Suites: []algorithms{{AEAD: s.aead(), AWS: s}}}).mtu(netip.MustParseAddr("203.0.113.10")); got != want {
			t.Errorf("%+v: got %d, want %d", s, got, want)
		}
	}
}

func TestBFDIsWrittenOrRefused(t *testing.T) {
	all, err := Types()
	if err != nil {
		t.Fatal(err)
	}
	has := map[string][]string{
		"frr":  {"neighbor 169.254.11.1 bfd profile vpn-9abcdef0-2", "receive-interval 250", "detect-multiplier 4"},
		"bird": {"protocol bfd {", "min rx interval 250 ms;", "multiplier 4;"},
		// Their BGP is another's, and so is what watches its path.
		"strongswan": nil, "libreswan": nil,
		"seikan": {"interval: 250ms", "multiplier: 4"},
	}
	for _, typ := range all {
		if !slices.Contains(typ.Routing, "bgp") {
			continue
		}
		c := office(true)
		for i := range c.Gateway.Tunnels {
			c.Gateway.Tunnels[i].BGP.BFD = gateway.BFD{Interval: 250 * time.Millisecond, Multiplier: 4}
		}
		files, err := Configure(typ, c, choices(typ, ""))
		want, can := has[typ.Name]
		if !can {
			if err == nil || !strings.Contains(err.Error(), "BFD every 250ms") {
				t.Errorf("%s: got %v, want an error that says that it has no BFD", typ.Name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", typ.Name, err)
		}
		for _, w := range want {
			if !strings.Contains(files[0].Text, w) {
				t.Errorf("%s: got no %q in\n%s", typ.Name, w, files[0].Text)
			}
		}
	}
}
