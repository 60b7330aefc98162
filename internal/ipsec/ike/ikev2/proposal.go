package ikev2

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

// A bundle is suites that differ only in cipher and group, and hold every
// combination of theirs, so that one proposal says the same as all of them.
type bundle struct {
	prf    suite.PRF
	integ  suite.Integ
	encr   []suite.EncrKey
	groups []suite.Group
	esn    bool
	count  int
}

// add puts one suite into b.
func (b *bundle) add(e suite.EncrKey, g suite.Group) {
	if !slices.Contains(b.encr, e) {
		b.encr = append(b.encr, e)
	}
	if !slices.Contains(b.groups, g) {
		b.groups = append(b.groups, g)
	}
	b.count++
}

// complete reports whether b holds every combination.
func (b *bundle) complete() bool { return b.count == len(b.encr)*len(b.groups) }

// pack bundles n suites; key says of one what keeps it apart from others, its
// cipher and its group. Where a bundle of several ciphers would promise more
// than the suites do, each cipher gets a bundle of its own. Order is that of
// first appearance.
func pack(n int, key func(i int) (bundle, suite.EncrKey, suite.Group)) []*bundle {
	for _, perCipher := range []bool{false, true} {
		var list []*bundle
		whole := true
		for i := range n {
			like, e, g := key(i)
			at := slices.IndexFunc(list, func(b *bundle) bool {
				return b.prf == like.prf && b.integ == like.integ && b.esn == like.esn &&
					b.encr[0].Encr == e.Encr && (!perCipher || b.encr[0] == e)
			})
			if at < 0 {
				at = len(list)
				list = append(list, &like)
			}
			list[at].add(e, g)
		}
		for _, b := range list {
			whole = whole && b.complete()
		}
		if whole || perCipher {
			return list
		}
	}
	return nil
}

// ikeProposals offers list, each proposal with the SPI if there is one.
func ikeProposals(list []suite.IKE, spi []byte) []wire.Proposal {
	list = unique(list)
	bundles := pack(len(list), func(i int) (bundle, suite.EncrKey, suite.Group) {
		s := list[i]
		return bundle{prf: s.PRF, integ: s.Integ}, s.EncrKey(), s.Group
	})
	var out []wire.Proposal
	for i, b := range bundles {
		p := wire.Proposal{Number: uint8(i + 1), Protocol: wire.ProtoIKE, SPI: spi}
		p.Transforms = append(p.Transforms, b.encrTransforms()...)
		p.Transforms = append(p.Transforms, wire.Transform{Type: wire.TypePRF, ID: uint16(b.prf)})
		p.Transforms = append(p.Transforms, b.integTransforms()...)
		p.Transforms = append(p.Transforms, b.groupTransforms()...)
		out = append(out, p)
	}
	return out
}

// espProposals offers list under spi. Without pfs no groups are offered, as in
// IKE_AUTH (RFC 7296 section 1.2).
func espProposals(list []suite.ESP, spi uint32, pfs bool) []wire.Proposal {
	list = slices.Clone(list)
	for i := range list {
		if !pfs {
			list[i].Group = 0
		}
	}
	list = unique(list)
	bundles := pack(len(list), func(i int) (bundle, suite.EncrKey, suite.Group) {
		s := list[i]
		return bundle{integ: s.Integ, esn: s.ESN}, s.EncrKey(), s.Group
	})
	var out []wire.Proposal
	for i, b := range bundles {
		p := wire.Proposal{Number: uint8(i + 1), Protocol: wire.ProtoESP, SPI: binary.BigEndian.AppendUint32(nil, spi)}
		p.Transforms = append(p.Transforms, b.encrTransforms()...)
		p.Transforms = append(p.Transforms, b.integTransforms()...)
		p.Transforms = append(p.Transforms, b.groupTransforms()...)
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
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func (b *bundle) encrTransforms() []wire.Transform {
	var out []wire.Transform
	for _, e := range b.encr {
		out = append(out, wire.Transform{Type: wire.TypeEncr, ID: uint16(e.Encr), KeyBits: uint16(e.KeyBits)})
	}
	return out
}

func (b *bundle) integTransforms() []wire.Transform {
	// "[...] AEAD [...] an integrity algorithm MUST NOT be proposed, or NONE":
	// leaving it out is understood by everybody (RFC 5282 section 8).
	if b.integ == suite.IntegNone {
		return nil
	}
	return []wire.Transform{{Type: wire.TypeInteg, ID: uint16(b.integ)}}
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
	return !slices.ContainsFunc(p.Transforms, func(t wire.Transform) bool {
		return t.Type < wire.TypeEncr || t.Type > wire.TypeESN
	})
}

// chooseIKE takes the first suite of ours that the peer offers too, with the
// peer's proposal that holds it (vpn §2.2).
func chooseIKE(ours []suite.IKE, offered []wire.Proposal) (suite.IKE, wire.Proposal, bool) {
	for _, s := range ours {
		for _, p := range offered {
			if p.Protocol == wire.ProtoIKE && known(p) &&
				offers(p, wire.TypeEncr, uint16(s.Encr), s.KeyBits) && offers(p, wire.TypePRF, uint16(s.PRF), 0) &&
				offers(p, wire.TypeInteg, uint16(s.Integ), 0) && offers(p, wire.TypeDH, uint16(s.Group), 0) {
				return s, p, true
			}
		}
	}
	return suite.IKE{}, wire.Proposal{}, false
}

// chooseESP is chooseIKE for CHILD SAs. Without pfs groups count on neither
// side. A suite of ours with ESN also matches an offer without.
func chooseESP(ours []suite.ESP, offered []wire.Proposal, pfs bool) (suite.ESP, wire.Proposal, bool) {
	for _, s := range ours {
		if !pfs {
			s.Group = 0
		}
		for _, p := range offered {
			if p.Protocol != wire.ProtoESP || len(p.SPI) != 4 || !known(p) ||
				!offers(p, wire.TypeEncr, uint16(s.Encr), s.KeyBits) || !offers(p, wire.TypeInteg, uint16(s.Integ), 0) ||
				(pfs && !offers(p, wire.TypeDH, uint16(s.Group), 0)) {
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

// single reports whether sa can be an answer: one proposal in which no type
// has two transforms (section 2.7).
func single(sa *wire.SA) bool {
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

// answerIKE is the proposal p cut down to s.
func answerIKE(s suite.IKE, p wire.Proposal, spi []byte) *wire.SA {
	out := ikeProposals([]suite.IKE{s}, spi)
	out[0].Number = p.Number
	return &wire.SA{Proposals: out}
}

// answerESP is the proposal p cut down to s.
func answerESP(s suite.ESP, p wire.Proposal, spi uint32) *wire.SA {
	out := espProposals([]suite.ESP{s}, spi, true)
	out[0].Number = p.Number
	out[0].Transforms = slices.DeleteFunc(out[0].Transforms, func(t wire.Transform) bool {
		return t.Type == wire.TypeESN && (t.ID == esnYes) != s.ESN
	})
	return &wire.SA{Proposals: out}
}

// groupsIKE are the groups in list, in order.
func groupsIKE(list []suite.IKE) []suite.Group {
	var out []suite.Group
	for _, s := range list {
		out = append(out, s.Group)
	}
	return unique(out)
}

// groupsESP are the groups in list, in order; 0 among them means that no PFS
// is allowed.
func groupsESP(list []suite.ESP) []suite.Group {
	var out []suite.Group
	for _, s := range list {
		out = append(out, s.Group)
	}
	return unique(out)
}
