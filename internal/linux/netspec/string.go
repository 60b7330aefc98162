package netspec

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A line is one line of a printed Spec.
type line struct {
	context string // what stands above it: "vpc-1: table ip seikan: chain forward"
	depth   int    // 0 is a namespace
	text    string
}

// A printer collects the lines of a Spec.
type printer struct {
	lines []line
	path  []string
}

func (p *printer) add(format string, args ...any) {
	p.lines = append(p.lines, line{
		context: strings.Join(p.path, ": "),
		depth:   len(p.path),
		text:    fmt.Sprintf(format, args...),
	})
}

// within runs f with name as one more level of context.
func (p *printer) within(name string, f func()) {
	p.path = append(p.path, name)
	f()
	p.path = p.path[:len(p.path)-1]
}

func (p *printer) sysctls(m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		p.add("sysctl %s = %s", k, m[k])
	}
}

// String returns the normal form of s as text in the words of ip(8), sysctl(8)
// and nft(8), one object a line, sorted; equal specs print equally.
func (s Spec) String() string {
	var b strings.Builder
	for _, l := range s.Normalize().lines() {
		b.WriteString(strings.Repeat("  ", l.depth))
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.String()
}

// lines prints s, which is normalized.
func (s Spec) lines() []line {
	var p printer
	for _, n := range s.Namespaces {
		p.add("netns %s", n.Label())
		p.within(n.Label(), func() { p.namespace(n) })
	}
	return p.lines
}

// Label is the name of n as errors and printed specs give it: "(process)" for
// the namespace of the process.
func (n Namespace) Label() string {
	if n.Name == "" {
		return "(process)"
	}
	return n.Name
}

func (p *printer) namespace(n Namespace) {
	p.sysctls(n.Sysctls)
	for _, l := range n.Links {
		p.add("link %v", l)
		p.within("link "+l.Name, func() {
			for _, a := range l.Addrs {
				p.add("%s %v", family(a.Addr().Is6()), a)
			}
			p.sysctls(l.Sysctls)
		})
	}
	for _, r := range n.Routes {
		p.add("route %v", r)
	}
	for _, r := range n.Rules {
		p.add("rule %v", r)
	}
	for _, t := range n.Tables {
		p.table(t)
	}
}

// String returns l in one line like "ip -d link", without addresses and
// sysctls: "eni-1 veth peer web/eth0 mtu 1500 up".
func (l Link) String() string {
	words := []string{l.Name, string(l.Kind)}
	if l.Kind == Veth {
		words = append(words, "peer", Namespace{Name: l.Peer.Namespace}.Label()+"/"+l.Peer.Link)
	}
	if l.Master != "" {
		words = append(words, "master", l.Master)
	}
	if l.MTU != 0 {
		words = append(words, "mtu", fmt.Sprint(l.MTU))
	}
	if l.MAC != "" {
		words = append(words, "address", l.MAC)
	}
	if l.Down {
		words = append(words, "down")
	} else {
		words = append(words, "up")
	}
	if l.Comment != "" {
		words = append(words, "alias", fmt.Sprintf("%q", l.Comment))
	}
	return strings.Join(words, " ")
}

// String returns r like "ip route": "10.0.0.0/16 via 10.0.1.1 dev eth0 table 100",
// "10.0.0.0/16 nexthop dev tun1 nexthop dev tun2".
func (r Route) String() string {
	var words []string
	if r.Type != Unicast {
		words = append(words, string(r.Type))
	}
	if r.Dst.IsValid() && r.Dst.Bits() == 0 {
		words = append(words, "default")
		if r.Dst.Addr().Is6() {
			words[len(words)-1] = "::/0"
		}
	} else {
		words = append(words, r.Dst.String())
	}
	if r.Via.IsValid() {
		words = append(words, "via", r.Via.String())
	}
	if r.Dev != "" {
		words = append(words, "dev", r.Dev)
	}
	for _, link := range r.Spread.Names() {
		words = append(words, "nexthop dev", link)
	}
	if r.Src.IsValid() {
		words = append(words, "src", r.Src.String())
	}
	if r.Metric != 0 {
		words = append(words, "metric", fmt.Sprint(r.Metric))
	}
	if r.OnLink {
		words = append(words, "onlink")
	}
	if r.Table != 0 && r.Table != MainTable {
		words = append(words, "table", fmt.Sprint(r.Table))
	}
	return strings.Join(words, " ")
}

// String returns r like "ip rule": "100: from all to 10.0.0.0/16 lookup 100".
func (r Rule) String() string {
	from := "all"
	if r.From.IsValid() {
		from = r.From.String()
	}
	words := []string{fmt.Sprintf("%d:", r.Priority), "from", from}
	if r.To.IsValid() {
		words = append(words, "to", r.To.String())
	}
	if r.IIF != "" {
		words = append(words, "iif", r.IIF)
	}
	if r.Mark != 0 {
		words = append(words, "fwmark", fmt.Sprintf("%#x", r.Mark))
	}
	return strings.Join(append(words, "lookup", fmt.Sprint(r.Table)), " ")
}

func family(v6 bool) string {
	if v6 {
		return "inet6"
	}
	return "inet"
}

// String returns t as a table block that nft(8) loads.
func (t Table) String() string {
	var p printer
	p.table(t.normalize())
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(strings.Repeat("\t", l.depth))
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	return b.String()
}

func (p *printer) table(t Table) {
	name := "table " + t.Family + " " + t.Name
	p.add("%s {", name)
	p.within(name, func() {
		for _, s := range t.Sets {
			p.set(s)
		}
		for _, c := range t.Chains {
			p.chain(c)
		}
	})
	p.add("}")
}

func (p *printer) set(s Set) {
	word, typ := "set", s.Type
	if s.Value != "" {
		word, typ = "map", s.Type+" : "+s.Value
	}
	p.add("%s %s {", word, s.Name)
	p.within(word+" "+s.Name, func() {
		p.add("type %s", typ)
		if len(s.Flags) > 0 {
			p.add("flags %s", strings.Join(s.Flags, ", "))
		}
		if len(s.Elements) == 0 {
			return
		}
		p.add("elements = {")
		p.within("elements", func() {
			for _, e := range s.Elements {
				p.add("%s,", e)
			}
		})
		p.add("}")
	})
	p.add("}")
}

func (p *printer) chain(c Chain) {
	name := "chain " + c.Name
	p.add("%s {", name)
	p.within(name, func() {
		if c.Hook != "" {
			p.add("type %s hook %s priority %s; policy %s;", c.Type, c.Hook, c.Priority, c.Policy)
		}
		for _, r := range c.Rules {
			p.add("%v", r)
		}
	})
	p.add("}")
}

// String returns r as nft(8) reads it.
func (r NftRule) String() string {
	if r.Comment == "" {
		return r.Text
	}
	return fmt.Sprintf("%s comment %q", r.Text, r.Comment)
}
