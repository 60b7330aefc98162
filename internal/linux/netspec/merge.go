package netspec

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Merge joins the plans of several features into one, namespace by namespace.
// What is declared twice in the same words counts once, but an nftables table
// belongs to one plan: two of the same family and name in one namespace are an
// error, as are two different links of one name, values of one sysctl, or
// routes of one destination, metric and table. The result is normalized; it
// is not validated. The error joins every conflict.
func Merge(specs ...Spec) (Spec, error) {
	m := merger{byName: map[string]*merging{}}
	for _, s := range specs {
		for _, n := range s.Normalize().Namespaces {
			m.add(n)
		}
	}
	var out Spec
	for _, one := range m.byName {
		out.Namespaces = append(out.Namespaces, one.Namespace)
	}
	if len(m.errs) > 0 {
		return Spec{}, errors.Join(m.errs...)
	}
	return out.Normalize(), nil
}

// A merger collects namespaces by name.
type merger struct {
	byName map[string]*merging
	errs   []error
}

// A merging is one namespace under way, with what it has by identity.
type merging struct {
	Namespace
	seen map[string]any
}

// add joins n to what the merger has of the same name.
func (m *merger) add(n Namespace) {
	one := m.byName[n.Name]
	if one == nil {
		one = &merging{Namespace: Namespace{Name: n.Name}, seen: map[string]any{}}
		m.byName[n.Name] = one
	}
	for k, v := range n.Sysctls {
		if m.fresh(one, "sysctl "+k, v) {
			if one.Sysctls == nil {
				one.Sysctls = map[string]string{}
			}
			one.Sysctls[k] = v
		}
	}
	for _, l := range n.Links {
		if m.fresh(one, "link "+l.Name, l) {
			one.Links = append(one.Links, l)
		}
	}
	for _, r := range n.Routes {
		if m.fresh(one, "route "+r.identity(), r) {
			one.Routes = append(one.Routes, r)
		}
	}
	for _, r := range n.Rules {
		if m.fresh(one, "rule "+r.String(), r) {
			one.Rules = append(one.Rules, r)
		}
	}
	for _, t := range n.Tables {
		name := "table " + t.Family + " " + t.Name
		if _, ok := one.seen[name]; ok {
			m.errs = append(m.errs, fmt.Errorf("merge %s: %s is declared twice: an nftables table belongs to one plan; rename one", n.Label(), name))
			continue
		}
		one.seen[name] = t
		one.Tables = append(one.Tables, t)
	}
}

// fresh reports whether the object id is new; when another was declared in
// other words, it records the conflict.
func (m *merger) fresh(one *merging, id string, v any) bool {
	have, ok := one.seen[id]
	if !ok {
		one.seen[id] = v
		return true
	}
	if !reflect.DeepEqual(have, v) {
		m.errs = append(m.errs, fmt.Errorf("merge %s: %s is declared twice and differently: %v, and %v", one.Label(), id, have, v))
	}
	return false
}

// identity is what tells two routes of one namespace apart in the kernel.
func (r Route) identity() string {
	return fmt.Sprintf("%v metric %d table %d", r.Dst, r.Metric, r.Table)
}

// Diff returns how the text of to differs from that of from, one line an
// object, "- " for what goes and "+ " for what comes, each under its context:
// "+ vpc-1: route 10.0.0.0/16 dev eth0". Empty when they want the same.
func Diff(from, to Spec) string {
	old, young := from.Normalize().lines(), to.Normalize().lines()
	var b strings.Builder
	missing(&b, "- ", old, young)
	missing(&b, "+ ", young, old)
	if b.Len() == 0 {
		order(&b, old, young)
	}
	return b.String()
}

// order reports the first place where the same lines stand in another order:
// nftables rules that changed places.
func order(b *strings.Builder, old, young []line) {
	for i := range old {
		if old[i] != young[i] {
			fmt.Fprintf(b, "~ %s: order: %s, now %s\n", old[i].context, old[i].text, young[i].text)
			return
		}
	}
}

// missing writes the lines of in that are not in other, counting repeats.
func missing(b *strings.Builder, mark string, in, other []line) {
	count := map[line]int{}
	for _, l := range other {
		count[l]++
	}
	for _, l := range in {
		if count[l]--; count[l] >= 0 || l.text == "}" {
			continue
		}
		b.WriteString(mark)
		if l.context != "" {
			b.WriteString(l.context + ": ")
		}
		b.WriteString(l.text + "\n")
	}
}
