package ikev2

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// strangerQuiet is how long at least lies between two notices about messages
// that prove nothing about their sender: a flood must not fill the log.
const strangerQuiet = 5 * time.Second

// refusalPause is how long at least lies between two answers to messages that
// make no sense and prove nothing.
const refusalPause = time.Second

// strangers bounds what messages that prove nothing make us do.
type strangers struct {
	noticed time.Time // when the last notice was about a message without a seal
	proved  time.Time // when about one whose sender failed to authenticate
	refused time.Time // when the last answer went to what makes no sense

	taken [sha256.Size]byte // digest of the IKE_SA_INIT request of the SA that came up last

	halfOpen int // attempts that Shared.Cookies counts for this machine
}

// seldom reports whether pause has passed since it last said so.
func seldom(now time.Time, last *time.Time, pause time.Duration) bool {
	if !last.IsZero() && now.Sub(*last) < pause {
		return false
	}
	*last = now
	return true
}

// mayRefuse reports whether a message that makes no sense may be answered: one
// in a while, so that we cannot be made to send many (RFC 7296 section
// 2.21.4).
func (m *Machine) mayRefuse(t *turn) bool {
	return seldom(t.now, &m.strangers.refused, refusalPause)
}

// rejected reports, if last lies some time back, why an attempt of the peer
// came to nothing. It proves nothing about the peer, so an SA that is up or
// being made is not touched, and the words are not put together for every
// message of a flood.
func (m *Machine) rejected(t *turn, last *time.Time, remote netip.AddrPort, why func() string) {
	if !seldom(t.now, last, strangerQuiet) {
		return
	}
	reason := why()
	t.notice(levelWarn, "negotiation failed", "remote", remote, "reason", reason)
	if m.status.phase == ike.Idle || m.status.phase == ike.Failed {
		m.setPhase(t, m.status.phase, reason)
	}
}

// receive takes one datagram. What is not authentic changes nothing but a
// half-open attempt.
func (m *Machine) receive(t *turn, d ike.Datagram) {
	h, _, err := ike.ParseHeader(d.Data)
	if err != nil {
		return
	}
	if h.Major() != 2 {
		m.refuseVersion(t, d, h)
		return
	}
	if h.Exchange != wire.IKESAInit && h.Exchange != wire.IKESessionResume {
		m.receiveSealed(t, d, h)
		return
	}
	msg, err := wire.Parse(d.Data)
	response, resume := h.Flags&ike.FlagResponse != 0, h.Exchange == wire.IKESessionResume
	switch {
	case err != nil:
		if response && !resume {
			m.begun(h).ignored("cannot be read: %v", err)
		}
	case response && resume:
		m.receiveResume(t, d, msg)
	case response:
		m.receiveInit(t, d, msg)
	case resume:
		m.respondResume(t, d, msg)
	default:
		m.respondInit(t, d, msg)
	}
}

// refuseVersion answers a request of a later version, and notes one of an
// earlier, which would not understand us.
func (m *Machine) refuseVersion(t *turn, d ike.Datagram, h ike.Header) {
	if h.Major() == 1 && h.SPIr == 0 {
		m.rejected(t, &m.strangers.noticed, d.Remote, func() string {
			return "peer begins with IKEv1, we allow IKEv2 only: let it use IKEv2, or add ikev1 to IKEVersions"
		})
	}
	// The header of the answer says which version we speak (RFC 7296 sections
	// 1.5 and 2.5).
	if h.Major() < 2 || h.Flags&ike.FlagResponse != 0 || !m.mayRefuse(t) {
		return
	}
	h.Version, h.Flags = wire.Version, ike.FlagResponse
	msg := wire.Message{Header: h, Payloads: []wire.Payload{&wire.Notify{Type: wire.InvalidMajorVersion}}}
	t.send(d.Local, d.Remote, msg.Append(nil))
}

