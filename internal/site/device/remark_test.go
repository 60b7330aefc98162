package device

import (
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// changes has for each field of a gateway's configuration a value that is not the
// one before, as a reader of the configuration may set it.
func changes() map[string]func(*Connection) {
	tunnel := func(f func(*gateway.Tunnel)) func(*Connection) {
		return func(c *Connection) { f(&c.Gateway.Tunnels[1]) }
	}
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	key := []suite.EncrKey{{Encr: suite.AESCBC, KeyBits: 128}}
	return map[string]func(*Connection){
		"BGP.ASN":           func(c *Connection) { c.Gateway.BGP.ASN = 65123 },
		"BGP.RouterID":      func(c *Connection) { c.Gateway.BGP.RouterID = addr("192.0.2.7") },
		"BGP.Announce":      func(c *Connection) { c.Gateway.BGP.Announce = []netip.Prefix{prefix("172.20.0.0/16")} },
		"BGP.AcceptDefault": func(c *Connection) { c.Gateway.BGP.AcceptDefault = true },
		"BGP.Relay":         func(c *Connection) { c.Gateway.BGP.Relay = true },

		"Tunnels.Initiate":           tunnel(func(t *gateway.Tunnel) { t.Initiate = false }),
		"Tunnels.Outside.Local":      tunnel(func(t *gateway.Tunnel) { t.Outside.Local = addr("192.168.50.77") }),
		"Tunnels.Outside.Remote":     tunnel(func(t *gateway.Tunnel) { t.Outside.Remote = addr("203.0.113.99") }),
		"Tunnels.Outside.LocalID":    tunnel(func(t *gateway.Tunnel) { t.Outside.LocalID = "office.example" }),
		"Tunnels.Outside.RemoteID":   tunnel(func(t *gateway.Tunnel) { t.Outside.RemoteID = "aws.example" }),
		"Tunnels.Outside.ForceEncap": tunnel(func(t *gateway.Tunnel) { t.Outside.ForceEncap = true }),
		"Tunnels.PSK":                tunnel(func(t *gateway.Tunnel) { t.PSK = secret.FromString("Another.Key_For.Tests") }),
		"Tunnels.Versions":           tunnel(func(t *gateway.Tunnel) { t.Versions = []int{1} }),
		"Tunnels.IKE":                tunnel(func(t *gateway.Tunnel) { t.IKE = suite.Combine(key, []suite.Integ{suite.IntegSHA1}, []suite.Group{2}) }),
		"Tunnels.ESP": tunnel(func(t *gateway.Tunnel) {
			t.ESP = suite.CombineESP(key, []suite.Integ{suite.IntegSHA1}, []suite.Group{2})
		}),
		"Tunnels.IKE.AddKE":            tunnel(func(t *gateway.Tunnel) { t.IKE = slices.Clone(t.IKE); t.IKE[0].AddKE = suite.MoreKE{suite.MLKEM768} }),
		"Tunnels.Inside":               tunnel(func(t *gateway.Tunnel) { t.Inside = prefix("169.254.99.2/30") }),
		"Tunnels.LocalTS":              tunnel(func(t *gateway.Tunnel) { t.LocalTS = prefix("192.168.0.0/16") }),
		"Tunnels.RemoteTS":             tunnel(func(t *gateway.Tunnel) { t.RemoteTS = prefix("10.0.0.0/8") }),
		"Tunnels.Lifetime.Phase1":      tunnel(func(t *gateway.Tunnel) { t.Lifetime.Phase1 = 5 * time.Hour }),
		"Tunnels.Lifetime.Phase2":      tunnel(func(t *gateway.Tunnel) { t.Lifetime.Phase2 = 30 * time.Minute }),
		"Tunnels.Lifetime.RekeyMargin": tunnel(func(t *gateway.Tunnel) { t.Lifetime.RekeyMargin = 2 * time.Minute }),
		"Tunnels.Lifetime.RekeyFuzz":   tunnel(func(t *gateway.Tunnel) { t.Lifetime.RekeyFuzz = 77 }),
		"Tunnels.Liveness.Interval": tunnel(func(t *gateway.Tunnel) {
			t.Liveness.Interval, t.Liveness.Timeout = 300*time.Millisecond, 20*time.Second
		}),
		"Tunnels.Liveness.Timeout":   tunnel(func(t *gateway.Tunnel) { t.Liveness.Timeout = 47 * time.Second }),
		"Tunnels.Liveness.Action":    tunnel(func(t *gateway.Tunnel) { t.Liveness.Action = policy.None }),
		"Tunnels.ReplayWindow":       tunnel(func(t *gateway.Tunnel) { t.ReplayWindow = 256 }),
		"Tunnels.Routes":             tunnel(func(t *gateway.Tunnel) { t.Routes = []netip.Prefix{prefix("10.77.0.0/16")} }),
		"Tunnels.SourceNAT":          tunnel(func(t *gateway.Tunnel) { t.SourceNAT = true }),
		"Tunnels.BGP.PeerASN":        tunnel(func(t *gateway.Tunnel) { t.BGP.PeerASN = 64999 }),
		"Tunnels.BGP.Hold":           tunnel(func(t *gateway.Tunnel) { t.BGP.Hold, t.BGP.Keepalive = 97*time.Second, 10*time.Second }),
		"Tunnels.BGP.Keepalive":      tunnel(func(t *gateway.Tunnel) { t.BGP.Keepalive = 3 * time.Second }),
		"Tunnels.BGP.MaxPrefixes":    tunnel(func(t *gateway.Tunnel) { t.BGP.MaxPrefixes = 77 }),
		"Tunnels.BGP.MED":            tunnel(func(t *gateway.Tunnel) { t.BGP.MED = 277 }),
		"Tunnels.BGP.Prepend":        tunnel(func(t *gateway.Tunnel) { t.BGP.Prepend = 3 }),
		"Tunnels.BGP.BFD.Interval":   tunnel(func(t *gateway.Tunnel) { t.BGP.BFD = gateway.BFD{Interval: 300 * time.Millisecond, Multiplier: 3} }),
		"Tunnels.BGP.BFD.Multiplier": tunnel(func(t *gateway.Tunnel) { t.BGP.BFD = gateway.BFD{Interval: 300 * time.Millisecond, Multiplier: 7} }),

		"Tunnels.Certificates.Own":           tunnel(func(t *gateway.Tunnel) { t.PSK, t.Certificates.Own = secret.Secret{}, []byte{1} }),
		"Tunnels.Extensions.NoFragmentation": tunnel(func(t *gateway.Tunnel) { t.Extensions.NoFragmentation = true }),
		"Tunnels.Extensions.FragmentSize":    tunnel(func(t *gateway.Tunnel) { t.Extensions.FragmentSize = 1400 }),
		"Tunnels.Extensions.NoMOBIKE":        tunnel(func(t *gateway.Tunnel) { t.Extensions.NoMOBIKE = true }),
		"Tunnels.Extensions.Resumption":      tunnel(func(t *gateway.Tunnel) { t.Extensions.Resumption = true }),
		"Tunnels.Extensions.PPKID": tunnel(func(t *gateway.Tunnel) {
			t.Extensions.PPKID, t.Extensions.PPK = "office", secret.FromString("Post.Quantum.Key.For.Tests.Only.1")
		}),
		"Tunnels.Extensions.PPKRequired": tunnel(func(t *gateway.Tunnel) {
			t.Versions = []int{2}
			t.Extensions = gateway.Extensions{PPKRequired: true, PPKID: "office", PPK: secret.FromString("Post.Quantum.Key.For.Tests.Only.1")}
		}),
	}
}

// unasked are the fields that ask nothing of a device, and why.
func unasked() map[string]string {
	return map[string]string{
		"Name":                          "the connection's id names what is written",
		"Forward":                       "a device is a router",
		"Tunnels.ID":                    "the connection's id and a number name the device's tunnels",
		"Tunnels.Interface":             "the device has names of its own for its links",
		"Tunnels.Endpoint.AnswerIKEv1":  "of AWS's ends alone",
		"Tunnels.Endpoint.Generation":   "of AWS's ends alone",
		"Tunnels.Endpoint.Draining":     "of AWS's ends alone",
		"Tunnels.Endpoint.List":         "of AWS's ends alone",
		"RoutesElsewhere":               "of AWS's ends alone",
		"BGP.Lists":                     "of AWS's ends alone",
		"Tunnels.Extensions.PPK":        "goes with PPKID",
		"Tunnels.Certificates.Key":      "any of Certificates is refused as Own is",
		"Tunnels.Certificates.CA":       "any of Certificates is refused as Own is",
		"Tunnels.Certificates.CRL":      "any of Certificates is refused as Own is",
		"Tunnels.Certificates.OCSP":     "any of Certificates is refused as Own is",
		"Tunnels.Certificates.PSS":      "any of Certificates is refused as Own is",
		"Tunnels.Certificates.WeakKeys": "any of Certificates is refused as Own is",
	}
}

// fields are all of a type that hold a value, those of a list by the list's name.
func fields(t reflect.Type, path string) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name := strings.TrimPrefix(path+"."+f.Name, ".")
		of := f.Type
		if of == reflect.TypeFor[[]gateway.Tunnel]() {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct && strings.HasSuffix(of.PkgPath(), "internal/gateway") {
			out = append(out, fields(of, name)...)
			continue
		}
		out = append(out, name)
	}
	return out
}

