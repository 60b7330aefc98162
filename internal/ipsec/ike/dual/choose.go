package dual

import (
	"strings"
	"time"

	"seikan/internal/ipsec/ike"
	onewire "seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// answerPause is how long an attempt goes on after an answer in the other
// version: it proves nothing about its sender, and the right one still counts
// (RFC 7296 section 2.21.1 is about the same).
const answerPause = 5 * time.Second

// firstPause is how long an initiator waits after both versions failed once.
const firstPause = time.Second

// An attempt is ours to make an SA in one version.
type attempt struct {
	version int    // none when there is no attempt
	spi     uint64 // of ours in it
	// spoken says that the peer answered in this version beyond the first
	// exchange, so that the version is not what is wrong.
	spoken bool
	heard  bool          // the peer answered in this version at all
	cut    time.Time     // when it ends because the peer answered in the other version
	again  time.Time     // when the next round begins
	pause  time.Duration // before the round after the next failure
}

// begin notes that an attempt in version v starts.
func (a *attempt) begin(v int) {
	*a = attempt{version: v, pause: a.pause}
}

// end notes that there is no attempt any more.
func (a *attempt) end() { *a = attempt{version: none, pause: a.pause} }

// sent looks for the SPI of the attempt in what its version sends.
func (a *attempt) sent(v int, list []ike.Datagram) {
	if v != a.version {
		return
	}
	for _, d := range list {
		if h, _, err := ike.ParseHeader(d.Data); err == nil && begins(v, h) {
			a.spi = h.SPIi
		}
	}
}

// begins reports whether h, of version v, is of an initiator's first message:
// it has no SPI of the peer.
func begins(v int, h ike.Header) bool {
	if v == v1 {
		return h.Exchange == onewire.MainMode && h.SPIr == 0
	}
	return firstOf2(h.Exchange) && h.SPIr == 0 && h.Flags&ike.FlagResponse == 0
}

// firstOf2 reports whether an exchange is one with which IKEv2 begins: a session
// that was lost may be taken up again (RFC 5723).
func firstOf2(exchange uint8) bool {
	return exchange == wire.IKESAInit || exchange == wire.IKESessionResume
}

// hear looks at a header of version v for what it says about the attempt. Only
// who saw our message knows its SPI.
func (a *attempt) hear(now time.Time, v int, h ike.Header) {
	switch {
	case a.version == none || a.spi == 0 || h.SPIi != a.spi:
	case v != a.version:
		if a.cut.IsZero() && !a.spoken {
			a.cut = now.Add(answerPause)
		}
	default:
		a.heard = true
		if v == v2 && !firstOf2(h.Exchange) {
			a.spoken, a.cut = true, time.Time{}
		}
	}
}

// initiate begins with IKEv2, unless something is up or being tried.
func (m *Machine) initiate(t *turn) {
	switch {
	case m.owner != none:
		m.step(t, m.owner, ike.Initiate{})
	case m.attempt.version == none:
		m.try(t, v2)
	}
}

// try starts an attempt in version v.
func (m *Machine) try(t *turn, v int) {
	m.attempt.again = time.Time{}
	if !m.cfg.Initiator {
		m.step(t, v, ike.Initiate{})
		return
	}
	m.attempt.begin(v)
	m.shown = v
	m.step(t, v, ike.Initiate{})
}

// lookAgain takes a message of version v with header h, which is not handed on
// if it is the first answer to an attempt in IKEv1 that came after one in IKEv2
// to which there was none. The way to the peer may have been broken until now,
// and whoever speaks both versions shall not end with the worse one: IKEv2 gets
// a last chance. It reports whether it does.
func (m *Machine) lookAgain(t *turn, v int, h ike.Header) bool {
	a := &m.attempt
	if v != v1 || a.version != v1 || m.sure || m.owner != none || a.spi == 0 || h.SPIi != a.spi {
		return false
	}
	m.sure = true // whatever comes of this
	m.sides[v1].reason = ""
	m.retire(t, v1)
	m.try(t, v2)
	m.attempt.cut = t.now.Add(answerPause)
	return true
}

// attemptDue ends an attempt that the peer answers in the other version, and
// begins the next round.
func (m *Machine) attemptDue(t *turn) {
	due := func(at time.Time) bool { return !at.IsZero() && !t.now.Before(at) }
	if v := m.attempt.version; v != none && due(m.attempt.cut) {
		m.sure = m.sure || v == v2
		m.sides[v].reason = "the peer answers in " + name(other(v))
		m.attemptFailed(t, v)
	}
	if due(m.attempt.again) {
		m.attempt.again = time.Time{}
		if m.owner == none && m.attempt.version == none {
			m.try(t, v2)
		}
	}
}

// takeTunnel makes v the version that has the tunnel: its outbound SA is about
// to be used. What the other version has goes after that.
func (m *Machine) takeTunnel(t *turn, v int) {
	if m.owner == v {
		return
	}
	m.own(v)
	if move := m.sides[v].move; move != nil {
		t.act(*move)
		m.sides[v].move = nil
	}
}

// own makes v the owner.
func (m *Machine) own(v int) {
	m.owner, m.shown = v, v
	if v == v2 {
		m.sure = false
	}
	m.sides[v1].reason, m.sides[v2].reason = "", ""
}

// changed takes a change of the phase of version v.
func (m *Machine) changed(t *turn, v int, c ike.StateChanged) {
	s := &m.sides[v]
	s.phase = c.Phase
	switch c.Phase {
	case ike.Established:
		m.takeTunnel(t, v)
		m.attempt = attempt{version: none}
		m.retire(t, other(v))
		m.report(t, c.Phase, c.Reason)
	case ike.Authed:
		m.authed(t, v, c.Reason)
	case ike.Connecting:
		m.connecting(t, v, c.Reason)
	case ike.Failed:
		m.failed(t, v, c.Reason)
	case ike.Idle:
		if m.owner == none && m.attempt.version == none {
			s.reason, m.shown = c.Reason, v
			m.report(t, c.Phase, m.words())
		}
	}
}

// authed takes that v has an IKE SA and no CHILD SA. That is enough to have
// the tunnel where the other version has nothing, but not to end an attempt of
// it: the peer may have done so with this version.
func (m *Machine) authed(t *turn, v int, reason string) {
	if m.owner == none {
		m.own(v)
	}
	if m.owner != v {
		return
	}
	if m.attempt.version == v {
		m.attempt.end()
	}
	m.report(t, ike.Authed, reason)
}

// connecting takes that v has begun an attempt, perhaps by itself after its SA
// went down.
func (m *Machine) connecting(t *turn, v int, reason string) {
	if reason != "" {
		m.sides[v].reason = reason
	}
	if m.attempt.version == none && m.owner == none {
		m.attempt.begin(v)
	}
	if m.attempt.version == v {
		m.shown = v
		m.report(t, ike.Connecting, m.words())
	}
}

// failed takes that version v has no SA and is not making one.
func (m *Machine) failed(t *turn, v int, reason string) {
	m.sides[v].reason = reason
	switch {
	case m.owner == other(v):
		// What it would do next is not wanted.
		m.retire(t, v)
		if m.attempt.version == v {
			m.attempt.end()
			m.report(t, m.sides[m.owner].phase, "")
		}
		m.sides[v].reason = ""
	case m.owner == v:
		m.owner = none
		m.sides[other(v)].reason = ""
		if m.sides[other(v)].phase == ike.Authed {
			m.retire(t, v)
			m.authed(t, other(v), "")
			return
		}
		m.report(t, ike.Failed, m.words())
	case m.attempt.version == v:
		m.attemptFailed(t, v)
	default:
		m.shown = v
		m.report(t, ike.Failed, m.words())
	}
}

// attemptFailed goes on after an attempt in version v came to nothing: with
// IKEv1 where IKEv2 may be what the peer does not have, and with another round
// after that.
func (m *Machine) attemptFailed(t *turn, v int) {
	spoken := m.attempt.spoken
	// A peer that answers is there, and was so for IKEv2; of one that does not
	// nothing is known.
	m.sure = m.attempt.heard || m.sure && v == v2
	m.attempt.end()
	switch {
	case !m.cfg.Initiator || spoken:
		// The machine itself knows whether it tries again.
		m.report(t, ike.Failed, m.words())
	case v == v2:
		m.retire(t, v)
		m.try(t, v1)
	default:
		m.retire(t, v)
		m.report(t, ike.Failed, m.words())
		if m.cfg.Restart {
			m.attempt.again = t.now.Add(m.backOff())
		}
	}
}

// backOff is the next pause; each is twice the one before.
func (m *Machine) backOff() time.Duration {
	most := m.cfg.Tuning.RestartMax
	pause := min(max(m.attempt.pause, firstPause), most)
	m.attempt.pause = min(2*pause, most)
	return pause
}

// words say why each version came to nothing.
func (m *Machine) words() string {
	var out []string
	for _, v := range []int{v2, v1} {
		if r := m.sides[v].reason; r != "" {
			out = append(out, name(v)+": "+r)
		}
	}
	return strings.Join(out, "; ")
}