// refuseSPI answers a request of an SA that we do not have, so that a peer that
// remembers one sees in its log why nothing comes (RFC 7296 section 1.5). An
// answer is never answered, and few are sent.
func (m *Machine) refuseSPI(t *turn, d ike.Datagram, h ike.Header) {
	if h.SPIi == 0 || h.SPIr == 0 || h.Flags&ike.FlagResponse != 0 || !m.mayRefuse(t) {
		return
	}
	h.Version, h.Flags = wire.Version, h.Flags&ike.FlagInitiator^ike.FlagInitiator|ike.FlagResponse
	msg := wire.Message{Header: h, Payloads: []wire.Payload{&wire.Notify{Type: wire.InvalidIKESPI}}}
	t.send(d.Local, d.Remote, msg.Append(nil))
}

// receiveSealed takes a message of an SA that has keys.
func (m *Machine) receiveSealed(t *turn, d ike.Datagram, h ike.Header) {
	s := m.find(h)
	if s == nil {
		m.refuseSPI(t, d, h)
		return
	}
	if s.open == nil {
		return
	}
	msg, err := wire.Parse(d.Data)
	if err != nil {
		return
	}
	if f, ok := msg.FindSKF(); ok {
		m.receiveFragment(t, s, d, msg, f)
		return
	}
	list, authentic, err := wire.Open(msg, s.opener(h))
	if !authentic {
		return
	}
	r := received{from: d, h: h, list: list, err: err}
	if h.Exchange == wire.IKEIntermediate && err == nil {
		r.covered, r.err = wire.CoveredAs(msg, s.opener(h))
	}
	if h.Flags&ike.FlagResponse != 0 {
		m.receiveResponse(t, s, r)
		return
	}
	m.receiveRequest(t, s, r)
}

// A received is an authentic message. err is what was wrong inside it.
type received struct {
	from ike.Datagram
	h    ike.Header
	list []wire.Payload
	err  error
	// covered is what AUTH will cover of it, if it is an IKE_INTERMEDIATE.
	covered []byte
}

// fresh notes that an authentic message of s, never seen before, came from d:
// the peer lives, and that is where it is. A message seen before proves
// neither, since anybody can repeat it (RFC 7296 section 2.4).
func (m *Machine) fresh(t *turn, s *sa, d ike.Datagram) {
	m.export.stale = true
	if s == m.current {
		m.live.hear(t.now)
	}
	m.follow(t, s, d)
}

func (m *Machine) receiveResponse(t *turn, s *sa, r received) {
	f := s.window.out
	if f == nil || f.task == nil || f.task.exchange() != r.h.Exchange || s.state == gone {
		return
	}
	// A wish for message ids has id 0 each time, and so had others before: an
	// answer to one of those, which anybody can repeat, proves nothing.
	if k, ok := f.task.(*syncIDs); ok && !k.answeredBy(r) {
		return
	}
	if _, ok := s.window.settle(r.h.MessageID); !ok {
		return
	}
	m.fresh(t, s, r.from)
	if kind, critical := wire.UnknownCritical(r.list); critical && r.err == nil {
		r.err = fmt.Errorf("critical payload of unknown type %d", kind)
	}
	if r.err != nil {
		m.broken(t, s, fmt.Sprintf("peer's %s response is malformed: %v", wire.ExchangeName(r.h.Exchange), r.err))
		return
	}
	if k, ok := f.task.(*intermediate); ok {
		k.covered = r.covered
	}
	f.task.response(m, t, s, r.list)
	t.tellCreate(createResponseProcessed, f.id, f.task)
	m.receiveEarly(t, s)
}

// receiveEarly takes the request that has overtaken the last response of
// IKE_AUTH, or come while that was lost. The peer would send it again, but not
// every peer does: libreswan 4.10 forgets it over a request of ours.
func (m *Machine) receiveEarly(t *turn, s *sa) {
	early := s.window.early
	if early == nil || s.state == keyed {
		return
	}
	s.window.early = nil
	m.receiveRequest(t, s, *early)
}

