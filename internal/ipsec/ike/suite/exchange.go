package suite

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"seikan/internal/secret"
)

// ErrPublic is inside every error of Exchange.Shared: the peer's public value
// is malformed or unsafe, as opposed to a fault of ours.
var ErrPublic = errors.New("public value refused")

// errRandom is returned when a random source gives no usable private key in
// maxTries draws; a sound source fails a draw with probability below 1/2.
var errRandom = errors.New("random source gives no usable private key")

// maxTries bounds the draws of a private key.
const maxTries = 128

// An Exchange is one side of a Diffie-Hellman exchange, or the initiator's of
// a key encapsulation: a fresh private key and its public value. Use it for
// one exchange only.
type Exchange struct {
	group  Group
	public []byte
	shared func(peer []byte) ([]byte, error)
}

// NewExchange draws a private key of group g from random, or from crypto/rand
// when random is nil. The error says that g is not known or that random
// failed.
func NewExchange(g Group, random io.Reader) (*Exchange, error) {
	if random == nil {
		random = rand.Reader
	}
	info, ok := groups[g]
	if !ok {
		return nil, fmt.Errorf("new key exchange: %w", unknown("group", uint16(g), knownGroups))
	}
	x := &Exchange{group: g}
	var err error
	switch {
	case info.modp != nil:
		err = x.initMODP(info.modp, random)
	case info.kem != nil:
		err = x.initKEM(info.kem, random)
	default:
		err = x.initCurve(info.curve(), random)
	}
	if err != nil {
		return nil, fmt.Errorf("new key exchange in %v: %w", g, err)
	}
	return x, nil
}

// RespondExchange is the responder's whole part of an exchange in g with the
// owner of peer, the data of the initiator's KE payload: public is the data of
// our own, and shared what Exchange.Shared gives the initiator for it. random
// and the error are as for NewExchange and Exchange.Shared; an encapsulation
// always draws from crypto/rand.
func RespondExchange(g Group, peer []byte, random io.Reader) (public []byte, shared secret.Secret, err error) {
	if k := groups[g].kem; k != nil {
		return k.respond(g, peer)
	}
	x, err := NewExchange(g, random)
	if err != nil {
		return nil, secret.Secret{}, err
	}
	shared, err = x.Shared(peer)
	return x.Public(), shared, err
}

// Group is the group given to NewExchange.
func (x *Exchange) Group() Group { return x.group }

// Public is the data of our KE payload, Group.PublicLen octets. The caller
// must not change it.
func (x *Exchange) Public() []byte { return x.public }

// Shared is the secret shared with the owner of peer, the data of the peer's
// KE payload: as long as the modulus for MODP, zeros in front (RFC 7296
// section 2.14), x alone for ECP (RFC 5903 section 7), 32 octets for
// Curve25519 and ML-KEM. The error wraps ErrPublic when peer has the wrong length or is
// no safe element of the group: 0, 1, p-1 or outside the subgroup (RFC 6989
// section 2), off the curve, or of small order (RFC 7748 section 6.1). A
// ciphertext of ML-KEM that was tampered with gives no error but another
// secret (FIPS 203 section 6.3).
func (x *Exchange) Shared(peer []byte) (secret.Secret, error) {
	if want := x.group.AnswerLen(); len(peer) != want {
		return secret.Secret{}, fmt.Errorf("key exchange in %v: %w: %d octets, must be %d", x.group, ErrPublic, len(peer), want)
	}
	b, err := x.shared(peer)
	if err != nil {
		return secret.Secret{}, fmt.Errorf("key exchange in %v: %w: %w", x.group, ErrPublic, err)
	}
	defer clear(b)
	return secret.New(b), nil
}

// initCurve makes a key on curve. An ECP point is written without the leading
// 4 that crypto/ecdh puts before x and y (RFC 5903 section 7).
func (x *Exchange) initCurve(curve ecdh.Curve, random io.Reader) error {
	key, err := drawScalar(curve, random)
	if err != nil {
		return err
	}
	prefix := []byte{4}
	if curve == ecdh.X25519() {
		prefix = nil
	}
	x.public = key.PublicKey().Bytes()[len(prefix):]
	x.shared = func(peer []byte) ([]byte, error) {
		point, err := curve.NewPublicKey(append(prefix[:len(prefix):len(prefix)], peer...))
		if err != nil {
			return nil, err
		}
		return key.ECDH(point) // refuses the all-zero X25519 result
	}
	return nil
}

// drawScalar draws a private key. The scalar is read here, because
// ecdh.Curve.GenerateKey may ignore its reader, and tests and captures need
// exchanges that repeat.
func drawScalar(curve ecdh.Curve, random io.Reader) (*ecdh.PrivateKey, error) {
	size := 32
	switch curve {
	case ecdh.P384():
		size = 48
	case ecdh.P521():
		size = 66
	}
	scalar := make([]byte, size)
	defer clear(scalar)
	for range maxTries {
		if _, err := io.ReadFull(random, scalar); err != nil {
			return nil, fmt.Errorf("read random source: %w", err)
		}
		if size == 66 {
			scalar[0] &= 1 // the order has 521 bits
		}
		if key, err := curve.NewPrivateKey(scalar); err == nil {
			return key, nil // otherwise zero or not below the order: draw again
		}
	}
	return nil, errRandom
}
