package proposal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/suite"
)

// phase1Names are the encryption algorithms of phase 1 that peers offer and we
// do not have (RFC 2409 appendix A).
var phase1Names = map[uint64]string{1: "DES", 5: "3DES", 6: "CAST", 8: "CAMELLIA"}

// phase2Names are the same for phase 2 (RFC 2407 section 4.4.4).
var phase2Names = map[uint8]string{2: "DES", 3: "3DES", 6: "CAST", 7: "BLOWFISH", 11: "NULL", 13: "AES-CTR", 14: "AES-CCM-8", 15: "AES-CCM-12", 16: "AES-CCM-16", 18: "AES-GCM-8", 19: "AES-GCM-12", 22: "CAMELLIA"}

// A phrase is one transform in words; an empty one is not said.
type phrase struct {
	encr, integ, group, method, mode, esn string
	odd                                   string // what keeps it from being chosen
}

// String is such as AES128/SHA2-256/DH14.
func (p phrase) String() string {
	var parts []string
	for _, w := range []string{p.encr, p.integ, p.group, p.method, p.mode, p.esn} {
		if w != "" {
			parts = append(parts, w)
		}
	}
	text := strings.Join(parts, "/")
	if p.odd != "" {
		text += "/with " + p.odd
	}
	return text
}

// cipherWord names a cipher with its key length.
func cipherWord(known bool, encr suite.Encr, bits uint64, name string, number uint64) string {
	if known {
		return suite.EncrKey{Encr: encr, KeyBits: int(min(bits, 1<<16))}.String()
	}
	if name == "" {
		name = fmt.Sprintf("ENCR%d", number)
	}
	if bits != 0 {
		name += fmt.Sprintf("-%d", bits)
	}
	return name
}

