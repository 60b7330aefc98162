package ikev2

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// A Machine is one IKEv2 endpoint towards one peer. It implements ike.Machine.
type Machine struct {
	cfg    policy.Config
	shared *Shared

	sas      []*sa // every IKE SA that is not forgotten
	current  *sa   // the one of them that is up and in use
	children []*child

	start  starter
	live   liveness
	status status
	counts counters
	closed bool
	export exported
	shown  shown
	turn   turn // of Step, here to cost nothing

	strangers strangers
	session   resumption
}

// counters are for status.
type counters struct{ retransmits, rekeys uint64 }

// status is what StateChanged last said.
type status struct {
	phase  ike.Phase
	reason string
}

var _ ike.Machine = (*Machine)(nil)

// A Shared is what the machines of one process have in common.
type Shared struct {
	// Cookies lets each demand cookies while many attempts are half open at
	// all of them together. A machine also does while it has one half-open
	// attempt itself.
	Cookies *Cookies
	// Tickets are those with which peers take up lost sessions again. Nil: each
	// machine has its own, and tickets die with it.
	Tickets *Tickets
}

// New checks cfg and returns a machine that does nothing yet. Nil for shared
// means one's own. The error names the field of cfg that is wrong.
func New(cfg policy.Config, shared *Shared) (*Machine, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("ikev2: config: %w", err)
	}
	if shared == nil {
		shared = &Shared{Cookies: NewCookies(cfg.Tuning.Rand)}
	}
	return &Machine{cfg: cfg, shared: shared, session: resumption{tickets: ticketsOf(cfg, shared)}}, nil
}

// ticketsOf are those that a machine gives out, nil for none.
func ticketsOf(cfg policy.Config, shared *Shared) *Tickets {
	switch {
	case !cfg.Extensions.Resumption:
		return nil
	case shared.Tickets != nil:
		return shared.Tickets
	}
	return NewTickets(cfg.Tuning.Rand)
}

// A turn is one call of Step.
type turn struct {
	now time.Time
	out *ike.Outputs
	err error // the first bug of ours
}

func (t *turn) act(a ike.Action) { t.out.Actions = append(t.out.Actions, a) }

func (t *turn) send(local, remote netip.AddrPort, data ...[]byte) {
	for _, one := range data {
		t.out.Datagrams = append(t.out.Datagrams, ike.Datagram{Local: local, Remote: remote, Data: one})
	}
}

// bug keeps the first error that is not the peer's.
func (t *turn) bug(err error) {
	if t.err == nil && err != nil {
		t.err = fmt.Errorf("ikev2: %w", err)
	}
}

// Notice levels, as slog's.
const (
	levelDebug = -4
	levelInfo  = 0
	levelWarn  = 4
)

// maxReason bounds, in octets, the words about what a peer did: a peer may
// offer and call itself whatever it likes.
const maxReason = 1000

// clip cuts text down to maxReason.
func clip(text string) string {
	if len(text) <= maxReason {
		return text
	}
	return strings.ToValidUTF8(text[:maxReason], "") + "…"
}

func (t *turn) notice(level int, text string, attrs ...any) {
	for i, a := range attrs {
		if s, ok := a.(string); ok {
			attrs[i] = clip(s)
		}
	}
	t.act(ike.Notice{Level: level, Text: text, Attrs: attrs})
}

// Step feeds one event to the machine and adds to out what must be done. It
// never blocks; now is its only clock. An error is a bug of ours or a failure
// of Tuning.Rand, never the peer's doing.
func (m *Machine) Step(now time.Time, ev ike.Event, out *ike.Outputs) error {
	if m.closed {
		return nil
	}
	m.turn = turn{now: now, out: out}
	t := &m.turn
	defer func() { t.out = nil }() // which is the caller's
	switch ev.(type) {
	case ike.Datagram, ike.PeerAlive: // of a datagram receive knows better
	default:
		m.export.stale = true
	}
	switch ev := ev.(type) {
	case ike.Datagram:
		m.receive(t, ev)
	case ike.TimerFired:
		m.expire(t)
	case ike.Initiate:
		m.initiate(t)
	case ike.PeerAlive:
		m.live.hear(ev.At)
	case ike.Resume:
		m.resume(t)
	case ike.RekeyIKE:
		m.startRekeyIKE()
	case ike.RekeyChild:
		m.startRekeyChild()
	case ike.LocalChanged:
		m.localChanged(t, ev.Local)
	case ike.AuthChanged:
		m.authChanged(t, ev.Auth)
	case ike.Close:
		m.close(t)
	default:
		return fmt.Errorf("ikev2: event %T is not handled", ev)
	}
	m.learnMapping()
	m.pump(t)
	m.forgetGone(t)
	m.countHalfOpen()
	return t.err
}

