package ikev2

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// A resumption is what a machine needs to take up sessions again (RFC 5723).
type resumption struct {
	tickets *Tickets // ours to give out, nil without resumption
	// void is when the last session was ended by word: tickets from before
	// must not bring it back.
	void time.Time

	held   *ticket // as initiator: what we hold, and the octets of it
	octets []byte
}

// forget drops the ticket that we hold: it was used up, or the session was
// ended by word.
func (r *resumption) forget() {
	if r.held != nil {
		r.held.d.Wipe()
	}
	r.held, r.octets = nil, nil
}

// scope is who a ticket of this machine is for: the peer's configuration. When
// that changes, old tickets are worth nothing.
func (m *Machine) scope() []byte {
	var b []byte
	add := func(part []byte) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...) }
	for _, id := range []ike.Identity{m.cfg.LocalID, m.cfg.RemoteID} {
		add([]byte{byte(id.Type)})
		add([]byte(id.Data))
	}
	add(m.cfg.Auth.PSK.Reveal())
	add(m.cfg.Extensions.PPK.Reveal())
	add([]byte(m.cfg.Extensions.PPKID))
	if m.cfg.Auth.Signs() {
		trust := m.cfg.Auth.Trust.Digest() // a list of revocations may be a newer one
		add(trust[:])
	}
	return b
}

// ticketRequest is what IKE_AUTH says to get a ticket.
func (m *Machine) ticketRequest() []wire.Payload {
	if m.session.tickets == nil {
		return nil
	}
	return []wire.Payload{&wire.Notify{Type: wire.TicketRequest}}
}

// giveTicket answers a TICKET_REQUEST in the peer's IKE_AUTH on s.
func (m *Machine) giveTicket(t *turn, s *sa, list []wire.Payload) []wire.Payload {
	if _, asked := wire.FindNotify(list, wire.TicketRequest); !asked {
		return nil
	}
	life := m.ticketLife(t, s)
	if m.session.tickets != nil {
		k := ticket{issued: t.now, expires: t.now.Add(life), peer: s.peer, suite: s.suite, d: s.keys.D, ppk: s.ext.ppk}
		sealed, err := m.session.tickets.seal(t.now, m.scope(), k)
		t.bug(err)
		if err == nil && len(sealed) <= maxTicket {
			data := binary.BigEndian.AppendUint32(nil, uint32(life/time.Second))
			return []wire.Payload{&wire.Notify{Type: wire.TicketLTOpaque, Data: append(data, sealed...)}}
		}
	}
	return []wire.Payload{&wire.Notify{Type: wire.TicketNack}}
}

// ticketLife is how long a ticket for s is good: as long as the IKE SA could
// have been (RFC 5723 section 6.2), and the peer's certificate.
func (m *Machine) ticketLife(t *turn, s *sa) time.Duration {
	life := min(m.cfg.Lifetime.IKE, ticketKeyLife)
	if until := s.peer.until; !until.IsZero() {
		life = max(0, min(life, until.Sub(t.now)))
	}
	return life
}

// keepTicket keeps the ticket in the peer's IKE_AUTH response on s, if there is
// one. What we do not get, we do not have: an older one is of another session.
func (m *Machine) keepTicket(t *turn, s *sa, list []wire.Payload) {
	m.session.forget()
	n, ok := wire.FindNotify(list, wire.TicketLTOpaque)
	if !ok || m.session.tickets == nil || len(n.Data) <= 4 || len(n.Data) > 4+maxTicket {
		return
	}
	life := min(time.Duration(binary.BigEndian.Uint32(n.Data))*time.Second, m.ticketLife(t, s))
	m.session.held = &ticket{
		issued: t.now, expires: t.now.Add(life), peer: s.peer, suite: s.suite, d: secret.New(s.keys.D.Reveal()), ppk: s.ext.ppk,
	}
	m.session.octets = slices.Clone(n.Data[4:])
}

// resumable reports whether what we hold may be used.
func (m *Machine) resumable(t *turn) bool {
	return m.session.held != nil && t.now.Before(m.session.held.expires)
}

// connectResume begins IKE_SESSION_RESUME.
func (m *Machine) connectResume(t *turn) {
	held := *m.session.held
	held.d = secret.New(held.d.Reveal())
	s := &sa{
		state: larval, initiator: true, spiI: m.newIKESPI(t), suite: held.suite,
		path:  path{local: m.cfg.Local, remote: m.cfg.Remote},
		shake: &handshake{ni: m.random(t, nonceLen), began: t.now, resume: &held},
	}
	m.sas = append(m.sas, s)
	m.setPhase(t, ike.Connecting, "")
	m.sendResume(t, s)
}

