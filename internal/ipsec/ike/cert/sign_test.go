package cert

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// owner is who the certificate says that it is.
func owner(t testing.TB, c issued) *Peer {
	t.Helper()
	k, err := keyKind(c.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &Peer{leaf: c.Certificate, key: c.PublicKey, kind: k}
}

var octets = []byte("the octets that AUTH covers")

func TestSignaturesOfEveryKindAreVerified(t *testing.T) {
	for _, c := range []struct {
		key, want string
		pss       bool
		announced []Hash
	}{
		{"rsa", "RSA-SHA2-256", false, Hashes()},
		{"rsa4096", "RSA-SHA2-384", false, Hashes()},
		{"rsa", "RSA-SHA2-512", false, []Hash{SHA1, SHA512}},
		{"rsa", "RSA-PSS-SHA2-256", true, Hashes()},
		{"rsa", "RSA-PSS-SHA2-384", true, []Hash{SHA384}},
		{"p256", "ECDSA-P256", false, Hashes()},
		{"p384", "ECDSA-P384", false, Hashes()},
		{"p521", "ECDSA-P521", false, Hashes()},
		{"p521", "ECDSA-P521-SHA2-256", false, []Hash{SHA256}},
		{"ed25519", "Ed25519", false, Hashes()},
	} {
		cert := issue(t, nil, "x", c.key, nil)
		ours := credential(t, cert)
		if c.pss {
			ours = ours.WithPSS()
		}
		sig, err := ours.Sign(c.announced, octets)
		if err != nil || sig.Method != MethodSignature || sig.Name != c.want {
			t.Errorf("%s: got method %d, %q, %v, want 14, %s", c.key, sig.Method, sig.Name, err, c.want)
			continue
		}
		p := owner(t, cert)
		if name, err := p.Verify(sig.Method, sig.Data, octets, true); err != nil || name != c.want {
			t.Errorf("%s: got %q, %v, want %s", c.key, name, err, c.want)
		}
		if _, err := p.Verify(sig.Method, sig.Data, octets[1:], true); err == nil {
			t.Errorf("%s: other octets: got no error", c.want)
		}
		for _, at := range []int{0, 1, 5, len(sig.Data) - 1} {
			bad := bytes.Clone(sig.Data)
			bad[at] ^= 1
			if _, err := p.Verify(sig.Method, bad, octets, true); err == nil {
				t.Errorf("%s: octet %d changed: got no error", c.want, at)
			}
		}
	}
}

func TestOldSignaturesAreVerified(t *testing.T) {
	for key, want := range map[string]Signature{
		"rsa": {Method: 1, Name: "RSA-SHA1 (weak)"}, "p256": {Method: 9, Name: "ECDSA-P256"}, "p384": {Method: 10, Name: "ECDSA-P384"}, "p521": {Method: 11, Name: "ECDSA-P521"},
	} {
		cert := issue(t, nil, "x", key, nil)
		sig, err := credential(t, cert).WithPSS().Sign(nil, octets)
		if err != nil || sig.Method != want.Method || sig.Name != want.Name {
			t.Errorf("%s: got %d %q, %v, want %d %q", key, sig.Method, sig.Name, err, want.Method, want.Name)
			continue
		}
		p := owner(t, cert)
		if name, err := p.Verify(sig.Method, sig.Data, octets, false); err != nil || name != want.Name {
			t.Errorf("%s: got %q, %v", key, name, err)
		}
		if _, err := p.Verify(sig.Method, sig.Data, octets[1:], false); err == nil {
			t.Errorf("%s: other octets: got no error", key)
		}
		if _, err := p.Verify(sig.Method, sig.Data[1:], octets, false); err == nil {
			t.Errorf("%s: an octet less: got no error", key)
		}
	}
	if _, err := credential(t, issue(t, nil, "x", "ed25519", nil)).Sign(nil, octets); err == nil || !strings.Contains(err.Error(), "Ed25519") {
		t.Errorf("Ed25519 for a peer that announces nothing: got %v", err)
	}
}

func TestOnlyAnnouncedHashesAreUsed(t *testing.T) {
	ours := credential(t, issue(t, nil, "x", "p256", nil))
	for _, h := range []Hash{SHA256, SHA384, SHA512} {
		sig, err := ours.Sign([]Hash{h}, octets)
		if err != nil || !bytes.HasPrefix(sig.Data, scheme{kind: kindP256, hash: h}.prefix()) {
			t.Errorf("%v: got %x, %v", h, sig.Data, err)
		}
	}
	if sig, err := ours.Sign([]Hash{SHA1, Identity}, octets); err != nil || sig.Method != MethodECDSAP256 {
		t.Errorf("no hash that we use: got method %d, %v, want %d", sig.Method, err, MethodECDSAP256)
	}
}

func TestSHA1IsTakenOnlyOfPeersThatAnnounceNothing(t *testing.T) {
	cert := issue(t, nil, "x", "rsa", nil)
	p, ours := owner(t, cert), credential(t, cert)
	sig, err := ours.Sign(nil, octets)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(sig.Method, sig.Data, octets, true); err == nil || !strings.Contains(err.Error(), "SHA-1") {
		t.Errorf("got %v, want an error about SHA-1", err)
	}
	// Method 1 with another hash, as RFC 7296 section 3.8 lets peers agree.
	value, err := ours.sign(scheme{kind: kindRSA, hash: SHA256}, octets)
	if err != nil {
		t.Fatal(err)
	}
	if name, err := p.Verify(MethodRSA, value, octets, true); err != nil || name != "RSA-SHA2-256" {
		t.Errorf("method 1 with SHA-256: got %q, %v", name, err)
	}
}

func TestMethodMustGoWithTheKey(t *testing.T) {
	rsa, p256, p384 := issue(t, nil, "x", "rsa", nil), issue(t, nil, "x", "p256", nil), issue(t, nil, "x", "p384", nil)
	sig, err := credential(t, p256).Sign(Hashes(), octets)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner(t, rsa).Verify(sig.Method, sig.Data, octets, true); err == nil || !strings.Contains(err.Error(), "its certificate has a key for RSA") {
		t.Errorf("ECDSA by an RSA key: got %v", err)
	}
	if _, err := owner(t, p384).Verify(sig.Method, sig.Data, octets, true); err == nil {
		t.Error("the key of another curve: got no error")
	}
	for _, method := range []uint8{0, 2, 3, MethodRSA, MethodECDSAP384, 13, 15} {
		if _, err := owner(t, p256).Verify(method, sig.Data, octets, true); err == nil || !strings.Contains(err.Error(), "does not go with") {
			t.Errorf("method %d: got %v", method, err)
		}
	}
}

// rfc7427 are the AlgorithmIdentifiers of RFC 7427 appendix A and RFC 8420
// appendix A.
var rfc7427 = map[string]scheme{
	"300d06092a864886f70d01010b0500": {kind: kindRSA, hash: SHA256},
	"300d06092a864886f70d01010c0500": {kind: kindRSA, hash: SHA384},
	"300d06092a864886f70d01010d0500": {kind: kindRSA, hash: SHA512},
	"300a06082a8648ce3d040302":       {kind: anyECDSA, hash: SHA256},
	"300a06082a8648ce3d040303":       {kind: anyECDSA, hash: SHA384},
	"300a06082a8648ce3d040304":       {kind: anyECDSA, hash: SHA512},
	"300506032b6570":                 {kind: kindEd25519, hash: Identity},
	"304606092a864886f70d01010a3039a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120a303020101": {kind: kindRSA, pss: true, hash: SHA256, salt: 32},
}

func TestAlgorithmsAreNamedAsInTheRFC(t *testing.T) {
	for text, want := range rfc7427 {
		der, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		got, value, err := parsePrefix(slices.Concat([]byte{byte(len(der))}, der, []byte{1, 2}))
		if err != nil || got != want || !bytes.Equal(value, []byte{1, 2}) {
			t.Errorf("%s: got %+v, %x, %v, want %+v", text, got, value, err, want)
		}
		if want.kind == anyECDSA {
			want.kind = kindP256
		}
		// In DER the trailer, which is the default, is left out.
		wantDER := strings.Replace(strings.Replace(strings.Replace(text, "3046", "3041", 1), "3039", "3034", 1), "a303020101", "", 1)
		if got := hex.EncodeToString(want.prefix()[1:]); got != wantDER {
			t.Errorf("%+v: got %s, want %s", want, got, wantDER)
		}
	}
	for name, text := range map[string]string{
		"SHA-1 with RSA":      "300d06092a864886f70d0101050500",
		"SHA-1 with ECDSA":    "300906072a8648ce3d0401",
		"PSS by default":      "300d06092a864886f70d01010a3000",
		"PSS without":         "300b06092a864886f70d01010a",
		"two hashes":          "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020120",
		"PSS without salt":    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020100",
		"odd parameters":      "300d06092a864886f70d01010b0400",
		"octets after it":     "300a06082a8648ce3d04030200",
		"nothing to be read":  "ffff",
		"longer than it says": "300b06082a8648ce3d040302",
	} {
		der, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if s, _, err := parsePrefix(slices.Concat([]byte{byte(len(der))}, der, []byte{1, 2})); err == nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

func TestHashesOfIKEv1AreSigned(t *testing.T) {
	h1, h256, h512 := sha1.Sum(octets), sha256.Sum256(octets), sha512.Sum512(octets)
	for key, method := range map[string]uint16{"rsa": 3, "p256": 9, "p384": 10, "p521": 11} {
		cert := issue(t, nil, "x", key, nil)
		ours, p := credential(t, cert), owner(t, cert)
		if ours.MethodIKEv1() != method || p.MethodIKEv1() != method {
			t.Errorf("%s: got methods %d and %d, want %d", key, ours.MethodIKEv1(), p.MethodIKEv1(), method)
		}
		for _, hash := range [][]byte{h1[:], h256[:], h512[:]} {
			sig, err := ours.SignIKEv1(hash)
			if err != nil {
				t.Errorf("%s: %v", key, err)
				continue
			}
			if err := p.VerifyIKEv1(hash, sig); err != nil {
				t.Errorf("%s, hash of %d octets: %v", key, len(hash), err)
			}
			if err := p.VerifyIKEv1(append([]byte{1}, hash[1:]...), sig); err == nil {
				t.Errorf("%s: another hash: got no error", key)
			}
			if err := p.VerifyIKEv1(hash, sig[1:]); err == nil {
				t.Errorf("%s: an octet less: got no error", key)
			}
		}
	}
	ed := issue(t, nil, "x", "ed25519", nil)
	if _, err := credential(t, ed).SignIKEv1(h1[:]); err == nil {
		t.Error("Ed25519: got no error")
	}
	if err := owner(t, ed).VerifyIKEv1(h1[:], make([]byte, 64)); err == nil {
		t.Error("of Ed25519: got no error")
	}
}

func TestCredentialsPrintWithoutTheKey(t *testing.T) {
	a := credential(t, issue(t, nil, "a", "p256", nil))
	if got, want := a.String(), "C=XX, O=Example, CN=a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := NewCredential(inPEM(issue(t, nil, "a", "p256", nil)), nil); err == nil {
		t.Error("without a key: got no error")
	}
}

func TestSignatureWithALongAlgorithmIsRefused(t *testing.T) {
	p := owner(t, issue(t, nil, "x", "p256", nil))
	for _, size := range []int{0, 1, 254, 255} {
		for _, total := range []int{1, size + 1, 300} {
			data := make([]byte, total)
			data[0] = byte(size)
			if _, err := p.Verify(MethodSignature, data, octets, true); err == nil {
				t.Errorf("an algorithm of %d octets in %d: got no error", size, total)
			}
		}
	}
	if _, err := p.Verify(MethodSignature, nil, octets, true); err == nil {
		t.Error("nothing: got no error")
	}
}

func FuzzSignature(f *testing.F) {
	ec, rsa := issue(f, nil, "x", "p256", nil), issue(f, nil, "x", "rsa", nil)
	for text := range rfc7427 {
		der, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(MethodSignature), slices.Concat([]byte{byte(len(der))}, der, []byte{0x30, 6, 2, 1, 1, 2, 1, 1}))
	}
	f.Add(uint8(MethodECDSAP256), make([]byte, 64))
	f.Add(uint8(MethodSignature), bytes.Repeat([]byte{255}, 256))
	owners := []*Peer{owner(f, ec), owner(f, rsa)}
	f.Fuzz(func(t *testing.T, method uint8, data []byte) {
		for _, p := range owners {
			if name, err := p.Verify(method, data, octets, false); err == nil {
				t.Fatalf("accepted %x as %s", data, name)
			}
		}
		if s, value, err := parsePrefix(data); err == nil {
			if again, rest, err := parsePrefix(slices.Concat(s.prefix(), value)); s.kind != anyECDSA && (err != nil || again != s || !bytes.Equal(rest, value)) {
				t.Fatalf("%+v: got %+v, %v", s, again, err)
			}
		}
	})
}
