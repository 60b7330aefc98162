package ikev1

import (
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
)

// A starter says when we try again.
type starter struct {
	at      time.Time     // start an ISAKMP SA
	pause   time.Duration // before the try after the next failure
	childAt time.Time     // ask for a CHILD SA on an ISAKMP SA that has none
	insist  bool          // until an SA is up we are an initiator: the peer was found dead, and the action is to restart
}

// firstPause is how long an initiator waits after its first failure.
const firstPause = time.Second

// A howDown is why nothing is up any more, for what to do next.
type howDown uint8

const (
	dead  howDown = iota // what Liveness.Action says
	later                // start again after a pause
)

// initiates reports whether we begin when nothing is up.
func (m *Machine) initiates() bool { return m.cfg.Initiator || m.start.insist }

// reachable reports whether the configuration says where the peer is, so that
// an end that waits can call it.
func (m *Machine) reachable() bool { return m.cfg.Remote.IsValid() && m.cfg.Remote.Port() != 0 }

// initiate starts an attempt, unless an SA is up or being made.
func (m *Machine) initiate(t *turn) {
	if !m.initiates() || m.current != nil || m.attempting() {
		return
	}
	m.start.at = time.Time{}
	m.connect(t, path{local: m.cfg.Local, remote: m.cfg.Remote})
}

// attempting reports whether an attempt of ours is under way.
func (m *Machine) attempting() bool {
	for _, s := range m.sas {
		if s.initiator && s.state < up {
			return true
		}
	}
	return false
}

// failed reports that nothing is up any more, or that an attempt of ours came
// to nothing, and arranges for the next one.
func (m *Machine) failed(t *turn, reason string, how howDown) {
	if m.current != nil {
		return
	}
	m.start.childAt = time.Time{}
	if m.attempting() {
		m.setPhase(t, ike.Connecting, reason)
		return
	}
	m.setPhase(t, ike.Failed, reason)
	m.start.insist = m.start.insist || (how == dead && m.cfg.Liveness.Action == policy.Restart && m.reachable())
	switch {
	case how == dead && m.cfg.Liveness.Action == policy.Clear && m.cfg.Initiator:
	case m.start.insist || (m.cfg.Initiator && m.cfg.Restart):
		m.start.at = t.now
		if how == later {
			m.start.at = t.now.Add(m.backOff())
		}
	case !m.cfg.Initiator:
		m.setPhase(t, ike.Idle, reason)
	}
}

// backOff is the next pause; each is twice the one before.
func (m *Machine) backOff() time.Duration {
	most := m.cfg.Tuning.RestartMax
	pause := min(max(m.start.pause, min(firstPause, most)), most)
	m.start.pause = min(2*pause, most)
	return pause
}

// startDue starts what is due.
func (m *Machine) startDue(t *turn) {
	if due(t, m.start.at) {
		m.initiate(t)
		m.start.at = time.Time{}
	}
	if due(t, m.start.childAt) {
		m.start.childAt = time.Time{}
		if m.current != nil && m.used() == nil {
			m.startQuick(t, nil)
		}
	}
}

// lacksChild reports that the ISAKMP SA is up without a CHILD SA (vpn §3.3:
// phase 1 is kept); an initiator asks for one later.
func (m *Machine) lacksChild(t *turn, reason string) {
	if m.current == nil {
		m.failed(t, reason, later)
		return
	}
	m.setPhase(t, ike.Authed, reason)
	if m.cfg.Initiator && m.cfg.Restart {
		m.start.childAt = t.now.Add(m.backOff())
	}
}
