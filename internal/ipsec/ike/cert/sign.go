package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // method 1 of peers that know no other
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// Authentication methods of IKEv2 that sign (RFC 7296 section 3.8, RFC 4754,
// RFC 7427 section 3).
const (
	MethodRSA       = 1
	MethodECDSAP256 = 9
	MethodECDSAP384 = 10
	MethodECDSAP521 = 11
	MethodSignature = 14 // says itself which algorithm it is
)

// A Hash is one of SIGNATURE_HASH_ALGORITHMS (RFC 7427 section 7; RFC 8420
// for Identity).
type Hash uint16

// The hashes. SHA1 is never used with MethodSignature (RFC 8247 section 3.2).
const (
	SHA1     Hash = 1
	SHA256   Hash = 2
	SHA384   Hash = 3
	SHA512   Hash = 4
	Identity Hash = 5
)

// Hashes are what we announce.
func Hashes() []Hash { return []Hash{SHA256, SHA384, SHA512, Identity} }

// String is the name that AWS has for it.
func (h Hash) String() string {
	names := map[Hash]string{SHA1: "SHA1", SHA256: "SHA2-256", SHA384: "SHA2-384", SHA512: "SHA2-512", Identity: "identity"}
	if name, ok := names[h]; ok {
		return name
	}
	return fmt.Sprintf("hash %d", uint16(h))
}

// crypto is the standard library's name of h, 0 for none.
func (h Hash) crypto() crypto.Hash {
	return map[Hash]crypto.Hash{SHA1: crypto.SHA1, SHA256: crypto.SHA256, SHA384: crypto.SHA384, SHA512: crypto.SHA512}[h]
}

// sum is the hash of octets.
func (h Hash) sum(octets []byte) []byte {
	if h == Identity {
		return octets
	}
	var x hash.Hash
	switch h {
	case SHA256:
		x = sha256.New()
	case SHA384:
		x = sha512.New384()
	case SHA512:
		x = sha512.New()
	default:
		x = h.crypto().New()
	}
	x.Write(octets)
	return x.Sum(nil)
}

// A Signature is the contents of an AUTH payload.
type Signature struct {
	Method uint8
	Data   []byte
	// Name is the algorithm for status: "RSA-SHA2-256", "RSA-PSS-SHA2-384",
	// "ECDSA-P256", "Ed25519". One ends in "weak)" when the hash or the key is:
	// "RSA-SHA1 (weak)", "RSA-SHA2-256 (1024 bits, weak)".
	Name string
}

// A scheme is one way to sign.
type scheme struct {
	kind kind
	pss  bool
	hash Hash
	salt int // octets, with pss
}

// name is that of Signature.Name.
func (s scheme) name() string {
	switch {
	case s.kind == kindEd25519:
		return "Ed25519"
	case s.kind == kindRSA && s.hash == SHA1:
		return "RSA-SHA1" + weakMark
	case s.pss:
		return "RSA-PSS-" + s.hash.String()
	case s.kind == kindRSA:
		return "RSA-" + s.hash.String()
	case s.hash == s.kind.hash():
		return s.kind.String()
	}
	return s.kind.String() + "-" + s.hash.String()
}

// String is the name of a kind of key.
func (k kind) String() string {
	names := map[kind]string{kindRSA: "RSA", kindP256: "ECDSA-P256", kindP384: "ECDSA-P384", kindP521: "ECDSA-P521", kindEd25519: "Ed25519", anyECDSA: "ECDSA"}
	return names[k]
}

// hash is the one that is as strong as keys of kind k.
func (k kind) hash() Hash {
	return map[kind]Hash{kindRSA: SHA256, kindP256: SHA256, kindP384: SHA384, kindP521: SHA512, kindEd25519: Identity}[k]
}

// method is the one from before RFC 7427 for keys of kind k, or 0.
func (k kind) method() uint8 {
	return map[kind]uint8{kindRSA: MethodRSA, kindP256: MethodECDSAP256, kindP384: MethodECDSAP384, kindP521: MethodECDSAP521}[k]
}

