package suite

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// sortedGroups are all groups, in order.
func sortedGroups() []Group {
	var out []Group
	for g := range groups {
		out = append(out, g)
	}
	slices.Sort(out)
	return out
}

// exchange makes an exchange that reads random.
func exchange(t testing.TB, g Group, random io.Reader) *Exchange {
	t.Helper()
	x, err := NewExchange(g, random)
	if err != nil {
		t.Fatalf("NewExchange(%v): %v", g, err)
	}
	return x
}

func TestExchangeVectorsOfTheRFCs(t *testing.T) {
	for _, v := range exchangeVectors {
		alice := exchange(t, v.group, bytes.NewReader(unhex(t, v.alice)))
		bob := exchange(t, v.group, bytes.NewReader(unhex(t, v.bob)))
		if want := unhex(t, v.public); v.public != "" && !bytes.Equal(alice.Public(), want) {
			t.Errorf("%v public value:\ngot  %x\nwant %x", v.group, alice.Public(), want)
		}
		for _, side := range []struct {
			own  *Exchange
			peer []byte
		}{{alice, bob.Public()}, {bob, alice.Public()}} {
			got, err := side.own.Shared(side.peer)
			if err != nil {
				t.Fatalf("%v: %v", v.group, err)
			}
			if want := unhex(t, v.shared); !bytes.Equal(got.Reveal(), want) {
				t.Errorf("%v shared secret:\ngot  %x\nwant %x", v.group, got.Reveal(), want)
			}
		}
	}
}

// sharedLen is the length of the secret: the modulus, one coordinate, or what
// a KEM gives.
func sharedLen(g Group) int {
	if g.KEM() {
		return 32
	}
	if g >= 19 && g <= 21 {
		return g.PublicLen() / 2
	}
	return g.PublicLen()
}

func TestBothSidesAgreeInEveryGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := rapid.SampledFrom(sortedGroups()).Draw(t, "group")
		if g == 17 || g == 18 {
			g = 16 // 17 and 18 cost ten times as much; see the next test
		}
		var seed [32]byte
		copy(seed[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "seed"))
		agree(t, g, rand.NewChaCha8(seed))
	})
	for _, g := range []Group{17, 18} {
		agree(t, g, nil)
	}
}

// agree runs one exchange between two ends that read random.
func agree(t rapid.TB, g Group, random io.Reader) {
	t.Helper()
	a, err := NewExchange(g, random)
	if err != nil {
		t.Fatalf("NewExchange(%v): %v", g, err)
	}
	public, ba, err := RespondExchange(g, a.Public(), random)
	if err != nil {
		t.Fatalf("RespondExchange(%v): %v", g, err)
	}
	if bytes.Equal(a.Public(), public) {
		t.Fatalf("%v: two exchanges with the same public value", g)
	}
	if got, want := len(a.Public()), g.PublicLen(); got != want {
		t.Fatalf("%v: public value of %d octets, want %d", g, got, want)
	}
	if got, want := len(public), g.AnswerLen(); got != want {
		t.Fatalf("%v: responder's value of %d octets, want %d", g, got, want)
	}
	ab, err := a.Shared(public)
	if err != nil {
		t.Fatalf("%v: %v", g, err)
	}
	if !ab.Equal(ba) {
		t.Fatalf("%v: the two sides disagree", g)
	}
	if got, want := ab.Len(), sharedLen(g); got != want {
		t.Fatalf("%v: shared secret of %d octets, want %d", g, got, want)
	}
}

// A secret with leading zeros must keep them (RFC 7296 section 2.14). In the
// smallest group one exchange in 256 has one, so a few hundred tries suffice.
func TestSharedSecretKeepsLeadingZeros(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	own := exchange(t, 22, random)
	for range 5000 {
		peer := exchange(t, 22, random)
		got, err := own.Shared(peer.Public())
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != 128 {
			t.Fatalf("shared secret of %d octets, want 128", got.Len())
		}
		if got.Reveal()[0] == 0 {
			return
		}
	}
	t.Fatal("no shared secret with a leading zero in 5000 exchanges")
}

// wantRefused fails unless own refuses peer as the peer's fault.
func wantRefused(t *testing.T, own *Exchange, what string, peer []byte) {
	t.Helper()
	if _, err := own.Shared(peer); !errors.Is(err, ErrPublic) {
		t.Errorf("%v, %s: got %v, want ErrPublic", own.Group(), what, err)
	}
}

