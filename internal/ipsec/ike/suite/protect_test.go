package suite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"seikan/internal/secret"
)

// protectSuites are one suite for each way to protect.
var protectSuites = []IKE{
	{Encr: AESGCM16, KeyBits: 128, PRF: PRFSHA256, Group: 19},
	{Encr: AESGCM16, KeyBits: 256, PRF: PRFSHA384, Group: 20},
	{Encr: AESCBC, KeyBits: 128, PRF: PRFSHA1, Integ: IntegSHA1, Group: 2},
	{Encr: AESCBC, KeyBits: 256, PRF: PRFSHA256, Integ: IntegSHA256, Group: 14},
	{Encr: AESCBC, KeyBits: 128, PRF: PRFSHA384, Integ: IntegSHA384, Group: 20},
	{Encr: AESCBC, KeyBits: 256, PRF: PRFSHA512, Integ: IntegSHA512, Group: 21},
	{Encr: ChaCha20Poly1305, KeyBits: 256, PRF: PRFSHA256, Group: 31},
}

// protector makes a Protector of s with keys that count up from 0 and from
// 0x20, and a salt of a0a1a2a3.
func protector(t rapid.TB, s IKE, random io.Reader) *Protector {
	t.Helper()
	key := ramp(0, 1, s.KeyBits/8)
	if s.Encr.AEAD() {
		key = append(key, 0xa0, 0xa1, 0xa2, 0xa3)
	}
	p, err := NewProtector(s, secret.New(key), secret.New(ramp(0x20, 1, s.Integ.KeyLen())), random)
	if err != nil {
		t.Fatalf("NewProtector(%v): %v", s, err)
	}
	return p
}

// head is an IKE header (RFC 7296 section 3.1) of an IKE_AUTH request, then
// extra octets, then the generic header of an SK payload, with the lengths of
// a message with plain octets of inner payloads.
func head(p *Protector, extra, plain int) []byte {
	sealed := p.SealedLen(plain)
	b := []byte{1, 2, 3, 4, 5, 6, 7, 8, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 46, 0x20, 35, 0x08, 0, 0, 0, 1}
	b = binary.BigEndian.AppendUint32(b, uint32(28+extra+4+sealed))
	b = append(b, make([]byte, extra)...)
	b = append(b, 43, 0)
	return binary.BigEndian.AppendUint16(b, uint16(4+sealed))
}

// The CBC expectation was made with the openssl command (enc and dgst), the
// GCM ones with Python's cryptography module.
func TestSealedMessagesKnownFromElsewhere(t *testing.T) {
	plain := []byte("IKE inner payloads!!")
	cbc := protector(t, protectSuites[2], bytes.NewReader(ramp(0x10, 1, 16)))
	gcm := protector(t, protectSuites[1], nil)
	cases := []struct {
		name string
		p    *Protector
		want string
	}{
		{"CBC", cbc, "101112131415161718191a1b1c1d1e1f" +
			"a92d259813556e53bacc7e713a58479d017590822d34dcb3693625b4b454c879" + "e8e8cd81045826e00a2c3f20"},
		{"GCM, first message", gcm, "0000000000000000" +
			"55f219164a0adbd9cb1bcb5228b60abaf6e33c64f9" + "122d4b169d2df6a0bae7a13ff5bda216"},
		{"GCM, second message", gcm, "0000000000000001" +
			"f9e4fdae051aa8d169fadd0b020762eb2969b87c68" + "0ee760c76493bd74a9bd38de35c534be"},
	}
	for _, c := range cases {
		msg := head(c.p, 0, len(plain))
		got, err := c.p.SealSK(msg, plain)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if want := append(slices.Clone(msg), unhex(t, c.want)...); !bytes.Equal(got, want) {
			t.Errorf("%s:\ngot  %x\nwant %x", c.name, got, want)
		}
	}
}

