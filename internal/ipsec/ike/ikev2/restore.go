package ikev2

import (
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

const (
	// skipIVs is how many counted IVs of an IKE SA are left out by a restart.
	// The kept count is exact; the margin costs nothing, as there are 2^64.
	skipIVs = 1 << 32
	// proveWithin is how long the peer may take to show that it still knows
	// an SA that was resumed: a new one costs two round trips, so it is not
	// worth waiting much longer.
	proveWithin = 5 * time.Second
	// provePause is how long it may take before it is asked again.
	provePause = 500 * time.Millisecond
)

// Restore makes a machine that goes on where the one whose Export gave state
// was ended, without the peer's knowing. Its first Step must be ike.Resume.
// cfg must be what that one was made with, but for its randomness, and for the
// certificates, which are looked at again; state is
// the last that it exported before it sent anything: an older one would repeat
// message ids and IVs. The error wraps ErrState if state is malformed, its
// lifetime is over, or cfg does not allow what it holds.
func Restore(cfg policy.Config, shared *Shared, now time.Time, state secret.Secret) (*Machine, error) {
	m, err := New(cfg, shared)
	if err != nil {
		return nil, err
	}
	c := &codec{b: state.Reveal(), reading: true}
	ivs := map[*sa]uint64{}
	if m.code(c, ivs); c.err != nil {
		return nil, fmt.Errorf("ikev2: restore: %w", c.err)
	}
	if err := m.checkRestored(now); err != nil {
		return nil, fmt.Errorf("ikev2: restore: %w: %w", ErrState, err)
	}
	for _, s := range m.sas {
		if ivs[s]+skipIVs < skipIVs {
			return nil, fmt.Errorf("ikev2: restore: %w: the IVs are used up", ErrState)
		}
		if err := s.adopt(m, s.keys); err != nil {
			return nil, fmt.Errorf("ikev2: restore: %w: %w", ErrState, err)
		}
		s.seal.SkipTo(ivs[s] + skipIVs)
	}
	for _, c := range m.children {
		c.SA.Resumed = true
	}
	return m, nil
}

// checkRestored reports what of a restored machine cannot be, or be any more.
func (m *Machine) checkRestored(now time.Time) error {
	s := m.current
	switch {
	case s == nil || s.state != up:
		return fmt.Errorf("no IKE SA is up")
	case !s.hard.After(now):
		return fmt.Errorf("the IKE SA's lifetime ended at %v", s.hard)
	case s.path.local.Addr() != m.cfg.Local.Addr() && !m.cfg.Local.Addr().IsUnspecified():
		return fmt.Errorf("our address was %v and is %v", s.path.local.Addr(), m.cfg.Local.Addr())
	case !m.cfg.RemoteID.IsZero() && !m.cfg.RemoteID.Matches(s.peer.Identity):
		return fmt.Errorf("the peer was %v, we expect %v", s.peer, m.cfg.RemoteID)
	case !slices.ContainsFunc(m.cfg.IKE, func(x suite.IKE) bool { x.AddKE = s.suite.AddKE; return x == s.suite }):
		return fmt.Errorf("%v is not allowed any more", s.suite)
	case m.status.phase != ike.Authed && m.status.phase != ike.Established:
		return fmt.Errorf("phase %v with an IKE SA that is up", m.status.phase)
	}
	if m.cfg.Auth.Signs() { // whom we believe may have changed meanwhile
		if err := m.stillTrusted(now, s.peer); err != nil {
			return fmt.Errorf("the peer %v is not believed any more: %w", s.peer, err)
		}
	}
	for _, s := range m.sas {
		if err := s.checkRestored(); err != nil {
			return err
		}
	}
	inbound := map[uint32]bool{}
	used := 0
	for _, c := range m.children {
		if err := c.checkRestored(now); err != nil {
			return err
		}
		if inbound[c.SA.SPIIn] {
			return fmt.Errorf("SPI %08x twice", c.SA.SPIIn)
		}
		inbound[c.SA.SPIIn] = true
		if c.used {
			used++
		}
	}
	if used > 1 || (used == 1) != (m.status.phase == ike.Established) {
		return fmt.Errorf("%d CHILD SAs in use, and the tunnel is %v", used, m.status.phase)
	}
	return nil
}

// checkRestored reports what of an IKE SA cannot be.
func (s *sa) checkRestored() error {
	switch {
	case s.state < up || s.state > gone:
		return fmt.Errorf("IKE SA in state %v", s.state)
	case s.spiI == 0 || s.spiR == 0:
		return fmt.Errorf("SPI 0")
	case !s.path.local.IsValid() || !s.path.remote.IsValid() || s.path.remote.Port() == 0:
		return fmt.Errorf("IKE SA from %v to %v", s.path.local, s.path.remote)
	case s.window.out != nil && (s.window.out.data == nil || s.window.out.id != s.window.next-1):
		return fmt.Errorf("request %d under way, the next is %d", s.window.out.id, s.window.next)
	}
	if err := s.suite.Validate(); err != nil {
		return err
	}
	if got, want := s.keys.D.Len(), s.suite.PRF.Size(); got != want {
		return fmt.Errorf("SK_d of %d octets, want %d", got, want)
	}
	return nil
}

// checkRestored reports what of a CHILD SA cannot be, or be any more.
func (s *child) checkRestored(now time.Time) error {
	sa := s.SA
	integ := sa.Suite.Integ.KeyLen()
	switch {
	case s.state > childLingering || s.ike == nil:
		return fmt.Errorf("CHILD SA in state %d", s.state)
	case sa.SPIIn < 256 || sa.SPIOut < 256:
		return fmt.Errorf("CHILD SA with SPIs %08x and %08x", sa.SPIIn, sa.SPIOut)
	case s.used && s.state != childUp && s.state != childReplaced && s.state != childClosing:
		return fmt.Errorf("CHILD SA %08x is used and over", sa.SPIIn)
	case s.used && !s.hard.After(now):
		return fmt.Errorf("the CHILD SA's lifetime ended at %v", s.hard)
	case len(sa.LocalTS) == 0 || len(sa.RemoteTS) == 0:
		return fmt.Errorf("CHILD SA %08x without selectors", sa.SPIIn)
	case !sa.Remote.IsValid():
		return fmt.Errorf("CHILD SA %08x without a peer", sa.SPIIn)
	}
	if err := sa.Suite.Validate(); err != nil {
		return err
	}
	for _, k := range []suite.ESPKeys{sa.KeysIn, sa.KeysOut} {
		if k.Encr.Len() != sa.Suite.EncrKey().MaterialLen() || k.Integ.Len() != integ {
			return fmt.Errorf("CHILD SA %08x has keys of %d and %d octets", sa.SPIIn, k.Encr.Len(), k.Integ.Len())
		}
	}
	for _, ts := range slices.Concat(sa.LocalTS, sa.RemoteTS) {
		if !ts.Start.IsValid() || ts.Start.BitLen() != ts.End.BitLen() || ts.End.Less(ts.Start) || ts.EndPort < ts.StartPort {
			return fmt.Errorf("CHILD SA %08x has selector %v", sa.SPIIn, ts)
		}
	}
	return nil
}

// resume puts what was restored to use. What waited for an answer is sent once
// more as it was; where nothing does, the peer is asked for a sign of life. Its
// answer shows that it still knows the SA.
func (m *Machine) resume(t *turn) {
	s := m.current
	if s == nil || s.seal == nil {
		t.bug(fmt.Errorf("resume: nothing was restored"))
		return
	}
	was := m.status
	m.status = status{} // said by another process
	for _, c := range m.children {
		t.act(ike.InstallInbound{SA: c.SA})
	}
	if c := m.used(); c != nil {
		t.act(ike.UseOutbound{SA: c.SA})
		if c.SA.Local != s.path.local || c.SA.Remote != s.path.remote {
			t.act(ike.MovePeer{Local: s.path.local, Remote: s.path.remote})
		}
	}
	m.setPhase(t, was.phase, was.reason)
	t.notice(levelInfo, "IKE SA goes on after a restart", "remote", s.path.remote, "peer", s.peer.String(), "suite", s.suite.String())
	for _, s := range m.sas {
		if f := s.window.out; f != nil {
			f.pause, f.again, f.giveUp = m.cfg.Tuning.RetransmitFirst, t.now, t.now.Add(m.cfg.Tuning.RetransmitTimeout)
			m.retransmit(t, s)
		}
	}
	if s.window.out == nil {
		s.tasks = slices.Insert(s.tasks, 0, task(&probe{}))
		m.pump(t)
	}
	if f := s.window.out; f != nil {
		f.proof, f.giveUp = true, earliest(f.giveUp, t.now.Add(proveWithin))
		f.pause, f.again = provePause, t.now.Add(provePause)
		if _, probing := f.task.(*probe); probing && s.ext.sync.on {
			f.giveUp = t.now.Add(syncAt)
		}
	}
}
