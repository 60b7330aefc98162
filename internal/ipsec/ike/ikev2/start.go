package ikev2

import (
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
)

// A starter says when we try again.
type starter struct {
	at      time.Time     // start an IKE SA
	pause   time.Duration // before the try after the next failure
	childAt time.Time     // ask for a CHILD SA on an IKE SA that has none
	insist  bool          // until an SA is up we are an initiator: the peer was found dead, and the action is to restart
}

// firstPause is how long an initiator waits after its first failure.
const firstPause = time.Second

// initiate starts an attempt, unless an SA is up or being made.
func (m *Machine) initiate(t *turn) {
	if !m.initiates() || m.current != nil || m.attempting() {
		return
	}
	m.start.at = time.Time{}
	m.connect(t)
}

// initiates reports whether we begin when nothing is up.
func (m *Machine) initiates() bool { return m.cfg.Initiator || m.start.insist }

// attempting reports whether an attempt of ours is under way.
func (m *Machine) attempting() bool {
	for _, s := range m.sas {
		if s.initiator && (s.state == larval || s.state == keyed) {
			return true
		}
	}
	return false
}

// failed reports that there is no IKE SA any more, or that an attempt of ours
// came to nothing, and arranges for the next one.
func (m *Machine) failed(t *turn, reason string, how howDown) {
	if m.current != nil {
		return
	}
	m.start.childAt = time.Time{}
	if m.attempting() {
		m.setPhase(t, ike.Connecting, reason)
		return
	}
	m.start.insist = m.start.insist || (how == dead && m.cfg.Liveness.Action == policy.Restart && m.reachable())
	m.setPhase(t, ike.Failed, reason)
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

// reachable reports whether the configuration says where the peer is, so that
// an end that waits can call it.
func (m *Machine) reachable() bool { return m.cfg.Remote.IsValid() && m.cfg.Remote.Port() != 0 }

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
		m.requestChild()
	}
}

// lacksChild reports that the IKE SA is up without a CHILD SA (vpn §3.3: phase
// 1 is kept); an initiator asks for one later.
func (m *Machine) lacksChild(t *turn, reason string) {
	m.setPhase(t, ike.Authed, reason)
	if m.cfg.Initiator && m.cfg.Restart {
		m.start.childAt = t.now.Add(m.backOff())
	}
}
