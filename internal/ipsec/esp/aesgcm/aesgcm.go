// Package aesgcm is AES-GCM (NIST SP 800-38D) for packets: nonces of 12 octets,
// tags of 16.
//
// New returns an implementation of its own, in assembly, on processors of amd64
// with AVX-512, VAES and VPCLMULQDQ, and that of crypto/cipher elsewhere and for
// what is too long. The two differ in speed alone.
//
// It does no I/O, logs nothing and, once New is done, allocates nothing unless
// dst is too small. An AEAD may be used by any number of goroutines. Package
// esp is the caller; IKE keeps to crypto/cipher.
package aesgcm

import (
	"crypto/aes"
	"crypto/cipher"
)

// New returns AES-GCM under key, which has 16 or 32 octets. The AEAD does what
// one of cipher.NewGCM does: Seal and Open work in place or on buffers that do
// not overlap, and panic when a nonce has another length than 12 octets. What
// Open refuses may for a moment have stood deciphered in dst; zeros are left.
func New(key []byte) (cipher.AEAD, error) {
	if len(key) != 16 && len(key) != 32 {
		return nil, aes.KeySizeError(len(key))
	}
	if a := newFast(key); a != nil {
		return a, nil
	}
	return newStandard(key)
}

// newStandard is the implementation of crypto/cipher.
func newStandard(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
