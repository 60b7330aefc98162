package dual

import (
	"fmt"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

// The versions, as they are counted in Machine.sides.
const (
	v1 = iota
	v2
	versions
	none = -1
)

// name is how a version is called.
func name(v int) string { return fmt.Sprintf("IKEv%d", v+1) }

// other is the other version.
func other(v int) int { return v2 - v }

// A Make makes a machine of one version, for one Config that is always the
// same but for what ike.LocalChanged and ike.AuthChanged say. It is called when the endpoint is made, and whenever the machine that
// it made was closed.
type Make func() (ike.Machine, error)

// A side is one version.
type side struct {
	make    Make
	machine ike.Machine
	phase   ike.Phase     // as it last said
	reason  string        // why it last came to nothing
	move    *ike.MovePeer // where ESP would go if it had the tunnel
}

// A Machine is one endpoint that speaks both versions. It implements
// ike.Machine.
type Machine struct {
	cfg   policy.Config
	sides [versions]side

	owner   int // the version that has the tunnel, or an IKE SA where no version has more; else none
	shown   int // the version that State shows while there is no owner
	attempt attempt
	sure    bool           // that IKEv2 had its chance: the peer was there when it was tried
	spis    map[uint32]int // inbound SPIs that are installed, and by which version
	status  status
	counts  counters // of machines that are closed
	closed  bool
}

// status is what StateChanged last said.
type status struct {
	phase  ike.Phase
	reason string
}

// counters are for status.
type counters struct{ retransmits, rekeys uint64 }

var (
	_ ike.Machine  = (*Machine)(nil)
	_ ike.Exporter = (*Machine)(nil)
)

// New returns an endpoint whose machines one and two make, which are of IKEv1
// and of IKEv2. Both must be for cfg, of which it reads Initiator, Restart and
// Tuning.RestartMax. An error is that of one or two.
func New(cfg policy.Config, one, two Make) (*Machine, error) {
	m := &Machine{cfg: cfg.WithDefaults(), owner: none, shown: v2, spis: map[uint32]int{}}
	m.attempt.version = none
	for v, f := range []Make{v1: one, v2: two} {
		machine, err := f()
		if err != nil {
			return nil, err
		}
		m.sides[v] = side{make: f, machine: machine}
	}
	return m, nil
}

// A turn is one call of Step.
type turn struct {
	now time.Time
	out *ike.Outputs
	err error // the first error of a machine
}

func (t *turn) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// Step feeds one event to the machines that it concerns: a datagram to that of
// its version, what concerns an SA to the one that has the tunnel. An error is
// a bug of ours, as for every ike.Machine.
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
	case ike.Close:
		m.close(t)
	case ike.PeerAlive, ike.RekeyIKE, ike.RekeyChild:
		if m.owner != none {
			m.step(t, m.owner, ev)
		}
	case ike.LocalChanged:
		m.move(t, ev)
	case ike.AuthChanged:
		m.step(t, v2, ev)
		m.step(t, v1, ev)
	case ike.Resume:
		m.step(t, v2, ev) // IKEv1 has nothing to resume
	default:
		return fmt.Errorf("dual: event %T is not handled", ev)
	}
	return t.err
}

// receive gives a datagram to the machine of its version. What is no message
// goes to that of IKEv2, and so does a version that nobody knows, since it
// knows how to refuse one (RFC 7296 section 2.5).
func (m *Machine) receive(t *turn, d ike.Datagram) {
	v := v2
	h, _, err := ike.ParseHeader(d.Data)
	if err == nil {
		if h.Major() == 1 {
			v = v1
		}
		if m.lookAgain(t, v, h) {
			return
		}
		m.attempt.hear(t.now, v, h)
	}
	m.step(t, v, d)
}

// move takes that our address changed. IKEv1 cannot move: a machine of it that
// does not have the tunnel is made anew, with the address that its Make knows
// by now, and so is an attempt of it.
func (m *Machine) move(t *turn, ev ike.LocalChanged) {
	m.step(t, v2, ev)
	if m.owner == v1 {
		return
	}
	m.retire(t, v1)
	if m.attempt.version == v1 {
		m.try(t, v1)
	}
}

// expire does everything that is due.
func (m *Machine) expire(t *turn) {
	for _, v := range []int{v2, v1} {
		if at := m.sides[v].machine.Deadline(); !at.IsZero() && !t.now.Before(at) {
			m.step(t, v, ike.TimerFired{})
		}
	}
	m.attemptDue(t)
}

