package keys

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// vectors were computed from the formulas of RFC 2409 with Python's hmac and
// hashlib and with OpenSSL's AES-CBC: what nist_test.go has of others goes no
// further than SKEYID, IVs and one HASH.
var vectors = []struct {
	hash                                       string
	keyBits                                    int
	psk                                        bool
	hashI, hashR, first, last, sealed, iv, esp string // hexadecimal
}{
	{"SHA1", 256, true,
		"3dafa47692496f3d4274c5fe56020f5b7ada272f",
		"0d40cb1f262abc7ef14baa1431adcf25cd517c27",
		"6070a28e99ee1c320efadad6717fe28a4fca2379",
		"18c4498f3943639fc01f2e186b6db55cdac460f7",
		"eae786397173dac6073e5c5fdd52a03b5c90079ec10b10075689cbf08ff9d8dd",
		"e854a44ee30cc46f4940027252ba5a98",
		"dbef8861fbe8bef00054e8be43e55340104c0c083f0a714f916ad82657396df11252e4f199ac2c23839aca8769636161b207502c994f3ad03ace8f4513f9d210"},
	{"SHA2-256", 128, true,
		"b003bd78a780642878e9f63e04540d0aae5b3aa294fe59b2eb2921ad7dd3a3c3",
		"d4fdc678b3ddc9139e3ea478e37f835926fde216207cd0e38036f9360c2c873b",
		"1287718cc72c8f40ad637aecc8a6716b9f2109d6aa15a36e52ff04eb8533f62c",
		"5ad94304924fb03c74fac34502bc82c75393658e7ad3a9876300b9df33463111",
		"62b73c01317b5f49b0cd7cf21d497a6bf533460228d5b6b8de8e4a3a9e115300",
		"dd8b3d40e9b84419dad620439c1c814f",
		"0e66aa2ac1910e7c29b0521732eb3c8264a6ed1ed9d4eb69020e6f8cc59cf3a559bfc2924777c26d6bb919c4f5ffc4fc6d383d1892ba18d04b948294e767e736"},
	{"SHA2-384", 256, false,
		"b0236d6e01f344136620762d5d5546b7c2524aa013a879d688decb4827e7b390671ca698a73cc47c52f64106a8301baf",
		"7ed9d2f94c5df2d6f79b165008b1c62b7ab4b4ce6ae4d41047d002eb390a0c5d83de91b52ed15bed59226e8a00bc97cb",
		"fc43e70550ebde79bbf09cef655ec33c6e94ef94e8ec0fc4279972a205a445db930ab6cb438a3d64fac1e6d10c7fc826",
		"f31afb5d3477266b5ce45f0a2b75453c6ae14fdd1f0986cd15345eddfccf70460bc26e91e7a614b2e491014de87141d5",
		"c2b0a2a9c3b923f52e1e356fc5ab60dac6b28f2b73436de2c9da35ff1b7b6285",
		"d0bba21c4277ccf6b2cf9d33b6f769c1",
		"6242dfb9ccfe31dbf4b4956f6983d0bb901385c9f5b40490c3eba420861affc05e42992841818ac01514e92d4135f58f7391acb31e3acc733751a17b3606594d"},
	{"SHA2-512", 256, true,
		"e45e65d9adec2cb892594a60ca25b483c4622a1129ac6deb2aeb4258aaf0abb0882cd32ccca7081968ca330d1c7864ad04abee09617c1e8d58d7e3ecbb31934b",
		"5b31e24c3ed1ef5aa0769b4177ff036aab928442a8b93b1ec3587f959f2f0feaadbe55e94cac18b64f184280205c631e1c48215268efb897537faef2eec20f45",
		"f28ed3f3bbdc33b0ae640c0848ae9439ef350ae741828fd71fc268c31257b0d55a5d21ddcdcf2b720d85dda4b1db55d0c1759ec7c445f043be0b24c2fcdf477c",
		"e7cb86ca00ab649070fa64db192f73890b2f84a9205e70fafeb1bf9e3706bf30796feefcfb11617898ef7019343be84af8e085177d7e67996e52b20b083982f2",
		"bd124c61ac9e0b3c98a8f93e4fd6896cfdc723e79eb4f58cf6c9186eabc549b2",
		"c9017a2fe2d42facfe663c97e04f05fe",
		"de3cb243e04a390ee589a9132a88d75084c18bf73a6b96474648ecc35cf79339a387b5226144e6d716e959162d98996002b72a33aa797ebd1457bc7dcff6d4bb"},
}

// counting is n octets that count from first.
func counting(first, n int) []byte {
	var out []byte
	for i := range n {
		out = append(out, byte(first+i))
	}
	return out
}

