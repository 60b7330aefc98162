package ikev1

import (
	"fmt"
	"strings"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// explainGarbage is what it mostly means when a proof of identity is garbage.
func (m *Machine) explainGarbage() string {
	if m.method == proposal.PSK {
		return "the pre-shared keys differ (set PreSharedKey to the same text at both ends), or the message was forged"
	}
	return "it was forged or damaged, since with certificates both ends have the same keys"
}

// explainSilence is in words why our attempt s ended without an answer.
func (m *Machine) explainSilence(s *sa) string {
	remote := s.path.remote
	switch {
	case s.shake.refusal != "":
		return s.shake.refusal
	case s.shake.odd != "":
		asked := 1
		if s.state == keying {
			asked = 3
		}
		return fmt.Sprintf("an answer to main mode message %d came from %v, but it %s: see that an IKEv1 gateway answers there, and its log", asked, remote, s.shake.odd)
	case s.state == offered:
		return fmt.Sprintf("no answer from %v to main mode: check the peer's address, that it is running and speaks IKEv1, and that UDP %d and 4500 pass the firewalls between", remote, remote.Port())
	case s.state == keying:
		return fmt.Sprintf("no answer from %v to the key exchange (main mode message 3): the peer answered message 1, so see its log", remote)
	}
	text := fmt.Sprintf("no answer from %v to our proof of identity (main mode message 5): see whether UDP %d passes, and the peer's log", remote, remote.Port())
	if m.method == proposal.PSK {
		text += "; most peers are silent when the pre-shared keys differ"
	}
	return text
}

// explainIDs says that the traffic that ids ask for is not that allowed; theirs
// and ours are which of them are for the peer's side and for ours.
func (m *Machine) explainIDs(ids []*wire.ID, theirs, ours int) string {
	wants := ""
	switch {
	case len(ids) == 0:
		wants = "peer names no traffic in quick mode (no ID payload, which stands for the two gateways themselves)"
	case len(ids) != 2:
		wants = fmt.Sprintf("peer's quick mode holds ID payloads: %d, where 2 are wanted, one for the traffic of each side", len(ids))
	default:
		wants = fmt.Sprintf("peer wants traffic between its %s and our %s", idWord(ids[theirs]), idWord(ids[ours]))
	}
	return fmt.Sprintf("%s; we allow its %s and our %s: make RemoteIpv4NetworkCidr and LocalIpv4NetworkCidr the same pair at both ends",
		wants, selectorWords(m.cfg.RemoteTS), selectorWords(m.cfg.LocalTS))
}

func selectorWords(list []ike.Selector) string {
	var out []string
	for _, s := range list {
		out = append(out, s.String())
	}
	return strings.Join(out, ", ")
}

// explainNotify is in words why the peer refuses main mode.
func (m *Machine) explainNotify(s *sa, n *wire.Notify) string {
	switch n.Type {
	case wire.NoProposalChosen:
		text := ""
		if sap, err := proposal.OfferIKE(m.cfg.IKE, m.method, m.cfg.Lifetime.IKE); err == nil {
			text = " (" + proposal.WordsIKE(sap) + ")"
		}
		return "peer accepts none of the IKEv1 phase 1 algorithms that we offer" + text +
			": make Phase1EncryptionAlgorithms, Phase1IntegrityAlgorithms and Phase1DHGroupNumbers overlap at both ends"
	case wire.InvalidExchangeType, wire.UnsupportedExchange:
		return fmt.Sprintf("peer does not speak main mode (%v): set main mode at the peer", n.Type)
	}
	if s.state == proving {
		text := fmt.Sprintf("peer does not accept our proof of identity (%v)", n.Type)
		if m.method == proposal.PSK {
			return text + fmt.Sprintf(": its pre-shared key is another than ours, or it does not know us as %v: set PreSharedKey to the same text at both ends, or our local identity to what it expects", m.cfg.LocalID)
		}
		return text + fmt.Sprintf(": it does not trust our certificate, or does not know us as %v, our local identity", m.cfg.LocalID)
	}
	return fmt.Sprintf("peer refuses main mode with %v: see its log for what it wants", n.Type)
}

// explainQuick is in words why the peer refuses quick mode.
func (m *Machine) explainQuick(q *quick, n wire.NotifyType) string {
	switch n {
	case wire.NoProposalChosen:
		text := ""
		if sap, err := proposal.OfferESP(m.cfg.ESP, q.offer); err == nil {
			text = " (" + proposal.WordsESP(sap) + ")"
		}
		return "peer accepts none of the IKEv1 phase 2 algorithms that we offer" + text +
			": make Phase2EncryptionAlgorithms, Phase2IntegrityAlgorithms and Phase2DHGroupNumbers overlap at both ends"
	case wire.InvalidIDInformation:
		return fmt.Sprintf("peer refuses traffic between our %s and its %s (INVALID-ID-INFORMATION): make LocalIpv4NetworkCidr and RemoteIpv4NetworkCidr the same pair at both ends",
			m.cfg.LocalTS[0], m.cfg.RemoteTS[0])
	}
	return fmt.Sprintf("peer refuses quick mode with %v: see its log for what it wants", n)
}

// spiWord prints an ESP SPI as other tools do.
func spiWord(spi uint32) string { return fmt.Sprintf("%08x", spi) }
