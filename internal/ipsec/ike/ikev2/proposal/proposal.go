// Package proposal says suites in SA payloads and chooses among those of a peer
// (RFC 7296 sections 2.7 and 3.3).
//
// It packs the suites that we allow into few proposals without promising more
// than they do, finds what both ends have in common, and says in words, with
// the names of AWS's options, why there is nothing. It keeps no state, makes no
// keys and never decides what is allowed. Package ikev2 is its only caller.
package proposal

import (
	"encoding/binary"
	"slices"

	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/suite"
)

// Extended Sequence Numbers transform ids (RFC 7296 section 3.3.2).
const (
	esnNone = 0
	esnYes  = 1
)

// A hash is what goes together in a suite beside the cipher.
type hash struct {
	prf   suite.PRF // 0 for ESP
	integ suite.Integ
}

// A bundle is suites that one proposal can say. It holds every combination of
// its ciphers, hashes and groups. Of several hashes the proposal offers each
// PRF with each integrity algorithm, since that is all it can say; AcceptIKE
// takes such a mixture.
type bundle struct {
	encr   []suite.EncrKey
	hashes []hash
	groups []suite.Group
	more   suite.MoreKE
	esn    bool
	count  int
}

// A piece is one suite, cut up for bundling.
type piece struct {
	encr  suite.EncrKey
	hash  hash
	group suite.Group
	more  suite.MoreKE
	esn   bool
}

// addNew adds v to list unless it is there.
func addNew[T comparable](list []T, v T) []T {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}

// How finely pack divides: AEAD ciphers are always apart from others, and so
// are suites with ESN, and those with additional key exchanges: a peer that
// has never heard of them refuses the whole proposal that names one, so others
// must do without (RFC 9370 section 2.2.1).
const (
	coarse    = iota
	perHash   // a bundle for each hash
	perCipher // and for each cipher and key length
)

// fits reports whether p goes into b when dividing that finely.
func (b *bundle) fits(p piece, fineness int) bool {
	return b.esn == p.esn && b.more == p.more && b.encr[0].Encr == p.encr.Encr &&
		(fineness < perHash || b.hashes[0] == p.hash) &&
		(fineness < perCipher || b.encr[0] == p.encr)
}

// pack bundles suites, as few bundles as can be without promising more than
// the suites do. Order is that of first appearance.
func pack(list []piece) []*bundle {
	for fineness := coarse; ; fineness++ {
		var out []*bundle
		for _, p := range list {
			at := slices.IndexFunc(out, func(b *bundle) bool { return b.fits(p, fineness) })
			if at < 0 {
				at = len(out)
				out = append(out, &bundle{esn: p.esn, more: p.more})
			}
			b := out[at]
			b.encr, b.hashes, b.groups = addNew(b.encr, p.encr), addNew(b.hashes, p.hash), addNew(b.groups, p.group)
			b.count++
		}
		whole := !slices.ContainsFunc(out, func(b *bundle) bool { return b.count != len(b.encr)*len(b.hashes)*len(b.groups) })
		if whole || fineness == perCipher {
			return out
		}
	}
}

// IKE offers list, each proposal with the SPI if there is one.
func IKE(list []suite.IKE, spi []byte) []wire.Proposal {
	var pieces []piece
	for _, s := range list {
		pieces = addNew(pieces, piece{encr: s.EncrKey(), hash: hash{s.PRF, s.Integ}, group: s.Group, more: s.AddKE})
	}
	var out []wire.Proposal
	for i, b := range pack(pieces) {
		p := wire.Proposal{Number: uint8(i + 1), Protocol: wire.ProtoIKE, SPI: spi}
		p.Transforms = append(p.Transforms, b.encrTransforms()...)
		p.Transforms = append(p.Transforms, b.prfTransforms()...)
		p.Transforms = append(p.Transforms, b.integTransforms()...)
		p.Transforms = append(p.Transforms, b.groupTransforms()...)
		p.Transforms = append(p.Transforms, b.moreTransforms()...)
		out = append(out, p)
	}
	return out
}

