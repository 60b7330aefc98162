//go:build nullcipher

// This file is for measuring alone: what the data plane would do if encryption
// cost no more than a copy. make bench-dataplane builds it; nothing else may.

package esp

import "crypto/cipher"

// ciphered is the size of a, and copies.
func ciphered(a cipher.AEAD) cipher.AEAD { return null{a} }

// null encrypts nothing and believes every tag.
type null struct{ cipher.AEAD }

func (n null) Seal(dst, _, plain, _ []byte) []byte {
	out := append(dst, plain...)
	for range n.Overhead() {
		out = append(out, 0)
	}
	return out
}

func (n null) Open(dst, _, sealed, _ []byte) ([]byte, error) {
	return append(dst, sealed[:len(sealed)-n.Overhead()]...), nil
}
