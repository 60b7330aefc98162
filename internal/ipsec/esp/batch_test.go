package esp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"testing"

	"seikan/internal/ipsec/ike/suite"
)

// sealedBatch lays inner packets out for SealBatch, one behind the other, and
// seals them.
func sealedBatch(t testing.TB, o *Outbound, inner [][]byte) [][]byte {
	t.Helper()
	var pkts [][]byte
	var lens []int
	for _, p := range inner {
		pkt := make([]byte, o.SealedLen(len(p)))
		copy(pkt[o.Prefix():], p)
		pkts, lens = append(pkts, pkt), append(lens, len(p))
	}
	if n, err := o.SealBatch(pkts, lens); n != len(pkts) || err != nil {
		t.Fatalf("sealed %d of %d: %v", n, len(pkts), err)
	}
	return pkts
}

// mixed are packets of all the sizes at which something changes.
func mixed() (all [][]byte) {
	for n := 40; n < 80; n++ {
		all = append(all, inner4(n), inner6(n))
	}
	for range 9 {
		all = append(all, inner4(1400), inner6(1399))
	}
	return append(all, inner4(9000), inner4(20))
}

// TestBatchesAreAsPacketsOneByOne has a batch opened one by one, and packets
// sealed one by one opened as a batch.
func TestBatchesAreAsPacketsOneByOne(t *testing.T) {
	for _, s := range allSuites() {
		t.Run(nameOf(s), func(t *testing.T) {
			out, in := newPair(t, s, 0)
			inner := mixed()
			for i, pkt := range sealedBatch(t, out, inner) {
				got, err := in.Open(nil, pkt)
				if err != nil || !bytes.Equal(got, inner[i]) {
					t.Fatalf("packet %d of %d octets: %v", i, len(inner[i]), err)
				}
			}
			var pkts [][]byte
			for _, p := range inner {
				pkts = append(pkts, seal(t, out, p))
			}
			errs := make([]error, len(pkts))
			in.OpenBatch(pkts, errs)
			for i, got := range pkts {
				if errs[i] != nil || !bytes.Equal(got, inner[i]) {
					t.Fatalf("packet %d of %d octets in a batch: %v", i, len(inner[i]), errs[i])
				}
			}
		})
	}
}

// TestBatchRefusesWhatOpenRefuses has what is wrong stand between what is
// right, a repeated packet in the same batch too.
func TestBatchRefusesWhatOpenRefuses(t *testing.T) {
	for _, s := range allSuites() {
		t.Run(nameOf(s), func(t *testing.T) {
			out, in := newPair(t, s, 0)
			var inner [][]byte
			for range 24 {
				inner = append(inner, inner4(600))
			}
			pkts := sealedBatch(t, out, inner)
			want := make([]error, len(pkts))
			pkts[3], want[3] = bytes.Clone(pkts[2]), ErrReplay
			pkts[5][len(pkts[5])-1] ^= 1
			pkts[6][espHeader+in.iv+7] ^= 1
			pkts[7], want[7] = pkts[7][:12], ErrMalformed
			pkts[9][0] ^= 1
			want[5], want[6], want[9] = ErrAuth, ErrAuth, ErrMalformed
			pkts[20], pkts[11] = pkts[11], pkts[20] // out of order is fine
			errs := make([]error, len(pkts))
			in.OpenBatch(pkts, errs)
			for i := range pkts {
				if !errors.Is(errs[i], want[i]) {
					t.Errorf("packet %d: got %v, want %v", i, errs[i], want[i])
				}
				if errs[i] == nil && !bytes.Equal(pkts[i], inner[i]) {
					t.Errorf("packet %d: other content", i)
				}
			}
			f := in.Failures()
			if f.Auth != 2 || f.Replay != 1 || f.Malformed != 2 {
				t.Errorf("counted %+v", f)
			}
		})
	}
}

func TestBatchSealsUpToTheLastNumber(t *testing.T) {
	for _, s := range allSuites() {
		out, _ := newPair(t, s, 0)
		out.last.Store(out.max - 3)
		var pkts [][]byte
		var lens []int
		for range 8 {
			pkt := make([]byte, out.SealedLen(100))
			copy(pkt[out.Prefix():], inner4(100))
			pkts, lens = append(pkts, pkt), append(lens, 100)
		}
		if n, err := out.SealBatch(pkts, lens); n != 3 || !errors.Is(err, ErrExhausted) {
			t.Errorf("%s: sealed %d: %v; want 3 and %v", nameOf(s), n, err, ErrExhausted)
		}
	}
}