// ESP offers list under spi. Without pfs no groups are offered, as in
// IKE_AUTH (RFC 7296 section 1.2).
func ESP(list []suite.ESP, spi uint32, pfs bool) []wire.Proposal {
	var pieces []piece
	for _, s := range list {
		p := piece{encr: s.EncrKey(), hash: hash{integ: s.Integ}, esn: s.ESN}
		if pfs {
			p.group, p.more = s.Group, s.AddKE
		}
		pieces = addNew(pieces, p)
	}
	var out []wire.Proposal
	for i, b := range pack(pieces) {
		p := wire.Proposal{Number: uint8(i + 1), Protocol: wire.ProtoESP, SPI: binary.BigEndian.AppendUint32(nil, spi)}
		p.Transforms = append(p.Transforms, b.encrTransforms()...)
		p.Transforms = append(p.Transforms, b.integTransforms()...)
		p.Transforms = append(p.Transforms, b.groupTransforms()...)
		p.Transforms = append(p.Transforms, b.moreTransforms()...)
		if b.esn {
			p.Transforms = append(p.Transforms, wire.Transform{Type: wire.TypeESN, ID: esnYes})
		}
		p.Transforms = append(p.Transforms, wire.Transform{Type: wire.TypeESN, ID: esnNone})
		out = append(out, p)
	}
	return out
}

// unique is list without repetitions, in order.
func unique[T comparable](list []T) []T {
	var out []T
	for _, v := range list {
		out = addNew(out, v)
	}
	return out
}

func (b *bundle) encrTransforms() []wire.Transform {
	var out []wire.Transform
	for _, e := range b.encr {
		out = append(out, wire.Transform{Type: wire.TypeEncr, ID: uint16(e.Encr), KeyBits: uint16(e.Attribute())})
	}
	return out
}

func (b *bundle) integTransforms() []wire.Transform {
	var out []wire.Transform
	for _, h := range b.hashes {
		// With an AEAD there is none, or NONE: leaving it out is understood by
		// everybody (RFC 5282 section 8).
		if h.integ != suite.IntegNone {
			out = addNew(out, wire.Transform{Type: wire.TypeInteg, ID: uint16(h.integ)})
		}
	}
	return out
}

func (b *bundle) prfTransforms() []wire.Transform {
	var out []wire.Transform
	for _, h := range b.hashes {
		out = addNew(out, wire.Transform{Type: wire.TypePRF, ID: uint16(h.prf)})
	}
	return out
}

func (b *bundle) groupTransforms() []wire.Transform {
	var out []wire.Transform
	for _, g := range b.groups {
		if g == 0 && len(b.groups) == 1 {
			return nil
		}
		out = append(out, wire.Transform{Type: wire.TypeDH, ID: uint16(g)})
	}
	return out
}

func (b *bundle) moreTransforms() []wire.Transform {
	var out []wire.Transform
	for i, g := range b.more {
		if g != 0 {
			out = append(out, wire.Transform{Type: wire.TypeAddKE1 + wire.TransformType(i), ID: uint16(g)})
		}
	}
	return out
}

// offersMore reports whether p has exactly the additional key exchanges in
// more.
func offersMore(p wire.Proposal, more suite.MoreKE) bool {
	for i, g := range more {
		if !offers(p, wire.TypeAddKE1+wire.TransformType(i), uint16(g), 0) {
			return false
		}
	}
	return true
}

// none is what an answer to p says about the additional key exchanges that p
// would also do without: a type that p has must be in the answer (RFC 7296
// section 3.3.6).
func none(p wire.Proposal, more suite.MoreKE) []wire.Transform {
	var out []wire.Transform
	for i, g := range more {
		t := wire.TypeAddKE1 + wire.TransformType(i)
		if g == 0 && slices.ContainsFunc(p.Transforms, func(x wire.Transform) bool { return x.Type == t }) {
			out = append(out, wire.Transform{Type: t})
		}
	}
	return out
}

// offers reports whether p has transform id of type t. What is absent counts
// as id 0, NONE, which is how absence is written out (section 3.3.3).
func offers(p wire.Proposal, t wire.TransformType, id uint16, keyBits int) bool {
	present := false
	for _, have := range p.Transforms {
		if have.Type != t {
			continue
		}
		present = true
		if have.ID == id && int(have.KeyBits) == keyBits && !have.Strange {
			return true
		}
	}
	return !present && id == 0
}

// known reports whether p has only transform types that its protocol may have:
// a proposal with a type that we do not know is not ours to choose (section
// 3.3.6).
func known(p wire.Proposal) bool {
	return !slices.ContainsFunc(p.Transforms, func(t wire.Transform) bool { return !knownType(t) })
}

// knownType reports whether t is of a type that we know.
func knownType(t wire.Transform) bool { return t.Type >= wire.TypeEncr && t.Type <= wire.TypeAddKE7 }