// sendResume sends the IKE_SESSION_RESUME request.
func (m *Machine) sendResume(t *turn, s *sa) {
	s.shake.tries++
	var list []wire.Payload
	if s.shake.cookie != nil {
		list = append(list, &wire.Notify{Type: wire.CookieNotify, Data: s.shake.cookie})
	}
	list = append(list, &wire.Nonce{Data: s.shake.ni}, &wire.Notify{Type: wire.TicketOpaque, Data: m.session.octets})
	list = append(list, natPayloads(s.spiI, 0, s.path, m.cfg.ForceEncap)...)
	list = append(list, m.fragmentNotify()...)
	msg := wire.Message{Header: s.header(wire.IKESessionResume, 0, false), Payloads: list}
	s.shake.request = msg.Append(nil)
	s.window.next = 0
	m.launch(t, s, [][]byte{s.shake.request}, nil)
}

// connectAnew gives up the resumption s in favour of a full exchange.
func (m *Machine) connectAnew(t *turn, s *sa, reason string) {
	t.notice(levelInfo, "session cannot be taken up again; a full exchange follows", "remote", s.path.remote, "reason", reason)
	m.forget(s)
	if m.current == nil { // else the peer was faster
		m.connectFull(t)
	}
}

// receiveResume takes an IKE_SESSION_RESUME response. Nothing in it is
// authentic yet; what says no costs no more than a full exchange.
func (m *Machine) receiveResume(t *turn, d ike.Datagram, msg *wire.Message) {
	at := slices.IndexFunc(m.sas, func(s *sa) bool {
		return s.state == larval && s.initiator && s.shake.resume != nil && s.spiI == msg.Header.SPIi
	})
	if at < 0 || msg.Header.MessageID != 0 || msg.Header.Flags&ike.FlagInitiator != 0 {
		return
	}
	s := m.sas[at]
	if n, ok := wire.FindNotify(msg.Payloads, wire.CookieNotify); ok {
		if len(n.Data) >= 1 && len(n.Data) <= 64 && s.shake.tries < maxInitTries {
			s.shake.cookie, s.window.out = slices.Clone(n.Data), nil
			m.sendResume(t, s)
		}
		return
	}
	_, nack := wire.FindNotify(msg.Payloads, wire.TicketNack)
	if n, refused := wire.FindError(msg.Payloads); nack || refused {
		reason := "peer does not take our ticket (TICKET_NACK)"
		if refused {
			reason = fmt.Sprintf("peer refuses IKE_SESSION_RESUME with %v", n.Type)
		}
		m.session.forget()
		m.connectAnew(t, s, reason)
		return
	}
	nonce, ok := wire.Find[*wire.Nonce](msg.Payloads)
	if _, critical := wire.UnknownCritical(msg.Payloads); critical || !ok || msg.Header.SPIr == 0 {
		return
	}
	s.spiR = msg.Header.SPIr
	s.shake.nr, s.shake.answer = slices.Clone(nonce.Data), slices.Clone(msg.Octets)
	if err := s.resumedKeys(m); err != nil {
		t.bug(err)
		return
	}
	s.window.out = nil
	s.state, s.ext.fragments.on = keyed, m.fragmentsAgreed(msg.Payloads)
	m.answeredFrom(s, d, msg)
	m.afterInit(t, s)
}

// resumes reports whether s, which is not up yet, takes up a lost session.
func (s *sa) resumes() bool { return s.shake != nil && s.shake.resume != nil }

// resumedKeys makes the keys of s from those of the old session.
func (s *sa) resumedKeys(m *Machine) error {
	k := s.shake.resume
	keys, err := suite.DeriveResumedIKE(s.suite, k.d, suite.KeyInput{Ni: s.shake.ni, Nr: s.shake.nr, SPIi: s.spiI, SPIr: s.spiR})
	if err != nil {
		return err
	}
	s.ext.resumed, s.ext.ppk = true, k.ppk
	return s.adopt(m, keys)
}