// broken ends s after an authentic message that makes no sense.
func (m *Machine) broken(t *turn, s *sa, reason string) {
	t.notice(levelWarn, "IKE SA is broken", "reason", reason)
	m.session.forget()
	switch {
	case s.state == keyed:
		m.attemptFailed(t, s, reason)
	case s == m.current:
		m.fade(s, t.now)
		s.tasks = append(s.tasks, &deleteIKE{})
		m.down(t, reason, later)
	default:
		m.forget(s)
	}
}

// answers reports whether a request of the given exchange may be answered on s
// as it is: nothing before AUTH, nor after the end.
func (s *sa) answers(exchange uint8) bool {
	if s.state == keyed {
		return !s.initiator && exchange == s.nextBeforeUp()
	}
	return s.state != gone
}

func (m *Machine) receiveRequest(t *turn, s *sa, r received) {
	if m.respondSync(t, s, r) {
		return
	}
	switch s.window.admit(r.h.MessageID) {
	case ignore:
		return
	case repeat:
		m.counts.retransmits++
		t.send(r.from.Local, r.from.Remote, s.window.cached...)
		return
	case fresh:
	}
	if !s.answers(r.h.Exchange) {
		if s.state == keyed && s.initiator {
			early := r // so that only this one is put on the heap
			s.window.early = &early
		}
		return
	}
	m.fresh(t, s, r.from)
	if r.err != nil {
		// An authentic request that is malformed is answered, and ends the IKE
		// SA (RFC 7296 section 2.21.3).
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
		m.ended(t, s, fmt.Sprintf("peer's %s request is malformed: %v", wire.ExchangeName(r.h.Exchange), r.err))
		return
	}
	// "If the critical flag is set and the payload type is unrecognized, the
	// message MUST be rejected [...] UNSUPPORTED_CRITICAL_PAYLOAD."
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.5
	if kind, critical := wire.UnknownCritical(r.list); critical {
		m.refuse(t, s, r, &wire.Notify{Type: wire.UnsupportedCriticalPayload, Data: []byte{byte(kind)}})
		if s.state == keyed {
			m.ended(t, s, fmt.Sprintf("peer's %s needs an extension (payload type %d) that does not exist here", wire.ExchangeName(r.h.Exchange), kind))
		}
		return
	}
	switch r.h.Exchange {
	case wire.IKEAuth:
		m.respondAuth(t, s, r)
	case wire.CreateChildSA:
		m.respondCreate(t, s, r)
	case wire.Informational:
		m.respondInformational(t, s, r)
	case wire.IKEIntermediate:
		m.respondIntermediate(t, s, r)
	case wire.IKEFollowupKE:
		m.respondFollowUp(t, s, r)
	default:
		m.refuse(t, s, r, &wire.Notify{Type: wire.InvalidSyntax})
	}
}

// reply answers request r on s.
func (m *Machine) reply(t *turn, s *sa, r received, list ...wire.Payload) {
	data, err := m.seal(s, s.header(r.h.Exchange, r.h.MessageID, true), list)
	if err != nil {
		t.bug(err)
		return
	}
	s.window.answered(data)
	m.renewIDs(t, s)
	// "[...] MUST respond to the address and port from which the request was
	// received", from the address and port at which it was.
	// https://www.rfc-editor.org/rfc/rfc7296#section-2.11
	t.send(r.from.Local, r.from.Remote, data...)
	s.path.sent = t.now
	t.tellCreated(r)
}

// refuse answers request r with one notify.
func (m *Machine) refuse(t *turn, s *sa, r received, n *wire.Notify) { m.reply(t, s, r, n) }

// ended makes s gone after our last response on it, which it will repeat.
func (m *Machine) ended(t *turn, s *sa, reason string) {
	was := s.state
	m.finish(s, t.now)
	switch {
	case s == m.current:
		m.session.forget()
		m.session.void = t.now
		t.notice(levelWarn, "IKE SA is down", "reason", reason)
		m.down(t, reason, later)
	case was == keyed:
		m.rejected(t, &m.strangers.proved, s.path.remote, func() string { return reason })
	}
}
