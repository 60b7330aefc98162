package ikev1

import (
	"encoding/binary"
	"fmt"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/policy"
)

// maxProbePause is how long a probe waits for its answer at most before the
// next one, however long DPDInterval is.
const maxProbePause = 2 * time.Second

// A liveness is when the peer was last heard, and since when it is probed.
type liveness struct {
	seen    time.Time
	probing time.Time // when the first probe went that is not answered; zero: none
	again   time.Time // when the next one goes
	giveUp  time.Time // when the peer is dead unless it is heard
	spared  int       // how often it was not given up, since we were late
}

// maxSpared is how often a peer is at most not given up since we were late: who
// always is shall not keep a dead one.
const maxSpared = 5

// spare has the peer, if it is probed, be given another pause when we come late to
// what was due: we did not run, as on a busy machine or a paused one, and answers may
// have come that nobody has read yet. That it is silent is not known before.
func (l *liveness) spare(now, due time.Time, pause time.Duration) {
	if now.Sub(due) > pause && l.spared < maxSpared {
		l.spared++
		l.giveUp = latest(l.giveUp, now.Add(pause))
	}
}

// hear says that the peer was alive at at.
func (l *liveness) hear(at time.Time) {
	l.seen = latest(l.seen, at)
	if !l.probing.IsZero() && l.seen.After(l.probing) {
		l.probing = time.Time{}
	}
}

// A dpd is dead peer detection on one ISAKMP SA (RFC 3706).
type dpd struct {
	supported bool   // the peer announced it
	first     uint32 // of our sequence numbers on this SA
	next      uint32 // our next one; 0 before the first
	asked     uint32 // the first one of this round of probes
	theirs    uint32 // the peer's last one
	heard     bool   // it has sent one
}

// probeAt is when the peer has been silent for so long that it must be probed,
// or probed again, or is dead. Liveness.Action may be that nobody is.
func (m *Machine) probeAt() time.Time {
	s := m.current
	switch {
	case s == nil || !s.dpd.supported || m.cfg.Liveness.Action == policy.None:
		return time.Time{}
	case m.live.probing.IsZero():
		return m.live.seen.Add(m.cfg.Liveness.Interval)
	}
	return earliest(m.live.again, m.live.giveUp)
}

// probePause is how long a probe waits for its answer before the next one.
func (m *Machine) probePause() time.Duration { return min(m.cfg.Liveness.Interval, maxProbePause) }

// probePeer asks a silent peer for a sign of life, or gives it up.
func (m *Machine) probePeer(t *turn) {
	at := m.probeAt()
	if at.IsZero() || t.now.Before(at) {
		return
	}
	s := m.current
	if m.live.probing.IsZero() {
		m.live.probing, m.live.giveUp, m.live.spared = t.now, t.now.Add(m.cfg.Liveness.Timeout), 0
		s.dpd.asked = s.dpd.next
	} else {
		m.live.spare(t.now, at, m.probePause())
	}
	if !t.now.Before(m.live.giveUp) {
		m.dead(t, s, m.cfg.Liveness.Timeout)
		return
	}
	if s.dpd.next == 0 {
		// The first number is drawn at random, with the highest bit clear so that
		// there is room to count (RFC 3706 section 6).
		s.dpd.first = max(1, binary.BigEndian.Uint32(m.random(t, 4))>>1)
		s.dpd.next, s.dpd.asked = s.dpd.first, s.dpd.first
	}
	m.inform(t, s, s.dpdNotify(wire.RUThere, s.dpd.next))
	s.dpd.next++
	m.live.again = t.now.Add(m.probePause())
}

// dpdNotify is R-U-THERE or its answer (RFC 3706 section 5.3).
func (s *sa) dpdNotify(n wire.NotifyType, seq uint32) *wire.Notify {
	return &wire.Notify{Protocol: wire.ProtoISAKMP, SPI: wire.Cookies(s.header(0, 0)), Type: n, Data: binary.BigEndian.AppendUint32(nil, seq)}
}

// heardDPD takes R-U-THERE and answers, or takes the answer to ours. What was
// heard before proves nothing, since anybody can repeat it; nor does one of our
// own that somebody sends back.
func (m *Machine) heardDPD(t *turn, s *sa, d ike.Datagram, n *wire.Notify) {
	if len(n.Data) != 4 {
		return
	}
	seq := binary.BigEndian.Uint32(n.Data)
	ours := s.dpd.next != 0 && seq-s.dpd.first < s.dpd.next-s.dpd.first
	if n.Type == wire.RUThereAck {
		if ours && !m.live.probing.IsZero() && s == m.current && seq-s.dpd.asked < s.dpd.next-s.dpd.asked {
			m.live.probing = time.Time{}
			m.fresh(t, s, d)
		}
		return
	}
	if ours {
		return
	}
	if !s.dpd.heard || int32(seq-s.dpd.theirs) > 0 {
		s.dpd.heard, s.dpd.theirs = true, seq
		m.fresh(t, s, d)
	}
	// A late one is answered, too: the peer may count anew from what it lost.
	m.inform(t, s, s.dpdNotify(wire.RUThereAck, seq))
}

// dead gives the peer of s up after silence.
func (m *Machine) dead(t *turn, s *sa, silent time.Duration) {
	t.notice(levelWarn, "peer is dead", "remote", s.path.remote, "silent", silent)
	m.live.probing = time.Time{}
	m.down(t, fmt.Sprintf("peer %v is dead: no answer for %v", s.path.remote, silent), dead)
}
