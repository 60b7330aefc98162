package ikev1

import (
	"fmt"
	"net/netip"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// strangerQuiet is how long at least lies between two notices about messages
// that prove nothing about their sender: a flood must not fill the log.
const strangerQuiet = 5 * time.Second

// refusalPause is how long at least lies between two answers to messages that
// prove nothing and come to nothing.
const refusalPause = time.Second

// strangers bounds what messages that prove nothing make us do.
type strangers struct {
	noticed time.Time // when the last notice was about a message in the clear
	proved  time.Time // when about one whose sender failed to authenticate
	refused time.Time // when the last answer went to what came to nothing
}

// seldom reports whether pause has passed since it last said so.
func seldom(now time.Time, last *time.Time, pause time.Duration) bool {
	if !last.IsZero() && now.Sub(*last) < pause {
		return false
	}
	*last = now
	return true
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

// refuse answers a message in the clear with one notify, seldom, and keeps
// nothing.
func (m *Machine) refuse(t *turn, d ike.Datagram, h ike.Header, n wire.NotifyType) {
	if !seldom(t.now, &m.strangers.refused, refusalPause) {
		return
	}
	// Message id 0: peers drop an informational message in the clear that has
	// another, since it cannot belong to anything.
	h = ike.Header{SPIi: h.SPIi, SPIr: h.SPIr, Version: wire.Version, Exchange: wire.Informational}
	msg := wire.Message{Header: h, Chain: wire.Chain{Payloads: []wire.Payload{&wire.Notify{Protocol: wire.ProtoISAKMP, Type: n}}}}
	t.send(d.Local, d.Remote, msg.Append(nil))
}

// receive takes one datagram. What is not authentic changes nothing but a
// half-open attempt.
func (m *Machine) receive(t *turn, d ike.Datagram) {
	h, _, err := ike.ParseHeader(d.Data)
	if err == nil && h.Major() == 2 && h.SPIr == 0 {
		// The answer spares a peer that speaks both the wait (RFC 2408 section
		// 5.2).
		m.refuse(t, d, h, wire.InvalidMajorVersion)
		m.rejected(t, &m.strangers.noticed, d.Remote, func() string {
			return "peer begins with IKEv2, we allow IKEv1 only: add ikev2 to IKEVersions, or let it use IKEv1"
		})
	}
	if err != nil || h.Major() != 1 || h.SPIi == 0 {
		return
	}
	switch h.Exchange {
	case wire.MainMode, wire.QuickMode, wire.Informational:
	default:
		m.refuseExchange(t, d, h)
		return
	}
	msg, err := wire.Parse(d.Data)
	if err != nil {
		m.begun(h).ignored("cannot be read: %v", err)
		return
	}
	if f, ok := wire.Find[*wire.Fragment](msg.Chain.Payloads); ok {
		m.receiveFragment(t, d, h, f)
		return
	}
	m.dispatch(t, d, msg)
}

// dispatch takes a whole message.
func (m *Machine) dispatch(t *turn, d ike.Datagram, msg *wire.Message) {
	switch msg.Header.Exchange {
	case wire.MainMode:
		m.receiveMain(t, d, msg)
	case wire.QuickMode:
		m.receiveQuick(t, d, msg)
	case wire.Informational:
		m.receiveInformational(t, d, msg)
	}
}

// refuseExchange says no to what we do not speak. Aggressive mode sends a hash
// of the pre-shared key to whoever asks, and transactions are XAUTH and mode
// config of remote access.
func (m *Machine) refuseExchange(t *turn, d ike.Datagram, h ike.Header) {
	if s := m.find(h); s != nil && s.state >= up {
		return // no answer in the clear on an SA that has keys
	}
	m.refuse(t, d, h, wire.InvalidExchangeType)
	m.rejected(t, &m.strangers.noticed, d.Remote, func() string {
		text := fmt.Sprintf("peer wants to speak %s in IKEv1; only main mode and quick mode are spoken here", wire.ExchangeName(h.Exchange))
		switch h.Exchange {
		case wire.Aggressive:
			text += ": set main mode at the peer (aggressive mode shows a hash of the pre-shared key to everybody)"
		case wire.Transaction:
			text += ": turn XAUTH and mode config off at the peer"
		}
		return text
	})
}

// receiveMain takes a message of main mode.
func (m *Machine) receiveMain(t *turn, d ike.Datagram, msg *wire.Message) {
	h := msg.Header
	if h.MessageID != 0 {
		return
	}
	if h.SPIr == 0 {
		m.respondOffer(t, d, msg)
		return
	}
	s := m.find(h)
	if s == nil {
		s = m.recalled(t, d, msg)
	}
	if s == nil {
		m.receiveChoice(t, d, msg)
		return
	}
	if !s.initiator && s.echo.is(msg.Octets) {
		if s.echo.answer != nil {
			m.counts.retransmits++
			m.post(t, s, d.Local, d.Remote, s.echo.answer)
		}
		if s == m.current {
			m.lacksProof(t)
		}
		return
	}
	if msg.Encrypted() != (s.state == proving) {
		return
	}
	switch {
	case s.state == keying && s.initiator:
		m.receiveExchange(t, d, msg, s)
	case s.state == keying:
		m.respondExchange(t, d, msg, s)
	case s.state == proving && s.initiator:
		m.receiveProof(t, d, msg, s)
	case s.state == proving:
		m.respondProof(t, d, msg, s)
	}
}
