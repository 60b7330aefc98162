package ikev2

import (
	"errors"
	"fmt"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// findID is the identity of the initiator or the responder.
func findID(list []wire.Payload, responder bool) (*wire.ID, bool) {
	for _, p := range list {
		if id, ok := p.(*wire.ID); ok && id.Responder == responder {
			return id, true
		}
	}
	return nil, false
}

// authenticate is our IKE_AUTH exchange.
type authenticate struct {
	spi uint32
}

func (*authenticate) exchange() uint8 { return wire.IKEAuth }

func (k *authenticate) request(m *Machine, t *turn, s *sa) ([]wire.Payload, bool) {
	id := &wire.ID{Identity: m.cfg.LocalID}
	ppk, err := m.ppkProof(s, id)
	var proof []wire.Payload
	if err == nil {
		proof, err = m.proof(s, id)
	}
	if err != nil {
		m.attemptFailed(t, s, err.Error())
		return nil, false
	}
	list := []wire.Payload{id}
	if !s.resumes() {
		list = append(list, m.certRequest()...)
	}
	if m.current == nil {
		list = append(list, &wire.Notify{Type: wire.InitialContact})
	}
	if !m.cfg.RemoteID.IsZero() {
		list = append(list, &wire.ID{Responder: true, Identity: m.cfg.RemoteID})
	}
	list = append(append(list, proof...), ppk...)
	list = append(list,
		&wire.SA{Proposals: proposal.ESP(m.cfg.ESP, k.spi, false)},
		&wire.TS{Selectors: m.cfg.LocalTS},
		&wire.TS{Responder: true, Selectors: m.cfg.RemoteTS},
	)
	list = append(list, m.ticketRequest()...)
	list = append(list, m.syncNotify()...)
	return append(list, m.mobikeNotify()...), true
}

func (k *authenticate) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	id, okID := findID(list, true)
	_, okAuth := wire.Find[*wire.Auth](list)
	if !okID || !okAuth {
		m.attemptFailed(t, s, m.orPPK(s, errors.New(m.authRefused(list))).Error())
		return
	}
	err := m.ppkAnswered(s, list)
	if err == nil {
		err = m.orPPK(s, m.verify(t, s, id, list))
	}
	if err != nil {
		// "If the error occurs on the initiator, the notification MAY be
		// returned in a separate INFORMATIONAL exchange."
		// https://www.rfc-editor.org/rfc/rfc7296#section-2.21.2
		m.denounce(t, s)
		m.attemptFailed(t, s, err.Error())
		return
	}
	m.agreeMobike(s, list)
	m.agreeSync(s, list)
	m.keepTicket(t, s, list)
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
		return fmt.Sprintf("peer refuses our authentication (AUTHENTICATION_FAILED): %s", m.unbelieved())
	default:
		return fmt.Sprintf("peer refuses IKE_AUTH with %v: see its log for what it wants", n.Type)
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
	if s.state != keyed || !okID {
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
		if s.state == keyed {
			m.ended(t, s, "peer's IKE_AUTH request lacks its identity")
		}
		return
	}
	own := &wire.ID{Responder: true, Identity: m.cfg.LocalID}
	var proof []wire.Payload
	claim, err := m.ppkRequested(s, r.list)
	if err == nil {
		err = m.orPPK(s, m.verify(t, s, id, claim))
	}
	if err == nil {
		proof, err = m.proof(s, own)
	}
	if err != nil {
		m.refuse(t, s, r, &wire.Notify{Type: wire.AuthenticationFailed})
		m.ended(t, s, err.Error())
		return
	}
	if !m.cfg.Extensions.NoMOBIKE && !natUnchanged(r) {
		m.refuse(t, s, r, &wire.Notify{Type: wire.UnexpectedNAT})
		m.ended(t, s, fmt.Sprintf("peer %v allows no NAT (NO_NATS_ALLOWED), and there is one between us: let the peer allow it", r.from.Remote))
		return
	}
	list := append(append([]wire.Payload{own}, proof...), s.ppkAnswer()...)
	in := suite.KeyInput{Ni: s.shake.ni, Nr: s.shake.nr}
	c, answer, reason := m.childRequested(t, s, in, r.list, childTerms{})
	_, initial := wire.FindNotify(r.list, wire.InitialContact)
	answer = append(answer, m.giveTicket(t, s, r.list)...)
	if m.agreeMobike(s, r.list); s.ext.mobike.on {
		answer = append(answer, m.mobikeNotify()...)
	}
	if m.agreeSync(s, r.list); s.ext.sync.on {
		answer = append(answer, m.syncNotify()...)
	}
	m.established(t, s, c, initial)
	m.reply(t, s, r, append(list, answer...)...)
	if c == nil && s == m.current {
		t.notice(levelWarn, "no CHILD SA", "reason", reason)
		m.setPhase(t, ike.Authed, reason)
	}
}
