package lanes

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"testing"
)

// both are the implementations there are: the portable one, and the assembly
// where the processor has what it needs.
func both(have bool) []bool {
	if have {
		return []bool{false, true}
	}
	return []bool{false}
}

func cbc(t testing.TB, key []byte, fast bool) *CBC {
	c, err := newCBC(key, fast)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func random(r *rand.ChaCha8, n int) []byte {
	b := make([]byte, n)
	r.Read(b)
	return b
}

// guarded returns n octets of r, at an odd address, and a function that says
// whether what lies around them was written to.
func guarded(r *rand.ChaCha8, n int) (b []byte, intact func() bool) {
	const around = 64
	whole := random(r, n+2*around+1)
	was := bytes.Clone(whole)
	from, to := around+1, around+1+n
	return whole[from:to:to], func() bool {
		return bytes.Equal(whole[:from], was[:from]) && bytes.Equal(whole[to:], was[to:])
	}
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCBCAgreesWithSP80038A has the vectors F.2.1 and F.2.5 of NIST SP 800-38A,
// each in every one of nine messages.
func TestCBCAgreesWithSP80038A(t *testing.T) {
	const (
		iv = "000102030405060708090a0b0c0d0e0f"
		pt = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
			"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
	)
	for _, v := range []struct{ key, ct string }{
		{"2b7e151628aed2a6abf7158809cf4f3c",
			"7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2" +
				"73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7"},
		{"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
			"f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d" +
				"39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"},
	} {
		for _, fast := range both(haveAES()) {
			c := cbc(t, unhex(t, v.key), fast)
			var msgs [][]byte
			for range 9 {
				msgs = append(msgs, unhex(t, iv+pt))
			}
			c.Encrypt(msgs)
			for i, m := range msgs {
				if got := hex.EncodeToString(m); got != iv+v.ct {
					t.Errorf("fast %v, message %d: got %s, want %s", fast, i, got, iv+v.ct)
				}
				c.Decrypt(m[aes.BlockSize:], m)
				if got := hex.EncodeToString(m); got != iv+pt {
					t.Errorf("fast %v, message %d: decrypted to %s, want %s", fast, i, got, iv+pt)
				}
			}
		}
	}
}

// TestHMACAgreesWithRFC4231 has its test cases 1, 2, 3, 4 and 6, the last with
// a key longer than a block.
func TestHMACAgreesWithRFC4231(t *testing.T) {
	for i, v := range []struct {
		key, msg []byte
		sum      string
	}{
		{bytes.Repeat([]byte{0x0b}, 20), []byte("Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{[]byte("Jefe"), []byte("what do ya want for nothing?"), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{bytes.Repeat([]byte{0xaa}, 20), bytes.Repeat([]byte{0xdd}, 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
		{unhex(t, "0102030405060708090a0b0c0d0e0f10111213141516171819"), bytes.Repeat([]byte{0xcd}, 50), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
		{bytes.Repeat([]byte{0xaa}, 131), []byte("Test Using Larger Than Block-Size Key - Hash Key First"), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	} {
		for _, fast := range both(haveSHA()) {
			jobs := []Job{{Msg: v.msg}, {}, {Msg: v.msg[:len(v.msg)-2], Suffix: [4]byte(append(bytes.Clone(v.msg[len(v.msg)-2:]), 9, 9))}}
			h := newHMAC256(v.key, fast)
			h.Sum(jobs[:2], 0)
			h.Sum(jobs[2:], 2)
			for _, j := range []Job{jobs[0], jobs[2]} {
				if got := hex.EncodeToString(j.Sum[:]); got != v.sum {
					t.Errorf("case %d, fast %v: got %s, want %s", i, fast, got, v.sum)
				}
			}
		}
	}
}

// agree does the same to messages of these lengths with what is in the package
// and with the standard library, and compares. Lengths count blocks for AES,
// octets for HMAC.
func agree(t testing.TB, seed uint64, lengths []int) {
	var s [32]byte
	s[0], s[1], s[2] = byte(seed), byte(seed>>8), byte(len(lengths))
	r := rand.NewChaCha8(s)
	for _, fast := range both(haveAES()) {
		for _, n := range []int{16, 32} {
			agreeCBC(t, r, fast, random(r, n), lengths)
		}
	}
	for _, fast := range both(haveSHA()) {
		agreeHMAC(t, r, fast, lengths)
	}
}

func agreeCBC(t testing.TB, r *rand.ChaCha8, fast bool, key []byte, lengths []int) {
	t.Helper()
	c := cbc(t, key, fast)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	var msgs, plain [][]byte
	var intact []func() bool
	for _, n := range lengths {
		m, ok := guarded(r, (n+1)*aes.BlockSize)
		msgs, plain, intact = append(msgs, m), append(plain, bytes.Clone(m)), append(intact, ok)
	}
	c.Encrypt(msgs)
	for i, m := range msgs {
		want := bytes.Clone(plain[i])
		cipher.NewCBCEncrypter(block, want[:aes.BlockSize]).CryptBlocks(want[aes.BlockSize:], want[aes.BlockSize:])
		if !bytes.Equal(m, want) || !intact[i]() {
			t.Fatalf("fast %v, key of %d: message %d of blocks %v: got %x, want %x, or wrote elsewhere", fast, len(key), i, lengths, m, want)
		}
		dst, ok := guarded(r, len(m)-aes.BlockSize)
		c.Decrypt(dst, m)
		if !bytes.Equal(dst, plain[i][aes.BlockSize:]) || !ok() || !bytes.Equal(m, want) {
			t.Fatalf("fast %v, key of %d, %d blocks decrypted elsewhere: got %x, want %x, or wrote elsewhere", fast, len(key), lengths[i], dst, plain[i][aes.BlockSize:])
		}
		c.Decrypt(m[aes.BlockSize:], m)
		if !bytes.Equal(m, plain[i]) || !intact[i]() {
			t.Fatalf("fast %v, key of %d, %d blocks decrypted in place: got %x, want %x, or wrote elsewhere", fast, len(key), lengths[i], m, plain[i])
		}
	}
}

func agreeHMAC(t testing.TB, r *rand.ChaCha8, fast bool, lengths []int) {
	t.Helper()
	key := random(r, 32)
	h := newHMAC256(key, fast)
	for suffix := range 5 {
		var jobs []Job
		for _, n := range lengths {
			msg, _ := guarded(r, n)
			jobs = append(jobs, Job{Msg: msg, Suffix: [4]byte(random(r, 4))})
		}
		h.Sum(jobs, suffix)
		for i, j := range jobs {
			m := hmac.New(sha256.New, key)
			m.Write(j.Msg)
			m.Write(j.Suffix[:suffix])
			if want := m.Sum(nil); !bytes.Equal(j.Sum[:], want) {
				t.Fatalf("fast %v: job %d of octets %v, suffix %d: got %x, want %x", fast, i, lengths, suffix, j.Sum, want)
			}
		}
	}
}

func TestLanesAgreeWithTheStandardLibrary(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	agree(t, 0, nil)
	for n := range 150 {
		agree(t, uint64(n), []int{n})
		agree(t, uint64(n), []int{n, 149 - n})
	}
	for i := range 200 {
		lengths := make([]int, r.IntN(20))
		for k := range lengths {
			lengths[k] = r.IntN(1 + r.IntN(200))
		}
		agree(t, uint64(1000+i), lengths)
	}
}

// FuzzLanes takes each octet as the length of a message.
func FuzzLanes(f *testing.F) {
	f.Add(uint64(1), []byte{0})
	f.Add(uint64(2), []byte{1, 8, 7, 9, 64, 55, 56, 119, 120, 127, 128})
	f.Add(uint64(3), bytes.Repeat([]byte{88}, 17))
	f.Fuzz(func(t *testing.T, seed uint64, in []byte) {
		var lengths []int
		for _, n := range in[:min(len(in), 24)] {
			lengths = append(lengths, int(n))
		}
		agree(t, seed, lengths)
	})
}

func TestCBCRefusesOtherKeysAndPartsOfBlocks(t *testing.T) {
	for _, n := range []int{0, 15, 24, 33} {
		if _, err := NewCBC(make([]byte, n)); err == nil {
			t.Errorf("key of %d octets: no error", n)
		}
	}
	for _, fast := range both(haveAES()) {
		c := cbc(t, make([]byte, 16), fast)
		for _, n := range []int{0, 15, 17, 31} {
			for name, do := range map[string]func(){
				"encrypt": func() { c.Encrypt([][]byte{make([]byte, 32), make([]byte, n)}) },
				"decrypt": func() { c.Decrypt(make([]byte, 32), make([]byte, n)) },
			} {
				func() {
					defer func() {
						if recover() == nil {
							t.Errorf("fast %v: %s %d octets: no panic", fast, name, n)
						}
					}()
					do()
				}()
			}
		}
	}
}

func TestLanesDoNotAllocate(t *testing.T) {
	for _, fast := range both(haveAES() && haveSHA()) {
		c, h := cbc(t, make([]byte, 32), fast), newHMAC256(make([]byte, 32), fast)
		slab := make([]byte, 9*208)
		if got := testing.AllocsPerRun(20, func() {
			var msgs [9][]byte
			var jobs [9]Job
			for i := range msgs {
				msgs[i] = slab[i*208:][:208]
				jobs[i].Msg = msgs[i]
			}
			c.Encrypt(msgs[:])
			h.Sum(jobs[:], 4)
			c.Decrypt(msgs[3][16:], msgs[3])
		}); got != 0 {
			t.Errorf("fast %v: %v allocations, want 0", fast, got)
		}
	}
}

func BenchmarkLanes(b *testing.B) {
	const n, size = 32, 1424
	for _, fast := range both(haveAES() && haveSHA()) {
		name := map[bool]string{false: "portable", true: "fast"}[fast]
		c, h := cbc(b, make([]byte, 32), fast), newHMAC256(make([]byte, 32), fast)
		msgs, jobs := make([][]byte, n), make([]Job, n)
		for i := range msgs {
			msgs[i] = make([]byte, size)
			jobs[i].Msg = msgs[i]
		}
		for what, do := range map[string]func(){
			"encrypt": func() { c.Encrypt(msgs) },
			"decrypt": func() {
				for _, m := range msgs {
					c.Decrypt(m[aes.BlockSize:], m)
				}
			},
			"hmac": func() { h.Sum(jobs, 0) },
			"hmac1": func() {
				for i := range jobs {
					h.Sum(jobs[i:i+1], 0)
				}
			},
		} {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.SetBytes(n * size)
				for b.Loop() {
					do()
				}
			})
		}
	}
}
