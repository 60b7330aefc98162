package suite

import (
	"cmp"
	"slices"
)

// Combine turns AWS's option lists (vpn §2.1) into every suite that they
// allow, in the order in which AWS's responder walks them: from the lowest
// value upward (vpn §2.2), the cipher first, then integrity, then group, and
// each list ordered as in the documentation (AES128 … AES256-GCM-16, SHA1 …
// SHA2-512, group numbers rising). The order of the arguments does not matter
// and repetitions are dropped. With GCM the integrity list gives only the PRF,
// so it must not be empty. Unknown values are kept for Validate to report.
func Combine(encr []EncrKey, integ []Integ, groups []Group) []IKE {
	encr, integ, groups = rising(encr, rankEncr), rising(integ, rankSelf), rising(groups, rankSelf)
	out := make([]IKE, 0, len(encr)*len(integ)*len(groups))
	for _, e := range encr {
		for _, i := range integ {
			for _, g := range groups {
				s := IKE{Encr: e.Encr, KeyBits: e.KeyBits, PRF: i.PRF(), Integ: i, Group: g}
				if e.Encr.AEAD() {
					s.Integ = IntegNone
				}
				out = append(out, s)
			}
		}
	}
	return out
}

// CombineESP is Combine for CHILD SAs, without ESN. With GCM the integrity
// list is ignored and may be empty. Without groups there is no PFS.
func CombineESP(encr []EncrKey, integ []Integ, groups []Group) []ESP {
	encr, integ, groups = rising(encr, rankEncr), rising(integ, rankSelf), rising(groups, rankSelf)
	if len(groups) == 0 {
		groups = []Group{0}
	}
	out := make([]ESP, 0, len(encr)*max(1, len(integ))*len(groups))
	for _, e := range encr {
		with := integ
		if e.Encr.AEAD() {
			with = []Integ{IntegNone}
		}
		for _, i := range with {
			for _, g := range groups {
				out = append(out, ESP{Encr: e.Encr, KeyBits: e.KeyBits, Integ: i, Group: g})
			}
		}
	}
	return out
}

// StrongestFirst is a copy of list in the order that a customer gateway
// offers: additional key exchanges before none, since they are used only where
// they are named, then GCM and ChaCha20-Poly1305 before CBC, long keys before
// short ones, strong groups before weak ones, strong hashes before weak ones. It does not depend on the order
// of list.
func StrongestFirst(list []IKE) []IKE {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b IKE) int {
		return cmp.Or(
			compareMore(b.AddKE, a.AddKE),
			cmp.Compare(rankEncr(b.EncrKey()), rankEncr(a.EncrKey())),
			compareGroups(b.Group, a.Group),
			cmp.Compare(b.PRF, a.PRF),
			cmp.Compare(b.Integ, a.Integ),
		)
	})
	return out
}

// StrongestFirstESP is StrongestFirst for CHILD SAs; ESN comes before the same
// suite without it.
func StrongestFirstESP(list []ESP) []ESP {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b ESP) int {
		return cmp.Or(
			compareMore(b.AddKE, a.AddKE),
			cmp.Compare(rankEncr(b.EncrKey()), rankEncr(a.EncrKey())),
			compareGroups(b.Group, a.Group),
			cmp.Compare(b.Integ, a.Integ),
			-compareBool(a.ESN, b.ESN),
		)
	})
	return out
}

// rising is a sorted copy of list without repetitions.
func rising[T comparable](list []T, rank func(T) int) []T {
	out := slices.Clone(list)
	slices.SortStableFunc(out, func(a, b T) int { return cmp.Compare(rank(a), rank(b)) })
	return slices.Compact(out)
}

// compareGroups orders by strength, then by number, which among equals puts
// costly groups before cheap ones.
func compareGroups(a, b Group) int {
	return cmp.Or(cmp.Compare(a.strength(), b.strength()), cmp.Compare(a, b))
}

// compareMore orders by the strongest method, then by how many there are.
func compareMore(a, b MoreKE) int {
	strongest := func(m MoreKE) (bits int) {
		for _, g := range m.List() {
			bits = max(bits, g.strength())
		}
		return bits
	}
	return cmp.Or(cmp.Compare(strongest(a), strongest(b)), cmp.Compare(len(a.List()), len(b.List())))
}

// rankSelf ranks by transform id: AWS's order of integrity algorithms and
// groups is the order of their ids.
func rankSelf[T Integ | Group](v T) int { return int(v) }

// rankEncr ranks by AWS's order: CBC before GCM, then by key length.
// ChaCha20-Poly1305, which AWS has not, stands below AES-GCM with keys as
// long, which hardware makes fast.
func rankEncr(k EncrKey) int {
	if k.Encr == ChaCha20Poly1305 {
		return int(AESGCM16)<<16 | (k.KeyBits - 1)
	}
	return int(k.Encr)<<16 | k.KeyBits
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
