package ikev2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// intermediates are the IKE_INTERMEDIATE exchanges of one attempt (RFC 9242),
// each of which makes one additional key exchange (RFC 9370).
type intermediates struct {
	done uint32 // exchanges that are over
	i, r []byte // IntAuth of the initiator's and the responder's messages
	// open is what undid seals before the last exchange, for a request that is
	// repeated.
	open *suite.Protector
}

// wipe overwrites the keys.
func (x *intermediates) wipe() {
	if x.open != nil {
		x.open.Wipe()
	}
}

// intAuth is what AUTH covers beside the octets of IKE_SA_INIT, the nonce and
// the identity: IntAuth_iN | IntAuth_rN | IKE_AUTH_MID, or nothing if there
// was no IKE_INTERMEDIATE (RFC 9242 section 3.3.2).
func (x *intermediates) intAuth() []byte {
	if x.done == 0 {
		return nil
	}
	return binary.BigEndian.AppendUint32(slices.Concat(x.i, x.r), x.done+1)
}

// cover adds what was sent by one side of s; the keys are still those that the
// exchange began with.
func (x *intermediates) cover(s *sa, byInitiator bool, covered []byte) {
	into, skp := &x.r, s.keys.Pr
	if byInitiator {
		into, skp = &x.i, s.keys.Pi
	}
	*into = suite.IntAuth(s.suite.PRF, skp, *into, covered)
}

// wantsMore reports whether any suite of ours has additional key exchanges.
func (m *Machine) wantsMore() bool {
	return slices.ContainsFunc(m.cfg.IKE, func(s suite.IKE) bool { return s.AddKE != (suite.MoreKE{}) })
}

// alsoMore completes what to change when nothing that we offer is accepted.
func (m *Machine) alsoMore() string {
	if !m.wantsMore() {
		return ""
	}
	return ", and Phase1AdditionalKeyExchanges too"
}

// intermediateNotify is what IKE_SA_INIT says about IKE_INTERMEDIATE.
func (m *Machine) intermediateNotify() []wire.Payload {
	if !m.wantsMore() {
		return nil
	}
	return []wire.Payload{&wire.Notify{Type: wire.IntermediateSupp}}
}

// choosable is those of our suites that the peer, whose IKE_SA_INIT holds
// list, can use.
func (m *Machine) choosable(list []wire.Payload) []suite.IKE {
	if _, ok := wire.FindNotify(list, wire.IntermediateSupp); ok || !m.wantsMore() {
		return m.cfg.IKE
	}
	return slices.DeleteFunc(slices.Clone(m.cfg.IKE), func(s suite.IKE) bool { return s.AddKE != (suite.MoreKE{}) })
}

// explainInit says why none of ours, which choosable gave, is in what is
// offered.
func (m *Machine) explainInit(ours []suite.IKE, offered []wire.Proposal) string {
	text := proposal.ExplainIKE(m.cfg.IKE, offered)
	hybrid := slices.ContainsFunc(offered, func(p wire.Proposal) bool {
		return slices.ContainsFunc(p.Transforms, func(x wire.Transform) bool { return x.Type >= wire.TypeAddKE1 })
	})
	if hybrid && len(ours) != len(m.cfg.IKE) {
		text += "; and the peer says nothing of IKE_INTERMEDIATE, which additional key exchanges need"
	}
	return text
}

// more is the additional key exchange that comes next on s, which is not up
// yet; 0 when there is none left.
func (s *sa) more() suite.Group {
	if s.resumes() {
		return 0 // the old session's keys have them
	}
	if left := s.suite.AddKE.List(); int(s.shake.mid.done) < len(left) {
		return left[s.shake.mid.done]
	}
	return 0
}

// nextBeforeUp is the exchange that the peer must begin next on s, which has
// keys but is not up.
func (s *sa) nextBeforeUp() uint8 {
	if s.more() != 0 {
		return wire.IKEIntermediate
	}
	return wire.IKEAuth
}

// opener is what undoes the seal of a message with header h: that of the keys
// before the last IKE_INTERMEDIATE if the peer repeats that request, since it
// did when it sent it.
func (s *sa) opener(h ike.Header) *suite.Protector {
	again := h.Flags&ike.FlagResponse == 0 && h.MessageID+1 == s.window.expect
	if s.shake != nil && s.shake.mid.open != nil && again && h.Exchange == wire.IKEIntermediate {
		return s.shake.mid.open
	}
	return s.open
}

