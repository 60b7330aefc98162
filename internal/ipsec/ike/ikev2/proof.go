package ikev2

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/cert"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A peer is who is at the other end of an IKE SA, once it has proved it.
type peer struct {
	ike.Identity
	auth string // how both have, for status
	// until is when its certificate expires: a session that is taken up again
	// must not outlive what it was begun with. Zero with a pre-shared key.
	until time.Time
	// chain is the certificates that it has shown, in DER, its own first: whom we
	// believe may change while the SA is up. None with a pre-shared key, and none
	// at a responder that knows it by a ticket.
	chain [][]byte
	// trust is the digest of whom we believed when it proved itself, or came with a
	// ticket. Zero with a pre-shared key.
	trust [sha256.Size]byte
}

// authOctets is what the AUTH of the initiator or the responder of s covers,
// whose identity is id: its own IKE_SA_INIT message, the other's nonce and its
// identity (RFC 7296 section 2.15), and what IKE_INTERMEDIATE adds (RFC 9242
// section 3.3).
func (m *Machine) authOctets(s *sa, initiator bool, id *wire.ID) []byte {
	message, nonce, skp := s.shake.request, s.shake.nr, s.keys.Pi
	if !initiator {
		message, nonce, skp = s.shake.answer, s.shake.ni, s.keys.Pr
	}
	return append(suite.AuthOctets(s.suite.PRF, message, nonce, skp, id.Body()), s.shake.mid.intAuth()...)
}

// proof is what proves that we are id on s: AUTH, behind our certificates if
// we sign. The error says in words what to change.
func (m *Machine) proof(s *sa, id *wire.ID) ([]wire.Payload, error) {
	if s.resumes() {
		return []wire.Payload{s.resumedAuth(s.initiator)}, nil
	}
	octets := m.authOctets(s, s.initiator, id)
	if !m.cfg.Auth.Signs() {
		s.peer.auth = "PSK"
		return []wire.Payload{&wire.Auth{Method: wire.AuthSharedKey, Data: suite.PSKAuth(s.suite.PRF, m.cfg.Auth.PSK, octets)}}, nil
	}
	sig, err := m.cfg.Auth.Credential.Sign(s.shake.hashes, octets)
	if err != nil {
		return nil, err
	}
	s.peer.auth = bothWays(sig.Name, s.peer.auth)
	var list []wire.Payload
	// "[...] the first certificate provided MUST contain the public key used to
	// sign the AUTH payload."
	// https://www.rfc-editor.org/rfc/rfc7296#section-1.2
	for _, der := range m.cfg.Auth.Credential.Chain() {
		list = append(list, &wire.Cert{Encoding: wire.CertX509Signature, Data: der})
	}
	return append(list, &wire.Auth{Method: sig.Method, Data: sig.Data}), nil
}

// bothWays is how both ends prove themselves, ours first, in one word if both
// do alike. The peer's is empty while it is not known.
func bothWays(ours, theirs string) string {
	if theirs == "" || ours == theirs {
		return ours
	}
	return ours + ", peer " + theirs
}

// verify checks the peer's identity and its AUTH on s, which stands in list.
// The error says in words what to change.
func (m *Machine) verify(t *turn, s *sa, id *wire.ID, list []wire.Payload) error {
	if s.resumes() {
		if err := s.verifyResumed(id, list); err != nil {
			return err
		}
		if m.cfg.Auth.Signs() { // else the ticket would have been of no use
			s.peer.trust = m.cfg.Auth.Trust.Digest()
		}
		return nil
	}
	auth, ok := wire.Find[*wire.Auth](list)
	switch signs := m.cfg.Auth.Signs(); {
	case !ok:
		return fmt.Errorf("peer %v wants to authenticate with EAP, we use %s: configure that at the peer", id.Identity, m.means())
	case !signs && auth.Method != wire.AuthSharedKey:
		return fmt.Errorf("peer authenticates with method %d (certificates are 1, 9 to 11 and 14), we use a pre-shared key (2): configure pre-shared keys at the peer, or a certificate here", auth.Method)
	case signs && auth.Method == wire.AuthSharedKey:
		return errors.New("peer authenticates with a pre-shared key (method 2), we use certificates: configure a certificate at the peer, or take ours away and set PreSharedKey here")
	}
	if want := m.cfg.RemoteID; !want.IsZero() && !want.Matches(id.Identity) {
		return fmt.Errorf("peer says it is %v, we expect %v: set the peer's local identity, or our remote identity, so that they are the same", id.Identity, want)
	}
	octets := m.authOctets(s, !s.initiator, id)
	if m.cfg.Auth.Signs() {
		return m.verifySignature(t, s, id, list, octets)
	}
	want := suite.PSKAuth(s.suite.PRF, m.cfg.Auth.PSK, octets)
	if !secret.New(auth.Data).Equal(secret.New(want)) {
		return fmt.Errorf("peer %v has another pre-shared key than we: set PreSharedKey to the same text at both ends", id.Identity)
	}
	s.peer = peer{Identity: id.Identity, auth: "PSK"}
	return nil
}

