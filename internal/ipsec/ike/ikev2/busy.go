package ikev2

import "time"

// A peer that says TEMPORARY_FAILURE is believed for busyFor. Two of them that
// lie further apart than busyGap have nothing to do with each other.
const (
	busyFor = 3 * time.Minute
	busyGap = time.Minute
)

// busyReason is why an IKE SA ends whose peer is busy for ever.
const busyReason = "peer has answered TEMPORARY_FAILURE for minutes; its state and ours no longer agree"

// A busyness is since when the peer of an IKE SA has been too busy to do what
// we ask.
type busyness struct{ since, last time.Time }

// tooLong notes one more TEMPORARY_FAILURE, and reports whether there have
// been nothing else for so long that the two ends cannot be of one mind any
// more: then the IKE SA should be closed (RFC 7296 section 2.25).
func (b *busyness) tooLong(now time.Time) bool {
	if b.since.IsZero() || now.Sub(b.last) > busyGap {
		b.since = now
	}
	b.last = now
	return now.Sub(b.since) >= busyFor
}

// beginAnew replaces s, with what hangs on it, by another IKE SA from the
// beginning, if we are the end that begins, and reports whether it does. A peer
// need not be able to do more than IKE_SA_INIT and IKE_AUTH (RFC 7296 section
// 4).
func (m *Machine) beginAnew(t *turn, s *sa, reason string) bool {
	if s != m.current || (!m.start.insist && !(m.cfg.Initiator && m.cfg.Restart)) {
		return false
	}
	t.notice(levelWarn, "IKE SA is made anew", "reason", reason)
	m.fade(s, t.now)
	s.tasks = append(s.tasks, &deleteIKE{})
	m.down(t, reason, again)
	return true
}
