package ikev2

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A followed is a CREATE_CHILD_SA exchange of ours that makes its SA only
// after additional key exchanges (RFC 9370 section 2.2.4).
type followed interface {
	// add takes the secret of one more key exchange.
	add(shared secret.Secret)
	// lost reports whether the peer has begun the same and its exchange wins.
	lost(s *sa) bool
	// stopped ends it without an SA.
	stopped(m *Machine, t *turn, s *sa, reason string)
	// complete makes the SA.
	complete(m *Machine, t *turn, s *sa)
}

// purposeOf is k, or if that is an IKE_FOLLOWUP_KE, the exchange that it
// follows.
func purposeOf(k task) task {
	if f, ok := k.(*followUp); ok {
		if of, ok := f.of.(task); ok {
			return of
		}
	}
	return k
}

func (k *createChild) add(shared secret.Secret) { k.plan.in.More = append(k.plan.in.More, shared) }

func (k *createChild) lost(*sa) bool {
	return k.lowest != nil && bytes.Compare(k.own, k.lowest) < 0
}

func (k *createChild) stopped(m *Machine, t *turn, s *sa, reason string) {
	k.plan.in.Wipe()
	switch {
	case s == m.current:
		k.failed(m, t, reason, retryTemporary+m.jitter(t, retryTemporary))
	case k.old != nil && k.old.state == childUp:
		k.old.soft = t.now.Add(retryTemporary) // on the IKE SA that replaced s
	}
}

func (k *rekeyIKE) add(shared secret.Secret) { k.in.More = append(k.in.More, shared) }

func (k *rekeyIKE) lost(s *sa) bool { return k.crossed(s) && bytes.Compare(k.own, k.lowest) < 0 }

func (k *rekeyIKE) stopped(m *Machine, t *turn, s *sa, reason string) {
	k.in.Wipe()
	switch {
	case s != m.current:
	case k.crossed(s):
		k.yield(m, t, s)
	default:
		k.later(t, s, reason, retryTemporary+m.jitter(t, retryTemporary))
	}
}

// followUp is our IKE_FOLLOWUP_KE exchange.
type followUp struct {
	of     followed
	groups []suite.Group // that are left, this one first
	link   []byte        // what the peer wants to hear to know what is followed
	x      *suite.Exchange
	key    drawn
}

func (*followUp) exchange() uint8 { return wire.IKEFollowupKE }

// beginFollowUp goes on with of, whose last response holds list, by a key
// exchange in the first of groups.
func (m *Machine) beginFollowUp(t *turn, s *sa, of followed, groups []suite.Group, list []wire.Payload) {
	// Of two exchanges that crossed, the one with the lowest nonce ends here:
	// no SA is made yet, so that there is nothing to delete (RFC 9370 section
	// 2.2.4).
	if of.lost(s) {
		of.stopped(m, t, s, "the peer's rekey at the same time wins")
		return
	}
	n, ok := wire.FindNotify(list, wire.AdditionalKE)
	if !ok {
		of.stopped(m, t, s, fmt.Sprintf("peer chose the additional key exchange %v and does not wait for it (no ADDITIONAL_KEY_EXCHANGE)", groups[0]))
		return
	}
	s.tasks = append([]task{&followUp{of: of, groups: groups, link: slices.Clone(n.Data)}}, s.tasks...)
}

func (k *followUp) request(m *Machine, t *turn, s *sa) ([]wire.Payload, bool) {
	if s != m.current {
		k.of.stopped(m, t, s, "the IKE SA was replaced")
		return nil, false
	}
	x, key, err := m.draw(k.groups[0])
	if err != nil {
		t.bug(err)
		return nil, false
	}
	k.x, k.key = x, key
	return []wire.Payload{
		&wire.KE{Group: uint16(x.Group()), Public: x.Public()},
		&wire.Notify{Type: wire.AdditionalKE, Data: k.link},
	}, true
}

func (k *followUp) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	if n, ok := wire.FindError(list); ok {
		k.of.stopped(m, t, s, fmt.Sprintf("peer refuses the additional key exchange %v with %v", k.x.Group(), n.Type))
		return
	}
	ke, ok := wire.Find[*wire.KE](list)
	if !ok || suite.Group(ke.Group) != k.x.Group() {
		m.broken(t, s, fmt.Sprintf("peer's IKE_FOLLOWUP_KE response has no key exchange in %v", k.x.Group()))
		return
	}
	shared, err := k.x.Shared(ke.Public)
	if err != nil {
		m.broken(t, s, fmt.Sprintf("peer's key exchange value is not valid: %v", err))
		return
	}
	k.of.add(shared)
	if len(k.groups) > 1 {
		m.beginFollowUp(t, s, k.of, k.groups[1:], list)
		return
	}
	k.of.complete(m, t, s)
}

// linkLen is the data of our ADDITIONAL_KEY_EXCHANGE in octets: enough to tell
// one exchange from those before.
const linkLen = 8

