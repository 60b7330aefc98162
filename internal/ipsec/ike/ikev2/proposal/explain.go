package proposal

import (
	"fmt"
	"strings"

	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// kinds are the transform types in the order in which proposals are written,
// with the option of phase 1 or 2 that governs each (vpn §2.1).
var kinds = []struct {
	t      wire.TransformType
	name   string
	option string
}{
	{wire.TypeEncr, "encryption algorithm", "EncryptionAlgorithms"},
	{wire.TypeInteg, "integrity algorithm", "IntegrityAlgorithms"},
	{wire.TypePRF, "PRF", "IntegrityAlgorithms"},
	{wire.TypeDH, "DH group", "DHGroupNumbers"},
	{wire.TypeAddKE1, "additional key exchange 1", "AdditionalKeyExchanges"},
	{wire.TypeAddKE2, "additional key exchange 2", "AdditionalKeyExchanges"},
	{wire.TypeAddKE3, "additional key exchange 3", "AdditionalKeyExchanges"},
	{wire.TypeAddKE4, "additional key exchange 4", "AdditionalKeyExchanges"},
	{wire.TypeAddKE5, "additional key exchange 5", "AdditionalKeyExchanges"},
	{wire.TypeAddKE6, "additional key exchange 6", "AdditionalKeyExchanges"},
	{wire.TypeAddKE7, "additional key exchange 7", "AdditionalKeyExchanges"},
	{wire.TypeESN, "sequence numbers", ""},
}

// transformWord is a transform by the name that AWS uses, else by number.
func transformWord(t wire.Transform) string {
	switch t.Type {
	case wire.TypeEncr:
		switch suite.Encr(t.ID) {
		case suite.ChaCha20Poly1305:
			return suite.ChaCha20Poly1305.String()
		case suite.AESCBC, suite.AESGCM16:
			return suite.EncrKey{Encr: suite.Encr(t.ID), KeyBits: int(t.KeyBits)}.String()
		}
		return fmt.Sprintf("ENCR%d-%d", t.ID, t.KeyBits)
	case wire.TypeInteg:
		return suite.Integ(t.ID).String()
	case wire.TypePRF:
		return suite.PRF(t.ID).String()
	case wire.TypeDH:
		return suite.Group(t.ID).String()
	case wire.TypeAddKE1, wire.TypeAddKE2, wire.TypeAddKE3, wire.TypeAddKE4, wire.TypeAddKE5, wire.TypeAddKE6, wire.TypeAddKE7:
		if t.ID == 0 {
			return "NONE"
		}
		return suite.Group(t.ID).String()
	case wire.TypeESN:
		if t.ID == esnYes {
			return "ESN"
		}
		return "no ESN"
	}
	return fmt.Sprintf("transform %d/%d", t.Type, t.ID)
}

// words are the transforms of type t in list, each once.
func words(list []wire.Proposal, t wire.TransformType) []string {
	var out []string
	for _, p := range list {
		for _, x := range p.Transforms {
			if x.Type == t {
				out = append(out, transformWord(x))
			}
		}
	}
	return unique(out)
}

// Words writes proposals as "AES128+AES256/SHA2-256/PRF-SHA2-256/DH14",
// one after the other.
func Words(list []wire.Proposal) string {
	var out []string
	for _, p := range list {
		var parts []string
		for _, k := range kinds {
			if w := words([]wire.Proposal{p}, k.t); len(w) > 0 && k.t != wire.TypeESN {
				parts = append(parts, strings.Join(w, "+"))
			}
		}
		out = append(out, strings.Join(parts, "/"))
	}
	return strings.Join(unique(out), ", ")
}

// GroupWords writes groups one after the other.
func GroupWords(list []suite.Group) string {
	var out []string
	for _, g := range list {
		out = append(out, g.String())
	}
	return strings.Join(out, ", ")
}

// ExplainIKE says why nothing of what the peer offers for the IKE SA is ours.
func ExplainIKE(ours []suite.IKE, offered []wire.Proposal) string {
	return explain("IKE", 1, IKE(ours, nil), offered)
}

// ExplainESP is ExplainIKE for the CHILD SA.
func ExplainESP(ours []suite.ESP, offered []wire.Proposal, pfs bool) string {
	return explain("ESP", 2, ESP(ours, 0, pfs), offered)
}

// explain names what the peer offers, what we allow, and the option to change:
// that of the first kind of algorithm in which the two have nothing in common.
func explain(protocol string, phase int, ours, offered []wire.Proposal) string {
	text := fmt.Sprintf("peer offers %s %s; we allow %s", protocol, Words(offered), Words(ours))
	for _, k := range kinds {
		want, have := words(offered, k.t), words(ours, k.t)
		option := fmt.Sprintf("Phase%d%s", phase, k.option)
		if k.t >= wire.TypeAddKE1 && len(have) == 0 && all(offered, k.t) {
			return fmt.Sprintf("%s: the peer offers nothing without an %s; add %s to %s, or change the peer", text, k.name, want[0], option)
		}
		if len(have) == 0 || overlap(want, have) {
			continue
		}
		if k.option == "" {
			continue
		}
		if len(want) == 0 {
			return fmt.Sprintf("%s: the peer offers no %s; it must offer one of %s (%s)", text, k.name, strings.Join(have, ", "), option)
		}
		return fmt.Sprintf("%s: no %s in common; add %s to %s, or change the peer", text, k.name, strings.TrimPrefix(want[0], "PRF-"), option)
	}
	return text + fmt.Sprintf(": each algorithm is allowed, but not this combination; widen Phase%d… here or at the peer", phase)
}

// all reports whether each of list has a transform of type t.
func all(list []wire.Proposal, t wire.TransformType) bool {
	for _, p := range list {
		if len(words([]wire.Proposal{p}, t)) == 0 {
			return false
		}
	}
	return len(list) > 0
}

func overlap(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}
