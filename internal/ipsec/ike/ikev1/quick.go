package ikev1

import (
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A quickState is the life of one quick mode, which has three messages.
//
//	asked ──2, we send 3──▶ done        its initiator
//	answered ──3──▶ done                its responder
type quickState uint8

const (
	quickAsked quickState = iota
	quickAnswered
	quickDone // only repeats its last message
)

// A quick is one quick mode (RFC 2409 section 5.5).
type quick struct {
	state  quickState
	id     uint32
	iv     []byte
	ni, nr []byte
	x      *suite.Exchange // nil without PFS
	offer  proposal.ESPOffer
	groups int    // with how many groups we may still try, this one included
	old    *child // what it is to replace; nil for none
	made   *child
	began  time.Time
	order  uint64 // the same, as Machine.clock counts
	flight *flight
	echo   echo
	until  time.Time // done: forget
}

// Bounds of what a peer can make us hold on one ISAKMP SA.
const (
	maxAnswered = 4               // quick modes that wait for message 3
	maxDone     = 8               // that repeat their last message
	doneFor     = 2 * time.Minute // and for how long: longer than peers repeat theirs
	retryQuick  = 30 * time.Second
)

// quick is the quick mode with the given message id.
func (s *sa) quick(id uint32) *quick {
	for _, q := range s.quicks {
		if q.id == id {
			return q
		}
	}
	return nil
}

// endQuick forgets q at once.
func (m *Machine) endQuick(s *sa, q *quick) {
	s.quicks = slices.DeleteFunc(s.quicks, func(x *quick) bool { return x == q })
}

// finishQuick keeps q only to repeat its last message.
func (m *Machine) finishQuick(t *turn, s *sa, q *quick) {
	q.state, q.flight, q.x, q.until = quickDone, nil, nil, t.now.Add(doneFor)
	var old []*quick
	for _, x := range s.quicks {
		if x.state == quickDone {
			old = append(old, x)
		}
	}
	if len(old) > maxDone {
		m.endQuick(s, old[0])
	}
}

// expireQuicks does what is due for the quick modes of s.
func (m *Machine) expireQuicks(t *turn, s *sa) {
	for _, q := range slices.Clone(s.quicks) {
		if !slices.Contains(s.quicks, q) {
			continue // ended by what was due before
		}
		if m.retransmit(t, s, q.flight) {
			q.flight = nil
			m.unanswered(t, s, q)
			continue
		}
		if due(t, q.until) {
			m.endQuick(s, q)
		}
	}
}

// unanswered gives up on q after its last message was not answered.
func (m *Machine) unanswered(t *turn, s *sa, q *quick) {
	switch {
	case q.state == quickAnswered:
		m.endQuick(s, q)
		m.unconfirmed(t, q.made)
	case s == m.current && !m.live.seen.After(q.began):
		m.endQuick(s, q)
		m.dead(t, s, m.cfg.Tuning.RetransmitTimeout)
	default:
		m.endQuick(s, q)
		m.quickFailed(t, q, "peer lives, but does not answer our quick mode: see its log for why it refuses phase 2")
	}
}

// orphaned takes q, whose ISAKMP SA is gone.
func (m *Machine) orphaned(t *turn, q *quick) {
	switch {
	case q.state == quickAnswered:
		m.unconfirmed(t, q.made) // nobody would repeat message 2
	case q.state == quickAsked && m.current != nil:
		m.quickFailed(t, q, "the ISAKMP SA ended during quick mode")
	}
}

// abandonQuicks ends the quick modes that we began on s, which has ended:
// nobody will answer there, and they would keep others from being begun.
func (m *Machine) abandonQuicks(t *turn, s *sa) {
	for _, q := range slices.Clone(s.quicks) {
		if q.state != quickAsked {
			continue
		}
		m.endQuick(s, q)
		if q.old != nil { // without one, whoever takes over asks anew
			m.quickFailed(t, q, "the ISAKMP SA ended during quick mode")
		}
	}
}

// quickFailed arranges for another try after our quick mode q came to nothing.
func (m *Machine) quickFailed(t *turn, q *quick, reason string) {
	if c := q.old; c != nil && c.state == childUp && slices.Contains(m.children, c) {
		t.notice(levelWarn, "CHILD SA could not be rekeyed", "reason", reason, "again_in", retryQuick)
		c.soft = t.now.Add(retryQuick)
		return
	}
	if m.used() == nil {
		t.notice(levelWarn, "no CHILD SA", "reason", reason)
		m.lacksChild(t, reason)
	}
}

// asking reports whether a quick mode of ours is under way.
func (m *Machine) asking() bool {
	for _, s := range m.sas {
		if slices.ContainsFunc(s.quicks, func(q *quick) bool { return q.state == quickAsked }) {
			return true
		}
	}
	return false
}

// rekeyChild begins a quick mode for the successor of the CHILD SA in use, or
// for a first one.
func (m *Machine) rekeyChild(t *turn) { m.startQuick(t, m.used()) }

// startQuick begins a quick mode unless one is under way, or the peer's own is
// about to make what we want.
func (m *Machine) startQuick(t *turn, old *child) {
	waiting := slices.ContainsFunc(m.children, func(c *child) bool { return c.state == childWaiting })
	if m.current == nil || m.asking() || waiting {
		return
	}
	groups := proposal.GroupsESP(m.cfg.ESP)
	if len(groups) == 0 {
		q := &quick{old: old}
		m.quickFailed(t, q, "none of our ESP suites exists in IKEv1; add AES128 or AES256 with SHA2-256 to Phase2EncryptionAlgorithms and Phase2IntegrityAlgorithms")
		return
	}
	m.beginQuick(t, &quick{old: old, groups: len(groups)})
}

// beginQuick sends message 1 of q, whose fields old and groups are set.
func (m *Machine) beginQuick(t *turn, q *quick) {
	s := m.current
	if s == nil {
		return
	}
	groups := proposal.GroupsESP(m.cfg.ESP)
	q.state, q.began, q.order, q.ni = quickAsked, t.now, m.tick(), m.random(t, nonceLen)
	q.offer = proposal.ESPOffer{SPI: m.newESPSPI(t), Group: groups[len(groups)-q.groups], Encap: s.path.encap(), Life: m.cfg.Lifetime.Child}
	list, err := m.offerQuick(q)
	if err != nil {
		t.notice(levelWarn, "no CHILD SA", "reason", err.Error())
		m.lacksChild(t, err.Error())
		return
	}
	q.id = m.newID(t, s, true)
	data, next := m.seal(t, s, headerOf{wire.QuickMode, q.id}, s.keys.MessageIV(s.iv, q.id), s.hashed(q.id, nil, list))
	if data == nil {
		return
	}
	q.iv = next
	s.quicks = append(s.quicks, q)
	q.flight = m.launch(t, s, data)
}

// offerQuick is what follows the HASH of message 1.
func (m *Machine) offerQuick(q *quick) ([]wire.Payload, error) {
	sap, err := proposal.OfferESP(m.cfg.ESP, q.offer)
	if err != nil {
		return nil, err
	}
	local, err := wire.NewSelectorID(m.cfg.LocalTS[0])
	if err != nil {
		return nil, err
	}
	remote, err := wire.NewSelectorID(m.cfg.RemoteTS[0])
	if err != nil {
		return nil, err
	}
	list := []wire.Payload{sap, &wire.Nonce{Data: q.ni}}
	if q.offer.Group != 0 {
		if q.x, err = suite.NewExchange(q.offer.Group, m.cfg.Tuning.Rand); err != nil {
			return nil, err
		}
		list = append(list, &wire.KE{Public: q.x.Public()})
	}
	return append(list, local, remote), nil
}

// receiveQuick takes a message of quick mode.
func (m *Machine) receiveQuick(t *turn, d ike.Datagram, msg *wire.Message) {
	h := msg.Header
	s := m.find(h)
	if s == nil || !msg.Encrypted() || h.MessageID == 0 {
		return
	}
	if s.state != up && s.state != fading {
		m.urge(t, s)
		return
	}
	q := s.quick(h.MessageID)
	switch {
	case q == nil:
		m.respondQuick(t, d, msg, s)
	case q.echo.is(msg.Octets):
		m.repeatQuick(t, d, s, q)
	case q.state == quickAsked:
		m.receiveAnswer(t, d, msg, s, q)
	case q.state == quickAnswered:
		m.receiveConfirmation(t, d, msg, s, q)
	}
}

// repeatQuick answers a message of q that came before as it was answered then.
// Our message 3 is one of those: the peer repeats message 2 until it has it.
func (m *Machine) repeatQuick(t *turn, d ike.Datagram, s *sa, q *quick) {
	if q.echo.answer == nil {
		return
	}
	m.counts.retransmits++
	m.post(t, s, d.Local, d.Remote, q.echo.answer)
	if q.made != nil {
		q.made.asked = t.now
		m.awaited(t, q.made)
	}
}

// receiveAnswer takes message 2, which makes the CHILD SA, and sends 3.
func (m *Machine) receiveAnswer(t *turn, d ike.Datagram, msg *wire.Message, s *sa, q *quick) {
	list, next, ok := s.openHashed(msg, q.iv, q.ni)
	if !ok {
		return
	}
	m.fresh(t, s, d)
	c, n, reason := m.makeAnswered(t, s, q, list)
	if c == nil {
		m.endQuick(s, q)
		m.inform(t, s, &wire.Notify{Protocol: wire.ProtoESP, SPI: spiOctets(q.offer.SPI), Type: n})
		m.quickFailed(t, q, reason)
		return
	}
	confirm := []wire.Payload{&wire.Hash{Data: s.keys.Last(q.id, q.ni, q.nr)}}
	data, next := m.seal(t, s, headerOf{wire.QuickMode, q.id}, next, confirm)
	q.iv, q.made, q.echo = next, c, heard(msg.Octets, data)
	m.finishQuick(t, s, q)
	m.transmit(t, s, data)
	m.ready(t, c, true)
}

// makeAnswered makes the CHILD SA that message 2 agrees to. If there is none, n
// and reason say why.
func (m *Machine) makeAnswered(t *turn, s *sa, q *quick, list []wire.Payload) (c *child, n wire.NotifyType, reason string) {
	sap, okSA := wire.Only[*wire.SA](list)
	nonce, okNonce := wire.Find[*wire.Nonce](list)
	if !okSA || !okNonce {
		return nil, wire.PayloadMalformed, "peer's answer in quick mode lacks an SA or a nonce, or has several SAs"
	}
	chosen, err := proposal.AcceptESP(m.cfg.ESP, q.offer, sap)
	if err != nil {
		return nil, wire.NoProposalChosen, err.Error()
	}
	local, remote := m.cfg.LocalTS[0], m.cfg.RemoteTS[0]
	if ids := wire.FindAll[*wire.ID](list); len(ids) > 0 {
		if !agree(ids, local, remote) {
			return nil, wire.InvalidIDInformation, "peer answers quick mode with other traffic than we asked for: " + m.explainIDs(ids, 1, 0)
		}
	}
	var shared secret.Secret
	if q.x != nil {
		ke, ok := wire.Find[*wire.KE](list)
		if !ok {
			return nil, wire.InvalidKeyInformation, "peer's answer in quick mode has no key exchange, though it chose PFS"
		}
		if shared, err = q.x.Shared(ke.Public); err != nil {
			return nil, wire.InvalidKeyInformation, "peer's key exchange value is not valid: " + err.Error()
		}
		defer shared.Wipe()
	}
	q.nr = nonce.Data
	sa := &ike.ChildSA{
		SPIIn: q.offer.SPI, SPIOut: chosen.SPI, Suite: chosen.Suite, Initiator: true,
		LocalTS: []ike.Selector{local}, RemoteTS: []ike.Selector{remote},
	}
	if c = m.addChild(t, s, sa, q, shared); c == nil {
		return nil, wire.InvalidKeyInformation, "keys could not be made"
	}
	return c, 0, ""
}

// agree reports whether ids, the initiator's first, say first and second.
func agree(ids []*wire.ID, first, second ike.Selector) bool {
	if len(ids) != 2 {
		return false
	}
	a, errA := ids[0].Selector()
	b, errB := ids[1].Selector()
	return errA == nil && errB == nil && a == first && b == second
}

// idWord is id as text.
func idWord(id *wire.ID) string {
	s, err := id.Selector()
	if err != nil {
		return id.Identity.String()
	}
	return s.String()
}