func TestChaChaMessageOfRFC7634AppendixB(t *testing.T) {
	key := append(ramp(0x80, 1, 32), 0xa0, 0xa1, 0xa2, 0xa3)
	s := IKE{Encr: ChaCha20Poly1305, KeyBits: 256, PRF: PRFSHA256, Group: 31}
	p, err := NewProtector(s, secret.New(key), secret.Secret{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.next = 0x1011121314151617
	head := unhex(t, "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029")
	plain := unhex(t, "0000000c000040010000000a")
	want := unhex(t, "c0c1c2c3c4c5c6c7d0d1d2d3d4d5d6d72e202500000000090000004529000029"+"1011121314151617"+
		"610394701f8d017f7c12924889"+"6b71bfe25236efd7cdc67066906315b2")
	if got, err := p.SealSK(head, plain); err != nil || !bytes.Equal(got, want) {
		t.Errorf("sealed: got %x, %v\nwant %x", got, err, want)
	}
	if got, err := p.OpenSK(want, len(head)); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("opened: got %x, %v, want %x", got, err, plain)
	}
}

func TestWhatIsSealedOpensAndHasTheLengthForetold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(protectSuites).Draw(t, "suite")
		plain := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "plain")
		extra := rapid.IntRange(0, 9).Draw(t, "extra")
		sealer, opener := protector(t, s, nil), protector(t, s, nil)
		msg := head(sealer, extra, len(plain))
		before, plainBefore := slices.Clone(msg), slices.Clone(plain)
		sealed, err := sealer.SealSK(msg, plain)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(msg, before) || !bytes.Equal(plain, plainBefore) {
			t.Fatalf("SealSK changed its arguments")
		}
		if got, want := len(sealed), len(msg)+sealer.SealedLen(len(plain)); got != want {
			t.Fatalf("sealed message has %d octets, want %d", got, want)
		}
		if !bytes.Equal(sealed[:len(msg)], msg) {
			t.Fatalf("sealed message does not begin with its header")
		}
		if len(plain) > 7 && bytes.Contains(sealed, plain) {
			t.Fatalf("sealed message shows its plaintext")
		}
		sealedBefore := slices.Clone(sealed)
		got, err := opener.OpenSK(sealed, len(msg))
		if err != nil {
			t.Fatalf("OpenSK: %v", err)
		}
		if !bytes.Equal(got, plain) {
			t.Fatalf("got %x, want %x", got, plain)
		}
		clear(got)
		if !bytes.Equal(sealed, sealedBefore) {
			t.Fatalf("OpenSK changed the message or shares its memory")
		}
	})
}

func TestAnyChangedBitAndAnyPrefixFailsTheIntegrityCheck(t *testing.T) {
	plain := ramp(0, 1, 33)
	for _, s := range protectSuites {
		p := protector(t, s, nil)
		msg := head(p, 0, len(plain))
		sealed, err := p.SealSK(msg, plain)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.OpenSK(sealed, len(msg)); err != nil {
			t.Fatalf("%v: unchanged message: %v", s, err)
		}
		for bit := range len(sealed) * 8 {
			sealed[bit/8] ^= 1 << (bit % 8)
			if got, err := p.OpenSK(sealed, len(msg)); !errors.Is(err, ErrIntegrity) || got != nil {
				t.Errorf("%v, bit %d changed: got %x and %v, want ErrIntegrity", s, bit, got, err)
			}
			sealed[bit/8] ^= 1 << (bit % 8)
		}
		for n := range sealed {
			if _, err := p.OpenSK(sealed[:n], len(msg)); !errors.Is(err, ErrIntegrity) {
				t.Errorf("%v, first %d octets: got %v, want ErrIntegrity", s, n, err)
			}
		}
		for _, at := range []int{-1, 0, 28, 31, len(msg) - 1, len(msg) + 1, len(sealed), len(sealed) + 1, math.MaxInt} {
			if _, err := p.OpenSK(sealed, at); !errors.Is(err, ErrIntegrity) {
				t.Errorf("%v, body at %d: got %v, want ErrIntegrity", s, at, err)
			}
		}
	}
}

func TestKeysOfTheOtherDirectionDoNotOpen(t *testing.T) {
	for _, s := range protectSuites {
		ours := protector(t, s, nil)
		theirs, err := NewProtector(s, secret.New(ramp(1, 1, s.EncrKey().MaterialLen())), secret.New(ramp(0x21, 1, s.Integ.KeyLen())), nil)
		if err != nil {
			t.Fatal(err)
		}
		msg := head(ours, 0, 4)
		sealed, err := ours.SealSK(msg, []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.OpenSK(sealed, len(msg)); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%v: got %v, want ErrIntegrity", s, err)
		}
	}
}

// Padding of any length and content is allowed to a peer (RFC 7296 section
// 3.14), as long as it is there.
func TestPaddingOfAPeer(t *testing.T) {
	for _, s := range protectSuites {
		p := protector(t, s, nil)
		block := 16 // GCM takes any length, so also one of whole blocks
		for _, c := range []struct {
			name string
			pad  byte
			want error
		}{
			{"a whole block more than needed", 16, nil},
			{"all of the payload", byte(3*block - 1), nil},
			{"one more than there is", byte(3 * block), ErrPadding},
			{"255 of 48", 255, ErrPadding},
		} {
			inner := ramp(1, 1, 3*block)
			inner[len(inner)-1] = c.pad
			sealed := sealRaw(p, inner)
			got, err := p.OpenSK(sealed, minBody)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, %s: got %v, want %v", s, c.name, err, c.want)
			}
			if want := len(inner) - 1 - int(c.pad); err == nil && !bytes.Equal(got, inner[:want]) {
				t.Errorf("%v, %s: got %x, want %x", s, c.name, got, inner[:want])
			}
		}
	}
}

