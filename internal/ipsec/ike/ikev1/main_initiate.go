package ikev1

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/keys"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A handshake is what is needed until the SA is up.
type handshake struct {
	offer      []byte // the body of the initiator's SA payload, as hashes cover it
	x          *suite.Exchange
	ni, nr     []byte
	refusal    string    // what a message that proves nothing said against us
	odd        string    // what was wrong with an answer that was ignored
	proofs     int       // by certificate that were checked
	chain      [][]byte  // of certificates with which the peer has proved itself
	challenged bool      // the responder was told that its message 5 makes no sense
	urged      time.Time // when message 5 went again because of what we cannot read
}

// connect begins main mode along p.
func (m *Machine) connect(t *turn, p path) {
	sap, err := proposal.OfferIKE(m.cfg.IKE, m.method, m.cfg.Lifetime.IKE)
	if err != nil {
		t.notice(levelWarn, "negotiation failed", "remote", p.remote, "reason", err.Error())
		m.failed(t, err.Error(), later)
		return
	}
	s := &sa{
		state: offered, initiator: true, spiI: m.newCookie(t),
		path:  path{local: p.local, remote: p.remote},
		shake: &handshake{offer: wire.Body(sap), ni: m.random(t, nonceLen)},
		span:  span{began: m.tick()},
	}
	m.sas = append(m.sas, s)
	if m.current == nil && m.used() == nil {
		m.setPhase(t, ike.Connecting, "")
	}
	m.ask(t, s, append([]wire.Payload{sap}, m.vendors()...))
}

// ask sends the next message of main mode in the clear.
func (m *Machine) ask(t *turn, s *sa, list []wire.Payload) {
	msg := wire.Message{Header: s.header(wire.MainMode, 0), Chain: wire.Chain{Payloads: list}}
	s.flight = m.launch(t, s, msg.Append(nil))
}

// refusedFor is how long an initiator goes on trying after it was refused.
const refusedFor = 5 * time.Second

// urgePause is how long at least lies between two repetitions of message 5 that
// the peer's messages bring about.
const urgePause = time.Second

// doubt takes a message that says no, or makes no sense, and proves nothing
// about its sender: the right answer may still come. The attempt goes on for a
// while, and ends with reason if nothing better comes; with a CHILD SA in use,
// which would end with it, as long as in silence.
func (m *Machine) doubt(t *turn, s *sa, reason string) {
	if s.shake == nil || s.shake.refusal != "" {
		return
	}
	s.shake.refusal = clip(reason)
	if s.flight != nil && m.used() == nil {
		s.flight.giveUp = earliest(s.flight.giveUp, t.now.Add(refusedFor))
	}
	if m.status.phase == ike.Connecting {
		m.setPhase(t, ike.Connecting, reason)
	}
}

// urge takes a sealed message of s that we cannot read while we wait for
// message 6. That one was lost, perhaps, and the peer goes on: message 5 fetches
// it once more.
func (m *Machine) urge(t *turn, s *sa) {
	if s.state == proving && s.initiator && seldom(t.now, &s.shake.urged, urgePause) {
		m.counts.retransmits++
		m.transmit(t, s, s.flight.data)
	}
}

// begun is our attempt whose message 1 or 3 h may answer, or nil.
func (m *Machine) begun(h ike.Header) *sa {
	if h.Exchange != wire.MainMode || h.SPIr == 0 {
		return nil
	}
	at := slices.IndexFunc(m.sas, func(s *sa) bool {
		return s.initiator && s.spiI == h.SPIi && (s.state == offered || s.state == keying && s.spiR == h.SPIr)
	})
	if at < 0 {
		return nil
	}
	return m.sas[at]
}

// ignored notes what was wrong with the first answer on s, which may be nil, that
// made no sense. It changes nothing but the words in which silence is reported.
func (s *sa) ignored(format string, args ...any) {
	if s != nil && s.shake.odd == "" {
		s.shake.odd = clip(fmt.Sprintf(format, args...))
	}
}

// receiveChoice takes message 2: what the responder chose.
func (m *Machine) receiveChoice(t *turn, d ike.Datagram, msg *wire.Message) {
	at := slices.IndexFunc(m.sas, func(s *sa) bool { return s.state == offered && s.initiator && s.spiI == msg.Header.SPIi })
	if at < 0 {
		return
	}
	s := m.sas[at]
	sap, ok := wire.Only[*wire.SA](msg.Chain.Payloads)
	switch {
	case msg.Encrypted():
		s.ignored("is encrypted before there are keys")
		return
	case msg.Header.SPIr == msg.Header.SPIi: // our own proof could be sent back to us
		s.ignored("has our own cookie in place of the peer's")
		return
	case !ok:
		s.ignored("has no SA or several")
		return
	}
	chosen, err := proposal.AcceptIKE(m.cfg.IKE, m.method, sap)
	if err != nil {
		m.doubt(t, s, err.Error())
		return
	}
	x, err := suite.NewExchange(chosen.Suite.Group, m.cfg.Tuning.Rand)
	if err != nil {
		t.bug(err)
		return
	}
	s.state, s.spiR, s.suite, s.shake.x = keying, msg.Header.SPIr, chosen.Suite, x
	s.shake.refusal, s.shake.odd = "", ""
	m.listen(s, msg.Chain.Payloads)
	m.ask(t, s, m.exchange(s, s.shake.ni))
}

