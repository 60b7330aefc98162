package conffile

import (
	"fmt"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
)

func (rt rawTunnel) suites(t *gateway.Tunnel) error {
	e1, i1, g1, err := rt.Phase1.lists("phase1")
	if err != nil {
		return err
	}
	e2, i2, g2, err := rt.Phase2.lists("phase2")
	if err != nil {
		return err
	}
	m1, err := rt.Phase1.more("phase1")
	if err != nil {
		return err
	}
	m2, err := rt.Phase2.more("phase2")
	if err != nil {
		return err
	}
	for _, s := range suite.Combine(e1, i1, g1) {
		if m1 != (suite.MoreKE{}) {
			with := s
			with.AddKE = m1
			t.IKE = append(t.IKE, with)
		}
		if !rt.Phase1.MustAddKE {
			t.IKE = append(t.IKE, s)
		}
	}
	for _, s := range suite.CombineESP(e2, i2, g2) {
		if m2 != (suite.MoreKE{}) {
			with := s
			with.AddKE = m2
			t.ESP = append(t.ESP, with)
		}
		if !rt.Phase2.MustAddKE {
			t.ESP = append(t.ESP, s)
		}
	}
	t.IKE, t.ESP = suite.StrongestFirst(t.IKE), suite.StrongestFirstESP(t.ESP)
	return nil
}

// lists parses one phase; empty lists mean what is both safe and understood by
// AWS: AES-GCM and AES-CBC with SHA-2, and groups 14 and 19 to 21.
func (p rawPhase) lists(phase string) (encr []suite.EncrKey, integ []suite.Integ, groups []suite.Group, err error) {
	for _, e := range or(p.Encryption, "AES256-GCM-16", "AES128-GCM-16", "AES256", "AES128") {
		id, bits, err := suite.ParseEncr(e.value)
		if err != nil {
			return nil, nil, nil, e.errorf(phase+".encryption", "%v", err)
		}
		encr = append(encr, suite.EncrKey{Encr: id, KeyBits: bits})
	}
	for _, s := range or(p.Integrity, "SHA2-256", "SHA2-384", "SHA2-512") {
		id, err := suite.ParseInteg(s.value)
		if err != nil {
			return nil, nil, nil, s.errorf(phase+".integrity", "%v", err)
		}
		integ = append(integ, id)
	}
	numbers := p.DHGroups
	if len(numbers) == 0 {
		numbers = []int{19, 20, 21, 14}
	}
	for _, n := range numbers {
		g, err := suite.ParseGroup(n)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%s.dh_groups: %w", phase, err)
		}
		groups = append(groups, g)
	}
	return encr, integ, groups, nil
}

func or(list []text, def ...string) []text {
	if len(list) > 0 {
		return list
	}
	for _, d := range def {
		list = append(list, text{value: d})
	}
	return list
}

// more parses the additional key exchanges of one phase, which take place in
// the order of the list (RFC 9370).
func (p rawPhase) more(phase string) (out suite.MoreKE, err error) {
	field := phase + ".additional_key_exchanges"
	if len(p.AddKE) == 0 && p.MustAddKE {
		return out, fmt.Errorf("%s_required: set although none is named; name them in %[1]s, such as [ML-KEM-768]", field)
	}
	if len(p.AddKE) > len(out) {
		return out, p.AddKE[len(out)].errorf(field, "%d key exchanges; there is room for %d", len(p.AddKE), len(out))
	}
	for i, name := range p.AddKE {
		if out[i], err = suite.ParseKeyExchange(name.value); err != nil {
			return out, name.errorf(field, "%v", err)
		}
	}
	return out, nil
}