// afterInit goes on as initiator, once IKE_SA_INIT has made keys.
func (m *Machine) afterInit(t *turn, s *sa) {
	if s.more() != 0 {
		s.tasks = append(s.tasks, &intermediate{})
		return
	}
	s.tasks = append(s.tasks, &authenticate{spi: m.newESPSPI(t)})
}

// intermediate is our IKE_INTERMEDIATE exchange for one additional key
// exchange.
type intermediate struct {
	x       *suite.Exchange
	covered []byte // of the response
}

func (*intermediate) exchange() uint8 { return wire.IKEIntermediate }

func (k *intermediate) request(m *Machine, t *turn, s *sa) ([]wire.Payload, bool) {
	x, err := suite.NewExchange(s.more(), m.cfg.Tuning.Rand)
	if err != nil {
		t.bug(err)
		return nil, false
	}
	k.x = x
	list := []wire.Payload{&wire.KE{Group: uint16(x.Group()), Public: x.Public()}}
	first, plain := wire.AppendChain(nil, list)
	s.shake.mid.cover(s, true, wire.Covered(s.header(wire.IKEIntermediate, s.window.next, false), first, plain))
	return list, true
}

func (k *intermediate) response(m *Machine, t *turn, s *sa, list []wire.Payload) {
	if n, ok := wire.FindError(list); ok {
		m.attemptFailed(t, s, fmt.Sprintf("peer refuses the additional key exchange %v with %v", k.x.Group(), n.Type))
		return
	}
	ke, ok := wire.Find[*wire.KE](list)
	if !ok || suite.Group(ke.Group) != k.x.Group() {
		m.attemptFailed(t, s, fmt.Sprintf("peer's IKE_INTERMEDIATE response has no key exchange in %v", k.x.Group()))
		return
	}
	shared, err := k.x.Shared(ke.Public)
	if err != nil {
		m.attemptFailed(t, s, fmt.Sprintf("peer's key exchange value is not valid: %v", err))
		return
	}
	s.shake.mid.cover(s, false, k.covered)
	if err := s.moreKeys(m, shared); err != nil {
		t.bug(err)
		return
	}
	m.afterInit(t, s)
}

// moreKeys ends an IKE_INTERMEDIATE: shared changes all keys of s (RFC 9370
// section 2.2.2).
func (s *sa) moreKeys(m *Machine, shared secret.Secret) error {
	defer shared.Wipe()
	in := suite.KeyInput{Ni: s.shake.ni, Nr: s.shake.nr, SPIi: s.spiI, SPIr: s.spiR, Shared: shared}
	keys, err := suite.DeriveRekeyedIKE(s.suite, s.suite.PRF, s.keys.D, in)
	if err != nil {
		return err
	}
	old, seal := s.keys, s.seal
	s.shake.mid.wipe()
	s.shake.mid.open = s.open
	if err := s.adopt(m, keys); err != nil {
		return err
	}
	seal.Wipe()
	old.Wipe()
	s.shake.mid.done++
	return nil
}

// respondIntermediate answers the peer's IKE_INTERMEDIATE request.
func (m *Machine) respondIntermediate(t *turn, s *sa, r received) {
	if s.state != keyed {
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
		return
	}
	g := s.more()
	ke, ok := wire.Find[*wire.KE](r.list)
	if !ok || suite.Group(ke.Group) != g {
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
		m.ended(t, s, fmt.Sprintf("peer's IKE_INTERMEDIATE request has no key exchange in %v", g))
		return
	}
	public, shared, err := suite.RespondExchange(g, ke.Public, m.cfg.Tuning.Rand)
	if err != nil {
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
		m.ended(t, s, fmt.Sprintf("peer's key exchange value is not valid: %v", err))
		if !errors.Is(err, suite.ErrPublic) {
			t.bug(err)
		}
		return
	}
	list := []wire.Payload{&wire.KE{Group: uint16(g), Public: public}}
	first, plain := wire.AppendChain(nil, list)
	s.shake.mid.cover(s, true, r.covered)
	s.shake.mid.cover(s, false, wire.Covered(s.header(wire.IKEIntermediate, r.h.MessageID, true), first, plain))
	m.reply(t, s, r, list...)
	t.bug(s.moreKeys(m, shared))
}