// TestEveryFieldOfAGatewayIsAccountedFor fails when a gateway gets an option that
// nobody has thought of here.
func TestEveryFieldOfAGatewayIsAccountedFor(t *testing.T) {
	tried, not := changes(), unasked()
	all := fields(reflect.TypeFor[gateway.Config](), "")
	for _, name := range all {
		if tried[name] == nil && not[name] == "" {
			t.Errorf("%s: changes has no value for it, and unasked no reason", name)
		}
		if tried[name] != nil && not[name] != "" {
			t.Errorf("%s: is in changes and in unasked", name)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(tried)), slices.Collect(maps.Keys(not))) {
		if !slices.Contains(all, strings.TrimSuffix(name, ".AddKE")) {
			t.Errorf("%s: a gateway has no such field", name)
		}
	}
}

// TestNoOptionIsSilentlyLeftOut changes each option of a connection for each
// device: then something must be written differently, or it is refused. What
// files are apart for, another device's files say.
func TestNoOptionIsSilentlyLeftOut(t *testing.T) {
	variants(t, func(t *testing.T, typ Type, ike, routing string) {
		connection := func() Connection { return connectionFor(typ, routing) }
		choice := choices(typ, "")
		if ike != typ.IKE[0] {
			return // the device's better version stands for both, and versions are tried
		}
		plain, err := Configure(typ, connection(), choice)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range slices.Sorted(maps.Keys(changes())) {
			ofBGP := strings.HasPrefix(name, "BGP.") || strings.HasPrefix(name, "Tunnels.BGP.")
			switch {
			case ofBGP && (routing == "static" || typ.spec.BGPApart), !ofBGP && typ.spec.AnyPeer && name != "Tunnels.Inside":
				continue
			}
			c := connection()
			changes()[name](&c)
			got, err := Configure(typ, c, choice)
			if err == nil && slices.Equal(got, plain) {
				t.Errorf("%s: is changed, and what is written is the same", name)
			}
		}
		for _, o := range []Choices{{Interface: "eth7", Local: choice.Local}, {Local: netip.MustParseAddr("192.168.50.99")}} {
			got, err := Configure(typ, connection(), o)
			if err == nil && slices.Equal(got, plain) && !typ.spec.AnyPeer {
				t.Errorf("%+v: is chosen, and what is written is the same", o)
			}
		}
	})
}