// integWord names a hash that we have, else gives its number.
func integWord(n uint64, number func(int) uint16, old string) string {
	for i, h := range hashes {
		if uint64(number(i)) == n {
			return h.integ.String()
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return old
	}
	return fmt.Sprintf("HASH%d", n)
}

func groupWord(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("DH%d", n)
}

func phrase1(t wire.Transform) phrase {
	x := readPhase1(t)
	p := phrase{
		encr:  cipherWord(x.encr == phase1AES, suite.AESCBC, x.keyBits, phase1Names[x.encr], x.encr),
		integ: integWord(x.hash, func(i int) uint16 { return hashes[i].phase1 }, "MD5"),
		group: groupWord(x.group),
		odd:   x.odd.words(names1),
	}
	if x.method != 0 {
		p.method = Method(min(x.method, 1<<16-1)).String()
	}
	return p
}

func phrase2(t wire.Transform) phrase {
	x := readPhase2(t)
	encr := suite.Encr(x.encr)
	p := phrase{
		encr:  cipherWord(encr == suite.AESCBC || encr == suite.AESGCM16, encr, x.keyBits, phase2Names[x.encr], uint64(x.encr)),
		integ: integWord(x.integ, func(i int) uint16 { return hashes[i].phase2 }, "MD5"),
		group: groupWord(x.group),
		odd:   x.odd.words(names2),
	}
	switch x.mode {
	case 0:
	case modeTunnel:
		p.mode = "tunnel"
	case modeTunnelUDP, modeTunnelUDPDraft:
		p.mode = "tunnel in UDP"
	case 2, 4, 61444:
		p.mode = "transport"
	default:
		p.mode = fmt.Sprintf("mode %d", x.mode)
	}
	if x.esn == esnUsed {
		p.esn = "ESN"
	}
	return p
}

// phrases are the transforms of sa that belong to protocol.
func phrases(sa *wire.SA, protocol uint8, say func(wire.Transform) phrase) []phrase {
	var out []phrase
	for _, p := range sa.Proposals {
		if p.Protocol != protocol {
			continue
		}
		for _, t := range p.Transforms {
			out = addNew(out, say(t))
		}
	}
	return out
}

// maxWords bounds the transforms that are put into words: a peer may offer
// hundreds.
const maxWords = 12

func join(list []phrase) string {
	if len(list) == 0 {
		return "nothing"
	}
	var out []string
	for _, p := range list[:min(len(list), maxWords)] {
		out = append(out, p.String())
	}
	if n := len(list) - maxWords; n > 0 {
		out = append(out, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(out, ", ")
}

// WordsIKE writes the phase 1 offers of sa as
// "AES128/SHA2-256/DH14/pre-shared key", one after the other.
func WordsIKE(sa *wire.SA) string { return join(phrases(sa, wire.ProtoISAKMP, phrase1)) }

// WordsESP writes the phase 2 offers of sa as "AES128/SHA2-256/DH14/tunnel".
func WordsESP(sa *wire.SA) string { return join(phrases(sa, wire.ProtoESP, phrase2)) }

// ExplainIKE says why nothing of what the peer offers for phase 1 is ours,
// which option to change, and what of ours IKEv1 cannot say.
func ExplainIKE(ours []suite.IKE, method Method, offered *wire.SA) string {
	usable, rest := UsableIKE(ours), ""
	if n := len(ours) - len(usable); n > 0 && slices.ContainsFunc(ours, func(s suite.IKE) bool { return s.Encr.AEAD() }) {
		rest = " (IKEv1 has no AES-GCM in phase 1, so that ours counts in IKEv2 only)"
	}
	if len(usable) == 0 {
		return fmt.Sprintf("peer offers IKEv1 phase 1 %s; we allow nothing in IKEv1: %v", WordsIKE(offered), ErrNothing)
	}
	sa, err := OfferIKE(usable, method, time.Hour)
	if err != nil {
		return err.Error()
	}
	theirs, mine := phrases(offered, wire.ProtoISAKMP, phrase1), phrases(sa, wire.ProtoISAKMP, phrase1)
	text := fmt.Sprintf("peer offers IKEv1 phase 1 %s; we allow %s%s", join(theirs), join(mine), rest)
	return text + ": " + missing(theirs, mine, 1)
}

// ExplainESP is ExplainIKE for phase 2.
func ExplainESP(ours []suite.ESP, encap bool, offered *wire.SA) string {
	var mine []phrase
	for _, g := range GroupsESP(ours) {
		if sa, err := OfferESP(ours, ESPOffer{Group: g, Encap: encap, Life: time.Hour}); err == nil {
			mine = append(mine, phrases(sa, wire.ProtoESP, phrase2)...)
		}
	}
	theirs := phrases(offered, wire.ProtoESP, phrase2)
	return fmt.Sprintf("peer offers IKEv1 phase 2 ESP %s; we allow %s: ", join(theirs), join(mine)) + missing(theirs, mine, 2)
}

// missing names the first kind of thing in which the two lists have nothing in
// common, and the option that governs it (vpn §2.1).
func missing(theirs, mine []phrase, phase int) string {
	for _, k := range []struct {
		name, option string
		word         func(phrase) string
	}{
		{"encryption algorithm", "EncryptionAlgorithms", func(p phrase) string { return p.encr }},
		{"integrity algorithm", "IntegrityAlgorithms", func(p phrase) string { return p.integ }},
		{"DH group", "DHGroupNumbers", func(p phrase) string { return p.group }},
		{"authentication method", "", func(p phrase) string { return p.method }},
		{"encapsulation mode", "", func(p phrase) string { return p.mode }},
	} {
		want, have := words(theirs, k.word), words(mine, k.word)
		if slices.ContainsFunc(want, func(w string) bool { return slices.Contains(have, w) }) {
			continue
		}
		return advice(k.name, k.option, want, have, phase)
	}
	for _, p := range theirs {
		if p.odd != "" && slices.ContainsFunc(mine, p.alike) {
			return fmt.Sprintf("what we allow is there, but with %s, so that it cannot be chosen; leave that out at the peer", p.odd)
		}
	}
	return fmt.Sprintf("each algorithm is allowed, but not this combination; widen Phase%d… here or at the peer", phase)
}

// alike reports whether p is q but for what is odd in it. A mode that is not said
// is any.
func (p phrase) alike(q phrase) bool {
	return p.encr == q.encr && p.integ == q.integ && p.group == q.group && p.method == q.method && (p.mode == "" || p.mode == q.mode)
}

// words are what one kind of thing is called in list, "" among them where it
// is not said.
func words(list []phrase, word func(phrase) string) []string {
	var out []string
	for _, p := range list {
		out = addNew(out, word(p))
	}
	return out
}

// advice says what to change where want and have differ altogether.
func advice(name, option string, want, have []string, phase int) string {
	said := slices.DeleteFunc(slices.Clone(have), func(w string) bool { return w == "" })
	option = fmt.Sprintf("Phase%d%s", phase, option)
	switch {
	case len(want) == 0:
		return "the peer offers no transform for this protocol"
	case name == "authentication method":
		return fmt.Sprintf("the peer wants to authenticate by %s, we by %s; make both ends use a pre-shared key, or certificates with the same kind of key", strings.Join(want, ", "), strings.Join(have, ", "))
	case name == "encapsulation mode":
		return fmt.Sprintf("the peer wants %s, we %s: the ends disagree on whether there is a NAT between them, or the peer is set to transport mode", strings.Join(want, ", "), strings.Join(have, ", "))
	case len(said) == 0:
		return fmt.Sprintf("we allow no %s; add one of %s to %s, or change the peer", name, strings.Join(want, ", "), option)
	case want[0] == "" && name == "DH group":
		return fmt.Sprintf("the peer offers no DH group, so no perfect forward secrecy; it must offer one of %s (%s)", strings.Join(said, ", "), option)
	case want[0] == "":
		return fmt.Sprintf("the peer offers no %s; it must offer one of %s (%s)", name, strings.Join(said, ", "), option)
	}
	// 3DES or MD5 cannot be added: AWS's lists have no such entry.
	i := slices.IndexFunc(want, ours)
	if i < 0 {
		return fmt.Sprintf("no %s in common; make the peer offer one of %s (%s)", name, strings.Join(said, ", "), option)
	}
	return fmt.Sprintf("no %s in common; add %s to %s, or change the peer", name, want[i], option)
}

// ours reports whether an algorithm of that name can be allowed.
func ours(word string) bool {
	_, _, noEncr := suite.ParseEncr(word)
	_, noInteg := suite.ParseInteg(word)
	return noEncr == nil || noInteg == nil || slices.ContainsFunc(groupsOfIKEv1(), func(g suite.Group) bool { return g.String() == word })
}

// groupsOfIKEv1 are the groups that have a number in IKEv1.
func groupsOfIKEv1() []suite.Group {
	var out []suite.Group
	for g := suite.Group(1); g <= lastGroup; g++ {
		if g.Known() {
			out = append(out, g)
		}
	}
	return out
}
