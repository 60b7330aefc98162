package aesgcm

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"
)

const (
	nonceSize = 12
	tagSize   = 16
)

// pair returns New's AEAD and that of crypto/cipher under the same key.
func pair(tb testing.TB, key []byte) (ours, standard cipher.AEAD) {
	tb.Helper()
	ours, err := New(key)
	if err != nil {
		tb.Fatal(err)
	}
	if standard, err = newStandard(key); err != nil {
		tb.Fatal(err)
	}
	return ours, standard
}

// octets are n octets that depend on seed.
func octets(seed uint64, n int) []byte {
	b := make([]byte, n)
	var s [32]byte
	copy(s[:], fmt.Sprint(seed, n))
	rand.NewChaCha8(s).Read(b)
	return b
}

// refuses reports a tag that is accepted and what is left in dst of a text that
// is not authentic.
func refuses(t *testing.T, a cipher.AEAD, nonce, sealed, aad []byte, what string) {
	t.Helper()
	dst := bytes.Repeat([]byte{0xee}, len(sealed))
	got, err := a.Open(dst[:0], nonce, sealed, aad)
	if err == nil || got != nil {
		t.Errorf("%s of %d octets: got %x, %v, want an error", what, len(sealed)-tagSize, got, err)
	}
	if n := len(sealed) - tagSize; !bytes.Equal(dst[:n], make([]byte, n)) || !bytes.Equal(dst[n:], bytes.Repeat([]byte{0xee}, tagSize)) {
		t.Errorf("%s of %d octets: got %x left in dst, want zeros and what was there behind", what, n, dst)
	}
}

// equal seals and opens with both, apart and in place.
func equal(t *testing.T, ours, standard cipher.AEAD, nonce, text, aad []byte) {
	t.Helper()
	want := standard.Seal(nil, nonce, text, aad)
	if got := ours.Seal(nil, nonce, text, aad); !bytes.Equal(got, want) {
		t.Fatalf("text of %d, data of %d octets: sealed to %x, want %x", len(text), len(aad), got, want)
	}
	buf := append(make([]byte, 0, len(text)+tagSize), text...)
	buf = ours.Seal(buf[:0], nonce, buf, aad)
	if !bytes.Equal(buf, want) {
		t.Fatalf("text of %d, data of %d octets: sealed in place to %x, want %x", len(text), len(aad), buf, want)
	}
	prefix := []byte("prefix")
	got, err := ours.Open(prefix, nonce, want, aad)
	if err != nil || !bytes.HasPrefix(got, prefix) || !bytes.Equal(got[len(prefix):], text) {
		t.Fatalf("text of %d, data of %d octets: opened to %x, %v, want %x after the prefix", len(text), len(aad), got, err, text)
	}
	if got, err = ours.Open(buf[:0], nonce, buf, aad); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("text of %d, data of %d octets: opened in place to %x, %v, want %x", len(text), len(aad), got, err, text)
	}
	if !bytes.Equal(buf[len(text):], want[len(text):]) {
		t.Fatalf("text of %d octets: opened in place over the tag", len(text))
	}
}

