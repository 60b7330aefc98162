package wycheproof

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"

	"seikan/internal/ipsec/esp/aesgcm"
	"seikan/internal/ipsec/ike/suite"
)

// A vector is one test of any of the files that are read here.
type vector struct {
	ID      int    `json:"tcId"`
	Comment string `json:"comment"`
	Result  string `json:"result"`

	Public, Private, Shared    hexText
	Key, IV, AAD, Msg, CT, Tag hexText
	Seed, EK, C, K             hexText
}

// A group is vectors with the same sizes, in bits.
type group struct {
	KeySize, IVSize, TagSize int
	Tests                    []vector
}

// hexText is octets written in hexadecimal.
type hexText []byte

// UnmarshalText decodes hexadecimal.
func (h *hexText) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// each calls check for every vector in file, and fails if there are fewer than
// least of them: a file that has moved must not pass.
func each(t *testing.T, file string, least int, check func(g group, v vector) (used bool)) {
	t.Helper()
	b, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ TestGroups []group }
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range all.TestGroups {
		for _, v := range g.Tests {
			if check(g, v) {
				n++
			}
		}
	}
	if n < least {
		t.Errorf("%s: got %d vectors that concern us, want at least %d", file, n, least)
	}
}

// fit is a number in exactly size octets.
func fit(b []byte, size int) []byte {
	b = bytes.TrimLeft(b, "\x00")
	return append(make([]byte, max(0, size-len(b))), b...)
}

func TestECDH(t *testing.T) {
	for file, c := range map[string]struct {
		group suite.Group
		size  int
	}{
		"ecdh_secp256r1_ecpoint_test.json": {19, 32}, "ecdh_secp384r1_ecpoint_test.json": {20, 48}, "ecdh_secp521r1_ecpoint_test.json": {21, 66},
	} {
		each(t, file, 100, func(_ group, v vector) bool {
			// A compressed point has no place in a KE payload (RFC 5903 section 7).
			if len(v.Public) == 0 || v.Public[0] != 4 || v.Result == "acceptable" {
				return false
			}
			x, err := suite.NewExchange(c.group, bytes.NewReader(fit(v.Private, c.size)))
			if err != nil {
				t.Fatalf("%s %d: %v", file, v.ID, err)
			}
			got, err := x.Shared(v.Public[1:])
			switch {
			case v.Result == "invalid" && !errors.Is(err, suite.ErrPublic):
				t.Errorf("%s %d (%s): got %v, want ErrPublic", file, v.ID, v.Comment, err)
			case v.Result == "valid" && (err != nil || !bytes.Equal(got.Reveal(), v.Shared)):
				t.Errorf("%s %d (%s): got %x, %v, want %x", file, v.ID, v.Comment, got.Reveal(), err, v.Shared)
			}
			return true
		})
	}
}

func TestX25519(t *testing.T) {
	each(t, "x25519_test.json", 500, func(_ group, v vector) bool {
		x, err := suite.NewExchange(31, bytes.NewReader(v.Private))
		if err != nil {
			t.Fatalf("%d: %v", v.ID, err)
		}
		got, err := x.Shared(v.Public)
		// A point of small order gives zero, and RFC 8031 section 3.2 has it
		// refused.
		if zero := bytes.Equal(v.Shared, make([]byte, 32)); zero {
			if !errors.Is(err, suite.ErrPublic) {
				t.Errorf("%d (%s): got %v, want ErrPublic", v.ID, v.Comment, err)
			}
			return true
		}
		if err != nil || !bytes.Equal(got.Reveal(), v.Shared) {
			t.Errorf("%d (%s): got %x, %v, want %x", v.ID, v.Comment, got.Reveal(), err, v.Shared)
		}
		return true
	})
}

