package intake

import (
	"slices"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/site/awsconfig"
)

// setSuites works out what to offer.
//
// AWS answers with the lowest of its own list that is offered, whatever our
// order (vpn §2.2): to offer SHA-1 and group 2 beside better ones is to get
// them. XML and text state those two whatever the connection allows, so they
// are not evidence. Hence, where the file says what is allowed, the best of it
// is offered; where it does not, all that AWS allows by default and that is not
// weak, so that any connection but one kept to weak algorithms comes up.
func (r *Result) setSuites(key string, out *gateway.Tunnel, t awsconfig.Tunnel, o Options) error {
	one, two := allOfAWS(1), allOfAWS(2)
	known := t.Options != nil
	if known {
		one.restrict(t.Options.Phase1)
		two.restrict(t.Options.Phase2)
		out.Versions = slices.Sorted(slices.Values(t.Options.IKEVersions))
		slices.Reverse(out.Versions)
		out.Versions = slices.Compact(out.Versions)
	}
	switch {
	case o.AllAlgorithms:
		r.note(key+"phase1", "All that AWS can, since --all-algorithms was given. AWS takes the lowest that it allows.")
	case known && o.Whole:
		one.dropWeak()
		two.dropWeak()
		r.note(key+"phase1", "All that the connection allows and that is not weak.")
	case known:
		one.dropWeak()
		two.dropWeak()
		one.keepBest(len(out.Versions) == 1 && out.Versions[0] == 2)
		two.keepBest(true)
		r.note(key+"phase1", "The best of what the connection allows: AWS takes the lowest of what it is offered.")
		if one.weak() || two.weak() {
			r.note(key+"phase2", "The connection allows this tunnel nothing that is not weak: change its tunnel options at AWS.")
		}
	default:
		one.dropWeak()
		two.dropWeak()
		one.dropLarge()
		two.dropLarge()
		r.note(key+"phase1", "AWS's file states AES128, SHA1 and group 2 for every connection, and not what this one allows.\n"+
			"So all but the weak is offered; --all-algorithms adds that. The JSON of\n"+
			"`aws ec2 describe-vpn-connections` knows, and gives AES-GCM and better groups.")
	}
	var err error
	if out.IKE, err = one.ike(); err != nil {
		return err
	}
	out.ESP, err = two.esp()
	return err
}

// An offer is what one phase may use, in AWS's words.
type offer struct {
	encryption, integrity []string
	groups                []int
}

// allOfAWS is what AWS allows by default (vpn §2.1).
func allOfAWS(phase int) offer {
	o := offer{
		encryption: []string{"AES128", "AES256", "AES128-GCM-16", "AES256-GCM-16"},
		integrity:  []string{"SHA1", "SHA2-256", "SHA2-384", "SHA2-512"},
		groups:     []int{2, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24},
	}
	if phase == 2 {
		o.groups = append(o.groups, 5)
	}
	return o
}

// restrict keeps to what a connection allows.
func (o *offer) restrict(a awsconfig.Allowed) {
	o.encryption = common(o.encryption, a.Encryption)
	o.integrity = common(o.integrity, a.Integrity)
	if len(a.Groups) > 0 {
		o.groups = a.Groups
	}
}

func common(all, allowed []string) []string {
	if len(allowed) == 0 {
		return all
	}
	return allowed
}

// dropWeak drops what is weak, unless there is nothing else.
func (o *offer) dropWeak() {
	o.integrity = prefer(o.integrity, func(s string) bool { i, err := suite.ParseInteg(s); return err == nil && !i.Weak() })
	o.groups = prefer(o.groups, func(n int) bool { return !suite.Group(n).Weak() })
}

// weak reports whether something weak is left.
func (o *offer) weak() bool {
	return slices.Contains(o.integrity, "SHA1") || slices.ContainsFunc(o.groups, func(n int) bool { return suite.Group(n).Weak() })
}

// dropLarge drops groups that nobody needs beside the others: with them the
// first message of IKEv1 would no longer fit into a packet.
func (o *offer) dropLarge() {
	o.groups = prefer(o.groups, func(n int) bool { return n != 17 && n != 18 })
}

// keepBest keeps the curves where there are some, and AES-GCM if it can be
// used, so that AWS cannot choose below them.
func (o *offer) keepBest(gcm bool) {
	o.groups = prefer(o.groups, func(n int) bool { return n >= 19 && n <= 21 })
	if gcm {
		o.encryption = prefer(o.encryption, func(s string) bool { e, _, err := suite.ParseEncr(s); return err == nil && e.AEAD() })
	}
}

// prefer is those of list that are good, or all of it when none is.
func prefer[T any](list []T, good func(T) bool) []T {
	best := slices.DeleteFunc(slices.Clone(list), func(v T) bool { return !good(v) })
	if len(best) == 0 {
		return list
	}
	return best
}

func (o offer) ike() ([]suite.IKE, error) {
	encr, integ, groups, err := o.parse()
	return suite.StrongestFirst(suite.Combine(encr, integ, groups)), err
}

func (o offer) esp() ([]suite.ESP, error) {
	encr, integ, groups, err := o.parse()
	return suite.StrongestFirstESP(suite.CombineESP(encr, integ, groups)), err
}

func (o offer) parse() (encr []suite.EncrKey, integ []suite.Integ, groups []suite.Group, err error) {
	for _, s := range o.encryption {
		e, bits, err := suite.ParseEncr(s)
		if err != nil {
			return nil, nil, nil, err
		}
		encr = append(encr, suite.EncrKey{Encr: e, KeyBits: bits})
	}
	for _, s := range o.integrity {
		i, err := suite.ParseInteg(s)
		if err != nil {
			return nil, nil, nil, err
		}
		integ = append(integ, i)
	}
	for _, n := range o.groups {
		g, err := suite.ParseGroup(n)
		if err != nil {
			return nil, nil, nil, err
		}
		groups = append(groups, g)
	}
	return encr, integ, groups, nil
}
