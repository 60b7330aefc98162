package aesgcm

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"math/bits"
	"unsafe"

	"golang.org/x/sys/cpu"
)

const (
	nonceLen = 12
	tagLen   = 16
	powers   = 17 // a batch of 16 blocks and the block of the lengths

	// maxLen is the longest text, and maxData are the longest additional data,
	// that are ours. The limits are not those of the mode: assembly cannot be
	// interrupted, and the garbage collector must not wait for more than some
	// microseconds.
	maxLen  = 1 << 18
	maxData = 1 << 14
)

// errOpen says, as that of crypto/cipher does, no more than that.
var errOpen = errors.New("aesgcm: message authentication failed")

// keys is what the assembly reads, at fixed offsets. It has no pointers, so that
// it is allocated where its size says, in multiples of cache lines.
type keys struct {
	long  uint64           // 0: AES-128, 1: AES-256
	_     [40]byte         // power[1:] begins a cache line
	power [powers][16]byte // H^17 … H^1, times x, as numbers of 128 bits
	round [15][16]byte     // the last one is always round[14]; AES-128 has no 10 to 13
}

// subWord is SubWord of FIPS 197.
//
//go:noescape
func subWord(w uint32) uint32

// encryptBlock enciphers block in place.
//
//go:noescape
func encryptBlock(k *keys, block *[16]byte)

// multiply makes z the product of z and x, both times x as in keys.power.
//
//go:noescape
func multiply(z, x *[16]byte)

// seal enciphers src to dst and writes the tag behind it, at dst[len(src)].
//
//go:noescape
func seal(k *keys, dst *byte, src, nonce, aad []byte)

// open deciphers src to dst and reports whether the tag, which stands behind
// src, is right.
//
//go:noescape
func open(k *keys, dst *byte, src, nonce, aad []byte) bool

// newFast returns nil when the processor lacks what the assembly needs.
func newFast(key []byte) cipher.AEAD {
	x := &cpu.X86
	if !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL || !x.HasAVX512VAES || !x.HasAVX512VPCLMULQDQ ||
		!x.HasAES || !x.HasPCLMULQDQ || !x.HasAVX2 || !x.HasBMI2 {
		return nil
	}
	k := new(keys)
	k.expand(key)
	k.hash()
	return (*fast)(k)
}

// expand is KeyExpansion of FIPS 197, section 5.2.
func (k *keys) expand(key []byte) {
	nk, rounds := len(key)/4, len(key)/4+6
	k.long = uint64(nk/4 - 1)
	var w [60]uint32
	for i := range nk {
		w[i] = binary.BigEndian.Uint32(key[4*i:])
	}
	rcon := uint32(1)
	for i := nk; i < 4*(rounds+1); i++ {
		t := w[i-1]
		switch {
		case i%nk == 0:
			t = subWord(bits.RotateLeft32(t, 8)) ^ rcon<<24
			rcon = rcon<<1 ^ rcon>>7*0x11b
		case nk > 6 && i%nk == 4:
			t = subWord(t)
		}
		w[i] = w[i-nk] ^ t
	}
	for i := range 4 * (rounds + 1) {
		r := i / 4
		if r == rounds {
			r = len(k.round) - 1
		}
		binary.BigEndian.PutUint32(k.round[r][i%4*4:], w[i])
	}
}

// hash makes the powers of the hash key. GCM's first bit is the coefficient of
// x^0; read as a number, back to front, a block has its bits in reverse, and the
// product of two blocks is short of a factor of x (SP 800-38D, section 6.3).
// The powers have it, so that nothing has to be shifted later.
func (k *keys) hash() {
	var h [16]byte
	encryptBlock(k, &h)
	hi, lo := binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])
	over := -(hi >> 63) // x^128 = x^127 + x^126 + x^121 + 1
	hi, lo = hi<<1|lo>>63, lo<<1
	hi, lo = hi^over&0xc2<<56, lo^over&1
	one := &k.power[powers-1]
	binary.LittleEndian.PutUint64(one[:], lo)
	binary.LittleEndian.PutUint64(one[8:], hi)
	for i := powers - 2; i >= 0; i-- {
		k.power[i] = k.power[i+1]
		multiply(&k.power[i], one)
	}
}

// fast is the AEAD in assembly.
type fast keys

func (f *fast) NonceSize() int { return nonceLen }
func (f *fast) Overhead() int  { return tagLen }

// Seal implements cipher.AEAD.
func (f *fast) Seal(dst, nonce, plaintext, aad []byte) []byte {
	if len(nonce) != nonceLen {
		panic("aesgcm: nonce of a wrong length")
	}
	if len(plaintext) > maxLen || len(aad) > maxData {
		return f.standard().Seal(dst, nonce, plaintext, aad)
	}
	whole, out := extend(dst, len(plaintext)+tagLen)
	check(out, plaintext, aad)
	seal((*keys)(f), &out[0], plaintext, nonce, aad)
	return whole
}

// Open implements cipher.AEAD.
func (f *fast) Open(dst, nonce, ciphertext, aad []byte) ([]byte, error) {
	if len(nonce) != nonceLen {
		panic("aesgcm: nonce of a wrong length")
	}
	n := len(ciphertext) - tagLen
	if n < 0 {
		return nil, errOpen
	}
	if n > maxLen || len(aad) > maxData {
		return f.standard().Open(dst, nonce, ciphertext, aad)
	}
	whole, out := extend(dst, n)
	check(out, ciphertext, aad)
	if !open((*keys)(f), unsafe.SliceData(out), ciphertext[:n], nonce, aad) {
		clear(out)
		return nil, errOpen
	}
	return whole, nil
}

// standard is the implementation of crypto/cipher under the same key, which the
// key schedule begins with.
func (f *fast) standard() cipher.AEAD {
	key := append(f.round[0][:], f.round[1][:]...)
	a, err := newStandard(key[:16+16*f.long])
	if err != nil {
		panic("aesgcm: " + err.Error()) // a key of 16 or 32 octets cannot fail
	}
	return a
}

// extend appends n octets, whatever is in them, to dst. out is these octets.
func extend(dst []byte, n int) (whole, out []byte) {
	end := len(dst) + n
	if cap(dst) >= end {
		whole = dst[:end]
	} else {
		whole = make([]byte, end)
		copy(whole, dst)
	}
	return whole, whole[len(dst):]
}

// check panics when out overlaps aad, or text otherwise than in place.
func check(out, text, aad []byte) {
	if overlap(out, text) && unsafe.SliceData(out) != unsafe.SliceData(text) {
		panic("aesgcm: invalid buffer overlap")
	}
	if overlap(out, aad) {
		panic("aesgcm: invalid buffer overlap of output and additional data")
	}
}

// overlap reports whether a and b have memory in common.
func overlap(a, b []byte) bool {
	x, y := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return len(a) > 0 && len(b) > 0 && x < y+uintptr(len(b)) && y < x+uintptr(len(a))
}