// TestVectors has the test cases with nonces of 12 octets and keys of 16 and 32
// of McGrew and Viega, The Galois/Counter Mode of Operation, appendix B.
func TestVectors(t *testing.T) {
	const (
		zero = "00000000000000000000000000000000"
		key  = "feffe9928665731c6d6a8f9467308308"
		iv   = "cafebabefacedbaddecaf888"
		text = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
		end  = "1aafd255"
		aad  = "feedfacedeadbeeffeedfacedeadbeefabaddad2"
		c128 = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
		c256 = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	)
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for n, c := range map[int]struct{ key, iv, text, aad, want string }{
		1:  {zero, zero[:24], "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
		2:  {zero, zero[:24], zero, "", "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
		3:  {key, iv, text + end, "", c128 + "473f59854d5c2af327cd64a62cf35abd2ba6fab4"},
		4:  {key, iv, text, aad, c128 + "5bc94fbc3221a5db94fae95ae7121a47"},
		13: {zero + zero, zero[:24], "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
		14: {zero + zero, zero[:24], zero, "", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
		15: {key + key, iv, text + end, "", c256 + "898015adb094dac5d93471bdec1a502270e3cc6c"},
		16: {key + key, iv, text, aad, c256 + "76fc6ece0f4e1768cddf8853bb2d551b"},
	} {
		a, err := New(unhex(c.key))
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(a.Seal(nil, unhex(c.iv), unhex(c.text), unhex(c.aad))); got != c.want {
			t.Errorf("test case %d: got %s, want %s", n, got, c.want)
		}
		if got, err := a.Open(nil, unhex(c.iv), unhex(c.want), unhex(c.aad)); err != nil || hex.EncodeToString(got) != c.text {
			t.Errorf("test case %d: got %x, %v, want %s", n, got, err, c.text)
		}
	}
}

// TestEveryLength compares with crypto/cipher: each length of text up to some
// batches and each of additional data up to some blocks, and longer ones.
func TestEveryLength(t *testing.T) {
	for _, size := range []int{16, 32} {
		ours, standard := pair(t, octets(1, size))
		for n := range 1100 {
			equal(t, ours, standard, octets(uint64(n), nonceSize), octets(2, n), octets(3, n%41))
		}
		for m := range 70 {
			for _, n := range []int{0, 1, 31, 32, 33, 223, 224, 225, 480, 1400} {
				equal(t, ours, standard, octets(uint64(m), nonceSize), octets(4, n), octets(5, m))
			}
		}
		for i := range uint64(150) {
			r := rand.New(rand.NewPCG(i, uint64(size)))
			equal(t, ours, standard, octets(i, nonceSize), octets(i, r.IntN(70_000)), octets(i, r.IntN(100)))
		}
		for _, n := range []int{1<<18 - 1, 1 << 18, 1<<18 + 1} {
			equal(t, ours, standard, octets(6, nonceSize), octets(7, n), octets(8, 8))
		}
		for _, n := range []int{1000, 1<<14 - 1, 1 << 14, 1<<14 + 1} {
			equal(t, ours, standard, octets(6, nonceSize), octets(7, 100), octets(8, n))
		}
	}
}

// TestManyKeys compares under keys and nonces of all sorts.
func TestManyKeys(t *testing.T) {
	for i := range uint64(2000) {
		ours, standard := pair(t, octets(i, 16+int(i%2)*16))
		equal(t, ours, standard, octets(i+1, nonceSize), octets(i+2, 300), octets(i+3, 12))
	}
}

// TestForgeries changes every bit of what is sealed and of the data in turn.
func TestForgeries(t *testing.T) {
	for _, size := range []int{16, 32} {
		ours, _ := pair(t, octets(1, size))
		nonce := octets(2, nonceSize)
		for _, n := range []int{0, 1, 16, 32, 33, 97, 161, 223, 224, 225, 256, 300, 352, 416, 700} {
			aad := octets(3, 12)
			sealed := ours.Seal(nil, nonce, octets(4, n), aad)
			for bit := range 8 * len(sealed) {
				sealed[bit/8] ^= 1 << (bit % 8)
				refuses(t, ours, nonce, sealed, aad, "forgery")
				sealed[bit/8] ^= 1 << (bit % 8)
			}
			for bit := range 8 * len(aad) {
				aad[bit/8] ^= 1 << (bit % 8)
				refuses(t, ours, nonce, sealed, aad, "forged data")
				aad[bit/8] ^= 1 << (bit % 8)
			}
			refuses(t, ours, nonce, sealed, aad[:11], "shorter data")
			refuses(t, ours, nonce, sealed, append(aad, 0), "longer data")
			refuses(t, ours, octets(5, nonceSize), sealed, aad, "other nonce")
			if n > 0 {
				refuses(t, ours, nonce, sealed[1:], aad, "shorter text")
			}
			if _, err := ours.Open(sealed[:0], nonce, append([]byte{0}, sealed...), aad); err == nil {
				t.Errorf("longer text of %d octets: got no error", n)
			}
		}
		for n := range tagSize {
			if _, err := ours.Open(nil, nonce, make([]byte, n), nil); err == nil {
				t.Errorf("%d octets: got no error", n)
			}
		}
	}
}

// TestRoomAround gives dst more capacity than is needed and looks what is in it
// afterwards.
func TestRoomAround(t *testing.T) {
	ours, _ := pair(t, octets(1, 16))
	nonce, aad := octets(2, nonceSize), octets(3, 8)
	for n := range 600 {
		room := bytes.Repeat([]byte{0x5a}, 128+n+tagSize+128)
		copy(room[128:], octets(4, n))
		sealed := ours.Seal(room[128:128], nonce, room[128:128+n], aad)
		text, err := ours.Open(sealed[:0], nonce, sealed, aad)
		if err != nil || !bytes.Equal(text, octets(4, n)) {
			t.Fatalf("%d octets: got %x, %v", n, text, err)
		}
		for i, b := range room {
			if (i < 128 || i >= 128+n+tagSize) && b != 0x5a {
				t.Fatalf("%d octets: octet %d of the room around is %#x, want 0x5a", n, i-128, b)
			}
		}
	}
}

func TestMisuse(t *testing.T) {
	for _, n := range []int{0, 1, 15, 17, 24, 31, 33, 64} {
		if a, err := New(make([]byte, n)); err == nil {
			t.Errorf("key of %d octets: got %T, want an error", n, a)
		}
	}
	ours, _ := pair(t, octets(1, 16))
	if ours.NonceSize() != nonceSize || ours.Overhead() != tagSize {
		t.Errorf("got %d, %d, want %d, %d", ours.NonceSize(), ours.Overhead(), nonceSize, tagSize)
	}
	nonce, buf := make([]byte, nonceSize), make([]byte, 400)
	for what, f := range map[string]func(){
		"short nonce to seal":      func() { ours.Seal(nil, nonce[:11], buf, nil) },
		"long nonce to open":       func() { ours.Open(nil, make([]byte, 13), buf, nil) },
		"sealed one octet ahead":   func() { ours.Seal(buf[1:1], nonce, buf[:100], nil) },
		"sealed one octet behind":  func() { ours.Seal(buf[:0], nonce, buf[1:100], nil) },
		"tag over the text":        func() { ours.Seal(buf[:0], nonce, buf[115:215], nil) },
		"sealed over the data":     func() { ours.Seal(buf[:0], nonce, buf[:100], buf[115:120]) },
		"opened one octet ahead":   func() { ours.Open(buf[1:1], nonce, buf[:100], nil) },
		"opened one octet behind":  func() { ours.Open(buf[:0], nonce, buf[1:100], nil) },
		"opened over the data":     func() { ours.Open(buf[:0], nonce, buf[:100], buf[83:90]) },
		"opened over the tag only": func() { ours.Open(buf[90:90], nonce, buf[:100], nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: got no panic", what)
				}
			}()
			f()
		}()
	}
	// What only touches does not overlap.
	ours.Seal(buf[:0], nonce, buf[:100], buf[116:130])
	ours.Seal(buf[100:100], nonce, buf[:100], nil)
	ours.Open(buf[100:100], nonce, buf[:100], buf[184:])
}

func TestNoAllocation(t *testing.T) {
	ours, _ := pair(t, octets(1, 16))
	nonce, aad, buf := octets(2, nonceSize), octets(3, 8), octets(4, 1400+tagSize)
	if n := testing.AllocsPerRun(100, func() {
		ours.Seal(buf[:0], nonce, buf[:1400], aad)
		if _, err := ours.Open(buf[:0], nonce, buf, aad); err != nil {
			t.Error(err)
		}
		if _, err := ours.Open(buf[:0], nonce, buf, aad); err == nil {
			t.Error("got no error")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

func FuzzAEAD(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("nonce"), []byte("text"), []byte("data"), uint16(0))
	f.Add([]byte("0123456789abcdef0123456789abcdef"), []byte("nonce of 12."), make([]byte, 1400), make([]byte, 12), uint16(11400))
	f.Add([]byte{}, []byte{}, make([]byte, 224), make([]byte, 33), uint16(300))
	f.Fuzz(func(t *testing.T, key, nonce, text, aad []byte, bit uint16) {
		size := 16
		if len(key) > 16 {
			size = 32
		}
		ours, standard := pair(t, append(key, make([]byte, 32)...)[:size])
		nonce = append(nonce, make([]byte, nonceSize)...)[:nonceSize]
		equal(t, ours, standard, nonce, text, aad)
		sealed := ours.Seal(nil, nonce, text, aad)
		sealed[int(bit)/8%len(sealed)] ^= 1 << (bit % 8)
		refuses(t, ours, nonce, sealed, aad, "forgery")
	})
}

func benchmark(b *testing.B, run func(b *testing.B, a cipher.AEAD, n int)) {
	ours, standard := pair(b, octets(1, 16))
	long, standardLong := pair(b, octets(1, 32))
	for _, n := range []int{64, 256, 576, 1400, 8192} {
		b.Run(fmt.Sprintf("128/%d/ours", n), func(b *testing.B) { run(b, ours, n) })
		b.Run(fmt.Sprintf("128/%d/standard", n), func(b *testing.B) { run(b, standard, n) })
	}
	b.Run("256/1400/ours", func(b *testing.B) { run(b, long, 1400) })
	b.Run("256/1400/standard", func(b *testing.B) { run(b, standardLong, 1400) })
}

func BenchmarkSeal(b *testing.B) {
	benchmark(b, func(b *testing.B, a cipher.AEAD, n int) {
		nonce, aad, buf := octets(2, nonceSize), octets(3, 8), octets(4, n+tagSize)
		b.SetBytes(int64(n))
		b.ReportAllocs()
		for b.Loop() {
			a.Seal(buf[:0], nonce, buf[:n], aad)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	benchmark(b, func(b *testing.B, a cipher.AEAD, n int) {
		nonce, aad, dst := octets(2, nonceSize), octets(3, 8), make([]byte, n)
		sealed := a.Seal(nil, nonce, octets(4, n), aad)
		b.SetBytes(int64(n))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Open(dst[:0], nonce, sealed, aad); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkNew(b *testing.B) {
	key := octets(1, 16)
	for b.Loop() {
		if _, err := New(key); err != nil {
			b.Fatal(err)
		}
	}
}