// Deadline is when Step wants TimerFired; the zero time means never.
func (m *Machine) Deadline() time.Time {
	if m.closed {
		return time.Time{}
	}
	first := time.Time{}
	for _, at := range []time.Time{m.sides[v2].machine.Deadline(), m.sides[v1].machine.Deadline(), m.attempt.again, m.attempt.cut} {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// step feeds one event to the machine of version v and does what comes of it.
func (m *Machine) step(t *turn, v int, ev ike.Event) {
	var out ike.Outputs
	if err := m.sides[v].machine.Step(t.now, ev, &out); err != nil {
		t.fail(err)
	}
	t.out.Datagrams = append(t.out.Datagrams, out.Datagrams...)
	for _, a := range out.Actions {
		m.act(t, v, a)
	}
	m.attempt.sent(v, out.Datagrams) // which may be an attempt since these actions
}

// act passes on what version v wants done, as far as it has the tunnel.
func (m *Machine) act(t *turn, v int, a ike.Action) {
	switch a := a.(type) {
	case ike.InstallInbound:
		m.spis[a.SA.SPIIn] = v
	case ike.UseOutbound:
		m.takeTunnel(t, v)
	case ike.RemoveChild:
		// Should both versions have drawn the same SPI, it is the later one's.
		if m.spis[a.SPIIn] != v {
			return
		}
		delete(m.spis, a.SPIIn)
	case ike.MovePeer:
		if m.owner != none && m.owner != v {
			m.sides[v].move = &a
			return
		}
	case ike.StateChanged:
		m.changed(t, v, a)
		return
	case ike.Notice:
		a.Attrs = append(a.Attrs[:len(a.Attrs):len(a.Attrs)], "version", v+1)
		t.act(a)
		return
	}
	t.act(a)
}

func (t *turn) act(a ike.Action) { t.out.Actions = append(t.out.Actions, a) }

// close ends both machines; only one of them has anything to say to the peer.
func (m *Machine) close(t *turn) {
	for v := range m.sides {
		m.shut(t, v)
	}
	m.owner, m.closed = none, true
	m.report(t, ike.Idle, "closed")
}

// shut closes the machine of version v, without a word about its phase.
func (m *Machine) shut(t *turn, v int) {
	snap := m.sides[v].machine.State()
	m.counts.retransmits += snap.Retransmits
	m.counts.rekeys += snap.Rekeys
	var out ike.Outputs
	if err := m.sides[v].machine.Step(t.now, ike.Close{}, &out); err != nil {
		t.fail(err)
	}
	t.out.Datagrams = append(t.out.Datagrams, out.Datagrams...)
	for _, a := range out.Actions {
		switch a.(type) {
		case ike.RemoveChild, ike.Notice:
			m.act(t, v, a)
		}
	}
}

// retire closes the machine of version v and puts a new one in its place,
// which answers when the peer begins anew.
func (m *Machine) retire(t *turn, v int) {
	m.shut(t, v)
	s := &m.sides[v]
	s.phase, s.move = ike.Idle, nil
	machine, err := s.make()
	if err != nil {
		t.fail(fmt.Errorf("%s: %w", name(v), err))
		return
	}
	s.machine = machine
}

// report says what phase the tunnel is in, if that is new.
func (m *Machine) report(t *turn, p ike.Phase, reason string) {
	if m.status == (status{p, reason}) {
		return
	}
	m.status = status{p, reason}
	t.act(ike.StateChanged{Phase: p, Reason: reason})
}

// State describes the version that has the tunnel, else the one that it is
// being tried with.
func (m *Machine) State() *ike.Snapshot {
	v := m.owner
	if v == none {
		v = m.shown
	}
	snap := *m.sides[v].machine.State()
	rest := m.sides[other(v)].machine.State()
	snap.Phase, snap.Reason = m.status.phase, m.status.reason
	snap.Retransmits += rest.Retransmits + m.counts.retransmits
	snap.Rekeys += rest.Rekeys + m.counts.rekeys
	return &snap
}

// Export is the state of the IKEv2 machine while that has the tunnel: what a
// machine restored from it does is to be the first that the Make of IKEv2
// gives. IKEv1 has nothing that can be kept.
func (m *Machine) Export() (secret.Secret, bool) {
	x, ok := m.sides[v2].machine.(ike.Exporter)
	if !ok || m.owner != v2 || m.closed {
		return secret.Secret{}, false
	}
	return x.Export()
}

// Describe puts a message that the peer sends into words, as the machines do;
// it serves tests and traces.
func (m *Machine) Describe(data []byte) string {
	v := v2
	if h, _, err := ike.ParseHeader(data); err == nil && h.Major() == 1 {
		v = v1
	}
	if d, ok := m.sides[v].machine.(interface{ Describe([]byte) string }); ok {
		return d.Describe(data)
	}
	return fmt.Sprintf("%d octets of %s", len(data), name(v))
}
