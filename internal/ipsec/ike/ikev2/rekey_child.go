package ikev2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// When a rekey is tried again: after TEMPORARY_FAILURE the peer is given time
// to finish what it does; another refusal is not likely to pass soon.
const (
	retryTemporary = 2 * time.Second // plus up to as much again, at random
	retryRefused   = 30 * time.Second
)

// createChild is our CREATE_CHILD_SA exchange for a CHILD SA: the successor of
// old, or a first one if old is nil.
type createChild struct {
	old   *child
	offer offer
	ni    []byte
	key   drawn
	group suite.Group // that the peer asked for; 0: ours to choose
	tries int

	// What the peer has agreed to, and the lower of the nonces of our exchange.
	plan *childPlan
	own  []byte

	// When the peer rekeys old at the same time (RFC 7296 section 2.8.1): the
	// CHILD SA of its exchange, nil until that is complete, and the lower of
	// that exchange's nonces.
	theirs *child
	lowest []byte

	deleted []uint32 // SPIs that the peer has deleted meanwhile, of what we do not have
}

func (*createChild) exchange() uint8 { return wire.CreateChildSA }

// rekeyChild begins a rekey of c, unless one has begun.
func (m *Machine) rekeyChild(c *child) {
	begun := c.ike.begun(func(k task) bool {
		cc, ok := k.(*createChild)
		return ok && cc.old == c
	})
	if c.ike.state == up && !begun {
		c.ike.tasks = append(c.ike.tasks, &createChild{old: c})
	}
}

// startRekeyChild is the operator's wish for a new CHILD SA.
func (m *Machine) startRekeyChild() {
	if c := m.used(); c != nil {
		m.rekeyChild(c)
		return
	}
	m.requestChild()
}

// requestChild asks for a CHILD SA on an IKE SA that has none.
func (m *Machine) requestChild() {
	s := m.current
	if s == nil || m.used() != nil {
		return
	}
	// A rekey that waits will find nothing to rekey; one under way sees to
	// what comes after it.
	begun := s.begun(func(k task) bool {
		cc, ok := k.(*createChild)
		return ok && (cc.old == nil || s.underway(func(u task) bool { return u == k }))
	})
	if begun {
		return
	}
	s.tasks = append(s.tasks, &createChild{})
}

// firstGroup is the group of our KE payload: the one asked for, else that of
// the CHILD SA before, else the first that we offer; 0 without PFS.
func (m *Machine) firstGroup(k *createChild) suite.Group {
	groups := slices.DeleteFunc(proposal.GroupsESP(m.cfg.ESP), func(g suite.Group) bool { return g == 0 })
	switch {
	case k.group != 0:
		return k.group
	case len(groups) == 0:
		return 0
	case k.old != nil && slices.Contains(groups, k.old.SA.Suite.Group):
		return k.old.SA.Suite.Group
	}
	return groups[0]
}

func (k *createChild) request(m *Machine, t *turn, s *sa) ([]wire.Payload, bool) {
	if (k.old != nil && k.old.state != childUp) || (k.old == nil && m.used() != nil) {
		return nil, false
	}
	if m.peerFollowsUp(t, s, k) {
		return nil, false
	}
	k.tries++
	k.ni = m.random(t, nonceLen)
	k.offer = offer{spi: m.newESPSPI(t), pfs: true}
	var list []wire.Payload
	if k.old != nil {
		// The SPI is that which the sender of the request takes packets with.
		// https://www.rfc-editor.org/rfc/rfc7296#section-1.3.3
		list = append(list, &wire.Notify{Protocol: wire.ProtoESP, SPI: spiOctets(k.old.SA.SPIIn), Type: wire.RekeySA})
	}
	list = append(list, &wire.SA{Proposals: proposal.ESP(m.cfg.ESP, k.offer.spi, true)}, &wire.Nonce{Data: k.ni})
	if g := m.firstGroup(k); g != 0 {
		x, key, err := m.draw(g)
		if err != nil {
			t.bug(err)
			return nil, false
		}
		k.offer.x, k.key = x, key
		list = append(list, &wire.KE{Group: uint16(g), Public: x.Public()})
	}
	return append(list, &wire.TS{Selectors: m.cfg.LocalTS}, &wire.TS{Responder: true, Selectors: m.cfg.RemoteTS}), true
}

