package ikev1

import (
	"errors"
	"fmt"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// An unproven is why a message that should prove who sent it does not: anybody
// could have sent it.
type unproven string

// Error is the reason.
func (u unproven) Error() string { return string(u) }

// isUnproven reports whether err is an unproven.
func isUnproven(err error) bool {
	var u unproven
	return errors.As(err, &u)
}

// unprovenf makes an unproven.
func unprovenf(format string, args ...any) error { return unproven(fmt.Sprintf(format, args...)) }

// prove is who we are and the proof, as the initiator or the responder of s
// (RFC 2409 sections 5.1 and 5.4).
func (m *Machine) prove(s *sa, initiator bool) ([]wire.Payload, error) {
	id := wire.NewID(m.cfg.LocalID)
	hash := s.keys.Identity(initiator, s.shake.offer, wire.Body(id))
	if m.method == proposal.PSK {
		return []wire.Payload{id, &wire.Hash{Data: hash}}, nil
	}
	value, err := m.cfg.Auth.Credential.SignIKEv1(hash)
	if err != nil {
		return nil, fmt.Errorf("our signature could not be made: %w", err)
	}
	list := []wire.Payload{id}
	for _, der := range m.cfg.Auth.Credential.Chain() {
		list = append(list, &wire.Cert{Encoding: wire.CertX509Signature, Data: der})
	}
	return append(list, &wire.Sig{Data: value}), nil
}

// certRequests names the authorities whose certificates we accept.
func (m *Machine) certRequests() []wire.Payload {
	if m.method == proposal.PSK {
		return nil
	}
	var list []wire.Payload
	for _, name := range m.cfg.Auth.Trust.Subjects() {
		list = append(list, &wire.CertReq{Encoding: wire.CertX509Signature, Authority: name})
	}
	return list
}

// verify checks the peer's identity and its proof on s. An error is
// an unproven unless the peer has proved to be who it says; it says in words
// what to change.
func (m *Machine) verify(t *turn, s *sa, list []wire.Payload) (ike.Identity, error) {
	id, ok := wire.Find[*wire.ID](list)
	if !ok {
		return ike.Identity{}, unprovenf("peer's message makes no sense: %s", m.explainGarbage())
	}
	hash := s.keys.Identity(!s.initiator, s.shake.offer, wire.Body(id))
	var err error
	if m.method == proposal.PSK {
		s.auth = m.methodName()
		err = m.verifyPSK(hash, id, list)
	} else {
		err = m.verifySignature(t, s, hash, id, list)
	}
	if err != nil {
		return ike.Identity{}, err
	}
	if !id.Speaker() {
		return ike.Identity{}, fmt.Errorf("peer %v says that it is only protocol %d, port %d: in phase 1 its identity must have none (0 and 0) or those of IKE (17 and 500)", id.Identity, id.Protocol, id.Port)
	}
	// A peer behind a NAT that calls itself by its private address is refused
	// like any other: AWS, too, expects the registered outside address there
	// (vpn §3.3), and with one pre-shared key for a machine an exception would
	// only make it harder to see what is wrong.
	if want := m.cfg.RemoteID; !want.IsZero() && !want.Matches(id.Identity) {
		text := fmt.Sprintf("peer says it is %v, we expect %v: set the peer's local identity, or our remote identity, so that they are the same", id.Identity, want)
		if s.path.natRemote && id.Type == ike.IDIPv4 {
			text += "; a peer behind a NAT must be told to call itself by its outside address (strongSwan: local.id, libreswan: leftid)"
		}
		return ike.Identity{}, errors.New(text)
	}
	return id.Identity, nil
}

func (m *Machine) verifyPSK(want []byte, id *wire.ID, list []wire.Payload) error {
	hash, ok := wire.Find[*wire.Hash](list)
	if !ok {
		return unprovenf("peer %v sends no HASH: %s", id.Identity, m.explainGarbage())
	}
	if !same(hash.Data, want) {
		return unprovenf("peer %v has another pre-shared key than we: set PreSharedKey to the same text at both ends", id.Identity)
	}
	return nil
}

// maxProofs is how many proofs by certificate are checked in one attempt: one
// that is wrong may be a forged copy of the right one, and checking costs
// several signatures.
const maxProofs = 3

func (m *Machine) verifySignature(t *turn, s *sa, hash []byte, id *wire.ID, list []wire.Payload) error {
	sig, ok := wire.Find[*wire.Sig](list)
	if !ok {
		return unprovenf("peer %v sends no signature", id.Identity)
	}
	if s.shake.proofs == maxProofs {
		return unprovenf("peer %v has sent %d proofs that were none; this one is not looked at", id.Identity, maxProofs)
	}
	s.shake.proofs++
	var chain [][]byte
	for _, c := range wire.FindAll[*wire.Cert](list) {
		if c.Encoding == wire.CertX509Signature {
			chain = append(chain, c.Data)
		}
	}
	peer, err := m.cfg.Auth.Trust.Verify(t.now, chain, id.Identity)
	if err != nil {
		return unprovenf("%v", err)
	}
	// RFC 4754 section 4 ties the method to the kind of key.
	if of := proposal.Method(peer.MethodIKEv1()); of != 0 && of != m.method {
		return unprovenf("peer %v has a key for %v, but %v were agreed upon: let both ends have certificates for the same kind of key, or use IKEv2", id.Identity, of, m.method)
	}
	if err := peer.VerifyIKEv1(hash, sig.Data); err != nil {
		return unprovenf("peer %v: %v", id.Identity, err)
	}
	s.shake.chain = chain
	name := m.methodName()
	s.auth = m.cfg.Auth.Credential.Mark(name)
	if theirs := peer.Mark(name); theirs != s.auth {
		s.auth += ", peer " + theirs
	}
	return nil
}

// methodName is how both ends prove who they are, for status.
func (m *Machine) methodName() string {
	switch m.method {
	case proposal.PSK:
		return "PSK"
	case proposal.RSA:
		return "RSA"
	case proposal.ECDSA256:
		return "ECDSA-P256"
	case proposal.ECDSA384:
		return "ECDSA-P384"
	case proposal.ECDSA521:
		return "ECDSA-P521"
	}
	return m.method.String()
}
