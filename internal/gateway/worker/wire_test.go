package worker

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

func TestOrderArrivesWithItsKeysAndHidesThemFromJSON(t *testing.T) {
	want := gateway.Config{Name: "vgw-1", Forward: true, Tunnels: []gateway.Tunnel{{
		ID: "vpn-1/1", Interface: "tun1", PSK: secret.FromString("ExampleKey_0123456789"),
		Outside: gateway.Outside{Local: netip.MustParseAddr("203.0.113.10"), Remote: netip.MustParseAddr("198.51.100.2")},
		IKE:     []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 19}},
		ESP:     []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 19}},
		Inside:  netip.MustParsePrefix("169.254.10.1/30"),
		Routes:  []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")},
	}, {
		ID: "vpn-1/2", Versions: []int{2, 1},
		Certificates: gateway.Certificates{Own: []byte("own"), Key: secret.FromString("TheKeyOfOwn"), CA: []byte("ca"), WeakKeys: true},
		Extensions:   gateway.Extensions{PPK: secret.FromString("ThePPK"), PPKID: "one"},
		Liveness:     gateway.Liveness{Action: policy.None},
	}}}
	line, err := encodeOrder(want, 2, "/state")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
		t.Errorf("got %q, want one line", line)
	}
	for _, key := range []secret.Secret{want.Tunnels[0].PSK, want.Tunnels[1].Certificates.Key, want.Tunnels[1].Extensions.PPK} {
		if bytes.Contains(line, key.Reveal()) {
			t.Errorf("the key stands in the text as it is: %q", line)
		}
	}
	got, err := decodeOrder(line)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Config, want) || got.Outsides != 2 || got.State != "/state" {
		t.Errorf("got %+v with %d outsides, want %+v with 2", got.Config, got.Outsides, want)
	}
}
