package ikev1

import (
	"encoding/binary"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// inform sends one informational message on s, protected and once: nobody
// answers it (RFC 2409 section 5.7).
func (m *Machine) inform(t *turn, s *sa, p wire.Payload) {
	if data := m.informational(t, s, p); data != nil {
		m.transmit(t, s, data)
	}
}

// informational is the message that inform sends.
func (m *Machine) informational(t *turn, s *sa, p wire.Payload) []byte {
	if s.keys == nil {
		return nil
	}
	n, ok := p.(*wire.Notify)
	id := m.newID(t, s, ok && n.Type.IsError() && !s.ids.full())
	data, _ := m.seal(t, s, headerOf{wire.Informational, id}, s.keys.MessageIV(s.iv, id), s.hashed(id, nil, []wire.Payload{p}))
	return data
}

// receiveInformational takes an informational message. In the clear it proves
// nothing, and is at most words about an attempt of ours.
func (m *Machine) receiveInformational(t *turn, d ike.Datagram, msg *wire.Message) {
	h := msg.Header
	if !msg.Encrypted() {
		m.hearsay(t, h, msg.Chain.Payloads)
		return
	}
	s := m.find(h)
	if s == nil || s.keys == nil || h.MessageID == 0 || s.ids.knows(h.MessageID) {
		return
	}
	list, _, ok := s.openHashed(msg, s.keys.MessageIV(s.iv, h.MessageID), nil)
	if !ok {
		if s.state == proving && s.initiator {
			// strongSwan refuses a message 5 that it cannot read under its own
			// keys, which we have not.
			m.doubt(t, s, "peer answers our proof of identity (main mode message 5) with what we cannot read: "+m.explainGarbage())
			m.urge(t, s)
		}
		return
	}
	if !s.ids.note(h.MessageID, list) {
		return
	}
	if s.state == proving {
		m.refusedProof(t, s, list)
		return
	}
	for _, p := range list {
		switch p := p.(type) {
		case *wire.Delete:
			m.deleted(t, s, d, p)
		case *wire.Notify:
			m.notified(t, s, d, p)
		}
		if s.state == gone || m.closed {
			return
		}
	}
}

// hearsay takes notices in the clear.
func (m *Machine) hearsay(t *turn, h ike.Header, list []wire.Payload) {
	n, ok := wire.FindError(list)
	if !ok {
		return
	}
	for _, s := range m.sas {
		if s.initiator && s.state < up && s.spiI == h.SPIi && (s.spiR == h.SPIr || s.state == offered || h.SPIr == 0) {
			m.doubt(t, s, m.explainNotify(s, n))
			return
		}
	}
}

// refusedProof takes an authentic notice during main mode: the peer has our
// keys, and does not want us.
func (m *Machine) refusedProof(t *turn, s *sa, list []wire.Payload) {
	if n, ok := wire.FindError(list); ok && s.initiator {
		m.attemptFailed(t, s, m.explainNotify(s, n))
	}
}

// notified takes an authentic notice.
func (m *Machine) notified(t *turn, s *sa, d ike.Datagram, n *wire.Notify) {
	switch {
	case n.Type == wire.RUThere || n.Type == wire.RUThereAck:
		m.heardDPD(t, s, d, n)
	case n.Type == wire.InitialContact:
		// Once, and only while the SA is new: later it would be a repetition.
		if s == m.current && !s.ids.contact && t.now.Sub(s.established) < contactFor {
			s.ids.contact = true
			m.startedAnew(t, s)
		}
	case n.Type.IsError():
		m.refusedQuick(t, s, n)
	default:
		// RESPONDER-LIFETIME, REPLAY-STATUS: each end keeps its own lifetimes
		// (RFC 2407 section 4.5.4), and replay protection is always on.
		t.notice(levelDebug, "peer notifies", "type", n.Type.String())
	}
}

// deleted takes the peer's DELETE.
func (m *Machine) deleted(t *turn, s *sa, d ike.Datagram, p *wire.Delete) {
	switch p.Protocol {
	case wire.ProtoESP:
		for _, spi := range p.SPIs {
			m.deletedChild(t, s, d, binary.BigEndian.Uint32(spi))
		}
	case wire.ProtoISAKMP:
		for _, spi := range p.SPIs {
			at := slices.IndexFunc(m.sas, func(x *sa) bool { return slices.Equal(wire.Cookies(x.header(0, 0)), spi) })
			if at >= 0 && m.sas[at].state >= up {
				m.deletedIKE(t, m.sas[at])
			}
		}
	}
}

// deletedIKE ends s after the peer deleted it. What comes late on it is still
// heard, such as the deletes of CHILD SAs that were sent before.
func (m *Machine) deletedIKE(t *turn, s *sa) {
	s.retireAt = time.Time{}
	m.lost(t, s, "peer deleted the ISAKMP SA")
}

// deletedChild ends the CHILD SA that the peer deletes by its inbound SPI.
func (m *Machine) deletedChild(t *turn, s *sa, d ike.Datagram, spi uint32) {
	for _, c := range slices.Clone(m.children) {
		if c.SA.SPIOut != spi {
			continue
		}
		c.doubt = false
		if !c.told {
			m.fresh(t, s, d)
			c.told = true
			m.lostChild(t, c)
		}
	}
}

// refusedQuick takes an error about a quick mode that we began on s. The notice
// does not say which, and there is one at a time.
func (m *Machine) refusedQuick(t *turn, s *sa, n *wire.Notify) {
	at := slices.IndexFunc(s.quicks, func(q *quick) bool { return q.state == quickAsked })
	if at < 0 {
		t.notice(levelWarn, "peer notifies an error", "type", n.Type.String())
		return
	}
	m.quickRefused(t, s, s.quicks[at], n.Type, m.explainQuick(s.quicks[at], n.Type))
}

// quickRefused ends our quick mode q. With another group in our list it is
// tried again at once, since a peer cannot say which one it wants.
func (m *Machine) quickRefused(t *turn, s *sa, q *quick, n wire.NotifyType, reason string) {
	if n == wire.NoProposalChosen && q.groups > 1 {
		q.groups--
		next := *q
		m.endQuick(s, q)
		m.beginQuick(t, &next)
		return
	}
	m.endQuick(s, q)
	m.quickFailed(t, q, reason)
}
