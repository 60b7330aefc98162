package ikev2

import (
	"net/netip"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

// A shown is the snapshot that State gave last, and all that was in it: of
// thousands of tunnels most have nothing new to say for hours, and are looked at
// after every message.
type shown struct {
	view view
	snap *ike.Snapshot
}

// A view is all that a snapshot is made of, but for what never changes.
type view struct {
	status status
	counts counters

	local, remote netip.AddrPort // of the IKE SA, else configured

	some                bool // there is an IKE SA; of it:
	current, initiator  bool
	spiI, spiR          uint64
	natLocal, natRemote bool
	suite               suite.IKE
	established         time.Time
	extensions          marks
	peer                ike.Identity
	auth                string // how both have proved themselves

	child *ike.ChildSA // in use; nil if there is none
	encap bool         // all else of it stays as it is
}

// State describes the machine.
func (m *Machine) State() *ike.Snapshot {
	if v := m.view(); m.shown.snap == nil || v != m.shown.view {
		m.shown = shown{v, m.snapshot(v)}
	}
	return m.shown.snap
}

// view looks at the machine.
func (m *Machine) view() view {
	v := view{status: m.status, counts: m.counts, local: m.cfg.Local, remote: m.cfg.Remote}
	s := m.current
	if s == nil && len(m.sas) > 0 {
		s = m.sas[len(m.sas)-1]
	}
	if s == nil || s.state == gone {
		return v
	}
	v.some, v.current, v.initiator = true, s == m.current, s.initiator
	v.local, v.remote = s.path.local, s.path.remote
	v.spiI, v.spiR = s.spiI, s.spiR
	v.natLocal, v.natRemote = s.path.natLocal, s.path.natRemote
	v.suite, v.established, v.extensions = s.suite, s.established, s.ext.marks()
	v.peer, v.auth = s.peer.Identity, s.peer.auth
	if c := m.used(); c != nil {
		v.child, v.encap = c.SA, c.SA.Encap
	}
	return v
}

// snapshot says v in the words of status.
func (m *Machine) snapshot(v view) *ike.Snapshot {
	snap := &ike.Snapshot{
		Version: 2, Phase: v.status.phase, Reason: v.status.reason, Initiator: m.cfg.Initiator,
		Local: v.local, Remote: v.remote, LocalID: m.cfg.LocalID.String(), RemoteID: m.cfg.RemoteID.String(),
		Retransmits: v.counts.retransmits, Rekeys: v.counts.rekeys,
	}
	if !v.some {
		return snap
	}
	snap.SPIi, snap.SPIr = v.spiI, v.spiR
	snap.NATLocal, snap.NATRemote = v.natLocal, v.natRemote
	snap.Suite, snap.Established, snap.Extensions = v.suite, v.established, v.extensions.names(v.suite)
	if v.current {
		snap.Initiator, snap.RemoteID, snap.Auth = v.initiator, clip(v.peer.String()), v.auth
	}
	if c := v.child; c != nil {
		snap.Child = &ike.ChildSnapshot{
			SPIIn: c.SPIIn, SPIOut: c.SPIOut, Suite: c.Suite, Encap: v.encap,
			LocalTS: slices.Clone(c.LocalTS), RemoteTS: slices.Clone(c.RemoteTS), Established: c.Created,
		}
	}
	return snap
}
