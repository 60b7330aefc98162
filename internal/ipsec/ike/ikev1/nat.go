package ikev1

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/keys"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// portNAT is where IKE and ESP go once a NAT is found (RFC 3947 section 4).
const portNAT = 4500

// keepalive is the whole of a NAT keepalive (RFC 3948 section 2.3).
const keepalive = 0xff

// A path is where the messages of one ISAKMP SA go.
type path struct {
	local, remote       netip.AddrPort
	natLocal, natRemote bool
	supported           bool      // the peer announced RFC 3947
	sent                time.Time // when we last sent
	agreed              encapMode // what the peer chose for ESP against what we see
}

// An encapMode is whether ESP goes in UDP.
type encapMode uint8

const (
	asSeen encapMode = iota // if there is a NAT
	inUDP
	notInUDP
)

// natHash is the data of a NAT-D payload: hash(CKY-I | CKY-R | IP | port) with
// the negotiated hash (RFC 3947 section 3.2).
func (s *sa) natHash(at netip.AddrPort) []byte {
	b := binary.BigEndian.AppendUint64(nil, s.spiI)
	b = binary.BigEndian.AppendUint64(b, s.spiR)
	b = append(b, at.Addr().Unmap().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, at.Port())
	return keys.Digest(s.suite.PRF, b)
}

// natPayloads are our two NAT-D payloads, the peer's address first (RFC 3947
// section 3.2). With force our own is a lie, so that the peer sees a NAT.
func (s *sa) natPayloads(force bool) []wire.Payload {
	if !s.path.supported {
		return nil
	}
	source := s.natHash(s.path.local)
	if force {
		source[0] ^= 0xff
	}
	return []wire.Payload{&wire.NATD{Hash: s.natHash(s.path.remote)}, &wire.NATD{Hash: source}}
}

// detect compares what the peer says of the addresses in list with what we
// see: its message came from d.Remote to d.Local.
func (s *sa) detect(list []wire.Payload, d ike.Datagram, force bool) {
	said := wire.FindAll[*wire.NATD](list)
	if !s.path.supported || len(said) < 2 {
		s.path.supported = false
		return
	}
	is := func(n *wire.NATD, at netip.AddrPort) bool { return slices.Equal(n.Hash, s.natHash(at)) }
	// The first is about us. The others are about the sender, which may have
	// many addresses: one that fits is enough (RFC 3947 section 3.2).
	s.path.natLocal = !is(said[0], d.Local) || force
	s.path.natRemote = !slices.ContainsFunc(said[1:], func(n *wire.NATD) bool { return is(n, d.Remote) })
}

// encap reports whether ESP goes in UDP.
func (p *path) encap() bool {
	if p.agreed != asSeen {
		return p.agreed == inUDP
	}
	return p.natLocal || p.natRemote
}

// yield lets the peer have ESP in UDP, or not, against what we see of a NAT,
// and reports whether it may. Main mode proves nothing of what it says of
// addresses: whoever changed that once under way must not have the ends
// disagree for the life of the SA. The peer's quick mode is proven.
func (p *path) yield() bool {
	switch {
	case p.encap():
		p.agreed = notInUDP
	case p.local.Port() == portNAT:
		p.agreed = inUDP
	default:
		return false
	}
	return true
}

// float moves an initiator to port 4500 (RFC 3947 section 4).
func (p *path) float() {
	if p.local.Port() == portNAT {
		return // that is where it began
	}
	p.local = netip.AddrPortFrom(p.local.Addr(), portNAT)
	p.remote = netip.AddrPortFrom(p.remote.Addr(), portNAT)
}

// follow takes over where an authentic message of s came from that was never
// seen before. For a responder the one that ends main mode counts where there
// is a NAT or the initiator has moved to port 4500; others do where the peer
// is behind a NAT, and one that shows that the initiator has moved, if the one
// that ended main mode did not. Nobody moves back (RFC 3947 section 4). Anywhere
// else a changed port is not the peer's doing: somebody between wants our messages
// to get lost.
func (m *Machine) follow(t *turn, s *sa, d ike.Datagram) {
	if d.Local == s.path.local && d.Remote == s.path.remote {
		return
	}
	floated := s.state == proving && !s.initiator && (s.path.encap() || d.Local.Port() != s.path.local.Port())
	back := s.path.local.Port() == portNAT && d.Local.Port() != portNAT
	if back || !floated && !s.path.natRemote && !s.floatedLate(d) {
		return
	}
	s.path.local, s.path.remote = d.Local, d.Remote
	if s == m.current {
		t.act(ike.MovePeer{Local: d.Local, Remote: d.Remote})
	}
}

// floatedLate reports whether d, an authentic message to a responder that sees no
// NAT, shows that the initiator sees one and has moved to port 4500.
func (s *sa) floatedLate(d ike.Datagram) bool {
	moved := netip.AddrPortFrom(s.path.remote.Addr(), portNAT)
	return !s.initiator && s.path.local.Port() != portNAT && d.Local.Port() == portNAT && d.Remote == moved
}

// fresh notes that an authentic message of s, never seen before, came from d:
// the peer lives, and that is where it is.
func (m *Machine) fresh(t *turn, s *sa, d ike.Datagram) {
	if s == m.current {
		m.live.hear(t.now)
	}
	m.follow(t, s, d)
}

// keepaliveAt is when the NAT in front of us needs to see a packet.
func (m *Machine) keepaliveAt() time.Time {
	s := m.current
	if s == nil || !s.path.natLocal {
		return time.Time{}
	}
	return s.path.sent.Add(m.cfg.NATKeepalive)
}

// keepMapping sends a keepalive when one is due.
func (m *Machine) keepMapping(t *turn) {
	if at := m.keepaliveAt(); !at.IsZero() && !t.now.Before(at) {
		m.transmit(t, m.current, []byte{keepalive})
	}
}