func TestUnsafePublicValuesAreRefused(t *testing.T) {
	for _, g := range sortedGroups() {
		if g.KEM() {
			continue // TestUnsafeKeysOfAKEMAreRefused
		}
		own := exchange(t, g, nil)
		n := g.PublicLen()
		wantRefused(t, own, "nothing", nil)
		wantRefused(t, own, "one octet short", own.Public()[1:])
		wantRefused(t, own, "one octet long", append([]byte{0}, own.Public()...))
		wantRefused(t, own, "zero", make([]byte, n))
		if g == 31 {
			// The point of order 2 (RFC 7748 section 6.1) gives zero.
			wantRefused(t, own, "one", append([]byte{1}, make([]byte, 31)...))
			continue
		}
		wantRefused(t, own, "all ones", bytes.Repeat([]byte{0xff}, n))
		if groups[g].modp == nil {
			off := slices.Clone(own.Public())
			off[n-1] ^= 1
			wantRefused(t, own, "a point off the curve", off)
			continue
		}
		p := number(t, groups[g].modp.prime)
		for name, v := range map[string]*big.Int{
			"1":   big.NewInt(1),
			"p-1": new(big.Int).Sub(p, big.NewInt(1)),
			"p":   p,
			"p+1": new(big.Int).Add(p, big.NewInt(1)),
		} {
			wantRefused(t, own, name, v.FillBytes(make([]byte, n)))
		}
		if groups[g].modp.order == "" {
			if _, err := own.Shared(big.NewInt(2).FillBytes(make([]byte, n))); err != nil {
				t.Errorf("%v: refuses 2: %v", g, err)
			}
			continue
		}
		// 2 is between 1 and p-1, but not in the subgroup.
		wantRefused(t, own, "2", big.NewInt(2).FillBytes(make([]byte, n)))
	}
}

func TestKEMVectorsKnownFromElsewhere(t *testing.T) {
	b, err := os.ReadFile("testdata/mlkem.txt")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		number, err := strconv.Atoi(f[0])
		if err != nil || len(f) != 5 {
			t.Fatalf("line of %d words: %v", len(f), err)
		}
		x := exchange(t, Group(number), bytes.NewReader(unhex(t, f[1])))
		if got := sha256.Sum256(x.Public()); !bytes.Equal(got[:], unhex(t, f[2])) {
			t.Errorf("%v: got an encapsulation key with SHA-256 %x, want %s", x.Group(), got, f[2])
		}
		if got, err := x.Shared(unhex(t, f[3])); err != nil || !bytes.Equal(got.Reveal(), unhex(t, f[4])) {
			t.Errorf("%v: got secret %x, %v, want %s", x.Group(), got.Reveal(), err, f[4])
		}
		n++
	}
	if n != 2 {
		t.Errorf("got %d vectors, want one for each parameter set", n)
	}
}

func TestUnsafeKeysOfAKEMAreRefused(t *testing.T) {
	for _, g := range []Group{MLKEM768, MLKEM1024} {
		own := exchange(t, g, nil)
		// Twelve bits at a time, 0xfff is not below 3329 (FIPS 203 section 7.2).
		for what, peer := range map[string][]byte{
			"nothing": nil, "one octet short": own.Public()[1:], "one octet long": append([]byte{0}, own.Public()...),
			"all ones": bytes.Repeat([]byte{0xff}, g.PublicLen()),
		} {
			public, _, err := RespondExchange(g, peer, nil)
			if !errors.Is(err, ErrPublic) || public != nil {
				t.Errorf("%v, %s: got %d octets, %v, want ErrPublic", g, what, len(public), err)
			}
		}
		wantRefused(t, own, "nothing", nil)
		wantRefused(t, own, "a ciphertext one octet short", make([]byte, g.AnswerLen()-1))
		public, want, err := RespondExchange(g, own.Public(), nil)
		if err != nil {
			t.Fatal(err)
		}
		public[7] ^= 1
		if got, err := own.Shared(public); err != nil || got.Equal(want) || got.Len() != 32 {
			t.Errorf("%v, a changed ciphertext: got %v, want another secret without an error", g, err)
		}
	}
}

func TestExchangeRepeatsWithTheSameRandom(t *testing.T) {
	for _, g := range sortedGroups() {
		a := exchange(t, g, rand.NewChaCha8([32]byte{7}))
		b := exchange(t, g, rand.NewChaCha8([32]byte{7}))
		if !bytes.Equal(a.Public(), b.Public()) {
			t.Errorf("%v: same random, other public value", g)
		}
	}
}

// constant gives the same octet for ever.
type constant byte

// Read fills b.
func (c constant) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

func TestBrokenRandomSourcesEndInAnError(t *testing.T) {
	for _, g := range sortedGroups() {
		if _, err := NewExchange(g, bytes.NewReader([]byte{1, 2, 3})); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%v, three octets of random: got %v, want io.ErrUnexpectedEOF", g, err)
		}
		// Zeros are no private key of a group with a given order; the others
		// set a bit or clamp.
		refuses := g >= 19 && g <= 24
		if _, err := NewExchange(g, constant(0)); errors.Is(err, errRandom) != refuses {
			t.Errorf("%v, zeros for random: got %v", g, err)
		}
	}
}

func TestUnknownGroups(t *testing.T) {
	for _, g := range []Group{0, 1, 3, 13, 25, 32, 35, 38} {
		if g.Known() || g.PublicLen() != 0 || g.AnswerLen() != 0 || g.KEM() {
			t.Errorf("group %d is taken for a known one", g)
		}
		_, err := NewExchange(g, nil)
		wantError(t, g.String(), err, "new key exchange", "14–24")
		_, _, err = RespondExchange(g, nil, nil)
		wantError(t, g.String(), err, "new key exchange", "14–24")
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, g := range sortedGroups() {
		b.Run(g.String(), func(b *testing.B) {
			peer := exchange(b, g, nil).Public()
			for b.Loop() {
				if _, _, err := RespondExchange(g, peer, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