// ChooseIKE takes the first suite of ours that the peer offers too, with the
// peer's proposal that holds it (vpn §2.2).
func ChooseIKE(ours []suite.IKE, offered []wire.Proposal) (suite.IKE, wire.Proposal, bool) {
	for _, s := range ours {
		for _, p := range offered {
			if p.Protocol == wire.ProtoIKE && known(p) &&
				offers(p, wire.TypeEncr, uint16(s.Encr), s.EncrKey().Attribute()) && offers(p, wire.TypePRF, uint16(s.PRF), 0) &&
				offers(p, wire.TypeInteg, uint16(s.Integ), 0) && offers(p, wire.TypeDH, uint16(s.Group), 0) &&
				offersMore(p, s.AddKE) {
				return s, p, true
			}
		}
	}
	return suite.IKE{}, wire.Proposal{}, false
}

// AcceptIKE is the suite that the peer chose out of ours. Its PRF may be that
// of another suite than the rest, since proposals cannot rule that out.
func AcceptIKE(ours []suite.IKE, answer wire.Proposal) (suite.IKE, bool) {
	var prfs []suite.PRF
	for _, s := range ours {
		prfs = addNew(prfs, s.PRF)
	}
	for _, s := range ours {
		for _, prf := range prfs {
			s.PRF = prf
			if _, _, ok := ChooseIKE([]suite.IKE{s}, []wire.Proposal{answer}); ok {
				return s, true
			}
		}
	}
	return suite.IKE{}, false
}

// usableSPI reports whether the peer can be sent ESP under spi. Zero is none
// (RFC 4303 section 2.1), and in UDP would look like IKE (RFC 3948 section
// 2.2).
func usableSPI(spi []byte) bool { return len(spi) == 4 && binary.BigEndian.Uint32(spi) != 0 }

// ChooseESP is ChooseIKE for CHILD SAs. Without pfs groups count on neither
// side. A suite of ours with ESN also matches an offer without.
func ChooseESP(ours []suite.ESP, offered []wire.Proposal, pfs bool) (suite.ESP, wire.Proposal, bool) {
	for _, s := range ours {
		if !pfs {
			s.Group, s.AddKE = 0, suite.MoreKE{}
		}
		for _, p := range offered {
			if p.Protocol != wire.ProtoESP || !usableSPI(p.SPI) || !known(p) ||
				!offers(p, wire.TypeEncr, uint16(s.Encr), s.EncrKey().Attribute()) || !offers(p, wire.TypeInteg, uint16(s.Integ), 0) ||
				(pfs && (!offers(p, wire.TypeDH, uint16(s.Group), 0) || !offersMore(p, s.AddKE))) {
				continue
			}
			if s.ESN && offers(p, wire.TypeESN, esnYes, 0) {
				return s, p, true
			}
			if offers(p, wire.TypeESN, esnNone, 0) {
				s.ESN = false
				return s, p, true
			}
		}
	}
	return suite.ESP{}, wire.Proposal{}, false
}

// Single reports whether sa can be an answer: one proposal in which no type
// has two transforms (section 2.7).
func Single(sa *wire.SA) bool {
	if len(sa.Proposals) != 1 {
		return false
	}
	seen := map[wire.TransformType]bool{}
	for _, t := range sa.Proposals[0].Transforms {
		if seen[t.Type] {
			return false
		}
		seen[t.Type] = true
	}
	return true
}

// AnswerIKE is the proposal p cut down to s.
func AnswerIKE(s suite.IKE, p wire.Proposal, spi []byte) *wire.SA {
	out := IKE([]suite.IKE{s}, spi)
	out[0].Number = p.Number
	out[0].Transforms = append(out[0].Transforms, none(p, s.AddKE)...)
	return &wire.SA{Proposals: out}
}

// AnswerESP is the proposal p cut down to s.
func AnswerESP(s suite.ESP, p wire.Proposal, spi uint32) *wire.SA {
	out := ESP([]suite.ESP{s}, spi, true)
	out[0].Number = p.Number
	out[0].Transforms = slices.DeleteFunc(out[0].Transforms, func(t wire.Transform) bool {
		return t.Type == wire.TypeESN && (t.ID == esnYes) != s.ESN
	})
	if s.Group != 0 {
		out[0].Transforms = append(out[0].Transforms, none(p, s.AddKE)...)
	}
	return &wire.SA{Proposals: out}
}

// GroupsIKE are the groups in list, in order.
func GroupsIKE(list []suite.IKE) []suite.Group {
	var out []suite.Group
	for _, s := range list {
		out = append(out, s.Group)
	}
	return unique(out)
}

// GroupsESP are the groups in list, in order; 0 among them means that no PFS
// is allowed.
func GroupsESP(list []suite.ESP) []suite.Group {
	var out []suite.Group
	for _, s := range list {
		out = append(out, s.Group)
	}
	return unique(out)
}