// What a device is not told stands in its first file, by our own file's names, and
// nothing that it is told.
func TestWhatADeviceIsNotToldIsSaid(t *testing.T) {
	for _, tt := range []struct {
		device, says, not string
		change            func(*Connection)
	}{
		{"paloalto", "bgp.med 200 of tunnel-2", "", func(c *Connection) { c.Gateway.Tunnels[1].BGP.MED = 200 }},
		{"fortigate", "replay_window 1024\n", "bgp.med", func(c *Connection) { c.Gateway.Tunnels[1].BGP.MED = 200 }},
		{"cisco-iosxe", "", "replay_window", func(*Connection) {}},
		{"strongswan", "liveness.action none", "bgp.", func(c *Connection) {
			for i := range c.Gateway.Tunnels {
				c.Gateway.Tunnels[i].Liveness.Action = policy.None
			}
		}},
		{"aws-xml", "  replay_window 1024\n", "Not told", func(*Connection) {}},
		{"generic", "  - bgp.announce 192.168.1.0/24 192.168.2.0/24\n", "Not told", func(*Connection) {}},
	} {
		typ, err := Find(tt.device)
		if err != nil {
			t.Fatal(err)
		}
		c := office(true)
		tt.change(&c)
		files, err := Configure(typ, c, choices(typ, ""))
		if err != nil {
			t.Fatal(err)
		}
		if text := files[0].Text; !strings.Contains(text, tt.says) || tt.not != "" && strings.Contains(text, tt.not) {
			t.Errorf("%s: want %q and no %q in\n%s", tt.device, tt.says, tt.not, text)
		}
	}
}
