package esp

import (
	"testing"

	"seikan/internal/ipsec/ike/suite"
)

func TestMTUIsThatOfTheGuide(t *testing.T) {
	gcm := suite.ESP{Encr: suite.AESGCM16, KeyBits: 256}
	cbc := func(i suite.Integ) suite.ESP { return suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: i} }
	sha1, sha256 := cbc(suite.IntegSHA1), cbc(suite.IntegSHA256)
	sha384, sha512 := cbc(suite.IntegSHA384), cbc(suite.IntegSHA512)
	// vpn §3.5; MSS 0 where the table has none.
	for _, tt := range []struct {
		name            string
		s               suite.ESP
		nat, v6         bool
		mtu, mss4, mss6 int
	}{
		{"GCM", gcm, false, false, 1446, 1406, 1386},
		{"ChaCha20", suite.ESP{Encr: suite.ChaCha20Poly1305, KeyBits: 256}, false, false, 1446, 1406, 1386},
		{"GCM NAT-T", gcm, true, false, 1438, 1398, 1378},
		{"SHA1", sha1, false, false, 1438, 1398, 1378},
		{"SHA1 NAT-T", sha1, true, false, 1422, 1382, 1362},
		{"SHA256", sha256, false, false, 1438, 1398, 1378},
		{"SHA256 NAT-T", sha256, true, false, 1422, 1382, 1362},
		{"SHA384", sha384, false, false, 1422, 1382, 1362},
		{"SHA384 NAT-T", sha384, true, false, 1422, 1382, 1362},
		{"SHA512", sha512, false, false, 1422, 1382, 1362},
		{"SHA512 NAT-T", sha512, true, false, 1406, 1366, 1346},
		{"GCM over IPv6", gcm, false, true, 1426, 1386, 1366},
		{"GCM over IPv6 NAT-T", gcm, true, true, 1418, 1378, 1358},
		{"SHA1 over IPv6", sha1, false, true, 1422, 1382, 1362},
		{"SHA1 over IPv6 NAT-T", sha1, true, true, 1406, 1366, 1346},
		{"SHA256 over IPv6", sha256, false, true, 1406, 1366, 1346},
		{"SHA256 over IPv6 NAT-T", sha256, true, true, 1406, 1366, 1346},
		{"SHA384 over IPv6", sha384, false, true, 1406, 1366, 1346},
		{"SHA384 over IPv6 NAT-T", sha384, true, true, 1390, 1350, 1330},
		{"SHA512 over IPv6", sha512, false, true, 1390, 1350, 1330},
		{"SHA512 over IPv6 NAT-T", sha512, true, true, 1390, 1350, 1330},
	} {
		mtu := MTU(Path{NAT: tt.nat, IPv6: tt.v6}, tt.s)
		if mtu != tt.mtu || MSS(mtu, false) != tt.mss4 || MSS(mtu, true) != tt.mss6 {
			t.Errorf("%s: got %d, %d, %d, want %d, %d, %d", tt.name, mtu, MSS(mtu, false), MSS(mtu, true), tt.mtu, tt.mss4, tt.mss6)
		}
	}
}

// TestMTUIsTheLargestThatFits seals packets at and above the MTU.
func TestMTUIsTheLargestThatFits(t *testing.T) {
	for _, s := range allSuites() {
		for _, path := range []int{576, 1400, 1492, 1500, 9000} {
			out, _ := newPair(t, s, 0)
			mtu := MTU(Path{MTU: path, NAT: true}, s)
			if got := 20 + 8 + len(seal(t, out, inner4(mtu))); got > path {
				t.Errorf("%s on %d: %d inner octets take %d", nameOf(s), path, mtu, got)
			}
			if got := 20 + 8 + len(seal(t, out, inner4(mtu+1))); got <= path {
				t.Errorf("%s on %d: %d inner octets take only %d", nameOf(s), path, mtu+1, got)
			}
		}
	}
}

func TestNothingFitsATinyPathOrAnUnknownSuite(t *testing.T) {
	gcm := suite.ESP{Encr: suite.AESGCM16, KeyBits: 128}
	if got := MTU(Path{MTU: 40}, gcm); got != 0 {
		t.Errorf("path of 40: got %d, want 0", got)
	}
	if got := MTU(Path{}, suite.ESP{}); got != 0 {
		t.Errorf("unknown suite: got %d, want 0", got)
	}
	if got := Overhead(suite.ESP{}); got != 0 {
		t.Errorf("overhead of an unknown suite: got %d, want 0", got)
	}
	if got := MSS(30, false); got != 0 {
		t.Errorf("MSS of 30: got %d, want 0", got)
	}
}
