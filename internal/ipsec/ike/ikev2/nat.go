package ikev2

import (
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// portNAT is where IKE and ESP go once a NAT is found (RFC 7296 section 2.23).
const portNAT = 4500

// keepalive is the whole of a NAT keepalive (RFC 3948 section 2.3).
const keepalive = 0xff

// A path is where the messages of one IKE SA go.
type path struct {
	local, remote       netip.AddrPort
	natLocal, natRemote bool
	supported           bool      // the peer sent NAT detection payloads
	sent                time.Time // when we last sent
}

// natHash is the data of a NAT detection notify.
func natHash(spiI, spiR uint64, at netip.AddrPort) []byte {
	b := binary.BigEndian.AppendUint64(nil, spiI)
	b = binary.BigEndian.AppendUint64(b, spiR)
	b = append(b, at.Addr().Unmap().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, at.Port())
	sum := sha1.Sum(b)
	return sum[:]
}

// natPayloads are the two detection notifies of a message that goes along p.
// With force the source is a lie, so that the peer sees a NAT.
func natPayloads(spiI, spiR uint64, p path, force bool) []wire.Payload {
	source := natHash(spiI, spiR, p.local)
	if force {
		source[0] ^= 0xff
	}
	return []wire.Payload{
		&wire.Notify{Type: wire.NATDetectionSource, Data: source},
		&wire.Notify{Type: wire.NATDetectionDest, Data: natHash(spiI, spiR, p.remote)},
	}
}

// detect compares what the peer says of the addresses with what we see in its
// message, which came along p.
func (p *path) detect(h ike.Header, list []wire.Payload, force bool) {
	// There may be several about the source, since a sender may have many
	// addresses: one that fits is enough (RFC 7296 section 2.23).
	source, sources := natMatch(list, wire.NATDetectionSource, natHash(h.SPIi, h.SPIr, p.remote))
	dest, dests := natMatch(list, wire.NATDetectionDest, natHash(h.SPIi, h.SPIr, p.local))
	p.supported = sources && dests
	p.natRemote = sources && !source
	p.natLocal = dests && !dest
	if force && p.supported {
		p.natLocal = true
	}
}

// natMatch reports whether list has a notify of type t with the given hash,
// and whether it has one of type t at all.
func natMatch(list []wire.Payload, t wire.NotifyType, hash []byte) (match, present bool) {
	for _, p := range list {
		if n, ok := p.(*wire.Notify); ok && n.Type == t {
			present = true
			match = match || slices.Equal(n.Data, hash)
		}
	}
	return match, present
}

// encap reports whether ESP goes in UDP.
func (p *path) encap() bool { return p.natLocal || p.natRemote }

// float moves an initiator to port 4500.
func (p *path) float() {
	p.local = netip.AddrPortFrom(p.local.Addr(), portNAT)
	p.remote = netip.AddrPortFrom(p.remote.Addr(), portNAT)
}

// follow takes over where a fresh authentic message of s came from. For a
// responder the first one counts where there is a NAT or the initiator has
// moved to port 4500; others do where the peer is behind a NAT. Anywhere else a
// changed port is not the peer's doing: somebody between wants our requests to
// get lost.
//
// With MOBIKE it is for the end that leads to say that addresses have changed
// (RFC 4555 section 3.8), and another one is not followed untold. Another port
// is: strongSwan takes the mapping that its first probe finds for that of the
// beginning, and would never say that it changed before.
//
// RFC 7296 section 2.23 has a host behind a NAT not follow. We do even then: a
// peer that lies about a NAT to get its ESP into UDP (strongSwan's libipsec
// lies about both ends) must not lose the connection when its real NAT moves.
func (m *Machine) follow(t *turn, s *sa, d ike.Datagram) {
	if d.Local == s.path.local && d.Remote == s.path.remote {
		return
	}
	floated := s.state == keyed && !s.initiator && (s.path.encap() || d.Local.Port() != s.path.local.Port())
	moved := d.Remote.Addr() != s.path.remote.Addr() && s.ext.mobike.on
	if !floated && (!s.path.natRemote || moved) {
		return
	}
	s.path.local, s.path.remote = d.Local, d.Remote
	if s == m.current {
		t.act(ike.MovePeer{Local: d.Local, Remote: d.Remote})
	}
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
