package ikev1

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/policy"
)

// A Machine is one IKEv1 endpoint towards one peer. It implements ike.Machine.
type Machine struct {
	cfg    policy.Config
	method proposal.Method // how both ends prove who they are

	sas      []*sa // every ISAKMP SA that is not forgotten
	current  *sa   // the one of them that is up and in use
	children []*child
	peer     ike.Identity // of the last SA that came up
	chain    [][]byte     // the certificates that this peer has shown, in DER
	clock    uint64       // counts what must be told apart within one instant

	start  starter
	live   liveness
	status status
	counts counters
	closed bool

	strangers strangers
	recall    recall
}

// counters are for status.
type counters struct{ retransmits, rekeys uint64 }

// status is what StateChanged last said.
type status struct {
	phase  ike.Phase
	reason string
}

var _ ike.Machine = (*Machine)(nil)

// New checks cfg and returns a machine that does nothing yet. The error names
// the field of cfg that is wrong. Of cfg.IKE and cfg.ESP only what IKEv1 can
// negotiate counts; if that is nothing, every attempt fails and says so.
func New(cfg policy.Config) (*Machine, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("ikev1: config: %w", err)
	}
	method, err := methodOf(cfg)
	if err != nil {
		return nil, fmt.Errorf("ikev1: config: %w", err)
	}
	return &Machine{cfg: cfg, method: method}, nil
}

// A turn is one call of Step.
type turn struct {
	now time.Time
	out *ike.Outputs
	err error // the first bug of ours
}

func (t *turn) act(a ike.Action) { t.out.Actions = append(t.out.Actions, a) }

func (t *turn) send(local, remote netip.AddrPort, data []byte) {
	t.out.Datagrams = append(t.out.Datagrams, ike.Datagram{Local: local, Remote: remote, Data: data})
}

// bug keeps the first error that is not the peer's.
func (t *turn) bug(err error) {
	if t.err == nil && err != nil {
		t.err = fmt.Errorf("ikev1: %w", err)
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
	t := &turn{now: now, out: out}
	if m.closed {
		return nil
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
	case ike.AuthChanged:
		m.authChanged(t, ev.Auth)
	case ike.RekeyIKE:
		m.rekeyIKE(t)
	case ike.RekeyChild:
		m.rekeyChild(t)
	case ike.Close:
		m.close(t)
	default:
		return fmt.Errorf("ikev1: event %T is not handled", ev)
	}
	return t.err
}

// Deadline is when Step wants TimerFired; the zero time means never.
func (m *Machine) Deadline() time.Time {
	if m.closed {
		return time.Time{}
	}
	at := earliest(m.start.at, m.start.childAt, m.keepaliveAt(), m.probeAt())
	for _, s := range m.sas {
		at = earliest(at, s.flight.deadline(), s.until, s.retireAt)
		if s.state == up {
			at = earliest(at, s.soft, s.hard)
		}
		for _, q := range s.quicks {
			at = earliest(at, q.flight.deadline(), q.until)
		}
	}
	for _, c := range m.children {
		at = earliest(at, c.soft, c.hard, c.until, c.useAt)
	}
	return at
}

// expire does everything that is due.
func (m *Machine) expire(t *turn) {
	for _, s := range slices.Clone(m.sas) {
		m.expireSA(t, s)
		m.expireQuicks(t, s)
	}
	for _, c := range slices.Clone(m.children) {
		m.expireChild(t, c)
	}
	m.probePeer(t)
	m.keepMapping(t)
	m.startDue(t)
}

// close deletes the SAs at the peer, once and without waiting, and ends.
func (m *Machine) close(t *turn) {
	m.sendDeletes(t)
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

// State describes the machine.
func (m *Machine) State() *ike.Snapshot {
	snap := &ike.Snapshot{
		Version: 1, Phase: m.status.phase, Reason: m.status.reason, Initiator: m.cfg.Initiator,
		Local: m.cfg.Local, Remote: m.cfg.Remote, LocalID: m.cfg.LocalID.String(), RemoteID: m.cfg.RemoteID.String(),
		Retransmits: m.counts.retransmits, Rekeys: m.counts.rekeys,
	}
	s := m.current
	if s == nil && len(m.sas) > 0 {
		s = m.sas[len(m.sas)-1]
	}
	if s == nil {
		return snap
	}
	snap.Local, snap.Remote = s.path.local, s.path.remote
	snap.SPIi, snap.SPIr = s.spiI, s.spiR
	snap.NATLocal, snap.NATRemote = s.path.natLocal, s.path.natRemote
	snap.Suite, snap.Established = s.suite, s.established
	if s == m.current {
		snap.Initiator, snap.RemoteID, snap.Auth = s.initiator, clip(s.peer.String()), s.auth
		snap.Extensions = s.extensions()
	}
	if c := m.used(); c != nil {
		snap.Child = &ike.ChildSnapshot{
			SPIIn: c.SA.SPIIn, SPIOut: c.SA.SPIOut, Suite: c.SA.Suite, Encap: c.SA.Encap,
			LocalTS: slices.Clone(c.SA.LocalTS), RemoteTS: slices.Clone(c.SA.RemoteTS), Established: c.SA.Created,
		}
	}
	return snap
}

// extensions are what the peer of s speaks beyond RFC 2409.
func (s *sa) extensions() []string {
	var out []string
	if s.path.supported {
		out = append(out, "NAT-T")
	}
	if s.dpd.supported {
		out = append(out, "DPD")
	}
	if s.fragments.on {
		out = append(out, "fragmentation")
	}
	return out
}

// tick is a number above all before it.
func (m *Machine) tick() uint64 {
	m.clock++
	return m.clock
}

// random is n octets of Tuning.Rand.
func (m *Machine) random(t *turn, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(m.cfg.Tuning.Rand, b); err != nil {
		t.bug(fmt.Errorf("random: %w", err))
	}
	return b
}

// nonceLen is within the 8 to 256 octets of RFC 2409 section 5, and half the
// key of the largest PRF.
const nonceLen = 32

// newCookie draws an initiator's or responder's cookie, which must not be zero
// (RFC 2408 section 2.5.3: unpredictable; random does for one of 8 octets).
func (m *Machine) newCookie(t *turn) uint64 {
	return max(1, binary.BigEndian.Uint64(m.random(t, 8)))
}

// newESPSPI draws an ESP SPI; those up to 255 are reserved (RFC 4303 section
// 2.1), and no two children or quick modes share one.
func (m *Machine) newESPSPI(t *turn) uint32 {
	for range 8 {
		spi := binary.BigEndian.Uint32(m.random(t, 4))
		if spi > 255 && !m.spiTaken(spi) {
			return spi
		}
	}
	t.bug(fmt.Errorf("random: no usable ESP SPI in 8 draws"))
	return 256
}

func (m *Machine) spiTaken(spi uint32) bool {
	for _, s := range m.sas {
		if slices.ContainsFunc(s.quicks, func(q *quick) bool { return q.offer.SPI == spi }) {
			return true
		}
	}
	return slices.ContainsFunc(m.children, func(c *child) bool { return c.SA.SPIIn == spi })
}