func spiOctets(spi uint32) []byte { return binary.BigEndian.AppendUint32(nil, spi) }

func (k *createChild) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	if s != m.current {
		return // s was replaced meanwhile, and takes its CHILD SAs along
	}
	if n, ok := wire.FindError(list); ok {
		k.refused(m, t, s, n)
		return
	}
	s.busy = busyness{}
	nonce, ok := wire.Find[*wire.Nonce](list)
	if !ok {
		m.broken(t, s, "peer's CREATE_CHILD_SA response has no nonce")
		return
	}
	plan, reason := m.planAnswered(k.offer, suite.KeyInput{Ni: k.ni, Nr: nonce.Data}, list)
	if plan == nil {
		k.unusable(m, t, s, reason)
		return
	}
	k.plan, k.own = plan, lower(k.ni, nonce.Data)
	if groups := plan.suite.AddKE.List(); len(groups) > 0 {
		m.beginFollowUp(t, s, k, groups, list)
		return
	}
	k.complete(m, t, s)
}

// unusable says that the peer has made a CHILD SA that we cannot use.
func (k *createChild) unusable(m *Machine, t *turn, s *sa, reason string) {
	s.tasks = append(s.tasks, &deleteChild{spiIn: k.offer.spi})
	k.failed(m, t, reason, retryRefused)
}

// complete makes the CHILD SA after the last key exchange.
func (k *createChild) complete(m *Machine, t *turn, s *sa) {
	if s != m.current {
		return // as in response
	}
	if slices.Contains(k.deleted, k.plan.spiOut) {
		k.plan.in.Wipe()
		k.failed(m, t, "peer has deleted the CHILD SA already", retryRefused)
		return
	}
	c := m.makeChild(t, s, k.plan)
	if c == nil {
		k.unusable(m, t, s, "keys could not be made")
		return
	}
	k.succeeded(m, t, c, k.own)
}

// lower is the lower of two nonces, compared octet by octet.
func lower(a, b []byte) []byte {
	if bytes.Compare(a, b) <= 0 {
		return a
	}
	return b
}

// succeeded puts c in place of the old CHILD SA, unless the peer has rekeyed
// that too and its exchange wins.
func (k *createChild) succeeded(m *Machine, t *turn, c *child, lowest []byte) {
	if k.old != nil {
		m.counts.rekeys++
	}
	// Both ends have seen both exchanges, so both decide alike, whatever has
	// become of the peer's CHILD SA since.
	crossed := k.lowest != nil
	// "[...] the SA created with the lowest of the four nonces used in the two
	// exchanges SHOULD be closed by the endpoint that created it."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.8.1
	if crossed && bytes.Compare(lowest, k.lowest) < 0 {
		t.notice(levelDebug, "both ends made a CHILD SA; ours is redundant", "spi_in", spiWord(c.SA.SPIIn))
		if k.theirs != nil && k.theirs.state == childUp {
			m.replacedBy(t, k.old, k.theirs)
		}
		m.closeChild(t, c)
		return
	}
	if crossed {
		c.ike.ext.giveUp(k.old)
	}
	if crossed && k.theirs != nil && k.theirs.state == childUp {
		t.notice(levelDebug, "both ends made a CHILD SA; the peer's is redundant", "spi_in", spiWord(k.theirs.SA.SPIIn))
		k.theirs.state, k.theirs.soft = childReplaced, time.Time{}
	}
	m.use(t, c)
	switch {
	case k.old == nil:
		c.lowest = lowest
	case k.old.state == childUp:
		m.closeChild(t, k.old)
	}
}