// verifySignature checks the certificates in list, that they belong to id, and
// the signature over octets.
func (m *Machine) verifySignature(t *turn, s *sa, id *wire.ID, list []wire.Payload, octets []byte) error {
	chain, err := certificates(list)
	if err != nil {
		return err
	}
	owner, err := m.cfg.Auth.Trust.Verify(t.now, chain, id.Identity)
	if err != nil {
		return err
	}
	auth, _ := wire.Find[*wire.Auth](list) // verify has found it
	name, err := owner.Verify(auth.Method, auth.Data, octets, len(s.shake.hashes) > 0)
	if err != nil {
		return fmt.Errorf("peer %v does not prove that it owns its certificate: %w", id.Identity, err)
	}
	if s.initiator { // and so we have signed before
		name = bothWays(s.peer.auth, name)
	}
	s.peer = peer{Identity: id.Identity, auth: name, until: owner.NotAfter(), chain: chain, trust: m.cfg.Auth.Trust.Digest()}
	return nil
}

// certificates are those in list in DER, the peer's own first. One that is
// encoded in another way is an error if there are none that we read.
func certificates(list []wire.Payload) ([][]byte, error) {
	var chain [][]byte
	other := 0
	for _, p := range list {
		c, ok := p.(*wire.Cert)
		switch {
		case ok && c.Encoding == wire.CertX509Signature:
			chain = append(chain, c.Data)
		case ok:
			other = int(c.Encoding)
		}
	}
	if len(chain) == 0 && other != 0 {
		return nil, fmt.Errorf("peer sends its certificate in encoding %d (12 and 13 are hash and URL, 1 is PKCS #7), we take 4: configure X.509 certificates at the peer", other)
	}
	return chain, nil
}

// maxAuthorities bounds the CAs that we name in a CERTREQ, which in
// IKE_SA_INIT must not make the message long: 16 are 320 octets.
const maxAuthorities = 16

// certRequest asks the peer for a certificate, if we take one, since some send
// theirs only when asked.
func (m *Machine) certRequest() []wire.Payload {
	if !m.cfg.Auth.Signs() {
		return nil
	}
	hashes := m.cfg.Auth.Trust.KeyHashes()
	return []wire.Payload{&wire.CertReq{
		Encoding: wire.CertX509Signature, Authorities: hashes[:min(len(hashes), maxAuthorities*cert.KeyHashLen)],
	}}
}

// hashNotify announces the hashes that we take in signatures, if we take
// signatures (RFC 7427 section 4).
func (m *Machine) hashNotify() []wire.Payload {
	if !m.cfg.Auth.Signs() {
		return nil
	}
	var data []byte
	for _, h := range cert.Hashes() {
		data = binary.BigEndian.AppendUint16(data, uint16(h))
	}
	return []wire.Payload{&wire.Notify{Type: wire.SignatureHashAlgorithms, Data: data}}
}

// hashesOf are those of our hashes that the peer announces in list.
func hashesOf(list []wire.Payload) []cert.Hash {
	n, ok := wire.FindNotify(list, wire.SignatureHashAlgorithms)
	if !ok {
		return nil
	}
	var out []cert.Hash
	for _, h := range cert.Hashes() {
		for pair := range slices.Chunk(n.Data, 2) {
			if len(pair) == 2 && cert.Hash(binary.BigEndian.Uint16(pair)) == h {
				out = append(out, h)
				break
			}
		}
	}
	return out
}

// means is how we authenticate, in words.
func (m *Machine) means() string {
	if m.cfg.Auth.Signs() {
		return "certificates"
	}
	return "a pre-shared key"
}

// unbelieved is in words what keeps a peer from believing us that refuses us
// without a reason.
func (m *Machine) unbelieved() string {
	if m.cfg.Auth.Signs() {
		return fmt.Sprintf("it does not trust our certificate's CA or holds the certificate for invalid, it uses a pre-shared key, or it does not expect %v, our local identity", m.cfg.LocalID)
	}
	return fmt.Sprintf("its pre-shared key is another than ours, or it does not know us as %v: set PreSharedKey to the same text at both ends, or our local identity to what it expects", m.cfg.LocalID)
}
