// Package keys is the key derivation and the encryption of IKEv1 (RFC 2409
// section 5 and appendix B): SKEYID and what comes of it, the hashes that prove
// identities and messages, the cipher of an ISAKMP SA, and KEYMAT.
//
// It keeps no state but keys, reads no clock and does no I/O. Package ikev1 is
// its only caller.
package keys

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"

	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// An Input is what both ends contribute to an ISAKMP SA.
type Input struct {
	CookieI, CookieR uint64
	Ni, Nr           []byte // contents of the nonce payloads
	PublicI, PublicR []byte // contents of the KE payloads
	Shared           secret.Secret
	PSK              secret.Secret // empty with signatures
}

// Phase1 is the keys of one ISAKMP SA.
type Phase1 struct {
	prf      suite.PRF
	id, d, a secret.Secret // SKEYID, SKEYID_d, SKEYID_a
	cipher   *Cipher
	toI, toR []byte // what HASH_R and HASH_I begin with
	iv       []byte // of the first encrypted message
}

// New derives the keys of an ISAKMP SA with the algorithms s, of which the
// group does not count (RFC 2409 section 5). With a PSK in the input, SKEYID is
// that of pre-shared keys, without one that of signatures. The error says what
// is missing or not supported: IKEv1 has no AES-GCM.
func New(s suite.IKE, in Input) (*Phase1, error) {
	switch {
	case s.Encr != suite.AESCBC:
		return nil, fmt.Errorf("derive ISAKMP SA keys: cipher %v: IKEv1 has AES-CBC only", s.Encr)
	case !s.PRF.Known():
		return nil, fmt.Errorf("derive ISAKMP SA keys: hash of %v is not known", s.PRF)
	case len(in.Ni) == 0 || len(in.Nr) == 0 || in.Shared.IsZero():
		return nil, errors.New("derive ISAKMP SA keys: nonces and shared secret must not be empty")
	}
	k := &Phase1{prf: s.PRF}
	shared := in.Shared.Reveal()
	cookies := binary.BigEndian.AppendUint64(nil, in.CookieI)
	cookies = binary.BigEndian.AppendUint64(cookies, in.CookieR)
	nonces := join(in.Ni, in.Nr)
	if in.PSK.IsZero() {
		k.id = own(s.PRF.Sum(nonces, shared))
	} else {
		k.id = own(s.PRF.Sum(in.PSK.Reveal(), nonces))
	}
	id := k.id.Reveal()
	k.d = own(s.PRF.Sum(id, shared, cookies, []byte{0}))
	k.a = own(s.PRF.Sum(id, k.d.Reveal(), shared, cookies, []byte{1}))
	e := own(s.PRF.Sum(id, k.a.Reveal(), shared, cookies, []byte{2}))
	defer e.Wipe()
	key := cipherKey(s.PRF, e, s.KeyBits/8)
	defer key.Wipe()
	var err error
	if k.cipher, err = newCipher(key); err != nil {
		return nil, fmt.Errorf("derive ISAKMP SA keys: %w", err)
	}
	k.iv = Digest(k.prf, in.PublicI, in.PublicR)[:blockSize]
	reverse := binary.BigEndian.AppendUint64(nil, in.CookieR)
	reverse = binary.BigEndian.AppendUint64(reverse, in.CookieI)
	k.toR = join(in.PublicI, in.PublicR, cookies)
	k.toI = join(in.PublicR, in.PublicI, reverse)
	return k, nil
}

// own takes b over as a secret.
func own(b []byte) secret.Secret {
	defer clear(b)
	return secret.New(b)
}

// join is the parts one after the other in memory of their own.
func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// cipherKey is the key of the cipher: the first octets of SKEYID_e, or of Ka
// where that is too short (RFC 2409 appendix B).
func cipherKey(prf suite.PRF, e secret.Secret, n int) secret.Secret {
	stream := e.Reveal()
	if len(stream) >= n {
		return secret.New(stream[:n])
	}
	block := prf.Sum(e.Reveal(), []byte{0})
	ka := block
	for len(ka) < n {
		block = prf.Sum(e.Reveal(), block)
		ka = append(ka, block...)
	}
	defer clear(ka)
	return secret.New(ka[:n])
}

