package suite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"

	"seikan/internal/secret"
)

// saltLen is the salt at the end of an AEAD's key material, in octets
// (RFC 4106 section 8.1, RFC 5282 section 7.1, RFC 7634 section 2).
const saltLen = 4

// AEAD reports whether the cipher brings its own integrity check.
func (e Encr) AEAD() bool { return e == AESGCM16 || e == ChaCha20Poly1305 }

// IVLen is the length of the explicit IV in octets: 16 for CBC (RFC 3602
// section 3), 8 for GCM (RFC 4106 section 3.1) and ChaCha20-Poly1305 (RFC 7634
// section 2), 0 when unknown.
func (e Encr) IVLen() int {
	switch e {
	case AESCBC:
		return 16
	case AESGCM16, ChaCha20Poly1305:
		return 8
	}
	return 0
}

// MaterialLen is how many octets of key material the cipher takes: the key,
// and for an AEAD the 4-octet salt after it.
func (k EncrKey) MaterialLen() int {
	if k.Encr.AEAD() {
		return k.KeyBits/8 + saltLen
	}
	return k.KeyBits / 8
}

// Attribute is the Key Length attribute with which a proposal names the
// cipher, in bits; 0 where there must be none, since the cipher has but one
// length (RFC 7296 section 3.3.5, RFC 7634 section 4).
func (k EncrKey) Attribute() int {
	if k.Encr == ChaCha20Poly1305 {
		return 0
	}
	return k.KeyBits
}

// NewAEAD returns the cipher, which must be an AEAD, under key: KeyBits/8
// octets, without the salt. Its nonce is the salt and the explicit IV, its tag
// has 16 octets. The error says that the cipher is no AEAD or the key too long
// or too short.
func (k EncrKey) NewAEAD(key []byte) (cipher.AEAD, error) {
	if len(key)*8 != k.KeyBits {
		return nil, fmt.Errorf("key of %d octets, %v takes %d", len(key), k, k.KeyBits/8)
	}
	switch k.Encr {
	case AESGCM16:
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCM(block)
	case ChaCha20Poly1305:
		return chacha20poly1305.New(key)
	}
	return nil, fmt.Errorf("%v is no AEAD", k)
}

// Known reports whether the cipher is implemented with this key length.
func (k EncrKey) Known() bool {
	for _, e := range encrNames {
		if e.key == k {
			return true
		}
	}
	return false
}

// Known reports whether i is implemented. IntegNone is not: it is the absence
// of one.
func (i Integ) Known() bool { return i.PRF() != 0 }

// PRF is the PRF with the same hash, 0 when i is unknown or IntegNone.
func (i Integ) PRF() PRF {
	for _, e := range integNames {
		if e.integ == i {
			return e.prf
		}
	}
	return 0
}

// KeyLen is the length of the HMAC key in octets: that of the hash's output
// (RFC 2404 section 3, RFC 4868 section 2.1.1). 0 for IntegNone and unknown.
func (i Integ) KeyLen() int { return i.PRF().Size() }

// ICVLen is the length of the truncated integrity check value in octets:
// 12, 16, 24 or 32 (RFC 2404, RFC 4868). 0 for IntegNone and unknown.
func (i Integ) ICVLen() int {
	switch i {
	case IntegSHA1:
		return 12
	case IntegSHA256, IntegSHA384, IntegSHA512:
		return i.PRF().Size() / 2
	}
	return 0
}

// New returns the whole, untruncated HMAC of i under key; the first ICVLen
// octets of its sum are the ICV. It returns nil for IntegNone and unknown.
func (i Integ) New(key secret.Secret) hash.Hash { return i.PRF().mac(key.Reveal()) }

// Known reports whether p is implemented.
func (p PRF) Known() bool { return p.Size() != 0 }

// Size is the length of the PRF's output in octets: 20, 32, 48 or 64, and 0
// when p is unknown. It is also the preferred key length (RFC 7296 section
// 2.13, RFC 4868 section 2.1.2), hence that of SK_d, SK_pi and SK_pr.
func (p PRF) Size() int {
	switch p {
	case PRFSHA1:
		return sha1.Size
	case PRFSHA256:
		return sha256.Size
	case PRFSHA384:
		return sha512.Size384
	case PRFSHA512:
		return sha512.Size
	}
	return 0
}

// mac returns the HMAC behind p, nil when p is unknown.
func (p PRF) mac(key []byte) hash.Hash {
	switch p {
	case PRFSHA1:
		return hmac.New(sha1.New, key)
	case PRFSHA256:
		return hmac.New(sha256.New, key)
	case PRFSHA384:
		return hmac.New(sha512.New384, key)
	case PRFSHA512:
		return hmac.New(sha512.New, key)
	}
	return nil
}
