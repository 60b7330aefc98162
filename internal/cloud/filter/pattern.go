package filter

// A pattern is the value of a filter, an element a character.
type pattern []element

// An element of a pattern: one character, or a wildcard.
type element struct {
	kind kind
	char rune // of a literal
}

type kind uint8

const (
	literal  kind = iota
	anything      // *: any number of characters
	optional      // ?: one character or none
)

func newPattern(value string) (p pattern) {
	escaped := false
	for _, r := range value {
		switch {
		case escaped:
			p, escaped = append(p, element{literal, r}), false
		case r == '\\':
			escaped = true
		case r == '*':
			p = append(p, element{kind: anything})
		case r == '?':
			p = append(p, element{kind: optional})
		default:
			p = append(p, element{literal, r})
		}
	}
	if escaped { // there is nothing that it could take the meaning from
		p = append(p, element{literal, '\\'})
	}
	return p
}

// matches reports whether the whole of s is what p says. It follows all ways to
// read p at once, so that its time is the product of both lengths whatever p is.
func (p pattern) matches(s string) bool {
	at, next := make([]bool, len(p)+1), make([]bool, len(p)+1) // may element i come next?
	at[0] = true
	p.skip(at)
	for _, r := range s {
		clear(next)
		for i, e := range p {
			switch {
			case !at[i]:
			case e.kind == anything:
				next[i] = true
			case e.kind == optional || e.char == r:
				next[i+1] = true
			}
		}
		p.skip(next)
		at, next = next, at
	}
	return at[len(p)]
}

// skip lets wildcards stand for nothing.
func (p pattern) skip(at []bool) {
	for i, e := range p {
		at[i+1] = at[i+1] || at[i] && e.kind != literal
	}
}
