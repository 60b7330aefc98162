package suite

import (
	"strings"
	"testing"
)

// wantError fails unless err names every one of parts.
func wantError(t *testing.T, what string, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one that names %q", what, parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%s: got error %q, want it to name %q", what, err, p)
		}
	}
}

func TestValidateNamesFieldValueAndCure(t *testing.T) {
	good := IKE{Encr: AESCBC, KeyBits: 128, PRF: PRFSHA256, Integ: IntegSHA256, Group: 14}
	if err := good.Validate(); err != nil {
		t.Fatalf("Validate(%v): %v", good, err)
	}
	cases := []struct {
		name   string
		change func(*IKE)
		parts  []string
	}{
		{"unknown cipher", func(s *IKE) { s.Encr = 3 }, []string{"Encr 3", "use 12"}},
		{"192-bit key", func(s *IKE) { s.KeyBits = 192 }, []string{"KeyBits 192", "128 or 256"}},
		{"no key length", func(s *IKE) { s.KeyBits = 0 }, []string{"KeyBits 0", "128 or 256"}},
		{"GCM with integrity", func(s *IKE) { s.Encr = AESGCM16 }, []string{"Integ SHA2-256", "IntegNone"}},
		{"CBC without integrity", func(s *IKE) { s.Integ = IntegNone }, []string{"Integ is absent", "SHA2-512"}},
		{"unknown integrity", func(s *IKE) { s.Integ = 5 }, []string{"Integ 5", "use 2"}},
		{"unknown PRF", func(s *IKE) { s.PRF = 4 }, []string{"PRF 4", "SHA2-384"}},
		{"unknown group", func(s *IKE) { s.Group = 1 }, []string{"Group 1", "14–24"}},
		{"ChaCha20 with 128 bits", func(s *IKE) { s.Encr, s.Integ = ChaCha20Poly1305, IntegNone }, []string{"KeyBits 128", "use 256"}},
		{"ChaCha20 with integrity", func(s *IKE) { s.Encr, s.KeyBits = ChaCha20Poly1305, 256 }, []string{"Integ SHA2-256", "IntegNone"}},
		{"too large for IKE_SA_INIT", func(s *IKE) { s.Group = MLKEM1024 }, []string{"ML-KEM-1024", "AddKE"}},
		{"unknown additional exchange", func(s *IKE) { s.AddKE[2] = 35 }, []string{"AddKE[2] 35", "36 or 37"}},
		{"the same exchange twice", func(s *IKE) { s.AddKE = MoreKE{MLKEM768, 0, MLKEM768} }, []string{"AddKE[2] ML-KEM-768", "twice"}},
		{"the group again", func(s *IKE) { s.AddKE[0] = 14 }, []string{"AddKE[0] DH14", "twice"}},
		{"no group", func(s *IKE) { s.Group = 0 }, []string{"Group 0", "14–24"}},
	}
	for _, c := range cases {
		s := good
		c.change(&s)
		wantError(t, c.name, s.Validate(), append(c.parts, "IKE suite")...)
	}
}

func TestValidateESPAllowsNoPFS(t *testing.T) {
	for _, s := range []ESP{
		{Encr: AESGCM16, KeyBits: 128},
		{Encr: AESCBC, KeyBits: 256, Integ: IntegSHA384, Group: 24, ESN: true},
		{Encr: ChaCha20Poly1305, KeyBits: 256, Group: MLKEM1024, AddKE: MoreKE{31, MLKEM768}},
	} {
		if err := s.Validate(); err != nil {
			t.Errorf("Validate(%v): %v", s, err)
		}
	}
	wantError(t, "unknown group", ESP{Encr: AESGCM16, KeyBits: 128, Group: 13}.Validate(), "ESP suite", "Group 13", "no PFS")
	wantError(t, "no integrity", ESP{Encr: AESCBC, KeyBits: 128}.Validate(), "ESP suite", "Integ is absent")
	wantError(t, "additional exchange without PFS", ESP{Encr: AESGCM16, KeyBits: 128, AddKE: MoreKE{MLKEM768}}.Validate(), "ESP suite", "without Group")
	wantError(t, "zero value", ESP{}.Validate(), "Encr 0")
}

func TestWeakIsSHA1AndGroups2And5And22To24(t *testing.T) {
	for g := range groups {
		want := g == 2 || g == 5 || g >= 22 && g <= 24
		if got := (ESP{Encr: AESGCM16, KeyBits: 128, Group: g}).Weak(); got != want {
			t.Errorf("%v weak: got %v, want %v", g, got, want)
		}
		if got := (IKE{Encr: AESGCM16, KeyBits: 128, PRF: PRFSHA256, Group: g}).Weak(); got != want {
			t.Errorf("%v weak in IKE: got %v, want %v", g, got, want)
		}
	}
	for _, weak := range []bool{false, true} {
		more := MoreKE{MLKEM768}
		if weak {
			more[1] = 2
		}
		if got := (IKE{Encr: AESGCM16, KeyBits: 128, PRF: PRFSHA256, Group: 19, AddKE: more}).Weak(); got != weak {
			t.Errorf("additional exchanges %v weak: got %v, want %v", more.List(), got, weak)
		}
	}
	for _, e := range integNames {
		want := e.name == "SHA1"
		if got := (IKE{Encr: AESGCM16, KeyBits: 128, PRF: e.prf, Group: 14}).Weak(); got != want {
			t.Errorf("PRF-%s weak: got %v, want %v", e.name, got, want)
		}
		if got := (ESP{Encr: AESCBC, KeyBits: 128, Integ: e.integ}).Weak(); got != want {
			t.Errorf("%s weak: got %v, want %v", e.name, got, want)
		}
	}
}
