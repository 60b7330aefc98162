package netspec

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// MainTable is the number of the routing table "main".
const MainTable = 254

// ipv6Metric is the metric that the kernel gives an IPv6 route that asks for
// none; the metric is part of what tells two routes apart.
const ipv6Metric = 1024

// ipv6ConnectedMetric is the metric of the routes that the kernel makes for
// IPv6 addresses; those for IPv4 addresses have 0.
const ipv6ConnectedMetric = 256

// Normalize returns a deep copy of s in its one canonical form: sorted, with
// prefixes masked and defaults written out (routing table main, IPv6 metric
// 1024, chain policy accept). Two specs want the same exactly when their normal
// forms are deeply equal. The order of nftables rules is kept: it has meaning.
func (s Spec) Normalize() Spec {
	out := Spec{Namespaces: mapSlice(s.Namespaces, Namespace.normalize)}
	slices.SortStableFunc(out.Namespaces, func(a, b Namespace) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (n Namespace) normalize() Namespace {
	out := Namespace{
		Name:    n.Name,
		Sysctls: cloneMap(n.Sysctls),
		Links:   mapSlice(n.Links, Link.normalize),
		Routes:  mapSlice(n.Routes, Route.normalize),
		Rules:   mapSlice(n.Rules, Rule.normalize),
		Tables:  mapSlice(n.Tables, Table.normalize),
	}
	slices.SortStableFunc(out.Links, func(a, b Link) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortStableFunc(out.Routes, compareRoutes)
	slices.SortStableFunc(out.Rules, compareRules)
	slices.SortStableFunc(out.Tables, func(a, b Table) int {
		return cmp.Or(cmp.Compare(a.Family, b.Family), cmp.Compare(a.Name, b.Name))
	})
	return out
}

func (l Link) normalize() Link {
	l.MAC = strings.ToLower(l.MAC)
	l.Addrs = mapSlice(l.Addrs, func(p netip.Prefix) netip.Prefix { return p })
	slices.SortStableFunc(l.Addrs, comparePrefixes)
	l.Sysctls = cloneMap(l.Sysctls)
	return l
}

func (r Route) normalize() Route {
	r.Dst = r.Dst.Masked()
	if r.Table == 0 {
		r.Table = MainTable
	}
	if r.Metric == 0 && r.Dst.Addr().Is6() {
		r.Metric = ipv6Metric
	}
	if names := r.Spread.Names(); len(names) == 1 && r.Dev == "" {
		r.Dev, r.Spread = names[0], "" // which the kernel tells nobody apart from it
	}
	return r
}

// normalize makes "all" the zero value, but for an IPv6 rule without any other
// prefix: there From ::/0 stays, for it says the family.
func (r Rule) normalize() Rule {
	v6 := r.IsIPv6()
	all := func(p netip.Prefix) netip.Prefix {
		if p.Bits() == 0 {
			return netip.Prefix{}
		}
		return p.Masked()
	}
	r.From, r.To = all(r.From), all(r.To)
	if v6 && !r.From.IsValid() && !r.To.IsValid() {
		r.From = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return r
}

// IsIPv6 reports whether r is an IPv6 rule: one of its prefixes is IPv6. A
// rule without prefixes is IPv4; From ::/0 makes it IPv6.
func (r Rule) IsIPv6() bool { return r.From.Addr().Is6() || r.To.Addr().Is6() }

func (t Table) normalize() Table {
	t.Sets = mapSlice(t.Sets, func(s Set) Set {
		s.Flags = mapSlice(s.Flags, strings.TrimSpace)
		s.Elements = mapSlice(s.Elements, strings.TrimSpace)
		slices.Sort(s.Flags)
		slices.Sort(s.Elements)
		return s
	})
	slices.SortStableFunc(t.Sets, func(a, b Set) int { return cmp.Compare(a.Name, b.Name) })
	t.Chains = mapSlice(t.Chains, func(c Chain) Chain {
		if c.Hook != "" && c.Policy == "" {
			c.Policy = "accept"
		}
		c.Rules = mapSlice(c.Rules, func(r NftRule) NftRule {
			r.Text = strings.TrimSpace(r.Text)
			return r
		})
		return c
	})
	slices.SortStableFunc(t.Chains, func(a, b Chain) int { return cmp.Compare(a.Name, b.Name) })
	return t
}

func compareRoutes(a, b Route) int {
	return cmp.Or(
		cmp.Compare(a.Table, b.Table),
		comparePrefixes(a.Dst, b.Dst),
		cmp.Compare(a.Metric, b.Metric),
		cmp.Compare(a.Dev, b.Dev),
		a.Via.Compare(b.Via),
	)
}

func compareRules(a, b Rule) int {
	return cmp.Or(
		cmp.Compare(a.Priority, b.Priority),
		cmp.Compare(a.IIF, b.IIF),
		comparePrefixes(a.From, b.From),
		comparePrefixes(a.To, b.To),
		cmp.Compare(a.Mark, b.Mark),
		cmp.Compare(a.Table, b.Table),
	)
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// mapSlice returns f of every element of in; nil for an empty slice, so that
// equal specs are deeply equal.
func mapSlice[T any](in []T, f func(T) T) []T {
	if len(in) == 0 {
		return nil
	}
	out := make([]T, len(in))
	for i, v := range in {
		out[i] = f(v)
	}
	return out
}

func cloneMap(in map[string]string) map[string]string {
	if len(in) == 0 {
		return nil
	}
	return maps.Clone(in)
}
