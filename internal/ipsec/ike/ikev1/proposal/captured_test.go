package proposal

import (
	"encoding/hex"
	"testing"

	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

// swanMain1 is the first message of strongSwan 5.9.8 with
// "aes256-sha256-modp2048" and rekeying turned off, which makes the lifetime 0.
const swanMain1 = "6ff2b44166c0f7d500000000000000000110020000000000000000b4" +
	"0d00003800000001000000010000002c01010001000000240101000080010007800e0100800200048004000e80030001800b0001800c0000" +
	"0d00000c09002689dfd6b712" + "0d000014afcad71368a1f1c96b8696fc77570100" + "0d0000184048b7d56ebce88525e7de7f00d6c2d380000000" +
	"0d0000144a131c81070358455c5728f20e95452f" + "0000001490cb80913ebb696e086381b5ec427b1f"

func TestStrongSwansFirstMessageIsUnderstood(t *testing.T) {
	b, err := hex.DecodeString(swanMain1)
	if err != nil {
		t.Fatal(err)
	}
	m, err := wire.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := wire.Describe(m, nil), "main mode {SA V V V V V}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, v := range map[string]wire.Vendor{"NAT traversal": wire.VendorNATT, "DPD": wire.VendorDPD, "fragmentation": wire.VendorFragmentation, "XAUTH": wire.VendorXAUTH} {
		if !wire.Announces(m.Chain.Payloads, v) {
			t.Errorf("got no announcement of %s", name)
		}
	}
	sa, _ := wire.Find[*wire.SA](m.Chain.Payloads)
	want := cbc(256, suite.IntegSHA256, 14)
	if got, ok := ChooseIKE([]suite.IKE{gcm(20), want}, PSK, sa); !ok || got.Suite != want || got.Life != 0 {
		t.Errorf("got %v for %v, %v, want %v: %s", got.Suite, got.Life, ok, want, WordsIKE(sa))
	}
}
