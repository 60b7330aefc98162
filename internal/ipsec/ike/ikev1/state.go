package ikev1

import (
	"crypto/sha256"
	"fmt"
	"time"
)

// A state is the life of one ISAKMP SA. Main mode has six messages; the
// initiator sends the odd ones.
//
//	offered ──2──▶ keying ──4──▶ proving ──6──▶ up ──replaced, deleting──▶ fading ──▶ gone   initiator
//	               keying ──3──▶ proving ──5──▶ up ──…                                      responder
//
// A fading SA still takes what the peer sends on it. What was never
// authenticated goes without ceremony.
type state uint8

const (
	offered state = iota
	keying
	proving
	up
	fading
	gone
)

// String is the lower-case name.
func (s state) String() string {
	names := [...]string{"offered", "keying", "proving", "up", "fading", "gone"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// A flight is a message that is sent again until it is answered.
type flight struct {
	data   []byte
	pause  time.Duration
	again  time.Time // when to send once more
	giveUp time.Time
}

// deadline is when f wants attention; f may be nil.
func (f *flight) deadline() time.Time {
	if f == nil {
		return time.Time{}
	}
	return earliest(f.again, f.giveUp)
}

// An echo is the peer's last message of an exchange and our answer. A message
// that comes again is answered alike and done nothing with (RFC 2408 section
// 5.1 has both ends resend).
type echo struct {
	sum    [sha256.Size]byte
	answer []byte
}

// heard remembers octets and what they were answered with.
func heard(octets, answer []byte) echo { return echo{sha256.Sum256(octets), answer} }

// is reports whether octets came before.
func (e echo) is(octets []byte) bool { return e.sum == sha256.Sum256(octets) }

// launch sends data on s and returns the flight that repeats it.
func (m *Machine) launch(t *turn, s *sa, data []byte) *flight {
	pace := m.cfg.Tuning
	m.transmit(t, s, data)
	return &flight{data: data, pause: pace.RetransmitFirst, again: t.now.Add(pace.RetransmitFirst), giveUp: t.now.Add(pace.RetransmitTimeout)}
}

// transmit sends data to the peer of s.
func (m *Machine) transmit(t *turn, s *sa, data []byte) {
	m.post(t, s, s.path.local, s.path.remote, data)
	s.path.sent = t.now
}

// retransmit sends f again if that is due, and reports whether it is time to
// give up.
func (m *Machine) retransmit(t *turn, s *sa, f *flight) (giveUp bool) {
	if f == nil || t.now.Before(f.deadline()) {
		return false
	}
	if !t.now.Before(f.giveUp) {
		return true
	}
	m.transmit(t, s, f.data)
	m.counts.retransmits++
	f.pause = min(2*f.pause, m.cfg.Tuning.RetransmitMax)
	f.again = t.now.Add(f.pause)
	return false
}

// due reports whether at is set and has passed.
func due(t *turn, at time.Time) bool { return !at.IsZero() && !t.now.Before(at) }

// earliest is the first of the times that are set, or the zero time.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, at := range times {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// latest is the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
