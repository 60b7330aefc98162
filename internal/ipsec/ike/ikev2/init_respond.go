package ikev2

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// maxFirst bounds the first message of a peer, in octets, since it is kept until
// the peer has proved who it is.
const maxFirst = 16 << 10

// respondInit answers an IKE_SA_INIT request.
func (m *Machine) respondInit(t *turn, d ike.Datagram, msg *wire.Message) {
	h := msg.Header
	if len(d.Data) > maxFirst || h.SPIi == 0 || h.SPIr != 0 || h.MessageID != 0 || h.Flags&ike.FlagInitiator == 0 {
		return
	}
	if m.reflected(h) || m.repeatInit(t, d, msg) {
		return
	}
	if kind, critical := wire.UnknownCritical(msg.Payloads); critical {
		if !m.mayRefuse(t) {
			return
		}
		m.refuseInit(t, d, h, &wire.Notify{Type: wire.UnsupportedCriticalPayload, Data: []byte{byte(kind)}})
		return
	}
	sap, okSA := wire.Find[*wire.SA](msg.Payloads)
	ke, okKE := wire.Find[*wire.KE](msg.Payloads)
	nonce, okNonce := wire.Find[*wire.Nonce](msg.Payloads)
	if !okSA || !okKE || !okNonce {
		if m.mayRefuse(t) {
			m.refuseInit(t, d, h, &wire.Notify{Type: wire.InvalidSyntax})
		}
		return
	}
	if m.demandCookie(t, d, msg, nonce.Data) || !m.roomFor(d.Remote.Addr()) {
		return
	}
	ours := m.choosable(msg.Payloads)
	chosen, prop, ok := proposal.ChooseIKE(ours, sap.Proposals)
	if !ok {
		m.refuseInit(t, d, h, &wire.Notify{Type: wire.NoProposalChosen})
		m.rejected(t, &m.strangers.noticed, d.Remote, func() string { return m.explainInit(ours, sap.Proposals) })
		return
	}
	// "[...] the responder [...] reject the request and indicate its preferred
	// Diffie-Hellman group in the INVALID_KE_PAYLOAD Notify payload."
	// https://www.rfc-editor.org/rfc/rfc7296#section-1.3
	if suite.Group(ke.Group) != chosen.Group {
		m.refuseInit(t, d, h, groupWanted(chosen.Group))
		return
	}
	m.acceptInitiator(t, d, msg, answerInit{chosen, prop, ke, nonce})
}

// reflected reports whether a request is one of ours that somebody sends back:
// answered, it would make an SA between us and ourselves, since both ends of a
// pre-shared key prove themselves with the same key.
func (m *Machine) reflected(h ike.Header) bool {
	return slices.ContainsFunc(m.sas, func(s *sa) bool { return s.initiator && s.spiI == h.SPIi })
}

// initDigest stands for an IKE_SA_INIT request.
func initDigest(request []byte) [sha256.Size]byte { return sha256.Sum256(request) }

// repeatInit answers a retransmitted request as before. One that has led to an
// SA which is up is ignored, however late it comes: its sender could take the
// answer for one more to its request, and go on with that as well (RFC 7296
// section 2.1).
func (m *Machine) repeatInit(t *turn, d ike.Datagram, msg *wire.Message) bool {
	for _, s := range m.sas {
		if !s.initiator && s.shake != nil && s.spiI == msg.Header.SPIi && bytes.Equal(s.shake.request, msg.Octets) {
			t.send(d.Local, d.Remote, s.shake.answer)
			return true
		}
	}
	return m.strangers.taken == initDigest(msg.Octets)
}

// demandCookie asks the sender to prove its address, when that is called for,
// and reports whether the request is done with.
func (m *Machine) demandCookie(t *turn, d ike.Datagram, msg *wire.Message, nonce []byte) bool {
	if m.halfOpen() == 0 && !m.shared.Cookies.demanded() {
		return false
	}
	claim := cookieClaim{remote: d.Remote, spiI: msg.Header.SPIi, nonce: nonce}
	if n, ok := msg.Payloads[0].(*wire.Notify); ok && n.Type == wire.CookieNotify &&
		m.shared.Cookies.valid(t.now, claim, n.Data) {
		return false
	}
	c, err := m.shared.Cookies.make(t.now, claim)
	if err != nil {
		t.bug(err)
		return true
	}
	m.refuseInit(t, d, msg.Header, &wire.Notify{Type: wire.CookieNotify, Data: c})
	return true
}

// refuseInit answers with one notify and keeps nothing.
func (m *Machine) refuseInit(t *turn, d ike.Datagram, h ike.Header, n *wire.Notify) {
	h.Version, h.Flags = wire.Version, ike.FlagResponse
	msg := wire.Message{Header: h, Payloads: []wire.Payload{n}}
	t.send(d.Local, d.Remote, msg.Append(nil))
}