// size is how many octets a coordinate of the curve has.
func (k kind) size() int { return map[kind]int{kindP256: 32, kindP384: 48, kindP521: 66}[k] }

// strongRSABits is from how many bits on an RSA key is paired with SHA-384.
const strongRSABits = 4096

// choose picks the hash for our key out of those that the peer announced.
func (c *Credential) choose(announced []Hash) (scheme, bool) {
	k, _ := keyKind(c.key.Public()) // checked by NewCredential
	s := scheme{kind: k, pss: c.pss && k == kindRSA}
	best := k.hash()
	if key, ok := c.key.Public().(*rsa.PublicKey); ok && key.N.BitLen() >= strongRSABits {
		best = SHA384
	}
	for _, h := range []Hash{best, SHA256, SHA384, SHA512} {
		if slices.Contains(announced, h) && (k != kindEd25519 || h == Identity) {
			s.hash = h
			if s.pss {
				s.salt = h.crypto().Size() // as RFC 8247 section 3.2 has it
			}
			return s, true
		}
	}
	return s, false
}

// Sign signs octets for AUTH towards a peer that announced these hashes; none
// means that it does not know RFC 7427, and is signed for in the way of before
// (RSA with SHA-1 then). The error says why there is no way.
func (c *Credential) Sign(announced []Hash, octets []byte) (Signature, error) {
	if s, ok := c.choose(announced); ok {
		value, err := c.sign(s, octets)
		if err != nil {
			return Signature{}, err
		}
		return Signature{MethodSignature, slices.Concat(s.prefix(), value), c.Mark(s.name())}, nil
	}
	k, _ := keyKind(c.key.Public()) // checked by NewCredential
	if k == kindEd25519 {
		return Signature{}, fmt.Errorf("our key is Ed25519, which the peer does not take (of RFC 7427 and 8420 it announces %s): use an RSA or ECDSA key", hashWords(announced))
	}
	s := scheme{kind: k, hash: k.hash()}
	if k == kindRSA {
		s.hash = SHA1
	}
	value, err := c.sign(s, octets)
	if err == nil && k != kindRSA {
		value, err = rawECDSA(value, k.size())
	}
	return Signature{k.method(), value, c.Mark(s.name())}, err
}

// hashWords lists hashes.
func hashWords(list []Hash) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Trim(fmt.Sprint(list), "[]")
}

// sign makes the signature value.
func (c *Credential) sign(s scheme, octets []byte) ([]byte, error) {
	var opts crypto.SignerOpts = s.hash.crypto()
	if s.pss {
		opts = &rsa.PSSOptions{SaltLength: s.salt, Hash: s.hash.crypto()}
	}
	value, err := c.key.Sign(rand.Reader, s.hash.sum(octets), opts)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.name(), err)
	}
	return value, nil
}

// errSignature says that a signature is not by the key of the certificate.
var errSignature = errors.New("its signature is not by the key of its certificate: let it use the certificate's own key")

// Verify checks the AUTH of the peer over octets, in IKEv2. announced says
// that we announced hashes and the peer did, too, so that it knows better than
// SHA-1. The name is that of Signature; the error says in words what is wrong.
func (p *Peer) Verify(method uint8, data, octets []byte, announced bool) (name string, err error) {
	switch {
	case method == MethodSignature:
		s, value, err := parsePrefix(data)
		if err != nil {
			return "", err
		}
		if s.kind != p.kind && !(s.kind == anyECDSA && p.kind.size() > 0) {
			return "", fmt.Errorf("it signs with %s, but its certificate has a key for %s", s.name(), p.kind)
		}
		s.kind = p.kind
		return p.Mark(s.name()), p.check(s, value, octets)
	case method != p.kind.method() || method == 0:
		return "", fmt.Errorf("it authenticates with method %d, which does not go with the %s key of its certificate (%d or %d do)", method, p.kind, MethodSignature, p.kind.method())
	case method == MethodRSA:
		return p.verifyRSA(data, octets, announced)
	}
	s := scheme{kind: p.kind, hash: p.kind.hash()}
	value, err := derECDSA(data, p.kind.size())
	if err != nil {
		return "", err
	}
	return p.Mark(s.name()), p.check(s, value, octets)
}

