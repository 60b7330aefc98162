package ikev2

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/cert"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// maxInitTries bounds how often an initiator begins IKE_SA_INIT anew because a
// COOKIE or another group was asked for.
const maxInitTries = 8

// A handshake is what is needed until the SA is up.
type handshake struct {
	x       *suite.Exchange
	ni, nr  []byte
	request []byte // the octets of IKE_SA_INIT, as AUTH covers them
	answer  []byte
	cookie  []byte
	tries   int
	began   time.Time
	hashes  []cert.Hash // for signatures, as the peer announced them
	refusal string      // what an answer that proves nothing said against us
	odd     string      // what was wrong with an answer that was ignored
	mid     intermediates
	ppk     ppkUse
	resume  *ticket // what is taken up again, if anything
}

// wipe overwrites the keys.
func (k *handshake) wipe() {
	k.mid.wipe()
	k.ppk.wipe()
	if k.resume != nil {
		k.resume.d.Wipe()
	}
}

// refusedFor is how long an initiator goes on trying after it was refused.
const refusedFor = 5 * time.Second

// doubt takes an answer to IKE_SA_INIT that says no, or makes no sense. It
// proves nothing about its sender, so the right answer may still come: the
// attempt goes on for a while, and if nothing better comes ends with reason.
//
// "Because all error notifications are completely unauthenticated, the
// recipient should continue trying for some time before giving up."
// https://www.rfc-editor.org/rfc/rfc7296#section-2.21.1
func (m *Machine) doubt(t *turn, s *sa, reason string) {
	if s.shake.refusal != "" {
		return
	}
	s.shake.refusal = reason
	if f := s.window.out; f != nil {
		f.giveUp = earliest(f.giveUp, t.now.Add(refusedFor))
	}
	if m.status.phase == ike.Connecting {
		m.setPhase(t, ike.Connecting, reason)
	}
}

// connect begins IKE_SA_INIT, or IKE_SESSION_RESUME if a session was lost.
func (m *Machine) connect(t *turn) {
	if m.resumable(t) {
		m.connectResume(t)
		return
	}
	m.connectFull(t)
}

// connectFull begins IKE_SA_INIT.
func (m *Machine) connectFull(t *turn) {
	s := &sa{
		state: larval, initiator: true, spiI: m.newIKESPI(t),
		path:  path{local: m.cfg.Local, remote: m.cfg.Remote},
		shake: &handshake{ni: m.random(t, nonceLen), began: t.now},
	}
	m.sas = append(m.sas, s)
	m.setPhase(t, ike.Connecting, "")
	m.sendInit(t, s, m.cfg.IKE[0].Group)
}

// sendInit sends the IKE_SA_INIT request with a key of the given group.
func (m *Machine) sendInit(t *turn, s *sa, g suite.Group) {
	k := s.shake
	if k.x == nil || k.x.Group() != g {
		x, err := suite.NewExchange(g, m.cfg.Tuning.Rand)
		if err != nil {
			t.bug(err)
			return
		}
		k.x = x
	}
	k.tries++
	var list []wire.Payload
	// With a cookie, which comes first, all other payloads must be the same as
	// without (RFC 7296 section 2.6).
	if k.cookie != nil {
		list = append(list, &wire.Notify{Type: wire.CookieNotify, Data: k.cookie})
	}
	list = append(list,
		&wire.SA{Proposals: proposal.IKE(m.cfg.IKE, nil)},
		&wire.KE{Group: uint16(g), Public: k.x.Public()},
		&wire.Nonce{Data: k.ni})
	list = append(list, natPayloads(s.spiI, 0, s.path, m.cfg.ForceEncap)...)
	list = append(list, m.fragmentNotify()...)
	list = append(list, m.intermediateNotify()...)
	list = append(list, m.hashNotify()...)
	list = append(list, m.ppkNotify()...)
	msg := wire.Message{Header: s.header(wire.IKESAInit, 0, false), Payloads: list}
	k.request = msg.Append(nil)
	s.window.next = 0
	m.launch(t, s, [][]byte{k.request}, nil)
}