// groupWanted is the notify that asks for group g.
func groupWanted(g suite.Group) *wire.Notify {
	return &wire.Notify{Type: wire.InvalidKEPayload, Data: binary.BigEndian.AppendUint16(nil, uint16(g))}
}

// An answerInit is what the responder has chosen.
type answerInit struct {
	suite    suite.IKE
	proposal wire.Proposal
	ke       *wire.KE
	nonce    *wire.Nonce
}

// acceptInitiator makes an SA for the initiator, with keys, and answers.
func (m *Machine) acceptInitiator(t *turn, d ike.Datagram, msg *wire.Message, a answerInit) {
	public, shared, err := suite.RespondExchange(a.suite.Group, a.ke.Public, m.cfg.Tuning.Rand)
	if err != nil && !errors.Is(err, suite.ErrPublic) {
		t.bug(err)
		return
	}
	if err != nil {
		m.refuseInit(t, d, msg.Header, &wire.Notify{Type: wire.InvalidSyntax})
		m.rejected(t, &m.strangers.noticed, d.Remote, func() string { return fmt.Sprintf("peer's key exchange value is not valid: %v", err) })
		return
	}
	s := &sa{
		state: keyed, spiI: msg.Header.SPIi, spiR: m.newIKESPI(t), suite: a.suite,
		path:  path{local: d.Local, remote: d.Remote},
		until: t.now.Add(m.cfg.Tuning.RetransmitTimeout),
		shake: &handshake{ni: a.nonce.Data, nr: m.random(t, nonceLen), request: msg.Octets, began: t.now},
	}
	s.path.detect(msg.Header, msg.Payloads, m.cfg.ForceEncap)
	keys, err := suite.DeriveIKE(a.suite, suite.KeyInput{Ni: s.shake.ni, Nr: s.shake.nr, SPIi: s.spiI, SPIr: s.spiR, Shared: shared})
	if err == nil {
		err = s.adopt(m, keys)
	}
	if err != nil {
		t.bug(err)
		return
	}
	shared.Wipe()
	list := []wire.Payload{
		proposal.AnswerIKE(a.suite, a.proposal, nil),
		&wire.KE{Group: uint16(a.suite.Group), Public: public},
		&wire.Nonce{Data: s.shake.nr},
	}
	list = append(list, m.pathAnswer(s, msg.Payloads)...)
	if a.suite.AddKE != (suite.MoreKE{}) {
		list = append(list, m.intermediateNotify()...)
	}
	list = append(list, m.certRequest()...)
	if s.shake.hashes = hashesOf(msg.Payloads); len(s.shake.hashes) > 0 {
		list = append(list, m.hashNotify()...)
	}
	if s.shake.ppk.agreed = m.ppkAgreed(msg.Payloads); s.shake.ppk.agreed {
		list = append(list, m.ppkNotify()...)
	}
	m.halfOpened(t, d, s, wire.Message{Header: s.header(wire.IKESAInit, 0, true), Payloads: list})
}

// pathAnswer is what the answer to the first message of a peer, which holds
// list, says of the path.
func (m *Machine) pathAnswer(s *sa, list []wire.Payload) []wire.Payload {
	var out []wire.Payload
	if s.path.supported {
		out = append(out, natPayloads(s.spiI, s.spiR, s.path, m.cfg.ForceEncap)...)
	}
	if s.ext.fragments.on = m.fragmentsAgreed(list); s.ext.fragments.on {
		out = append(out, m.fragmentNotify()...)
	}
	return out
}

// halfOpened answers the first message of a peer, and keeps s.
func (m *Machine) halfOpened(t *turn, d ike.Datagram, s *sa, answer wire.Message) {
	s.shake.answer = answer.Append(nil)
	s.window.expect = 1
	m.makeRoom()
	m.dropOldestFading()
	m.sas = append(m.sas, s)
	t.send(d.Local, d.Remote, s.shake.answer)
}

// dropOldestFailed makes room for one more IKE SA at the expense of an attempt
// that came to nothing: somebody who cannot prove who he is may make many, and
// they must not be in the way of the peer.
func (m *Machine) dropOldestFailed() {
	if len(m.sas) < maxSAs {
		return
	}
	if at := slices.IndexFunc(m.sas, (*sa).failed); at >= 0 {
		m.forget(m.sas[at])
	}
}

// dropOldestFading makes room for one more IKE SA, also when a peer that has
// the key starts over and over and each start leaves an SA that fades.
func (m *Machine) dropOldestFading() {
	m.dropOldestFailed()
	if len(m.sas) < maxSAs {
		return
	}
	at := slices.IndexFunc(m.sas, func(s *sa) bool { return s.state == fading || s.state == gone })
	if at >= 0 {
		m.forget(m.sas[at])
	}
}
