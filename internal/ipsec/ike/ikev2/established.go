package ikev2

import (
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
)

// crossing is how far apart two SAs can come up that both ends began at the
// same time.
const crossing = 10 * time.Second

// established puts s into use after IKE_AUTH, with its CHILD SA c, nil if
// there is none. The SA that s replaces goes now, never before the peer has
// proved who it is.
func (m *Machine) established(t *turn, s *sa, c *child, initialContact bool) {
	began := s.shake.began
	if !s.initiator {
		m.strangers.taken = initDigest(s.shake.request)
	}
	s.shake.wipe()
	s.state, s.established, s.until, s.shake = up, t.now, time.Time{}, nil
	m.forgetRivals(s)
	m.lifetimes(t, s)
	t.notice(levelInfo, "IKE SA is up", "remote", s.path.remote, "peer", s.peer.String(), "suite", s.suite.String(),
		"nat_local", s.path.natLocal, "nat_remote", s.path.natRemote)
	if old := m.current; old != nil {
		// What both ends began at once had begun before either was up: a peer
		// that begins later, and knows of no other SA, has been started anew.
		anew := initialContact && (!crossed(old, s) || began.After(old.established))
		if !anew && crossed(old, s) && !preferred(s, old) {
			m.retire(t, s)
			return
		}
		m.replaceCurrent(t, old, s, anew)
	}
	m.current = s
	m.live.hear(t.now)
	m.start = starter{}
	if c != nil {
		m.use(t, c)
	}
}

// crossed reports whether both ends began at once, so that two SAs are up
// where one is wanted.
func crossed(a, b *sa) bool {
	return a.initiator != b.initiator && !a.rekeyed && !b.rekeyed &&
		b.established.Sub(a.established).Abs() < crossing
}

// preferred reports which of two crossed SAs stays: both ends must decide
// alike, and the SPI of the initiator is all that they have in common.
func preferred(a, b *sa) bool { return a.spiI > b.spiI }

// replaceCurrent takes old out of use in favour of s. anew says that the peer
// has forgotten old.
func (m *Machine) replaceCurrent(t *turn, old, s *sa, anew bool) {
	// "[INITIAL_CONTACT] asserts that this IKE SA is the only IKE SA currently
	// active between the authenticated identities": the peer has forgotten
	// the old one, so nothing is left to delete there.
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.4
	if anew {
		t.notice(levelInfo, "peer has started anew; its old IKE SA goes")
		m.forgetOthers(t, s)
		return
	}
	m.retire(t, old)
}

// forgetOthers drops every IKE SA that is or was up but s: old ones, and their
// successors if the peer was replacing one.
func (m *Machine) forgetOthers(t *turn, s *sa) {
	for _, other := range slices.Clone(m.sas) {
		if other == s || other.state == larval || other.state == keyed {
			continue
		}
		for _, c := range slices.Clone(m.children) {
			if c.ike == other {
				m.removeChild(t, c)
			}
		}
		m.forget(other)
	}
}

// retire takes s out of use. Its children linger for packets that are under
// way.
func (m *Machine) retire(t *turn, s *sa) {
	for _, c := range slices.Clone(m.children) {
		if c.ike == s {
			m.linger(t, c)
		}
	}
	m.fade(s, t.now)
	s.tasks = append(s.tasks, &deleteIKE{})
}

// promote makes s the current SA, without a change to the children.
func (m *Machine) promote(t *turn, s *sa) {
	m.current = s
	m.live.hear(t.now)
	t.act(ike.MovePeer{Local: s.path.local, Remote: s.path.remote})
	for _, c := range m.children {
		if c.ike == s && c.state == childUp {
			m.use(t, c)
			return
		}
	}
	m.lacksChild(t, "the IKE SA has no CHILD SA")
	// The peer may well think that there is one, and never ask.
	m.start.childAt = t.now.Add(firstPause)
}