// Deadline is when Step wants TimerFired; the zero time means never.
func (m *Machine) Deadline() time.Time {
	if m.closed {
		return time.Time{}
	}
	at := earliest(m.start.at, m.start.childAt, m.keepaliveAt(), m.probeAt())
	for _, s := range m.sas {
		at = earliest(at, s.window.deadline(), s.ext.fragments.deadline(), s.ext.pendingUntil(), s.until)
		if s.state == up {
			at = earliest(at, s.soft, s.hard)
		}
	}
	for _, c := range m.children {
		at = earliest(at, c.soft, c.hard, c.until)
	}
	return at
}

// usualSAs is how many SAs there are at most but in a flood or a storm: for so
// many a list of them needs no memory of its own.
const usualSAs = 4

// expire does everything that is due.
func (m *Machine) expire(t *turn) {
	var room [usualSAs]*sa
	for _, s := range append(room[:0], m.sas...) { // some go
		m.retransmit(t, s)
		s.ext.fragments.expire(t.now)
		m.expirePending(t, s)
		m.expireSA(t, s)
	}
	var children [usualSAs]*child
	for _, c := range append(children[:0], m.children...) { // some go
		m.expireChild(t, c)
	}
	m.keepMapping(t)
	m.startDue(t)
	// A task may find that it has nothing to do any more: only when no request
	// went out is there need of one.
	m.pump(t)
	m.probePeer(t)
}

// pump begins the next exchange wherever none is under way.
func (m *Machine) pump(t *turn) {
	var room [usualSAs]*sa
	for _, s := range append(room[:0], m.sas...) { // some go
		if s.window.next == lastID && len(s.tasks) > 0 {
			m.outOfIDs(t, s)
		}
		for s.state != gone && s.window.out == nil && len(s.tasks) > 0 {
			k := s.tasks[0]
			s.tasks = slices.Delete(s.tasks, 0, 1)
			list, ok := k.request(m, t, s)
			if !ok {
				continue
			}
			data, err := m.seal(s, s.header(k.exchange(), s.window.next, false), list)
			if err != nil {
				t.bug(err)
				return
			}
			m.launch(t, s, data, k)
		}
	}
}

// close deletes the IKE SA at the peer, once and without waiting, and ends. If
// a request is unanswered it says nothing: the peer's window is 1 (RFC 7296
// section 2.3), so it finds out by its own liveness check.
func (m *Machine) close(t *turn) {
	if s := m.current; s != nil && s.window.out == nil {
		list := []wire.Payload{&wire.Delete{Protocol: wire.ProtoIKE}}
		data, err := m.seal(s, s.header(wire.Informational, s.window.next, false), list)
		t.bug(err)
		if err == nil {
			m.transmit(t, s, data...)
		}
	}
	for _, c := range slices.Clone(m.children) {
		m.removeChild(t, c)
	}
	for _, s := range m.sas {
		s.wipe()
	}
	m.sas, m.current, m.closed = nil, nil, true
	m.setPhase(t, ike.Idle, "closed")
}

// setPhase reports a change.
func (m *Machine) setPhase(t *turn, p ike.Phase, reason string) {
	reason = clip(reason)
	if m.status == (status{p, reason}) {
		return
	}
	m.status = status{p, reason}
	t.act(ike.StateChanged{Phase: p, Reason: reason})
}

// random is n octets of Tuning.Rand.
func (m *Machine) random(t *turn, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(m.cfg.Tuning.Rand, b); err != nil {
		t.bug(fmt.Errorf("random: %w", err))
	}
	return b
}

// jitter is a random duration below limit, or 0.
func (m *Machine) jitter(t *turn, limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint64(m.random(t, 8)) % uint64(limit))
}

// nonceLen serves every PRF that we offer: 32 is half the key of the largest,
// HMAC-SHA2-512 (RFC 7296 section 2.10).
const nonceLen = 32

// newIKESPI draws an IKE SPI, which must not be zero.
func (m *Machine) newIKESPI(t *turn) uint64 {
	return max(1, binary.BigEndian.Uint64(m.random(t, 8)))
}

// newESPSPI draws an ESP SPI; those up to 255 are reserved (RFC 4303 section
// 2.1), and no two children share one.
func (m *Machine) newESPSPI(t *turn) uint32 {
	for range 8 {
		spi := binary.BigEndian.Uint32(m.random(t, 4))
		if spi > 255 && !slices.ContainsFunc(m.children, func(c *child) bool { return c.SA.SPIIn == spi }) {
			return spi
		}
	}
	t.bug(fmt.Errorf("random: no usable ESP SPI in 8 draws"))
	return 256
}
