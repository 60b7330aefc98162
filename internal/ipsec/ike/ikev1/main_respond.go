package ikev1

import (
	"fmt"
	"slices"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

// maxOffer bounds an SA payload, in octets, since hashes need it again later.
const maxOffer = 16 << 10

// respondOffer answers message 1: algorithms.
func (m *Machine) respondOffer(t *turn, d ike.Datagram, msg *wire.Message) {
	h := msg.Header
	if msg.Encrypted() {
		return
	}
	for _, s := range m.sas {
		switch {
		case s.spiI != h.SPIi:
		case !s.initiator && s.state == keying && s.echo.is(msg.Octets):
			m.counts.retransmits++
			m.post(t, s, d.Local, d.Remote, s.echo.answer)
			return
		default:
			// Our own message sent back to us, which would make an SA between
			// us and ourselves, or one of the peer that is done with.
			return
		}
	}
	// Several SA payloads are not allowed in phase 1, and which one would HASH_I
	// cover (RFC 2409 section 5)?
	sap, ok := wire.Only[*wire.SA](msg.Chain.Payloads)
	if !ok || len(wire.Body(sap)) > maxOffer {
		m.refuse(t, d, h, wire.PayloadMalformed)
		return
	}
	chosen, ok := proposal.ChooseIKE(m.cfg.IKE, m.method, sap)
	if !ok {
		m.refuse(t, d, h, wire.NoProposalChosen)
		m.rejected(t, &m.strangers.noticed, d.Remote, func() string { return proposal.ExplainIKE(m.cfg.IKE, m.method, sap) })
		return
	}
	s := m.offeredBy(t, d, h, chosen.Suite, slices.Clone(wire.Body(sap)))
	m.listen(s, msg.Chain.Payloads)
	list := append([]wire.Payload{chosen.Answer}, m.vendors()...)
	if m.crowded() {
		m.answerCrowded(t, s, d, msg, list)
		return
	}
	s.spiR = m.newCookie(t)
	m.sas = append(m.sas, s)
	m.answer(t, s, d, msg, list)
}

// offeredBy is an attempt of the peer that made an offer of which we chose suite.
func (m *Machine) offeredBy(t *turn, d ike.Datagram, h ike.Header, chosen suite.IKE, offer []byte) *sa {
	return &sa{
		state: keying, spiI: h.SPIi, suite: chosen,
		path:  path{local: d.Local, remote: d.Remote},
		shake: &handshake{offer: offer},
		span:  span{began: m.tick()},
		ends:  ends{until: t.now.Add(m.cfg.Tuning.RetransmitTimeout)},
	}
}

// answer sends list in the clear as our answer to msg, and remembers it.
func (m *Machine) answer(t *turn, s *sa, d ike.Datagram, msg *wire.Message, list []wire.Payload) {
	out := wire.Message{Header: s.header(wire.MainMode, 0), Chain: wire.Chain{Payloads: list}}
	s.echo = heard(msg.Octets, out.Append(nil))
	m.post(t, s, d.Local, d.Remote, s.echo.answer)
	s.path.sent = t.now
}

// respondExchange answers message 3: public values and nonces.
func (m *Machine) respondExchange(t *turn, d ike.Datagram, msg *wire.Message, s *sa) {
	ke, nonce, ok := exchanged(msg)
	if !ok || !m.roomFor(d.Remote.Addr()) {
		return
	}
	x, err := suite.NewExchange(s.suite.Group, m.cfg.Tuning.Rand)
	if err != nil {
		t.bug(err)
		return
	}
	shared, err := x.Shared(ke.Public)
	if err != nil {
		m.refuse(t, d, msg.Header, wire.InvalidKeyInformation)
		m.rejected(t, &m.strangers.noticed, d.Remote, func() string { return fmt.Sprintf("peer's key exchange value is not valid: %v", err) })
		return
	}
	defer shared.Wipe()
	m.makeRoom(t, proving, m.mostProving())
	s.shake.x, s.shake.ni, s.shake.nr = x, nonce.Data, m.random(t, nonceLen)
	if err := m.derive(s, shared, ke.Public, x.Public()); err != nil {
		t.bug(err)
		return
	}
	s.state, s.iv = proving, s.keys.IV()
	m.listen(s, msg.Chain.Payloads)
	s.path.local, s.path.remote = d.Local, d.Remote
	list := m.exchange(s, s.shake.nr)
	s.detect(msg.Chain.Payloads, d, m.cfg.ForceEncap)
	m.answer(t, s, d, msg, list)
}

// respondProof takes message 5, who the initiator is, and says who we are.
func (m *Machine) respondProof(t *turn, d ike.Datagram, msg *wire.Message, s *sa) {
	chain, next, ok := s.open(msg, s.iv)
	if !ok {
		m.unproven(t, d, s, "peer's proof of identity (main mode message 5) cannot be read: "+m.explainGarbage())
		return
	}
	id, err := m.verify(t, s, chain.Payloads)
	switch {
	case isUnproven(err):
		m.unproven(t, d, s, err.Error())
		return
	case err != nil:
		s.iv = next
		m.inform(t, s, &wire.Notify{Protocol: wire.ProtoISAKMP, SPI: wire.Cookies(s.header(0, 0)), Type: wire.AuthenticationFailed})
		m.rejected(t, &m.strangers.proved, d.Remote, func() string { return err.Error() })
		m.forget(t, s)
		return
	}
	list, err := m.prove(s, false)
	if err != nil {
		m.rejected(t, &m.strangers.proved, d.Remote, func() string { return err.Error() })
		m.forget(t, s)
		return
	}
	var data []byte
	data, s.iv = m.seal(t, s, headerOf{wire.MainMode, 0}, next, list)
	s.peer, s.echo = id, heard(msg.Octets, data)
	m.follow(t, s, d)
	m.transmit(t, s, data)
	_, contact := wire.FindNotify(chain.Payloads, wire.InitialContact)
	m.established(t, s, d, contact)
}

// unproven takes a message 5 that does not prove who sent it. It may be
// anybody's, so the attempt goes on until its time is over. The sender is told
// once, in the clear, since it may be honest and have another pre-shared key.
func (m *Machine) unproven(t *turn, d ike.Datagram, s *sa, reason string) {
	s.shake.refusal = clip(reason)
	if !s.shake.challenged {
		s.shake.challenged = true
		m.refuse(t, d, s.header(0, 0), wire.AuthenticationFailed)
	}
	m.rejected(t, &m.strangers.proved, d.Remote, func() string { return reason })
}

// expiredHalfOpen says that an attempt of the peer came to nothing in time.
func (m *Machine) expiredHalfOpen(t *turn, s *sa) {
	if s.state == keying || s.state == proving {
		t.notice(levelDebug, "half-open attempt of the peer timed out", "state", s.state.String())
	}
}
