package suite

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// all of AWS's values, in no order.
func awsLists() ([]EncrKey, []Integ, []Group) {
	return []EncrKey{{AESGCM16, 256}, {AESCBC, 256}, {AESGCM16, 128}, {AESCBC, 128}},
		[]Integ{IntegSHA512, IntegSHA1, IntegSHA384, IntegSHA256},
		[]Group{24, 2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23}
}

// texts prints each of list.
func texts[T fmt.Stringer](list []T) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.String()
	}
	return out
}

func TestCombineWalksFromTheLowestValueUpward(t *testing.T) {
	got := texts(Combine(
		[]EncrKey{{AESGCM16, 256}, {AESCBC, 256}, {AESCBC, 128}, {AESCBC, 128}},
		[]Integ{IntegSHA256, IntegSHA1},
		[]Group{20, 2, 20},
	))
	want := []string{
		"AES128/SHA1/PRF-SHA1/DH2", "AES128/SHA1/PRF-SHA1/DH20",
		"AES128/SHA2-256/PRF-SHA2-256/DH2", "AES128/SHA2-256/PRF-SHA2-256/DH20",
		"AES256/SHA1/PRF-SHA1/DH2", "AES256/SHA1/PRF-SHA1/DH20",
		"AES256/SHA2-256/PRF-SHA2-256/DH2", "AES256/SHA2-256/PRF-SHA2-256/DH20",
		"AES256-GCM-16/PRF-SHA1/DH2", "AES256-GCM-16/PRF-SHA1/DH20",
		"AES256-GCM-16/PRF-SHA2-256/DH2", "AES256-GCM-16/PRF-SHA2-256/DH20",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCombineESPIgnoresIntegrityWithGCM(t *testing.T) {
	got := texts(CombineESP([]EncrKey{{AESGCM16, 128}, {AESCBC, 256}}, []Integ{IntegSHA512, IntegSHA1}, []Group{14}))
	want := []string{"AES256/SHA1/DH14", "AES256/SHA2-512/DH14", "AES128-GCM-16/DH14"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = texts(CombineESP([]EncrKey{{AESGCM16, 128}}, nil, nil))
	if want := []string{"AES128-GCM-16"}; !slices.Equal(got, want) {
		t.Errorf("without lists: got %q, want %q", got, want)
	}
}

func TestAWSDefaultsCombineToValidDistinctSuites(t *testing.T) {
	encr, integ, groups := awsLists()
	ike := Combine(encr, integ, groups)
	if got, want := len(ike), 4*4*12; got != want {
		t.Errorf("got %d IKE suites, want %d", got, want)
	}
	seen := map[IKE]bool{}
	for _, s := range ike {
		if err := s.Validate(); err != nil {
			t.Errorf("%v: %v", s, err)
		}
		if seen[s] {
			t.Errorf("%v twice", s)
		}
		seen[s] = true
	}
	esp := CombineESP(encr, integ, append(groups, 5))
	if got, want := len(esp), (2*4+2)*13; got != want {
		t.Errorf("got %d ESP suites, want %d", got, want)
	}
	for _, s := range esp {
		if err := s.Validate(); err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
	if got, want := ike[0].String(), "AES128/SHA1/PRF-SHA1/DH2"; got != want {
		t.Errorf("first of AWS's defaults: got %s, want %s", got, want)
	}
}

func TestStrongestFirstPutsGCMAndStrongGroupsFirst(t *testing.T) {
	encr, integ, groups := awsLists()
	list := StrongestFirst(Combine(encr, integ, append(groups, 5, 31)))
	if got, want := list[0].String(), "AES256-GCM-16/PRF-SHA2-512/DH21"; got != want {
		t.Errorf("first: got %s, want %s", got, want)
	}
	last := list[len(list)-1]
	if last.Encr != AESCBC || last.KeyBits != 128 || last.PRF != PRFSHA1 || !last.Group.Weak() {
		t.Errorf("last: got %v, want AES128 with SHA1 and a weak group", last)
	}
	order := []Group{21, 20, 18, 17, 16}
	for i, g := range order {
		if got := list[i*len(integ)].Group; got != g {
			t.Errorf("group %d in order: got %v, want %v", i, got, g)
		}
	}
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if a.EncrKey() == b.EncrKey() && a.Group.Weak() && !b.Group.Weak() {
			t.Errorf("%v before %v: weak group first", a, b)
		}
	}
	esp := []ESP{
		{Encr: AESCBC, KeyBits: 256, Integ: IntegSHA256, Group: 14},
		{Encr: AESGCM16, KeyBits: 128},
		{Encr: AESGCM16, KeyBits: 128, Group: 2},
		{Encr: AESGCM16, KeyBits: 128, Group: 2, ESN: true},
		{Encr: AESCBC, KeyBits: 256, Integ: IntegSHA512, Group: 14},
	}
	got := texts(StrongestFirstESP(esp))
	want := []string{"AES128-GCM-16/DH2/ESN", "AES128-GCM-16/DH2", "AES128-GCM-16", "AES256/SHA2-512/DH14", "AES256/SHA2-256/DH14"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAdditionalKeyExchangesComeFirstAndChaChaBeforeCBC(t *testing.T) {
	s := IKE{Encr: AESGCM16, KeyBits: 256, PRF: PRFSHA256, Group: 19}
	more, chacha, short := s, s, s
	more.Encr, more.Integ, more.AddKE = AESCBC, IntegSHA256, MoreKE{MLKEM768}
	most := more
	most.AddKE = MoreKE{MLKEM1024}
	chacha.Encr, short.KeyBits = ChaCha20Poly1305, 128
	got := texts(StrongestFirst([]IKE{short, chacha, s, more, most}))
	want := texts([]IKE{most, more, s, chacha, short})
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Nothing comes out that did not go in: weak algorithms work only when named.
func TestCombineAddsNothingOfItsOwn(t *testing.T) {
	encr := []EncrKey{{AESCBC, 128}, {AESGCM16, 256}}
	for _, s := range Combine(encr, []Integ{IntegSHA256, IntegSHA512}, []Group{14, 20}) {
		if s.Weak() {
			t.Errorf("%v is weak, and nobody named anything weak", s)
		}
	}
	for _, s := range CombineESP(encr, []Integ{IntegSHA256}, []Group{14}) {
		if s.Weak() || s.Group != 14 {
			t.Errorf("%v is weak or has another group, and nobody named that", s)
		}
	}
	if got := Combine(encr, nil, []Group{14}); len(got) != 0 {
		t.Errorf("without hashes: got %v, want nothing", got)
	}
}

func TestOrdersDoNotDependOnTheOrderOfOptionsAndLeaveThemAlone(t *testing.T) {
	encr, integ, groups := awsLists()
	want := Combine(encr, integ, groups)
	few := Combine(encr[:2], integ[:2], groups)
	strong := StrongestFirst(few)
	rapid.Check(t, func(t *rapid.T) {
		e := rapid.Permutation(encr).Draw(t, "encr")
		i := rapid.Permutation(integ).Draw(t, "integ")
		g := rapid.Permutation(groups).Draw(t, "groups")
		before := slices.Clone(g)
		if got := Combine(e, i, g); !slices.Equal(got, want) {
			t.Fatalf("Combine(%v, %v, %v) differs", e, i, g)
		}
		if !slices.Equal(g, before) {
			t.Fatalf("Combine changed its argument")
		}
		if got := StrongestFirst(rapid.Permutation(few).Draw(t, "suites")); !slices.Equal(got, strong) {
			t.Fatalf("StrongestFirst depends on the order of its argument")
		}
	})
}
