package ikev2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// rekeyIKE is our CREATE_CHILD_SA exchange that replaces the IKE SA (RFC 7296
// section 1.3.2).
type rekeyIKE struct {
	spi   uint64
	ni    []byte
	x     *suite.Exchange
	key   drawn
	group suite.Group // that the peer asked for; 0: the old one
	tries int

	// What the peer has agreed to, what its keys are made of, and the lower of
	// the nonces of our exchange.
	next *sa
	in   suite.KeyInput
	own  []byte

	// When the peer rekeys the IKE SA at the same time (section 2.8.2): the SA
	// of its exchange, nil until that is complete, and the lower of that
	// exchange's nonces.
	theirs *sa
	lowest []byte
}

func (*rekeyIKE) exchange() uint8 { return wire.CreateChildSA }

func isRekeyIKE(k task) bool { _, ok := k.(*rekeyIKE); return ok }

// startRekeyIKE begins a rekey of the current IKE SA, unless one has begun.
func (m *Machine) startRekeyIKE() {
	if s := m.current; s != nil && s.state == up && !s.begun(isRekeyIKE) {
		s.tasks = append(s.tasks, &rekeyIKE{})
	}
}

// keepPRF is those of our suites that have the PRF of s, which is never
// changed by a rekey of ours and only if need be by one of the peer's: RFC 7296
// section 2.18 has the new PRF make the keys from SKEYSEED, strongSwan takes
// the old one, and so the two would no longer understand each other.
func (m *Machine) keepPRF(s *sa) []suite.IKE {
	return slices.DeleteFunc(slices.Clone(m.cfg.IKE), func(x suite.IKE) bool { return x.PRF != s.suite.PRF })
}

func (k *rekeyIKE) request(m *Machine, t *turn, s *sa) ([]wire.Payload, bool) {
	if s != m.current || m.peerFollowsUp(t, s, k) {
		return nil, false
	}
	g := k.group
	if g == 0 {
		g = s.suite.Group
	}
	x, key, err := m.draw(g)
	if err != nil {
		t.bug(err)
		return nil, false
	}
	k.x, k.key, k.spi, k.ni = x, key, m.newIKESPI(t), m.random(t, nonceLen)
	k.tries++
	return []wire.Payload{
		&wire.SA{Proposals: proposal.IKE(m.keepPRF(s), binary.BigEndian.AppendUint64(nil, k.spi))},
		&wire.Nonce{Data: k.ni},
		&wire.KE{Group: uint16(g), Public: x.Public()},
	}, true
}

func (k *rekeyIKE) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	if n, ok := wire.FindError(list); ok {
		k.refused(m, t, s, n)
		return
	}
	sap, okSA := wire.Find[*wire.SA](list)
	nonce, okNonce := wire.Find[*wire.Nonce](list)
	ke, okKE := wire.Find[*wire.KE](list)
	if !okSA || !okNonce || !okKE || !proposal.Single(sap) {
		m.broken(t, s, "peer's answer to the rekey of the IKE SA makes no sense")
		return
	}
	prop := sap.Proposals[0]
	chosen, ok := proposal.AcceptIKE(m.cfg.IKE, prop)
	if !ok || len(prop.SPI) != 8 || binary.BigEndian.Uint64(prop.SPI) == 0 || suite.Group(ke.Group) != chosen.Group || k.x.Group() != chosen.Group {
		m.broken(t, s, "peer chose for the rekey of the IKE SA what we did not offer: "+proposal.Words(sap.Proposals))
		return
	}
	shared, err := k.x.Shared(ke.Public)
	if err != nil {
		m.broken(t, s, fmt.Sprintf("peer's key exchange value is not valid: %v", err))
		return
	}
	k.next = &sa{initiator: true, suite: chosen, spiI: k.spi, spiR: binary.BigEndian.Uint64(prop.SPI)}
	k.in = suite.KeyInput{Ni: k.ni, Nr: nonce.Data, Shared: shared}
	k.own = lower(k.ni, nonce.Data)
	if groups := chosen.AddKE.List(); len(groups) > 0 {
		m.beginFollowUp(t, s, k, groups, list)
		return
	}
	k.complete(m, t, s)
}

// complete makes the IKE SA after the last key exchange.
func (k *rekeyIKE) complete(m *Machine, t *turn, s *sa) {
	if m.succeed(t, s, k.next, k.in) {
		k.succeeded(m, t, s, k.next, k.own)
	}
}

