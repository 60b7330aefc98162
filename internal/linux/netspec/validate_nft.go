package netspec

import (
	"slices"
	"strings"
)

// nftCommentLimit is what nft(8) accepts: NFTNL_UDATA_COMMENT_MAXLEN.
const nftCommentLimit = 128

func (v *validator) eachTable(n Namespace) {
	for i, t := range n.Tables {
		v.object = "table " + t.Family + " " + t.Name
		if i > 0 && n.Tables[i-1].Family == t.Family && n.Tables[i-1].Name == t.Name {
			v.fault("is declared twice")
		}
		if !slices.Contains([]string{"ip", "ip6", "inet", "bridge"}, t.Family) {
			// A netdev chain needs a device, which a Chain cannot state.
			v.fault("family %q is none of ip, ip6, inet, bridge", t.Family)
		}
		v.identifier("name", t.Name)
		v.eachSet(t)
		v.eachChain(t)
	}
}

// identifier checks a name of nftables: a letter, then letters, digits, '_', '.'.
func (v *validator) identifier(what, name string) {
	rule := badName(name, 127, "_.")
	if rule == "" && name[0] >= '0' && name[0] <= '9' {
		rule = "must begin with a letter"
	}
	if rule != "" {
		v.fault("%s %q %s", what, name, rule)
	}
}

func (v *validator) eachSet(t Table) {
	table := v.object
	for i, s := range t.Sets {
		v.object = table + ": set " + s.Name
		if i > 0 && t.Sets[i-1].Name == s.Name {
			v.fault("is declared twice")
		}
		v.identifier("name", s.Name)
		for _, text := range append([]string{s.Type}, s.Flags...) {
			v.text(text, ",")
		}
		if s.Value != "" {
			v.text(s.Value, ",")
		}
		for j, e := range s.Elements {
			v.text(e, ",")
			if j > 0 && s.Elements[j-1] == e {
				v.fault("element %q is declared twice", e)
			}
		}
	}
	v.object = table
}

func (v *validator) eachChain(t Table) {
	table := v.object
	for i, c := range t.Chains {
		v.object = table + ": chain " + c.Name
		if i > 0 && t.Chains[i-1].Name == c.Name {
			v.fault("is declared twice")
		}
		v.identifier("name", c.Name)
		v.hook(c)
		for _, r := range c.Rules {
			v.text(r.Text, "")
			if rule := badComment(r.Comment, nftCommentLimit); rule != "" {
				v.fault("rule %q: comment %q %s", r.Text, r.Comment, rule)
			}
		}
	}
	v.object = table
}

// hook checks what makes c a base chain, or that nothing does.
func (v *validator) hook(c Chain) {
	if c.Hook == "" {
		if c.Type != "" || c.Priority != "" || c.Policy != "" {
			v.fault("has type %q, priority %q, policy %q but no hook", c.Type, c.Priority, c.Policy)
		}
		return
	}
	if !slices.Contains([]string{"filter", "nat", "route"}, c.Type) {
		v.fault("type %q is none of filter, nat, route", c.Type)
	}
	if !slices.Contains([]string{"prerouting", "input", "forward", "output", "postrouting"}, c.Hook) {
		v.fault("hook %q is none of prerouting, input, forward, output, postrouting", c.Hook)
	}
	if c.Policy != "accept" && c.Policy != "drop" {
		v.fault("policy %q is neither accept nor drop", c.Policy)
	}
	v.text(c.Priority, "{}\"")
}

// text checks a piece of nft text: it must be one line and must not end the
// block that it is put into, so that no name or tag in it can add other rules.
// None of the bytes of forbidden may stand outside quotes.
func (v *validator) text(s, forbidden string) {
	if strings.TrimSpace(s) == "" {
		v.fault("empty nft text")
		return
	}
	depth, quoted := 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' && c != '\t' || c == 0x7f:
			v.fault("nft text %q must be one line of text", s)
			return
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ';' || c == '#' || c == '\\' || depth == 0 && strings.IndexByte(forbidden, c) >= 0:
			v.fault("nft text %q holds %q outside quotes", s, c)
			return
		case c == '{':
			depth++
		case c == '}':
			depth--
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 || quoted {
		v.fault("nft text %q has unbalanced braces or quotes", s)
	}
}