// input is what the vectors were computed from.
func input(psk bool) Input {
	var shared []byte
	for i := range 48 {
		shared = append(shared, byte(7*i))
	}
	in := Input{
		CookieI: 0x0102030405060708, CookieR: 0xa1a2a3a4a5a6a7a8, Ni: counting(1, 32), Nr: counting(101, 24),
		PublicI: bytes.Repeat([]byte{0x11}, 96), PublicR: bytes.Repeat([]byte{0x22}, 96), Shared: secret.New(shared),
	}
	if psk {
		in.PSK = secret.FromString("correct_horse.battery")
	}
	return in
}

func TestKeysAreThoseOfTheFormulas(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.hash, func(t *testing.T) {
			integ, err := suite.ParseInteg(v.hash)
			if err != nil {
				t.Fatal(err)
			}
			in := input(v.psk)
			k, err := New(suite.IKE{Encr: suite.AESCBC, KeyBits: v.keyBits, PRF: integ.PRF(), Integ: integ, Group: 20}, in)
			if err != nil {
				t.Fatal(err)
			}
			sa := append([]byte{0, 0, 0, 1, 0, 0, 0, 1}, "sa body"...)
			const id = 0xdeadbeef
			sealed, err := k.Cipher().Seal(k.IV(), bytes.Repeat([]byte("0123456789abcdef"), 2))
			if err != nil {
				t.Fatal(err)
			}
			esp, err := k.ESP(suite.ESP{Encr: suite.AESCBC, KeyBits: 256, Integ: suite.IntegSHA256, Group: 20}, in.Shared, 0xc0ffee01, in.Ni, in.Nr)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				name, want string
				got        []byte
			}{
				{"HASH_I", v.hashI, k.Identity(true, sa, []byte{1, 0, 0, 0, 192, 0, 2, 1})},
				{"HASH_R", v.hashR, k.Identity(false, sa, []byte{1, 0, 0, 0, 198, 51, 100, 2})},
				{"HASH(1)", v.first, k.Message(id, []byte("re"), []byte("st"))},
				{"HASH(3)", v.last, k.Last(id, in.Ni, in.Nr)},
				{"ciphertext", v.sealed, sealed},
				{"IV of a message", v.iv, k.MessageIV(counting(0, 16), id)},
				{"KEYMAT", v.esp, append(bytes.Clone(esp.Encr.Reveal()), esp.Integ.Reveal()...)},
			} {
				if got := hex.EncodeToString(c.got); got != c.want {
					t.Errorf("%s: got %s, want %s", c.name, got, c.want)
				}
			}
			plain, err := k.Cipher().Open(k.IV(), sealed)
			if err != nil || !bytes.HasPrefix(plain, []byte("0123456789abcdef0")) {
				t.Errorf("open: got %q, %v, want what was sealed", plain, err)
			}
			if !bytes.Equal(NextIV(sealed), sealed[16:]) {
				t.Error("next IV is not the last block")
			}
		})
	}
}

func TestGCMTakesItsSaltFromKEYMAT(t *testing.T) {
	in := input(true)
	k, err := New(suite.IKE{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA1, Integ: suite.IntegSHA1, Group: 14}, in)
	if err != nil {
		t.Fatal(err)
	}
	esp, err := k.ESP(suite.ESP{Encr: suite.AESGCM16, KeyBits: 256}, secret.Secret{}, 256, in.Ni, in.Nr)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := esp.Encr.Len(), 36; got != want {
		t.Errorf("got %d octets, want %d: key and salt (RFC 4106 section 8.1)", got, want)
	}
	if got := esp.Integ.Len(); got != 0 {
		t.Errorf("integrity key of %d octets, want none", got)
	}
}

func TestKeysAreRefusedWhereTheyWouldBeWeak(t *testing.T) {
	good := suite.IKE{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 14}
	for name, change := range map[string]func(*suite.IKE, *Input){
		"AES-GCM":          func(s *suite.IKE, _ *Input) { s.Encr, s.Integ = suite.AESGCM16, suite.IntegNone },
		"unknown hash":     func(s *suite.IKE, _ *Input) { s.PRF = 99 },
		"no nonce":         func(_ *suite.IKE, in *Input) { in.Nr = nil },
		"no shared secret": func(_ *suite.IKE, in *Input) { in.Shared = secret.Secret{} },
	} {
		s, in := good, input(true)
		change(&s, &in)
		if _, err := New(s, in); err == nil {
			t.Errorf("%s: got keys, want an error", name)
		}
	}
	in := input(true)
	k, err := New(good, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.ESP(suite.ESP{Encr: suite.AESGCM16, KeyBits: 128, Group: 14}, secret.Secret{}, 256, in.Ni, in.Nr); err == nil {
		t.Error("PFS without a shared secret: got keys, want an error")
	}
	if _, err := k.Cipher().Open(k.IV(), make([]byte, 17)); !errors.Is(err, ErrBlocks) {
		t.Errorf("17 octets: got %v, want %v", err, ErrBlocks)
	}
	k.Wipe()
	if _, err := k.Cipher().Seal(k.IV(), make([]byte, 16)); err == nil {
		t.Error("wiped keys still seal")
	}
}