// crossed reports whether the peer rekeys s, too.
func (k *rekeyIKE) crossed(s *sa) bool {
	return (k.theirs != nil && k.theirs.state == up) || (k.lowest != nil && s.ext.awaitsIKE())
}

// succeed makes next, which has its algorithms and SPIs, the successor of s in
// everything but use.
func (m *Machine) succeed(t *turn, s, next *sa, in suite.KeyInput) bool {
	in.SPIi, in.SPIr = next.spiI, next.spiR
	keys, err := suite.DeriveRekeyedIKE(next.suite, s.suite.PRF, s.keys.D, in)
	if err == nil {
		err = next.adopt(m, keys)
	}
	if err != nil {
		t.bug(err)
		return false
	}
	in.Wipe()
	next.state, next.rekeyed, next.peer, next.path, next.established = up, true, s.peer, s.path, t.now
	next.ext = s.ext.inherited()
	m.lifetimes(t, next)
	m.sas = append(m.sas, next)
	m.counts.rekeys++
	return true
}

// succeeded puts next in place of s, unless the peer has rekeyed s too and its
// exchange wins.
func (k *rekeyIKE) succeeded(m *Machine, t *turn, s, next *sa, lowest []byte) {
	if s != m.current {
		m.latecomer(t, next)
		return
	}
	crossed := k.crossed(s)
	// Of the two new IKE SAs that with the lowest nonce is deleted by whoever
	// made it, and the other inherits the CHILD SAs (RFC 7296 section 2.8.2).
	if crossed && bytes.Compare(lowest, k.lowest) < 0 {
		t.notice(levelDebug, "both ends rekeyed the IKE SA; ours is redundant")
		m.fade(next, t.now)
		next.tasks = append(next.tasks, &deleteIKE{})
		k.yield(m, t, s)
		return
	}
	if crossed {
		t.notice(levelDebug, "both ends rekeyed the IKE SA; the peer's is redundant")
	}
	if crossed && k.theirs != nil {
		m.fade(k.theirs, t.now)
	}
	m.inherit(t, s, next)
	m.fade(s, t.now)
	s.tasks = append(s.tasks, &deleteIKE{})
}

// yield leaves the rekey of s to the peer: its new SA takes over, now or when
// it is complete.
func (k *rekeyIKE) yield(m *Machine, t *turn, s *sa) {
	if k.theirs != nil && k.theirs.state == up {
		m.inherit(t, s, k.theirs)
		m.fade(s, t.now) // the peer deletes it
	}
}

// latecomer deals with next, the successor of an IKE SA that was replaced by
// another one, or ended, while it was being rekeyed. A peer that was revoked
// meanwhile does not come back by it.
func (m *Machine) latecomer(t *turn, next *sa) {
	if m.current == nil && (!m.cfg.Auth.Signs() || m.stillTrusted(t.now, next.peer) == nil) {
		m.promote(t, next)
		return
	}
	m.fade(next, t.now)
	next.tasks = append(next.tasks, &deleteIKE{})
}

// inherit gives next the children of s and the exchanges that wait on it.
func (m *Machine) inherit(t *turn, s, next *sa) {
	for _, c := range m.children {
		if c.ike == s {
			c.ike = next
		}
	}
	for _, k := range s.tasks {
		switch k.(type) {
		case *createChild, *deleteChild:
			next.tasks = append(next.tasks, k)
		}
	}
	s.passOn(next)
	s.tasks = nil
	if next.soft.IsZero() {
		m.lifetimes(t, next)
	}
	if m.current == s {
		m.current = next
		m.live.hear(t.now)
		t.notice(levelInfo, "IKE SA is rekeyed", "suite", next.suite.String())
	}
}

// refused takes an error in the response.
func (k *rekeyIKE) refused(m *Machine, t *turn, s *sa, n *wire.Notify) {
	if s != m.current {
		return
	}
	pause := retryRefused
	reason := fmt.Sprintf("peer refuses with %v: see its log for what it wants", n.Type)
	switch {
	case k.crossed(s):
		k.yield(m, t, s)
		return
	case n.Type == wire.InvalidKEPayload && len(n.Data) == 2 && k.tries < maxInitTries:
		g := suite.Group(binary.BigEndian.Uint16(n.Data))
		if slices.Contains(proposal.GroupsIKE(m.cfg.IKE), g) {
			k.group = g
			s.tasks = append([]task{k}, s.tasks...)
			return
		}
		reason = fmt.Sprintf("peer wants %v; we allow %s: add %d to Phase1DHGroupNumbers", g, proposal.GroupWords(proposal.GroupsIKE(m.cfg.IKE)), g)
	case n.Type == wire.TemporaryFailure && s.busy.tooLong(t.now):
		m.broken(t, s, busyReason)
		return
	case n.Type == wire.TemporaryFailure:
		reason = "peer is busy with the same SA (TEMPORARY_FAILURE)"
		pause = retryTemporary + m.jitter(t, retryTemporary)
	}
	k.later(t, s, reason, pause)
}