// respondResume answers an IKE_SESSION_RESUME request. One that somebody
// repeats gets no further than this: the new keys need a nonce of ours and the
// old SK_d, and without them there is no IKE_AUTH.
func (m *Machine) respondResume(t *turn, d ike.Datagram, msg *wire.Message) {
	h := msg.Header
	if h.SPIi == 0 || h.SPIr != 0 || h.MessageID != 0 || h.Flags&ike.FlagInitiator == 0 || m.reflected(h) || m.repeatInit(t, d, msg) {
		return
	}
	nonce, okNonce := wire.Find[*wire.Nonce](msg.Payloads)
	opaque, okTicket := wire.FindNotify(msg.Payloads, wire.TicketOpaque)
	if _, critical := wire.UnknownCritical(msg.Payloads); critical || !okNonce || !okTicket {
		if m.mayRefuse(t) {
			m.refuseInit(t, d, h, &wire.Notify{Type: wire.InvalidSyntax})
		}
		return
	}
	if m.demandCookie(t, d, msg, nonce.Data) || !m.roomFor(d.Remote.Addr()) {
		return
	}
	k, ok := m.takeTicket(t, opaque.Data)
	if !ok {
		m.refuseInit(t, d, h, &wire.Notify{Type: wire.TicketNack})
		return
	}
	s := &sa{
		state: keyed, spiI: h.SPIi, spiR: m.newIKESPI(t), suite: k.suite,
		path:  path{local: d.Local, remote: d.Remote},
		until: t.now.Add(m.cfg.Tuning.RetransmitTimeout),
		shake: &handshake{ni: nonce.Data, nr: m.random(t, nonceLen), request: msg.Octets, began: t.now, resume: &k},
	}
	s.path.detect(h, msg.Payloads, m.cfg.ForceEncap)
	if err := s.resumedKeys(m); err != nil {
		t.bug(err)
		return
	}
	list := append([]wire.Payload{&wire.Nonce{Data: s.shake.nr}}, m.pathAnswer(s, msg.Payloads)...)
	m.halfOpened(t, d, s, wire.Message{Header: s.header(wire.IKESessionResume, 0, true), Payloads: list})
}

// takeTicket opens a peer's ticket, if it is ours, still good, and allows
// nothing that the configuration does not.
func (m *Machine) takeTicket(t *turn, sealed []byte) (ticket, bool) {
	if m.session.tickets == nil {
		return ticket{}, false
	}
	k, ok := m.session.tickets.open(t.now, m.scope(), sealed)
	if !ok {
		return ticket{}, false
	}
	_, allowed := proposal.AcceptIKE(m.cfg.IKE, proposal.IKE([]suite.IKE{k.suite}, nil)[0])
	known := m.cfg.RemoteID.IsZero() || m.cfg.RemoteID.Matches(k.peer.Identity)
	if !allowed || !known || !k.issued.After(m.session.void) || (m.cfg.Extensions.PPKRequired && !k.ppk) {
		k.d.Wipe()
		return ticket{}, false
	}
	return k, true
}

// resumedAuth is the AUTH of the initiator or the responder of a resumed s:
// prf(SK_p, its IKE_SESSION_RESUME message) (RFC 5723 section 4.3.3), as
// libreswan reads it, too. The nonces and identities, which AUTH covers
// elsewhere, are in SK_p and in the sealed ticket.
func (s *sa) resumedAuth(initiator bool) *wire.Auth {
	message, skp := s.shake.request, s.keys.Pi
	if !initiator {
		message, skp = s.shake.answer, s.keys.Pr
	}
	return &wire.Auth{Method: wire.AuthSharedKey, Data: s.suite.PRF.Sum(skp.Reveal(), message)}
}

// verifyResumed checks the peer's identity and AUTH on a resumed s. The
// identity must be the one of before.
func (s *sa) verifyResumed(id *wire.ID, list []wire.Payload) error {
	auth, ok := wire.Find[*wire.Auth](list)
	switch {
	case id.Identity != s.shake.resume.peer.Identity:
		return fmt.Errorf("peer says it is %v, but the session that it takes up again was with %v", id.Identity, s.shake.resume.peer.Identity)
	case !ok || auth.Method != wire.AuthSharedKey || !secret.New(auth.Data).Equal(secret.New(s.resumedAuth(!s.initiator).Data)):
		return fmt.Errorf("peer %v does not prove that it knows the session that it takes up again", id.Identity)
	}
	s.peer = s.shake.resume.peer
	return nil
}
