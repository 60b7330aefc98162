package ikev2

import (
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// goneFor is how long a gone SA repeats its last response, and how long a
// fading one waits for the peer to delete it.
const goneFor = 30 * time.Second

// An sa is one IKE SA.
type sa struct {
	state       state
	initiator   bool // ours was the request of the exchange that made it
	rekeyed     bool // it was made by CREATE_CHILD_SA
	spiI, spiR  uint64
	peer        peer
	suite       suite.IKE
	keys        suite.IKEKeys
	seal, open  *suite.Protector
	path        path
	ext         extensions
	window      window
	tasks       []task // exchanges to begin, in order
	busy        busyness
	shake       *handshake // until it is up
	established time.Time
	soft, hard  time.Time // rekey; delete
	until       time.Time // fading or gone: forget; half open at a responder: give up
}

// A task is one exchange that we begin.
type task interface {
	// exchange is its type.
	exchange() uint8
	// request makes the payloads; ok is false when there is nothing to do any
	// more.
	request(m *Machine, t *turn, s *sa) (list []wire.Payload, ok bool)
	// response takes the peer's.
	response(m *Machine, t *turn, s *sa, list []wire.Payload)
}

// header is that of our message.
func (s *sa) header(exchange uint8, id uint32, response bool) ike.Header {
	h := ike.Header{SPIi: s.spiI, SPIr: s.spiR, Version: wire.Version, Exchange: exchange, MessageID: id}
	if s.initiator {
		h.Flags |= ike.FlagInitiator
	}
	if response {
		h.Flags |= ike.FlagResponse
	}
	return h
}

// adopt puts keys to use.
func (s *sa) adopt(m *Machine, keys suite.IKEKeys) error {
	toResponder, err := suite.NewProtector(s.suite, keys.Ei, keys.Ai, m.cfg.Tuning.Rand)
	if err != nil {
		return err
	}
	toInitiator, err := suite.NewProtector(s.suite, keys.Er, keys.Ar, m.cfg.Tuning.Rand)
	if err != nil {
		return err
	}
	s.keys = keys
	s.seal, s.open = toResponder, toInitiator
	if !s.initiator {
		s.seal, s.open = toInitiator, toResponder
	}
	return nil
}

// wipe overwrites the keys.
func (s *sa) wipe() {
	s.keys.Wipe()
	if s.shake != nil {
		s.shake.wipe()
	}
	for _, p := range []*suite.Protector{s.seal, s.open} {
		if p != nil {
			p.Wipe()
		}
	}
}

// find is the SA that a message with header h belongs to.
func (m *Machine) find(h ike.Header) *sa {
	fromInitiator := h.Flags&ike.FlagInitiator != 0
	for _, s := range m.sas {
		if s.spiI == h.SPIi && s.spiR == h.SPIr && s.initiator != fromInitiator {
			return s
		}
	}
	return nil
}

// lifetimes sets when s is rekeyed and deleted (vpn §2.2).
func (m *Machine) lifetimes(t *turn, s *sa) {
	s.soft = t.now.Add(m.cfg.Lifetime.IKE - m.lead(t))
	s.hard = t.now.Add(m.cfg.Lifetime.IKE)
}

// lead is how long before the end of a lifetime the rekey starts.
func (m *Machine) lead(t *turn) time.Duration {
	d, err := m.cfg.Lead()
	t.bug(err)
	return d
}

// expireSA does what is due for s apart from retransmission.
func (m *Machine) expireSA(t *turn, s *sa) {
	if due(t, s.until) {
		if s.state == larval || s.state == keyed {
			t.notice(levelDebug, "half-open attempt of the peer timed out")
		}
		m.forget(s)
		return
	}
	if s.state != up {
		return
	}
	if due(t, s.hard) {
		t.notice(levelWarn, "IKE SA reached the end of its lifetime", "lifetime", m.cfg.Lifetime.IKE)
		m.fade(s, t.now)
		s.tasks = append(s.tasks, &deleteIKE{})
		if s == m.current {
			m.down(t, "IKE SA reached the end of its lifetime before it was rekeyed", again)
		}
		return
	}
	if due(t, s.soft) {
		s.soft = time.Time{}
		if s == m.current {
			m.startRekeyIKE()
		}
	}
}

// due reports whether at is set and has passed.
func due(t *turn, at time.Time) bool { return !at.IsZero() && !t.now.Before(at) }

// fade takes s out of use; it is forgotten when its peer deletes it, when our
// own delete is done, or after a while.
func (m *Machine) fade(s *sa, now time.Time) {
	s.state, s.soft, s.hard = fading, time.Time{}, time.Time{}
	s.until = now.Add(goneFor)
	s.tasks = nil
	s.ext.forgetPending()
}

// finish makes s gone: it only repeats its last response for a while.
func (m *Machine) finish(s *sa, now time.Time) {
	m.fade(s, now)
	s.state, s.window.out = gone, nil
}

// forget drops s.
func (m *Machine) forget(s *sa) {
	s.wipe()
	s.state, s.tasks, s.window.out = gone, nil, nil
	m.sas = slices.DeleteFunc(m.sas, func(x *sa) bool { return x == s })
	if m.current == s {
		m.current = nil
	}
}

// failed reports whether s is an attempt that came to nothing, of which only the
// last answer is left to be repeated.
func (s *sa) failed() bool { return s.state == gone && s.established.IsZero() }

// roomSA makes room for the successor of an IKE SA, at the expense of the one
// that has been gone longest: it would only have repeated its last response.
// False when none is gone.
func (m *Machine) roomSA() bool {
	if len(m.sas) < maxSAs {
		return true
	}
	var oldest *sa
	for _, s := range m.sas {
		if s.state == gone && (oldest == nil || s.until.Before(oldest.until)) {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	m.forget(oldest)
	return true
}

// forgetGone drops the SAs that have nothing left to repeat.
func (m *Machine) forgetGone(t *turn) {
	var room [usualSAs]*sa
	for _, s := range append(room[:0], m.sas...) {
		if s.state == gone && (s.window.cached == nil || due(t, s.until)) {
			m.forget(s)
		}
	}
}

// begun finds a task in s, under way or waiting, for which is holds.
func (s *sa) begun(is func(task) bool) bool {
	return s.underway(is) || slices.ContainsFunc(s.tasks, is)
}

// underway reports whether is holds for the exchange under way.
func (s *sa) underway(is func(task) bool) bool {
	k := s.purpose()
	return k != nil && is(k)
}

// purpose is what the exchange under way is for, nil if there is none.
func (s *sa) purpose() task {
	if s.window.out == nil {
		return nil
	}
	return purposeOf(s.window.out.task)
}

// A howDown is why an SA went down, for what to do next.
type howDown uint8

const (
	dead  howDown = iota // what Liveness.Action says
	again                // start again at once
	later                // start again after a pause
)

// down takes the current SA out of use together with its children. If another
// one is up, that becomes the current.
func (m *Machine) down(t *turn, reason string, how howDown) {
	was := m.current
	m.current = nil
	for _, c := range slices.Clone(m.children) {
		if c.ike == was {
			m.removeChild(t, c)
		}
	}
	for _, s := range m.sas {
		if s.state == up && s != was {
			m.promote(t, s)
			t.notice(levelInfo, "another IKE SA of the peer takes over", "reason", reason)
			return
		}
	}
	m.failed(t, reason, how)
}