// exchange is message 3 or 4: our public value and nonce.
func (m *Machine) exchange(s *sa, nonce []byte) []wire.Payload {
	list := []wire.Payload{&wire.KE{Public: s.shake.x.Public()}, &wire.Nonce{Data: nonce}}
	list = append(list, m.certRequests()...)
	return append(list, s.natPayloads(m.cfg.ForceEncap)...)
}

// receiveExchange takes message 4, makes keys and proves who we are.
func (m *Machine) receiveExchange(t *turn, d ike.Datagram, msg *wire.Message, s *sa) {
	ke, nonce, ok := exchanged(msg)
	if !ok {
		if _, again := wire.Find[*wire.SA](msg.Chain.Payloads); !again { // message 2 may come twice
			s.ignored("lacks a key exchange or a nonce")
		}
		return
	}
	if bytes.Equal(ke.Public, s.shake.x.Public()) {
		s.ignored("has our own key exchange value in place of the peer's")
		return
	}
	shared, err := s.shake.x.Shared(ke.Public)
	if err != nil {
		m.doubt(t, s, fmt.Sprintf("peer's key exchange value is not valid: %v", err))
		return
	}
	defer shared.Wipe()
	s.shake.nr = nonce.Data
	if err := m.derive(s, shared, s.shake.x.Public(), ke.Public); err != nil {
		t.bug(err)
		return
	}
	m.listen(s, msg.Chain.Payloads)
	s.detect(msg.Chain.Payloads, d, m.cfg.ForceEncap)
	// Whoever rewrites ports must not choose where we go on: only whether there
	// is a NAT is taken from this message, which proves nothing.
	if s.path.encap() {
		s.path.float()
	}
	list, err := m.prove(s, true)
	if err != nil {
		m.attemptFailed(t, s, err.Error())
		return
	}
	// With another SA up or CHILD SAs living on, we have forgotten nothing.
	if m.current == nil && len(m.children) == 0 {
		list = append(list, &wire.Notify{Protocol: wire.ProtoISAKMP, SPI: wire.Cookies(s.header(0, 0)), Type: wire.InitialContact})
	}
	s.state, s.shake.refusal, s.shake.odd = proving, "", ""
	var data []byte
	data, s.iv = m.seal(t, s, headerOf{wire.MainMode, 0}, s.keys.IV(), list)
	s.flight = m.launch(t, s, data)
}

// exchanged are the payloads of message 3 or 4.
func exchanged(msg *wire.Message) (*wire.KE, *wire.Nonce, bool) {
	ke, okKE := wire.Find[*wire.KE](msg.Chain.Payloads)
	nonce, okNonce := wire.Find[*wire.Nonce](msg.Chain.Payloads)
	return ke, nonce, okKE && okNonce
}

// derive makes the keys of s.
func (m *Machine) derive(s *sa, shared secret.Secret, publicI, publicR []byte) error {
	in := keys.Input{
		CookieI: s.spiI, CookieR: s.spiR, Ni: s.shake.ni, Nr: s.shake.nr,
		PublicI: publicI, PublicR: publicR, Shared: shared,
	}
	if m.method == proposal.PSK {
		in.PSK = m.cfg.Auth.PSK
	}
	var err error
	s.keys, err = keys.New(s.suite, in)
	return err
}

// receiveProof takes message 6: who the responder is.
func (m *Machine) receiveProof(t *turn, d ike.Datagram, msg *wire.Message, s *sa) {
	chain, next, ok := s.open(msg, s.iv)
	if !ok {
		m.doubt(t, s, "peer's proof of identity (main mode message 6) cannot be read: "+m.explainGarbage())
		return
	}
	id, err := m.verify(t, s, chain.Payloads)
	switch {
	case isUnproven(err):
		m.doubt(t, s, err.Error())
		return
	case err != nil:
		// The peer has proved who it is, and is not who we want. It believes
		// that the SA is up.
		s.iv = next
		m.inform(t, s, &wire.Notify{Protocol: wire.ProtoISAKMP, SPI: wire.Cookies(s.header(0, 0)), Type: wire.AuthenticationFailed})
		m.sendDelete(t, s)
		m.attemptFailed(t, s, err.Error())
		return
	}
	s.iv, s.flight, s.peer = next, nil, id
	_, contact := wire.FindNotify(chain.Payloads, wire.InitialContact)
	m.established(t, s, d, contact)
}
