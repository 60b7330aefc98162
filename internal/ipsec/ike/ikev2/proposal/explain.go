package proposal

import (
	"fmt"
	"slices"
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

// transformWord is a transform by the name that AWS uses, else by number, with
// what makes that it cannot be chosen.
func transformWord(t wire.Transform) string {
	name := plainWord(t)
	if t.KeyBits != 0 && !keyed(t) {
		name += fmt.Sprintf(" with a key length (%d)", t.KeyBits)
	}
	if t.Strange {
		name += " with an unknown attribute"
	}
	return name
}

// keyed reports whether t may have a key length, or cannot be told from one that
// may.
func keyed(t wire.Transform) bool {
	return t.Type == wire.TypeEncr && suite.Encr(t.ID) != suite.ChaCha20Poly1305
}

// unsaid reports whether t holds something that we do not know, so that it cannot
// be chosen, or with an unknown type nothing beside it.
func unsaid(t wire.Transform) bool {
	return !knownType(t) || t.Strange || t.KeyBits != 0 && !keyed(t)
}

// plainWord is transformWord for the algorithm alone.
func plainWord(t wire.Transform) string {
	switch t.Type {
	case wire.TypeEncr:
		return encrWord(t)
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

// encrWord is plainWord for a cipher, with its key length.
func encrWord(t wire.Transform) string {
	switch e := suite.Encr(t.ID); {
	case e == suite.ChaCha20Poly1305:
		return e.String()
	case e != suite.AESCBC && e != suite.AESGCM16 && t.KeyBits == 0:
		return fmt.Sprintf("ENCR%d", t.ID)
	case e != suite.AESCBC && e != suite.AESGCM16:
		return fmt.Sprintf("ENCR%d-%d", t.ID, t.KeyBits)
	case t.KeyBits == 0:
		return e.String() + " without a key length"
	default:
		return suite.EncrKey{Encr: e, KeyBits: int(t.KeyBits)}.String()
	}
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

// maxUnknown bounds the transforms of unknown types that are put into words.
const maxUnknown = 4

// Words writes proposals as "AES128+AES256/SHA2-256/PRF-SHA2-256/DH14",
// one after the other; none, or such as say nothing, are "nothing".
func Words(list []wire.Proposal) string {
	var out []string
	for _, p := range list {
		var parts []string
		for _, k := range kinds {
			if w := words([]wire.Proposal{p}, k.t); len(w) > 0 && k.t != wire.TypeESN {
				parts = append(parts, strings.Join(w, "+"))
			}
		}
		var rest []string
		for _, t := range p.Transforms {
			if !knownType(t) && len(rest) < maxUnknown {
				rest = addNew(rest, transformWord(t))
			}
		}
		if len(rest) > 0 {
			parts = append(parts, strings.Join(rest, "+"))
		}
		if len(parts) > 0 {
			out = append(out, strings.Join(parts, "/"))
		}
	}
	if len(out) == 0 {
		return "nothing"
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
	text, common := explain("IKE", 1, IKE(ours, nil), offered)
	if !common {
		return text
	}
	_, _, ok := ChooseIKE(ours, plain(offered))
	return text + together(offered, 1, ok)
}

// ExplainESP is ExplainIKE for the CHILD SA.
func ExplainESP(ours []suite.ESP, offered []wire.Proposal, pfs bool) string {
	text, common := explain("ESP", 2, ESP(ours, 0, pfs), offered)
	if !common {
		return text
	}
	under := plain(offered)
	_, _, ok := ChooseESP(ours, under, pfs)
	if ok {
		return text + together(offered, 2, true)
	}
	for i := range under {
		under[i].SPI = []byte{0, 0, 0, 1}
	}
	if _, _, ok = ChooseESP(ours, under, pfs); ok {
		return text + ": all that we allow is there, but under an SPI that is 0 or not of 4 octets; change the peer"
	}
	return text + together(offered, 2, false)
}

// explain names what the peer offers, what we allow, and the option to change:
// that of the first kind of algorithm in which the two have nothing in common.
// Common says that there is no such kind.
func explain(protocol string, phase int, ours, offered []wire.Proposal) (text string, common bool) {
	text = fmt.Sprintf("peer offers %s %s; we allow %s", protocol, Words(offered), Words(ours))
	offered = plain(offered)
	for _, k := range kinds {
		want, have := words(offered, k.t), words(ours, k.t)
		option := fmt.Sprintf("Phase%d%s", phase, k.option)
		if k.t >= wire.TypeAddKE1 && len(have) == 0 && all(offered, k.t) {
			return fmt.Sprintf("%s: the peer offers nothing without an %s; add %s to %s, or change the peer", text, k.name, want[0], option), false
		}
		if len(have) == 0 || overlap(want, have) {
			continue
		}
		if k.option == "" {
			continue
		}
		if len(want) == 0 {
			return fmt.Sprintf("%s: the peer offers no %s; it must offer one of %s (%s)", text, k.name, strings.Join(have, ", "), option), false
		}
		i := slices.IndexFunc(want, can)
		if i < 0 { // DES cannot be added
			return fmt.Sprintf("%s: no %s in common; make the peer offer one of %s (%s)", text, k.name, strings.Join(have, ", "), option), false
		}
		return fmt.Sprintf("%s: no %s in common; add %s to %s, or change the peer", text, k.name, strings.TrimPrefix(want[i], "PRF-"), option), false
	}
	return text, true
}

// can reports whether an algorithm of that name can be allowed.
func can(word string) bool {
	_, _, noEncr := suite.ParseEncr(word)
	_, noInteg := suite.ParseInteg(strings.TrimPrefix(word, "PRF-"))
	_, noGroup := suite.ParseKeyExchange(word)
	return noEncr == nil || noInteg == nil || noGroup == nil
}

// together says why nothing is chosen though every kind of algorithm has
// something in common. Plain says that of the same offer without what we do not
// know something would be.
func together(offered []wire.Proposal, phase int, plain bool) string {
	if !plain {
		return fmt.Sprintf(": each algorithm is allowed, but not this combination; widen Phase%d… here or at the peer", phase)
	}
	var what []string
	for _, p := range offered {
		for _, t := range p.Transforms {
			if unsaid(t) && len(what) < maxUnknown {
				what = addNew(what, transformWord(t))
			}
		}
	}
	return fmt.Sprintf(": all that we allow is there, but with what we do not know (%s), so that it cannot be chosen; leave that out at the peer", strings.Join(what, ", "))
}

// plain is offered without what we do not know.
func plain(offered []wire.Proposal) []wire.Proposal {
	out := slices.Clone(offered)
	for i, p := range out {
		out[i].Transforms = nil
		for _, t := range p.Transforms {
			if !knownType(t) {
				continue
			}
			t.Strange = false
			if !keyed(t) {
				t.KeyBits = 0
			}
			out[i].Transforms = append(out[i].Transforms, t)
		}
	}
	return out
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