// verifyRSA checks a signature of method 1. Its hash is not said outside the
// signature: SHA-1 by default, another one by agreement (RFC 7296 section
// 3.8).
func (p *Peer) verifyRSA(value, octets []byte, announced bool) (string, error) {
	for _, h := range []Hash{SHA256, SHA384, SHA512} {
		s := scheme{kind: kindRSA, hash: h}
		if p.check(s, value, octets) == nil {
			return p.Mark(s.name()), nil
		}
	}
	s := scheme{kind: kindRSA, hash: SHA1}
	if err := p.check(s, value, octets); err != nil {
		return "", err
	}
	if announced {
		return "", errors.New("it signs with SHA-1 though it announces better hashes: let it use signature authentication (RFC 7427)")
	}
	return p.Mark(s.name()), nil
}

// check checks a signature value.
func (p *Peer) check(s scheme, value, octets []byte) error {
	ok := false
	digest := s.hash.sum(octets)
	switch key := p.key.(type) {
	case *rsa.PublicKey:
		if s.pss {
			ok = rsa.VerifyPSS(key, s.hash.crypto(), digest, value, &rsa.PSSOptions{SaltLength: s.salt}) == nil
			break
		}
		ok = rsa.VerifyPKCS1v15(key, s.hash.crypto(), digest, value) == nil
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(key, digest, value)
	case ed25519.PublicKey:
		ok = ed25519.Verify(key, octets, value)
	}
	if !ok {
		return errSignature
	}
	return nil
}

// SignIKEv1 signs HASH_I or HASH_R of main mode (RFC 2409 section 5.1): RSA as
// PKCS #1 v1.5 without naming a hash, ECDSA as r and s (RFC 4754 section 7).
// With ECDSA the hash should be the curve's own (SHA-256 for P-256, and so
// on), as RFC 4754 asks of the negotiated PRF.
func (c *Credential) SignIKEv1(hash []byte) ([]byte, error) {
	k, _ := keyKind(c.key.Public()) // checked by NewCredential
	if k == kindEd25519 {
		return nil, errors.New("our key is Ed25519, which IKEv1 does not know: use an RSA or ECDSA key, or IKEv2")
	}
	value, err := c.key.Sign(rand.Reader, hash, crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("sign HASH: %w", err)
	}
	if k == kindRSA {
		return value, nil
	}
	return rawECDSA(value, k.size())
}

// MethodIKEv1 is the authentication method of main mode that goes with our
// key: 3 for RSA signatures (RFC 2409 appendix A), 9 to 11 for ECDSA (RFC
// 4754); 0 for a key that IKEv1 does not know.
func (c *Credential) MethodIKEv1() uint16 {
	k, _ := keyKind(c.key.Public()) // checked by NewCredential
	return k.methodIKEv1()
}

// MethodIKEv1 is Credential.MethodIKEv1 for the peer's key.
func (p *Peer) MethodIKEv1() uint16 { return p.kind.methodIKEv1() }

func (k kind) methodIKEv1() uint16 {
	if k == kindRSA {
		return 3
	}
	return uint16(k.method())
}

// VerifyIKEv1 checks a signature of HASH_I or HASH_R; see SignIKEv1. The error
// says in words what is wrong.
func (p *Peer) VerifyIKEv1(hash, value []byte) error {
	ok := false
	switch key := p.key.(type) {
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(key, crypto.Hash(0), hash, value) == nil
	case *ecdsa.PublicKey:
		der, err := derECDSA(value, p.kind.size())
		if err != nil {
			return err
		}
		ok = ecdsa.VerifyASN1(key, hash, der)
	default:
		return fmt.Errorf("its certificate has a key for %s, which IKEv1 does not know", p.kind)
	}
	if !ok {
		return errSignature
	}
	return nil
}
