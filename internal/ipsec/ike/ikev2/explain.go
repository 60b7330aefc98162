package ikev2

import (
	"fmt"
	"strings"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// explainTS says which selectors have nothing in common. The first two are the
// peer's, for its side and for ours; the others are what we allow there.
func explainTS(theirs, ours, remote, local []ike.Selector) string {
	return fmt.Sprintf("peer wants traffic between its %s and our %s; we allow its %s and our %s: make RemoteIpv4NetworkCidr and LocalIpv4NetworkCidr the same pair at both ends",
		selectorWords(theirs), selectorWords(ours), selectorWords(remote), selectorWords(local))
}

func selectorWords(list []ike.Selector) string {
	var out []string
	for _, s := range list {
		out = append(out, s.String())
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

// childRefused is in words why the peer refuses a CHILD SA.
func (m *Machine) childRefused(n wire.NotifyType, pfs bool) string {
	switch n {
	case wire.NoProposalChosen:
		return "peer accepts none of the ESP algorithms that we offer (" + proposal.Words(proposal.ESP(m.cfg.ESP, 0, pfs)) +
			"): make Phase2EncryptionAlgorithms, Phase2IntegrityAlgorithms and Phase2DHGroupNumbers overlap at both ends"
	case wire.TSUnacceptable:
		return fmt.Sprintf("peer refuses traffic between our %s and its %s (TS_UNACCEPTABLE): make LocalIpv4NetworkCidr and RemoteIpv4NetworkCidr the same pair at both ends",
			selectorWords(m.cfg.LocalTS), selectorWords(m.cfg.RemoteTS))
	}
	return fmt.Sprintf("peer refuses the CHILD SA with %v: see its log for what it wants", n)
}

// explainSilence is in words why our IKE_SA_INIT on s came to nothing, though
// nobody refused it.
func (s *sa) explainSilence() string {
	remote := s.path.remote
	switch {
	case s.shake.odd != "":
		return fmt.Sprintf("an answer to IKE_SA_INIT came from %v, but it %s: see that an IKEv2 gateway answers there, and its log", remote, s.shake.odd)
	case s.shake.tries > 1:
		return fmt.Sprintf("no answer from %v to our second IKE_SA_INIT: the peer answered the first by asking for a cookie or another DH group, so see its log, and whether longer messages to UDP %d pass",
			remote, remote.Port())
	}
	return fmt.Sprintf("no answer from %v to IKE_SA_INIT: check the peer's address, that it is running, and that UDP %d and 4500 pass the firewalls between", remote, remote.Port())
}

// spiWord prints an ESP SPI as other tools do.
func spiWord(spi uint32) string { return fmt.Sprintf("%08x", spi) }
