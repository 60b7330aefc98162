package ikev1

import (
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
)

// contactFor is for how long INITIAL-CONTACT is believed on a new SA.
const contactFor = 10 * time.Second

// established puts s into use after main mode. The SA that s replaces goes
// now, never before the peer has proved who it is.
func (m *Machine) established(t *turn, s *sa, d ike.Datagram, contact bool) {
	if !s.initiator {
		m.recall.proven = recalledOf(s)
	}
	chain := s.shake.chain
	s.state, s.established, s.until, s.shake, s.span.done = up, t.now, time.Time{}, nil, m.tick()
	m.lifetimes(t, s)
	t.notice(levelInfo, "ISAKMP SA is up", "remote", s.path.remote, "peer", s.peer.String(), "suite", s.suite.String(),
		"auth", s.auth, "nat_local", s.path.natLocal, "nat_remote", s.path.natRemote)
	// Another identity has no claim on the SAs of the one before.
	contact = contact || (m.peer != ike.Identity{} && m.peer != s.peer)
	m.peer, m.chain = s.peer, chain
	if old := m.current; old != nil {
		if old.peer == s.peer && crossed(old, s) && !preferred(s, old) {
			m.retire(t, s)
			return
		}
		if contact && (!crossed(old, s) || old.peer != s.peer) {
			m.startedAnew(t, s)
		} else {
			m.retire(t, old)
			if old.path.local != s.path.local || old.path.remote != s.path.remote {
				t.act(ike.MovePeer{Local: s.path.local, Remote: s.path.remote})
			}
			m.counts.rekeys++
		}
	} else if contact {
		m.startedAnew(t, s)
	}
	m.current = s
	m.live.hear(t.now)
	if m.used() != nil {
		m.start = starter{}
		return
	}
	if m.status.phase != ike.Authed {
		m.setPhase(t, ike.Authed, "")
	}
	switch {
	case s.initiator:
		m.startQuick(t, nil)
	case m.initiates():
		// The peer's quick mode should come now. If not, it is for us to begin.
		m.start.childAt = t.now.Add(m.backOff())
	}
}

// crossed reports whether both ends began at once, so that two SAs are up
// where one is wanted; old came up first.
func crossed(old, s *sa) bool { return old.initiator != s.initiator && old.span.crosses(s.span) }

// preferred reports which of two crossed SAs stays: both ends must decide
// alike, and have the cookies in common.
func preferred(a, b *sa) bool { return a.spiI > b.spiI }

// startedAnew takes INITIAL-CONTACT on s: the peer has forgotten every other
// SA with us, so there is nothing left to delete there (RFC 2407 section
// 4.6.3.3).
func (m *Machine) startedAnew(t *turn, s *sa) {
	if len(m.children) == 0 && m.current == nil {
		return
	}
	t.notice(levelInfo, "peer has started anew; its old SAs go")
	for _, c := range slices.Clone(m.children) {
		m.removeChild(t, c)
	}
	for _, other := range slices.Clone(m.sas) {
		if other != s && (other.state == up || other.state == fading) {
			m.forget(t, other)
		}
	}
}

// maxSAs bounds the ISAKMP SAs of a peer that has the key, those that are fading
// included: the oldest of these makes room.
const maxSAs = 16

// trim keeps that bound.
func (m *Machine) trim(t *turn) {
	var old []*sa
	for _, s := range m.sas {
		if s.state == fading {
			old = append(old, s)
		}
	}
	if len(old) >= maxSAs {
		m.forget(t, old[0])
	}
}

// retire takes s out of use in favour of another SA, and deletes it at the peer
// a little later. Both ends do, since nobody answers a DELETE.
func (m *Machine) retire(t *turn, s *sa) {
	m.fade(t, s)
	s.retireAt = t.now.Add(retireAfter)
	m.trim(t)
}

// bidFarewell deletes s, which another SA has replaced, at the peer. Not while a
// quick mode on it is open: the peer would drop it, and one end might have a
// CHILD SA of which the other knows nothing.
func (m *Machine) bidFarewell(t *turn, s *sa) {
	open := slices.ContainsFunc(s.quicks, func(q *quick) bool { return q.state != quickDone })
	if open && !due(t, s.until) {
		s.retireAt = earliest(s.until, t.now.Add(retireAfter))
		return
	}
	s.retireAt = time.Time{}
	m.sendDelete(t, s)
}

// lacksProof is called when the peer shows that it does not have our message 6
// yet: it goes on with the SA that the new one replaces.
func (m *Machine) lacksProof(t *turn) {
	for _, s := range m.sas {
		if !s.retireAt.IsZero() {
			s.retireAt = earliest(s.until, t.now.Add(awaitFor))
		}
	}
}

// promote makes s the current SA, without a change to the children.
func (m *Machine) promote(t *turn, s *sa) {
	m.current = s
	m.live.hear(t.now)
	t.act(ike.MovePeer{Local: s.path.local, Remote: s.path.remote})
	if m.used() == nil {
		m.lacksChild(t, "the ISAKMP SA has no CHILD SA")
	}
}