func TestAEAD(t *testing.T) {
	for file, encr := range map[string]suite.Encr{"aes_gcm_test.json": suite.AESGCM16, "chacha20_poly1305_test.json": suite.ChaCha20Poly1305} {
		each(t, file, 100, func(g group, v vector) bool {
			k := suite.EncrKey{Encr: encr, KeyBits: g.KeySize}
			if !k.Known() || g.IVSize != 96 || g.TagSize != 128 {
				return false
			}
			makes := []func([]byte) (cipher.AEAD, error){k.NewAEAD}
			if encr == suite.AESGCM16 {
				makes = append(makes, aesgcm.New) // ESP's own
			}
			for _, make := range makes {
				aead, err := make(v.Key)
				if err != nil {
					t.Fatalf("%s %d: %v", file, v.ID, err)
				}
				checkAEAD(t, file, aead, v)
			}
			return true
		})
	}
}

// checkAEAD opens and seals v.
func checkAEAD(t *testing.T, file string, aead cipher.AEAD, v vector) {
	t.Helper()
	sealed := append(bytes.Clone(v.CT), v.Tag...)
	got, err := aead.Open(nil, v.IV, sealed, v.AAD)
	if valid := v.Result == "valid"; valid != (err == nil) || valid && !bytes.Equal(got, v.Msg) {
		t.Errorf("%s %d (%s): %T: got %x, %v, want %x, %s", file, v.ID, v.Comment, aead, got, err, []byte(v.Msg), v.Result)
	}
	if got := aead.Seal(nil, v.IV, v.Msg, v.AAD); v.Result == "valid" && !bytes.Equal(got, sealed) {
		t.Errorf("%s %d (%s): %T: got %x, want %x", file, v.ID, v.Comment, aead, got, sealed)
	}
}

func TestHMAC(t *testing.T) {
	for file, prf := range map[string]suite.PRF{
		"hmac_sha1_test.json": suite.PRFSHA1, "hmac_sha256_test.json": suite.PRFSHA256,
		"hmac_sha384_test.json": suite.PRFSHA384, "hmac_sha512_test.json": suite.PRFSHA512,
	} {
		each(t, file, 100, func(g group, v vector) bool {
			got := prf.Sum(v.Key, v.Msg)[:g.TagSize/8]
			if valid := v.Result == "valid"; valid != bytes.Equal(got, v.Tag) {
				t.Errorf("%s %d (%s): got %x, vector is %s with %x", file, v.ID, v.Comment, got, v.Result, []byte(v.Tag))
			}
			return true
		})
	}
}

func TestMLKEM(t *testing.T) {
	for g, name := range map[suite.Group]string{suite.MLKEM768: "mlkem_768", suite.MLKEM1024: "mlkem_1024"} {
		each(t, name+"_keygen_seed_test.json", 25, func(_ group, v vector) bool {
			x, err := suite.NewExchange(g, bytes.NewReader(v.Seed))
			if err != nil || !bytes.Equal(x.Public(), v.EK) {
				t.Errorf("%v key %d (%s): got another encapsulation key, %v", g, v.ID, v.Comment, err)
			}
			return true
		})
		each(t, name+"_test.json", 25, func(_ group, v vector) bool {
			if len(v.Seed) != 64 {
				return false // our seeds are
			}
			x, err := suite.NewExchange(g, bytes.NewReader(v.Seed))
			if err != nil {
				t.Fatalf("%v %d: %v", g, v.ID, err)
			}
			got, err := x.Shared(v.C)
			switch {
			case v.Result == "invalid" && !errors.Is(err, suite.ErrPublic):
				t.Errorf("%v %d (%s): got %v, want ErrPublic", g, v.ID, v.Comment, err)
			case v.Result == "valid" && (err != nil || !bytes.Equal(got.Reveal(), v.K)):
				t.Errorf("%v %d (%s): got %x, %v, want %x", g, v.ID, v.Comment, got.Reveal(), err, []byte(v.K))
			}
			return true
		})
		each(t, name+"_encaps_test.json", 25, func(_ group, v vector) bool {
			public, _, err := suite.RespondExchange(g, v.EK, nil)
			if valid := v.Result == "valid"; valid != (err == nil) || valid && len(public) != len(v.C) || !valid && !errors.Is(err, suite.ErrPublic) {
				t.Errorf("%v encapsulation %d (%s): got %d octets, %v, want %s", g, v.ID, v.Comment, len(public), err, v.Result)
			}
			return true
		})
	}
}
