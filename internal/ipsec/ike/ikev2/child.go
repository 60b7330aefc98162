package ikev2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// lingerFor is how long a CHILD SA that was replaced still takes in packets
// that were under way when it was.
const lingerFor = 5 * time.Second

// maxChildren bounds the CHILD SAs, lingering ones included: more cannot come
// about by rekeying, however often exchanges cross. Who rekeys faster than
// lingerFor allows shortens the lingering.
const maxChildren = 32

// A childState is the life of one CHILD SA.
//
//	up ──the peer rekeyed it──▶ replaced ──the peer deletes it──▶ lingering
//	 └───we rekeyed it────────▶ closing ───our delete is done──────┘
type childState uint8

const (
	childUp childState = iota
	childReplaced
	childClosing
	childLingering
)

// A child is one CHILD SA.
type child struct {
	SA         *ike.ChildSA
	ike        *sa // on which its deletion is negotiated
	state      childState
	used       bool   // outgoing packets take it
	next       *child // its successor, when the peer rekeyed it
	lowest     []byte // the lower nonce of the exchange that made it, if that was to replace nothing
	soft, hard time.Time
	until      time.Time // lingering: remove
}

// used is the child that outgoing packets take.
func (m *Machine) used() *child {
	for _, c := range m.children {
		if c.used {
			return c
		}
	}
	return nil
}