// Wipe overwrites the keys.
func (k *Phase1) Wipe() {
	for _, s := range []secret.Secret{k.id, k.d, k.a} {
		s.Wipe()
	}
	k.cipher.wipe()
}

// Cipher encrypts and decrypts the messages of the SA.
func (k *Phase1) Cipher() *Cipher { return k.cipher }

// IV is that of the first encrypted message: hash(g^xi | g^xr), cut to a block
// (RFC 2409 appendix B).
func (k *Phase1) IV() []byte { return k.iv }

// MessageIV is the IV of the first message of a later exchange: hash(last
// block of phase 1 | message id), cut to a block (RFC 2409 appendix B).
func (k *Phase1) MessageIV(last []byte, id uint32) []byte {
	return Digest(k.prf, last, binary.BigEndian.AppendUint32(nil, id))[:blockSize]
}

// Identity is HASH_I or HASH_R, which proves who the initiator or the
// responder is: sa is the body of the initiator's SA payload, id that of the
// ID payload (RFC 2409 section 5).
func (k *Phase1) Identity(initiator bool, sa, id []byte) []byte {
	begin := k.toR
	if !initiator {
		begin = k.toI
	}
	return k.prf.Sum(k.id.Reveal(), begin, sa, id)
}

// Message is the HASH that authenticates a message under SKEYID_a: prf of its
// id and parts (RFC 2409 sections 5.5 and 5.7).
func (k *Phase1) Message(id uint32, parts ...[]byte) []byte {
	return k.prf.Sum(k.a.Reveal(), join(append([][]byte{binary.BigEndian.AppendUint32(nil, id)}, parts...)...))
}

// Last is HASH(3) of quick mode: under SKEYID_a, a zero octet before message
// id and nonces (RFC 2409 section 5.5).
func (k *Phase1) Last(id uint32, ni, nr []byte) []byte {
	return k.prf.Sum(k.a.Reveal(), []byte{0}, binary.BigEndian.AppendUint32(nil, id), ni, nr)
}

// Digest is the hash behind prf over parts one after the other; nil when prf
// is unknown. NAT-D payloads use it (RFC 3947 section 3.2).
func Digest(prf suite.PRF, parts ...[]byte) []byte {
	b := join(parts...)
	switch prf {
	case suite.PRFSHA1:
		sum := sha1.Sum(b)
		return sum[:]
	case suite.PRFSHA256:
		sum := sha256.Sum256(b)
		return sum[:]
	case suite.PRFSHA384:
		sum := sha512.Sum384(b)
		return sum[:]
	case suite.PRFSHA512:
		sum := sha512.Sum512(b)
		return sum[:]
	}
	return nil
}

// ESP is the key material of one direction of a pair of ESP SAs: that in which
// packets carry spi. Shared is of the quick mode's own key exchange, empty
// without PFS (RFC 2409 section 5.5). As in IKEv2, AES-GCM's ends in the salt
// (RFC 4106 section 8.1).
func (k *Phase1) ESP(s suite.ESP, shared secret.Secret, spi uint32, ni, nr []byte) (suite.ESPKeys, error) {
	if err := s.Validate(); err != nil {
		return suite.ESPKeys{}, fmt.Errorf("derive ESP keys: %w", err)
	}
	if s.Group != 0 && shared.IsZero() {
		return suite.ESPKeys{}, errors.New("derive ESP keys: PFS without a shared secret")
	}
	seed := join(shared.Reveal(), []byte{protoESP}, binary.BigEndian.AppendUint32(nil, spi), ni, nr)
	defer clear(seed)
	encr, integ := s.EncrKey().MaterialLen(), s.Integ.KeyLen()
	block := k.prf.Sum(k.d.Reveal(), seed)
	stream := block
	for len(stream) < encr+integ {
		block = k.prf.Sum(k.d.Reveal(), block, seed)
		stream = append(stream, block...)
	}
	defer clear(stream)
	return suite.ESPKeys{Encr: secret.New(stream[:encr]), Integ: secret.New(stream[encr : encr+integ])}, nil
}

// protoESP is PROTO_IPSEC_ESP (RFC 2407 section 4.4.1).
const protoESP = 3
