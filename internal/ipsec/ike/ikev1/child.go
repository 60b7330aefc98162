package ikev1

import (
	"bytes"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

const (
	// lingerFor is how long a CHILD SA that was replaced still takes in packets
	// that were under way when it was, before we delete it at the peer. That is
	// for the initiator of the quick mode that replaced it: the other end does
	// it after spareFor only, in case the DELETE got lost, and may come back to
	// it until then.
	lingerFor = 5 * time.Second
	spareFor  = time.Minute
	// partFor is how long it takes packets after our DELETE, which nobody
	// acknowledges: if it was lost, and message 3 before it, the peer still
	// sends on this one, until one of the repetitions of message 3 gets through.
	partFor = 10 * time.Second
	// maxFarewells is how many times the DELETE goes in this time if the ends may
	// not agree which CHILD SA stays. At the peer all but one are noise.
	maxFarewells = 4
	// reviveFor is when a CHILD SA that was come back to is rekeyed, if that was
	// due before.
	reviveFor = 10 * time.Second
	// useAfter is how long after message 3 the initiator of a rekey goes on
	// sending on the old CHILD SA: many a responder takes packets on the new
	// one only when it has read that message.
	useAfter = 500 * time.Millisecond
	// maxChildren bounds the CHILD SAs, lingering ones included: more cannot
	// come about by rekeying, however often exchanges cross.
	maxChildren = 32
)

// A childState is the life of one CHILD SA.
//
//	waiting ──message 3──▶ up ──replaced, deleted by the peer──▶ lingering
//
// What our own quick mode made is up at once.
type childState uint8

const (
	childWaiting childState = iota
	childUp
	childLingering
)

// A child is one CHILD SA.
type child struct {
	SA         *ike.ChildSA
	state      childState
	used       bool      // outgoing packets take it
	useAt      time.Time // outgoing packets will take it
	told       bool      // either end has deleted it: nobody comes back to it
	doubt      bool      // the peer may not agree that it is to go, and be sending on it
	farewells  int       // how many times our DELETE went
	asked      time.Time // waiting: when the peer last showed that it lacks message 2
	lowest     []byte    // the lower nonce of the exchange that made it
	span       span      // of that exchange
	soft, hard time.Time
	until      time.Time // lingering: remove
}

// used is the child that outgoing packets take, or soon will: the newest.
func (m *Machine) used() *child {
	for _, c := range m.children {
		if !c.useAt.IsZero() {
			return c
		}
	}
	for _, c := range m.children {
		if c.used {
			return c
		}
	}
	return nil
}

// addChild makes a CHILD SA with its keys and makes it acceptable; nil after a
// bug.
func (m *Machine) addChild(t *turn, s *sa, c *ike.ChildSA, q *quick, shared secret.Secret) *child {
	var err error
	if c.KeysIn, err = s.keys.ESP(c.Suite, shared, c.SPIIn, q.ni, q.nr); err == nil {
		c.KeysOut, err = s.keys.ESP(c.Suite, shared, c.SPIOut, q.ni, q.nr)
	}
	if err != nil {
		t.bug(err)
		return nil
	}
	c.Encap, c.Local, c.Remote, c.Created = s.path.encap(), s.path.local, s.path.remote, t.now
	life := &child{SA: c, asked: t.now, lowest: bytes.Clone(lower(q.ni, q.nr)), span: span{began: q.order}, soft: t.now.Add(m.cfg.Lifetime.Child - m.lead(t)), hard: t.now.Add(m.cfg.Lifetime.Child)}
	m.children = append(m.children, life)
	t.act(ike.InstallInbound{SA: c})
	return life
}

// lower is the lower of two nonces, compared octet by octet.
func lower(a, b []byte) []byte {
	if bytes.Compare(a, b) <= 0 {
		return a
	}
	return b
}

// ready puts c, which both ends have now, in the place of every other CHILD SA:
// a tunnel has one pair (vpn §3.4). If the quick modes of both ends crossed, the
// nonces decide which one stays; IKEv1 has no rule of its own.
//
// With messages lost the ends may see different things cross. So who began a
// quick mode deletes what is to go for its sake, and nobody else does for a
// while: whatever one end deletes, both still have the other pair.
func (m *Machine) ready(t *turn, c *child, ours bool) {
	c.state, c.span.done = childUp, m.tick()
	rekeyed := false
	for _, other := range slices.Clone(m.children) {
		if other == c || other.state != childUp {
			continue
		}
		if other.SA.Initiator == c.SA.Initiator && other.span.began > c.span.began {
			c.doubt = true
			m.linger(t, c, ours) // the same end has begun anew since; only messages crossed
			return
		}
		crossed := other.SA.Initiator != c.SA.Initiator && other.span.crosses(c.span)
		if crossed && bytes.Compare(other.lowest, c.lowest) > 0 {
			t.notice(levelDebug, "both ends made a CHILD SA; one is redundant", "spi_in", spiWord(c.SA.SPIIn))
			c.doubt = true
			m.linger(t, c, ours)
			return
		}
		other.doubt = other.doubt || crossed
		if crossed && other.SA.Initiator {
			other.until = t.now.Add(lingerFor) // ours is the redundant one
		}
		rekeyed = true
	}
	if rekeyed {
		m.counts.rekeys++
	}
	if ours && rekeyed {
		c.useAt = t.now.Add(useAfter)
		for _, other := range m.children {
			if other != c && other.state == childUp {
				other.useAt = time.Time{}
				other.until = earliest(other.until, c.useAt.Add(lingerFor)) // ours to delete, whatever comes first now
			}
		}
		return
	}
	m.use(t, c)
}

// awaited is called when the peer shows that it does not have c yet: it goes on
// with what c replaces, which must not be deleted for as long.
func (m *Machine) awaited(t *turn, c *child) {
	if !c.useAt.IsZero() {
		c.useAt = t.now.Add(useAfter)
	}
	for _, other := range m.children {
		if c.used && other != c && !other.told && !other.until.IsZero() {
			other.until = latest(other.until, t.now.Add(lingerFor))
		}
	}
}

// use lets outgoing packets take c, and the others linger.
func (m *Machine) use(t *turn, c *child) {
	for _, other := range m.children {
		other.used, other.useAt = false, time.Time{}
		if other != c && other.state == childUp {
			m.linger(t, other, c.SA.Initiator)
		}
	}
	c.used = true
	m.start = starter{}
	t.act(ike.UseOutbound{SA: c.SA})
	m.setPhase(t, ike.Established, "")
}

// removeChild forgets c at once.
func (m *Machine) removeChild(t *turn, c *child) {
	c.state, c.used, c.useAt = childLingering, false, time.Time{}
	m.children = slices.DeleteFunc(m.children, func(x *child) bool { return x == c })
	t.act(ike.RemoveChild{SPIIn: c.SA.SPIIn})
	// The owner carries actions out after the step: keys that this very step
	// says to install must still be there then.
	if t.now.After(c.SA.Created) {
		for _, k := range []suite.ESPKeys{c.SA.KeysIn, c.SA.KeysOut} {
			k.Encr.Wipe()
			k.Integ.Wipe()
		}
	}
}

// linger takes c out of use; it is removed when the packets under way must have
// come in, and a good while later if it is for the peer to delete it.
func (m *Machine) linger(t *turn, c *child, ours bool) {
	c.state, c.used, c.useAt = childLingering, false, time.Time{}
	wait := spareFor
	if ours {
		wait = lingerFor
	}
	c.doubt = c.doubt || !ours && c.until.IsZero()
	c.until = earliest(c.until, t.now.Add(wait))
}

// expireChild does what is due for c.
func (m *Machine) expireChild(t *turn, c *child) {
	switch {
	case !slices.Contains(m.children, c): // removed by what was due before
	case due(t, c.hard): // whatever else is: its keys must not be used any more
		m.expired(t, c)
	case due(t, c.until) && !c.told && (m.asking() || m.current == nil):
		c.until = t.now.Add(lingerFor) // see fallback, which would be misled
	case due(t, c.until) && (!c.told || c.doubt && c.farewells < maxFarewells):
		m.part(t, c)
	case due(t, c.until):
		m.removeChild(t, c)
	case due(t, c.useAt):
		m.use(t, c)
	case due(t, c.soft):
		c.soft = time.Time{}
		if c == m.used() {
			m.softEnd(t, c)
		}
	}
}

// softEnd begins the rekey of c, or comes back to it when there is an ISAKMP SA
// to do it on.
func (m *Machine) softEnd(t *turn, c *child) {
	if m.current == nil {
		c.soft = t.now.Add(retryQuick)
		return
	}
	m.startQuick(t, c)
}

// part deletes c at the peer and keeps it for partFor: the peer may think that
// this is the one to send on, if quick modes crossed, and needs a moment to read
// the DELETE. Nobody acknowledges one, so that it goes several times then.
func (m *Machine) part(t *turn, c *child) {
	if m.current != nil {
		m.inform(t, m.current, wire.NewDelete(c.SA.SPIIn))
	}
	c.told = true
	c.farewells++
	rest := partFor
	if c.doubt {
		pause := time.Second << (c.farewells - 1) // 1 s, 2 s, 4 s, and what is left
		if rest = pause; c.farewells == maxFarewells {
			rest = partFor - (pause - time.Second)
		}
	}
	c.until = t.now.Add(rest)
}

// deleteChild tells the peer, once, that c is going, unless it has said so
// itself.
func (m *Machine) deleteChild(t *turn, c *child) {
	if m.current != nil && !c.told {
		m.inform(t, m.current, wire.NewDelete(c.SA.SPIIn))
	}
	c.told = true
}

// expired deletes c at the end of its lifetime: packets must not use its keys
// any longer, in either direction.
func (m *Machine) expired(t *turn, c *child) {
	was := c.used
	m.deleteChild(t, c)
	m.removeChild(t, c)
	if next := m.used(); was && next != nil {
		m.use(t, next)
		return
	}
	if was {
		t.notice(levelWarn, "CHILD SA reached the end of its lifetime", "lifetime", m.cfg.Lifetime.Child)
		m.lacksChild(t, "CHILD SA reached the end of its lifetime before it was rekeyed")
	}
}

// lostChild takes c out of use after the peer deleted it.
func (m *Machine) lostChild(t *turn, c *child) {
	was := c.used || !c.useAt.IsZero()
	m.linger(t, c, true)
	if !was {
		return
	}
	if next := m.fallback(t); next != nil {
		if next.state == childLingering {
			next.until, next.doubt = time.Time{}, false
			if next.soft.IsZero() {
				next.soft = t.now.Add(reviveFor)
			}
		}
		next.state = childUp
		m.use(t, next)
		return
	}
	t.notice(levelInfo, "peer deleted the CHILD SA", "spi_in", spiWord(c.SA.SPIIn))
	m.lacksChild(t, "peer deleted the CHILD SA")
}

// fallback is what we can go on with after the peer deleted the CHILD SA in
// use. It must have another, then: that which waits for message 3, for example,
// when that message got lost, or else one that it has not deleted.
//
// What waits is no choice while the peer may well lack message 2, if there is
// any other. Our own kind deletes nothing while its quick mode is unanswered, and
// what another replaces no sooner than lingerFor after; so a DELETE that comes
// before was sent for another's sake, and maybe before the quick mode began.
func (m *Machine) fallback(t *turn) *child {
	choices := []func(c *child) bool{
		func(c *child) bool { return c.state == childUp },
		func(c *child) bool { return c.state == childWaiting && !t.now.Before(c.asked.Add(lingerFor)) },
		func(c *child) bool { return c.state == childLingering },
		func(c *child) bool { return true },
	}
	for _, fits := range choices {
		for _, c := range slices.Backward(m.children) {
			if !c.told && fits(c) {
				return c
			}
		}
	}
	return nil
}

// unconfirmed takes c out after the peer's message 3 never came. Whether the
// peer uses it is not known; a quick mode of our own makes both ends agree
// again.
func (m *Machine) unconfirmed(t *turn, c *child) {
	if c.state != childWaiting || !slices.Contains(m.children, c) {
		return
	}
	m.deleteChild(t, c)
	m.removeChild(t, c)
	t.notice(levelWarn, "peer never confirmed its quick mode; we begin one", "spi_in", spiWord(c.SA.SPIIn))
	m.startQuick(t, m.used())
}
