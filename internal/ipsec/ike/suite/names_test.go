package suite

import (
	"strings"
	"testing"
)

func TestEveryAWSNameParsesAndPrintsBack(t *testing.T) {
	for _, name := range []string{"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16", "CHACHA20-POLY1305"} {
		e, bits, err := ParseEncr(name)
		if err != nil {
			t.Fatalf("ParseEncr(%q): %v", name, err)
		}
		if got := (EncrKey{e, bits}).String(); got != name {
			t.Errorf("ParseEncr(%q) prints as %q", name, got)
		}
	}
	for _, name := range []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"} {
		i, err := ParseInteg(name)
		if err != nil {
			t.Fatalf("ParseInteg(%q): %v", name, err)
		}
		if got := i.String(); got != name {
			t.Errorf("ParseInteg(%q) prints as %q", name, got)
		}
		if got, want := i.PRF().String(), "PRF-"+name; got != want {
			t.Errorf("PRF of %s: got %q, want %q", name, got, want)
		}
	}
}

func TestParseRefusesOtherNamesAndSaysWhichItKnows(t *testing.T) {
	for _, name := range []string{"", "aes128", "AES192", "AES128 ", "AES256-GCM", "SHA1"} {
		_, _, err := ParseEncr(name)
		if err == nil {
			t.Errorf("ParseEncr(%q) succeeded", name)
		} else if !strings.Contains(err.Error(), "AES256-GCM-16") {
			t.Errorf("ParseEncr(%q): error %q does not name the choices", name, err)
		}
	}
	for _, name := range []string{"", "sha1", "SHA-256", "SHA256", "MD5", "NONE"} {
		_, err := ParseInteg(name)
		if err == nil {
			t.Errorf("ParseInteg(%q) succeeded", name)
		} else if !strings.Contains(err.Error(), "SHA2-512") {
			t.Errorf("ParseInteg(%q): error %q does not name the choices", name, err)
		}
	}
}

func TestParseGroupKnowsExactlyTheImplementedOnes(t *testing.T) {
	known := map[int]bool{2: true, 5: true, 31: true, 36: true, 37: true}
	for n := 14; n <= 24; n++ {
		known[n] = true
	}
	for n := -2; n < 70; n++ {
		g, err := ParseGroup(n)
		if got := err == nil; got != known[n] {
			t.Errorf("ParseGroup(%d): known %v, want %v", n, got, known[n])
		}
		if err == nil && int(g) != n {
			t.Errorf("ParseGroup(%d) = %d", n, g)
		}
	}
	// 65536+14 must not be taken for 14.
	if g, err := ParseGroup(1<<16 + 14); err == nil {
		t.Errorf("ParseGroup(65550) = %v, want an error", g)
	}
}

func TestKeyExchangesParseAsTheyPrint(t *testing.T) {
	for _, g := range sortedGroups() {
		if got, err := ParseKeyExchange(g.String()); err != nil || got != g {
			t.Errorf("ParseKeyExchange(%q) = %v, %v, want %v", g, got, err, g)
		}
	}
	for _, name := range []string{"", "20", "DH1", "ml-kem-768", "ML-KEM-512"} {
		_, err := ParseKeyExchange(name)
		wantError(t, name, err, "parse key exchange", "ML-KEM-1024", "DH20")
	}
}

func TestSuitesPrintByAWSNames(t *testing.T) {
	gcm := IKE{Encr: AESGCM16, KeyBits: 256, PRF: PRFSHA384, Group: 20}
	cbc := IKE{Encr: AESCBC, KeyBits: 128, PRF: PRFSHA1, Integ: IntegSHA1, Group: 2}
	cases := []struct{ got, want string }{
		{gcm.String(), "AES256-GCM-16/PRF-SHA2-384/DH20"},
		{cbc.String(), "AES128/SHA1/PRF-SHA1/DH2"},
		{ESP{Encr: AESGCM16, KeyBits: 256, Group: 20, ESN: true}.String(), "AES256-GCM-16/DH20/ESN"},
		{ESP{Encr: AESCBC, KeyBits: 256, Integ: IntegSHA512}.String(), "AES256/SHA2-512"},
		{IKE{Encr: 3, KeyBits: 192, PRF: 1, Integ: 1, Group: 1}.String(), "ENCR(3)(192 bits)/INTEG(1)/PRF(1)/DH1"},
		{IntegNone.String(), "NONE"},
		{AESCBC.String(), "AES-CBC"},
		{AESGCM16.String(), "AES-GCM-16"},
		{ESP{Encr: AESGCM16, KeyBits: 256, Group: 20, AddKE: MoreKE{0, MLKEM768}, ESN: true}.String(), "AES256-GCM-16/DH20/ML-KEM-768/ESN"},
		{IKE{Encr: ChaCha20Poly1305, KeyBits: 256, PRF: PRFSHA256, Group: 31, AddKE: MoreKE{MLKEM768, MLKEM1024}}.String(),
			"CHACHA20-POLY1305/PRF-SHA2-256/DH31/ML-KEM-768/ML-KEM-1024"},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