// later arranges for another try.
func (k *rekeyIKE) later(t *turn, s *sa, reason string, pause time.Duration) {
	t.notice(levelWarn, "IKE SA could not be rekeyed", "reason", reason, "again_in", pause)
	s.soft = t.now.Add(pause)
}

// respondRekeyIKE answers the peer's wish to replace the IKE SA s.
func (m *Machine) respondRekeyIKE(t *turn, s *sa, r received, sap *wire.SA, nonce *wire.Nonce) {
	// "If a peer receives a request to rekey the IKE SA, and it is currently,
	// creating, rekeying, or closing a Child SA of that IKE SA, it SHOULD reply
	// with TEMPORARY_FAILURE."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.25.2
	busy := s.underway(func(k task) bool {
		switch k.(type) {
		case *createChild, *deleteChild:
			return true
		}
		return false
	})
	again := s.underway(func(k task) bool { r, ok := k.(*rekeyIKE); return ok && r.lowest != nil })
	m.dropOldestFailed()
	if s != m.current || busy || again || !m.roomSA() {
		m.refuse(t, s, r, &wire.Notify{Type: wire.TemporaryFailure})
		return
	}
	chosen, prop, ok := proposal.ChooseIKE(append(m.keepPRF(s), m.cfg.IKE...), sap.Proposals)
	if !ok || len(prop.SPI) != 8 || binary.BigEndian.Uint64(prop.SPI) == 0 {
		t.notice(levelWarn, "peer's rekey of the IKE SA is refused", "reason", proposal.ExplainIKE(m.cfg.IKE, sap.Proposals))
		m.refuse(t, s, r, &wire.Notify{Type: wire.NoProposalChosen})
		return
	}
	public, shared, no := m.answerKE(t, r.list, chosen.Group)
	if no == nil && public == nil {
		no = &wire.Notify{Type: wire.InvalidSyntax}
	}
	if no != nil {
		m.refuse(t, s, r, no)
		return
	}
	m.replaceIKE(t, s, r, rekeyChoice{chosen, prop, nonce.Data, public, shared})
}

// A rekeyChoice is what the responder of a rekey of the IKE SA has chosen.
type rekeyChoice struct {
	suite    suite.IKE
	proposal wire.Proposal
	ni       []byte
	public   []byte
	shared   secret.Secret
}

// maxSAs bounds the IKE SAs: those that fade, half-open attempts, and the one
// in use.
const maxSAs = 32

// replaceIKE makes the successor of s and answers.
func (m *Machine) replaceIKE(t *turn, s *sa, r received, a rekeyChoice) {
	nr := m.random(t, nonceLen)
	next := &sa{suite: a.suite, spiI: binary.BigEndian.Uint64(a.proposal.SPI), spiR: m.newIKESPI(t)}
	in, low := suite.KeyInput{Ni: a.ni, Nr: nr, Shared: a.shared}, lower(a.ni, nr)
	answer := []wire.Payload{
		proposal.AnswerIKE(a.suite, a.proposal, binary.BigEndian.AppendUint64(nil, next.spiR)),
		&wire.Nonce{Data: nr},
		&wire.KE{Group: uint16(a.suite.Group), Public: a.public},
	}
	if groups := a.suite.AddKE.List(); len(groups) > 0 {
		answer = append(answer, m.awaitFollowUp(t, s, &pending{groups: groups, next: next, in: in, lowest: low}))
		m.reply(t, s, r, answer...)
		if k, ok := s.purpose().(*rekeyIKE); ok {
			k.lowest = low
		}
		return
	}
	if m.succeed(t, s, next, in) {
		m.reply(t, s, r, answer...)
		m.respondedIKE(t, s, next, low)
	}
}

// respondedIKE puts next, which an exchange of the peer's has made, in the
// place of s. low is the lower nonce of that exchange.
func (m *Machine) respondedIKE(t *turn, s, next *sa, low []byte) {
	if k, ok := s.purpose().(*rekeyIKE); ok {
		k.theirs, k.lowest = next, low
		next.soft = time.Time{} // not before it is known whether it stays
		return
	}
	m.inherit(t, s, next)
	m.fade(s, t.now) // the peer deletes it
}
