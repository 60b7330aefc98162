package ikev2

import (
	"slices"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// maxRivals bounds how many answers to one IKE_SA_INIT are followed.
const maxRivals = 3

// rival takes one more answer to an IKE_SA_INIT of ours that was answered
// already. Nothing says which of them is the peer's, so the initiator goes on
// with each until one proves right (RFC 7296 section 2.4).
func (m *Machine) rival(t *turn, d ike.Datagram, msg *wire.Message) {
	var first *sa
	n := 0
	for _, s := range m.sas {
		if !s.initiator || s.state != keyed || s.resumes() || s.spiI != msg.Header.SPIi {
			continue
		}
		if s.spiR == msg.Header.SPIr {
			return // it is the same answer again
		}
		first = s
		n++
	}
	if first == nil || n >= maxRivals {
		return
	}
	if _, refusal := wire.FindError(msg.Payloads); refusal {
		return
	}
	was := first.shake
	s := &sa{
		state: larval, initiator: true, spiI: first.spiI,
		path:  path{local: m.cfg.Local, remote: m.cfg.Remote},
		shake: &handshake{x: was.x, ni: was.ni, request: was.request, tries: was.tries, began: was.began, refusal: was.refusal},
	}
	s.window.next = 1
	m.acceptInit(t, s, d, msg)
	if s.state == keyed {
		m.sas = append(m.sas, s)
	}
}

// forgetRivals drops what else came of the attempt that s has come out of.
func (m *Machine) forgetRivals(s *sa) {
	for _, other := range slices.Clone(m.sas) {
		if other != s && other.initiator && other.state == keyed && other.spiI == s.spiI {
			m.forget(other)
		}
	}
}
