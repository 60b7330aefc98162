package netapply

import (
	"strings"

	"seikan/internal/linux/netspec"
)

// parseTable reads one table as "nft -s list ruleset" prints it: what nft
// normalizes stays as nft says it. Lines it does not know are left out.
func parseTable(text string) netspec.Table {
	var t netspec.Table
	var chain *netspec.Chain
	var set *netspec.Set
	elements := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		word, rest, _ := strings.Cut(line, " ")
		name := strings.TrimSuffix(rest, " {")
		switch {
		case elements:
			elements = parseElements(set, line)
		case line == "}":
			chain, set = nil, nil
		case chain != nil:
			parseChainLine(chain, line)
		case set != nil:
			elements = parseSetLine(set, word, rest)
		case word == "table":
			t.Family, t.Name, _ = strings.Cut(name, " ")
		case word == "chain":
			t.Chains = append(t.Chains, netspec.Chain{Name: name})
			chain = &t.Chains[len(t.Chains)-1]
		case word == "set" || word == "map":
			t.Sets = append(t.Sets, netspec.Set{Name: name})
			set = &t.Sets[len(t.Sets)-1]
		}
	}
	return t
}

// parseChainLine adds one line of a chain to c.
func parseChainLine(c *netspec.Chain, line string) {
	if rest, ok := strings.CutPrefix(line, "type "); ok && strings.Contains(rest, " hook ") {
		c.Type, rest, _ = strings.Cut(rest, " hook ")
		c.Hook, rest, _ = strings.Cut(rest, " priority ")
		c.Priority, rest, _ = strings.Cut(rest, "; policy ")
		c.Policy = strings.TrimSuffix(rest, ";")
		return
	}
	r := netspec.NftRule{Text: line}
	if i := strings.LastIndex(line, ` comment "`); i >= 0 && strings.HasSuffix(line, `"`) {
		r.Text, r.Comment = line[:i], strings.TrimSuffix(line[i+len(` comment "`):], `"`)
	}
	c.Rules = append(c.Rules, r)
}

// parseSetLine reads one line of a set; it reports whether the list of
// elements goes on in the next line.
func parseSetLine(s *netspec.Set, word, rest string) bool {
	switch word {
	case "type":
		s.Type, s.Value, _ = strings.Cut(rest, " : ")
	case "flags":
		s.Flags = strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || r == ' ' })
	case "elements":
		return parseElements(s, strings.TrimPrefix(rest, "= {"))
	}
	return false
}

// parseElements reads the elements of one line; it reports whether more follow.
func parseElements(s *netspec.Set, line string) bool {
	body, last := strings.CutSuffix(line, "}")
	for e := range strings.SplitSeq(body, ",") {
		if e = strings.TrimSpace(e); e != "" {
			s.Elements = append(s.Elements, e)
		}
	}
	return !last
}
