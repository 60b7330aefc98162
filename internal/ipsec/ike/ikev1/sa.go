package ikev1

import (
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/keys"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

const (
	// fadeFor is how long an SA that was replaced still takes what the peer
	// sends on it.
	fadeFor = 30 * time.Second
	// retireAfter is how long an SA that was replaced is let be before it is
	// deleted: exchanges under way may end, and the peer has time to move the
	// CHILD SAs over. While it is seen that this takes longer it is let be for
	// more, though for no longer than fadeFor.
	retireAfter = 3 * time.Second
	// awaitFor is how long it is let be after the peer asked for message 6 of its
	// successor once more: until the peer asks again, or has it.
	awaitFor = 10 * time.Second
	// retryIKE is when a rekey of the ISAKMP SA that failed is tried again.
	retryIKE = 30 * time.Second
)

// An sa is one ISAKMP SA.
type sa struct {
	state       state
	initiator   bool
	spiI, spiR  uint64 // the cookies
	peer        ike.Identity
	auth        string // how both ends have proved who they are
	suite       suite.IKE
	keys        *keys.Phase1
	path        path
	shake       *handshake // until it is up
	flight      *flight    // our message of main mode that is not answered yet
	echo        echo       // the peer's last one
	iv          []byte     // last block of main mode
	quicks      []*quick
	ids         ids
	dpd         dpd
	fragments   fragmentation
	established time.Time
	span        span
	ends
}

// ends are when something is due for an SA.
type ends struct {
	soft, hard time.Time // rekey; delete
	retireAt   time.Time // delete at the peer, since another has replaced it
	until      time.Time // forget
}

// A span is when something began and when it was done, as Machine.clock counts.
type span struct{ began, done uint64 }

// crosses reports whether b began before a was done, where a was done first.
func (a span) crosses(b span) bool { return a.done > b.began }

// header is that of our message.
func (s *sa) header(exchange uint8, id uint32) ike.Header {
	return ike.Header{SPIi: s.spiI, SPIr: s.spiR, Version: wire.Version, Exchange: exchange, MessageID: id}
}

// wipe overwrites the keys.
func (s *sa) wipe() {
	if s.keys != nil {
		s.keys.Wipe()
	}
}

// find is the SA that a message with header h belongs to.
func (m *Machine) find(h ike.Header) *sa {
	for _, s := range m.sas {
		if s.spiI == h.SPIi && s.spiR == h.SPIr && s.spiR != 0 {
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

// expireSA does what is due for s, quick modes apart.
func (m *Machine) expireSA(t *turn, s *sa) {
	if m.retransmit(t, s, s.flight) {
		s.flight = nil
		m.attemptFailed(t, s, m.explainSilence(s))
		return
	}
	if due(t, s.retireAt) {
		m.bidFarewell(t, s)
	}
	if due(t, s.until) {
		m.expiredHalfOpen(t, s)
		m.forget(t, s)
		return
	}
	if s.state != up {
		return
	}
	switch {
	case due(t, s.hard):
		t.notice(levelWarn, "ISAKMP SA reached the end of its lifetime", "lifetime", m.cfg.Lifetime.IKE)
		m.sendDelete(t, s)
		m.lost(t, s, "ISAKMP SA reached the end of its lifetime before it was rekeyed")
	case due(t, s.soft):
		s.soft = time.Time{}
		if s == m.current {
			m.rekeyIKE(t)
		}
	}
}

// fade takes s out of use. The peer may go on using it for a while.
func (m *Machine) fade(t *turn, s *sa) {
	s.state, s.soft, s.hard = fading, time.Time{}, time.Time{}
	s.until = t.now.Add(fadeFor)
}

// forget drops s with the quick modes on it.
func (m *Machine) forget(t *turn, s *sa) {
	s.state, s.flight = gone, nil
	m.sas = slices.DeleteFunc(m.sas, func(x *sa) bool { return x == s })
	if m.current == s {
		m.current = nil
	}
	for _, q := range s.quicks {
		m.orphaned(t, q)
	}
	s.quicks = nil
	s.wipe()
}

// rekeyIKE begins a main mode beside the current SA, unless one is under way.
// The CHILD SAs do not notice: in IKEv1 they depend on no ISAKMP SA.
func (m *Machine) rekeyIKE(t *turn) {
	if m.current != nil && !m.attempting() {
		m.connect(t, m.current.path)
	}
}

// sendDelete tells the peer, once, that s is no more.
func (m *Machine) sendDelete(t *turn, s *sa) {
	m.inform(t, s, &wire.Delete{Protocol: wire.ProtoISAKMP, SPIs: [][]byte{wire.Cookies(s.header(0, 0))}})
}

// lost takes s out of use at once after it ended at either end, with the
// reason in words. Another SA takes over if there is one; else CHILD SAs live
// on and we call the peer: without an ISAKMP SA nobody would find out that it
// is dead.
func (m *Machine) lost(t *turn, s *sa, reason string) {
	was := s == m.current
	m.fade(t, s)
	m.abandonQuicks(t, s)
	if !was {
		return
	}
	m.current = nil
	for _, other := range m.sas {
		if other.state == up {
			m.promote(t, other)
			t.notice(levelInfo, "another ISAKMP SA takes over", "reason", reason)
			return
		}
	}
	t.notice(levelWarn, "ISAKMP SA is down", "reason", reason)
	if m.used() == nil {
		m.failed(t, reason, later)
		return
	}
	if !m.attempting() {
		m.connect(t, s.path)
	}
}

// down ends everything: the peer is dead, or has forgotten us.
func (m *Machine) down(t *turn, reason string, how howDown) {
	for _, c := range slices.Clone(m.children) {
		m.removeChild(t, c)
	}
	m.current = nil
	for _, s := range slices.Clone(m.sas) {
		if s.state == up || s.state == fading {
			m.forget(t, s)
		}
	}
	m.failed(t, reason, how)
}

// attemptFailed ends an attempt of ours to make an ISAKMP SA.
func (m *Machine) attemptFailed(t *turn, s *sa, reason string) {
	t.notice(levelWarn, "negotiation failed", "remote", s.path.remote, "reason", reason)
	m.forget(t, s)
	switch {
	case m.current != nil:
		if m.current.soft.IsZero() {
			m.current.soft = t.now.Add(retryIKE)
		}
	case m.used() != nil && !m.attempting():
		m.down(t, fmt.Sprintf("peer %v does not answer, and there is no ISAKMP SA with it: %s", s.path.remote, reason), later)
	default:
		m.failed(t, reason, later)
	}
}
