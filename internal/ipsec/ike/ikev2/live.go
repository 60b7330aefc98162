package ikev2

import (
	"fmt"
	"time"

	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// maxProbePause is how long a probe waits for its answer at most before it is
// sent again, however long DPDInterval is.
const maxProbePause = 2 * time.Second

// A liveness is when the peer was last heard.
type liveness struct{ seen time.Time }

// hear says that the peer was alive at at.
func (l *liveness) hear(at time.Time) { l.seen = latest(l.seen, at) }

// probePause is how long a probe waits for its answer before it is sent again.
func (m *Machine) probePause() time.Duration { return min(m.cfg.Liveness.Interval, maxProbePause) }

// probeAt is when the peer has been silent for so long that it must be
// probed. While a request of ours is unanswered that is the probe.
// Liveness.Action may be that nobody is.
func (m *Machine) probeAt() time.Time {
	s := m.current
	if s == nil || s.window.out != nil || m.cfg.Liveness.Action == policy.None {
		return time.Time{}
	}
	return m.live.seen.Add(m.cfg.Liveness.Interval)
}

// probePeer asks a silent peer for a sign of life.
func (m *Machine) probePeer(t *turn) {
	if at := m.probeAt(); !at.IsZero() && !t.now.Before(at) && len(m.current.tasks) == 0 {
		m.current.tasks = append(m.current.tasks, &probe{})
	}
}

// A probe is an empty INFORMATIONAL request (RFC 7296 section 1.4), or one that
// asks how the peer sees us.
type probe struct{}

func (*probe) exchange() uint8 { return wire.Informational }

func (*probe) request(m *Machine, _ *turn, s *sa) ([]wire.Payload, bool) {
	if s.watchesMapping() {
		return natPayloads(s.spiI, s.spiR, s.path, m.cfg.ForceEncap), true
	}
	return nil, true
}

// response has little to do: that there is one is what counts.
func (*probe) response(m *Machine, t *turn, s *sa, list []wire.Payload) { m.mappingSeen(t, s, list) }

// rekeyedByPeer is the new IKE SA of the peer's rekey that crossed ours, k.
func (m *Machine) rekeyedByPeer(k task) *sa {
	if k, ok := k.(*rekeyIKE); ok && k.theirs != nil && k.theirs.state == up {
		return k.theirs
	}
	return nil
}

// outOfIDs ends s, on which nothing more can be asked, without a word to the
// peer.
func (m *Machine) outOfIDs(t *turn, s *sa) {
	m.finish(s, t.now)
	if s == m.current {
		t.notice(levelWarn, "IKE SA has used up its message ids")
		m.down(t, "the IKE SA has used up its message ids before it was rekeyed", again)
	}
}

// unanswered gives up on s, whose request f was never answered.
//
// All that was set up through a dead IKE SA goes with it (RFC 7296 section
// 2.4).
func (m *Machine) unanswered(t *turn, s *sa, f *flight) {
	if m.syncAfter(t, s, f) {
		return
	}
	switch {
	case s.state == larval && s.resumes():
		m.connectAnew(t, s, "no answer to IKE_SESSION_RESUME")
	case s.state == keyed && s.resumes():
		m.session.forget()
		m.connectAnew(t, s, "no answer to IKE_AUTH with its keys")
	case s.state == larval && s.shake.refusal != "":
		m.attemptFailed(t, s, s.shake.refusal)
	case s.state == larval:
		m.attemptFailed(t, s, s.explainSilence())
	case s.state == keyed:
		m.attemptFailed(t, s, fmt.Sprintf("no answer from %v to %s: the peer answered IKE_SA_INIT, so see whether UDP %d passes, and the peer's log",
			s.path.remote, wire.ExchangeName(f.task.exchange()), s.path.remote.Port()))
	case s == m.current && m.rekeyedByPeer(purposeOf(f.task)) != nil:
		// The peer moved on to its own new SA; what is silent is the old one.
		m.inherit(t, s, m.rekeyedByPeer(purposeOf(f.task)))
		m.forget(s)
	case s == m.current:
		silent, how := m.cfg.Tuning.RetransmitTimeout, dead
		if f.proof {
			silent, how = proveWithin, again // it may well live, and have forgotten us
		} else if _, probing := f.task.(*probe); probing {
			silent = m.cfg.Liveness.Timeout
		}
		t.notice(levelWarn, "peer is dead", "remote", s.path.remote, "silent", silent, "exchange", wire.ExchangeName(f.task.exchange()),
			"other_addresses", s.ext.mobike.others)
		m.finish(s, t.now)
		what := ""
		if f.task.exchange() == wire.CreateChildSA {
			what = " to our renewal of keys"
		}
		m.down(t, fmt.Sprintf("peer %v is dead: no answer for %v%s", s.path.remote, silent, what), how)
		m.forget(s)
	default:
		m.forget(s)
	}
}
