package suite

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"seikan/internal/secret"
)

// unhex decodes hexadecimal; spaces and line ends are ignored.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatalf("bad hexadecimal in the test: %v", err)
	}
	return b
}

// hmacVectors are RFC 4231 test cases 2 and 6 and, for SHA-1, RFC 2202 test
// case 2 and the same key and text as RFC 4231 case 6.
var hmacVectors = []struct {
	prf            PRF
	short, longKey string
}{
	{PRFSHA1, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
		"90d0dace1c1bdc957339307803160335bde6df2b"},
	{PRFSHA256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	{PRFSHA384, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
		"4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952"},
	{PRFSHA512, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
		"80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"},
}

func TestPRFIsHMAC(t *testing.T) {
	for _, v := range hmacVectors {
		got := v.prf.Sum([]byte("Jefe"), []byte("what do ya want "), nil, []byte("for nothing?"))
		if want := unhex(t, v.short); !bytes.Equal(got, want) {
			t.Errorf("%v, short key: got %x, want %x", v.prf, got, want)
		}
		got = v.prf.Sum(bytes.Repeat([]byte{0xaa}, 131), []byte("Test Using Larger Than Block-Size Key - Hash Key First"))
		if want := unhex(t, v.longKey); !bytes.Equal(got, want) {
			t.Errorf("%v, long key: got %x, want %x", v.prf, got, want)
		}
		if got, want := v.prf.Size(), len(v.short)/2; got != want {
			t.Errorf("%v size: got %d, want %d", v.prf, got, want)
		}
	}
}

func TestIntegrityIsTheSameHMACTruncated(t *testing.T) {
	icv := map[PRF]int{PRFSHA1: 12, PRFSHA256: 16, PRFSHA384: 24, PRFSHA512: 32}
	for n, e := range integNames {
		h := e.integ.New(secret.FromString("Jefe"))
		h.Write([]byte("what do ya want for nothing?"))
		if got, want := h.Sum(nil), unhex(t, hmacVectors[n].short); !bytes.Equal(got, want) {
			t.Errorf("%v: got %x, want %x", e.integ, got, want)
		}
		if got, want := e.integ.ICVLen(), icv[e.prf]; got != want {
			t.Errorf("%v ICV: got %d octets, want %d", e.integ, got, want)
		}
		if got, want := e.integ.KeyLen(), h.Size(); got != want {
			t.Errorf("%v key: got %d octets, want %d", e.integ, got, want)
		}
	}
}

func TestUnknownAlgorithmsHaveNoLengthsAndNoOutput(t *testing.T) {
	for _, p := range []PRF{0, 1, 3, 4, 8} {
		if p.Known() || p.Size() != 0 || p.Sum(nil) != nil || PSKAuth(p, secret.FromString("k"), nil) != nil {
			t.Errorf("PRF %d is taken for a known one", p)
		}
		if _, err := p.Plus(nil, nil, 1); err == nil {
			t.Errorf("PRF %d: Plus succeeded", p)
		}
	}
	for _, i := range []Integ{IntegNone, 1, 3, 5, 15} {
		if i.Known() || i.KeyLen() != 0 || i.ICVLen() != 0 || i.New(secret.Secret{}) != nil {
			t.Errorf("integrity %d is taken for a known one", i)
		}
	}
	for _, e := range []Encr{0, 3, 11, 13, 19, 21} {
		if (EncrKey{e, 128}).Known() || e.AEAD() || e.IVLen() != 0 {
			t.Errorf("cipher %d is taken for a known one", e)
		}
	}
}

func TestPlusChainsBlocksAndIsPrefixStable(t *testing.T) {
	key, seed := []byte("key"), []byte("seed")
	for _, v := range hmacVectors {
		t1 := v.prf.Sum(key, seed, []byte{1})
		t2 := v.prf.Sum(key, t1, seed, []byte{2})
		t3 := v.prf.Sum(key, t2, seed, []byte{3})
		whole := append(append(append([]byte(nil), t1...), t2...), t3...)
		for _, n := range []int{0, 1, len(t1) - 1, len(t1), len(t1) + 1, 2 * len(t1), len(whole)} {
			got, err := v.prf.Plus(key, seed, n)
			if err != nil {
				t.Fatalf("%v: Plus(%d): %v", v.prf, n, err)
			}
			if !bytes.Equal(got, whole[:n]) {
				t.Errorf("%v: Plus(%d): got %x, want %x", v.prf, n, got, whole[:n])
			}
		}
	}
}

func TestPlusEndsWithItsCounter(t *testing.T) {
	for _, v := range hmacVectors {
		most := 255 * v.prf.Size()
		got, err := v.prf.Plus([]byte("key"), nil, most)
		if err != nil || len(got) != most {
			t.Errorf("%v: Plus(%d): got %d octets and %v", v.prf, most, len(got), err)
		}
		if _, err := v.prf.Plus([]byte("key"), nil, most+1); err == nil {
			t.Errorf("%v: Plus(%d) succeeded", v.prf, most+1)
		}
		if _, err := v.prf.Plus([]byte("key"), nil, -1); err == nil {
			t.Errorf("%v: Plus(-1) succeeded", v.prf)
		}
	}
}

// The expectations were made with an independent implementation (Python's
// hmac module) of the formula in RFC 7296 section 2.15.
func TestPSKAuth(t *testing.T) {
	cases := []struct {
		prf  PRF
		want string
	}{
		{PRFSHA256, "55269d034e6cca5c5bb34a96651c2a78536a208d387a587a4dd207554949fabd"},
		{PRFSHA384, "dddc80d0a5b9142818737710387d6337b77272ce696bc1162aa03c82b0295691db8b35dda5942800f3247e7be1d4a6fc"},
		{PRFSHA512, "250890857222613246742e84d5eb17d72ea362044617352bb3d1130be5da966a30f7d3826e9bba563aef6382f84b9954ab2fda120db9e37062fb9f1f9761ad34"},
	}
	psk := secret.FromString("correct.horse_battery")
	for _, c := range cases {
		if got, want := PSKAuth(c.prf, psk, []byte("octets to sign")), unhex(t, c.want); !bytes.Equal(got, want) {
			t.Errorf("%v: got %x, want %x", c.prf, got, want)
		}
	}
}

func TestAuthOctetsAreMessageNonceAndIdentity(t *testing.T) {
	skp := secret.FromString("Jefe")
	got := AuthOctets(PRFSHA256, []byte("message"), []byte("nonce"), skp, []byte("what do ya want for nothing?"))
	want := append([]byte("messagenonce"), unhex(t, hmacVectors[1].short)...)
	if !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestMixPPKIsOneBlockOfPRFPlus(t *testing.T) {
	ppk, d := secret.FromString("a post-quantum key"), secret.New(ramp(1, 1, 48))
	got, err := MixPPK(PRFSHA384, ppk, d)
	want := PRFSHA384.Sum(ppk.Reveal(), d.Reveal(), []byte{1})
	if err != nil || !bytes.Equal(got.Reveal(), want) {
		t.Errorf("got %x, %v, want %x", got.Reveal(), err, want)
	}
	if _, err := MixPPK(1, ppk, d); err == nil {
		t.Error("an unknown PRF mixed a key")
	}
}

func TestIntAuthChains(t *testing.T) {
	skp := secret.New(ramp(1, 1, 32))
	first := IntAuth(PRFSHA256, skp, nil, []byte("first"))
	if want := PRFSHA256.Sum(skp.Reveal(), []byte("first")); !bytes.Equal(first, want) {
		t.Errorf("got %x, want %x", first, want)
	}
	if got, want := IntAuth(PRFSHA256, skp, first, []byte("second")), PRFSHA256.Sum(skp.Reveal(), first, []byte("second")); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
