package ikev2

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// respondCreate answers the peer's CREATE_CHILD_SA request.
func (m *Machine) respondCreate(t *turn, s *sa, r received) {
	sap, okSA := wire.Find[*wire.SA](r.list)
	nonce, okNonce := wire.Find[*wire.Nonce](r.list)
	if !okSA || !okNonce {
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
		return
	}
	if s.state != up {
		m.refuse(t, s, r, &wire.Notify{Type: wire.TemporaryFailure})
		return
	}
	if sap.Proposals[0].Protocol == wire.ProtoIKE {
		m.respondRekeyIKE(t, s, r, sap, nonce)
		return
	}
	// "If a peer receives a request to create or rekey a Child SA when it is
	// currently rekeying the IKE SA, it SHOULD reply with TEMPORARY_FAILURE."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.25.2
	if s.underway(isRekeyIKE) {
		m.refuse(t, s, r, &wire.Notify{Type: wire.TemporaryFailure})
		return
	}
	var old *child
	if n, ok := wire.FindNotify(r.list, wire.RekeySA); ok {
		var no *wire.Notify
		if old, no = m.rekeyed(n); no != nil {
			m.refuse(t, s, r, no)
			return
		}
	}
	// One request of the peer's can cross ours; what a second one means is not
	// known before ours is answered.
	if s.underway(func(k task) bool { cc, ok := k.(*createChild); return ok && cc.old == old && cc.lowest != nil }) {
		m.refuse(t, s, r, &wire.Notify{Type: wire.TemporaryFailure})
		return
	}
	m.respondChild(t, s, r, old, nonce)
}

// rekeyed is the CHILD SA that the peer wants to rekey, or the notify that
// says why it may not.
func (m *Machine) rekeyed(n *wire.Notify) (*child, *wire.Notify) {
	at := slices.IndexFunc(m.children, func(c *child) bool {
		return c.state != childLingering && n.Protocol == wire.ProtoESP && len(n.SPI) == 4 && c.SA.SPIOut == binary.BigEndian.Uint32(n.SPI)
	})
	if at < 0 {
		return nil, &wire.Notify{Protocol: n.Protocol, SPI: n.SPI, Type: wire.ChildSANotFound}
	}
	// "If a peer receives a request to rekey a Child SA that it is currently
	// trying to close, it SHOULD reply with TEMPORARY_FAILURE."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.25.1
	if c := m.children[at]; c.state == childUp {
		return c, nil
	}
	return nil, &wire.Notify{Type: wire.TemporaryFailure}
}

// respondChild answers a request for a CHILD SA: the successor of old, or one
// that takes the place of whatever there is.
func (m *Machine) respondChild(t *turn, s *sa, r received, old *child, nonce *wire.Nonce) {
	nr := m.random(t, nonceLen)
	p, answer, reason := m.planRequested(t, suite.KeyInput{Ni: nonce.Data, Nr: nr}, r.list, childTerms{pfs: true})
	if p == nil {
		level := levelWarn
		if _, again := wire.FindNotify(answer, wire.InvalidKEPayload); again {
			level = levelDebug // it will come again with that group
		}
		t.notice(level, "peer's CREATE_CHILD_SA is refused", "reason", reason)
		m.reply(t, s, r, answer...)
		return
	}
	answer = slices.Insert(answer, 1, wire.Payload(&wire.Nonce{Data: nr}))
	low := lower(nonce.Data, nr)
	if groups := p.suite.AddKE.List(); len(groups) > 0 {
		answer = append(answer, m.awaitFollowUp(t, s, &pending{groups: groups, child: p, old: old, lowest: low}))
		m.reply(t, s, r, answer...)
		if k, ok := s.purpose().(*createChild); ok && k.old == old {
			k.lowest = low
		}
		return
	}
	c := m.makeChild(t, s, p)
	if c == nil {
		m.refuse(t, s, r, &wire.Notify{Type: wire.TemporaryFailure})
		return
	}
	m.reply(t, s, r, answer...)
	m.respondedChild(t, s, c, old, low)
}

// respondedChild puts c, which an exchange of the peer's has made, in the place
// of old, or of whatever there is. low is the lower nonce of that exchange.
func (m *Machine) respondedChild(t *turn, s *sa, c, old *child, low []byte) {
	// "If a peer receives a request to rekey a Child SA that it is currently
	// rekeying, it SHOULD reply as usual, and SHOULD prepare to close
	// redundant SAs later based on the nonces."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.25.1
	if k, ok := s.purpose().(*createChild); ok && k.old == old {
		k.theirs, k.lowest = c, low
		if old == nil {
			m.use(t, c)
		}
		return
	}
	if old == nil {
		m.takeOver(t, c, low)
		return
	}
	m.counts.rekeys++
	m.replacedBy(t, old, c)
}

// takeOver uses c in place of every other CHILD SA: a tunnel has one pair, and
// another that the peer asks for replaces it (vpn §3.4). If the other one is
// the answer to our own request of a moment ago, the two requests crossed, and
// the nonces decide as in a rekey.
func (m *Machine) takeOver(t *turn, c *child, lowest []byte) {
	for _, other := range slices.Clone(m.children) {
		if other == c || (other.state != childUp && other.state != childReplaced) {
			continue
		}
		if other.state == childUp && other.lowest != nil && t.now.Sub(other.SA.Created) < crossing && bytes.Compare(other.lowest, lowest) > 0 {
			c.state, c.soft = childReplaced, time.Time{}
			return
		}
		m.closeChild(t, other)
	}
	m.use(t, c)
}