// A pending is what a CREATE_CHILD_SA of the peer's has begun and its
// IKE_FOLLOWUP_KE must complete: a CHILD SA, or the successor of the IKE SA.
// There is one at most, as the peer has one request under way.
type pending struct {
	link   []byte
	groups []suite.Group // that are left
	until  time.Time     // forget it
	lowest []byte        // the lower nonce of the exchange

	child *childPlan
	old   *child // that the CHILD SA replaces, if any

	next *sa
	in   suite.KeyInput
}

// awaitFollowUp keeps p on s and returns what tells the peer to go on.
func (m *Machine) awaitFollowUp(t *turn, s *sa, p *pending) *wire.Notify {
	s.ext.forgetPending()
	s.ext.pending = p
	p.link, p.until = m.random(t, linkLen), t.now.Add(m.cfg.Tuning.RetransmitTimeout)
	return &wire.Notify{Type: wire.AdditionalKE, Data: p.link}
}

// add takes the secret of one more key exchange.
func (p *pending) add(shared secret.Secret) {
	in := &p.in
	if p.child != nil {
		in = &p.child.in
	}
	in.More = append(in.More, shared)
}

// forgetPending gives up what the peer has begun.
func (e *extensions) forgetPending() {
	if p := e.pending; p != nil {
		p.in.Wipe()
		if p.child != nil {
			p.child.in.Wipe()
		}
	}
	e.pending = nil
}

// pendingUntil is when to give that up by itself.
func (e *extensions) pendingUntil() time.Time {
	if e.pending == nil {
		return time.Time{}
	}
	return e.pending.until
}

// awaits reports whether the peer is making the successor of old, or a first
// CHILD SA if old is nil.
func (e *extensions) awaits(old *child) bool {
	return e.pending != nil && e.pending.child != nil && e.pending.old == old
}

// awaitsIKE reports whether the peer is making the successor of the IKE SA.
func (e *extensions) awaitsIKE() bool { return e.pending != nil && e.pending.next != nil }

// giveUp forgets the successor of old that the peer was making.
func (e *extensions) giveUp(old *child) {
	if e.awaits(old) {
		e.forgetPending()
	}
}

// expirePending forgets what the peer has begun on s and not gone on with, and
// leaves the rekey to us again.
func (m *Machine) expirePending(t *turn, s *sa) {
	p := s.ext.pending
	if p == nil || t.now.Before(p.until) {
		return
	}
	s.ext.forgetPending()
	t.notice(levelInfo, "peer has begun to make an SA and not gone on")
	soon := t.now.Add(retryTemporary)
	switch {
	case p.next != nil && s.state == up && s.soft.IsZero() && !s.begun(isRekeyIKE):
		s.soft = soon
	case p.old != nil && p.old.state == childUp && p.old.soft.IsZero():
		p.old.soft = soon
	case p.child != nil && m.used() == nil && s == m.current:
		m.lacksChild(t, "peer has begun to make a CHILD SA and not gone on")
	}
}

// peerFollowsUp reports whether k must wait since the peer is about to make
// what k is for, or to replace the IKE SA; k begins anew if that comes to
// nothing.
func (m *Machine) peerFollowsUp(t *turn, s *sa, k task) bool {
	p := s.ext.pending
	if p == nil {
		return false
	}
	soon := t.now.Add(retryTemporary)
	switch k := k.(type) {
	case *rekeyIKE:
		return p.next != nil // see expirePending
	case *createChild:
		if p.next == nil && !s.ext.awaits(k.old) {
			return false
		}
		if k.old == nil {
			m.start.childAt = soon
		} else {
			k.old.soft = soon
		}
		return true
	}
	return false
}

// respondFollowUp answers the peer's IKE_FOLLOWUP_KE request.
func (m *Machine) respondFollowUp(t *turn, s *sa, r received) {
	p := s.ext.pending
	n, ok := wire.FindNotify(r.list, wire.AdditionalKE)
	// What is not known here any more the peer must begin anew (RFC 9370
	// section 2.2.4).
	if p == nil || !ok || !bytes.Equal(n.Data, p.link) || s != m.current {
		m.refuse(t, s, r, &wire.Notify{Type: wire.StateNotFound})
		return
	}
	public, shared, no := m.answerKE(t, r.list, p.groups[0])
	if no != nil || public == nil {
		s.ext.forgetPending()
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
		return
	}
	p.add(shared)
	answer := []wire.Payload{&wire.KE{Group: uint16(p.groups[0]), Public: public}}
	if p.groups = p.groups[1:]; len(p.groups) > 0 {
		p.link, p.until = m.random(t, linkLen), t.now.Add(m.cfg.Tuning.RetransmitTimeout)
		m.reply(t, s, r, append(answer, &wire.Notify{Type: wire.AdditionalKE, Data: p.link})...)
		return
	}
	s.ext.pending = nil
	if p.child != nil {
		c := m.makeChild(t, s, p.child)
		if c == nil {
			m.refuse(t, s, r, &wire.Notify{Type: wire.TemporaryFailure})
			return
		}
		m.reply(t, s, r, answer...)
		m.respondedChild(t, s, c, p.old, p.lowest)
		return
	}
	if m.succeed(t, s, p.next, p.in) {
		m.reply(t, s, r, answer...)
		m.respondedIKE(t, s, p.next, p.lowest)
	}
}
