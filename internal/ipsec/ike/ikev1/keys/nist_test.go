package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("bad hexadecimal in the test: %v", err)
	}
	return b
}

// checkKey fails unless the cipher of k is AES-128 under the first octets of
// key: it does not say what its key is.
func checkKey(t *testing.T, name string, k *Phase1, key []byte) {
	t.Helper()
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 32)
	cipher.NewCBCEncrypter(block, k.IV()).CryptBlocks(want, make([]byte, 32))
	if got, err := k.Cipher().Seal(k.IV(), make([]byte, 32)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: the cipher's key is not that of SKEYID_e: got %x, %v, want %x", name, got, err, want)
	}
}

func TestKeysOfNISTsCases(t *testing.T) {
	b, err := os.ReadFile("testdata/nist.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if f[0] == "#" {
			continue
		}
		if len(f) != 11 {
			t.Fatalf("line of %d words, want 11: %.60s", len(f), line)
		}
		integ, err := suite.ParseInteg(f[0])
		if err != nil {
			t.Fatal(err)
		}
		in := Input{
			Ni: unhex(t, f[2]), Nr: unhex(t, f[3]), Shared: secret.New(unhex(t, f[4])),
			CookieI: binary.BigEndian.Uint64(unhex(t, f[5])), CookieR: binary.BigEndian.Uint64(unhex(t, f[6])),
		}
		name := f[0] + " signatures"
		if f[1] != "-" {
			name, in.PSK = f[0]+" key", secret.New(unhex(t, f[1]))
		}
		seen[f[0]]++
		k, err := New(suite.IKE{Encr: suite.AESCBC, KeyBits: 128, PRF: integ.PRF(), Integ: integ, Group: 14}, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, got := range []secret.Secret{k.id, k.d, k.a} {
			if want := unhex(t, f[7+i]); !bytes.Equal(got.Reveal(), want) {
				t.Errorf("%s, key %d of SKEYID, _d, _a: got %x, want %x", name, i+1, got.Reveal(), want)
			}
		}
		checkKey(t, name, k, unhex(t, f[10]))
	}
	for _, hash := range []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"} {
		if seen[hash] == 0 {
			t.Errorf("%s: got no case, want one", hash)
		}
	}
}

// The values are those of a handshake of IPsec-StateMachineExtractor (Ruhr
// University Bochum) with a real gateway: pre-shared key "AAAA", SHA-1,
// AES-128, group 2.
func TestHandshakeRecordedByOthers(t *testing.T) {
	publicI := unhex(t, "a8b04c567a6bb3ab17da6a07f3f1667e6c70fb992ffe0a01dccc0877214c1936cc13a66aa97e4cd9ebfd61f6a7119859bba763255b54364d37a59f969d230f877cce6d77ca843e5f0cb24e354d51a429aabf75238f5a17ef5801f3b02d9f35dcd3562c35e6aeff67e9c71961f9313b6306c2c1adb428d6e70e713f894d9b7eda")
	publicR := unhex(t, "7947cdf90ed5f07ca325c9c9e6de95a82e5728b2e1daf44866100723ad2bed0f09e8383cf89c7645c805c2942d4aebfa1b6c351a9666faa1f4988c3a557cb411a3b73fd3e094144e646ef5eb85118a61f06c6359e0f19b43a99720b49ae322155d462004be5e09140cfc843e0622c6735bc90ab730577fc311b23b25a8d283fa")
	k, err := New(suite.IKE{Encr: suite.AESCBC, KeyBits: 128, PRF: suite.PRFSHA1, Integ: suite.IntegSHA1, Group: 2}, Input{
		CookieI: 0xdc3f1d7452b2c376, CookieR: 0x5f17969262b7829b, PSK: secret.FromString("AAAA"), PublicI: publicI, PublicR: publicR,
		Ni: unhex(t, "18eeeee5b29ef938"), Nr: unhex(t, "cf6306dcc088a94c1983462f97a3128ecdefbe4a1925cffddedd526215648099"),
		Shared: secret.New(unhex(t, "9FC4267E99D40EE7AA19492615990548621EBED0AE925A0810C2F4BF30A100F6B13201BAC4595281E5F2FB6FAF56F9CDA292991B40B41A48CFBA7713140DE1784DBD525C0CB88A4D3B4B46D7CABD539CDD1E79EDE000420CFFE9ED8BCA0B2FE09208D9D3145F55F68CE0E3C6C479616B64F3EB451CD4CE268310BCDC766BA8A2")),
	})
	if err != nil {
		t.Fatal(err)
	}
	checkKey(t, "recorded", k, unhex(t, "84FAF4DF7DCEC32AC45F13A485E73263"))
	sa := unhex(t, "00000001000000010000002c01010001000000240101000080010007800e0080800200028004000280030001800b0001800c7080")
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"SKEYID", "505e91ca4127fe30d9cad15f6176e8c504d2d612", k.id.Reveal()},
		{"IV of main mode", "0e09ed33bac3584d1d10762a9bd026c1", k.IV()},
		{"HASH_R", "ddb2cf1067913e83ea6633b8b174bc8ce559b9d1", k.Identity(false, sa, unhex(t, "010000000a00030a"))},
		{"IV of an informational message", "0bf60ed4c34fea8a12077a204dfd413f", k.MessageIV(k.IV(), 0xd8029d42)},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