// room makes room for one more CHILD SA, at the expense of the one that has
// lingered longest; false when all of them are still needed.
func (m *Machine) room(t *turn) bool {
	if len(m.children) < maxChildren {
		return true
	}
	var oldest *child
	for _, c := range m.children {
		if c.state == childLingering && (oldest == nil || c.until.Before(oldest.until)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	m.removeChild(t, oldest)
	return true
}

// addChild makes a CHILD SA acceptable.
func (m *Machine) addChild(t *turn, s *sa, c *ike.ChildSA) *child {
	m.room(t) // what we ask for ourselves is ours to bound
	c.Encap, c.Local, c.Remote, c.Created = s.path.encap(), s.path.local, s.path.remote, t.now
	life := &child{SA: c, ike: s, soft: t.now.Add(m.cfg.Lifetime.Child - m.lead(t)), hard: t.now.Add(m.cfg.Lifetime.Child)}
	m.children = append(m.children, life)
	t.act(ike.InstallInbound{SA: c})
	return life
}

// use lets outgoing packets take c.
func (m *Machine) use(t *turn, c *child) {
	if c.used {
		return
	}
	for _, other := range m.children {
		other.used = false
	}
	c.used = true
	m.start = starter{}
	t.act(ike.UseOutbound{SA: c.SA})
	m.setPhase(t, ike.Established, "")
}

// removeChild forgets c at once.
func (m *Machine) removeChild(t *turn, c *child) {
	c.state, c.used = childLingering, false // for tasks that still know it
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

// linger forgets c once the packets under way must have come in, or when its
// lifetime ends if that is sooner. If outgoing packets still took it, its successor
// takes over.
func (m *Machine) linger(t *turn, c *child) {
	if c.used && c.next != nil && c.next.state == childUp {
		m.use(t, c.next)
	}
	c.state, c.used = childLingering, false
	c.soft, c.hard, c.until = time.Time{}, time.Time{}, earliest(c.until, c.hard, t.now.Add(lingerFor))
}

// expireChild does what is due for c.
func (m *Machine) expireChild(t *turn, c *child) {
	switch {
	case !slices.Contains(m.children, c): // removed by what was due before
	case due(t, c.until):
		m.removeChild(t, c)
	case due(t, c.hard):
		m.expired(t, c)
	case due(t, c.soft):
		c.soft = time.Time{}
		if c.state == childUp && c.used {
			m.rekeyChild(c)
		}
	}
}

// expired deletes c at the end of its lifetime: packets must not use its keys
// any longer, in either direction.
func (m *Machine) expired(t *turn, c *child) {
	was := c.used
	if c.state == childUp && c.ike.state == up {
		c.ike.tasks = append(c.ike.tasks, &deleteChild{spiIn: c.SA.SPIIn, spiOut: c.SA.SPIOut})
	}
	if k := m.crossingRekey(c); c.next == nil && k != nil {
		c.next = k.theirs
	}
	if c.next != nil && c.next.state == childUp && was {
		m.use(t, c.next)
		was = false
	}
	m.removeChild(t, c)
	if was {
		t.notice(levelWarn, "CHILD SA reached the end of its lifetime", "lifetime", m.cfg.Lifetime.Child)
		m.lacksChild(t, "CHILD SA reached the end of its lifetime before it was rekeyed")
	}
}

// maxSelectors bounds the selectors of one side of a CHILD SA; the payload
// could not count more than 255.
const maxSelectors = 32

// narrow is what offered and allowed have in common (RFC 7296 section 2.9), or
// the first of it.
func narrow(offered, allowed []ike.Selector) []ike.Selector {
	var out []ike.Selector
	for _, o := range offered {
		for _, a := range allowed {
			if both, ok := o.Intersect(a); ok && len(out) < maxSelectors && !slices.Contains(out, both) {
				out = append(out, both)
			}
		}
	}
	return out
}

// within reports whether each of got lies in one of offered.
func within(got, offered []ike.Selector) bool {
	for _, g := range got {
		if !slices.ContainsFunc(offered, func(o ike.Selector) bool { return o.Contains(g) }) {
			return false
		}
	}
	return len(got) > 0
}

// selectors are the two TS payloads of a message.
func selectors(list []wire.Payload) (i, r []ike.Selector) {
	for _, p := range list {
		if ts, ok := p.(*wire.TS); ok {
			if ts.Responder {
				r = ts.Selectors
			} else {
				i = ts.Selectors
			}
		}
	}
	return i, r
}

// childTerms is under which terms the peer's request for a CHILD SA is taken.
type childTerms struct {
	pfs bool // CREATE_CHILD_SA, where groups count
}

// A childPlan is a CHILD SA that both ends agree on and that has no keys yet.
type childPlan struct {
	spiIn, spiOut uint32
	suite         suite.ESP
	local, remote []ike.Selector
	in            suite.KeyInput
	initiator     bool // we began the exchange
}

// makeChild makes the keys of what was planned, and it acceptable. It is nil if
// there are none, which is a bug of ours.
func (m *Machine) makeChild(t *turn, s *sa, p *childPlan) *child {
	toUs, toPeer, err := suite.DeriveChild(s.suite.PRF, s.keys.D, p.suite, p.in)
	p.in.Wipe()
	if err != nil {
		t.bug(err)
		return nil
	}
	if p.initiator {
		toUs, toPeer = toPeer, toUs
	}
	return m.addChild(t, s, &ike.ChildSA{
		SPIIn: p.spiIn, SPIOut: p.spiOut, Suite: p.suite, Initiator: p.initiator,
		KeysIn: toUs, KeysOut: toPeer, LocalTS: p.local, RemoteTS: p.remote,
	})
}

// childRequested takes the peer's request for a CHILD SA, makes it acceptable
// and returns the payloads of the answer, without nonce. If it is refused c is
// nil, the answer is a notify, and reason says why in words.
func (m *Machine) childRequested(t *turn, s *sa, in suite.KeyInput, list []wire.Payload, terms childTerms) (c *child, answer []wire.Payload, reason string) {
	p, answer, reason := m.planRequested(t, in, list, terms)
	if p == nil {
		return nil, answer, reason
	}
	if c = m.makeChild(t, s, p); c == nil {
		return nil, []wire.Payload{&wire.Notify{Type: wire.TemporaryFailure}}, "keys could not be made"
	}
	return c, answer, ""
}

// planRequested is childRequested up to the keys.
func (m *Machine) planRequested(t *turn, in suite.KeyInput, list []wire.Payload, terms childTerms) (p *childPlan, answer []wire.Payload, reason string) {
	no := func(n wire.NotifyType, reason string) (*childPlan, []wire.Payload, string) {
		return nil, []wire.Payload{&wire.Notify{Type: n}}, reason
	}
	sap, ok := wire.Find[*wire.SA](list)
	if !ok {
		return nil, nil, "peer asks for no CHILD SA"
	}
	if !m.room(t) {
		return no(wire.NoAdditionalSAs, "peer wants more CHILD SAs than a tunnel can need")
	}
	chosen, prop, ok := proposal.ChooseESP(m.cfg.ESP, sap.Proposals, terms.pfs)
	if !ok {
		return no(wire.NoProposalChosen, proposal.ExplainESP(m.cfg.ESP, sap.Proposals, terms.pfs))
	}
	tsi, tsr := selectors(list)
	remote, local := narrow(tsi, m.cfg.RemoteTS), narrow(tsr, m.cfg.LocalTS)
	if len(remote) == 0 || len(local) == 0 {
		return no(wire.TSUnacceptable, explainTS(tsi, tsr, m.cfg.RemoteTS, m.cfg.LocalTS))
	}
	var ke *wire.KE
	if chosen.Group != 0 {
		public, shared, n := m.answerKE(t, list, chosen.Group)
		if n != nil {
			return nil, []wire.Payload{n}, fmt.Sprintf("peer was asked for %v", chosen.Group)
		}
		if public == nil {
			return no(wire.InvalidSyntax, "peer's key exchange value is not valid")
		}
		in.Shared = shared
		ke = &wire.KE{Group: uint16(chosen.Group), Public: public}
	}
	spi := m.newESPSPI(t)
	p = &childPlan{spiIn: spi, spiOut: binary.BigEndian.Uint32(prop.SPI), suite: chosen, local: local, remote: remote, in: in}
	answer = append(answer, proposal.AnswerESP(chosen, prop, spi))
	if ke != nil {
		answer = append(answer, ke)
	}
	return p, append(answer, &wire.TS{Selectors: remote}, &wire.TS{Responder: true, Selectors: local}), ""
}

// answerKE does the responder's side of a key exchange in CREATE_CHILD_SA. A
// notify asks for the right group; without one, public is nil if the peer's
// value is not valid.
func (m *Machine) answerKE(t *turn, list []wire.Payload, g suite.Group) (public []byte, shared secret.Secret, n *wire.Notify) {
	ke, ok := wire.Find[*wire.KE](list)
	if !ok || suite.Group(ke.Group) != g {
		return nil, shared, groupWanted(g)
	}
	public, shared, err := suite.RespondExchange(g, ke.Public, m.cfg.Tuning.Rand)
	if err != nil && !errors.Is(err, suite.ErrPublic) {
		t.bug(err)
	}
	if err != nil {
		return nil, secret.Secret{}, nil
	}
	return public, shared, nil
}

// An offer is what we asked for in a request for a CHILD SA.
type offer struct {
	spi uint32
	x   *suite.Exchange // nil in IKE_AUTH and without PFS
	pfs bool
}

// childAnswered takes the peer's answer to our request for a CHILD SA and
// makes it acceptable. If there is none, c is nil and reason says why.
func (m *Machine) childAnswered(t *turn, s *sa, o offer, in suite.KeyInput, list []wire.Payload) (c *child, reason string) {
	p, reason := m.planAnswered(o, in, list)
	if p == nil {
		return nil, reason
	}
	if c = m.makeChild(t, s, p); c == nil {
		return nil, "keys could not be made"
	}
	return c, ""
}

// planAnswered is childAnswered up to the keys.
func (m *Machine) planAnswered(o offer, in suite.KeyInput, list []wire.Payload) (p *childPlan, reason string) {
	if n, ok := wire.FindError(list); ok {
		return nil, m.childRefused(n.Type, o.pfs)
	}
	sap, ok := wire.Find[*wire.SA](list)
	if !ok || !proposal.Single(sap) {
		return nil, "peer's answer about the CHILD SA makes no sense"
	}
	chosen, prop, ok := proposal.ChooseESP(m.cfg.ESP, sap.Proposals, o.pfs)
	if !ok {
		return nil, "peer chose ESP algorithms that we did not offer: " + proposal.Words(sap.Proposals) + "; we offered " +
			proposal.Words(proposal.ESP(m.cfg.ESP, 0, o.pfs)) + ": see its log, for no option of ours allows that"
	}
	local, remote := selectors(list)
	if !within(local, m.cfg.LocalTS) || !within(remote, m.cfg.RemoteTS) {
		return nil, explainTS(remote, local, m.cfg.RemoteTS, m.cfg.LocalTS)
	}
	if chosen.Group != 0 {
		ke, ok := wire.Find[*wire.KE](list)
		if !ok || o.x == nil || suite.Group(ke.Group) != chosen.Group || o.x.Group() != chosen.Group {
			return nil, "peer's key exchange is not of the group it chose"
		}
		shared, err := o.x.Shared(ke.Public)
		if err != nil {
			return nil, fmt.Sprintf("peer's key exchange value is not valid: %v", err)
		}
		in.Shared = shared
	}
	return &childPlan{
		spiIn: o.spi, spiOut: binary.BigEndian.Uint32(prop.SPI), suite: chosen, initiator: true, local: local, remote: remote, in: in,
	}, ""
}