// sealRaw seals inner as it is, padding and pad length included.
func sealRaw(p *Protector, inner []byte) []byte {
	msg := head(p, 0, 0)
	if p.aead != nil {
		iv := make([]byte, 8)
		return p.aead.Seal(append(slices.Clone(msg), iv...), p.nonce(iv), inner, msg)
	}
	out := append(slices.Clone(msg), make([]byte, 16)...)
	previous := out[len(msg):]
	for at := 0; at < len(inner); at += 16 {
		block := make([]byte, 16)
		for i := range block {
			block[i] = inner[at+i] ^ previous[i]
		}
		p.block.Encrypt(block, block)
		out = append(out, block...)
		previous = block
	}
	return append(out, p.icv(out)...)
}

func TestIVsNeverRepeat(t *testing.T) {
	for _, s := range protectSuites {
		p := protector(t, s, nil)
		seen := map[string]bool{}
		for range 1000 {
			msg := head(p, 0, 1)
			sealed, err := p.SealSK(msg, []byte{0})
			if err != nil {
				t.Fatal(err)
			}
			iv := string(sealed[len(msg) : len(msg)+s.Encr.IVLen()])
			if seen[iv] {
				t.Fatalf("%v: IV %x twice", s, iv)
			}
			seen[iv] = true
		}
	}
}

func TestGCMStopsAfterItsLastIV(t *testing.T) {
	p := protector(t, protectSuites[0], nil)
	p.next = math.MaxUint64
	msg := head(p, 0, 0)
	if _, err := p.SealSK(msg, nil); err != nil {
		t.Fatalf("last IV: %v", err)
	}
	_, err := p.SealSK(msg, nil)
	wantError(t, "after the last IV", err, "2^64", "rekey")
}

func TestSealRefusesLengthsThatAreNotFinal(t *testing.T) {
	for _, s := range protectSuites {
		p := protector(t, s, nil)
		_, err := p.SealSK(head(p, 0, 1), make([]byte, 100))
		wantError(t, s.String(), err, "header says", "SealedLen")
		_, err = p.SealSK(head(p, 0, 1)[:31], nil)
		wantError(t, s.String(), err, "31 octets", "at least 32")
		_, err = p.SealSK(nil, nil)
		wantError(t, s.String(), err, "0 octets")
	}
}

