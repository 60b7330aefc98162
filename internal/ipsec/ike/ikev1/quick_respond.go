package ikev1

import (
	"encoding/binary"
	"slices"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

func spiOctets(spi uint32) []byte { return binary.BigEndian.AppendUint32(nil, spi) }

// respondQuick answers message 1 of a quick mode that the peer begins.
func (m *Machine) respondQuick(t *turn, d ike.Datagram, msg *wire.Message, s *sa) {
	id := msg.Header.MessageID
	if s.ids.knows(id) {
		return // a message of one that is over, or of ours, once more
	}
	list, next, ok := s.openHashed(msg, s.keys.MessageIV(s.iv, id), nil)
	if !ok {
		return
	}
	if s.ids.full() {
		// Its ids could not be remembered: the ISAKMP SA has done its service.
		m.rekeyIKE(t)
		return
	}
	s.ids.keep(id)
	m.fresh(t, s, d)
	q := &quick{state: quickAnswered, id: id, iv: next, began: t.now, order: m.tick()}
	s.quicks = append(s.quicks, q)
	c, answer, no := m.makeRequested(t, s, q, list)
	if c == nil {
		t.notice(levelWarn, "peer's quick mode is refused", "reason", no.reason)
		data := m.informational(t, s, &wire.Notify{Protocol: wire.ProtoESP, SPI: no.spi, Type: no.notify})
		q.echo = heard(msg.Octets, data)
		m.finishQuick(t, s, q)
		if data != nil {
			m.transmit(t, s, data)
		}
		if m.used() == nil && s == m.current {
			m.setPhase(t, ike.Authed, no.reason)
		}
		return
	}
	_, octets := wire.AppendChain(nil, answer)
	hash := s.keys.Message(id, q.ni, octets)
	data, next := m.seal(t, s, headerOf{wire.QuickMode, id}, q.iv, append([]wire.Payload{&wire.Hash{Data: hash}}, answer...))
	q.iv, q.made, q.echo = next, c, heard(msg.Octets, data)
	q.flight = m.launch(t, s, data)
}

// A refusal is why a quick mode is refused.
type refusal struct {
	notify wire.NotifyType
	spi    []byte
	reason string
}

// chooseESP takes what of the peer's offer is ours: in UDP if we see a NAT, or
// else as the peer wants it.
func (m *Machine) chooseESP(t *turn, s *sa, offered *wire.SA) (proposal.Phase2, bool) {
	encap := s.path.encap()
	chosen, ok := proposal.ChooseESP(m.cfg.ESP, encap, offered)
	if ok {
		return chosen, true
	}
	if chosen, ok = proposal.ChooseESP(m.cfg.ESP, !encap, offered); !ok || !s.path.yield() {
		return chosen, false
	}
	t.notice(levelWarn, "the ends disagree on whether there is a NAT between them; ESP goes as the peer wants it", "in_udp", !encap)
	return chosen, true
}

// makeRequested makes the CHILD SA that message 1 asks for, acceptable at once
// and used after message 3, and what follows the HASH of message 2. If c is
// nil, no says why.
func (m *Machine) makeRequested(t *turn, s *sa, q *quick, list []wire.Payload) (c *child, answer []wire.Payload, no refusal) {
	refuse := func(n wire.NotifyType, reason string) (*child, []wire.Payload, refusal) {
		return nil, nil, refusal{notify: n, reason: reason}
	}
	sap, okSA := wire.Only[*wire.SA](list)
	nonce, okNonce := wire.Find[*wire.Nonce](list)
	if !okSA || !okNonce {
		return refuse(wire.PayloadMalformed, "peer's quick mode lacks an SA or a nonce, or has several SAs")
	}
	if s.answering() > maxAnswered || len(m.children) >= maxChildren {
		return refuse(wire.NoProposalChosen, "peer wants more CHILD SAs than a tunnel can need")
	}
	chosen, ok := m.chooseESP(t, s, sap)
	if !ok {
		return refuse(wire.NoProposalChosen, proposal.ExplainESP(m.cfg.ESP, s.path.encap(), sap))
	}
	ids := wire.FindAll[*wire.ID](list)
	local, remote, ok := m.traffic(ids)
	if !ok {
		return refuse(wire.InvalidIDInformation, m.explainIDs(ids, 0, 1))
	}
	shared, ke, reason := m.answerKE(t, list, chosen.Suite.Group)
	if reason != "" {
		return refuse(wire.InvalidKeyInformation, reason)
	}
	defer shared.Wipe()
	q.ni, q.nr = nonce.Data, m.random(t, nonceLen)
	q.offer.SPI = m.newESPSPI(t)
	c = m.addChild(t, s, &ike.ChildSA{
		SPIIn: q.offer.SPI, SPIOut: chosen.SPI, Suite: chosen.Suite,
		LocalTS: []ike.Selector{local}, RemoteTS: []ike.Selector{remote},
	}, q, shared)
	if c == nil {
		return refuse(wire.InvalidKeyInformation, "keys could not be made")
	}
	answer = []wire.Payload{chosen.Answer(q.offer.SPI), &wire.Nonce{Data: q.nr}}
	if ke != nil {
		answer = append(answer, ke)
	}
	for _, id := range ids {
		answer = append(answer, id)
	}
	return c, answer, refusal{}
}

// answering counts the quick modes that wait for the peer's message 3.
func (s *sa) answering() int {
	n := 0
	for _, q := range s.quicks {
		if q.state == quickAnswered {
			n++
		}
	}
	return n
}

// traffic is what the identities of message 1, the peer's first, ask for: it
// must be one of our selectors at each end, exactly (vpn §3.4). Without
// identities the hosts themselves are meant (RFC 2409 section 5.5).
func (m *Machine) traffic(ids []*wire.ID) (local, remote ike.Selector, ok bool) {
	if len(ids) != 2 {
		return ike.Selector{}, ike.Selector{}, false
	}
	remote, errR := ids[0].Selector()
	local, errL := ids[1].Selector()
	ok = errR == nil && errL == nil && slices.Contains(m.cfg.RemoteTS, remote) && slices.Contains(m.cfg.LocalTS, local)
	return local, remote, ok
}

// answerKE does the responder's side of the key exchange of quick mode in group
// g, 0 for none. A reason says what is wrong with the peer's.
func (m *Machine) answerKE(t *turn, list []wire.Payload, g suite.Group) (shared secret.Secret, ke *wire.KE, reason string) {
	theirs, ok := wire.Find[*wire.KE](list)
	if g == 0 {
		return shared, nil, ""
	}
	if !ok {
		return shared, nil, "peer offers PFS and sends no key exchange value"
	}
	x, err := suite.NewExchange(g, m.cfg.Tuning.Rand)
	if err != nil {
		t.bug(err)
		return shared, nil, "keys could not be made"
	}
	if shared, err = x.Shared(theirs.Public); err != nil {
		return shared, nil, "peer's key exchange value is not valid: " + err.Error()
	}
	return shared, &wire.KE{Public: x.Public()}, ""
}

// receiveConfirmation takes message 3: the initiator has what we made.
func (m *Machine) receiveConfirmation(t *turn, d ike.Datagram, msg *wire.Message, s *sa, q *quick) {
	chain, _, ok := s.open(msg, q.iv)
	if !ok {
		return
	}
	hash, ok := chain.Payloads[0].(*wire.Hash)
	if !ok || !same(hash.Data, s.keys.Last(q.id, q.ni, q.nr)) {
		return
	}
	m.fresh(t, s, d)
	c := q.made
	q.echo = heard(msg.Octets, nil)
	m.finishQuick(t, s, q)
	if c.state == childWaiting {
		m.ready(t, c, false)
	}
}