// receiveInit takes an IKE_SA_INIT response. Nothing in it is authentic yet,
// so what makes no sense is ignored, and the right answer may still come.
func (m *Machine) receiveInit(t *turn, d ike.Datagram, msg *wire.Message) {
	s := m.begun(msg.Header)
	if msg.Header.MessageID != 0 || msg.Header.Flags&ike.FlagInitiator != 0 {
		s.ignored("has message id %d or the flag of an initiator", msg.Header.MessageID)
		return
	}
	if kind, critical := wire.UnknownCritical(msg.Payloads); critical {
		s.ignored("needs an extension (payload type %d) that does not exist here", kind)
		return
	}
	if s == nil {
		m.rival(t, d, msg)
		return
	}
	if n, ok := wire.FindNotify(msg.Payloads, wire.CookieNotify); ok {
		m.retryInit(t, s, s.shake.x.Group(), n.Data)
		return
	}
	if n, ok := wire.FindError(msg.Payloads); ok {
		m.initRefused(t, s, n)
		return
	}
	m.acceptInit(t, s, d, msg)
}

// begun is our attempt whose IKE_SA_INIT h may answer, or nil.
func (m *Machine) begun(h ike.Header) *sa {
	at := slices.IndexFunc(m.sas, func(s *sa) bool {
		return s.state == larval && s.initiator && s.shake.resume == nil && s.spiI == h.SPIi
	})
	if at < 0 {
		return nil
	}
	return m.sas[at]
}

// ignored notes what was wrong with the first answer to IKE_SA_INIT of s, which
// may be nil, that made no sense. It changes nothing but the words in which
// silence is reported.
func (s *sa) ignored(format string, args ...any) {
	if s != nil && s.shake.odd == "" {
		s.shake.odd = clip(fmt.Sprintf(format, args...))
	}
}

// retryInit begins anew with another group or a cookie.
func (m *Machine) retryInit(t *turn, s *sa, g suite.Group, cookie []byte) {
	// "The data [...] MUST be between 1 and 64 octets in length (inclusive)."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.6
	if cookie != nil && (len(cookie) < 1 || len(cookie) > 64) {
		s.ignored("asks for a cookie of %d octets, where 1 to 64 are allowed", len(cookie))
		return
	}
	if s.shake.tries >= maxInitTries {
		m.doubt(t, s, fmt.Sprintf("peer asked for another IKE_SA_INIT %d times", maxInitTries))
		return
	}
	if cookie != nil {
		s.shake.cookie = slices.Clone(cookie)
	}
	s.shake.refusal, s.shake.odd = "", ""
	s.window.out = nil
	m.sendInit(t, s, g)
}

// initRefused takes an error in an IKE_SA_INIT response.
func (m *Machine) initRefused(t *turn, s *sa, n *wire.Notify) {
	switch n.Type {
	case wire.InvalidKEPayload:
		if len(n.Data) != 2 {
			s.ignored("asks for another DH group without naming one")
			return
		}
		g := suite.Group(binary.BigEndian.Uint16(n.Data))
		// "[...] the initiator MUST again propose its full set of acceptable
		// cryptographic suites", and only a group out of it may be asked for.
		// https://www.rfc-editor.org/rfc/rfc7296#section-2.7
		if !slices.Contains(proposal.GroupsIKE(m.cfg.IKE), g) {
			m.doubt(t, s, fmt.Sprintf("peer wants %v in IKE_SA_INIT; we allow %s: add %d to Phase1DHGroupNumbers",
				g, proposal.GroupWords(proposal.GroupsIKE(m.cfg.IKE)), g))
			return
		}
		if g != s.shake.x.Group() {
			m.retryInit(t, s, g, nil)
		} else if s.shake.tries == 1 { // else it has come twice
			s.ignored("asks for a key exchange in %v, which we sent", g)
		}
	case wire.NoProposalChosen:
		m.doubt(t, s, "peer accepts none of the IKE algorithms that we offer ("+proposal.Words(proposal.IKE(m.cfg.IKE, nil))+
			"): make Phase1EncryptionAlgorithms, Phase1IntegrityAlgorithms and Phase1DHGroupNumbers overlap at both ends"+m.alsoMore())
	default:
		m.doubt(t, s, fmt.Sprintf("peer refuses IKE_SA_INIT with %v: see its log for what it wants", n.Type))
	}
}