// replacedBy says that the peer's exchange made next in place of old, which
// the peer will delete. Outgoing packets take old until then, since only then
// is it certain that the peer knows next.
func (m *Machine) replacedBy(t *turn, old, next *child) {
	if old == nil {
		m.use(t, next)
		return
	}
	old.next = next
	if old.state != childUp {
		m.use(t, next)
		return
	}
	old.state, old.soft = childReplaced, time.Time{}
}

// closeChild deletes c at the peer; it still takes in packets.
func (m *Machine) closeChild(t *turn, c *child) {
	c.state, c.soft = childClosing, time.Time{}
	c.ike.tasks = append(c.ike.tasks, &deleteChild{spiIn: c.SA.SPIIn, spiOut: c.SA.SPIOut})
}

// refused takes an error in the response.
func (k *createChild) refused(m *Machine, t *turn, s *sa, n *wire.Notify) {
	switch n.Type {
	case wire.InvalidKEPayload:
		k.retryGroup(m, t, s, n)
	case wire.TemporaryFailure:
		if s.busy.tooLong(t.now) {
			m.broken(t, s, busyReason)
			return
		}
		// "[...] MUST NOT immediately retry the operation".
		// https://www.rfc-editor.org/rfc/rfc7296#section-2.25
		k.failed(m, t, "peer is busy with the same SA (TEMPORARY_FAILURE)", retryTemporary+m.jitter(t, retryTemporary))
	case wire.ChildSANotFound:
		// "[...] SHOULD silently delete the Child SA (if it still exists) and
		// send a request to create a new Child SA from scratch".
		// https://www.rfc-editor.org/rfc/rfc7296#section-2.25
		if k.old == nil || k.theirs != nil || !slices.Contains(m.children, k.old) || k.old.state != childUp {
			k.failed(m, t, "peer no longer knows the CHILD SA", retryTemporary)
			return
		}
		m.removeChild(t, k.old)
		m.setPhase(t, ike.Authed, "peer no longer knows the CHILD SA")
		s.tasks = append(s.tasks, &createChild{})
	case wire.NoAdditionalSAs:
		if k.old == nil || k.theirs != nil || !m.beginAnew(t, s, "peer makes no more CHILD SAs on this IKE SA (NO_ADDITIONAL_SAS)") {
			k.failed(m, t, m.childRefused(n.Type, true), retryRefused)
		}
	default:
		k.failed(m, t, m.childRefused(n.Type, true), retryRefused)
	}
}

// retryGroup asks again with the group that the peer wants.
func (k *createChild) retryGroup(m *Machine, t *turn, s *sa, n *wire.Notify) {
	allowed := proposal.GroupsESP(m.cfg.ESP)
	if len(n.Data) != 2 || k.tries >= maxInitTries {
		k.failed(m, t, "peer's INVALID_KE_PAYLOAD makes no sense", retryRefused)
		return
	}
	g := suite.Group(binary.BigEndian.Uint16(n.Data))
	if g == 0 || !slices.Contains(allowed, g) {
		k.failed(m, t, fmt.Sprintf("peer wants %v for the CHILD SA; we allow %s: add %d to Phase2DHGroupNumbers", g, proposal.GroupWords(allowed), g), retryRefused)
		return
	}
	k.group = g
	s.tasks = append([]task{k}, s.tasks...)
}

// failed arranges for another try, or leaves it to the peer's own rekey.
func (k *createChild) failed(m *Machine, t *turn, reason string, pause time.Duration) {
	switch {
	case k.theirs != nil && k.theirs.state == childUp:
		m.replacedBy(t, k.old, k.theirs)
	case k.lowest != nil && m.current != nil && m.current.ext.awaits(k.old):
		// The peer goes on with its own exchange.
	case k.old != nil && k.old.state == childUp:
		t.notice(levelWarn, "CHILD SA could not be rekeyed", "reason", reason, "again_in", pause)
		k.old.soft = t.now.Add(pause)
	case m.used() == nil:
		t.notice(levelWarn, "no CHILD SA", "reason", reason)
		m.lacksChild(t, reason)
	}
}
