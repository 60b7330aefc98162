package ikev2

import (
	"fmt"
	"slices"

	"seikan/internal/ipsec/ike/ikev2/wire"
)

// deleteChild is our INFORMATIONAL exchange that closes a CHILD SA.
type deleteChild struct {
	spiIn, spiOut uint32
}

func (*deleteChild) exchange() uint8 { return wire.Informational }

func (k *deleteChild) request(*Machine, *turn, *sa) ([]wire.Payload, bool) {
	// The SPI is the one in packets that come in to us (RFC 7296 sections 1.4.1
	// and 3.11).
	return []wire.Payload{&wire.Delete{Protocol: wire.ProtoESP, SPIs: []uint32{k.spiIn}}}, true
}

func (k *deleteChild) response(m *Machine, t *turn, _ *sa, _ []wire.Payload) {
	for _, c := range m.children {
		if c.SA.SPIIn == k.spiIn && c.state != childLingering {
			m.linger(t, c)
		}
	}
}

// deleteIKE is our INFORMATIONAL exchange that closes the IKE SA.
type deleteIKE struct{}

func (*deleteIKE) exchange() uint8 { return wire.Informational }

func (*deleteIKE) request(*Machine, *turn, *sa) ([]wire.Payload, bool) {
	return []wire.Payload{&wire.Delete{Protocol: wire.ProtoIKE}}, true
}

func (*deleteIKE) response(m *Machine, t *turn, s *sa, _ []wire.Payload) { m.forget(s) }

// respondInformational answers the peer's INFORMATIONAL request, which may be
// a mere sign of life.
func (m *Machine) respondInformational(t *turn, s *sa, r received) {
	var closed []uint32
	for _, p := range r.list {
		d, ok := p.(*wire.Delete)
		switch {
		case ok && d.Protocol == wire.ProtoIKE:
			m.reply(t, s, r)
			m.deletedIKE(t, s)
			return
		case ok && d.Protocol == wire.ProtoESP:
			m.deletedEarly(s, d.SPIs)
			closed = append(closed, m.deletedChildren(t, d.SPIs)...)
		}
	}
	if _, ok := wire.FindNotify(r.list, wire.AuthenticationFailed); ok {
		m.reply(t, s, r)
		m.ended(t, s, fmt.Sprintf("peer %v does not believe that we are %v (AUTHENTICATION_FAILED): %s", s.path.remote, m.cfg.LocalID, m.unbelieved()))
		return
	}
	answer := m.mobikeRequest(t, s, r)
	if len(closed) > 0 {
		answer = append(answer, &wire.Delete{Protocol: wire.ProtoESP, SPIs: closed})
	}
	m.reply(t, s, r, answer...)
}

// maxEarly bounds what deletedEarly keeps.
const maxEarly = 4

// deletedEarly keeps the SPIs of a delete that are not known here while a CHILD
// SA of ours is being made: the peer may have made its side, and deleted it,
// and the delete come before the answer.
func (m *Machine) deletedEarly(s *sa, spis []uint32) {
	k, ok := s.purpose().(*createChild)
	if !ok {
		return
	}
	for _, spi := range spis {
		known := slices.ContainsFunc(m.children, func(c *child) bool { return c.SA.SPIOut == spi })
		if !known && len(k.deleted) < maxEarly {
			k.deleted = append(k.deleted, spi)
		}
	}
}

// deletedChildren closes the CHILD SAs that the peer deletes by its inbound
// SPIs, and returns ours that go with them.
func (m *Machine) deletedChildren(t *turn, spis []uint32) (ours []uint32) {
	for _, c := range slices.Clone(m.children) {
		if c.state == childLingering || !slices.Contains(spis, c.SA.SPIOut) {
			continue
		}
		// "[...] a request to delete a Child SA that it is currently trying to
		// close, it SHOULD reply without a Delete payload."
		// https://www.rfc-editor.org/rfc/rfc7296#section-2.25.1
		if c.state != childClosing {
			ours = append(ours, c.SA.SPIIn)
		}
		m.lostChild(t, c)
	}
	return ours
}

// lostChild takes c out of use after the peer deleted it.
func (m *Machine) lostChild(t *turn, c *child) {
	was := c.used
	if k := m.crossingRekey(c); c.next == nil && k != nil {
		c.next = k.theirs // the peer's rekey has won
	}
	m.keepAgain(t, c)
	m.linger(t, c)
	// Our own delete, if it still waits, has nothing left to do.
	c.ike.tasks = slices.DeleteFunc(c.ike.tasks, func(k task) bool {
		d, ok := k.(*deleteChild)
		return ok && d.spiIn == c.SA.SPIIn
	})
	if !was || m.used() != nil {
		return
	}
	t.notice(levelInfo, "peer deleted the CHILD SA", "spi_in", spiWord(c.SA.SPIIn))
	m.lacksChild(t, "peer deleted the CHILD SA")
}

// keepAgain puts the CHILD SA that c was made to replace back in its place: the
// peer has deleted the successor of its own rekey instead, as it does when it
// cannot use our answer, and will want to rekey once more.
func (m *Machine) keepAgain(t *turn, c *child) {
	for _, old := range m.children {
		if old.next == c && old.state == childReplaced && old.used {
			old.state, old.next = childUp, nil
			old.soft = t.now.Add(retryRefused + m.jitter(t, retryRefused))
		}
	}
}

// crossingRekey is our rekey of c under way that the peer's has crossed.
func (m *Machine) crossingRekey(c *child) *createChild {
	if k, ok := c.ike.purpose().(*createChild); ok && k.old == c && k.theirs != nil {
		return k
	}
	return nil
}

// deletedIKE ends s after the peer deleted it.
func (m *Machine) deletedIKE(t *turn, s *sa) {
	if s != m.current {
		m.finish(s, t.now)
		return
	}
	// "If a peer receives a request to close an IKE SA that it is currently
	// rekeying, it SHOULD reply as usual, and forget about its own rekeying
	// request." If the peer's own rekey crossed ours, that one has won.
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.25.2
	if next := m.rekeyedByPeer(s.purpose()); next != nil {
		m.inherit(t, s, next)
		m.finish(s, t.now)
		return
	}
	m.ended(t, s, "peer deleted the IKE SA")
}
