package ikev1

import (
	"errors"

	"seikan/internal/ipsec/ike/ikev1/keys"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/secret"
)

// errIDs is what a broken source of random numbers looks like.
var errIDs = errors.New("random: no unused message id in 8 draws")

// seal encrypts list as a message of s, under iv. The second result is the IV
// of the exchange's next message. A failure is a bug, and gives nil.
func (m *Machine) seal(t *turn, s *sa, h headerOf, iv []byte, list []wire.Payload) (data, next []byte) {
	first, plain := wire.AppendChain(nil, list)
	cipher := s.keys.Cipher()
	sealed, err := cipher.Seal(iv, wire.Pad(plain, cipher.BlockSize()))
	if err != nil {
		t.bug(err)
		return nil, iv
	}
	return wire.AppendSealed(nil, s.header(h.exchange, h.id), first, sealed), keys.NextIV(sealed)
}

// A headerOf names the exchange that a message belongs to.
type headerOf struct {
	exchange uint8
	id       uint32
}

// hashed is list with the HASH before it that authenticates it under SKEYID_a:
// over the message id, the octets seed and those of list (RFC 2409 sections 5.5
// and 5.7).
func (s *sa) hashed(id uint32, seed []byte, list []wire.Payload) []wire.Payload {
	_, octets := wire.AppendChain(nil, list)
	return append([]wire.Payload{&wire.Hash{Data: s.keys.Message(id, seed, octets)}}, list...)
}

// open decrypts msg under iv. It proves nothing: the caller checks the hash
// inside, and only then goes on with the IV that this returns.
func (s *sa) open(msg *wire.Message, iv []byte) (chain wire.Chain, next []byte, ok bool) {
	plain, err := s.keys.Cipher().Open(iv, msg.Sealed)
	if err != nil {
		return wire.Chain{}, nil, false
	}
	chain, err = wire.ParseInner(wire.Kind(msg.Header.Next), plain)
	if err != nil || len(chain.Payloads) == 0 {
		return wire.Chain{}, nil, false
	}
	return chain, keys.NextIV(msg.Sealed), true
}

// openHashed is open for a message that begins with a HASH over all the rest,
// with seed as in hashed. It gives what follows the HASH; ok is false unless
// that is authentic.
func (s *sa) openHashed(msg *wire.Message, iv, seed []byte) (list []wire.Payload, next []byte, ok bool) {
	chain, next, ok := s.open(msg, iv)
	if !ok {
		return nil, nil, false
	}
	hash, ok := chain.Payloads[0].(*wire.Hash)
	if !ok || !same(hash.Data, s.keys.Message(msg.Header.MessageID, seed, chain.After(0))) {
		return nil, nil, false
	}
	return chain.Payloads[1:], next, true
}

// same compares in constant time.
func same(a, b []byte) bool { return secret.New(a).Equal(secret.New(b)) }