// TestBatchesOfCBCAgreeWithTheStandardLibrary takes sealed packets apart without
// this package: RFC 3602, RFC 4868, RFC 4303 section 2.2.1.
func TestBatchesOfCBCAgreeWithTheStandardLibrary(t *testing.T) {
	for _, s := range allSuites() {
		if s.Encr != suite.AESCBC {
			continue
		}
		t.Run(nameOf(s), func(t *testing.T) {
			sa, inner := newSA(t, s), mixed()
			out, _ := newPair(t, s, 0)
			high := uint64(0)
			if s.ESN {
				high = 7
				out.last.Store(high << 32)
			}
			block, err := aes.NewCipher(sa.KeysOut.Encr.Reveal())
			if err != nil {
				t.Fatal(err)
			}
			ivs := map[string]bool{}
			for i, pkt := range sealedBatch(t, out, inner) {
				end := len(pkt) - s.Integ.ICVLen()
				mac := s.Integ.New(sa.KeysOut.Integ)
				mac.Write(pkt[:end])
				if s.ESN {
					mac.Write(binary.BigEndian.AppendUint32(nil, uint32(high)))
				}
				if want := mac.Sum(nil)[:s.Integ.ICVLen()]; !bytes.Equal(pkt[end:], want) {
					t.Fatalf("packet %d: ICV: got %x, want %x", i, pkt[end:], want)
				}
				if got, want := binary.BigEndian.Uint64(pkt), uint64(sa.SPIOut)<<32|uint64(i+1); got != want {
					t.Fatalf("packet %d: header: got %x, want %x", i, got, want)
				}
				iv, body := pkt[espHeader:out.Prefix()], pkt[out.Prefix():end]
				cipher.NewCBCDecrypter(block, iv).CryptBlocks(body, body)
				pad := int(body[len(body)-2])
				want := append(append(bytes.Clone(inner[i]), seq(1, pad)...), byte(pad), map[byte]byte{4: protoIPv4, 6: protoIPv6}[inner[i][0]>>4])
				if pad >= aes.BlockSize || !bytes.Equal(body, want) {
					t.Fatalf("packet %d: content: got %x, want %x", i, body, want)
				}
				if ivs[string(iv)] {
					t.Fatalf("packet %d: IV %x came before", i, iv)
				}
				ivs[string(iv)] = true
			}
		})
	}
}

// TestBatchIsInOrder has what one packet does to the window hold for the next,
// though both were admitted before either was authentic: a forged repeat is one
// first of all, and what was overtaken by more than the window is too old.
func TestBatchIsInOrder(t *testing.T) {
	for _, s := range allSuites() {
		t.Run(nameOf(s), func(t *testing.T) {
			out, in := newPair(t, s, 64)
			pkts := sealedBatch(t, out, [][]byte{inner4(100), inner4(100), inner4(100)})
			out.last.Store(70)
			pkts = append(pkts, sealedBatch(t, out, [][]byte{inner4(100)})...)
			forged := bytes.Clone(pkts[1])
			forged[len(forged)-1] ^= 1
			batch := [][]byte{forged, pkts[1], bytes.Clone(forged), pkts[3], pkts[0], pkts[2]}
			old := ErrReplay
			if s.ESN { // then it counts as one of 1<<32 numbers later
				old = ErrAuth
			}
			want := []error{ErrAuth, nil, ErrReplay, nil, old, old}
			errs := make([]error, len(batch))
			in.OpenBatch(batch, errs)
			for i := range errs {
				if !errors.Is(errs[i], want[i]) || (errs[i] == nil) != (batch[i] != nil) {
					t.Errorf("packet %d: got %v and %d octets, want %v", i, errs[i], len(batch[i]), want[i])
				}
			}
			if f := in.Failures(); f.Auth+f.Replay != 4 || f.Malformed != 0 || in.window.top != 71 {
				t.Errorf("counted %+v, top %d", f, in.window.top)
			}
		})
	}
}

// TestBatchGoesOverTheEndOfTheLowHalf has the numbers of one batch be those on
// both sides of 1<<32, also out of order, and when the window jumps so far that
// the rest have other numbers than when they were admitted.
func TestBatchGoesOverTheEndOfTheLowHalf(t *testing.T) {
	for _, s := range allSuites() {
		if !s.ESN {
			continue
		}
		t.Run(nameOf(s), func(t *testing.T) {
			out, in := newPair(t, s, 64)
			var pkts [][]byte
			at := func(last uint64) {
				out.last.Store(last)
				pkts = append(pkts, sealedBatch(t, out, [][]byte{inner4(100), inner4(100)})...)
			}
			in.window.begin(1<<32 - 20)
			at(1<<32 - 10)
			at(1<<32 + 10)
			at(1<<32 - 2)
			at(1<<33 - 60) // from here on 1 is 1<<33+1
			at(1 << 33)    // admitted as 1<<32+1
			errs := make([]error, len(pkts))
			in.OpenBatch(pkts, errs)
			for i, err := range errs {
				if err != nil || !bytes.Equal(pkts[i], inner4(100)) {
					t.Errorf("packet %d: %v", i, err)
				}
			}
		})
	}
}

func TestBatchesDoNotAllocate(t *testing.T) {
	for _, s := range allSuites() {
		out, in := newPair(t, s, 0)
		plain := inner4(1400)
		const n = 16
		pkts, lens, errs := make([][]byte, n), make([]int, n), make([]error, n)
		slab := make([]byte, n*out.SealedLen(len(plain)))
		got := testing.AllocsPerRun(20, func() {
			for i := range pkts {
				k := out.SealedLen(len(plain))
				pkts[i], lens[i] = slab[i*k:(i+1)*k:(i+1)*k], len(plain)
				copy(pkts[i][out.Prefix():], plain)
			}
			if k, err := out.SealBatch(pkts, lens); k != n || err != nil {
				t.Fatal(k, err)
			}
			in.OpenBatch(pkts, errs)
		})
		if got != 0 {
			t.Errorf("%s: %v allocations, want 0", nameOf(s), got)
		}
	}
}