// acceptInit takes the peer's choice, makes keys and goes on to IKE_AUTH.
func (m *Machine) acceptInit(t *turn, s *sa, d ike.Datagram, msg *wire.Message) {
	sap, okSA := wire.Find[*wire.SA](msg.Payloads)
	ke, okKE := wire.Find[*wire.KE](msg.Payloads)
	nonce, okNonce := wire.Find[*wire.Nonce](msg.Payloads)
	switch {
	case !okSA || !okKE || !okNonce:
		s.ignored("lacks an SA, a key exchange or a nonce")
		return
	case msg.Header.SPIr == 0:
		s.ignored("has no SPI of the peer's")
		return
	case !proposal.Single(sap):
		s.ignored("chooses several proposals or algorithms of one kind")
		return
	}
	chosen, ok := proposal.AcceptIKE(m.cfg.IKE, sap.Proposals[0])
	if !ok {
		m.doubt(t, s, "peer chose what we did not offer: "+proposal.Words(sap.Proposals)+"; we offered "+proposal.Words(proposal.IKE(m.cfg.IKE, nil))+": see its log, for no option of ours allows that")
		return
	}
	if suite.Group(ke.Group) != chosen.Group || s.shake.x.Group() != chosen.Group {
		s.ignored("has a key exchange in %v, though it chooses %v and we sent %v", suite.Group(ke.Group), chosen.Group, s.shake.x.Group())
		return
	}
	if _, ok := wire.FindNotify(msg.Payloads, wire.IntermediateSupp); !ok && chosen.AddKE != (suite.MoreKE{}) {
		m.doubt(t, s, fmt.Sprintf("peer chose %v, but says nothing of IKE_INTERMEDIATE, which additional key exchanges need: leave Phase1AdditionalKeyExchanges empty, or change the peer", chosen))
		return
	}
	if s.shake.ppk.agreed = m.ppkAgreed(msg.Payloads); !s.shake.ppk.agreed && m.cfg.Extensions.PPKRequired {
		m.doubt(t, s, m.ppkMissing())
		return
	}
	shared, err := s.shake.x.Shared(ke.Public)
	if err != nil {
		m.doubt(t, s, fmt.Sprintf("peer's key exchange value is not valid: %v", err))
		return
	}
	s.spiR, s.suite = msg.Header.SPIr, chosen
	s.shake.nr, s.shake.answer = slices.Clone(nonce.Data), slices.Clone(msg.Octets)
	s.shake.hashes = hashesOf(msg.Payloads)
	keys, err := suite.DeriveIKE(chosen, suite.KeyInput{Ni: s.shake.ni, Nr: s.shake.nr, SPIi: s.spiI, SPIr: s.spiR, Shared: shared})
	if err == nil {
		err = s.adopt(m, keys)
	}
	if err != nil {
		t.bug(err)
		return
	}
	shared.Wipe()
	s.window.out = nil
	s.state, s.ext.fragments.on = keyed, m.fragmentsAgreed(msg.Payloads)
	m.answeredFrom(s, d, msg)
	m.afterInit(t, s)
}

// answeredFrom takes from the answer msg to our first message whether there is
// a NAT.
func (m *Machine) answeredFrom(s *sa, d ike.Datagram, msg *wire.Message) {
	// Where the answer came from tells, but whoever rewrites ports must not
	// choose where we go on. Nor does ESP move: this proves nothing yet, and
	// another SA may be up.
	from := path{local: d.Local, remote: d.Remote}
	from.detect(msg.Header, msg.Payloads, m.cfg.ForceEncap)
	from.remote = s.path.remote
	s.path = from
	if s.path.encap() {
		s.path.float()
	}
}

// attemptFailed ends an attempt of ours.
func (m *Machine) attemptFailed(t *turn, s *sa, reason string) {
	t.notice(levelWarn, "negotiation failed", "remote", s.path.remote, "reason", reason)
	if s.state == keyed { // else nobody has answered, and what we hold is as good as before
		m.session.forget()
	}
	m.forget(s)
	m.failed(t, reason, later)
}
