package ikev2

import (
	"fmt"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// authData is the AUTH value of the initiator or the responder of s, whose
// identity is id: over its own IKE_SA_INIT message, the other's nonce and its
// identity (RFC 7296 section 2.15).
func (m *Machine) authData(s *sa, initiator bool, id *wire.ID) []byte {
	message, nonce, skp := s.shake.request, s.shake.nr, s.keys.Pi
	if !initiator {
		message, nonce, skp = s.shake.answer, s.shake.ni, s.keys.Pr
	}
	return suite.PSKAuth(s.suite.PRF, m.cfg.Auth.PSK, append(suite.AuthOctets(s.suite.PRF, message, nonce, skp, id.Body()), s.shake.mid.intAuth()...))
}

// findID is the identity of the initiator or the responder.
func findID(list []wire.Payload, responder bool) (*wire.ID, bool) {
	for _, p := range list {
		if id, ok := p.(*wire.ID); ok && id.Responder == responder {
			return id, true
		}
	}
	return nil, false
}

// verify checks the peer's identity and AUTH on s. The error says in words
// what to change.
func (m *Machine) verify(s *sa, id *wire.ID, auth *wire.Auth) error {
	if auth.Method != wire.AuthSharedKey {
		return fmt.Errorf("peer authenticates with method %d (certificates are 1, 9 to 11 and 14), we use a pre-shared key (2): configure pre-shared keys at the peer", auth.Method)
	}
	if want := m.cfg.RemoteID; !want.IsZero() && id.Identity != want {
		return fmt.Errorf("peer says it is %v, we expect %v: set the peer's local identity, or our remote identity, so that they are the same", id.Identity, want)
	}
	want := m.authData(s, !s.initiator, id)
	if !secret.New(auth.Data).Equal(secret.New(want)) {
		return fmt.Errorf("peer %v has another pre-shared key than we: set PreSharedKey to the same text at both ends", id.Identity)
	}
	return nil
}

// authenticate is our IKE_AUTH exchange.
type authenticate struct {
	spi uint32
}

func (*authenticate) exchange() uint8 { return wire.IKEAuth }

func (k *authenticate) request(m *Machine, t *turn, s *sa) ([]wire.Payload, bool) {
	id := &wire.ID{Identity: m.cfg.LocalID}
	list := []wire.Payload{id}
	if m.current == nil {
		list = append(list, &wire.Notify{Type: wire.InitialContact})
	}
	if !m.cfg.RemoteID.IsZero() {
		list = append(list, &wire.ID{Responder: true, Identity: m.cfg.RemoteID})
	}
	return append(list,
		&wire.Auth{Method: wire.AuthSharedKey, Data: m.authData(s, true, id)},
		&wire.SA{Proposals: proposal.ESP(m.cfg.ESP, k.spi, false)},
		&wire.TS{Selectors: m.cfg.LocalTS},
		&wire.TS{Responder: true, Selectors: m.cfg.RemoteTS},
	), true
}

func (k *authenticate) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	id, okID := findID(list, true)
	auth, okAuth := wire.Find[*wire.Auth](list)
	if !okID || !okAuth {
		m.attemptFailed(t, s, m.authRefused(list))
		return
	}
	if err := m.verify(s, id, auth); err != nil {
		// "If the error occurs on the initiator, the notification MAY be
		// returned in a separate INFORMATIONAL exchange."
		// https://www.rfc-editor.org/rfc/rfc7296#section-2.21.2
		m.denounce(t, s)
		m.attemptFailed(t, s, err.Error())
		return
	}
	s.peer = id.Identity
	in := suite.KeyInput{Ni: s.shake.ni, Nr: s.shake.nr}
	c, reason := m.childAnswered(t, s, offer{spi: k.spi}, in, list)
	m.established(t, s, c, false)
	if c == nil && s == m.current {
		t.notice(levelWarn, "no CHILD SA", "reason", reason)
		m.lacksChild(t, reason)
	}
}

// authRefused is in words why an IKE_AUTH response does not authenticate.
func (m *Machine) authRefused(list []wire.Payload) string {
	n, ok := wire.FindError(list)
	switch {
	case !ok:
		return "peer's IKE_AUTH response does not authenticate it"
	case n.Type == wire.AuthenticationFailed:
		return fmt.Sprintf("peer refuses our authentication (AUTHENTICATION_FAILED): its pre-shared key is another than ours, or it does not know us as %v", m.cfg.LocalID)
	default:
		return fmt.Sprintf("peer refuses IKE_AUTH with %v", n.Type)
	}
}

// denounce tells the peer, once, that it did not authenticate itself.
func (m *Machine) denounce(t *turn, s *sa) {
	list := []wire.Payload{&wire.Notify{Type: wire.AuthenticationFailed}}
	data, err := m.seal(s, s.header(wire.Informational, s.window.next, false), list)
	t.bug(err)
	if err == nil {
		m.transmit(t, s, data...)
	}
}

// respondAuth answers the peer's IKE_AUTH request.
func (m *Machine) respondAuth(t *turn, s *sa, r received) {
	id, okID := findID(r.list, false)
	auth, okAuth := wire.Find[*wire.Auth](r.list)
	if s.state != keyed || !okID {
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
		if s.state == keyed {
			m.ended(t, s, "peer's IKE_AUTH request lacks its identity")
		}
		return
	}
	err := fmt.Errorf("peer %v wants to authenticate with EAP, we use a pre-shared key: configure a pre-shared key at the peer", id.Identity)
	if okAuth {
		err = m.verify(s, id, auth)
	}
	if err != nil {
		m.refuse(t, s, r, &wire.Notify{Type: wire.AuthenticationFailed})
		m.ended(t, s, err.Error())
		return
	}
	s.peer = id.Identity
	own := &wire.ID{Responder: true, Identity: m.cfg.LocalID}
	list := []wire.Payload{own, &wire.Auth{Method: wire.AuthSharedKey, Data: m.authData(s, false, own)}}
	in := suite.KeyInput{Ni: s.shake.ni, Nr: s.shake.nr}
	c, answer, reason := m.childRequested(t, s, in, r.list, childTerms{})
	_, initial := wire.FindNotify(r.list, wire.InitialContact)
	m.established(t, s, c, initial)
	m.reply(t, s, r, append(list, answer...)...)
	if c == nil && s == m.current {
		t.notice(levelWarn, "no CHILD SA", "reason", reason)
		m.setPhase(t, ike.Authed, reason)
	}
}
