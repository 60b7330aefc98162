package suite

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"seikan/internal/secret"
)

// gcmSaltLen is the salt at the end of AES-GCM key material, in octets
// (RFC 4106 section 8.1, RFC 5282 section 7.1).
const gcmSaltLen = 4

// AEAD reports whether the cipher brings its own integrity check.
func (e Encr) AEAD() bool { return e == AESGCM16 }

// IVLen is the length of the explicit IV in octets: 16 for CBC (RFC 3602
// section 3), 8 for GCM (RFC 4106 section 3.1), 0 when unknown.
func (e Encr) IVLen() int {
	switch e {
	case AESCBC:
		return 16
	case AESGCM16:
		return 8
	}
	return 0
}

// MaterialLen is how many octets of key material the cipher takes: the key,
// and for GCM the 4-octet salt after it.
func (k EncrKey) MaterialLen() int {
	if k.Encr == AESGCM16 {
		return k.KeyBits/8 + gcmSaltLen
	}
	return k.KeyBits / 8
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