func TestSealReportsABrokenRandomSource(t *testing.T) {
	p := protector(t, protectSuites[3], bytes.NewReader(make([]byte, 15)))
	if _, err := p.SealSK(head(p, 0, 0), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestProtectorRefusesKeysOfAnotherLength(t *testing.T) {
	for _, s := range protectSuites {
		encr, integ := s.EncrKey().MaterialLen(), s.Integ.KeyLen()
		for _, n := range []int{0, encr - 4, encr - 1, encr + 1} {
			_, err := NewProtector(s, secret.New(make([]byte, n)), secret.New(make([]byte, integ)), nil)
			wantError(t, s.String(), err, "encryption key", "SK_ei or SK_er")
		}
		_, err := NewProtector(s, secret.New(make([]byte, encr)), secret.New(make([]byte, integ+1)), nil)
		wantError(t, s.String(), err, "integrity key", "SK_ai or SK_ar")
	}
	_, err := NewProtector(IKE{}, secret.Secret{}, secret.Secret{}, nil)
	wantError(t, "no suite", err, "Encr 0")
}

func TestProtectorOutlivesItsKeys(t *testing.T) {
	for _, s := range protectSuites {
		encr, integ := secret.New(ramp(9, 1, s.EncrKey().MaterialLen())), secret.New(ramp(5, 1, s.Integ.KeyLen()))
		sealer, err := NewProtector(s, encr, integ, nil)
		if err != nil {
			t.Fatal(err)
		}
		opener, err := NewProtector(s, encr, integ, nil)
		if err != nil {
			t.Fatal(err)
		}
		msg := head(sealer, 0, 4)
		sealed, err := sealer.SealSK(msg, []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		encr.Wipe()
		integ.Wipe()
		if got, err := opener.OpenSK(sealed, len(msg)); err != nil || string(got) != "text" {
			t.Errorf("%v: after the keys were wiped: got %q and %v, want \"text\"", s, got, err)
		}
	}
}

func TestWipedProtectorDoesNothing(t *testing.T) {
	for _, s := range protectSuites {
		encr, integ := secret.New(ramp(9, 1, s.EncrKey().MaterialLen())), secret.New(ramp(5, 1, s.Integ.KeyLen()))
		p, err := NewProtector(s, encr, integ, nil)
		if err != nil {
			t.Fatal(err)
		}
		msg := head(p, 0, 4)
		sealed, err := p.SealSK(msg, []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		p.Wipe()
		if _, err := p.SealSK(msg, []byte("text")); err == nil {
			t.Errorf("%v: seals after it was wiped", s)
		}
		if _, err := p.OpenSK(sealed, len(msg)); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%v: got %v, want ErrIntegrity", s, err)
		}
		for _, held := range []secret.Secret{p.salt, p.auth} {
			if !bytes.Equal(held.Reveal(), make([]byte, held.Len())) {
				t.Errorf("%v: a key is left", s)
			}
		}
	}
}

func TestProtectorAndExchangeDoNotPrintKeys(t *testing.T) {
	keys := []string{"0 1 2 3 4 5 6 7", "32 33 34 35", "160 161 162 163", "0x20, 0x21", "0xa0, 0xa1"}
	for _, s := range protectSuites {
		p := protector(t, s, nil)
		for _, format := range []string{"%v", "%+v", "%#v", "%d"} {
			for _, out := range []string{fmt.Sprintf(format, p), fmt.Sprintf(format, struct{ p Protector }{*p})} {
				for _, k := range keys {
					if strings.Contains(out, k) {
						t.Errorf("%v with %s shows a key: %s", s, format, out)
					}
				}
			}
		}
	}
	vector := exchangeVectors[3] // group 22: the exponent is what random gives
	x := exchange(t, vector.group, bytes.NewReader(unhex(t, vector.alice)))
	exponent := fmt.Sprint(unhex(t, vector.alice)[:8])
	if out := fmt.Sprintf("%+v", x); strings.Contains(out, strings.Trim(exponent, "[]")) {
		t.Errorf("exchange shows its private key: %s", out)
	}
}

func FuzzOpenSK(f *testing.F) {
	for i, s := range protectSuites {
		p := protector(f, s, nil)
		sealed, err := p.SealSK(head(p, 0, 5), []byte("inner"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), sealed, minBody)
		f.Add(uint8(i), sealRaw(p, append(make([]byte, 15), 255)), minBody)
	}
	f.Fuzz(func(t *testing.T, which uint8, msg []byte, body int) {
		p := protector(t, protectSuites[int(which)%len(protectSuites)], nil)
		before := slices.Clone(msg)
		plain, err := p.OpenSK(msg, body)
		if !bytes.Equal(msg, before) {
			t.Fatalf("OpenSK changed the message")
		}
		switch {
		case errors.Is(err, ErrIntegrity) || errors.Is(err, ErrPadding):
			if plain != nil {
				t.Fatalf("plaintext %x beside the error %v", plain, err)
			}
			return
		case err != nil:
			t.Fatalf("error %v is neither ErrIntegrity nor ErrPadding", err)
		case len(plain) >= len(msg)-body:
			t.Fatalf("%d octets of plaintext from %d sealed ones", len(plain), len(msg)-body)
		}
		for n := range msg {
			if _, err := p.OpenSK(msg[:n], body); err == nil {
				t.Fatalf("the first %d of %d octets open too", n, len(msg))
			}
		}
	})
}

// FuzzOpenPadding goes where FuzzOpenSK cannot, for want of a valid ICV: behind
// the integrity check, with padding of the fuzzer's choice.
func FuzzOpenPadding(f *testing.F) {
	for i := range protectSuites {
		f.Add(uint8(i), []byte("inner\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a"))
		f.Add(uint8(i), append(make([]byte, 15), 255))
	}
	f.Fuzz(func(t *testing.T, which uint8, inner []byte) {
		inner = inner[:len(inner)/16*16]
		if len(inner) == 0 {
			return
		}
		p := protector(t, protectSuites[int(which)%len(protectSuites)], nil)
		got, err := p.OpenSK(sealRaw(p, inner), minBody)
		rest := len(inner) - 1 - int(inner[len(inner)-1])
		switch {
		case rest < 0 && !errors.Is(err, ErrPadding):
			t.Fatalf("pad length %d in %d octets: got %v, want ErrPadding", inner[len(inner)-1], len(inner), err)
		case rest >= 0 && (err != nil || !bytes.Equal(got, inner[:rest])):
			t.Fatalf("got %x and %v, want %x", got, err, inner[:rest])
		}
	})
}
