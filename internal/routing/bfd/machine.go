package bfd

import (
	"fmt"
	"time"
)

// slow is the least interval of transmission while a session is not up (RFC 5880
// section 6.8.3).
const slow = time.Second

// Limits of a Config.
const (
	MinInterval   = 50 * time.Millisecond
	MaxInterval   = time.Minute
	MinMultiplier = 2
	MaxMultiplier = 50
)

// A Config is one session.
type Config struct {
	// Interval is how often we send and want to hear, MinInterval to MaxInterval;
	// the slower end of each direction decides. Multiplier is how many of the
	// peer's packets in a row may be missing, plus one, MinMultiplier to
	// MaxMultiplier; the peer tells us its own for what it sends.
	Interval   time.Duration
	Multiplier int
	// Discriminator tells our sessions apart; not 0, and not easily guessed.
	Discriminator uint32
	// Random is at least 0 and less than 1. It keeps sessions from sending in step
	// (RFC 5880 section 6.8.7).
	Random func() float64
}

// Validate checks what a user may have chosen.
func (c Config) Validate() error {
	switch {
	case c.Interval < MinInterval || c.Interval > MaxInterval:
		return fmt.Errorf("field Interval %v: %v to %v", c.Interval, MinInterval, MaxInterval)
	case c.Multiplier < MinMultiplier || c.Multiplier > MaxMultiplier:
		return fmt.Errorf("field Multiplier %d: %d to %d", c.Multiplier, MinMultiplier, MaxMultiplier)
	}
	return nil
}

// A Machine is one session in asynchronous mode, in the active role.
type Machine struct {
	cfg    Config
	state  State
	diag   Diag
	since  time.Time // when state last changed
	failed time.Time // since when the path is broken; zero while it is not known to be

	// What the peer last said.
	remote      Packet
	remoteKnown bool // remote counts: its discriminator is the one to answer
	heard       time.Time

	polling bool
	sent    time.Time // the zero time has a packet sent at once
	wait    time.Duration
}

// New returns a session that is down. The first Step sends.
func New(cfg Config, now time.Time) *Machine {
	return &Machine{cfg: cfg, state: Down, since: now}
}

// A Status is what a session shows of itself.
type Status struct {
	State, RemoteState State
	Diag               Diag
	Since              time.Time // when State last changed
	// Failed is since when the path is broken: the session left Up, not because
	// either end ended it on purpose. Zero while it is not known to be.
	Failed time.Time
	// Transmit is the interval that we send at, before it is varied, and Detect
	// how long the peer may be silent; 0 while nothing is known of it.
	Transmit, Detect    time.Duration
	Discriminator, Peer uint32
}

// Status is that of now.
func (m *Machine) Status() Status {
	s := Status{State: m.state, RemoteState: Down, Diag: m.diag, Since: m.since, Failed: m.failed, Transmit: m.interval(), Discriminator: m.cfg.Discriminator}
	if m.remoteKnown {
		s.RemoteState, s.Peer, s.Detect = m.remote.State, m.remote.MyDisc, m.detect()
	}
	return s
}

// desired is the interval that we say we want to send at.
func (m *Machine) desired() time.Duration {
	if m.state == Up {
		return m.cfg.Interval
	}
	return max(m.cfg.Interval, slow)
}

// interval is the one that we send at, before it is varied.
func (m *Machine) interval() time.Duration {
	if m.remoteKnown {
		return max(m.desired(), m.remote.RequiredMinRx)
	}
	return m.desired()
}

// detect is how long the peer may be silent (RFC 5880 section 6.8.4).
func (m *Machine) detect() time.Duration {
	return time.Duration(m.remote.DetectMult) * max(m.cfg.Interval, m.remote.DesiredMinTx)
}

// Deadline is when Step wants to be called though nothing came.
func (m *Machine) Deadline() time.Time {
	send := m.sent.Add(m.wait)
	if expiry := m.heard.Add(m.detect()); m.remoteKnown && (m.quiet() || expiry.Before(send)) {
		return expiry
	}
	return send
}

// quiet reports whether the peer wants to hear nothing of its own accord.
func (m *Machine) quiet() bool { return m.remoteKnown && m.remote.RequiredMinRx == 0 }

// Step takes what came, nil if only time passed, and appends to out what is to
// be sent. What is not for this session is passed over.
func (m *Machine) Step(now time.Time, in *Packet, out []Packet) []Packet {
	before := m.state
	if m.remoteKnown && now.Sub(m.heard) >= m.detect() {
		m.expire(now)
	}
	final := false
	if in != nil && m.mine(*in) {
		final = in.Poll
		m.take(now, *in)
	}
	if final {
		answer := m.packet()
		answer.Poll, answer.Final = false, true
		out = append(out, answer)
	}
	changed := m.state != before && !m.sent.IsZero()
	due := !m.quiet() && !now.Before(m.sent.Add(m.wait))
	if changed || due {
		out = append(out, m.packet())
		m.sent, m.wait = now, m.vary(m.interval())
	} else if shortest := m.interval(); m.wait > shortest {
		m.wait = m.vary(shortest) // the peer wants to hear more often than it said
	}
	return out
}

// Close is what to send when the session ends on purpose: the peer must not take
// it for a broken path.
func (m *Machine) Close(now time.Time) Packet {
	m.become(now, AdminDown, AdminDowned)
	p := m.packet()
	p.Poll = false
	return p
}

// mine reports whether p is of this session (RFC 5880 section 6.8.6).
func (m *Machine) mine(p Packet) bool {
	if p.YourDisc != 0 {
		return p.YourDisc == m.cfg.Discriminator
	}
	return p.State == Down || p.State == AdminDown
}

// take changes the session by what the peer says.
func (m *Machine) take(now time.Time, p Packet) {
	m.remote, m.remoteKnown, m.heard = p, true, now
	if p.Final {
		m.polling = false
	}
	switch {
	case m.state == AdminDown:
	case p.State == AdminDown:
		m.failed = time.Time{} // the peer says nothing of the path any more
		if m.state != Down {
			m.become(now, Down, NeighborDown)
		}
	case m.state == Down && p.State == Down:
		m.become(now, Init, m.diag)
	case m.state == Down && p.State == Init, m.state == Init && (p.State == Init || p.State == Up):
		m.become(now, Up, NoDiag)
		m.polling = true // of our interval, which is shorter now
	case m.state == Up && p.State == Down:
		m.failed = now
		m.become(now, Down, NeighborDown)
	}
}

// expire is after the peer was silent for too long.
func (m *Machine) expire(now time.Time) {
	m.remoteKnown = false
	switch m.state {
	case Up:
		m.failed = now
		m.become(now, Down, Expired)
	case Init:
		m.become(now, Down, Expired)
	}
}

func (m *Machine) become(now time.Time, s State, why Diag) {
	m.state, m.diag, m.since = s, why, now
	if s == Up {
		m.failed = time.Time{}
	} else {
		m.polling = false
	}
}

// packet is what we say now.
func (m *Machine) packet() Packet {
	p := Packet{
		Diag: m.diag, State: m.state, Poll: m.polling, DetectMult: uint8(m.cfg.Multiplier), MyDisc: m.cfg.Discriminator,
		DesiredMinTx: m.desired(), RequiredMinRx: m.cfg.Interval,
	}
	if m.remoteKnown {
		p.YourDisc = m.remote.MyDisc
	}
	return p
}

// vary takes up to a quarter off an interval.
func (m *Machine) vary(d time.Duration) time.Duration {
	return d - time.Duration(m.cfg.Random()*float64(d)/4)
}
