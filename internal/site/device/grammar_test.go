package device

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Devices that do not run here are held to a grammar: the file grammar of their
// folder, after the vendor's published reference. Its first line is how lines nest:
// flat, indent, fortios, routeros or xml. Each other line is a pattern, and
// deeper ones are what may stand below it. A + before a pattern: it must be there
// in every such block. Words of a pattern are literal, alternatives a|b, or
//
//	<word> <number> <address> <prefix> <mask> <string> <interface> <list> <duration> <neighbor>
//
// and … behind the last repeats it; words in the brackets [ ] may be left out.

// A line is one of a grammar or of a document, with those below it.
type line struct {
	text  string
	below []*line
	cut   []string
}

// words are those of a line, cut once.
func (l *line) words(cut func(string) []string) []string {
	if l.cut == nil {
		l.cut = cut(strings.TrimPrefix(l.text, "+ "))
	}
	return l.cut
}

// nest builds a tree from lines by their indentation.
func nest(text, comment string) []*line {
	root := &line{}
	type open struct {
		depth int
		at    *line
	}
	stack := []open{{-1, root}}
	for raw := range strings.Lines(text) {
		trimmed := strings.TrimSpace(raw)
		if trimmed == "" || strings.HasPrefix(trimmed, comment) || strings.HasPrefix(trimmed, "#") {
			continue
		}
		depth := len(raw) - len(strings.TrimLeft(raw, " "))
		for stack[len(stack)-1].depth >= depth {
			stack = stack[:len(stack)-1]
		}
		n := &line{text: trimmed}
		up := stack[len(stack)-1].at
		up.below = append(up.below, n)
		stack = append(stack, open{depth, n})
	}
	return root.below
}

// document takes a device's text apart.
func document(style, text string) ([]*line, error) {
	switch style {
	case "flat":
		var flat strings.Builder
		for raw := range strings.Lines(text) {
			flat.WriteString(strings.TrimLeft(raw, " "))
		}
		return nest(flat.String(), "#"), nil
	case "indent":
		return nest(text, "!"), nil
	case "fortios":
		return fortios(text)
	case "routeros":
		return routeros(text), nil
	case "xml":
		return elements(text)
	}
	return nil, fmt.Errorf("style %q is not known", style)
}

// fortios nests by config and edit, which end and next close.
func fortios(text string) ([]*line, error) {
	root := &line{}
	stack := []*line{root}
	for _, n := range nest(strings.ReplaceAll(text, "    ", ""), "#") {
		top := stack[len(stack)-1]
		verb, _, _ := strings.Cut(n.text, " ")
		closes := map[string]string{"end": "config", "next": "edit"}[verb]
		switch {
		case closes != "" && (len(stack) == 1 || !strings.HasPrefix(top.text, closes+" ")):
			return nil, fmt.Errorf("%q closes nothing", n.text)
		case closes != "":
			stack = stack[:len(stack)-1]
			continue
		case verb == "config" || verb == "edit":
			stack = append(stack, n)
		}
		top.below = append(top.below, n)
	}
	if len(stack) != 1 {
		return nil, fmt.Errorf("%q is not closed", stack[len(stack)-1].text)
	}
	return root.below, nil
}

// routeros puts what is added below its menu, and its properties below that.
func routeros(text string) (out []*line) {
	for _, n := range nest(text, "#") {
		if strings.HasPrefix(n.text, "/") || len(out) == 0 {
			out = append(out, n)
			continue
		}
		words := split(n.text)
		added := &line{text: words[0]}
		for _, w := range words[1:] {
			added.below = append(added.below, &line{text: strings.Replace(w, "=", " ", 1)})
		}
		menu := out[len(out)-1]
		menu.below = append(menu.below, added)
	}
	return out
}

// elements makes a line of each element: its name, and its text if it has no
// elements within.
func elements(text string) ([]*line, error) {
	dec := xml.NewDecoder(strings.NewReader(text))
	root := &line{}
	stack := []*line{root}
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) && root.text == "" {
			return root.below, nil
		}
		if err == nil && root.text != "" {
			err = fmt.Errorf("%q stands outside of the elements", root.text)
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &line{text: tok.Name.Local}
			top.below = append(top.below, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if s := strings.TrimSpace(string(tok)); s != "" {
				top.text += " " + s
			}
		}
	}
}

// split cuts a line into words; what stands in quotes is part of one.
func split(text string) (words []string) {
	var word strings.Builder
	var quote rune
	escaped := false
	for _, r := range text + " " {
		switch {
		case escaped:
			escaped = false
		case r == '\\' && quote == '"':
			escaped = true
		case quote == r:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case quote == 0 && r == ' ':
			if word.Len() > 0 {
				words = append(words, word.String())
			}
			word.Reset()
			continue
		}
		word.WriteRune(r)
	}
	return words
}

// fits reports whether a document's lines are all in a grammar.
func fits(grammar, doc []*line) error {
	seen := map[*line]bool{}
	for _, d := range doc {
		var last error
		found := false
		for _, g := range grammar {
			if !matches(g.words(strings.Fields), d.words(split)) {
				continue
			}
			if last = fits(g.below, d.below); last == nil {
				found, seen[g] = true, true
				break
			}
		}
		switch {
		case found:
		case last != nil:
			return fmt.Errorf("in %q: %w", d.text, last)
		default:
			return fmt.Errorf("%q is no line that may stand here", d.text)
		}
	}
	for _, g := range grammar {
		if strings.HasPrefix(g.text, "+ ") && !seen[g] {
			return fmt.Errorf("%q is missing", g.text[2:])
		}
	}
	return nil
}

func matches(pattern, words []string) bool {
	switch {
	case len(pattern) == 0:
		return len(words) == 0
	case pattern[0] == "[":
		end := 1
		for pattern[end] != "]" {
			end++
		}
		return matches(pattern[end+1:], words) || matches(append(append([]string(nil), pattern[1:end]...), pattern[end+1:]...), words)
	case len(words) == 0:
		return false
	case len(pattern) == 2 && pattern[1] == "…" && len(words) > 1:
		return isWord(pattern[0], words[0]) && matches(pattern, words[1:])
	case len(pattern) == 2 && pattern[1] == "…":
		return isWord(pattern[0], words[0])
	}
	return isWord(pattern[0], words[0]) && matches(pattern[1:], words[1:])
}

// isWord reports whether a word is of a pattern. Quotes around a word do not count
// but for <string>.
func isWord(pattern, word string) bool {
	bare := strings.Trim(word, `"'`)
	addr, noAddr := netip.ParseAddr(bare)
	_, noPrefix := netip.ParsePrefix(bare)
	_, noNumber := strconv.ParseUint(bare, 10, 32)
	switch pattern {
	case "<word>":
		return plainWord(bare) && bare != ""
	case "<number>":
		return noNumber == nil
	case "<address>":
		return noAddr == nil && addr.Is4()
	case "<mask>":
		if noAddr != nil || !addr.Is4() {
			return false
		}
		a := addr.As4()
		bits := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
		return ^bits&(^bits+1) == 0
	case "<prefix>":
		return noPrefix == nil
	case "<string>":
		return len(word) > 0 && word == strings.TrimSpace(word)
	case "<interface>":
		return plainWord(bare) && strings.ContainsAny(bare, "0123456789") || bare == "outside" || bare == "wan"
	case "<duration>":
		return strings.HasSuffix(bare, "s") && strings.Trim(bare[:len(bare)-1], "0123456789") == "" && len(bare) > 1
	case "<neighbor>":
		option, value, ok := strings.Cut(bare, "=")
		return ok && value != "" && (option == "hold-time" || option == "local-address" || option == "metric")
	case "<list>":
		return strings.Trim(bare, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_,.") == "" && bare != ""
	}
	for alternative := range strings.SplitSeq(pattern, "|") {
		if alternative == bare {
			return true
		}
	}
	return false
}

// readGrammar reads a folder's grammar: that of a version of IKE whose lines are
// others, which own says, or the one for all.
func readGrammar(t *testing.T, name, ike string) (style string, grammar []*line, own bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("vendors", name, "grammar."+ike))
	if own = err == nil; !own {
		b, err = os.ReadFile(filepath.Join("vendors", name, "grammar"))
	}
	if err != nil {
		t.Fatal(err)
	}
	style, rest, _ := strings.Cut(string(b), "\n")
	return style, nest(rest, "#"), own
}

// tree is l and what is below it.
func (l *line) tree() string {
	out := l.text + "{"
	for _, b := range l.below {
		out += b.tree() + ";"
	}
	return out + "}"
}

// both is the grammar of a file whose tunnels are of both versions.
func both(a, b []*line) []*line {
	out := slices.Clone(a)
	for _, l := range b {
		if !slices.ContainsFunc(a, func(o *line) bool { return o.tree() == l.tree() }) {
			out = append(out, l)
		}
	}
	return out
}

func TestWhatIsNotRunFitsTheVendorsGrammar(t *testing.T) {
	variants(t, func(t *testing.T, typ Type, ike, routing string) {
		if typ.Run {
			return
		}
		style, grammar, _ := readGrammar(t, typ.Name, ike)
		for _, c := range []bool{true, false} { // lists of suites are other lines
			f := writtenFor(t, typ, ike, routing, c)[0]
			doc, err := document(style, f.Text)
			if err == nil {
				err = fits(grammar, doc)
			}
			if err != nil {
				t.Errorf("%s: %v", f.Path, err)
			}
		}
	})
}

// TestWhatIsNotRunFitsWhateverIsAskedFor is the same for each option of a
// connection: its lines stand in no golden file.
func TestWhatIsNotRunFitsWhateverIsAskedFor(t *testing.T) {
	variants(t, func(t *testing.T, typ Type, ike, routing string) {
		if typ.Run {
			return
		}
		style, grammar, own := readGrammar(t, typ.Name, ike)
		choice := choices(typ, "")
		if own {
			choice = choices(typ, ike)
		}
		for name, change := range changes() {
			c := connectionFor(typ, routing)
			change(&c)
			files, err := Configure(typ, c, choice)
			if err != nil {
				continue // it is refused
			}
			doc, err := document(style, files[0].Text)
			if err == nil {
				err = fits(grammar, doc)
			}
			if _, old, apart := readGrammar(t, typ.Name, "ikev1"); apart && name == "Tunnels.Versions" {
				err = fits(old, doc) // what is left to both tunnels
			}
			if err != nil {
				t.Errorf("%s is changed: %v", name, err)
			}
		}
	})
}

// A file whose tunnels are of different versions has the lines of both.
func TestTunnelsOfBothVersionsFitTheGrammar(t *testing.T) {
	variants(t, func(t *testing.T, typ Type, ike, routing string) {
		if typ.Run || ike != "ikev1" {
			return
		}
		_, old, apart := readGrammar(t, typ.Name, "ikev1")
		if !apart {
			return
		}
		style, grammar, _ := readGrammar(t, typ.Name, "ikev2")
		c := connectionFor(typ, routing)
		c.Gateway.Tunnels[0].Versions, c.Gateway.Tunnels[1].Versions = []int{2}, []int{1}
		choice := choices(typ, ike)
		choice.IKE = ""
		files, err := Configure(typ, c, choice)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := document(style, files[0].Text)
		if err == nil {
			err = fits(both(old, grammar), doc) // the narrower first
		}
		if err != nil {
			t.Errorf("%v in\n%s", err, files[0].Text)
		}
		if fits(grammar, doc) == nil || fits(old, doc) == nil {
			t.Error("it fits the grammar of one version alone")
		}
	})
}

// TestTheGrammarRefusesWhatIsWrong spoils each line in turn.
func TestTheGrammarRefusesWhatIsWrong(t *testing.T) {
	variants(t, func(t *testing.T, typ Type, ike, routing string) {
		if typ.Run {
			return
		}
		style, grammar, own := readGrammar(t, typ.Name, ike)
		if !own && ike != typ.IKE[0] { // the other version has the same lines
			return
		}
		lines := strings.Split(written(t, typ, ike, routing)[0].Text, "\n")
		spoiled := 0
		comment := false
		for i, l := range lines {
			comment = strings.HasPrefix(l, "<!--") || comment && l != "-->"
			words := strings.Fields(l)
			if comment || len(words) == 0 || l == "-->" || strings.HasPrefix(words[0], "!") || strings.HasPrefix(words[0], "#") || strings.HasPrefix(words[0], "<!--") || strings.HasPrefix(words[0], "<?") {
				continue
			}
			bad := append([]string(nil), lines...)
			bad[i] = strings.Replace(l, words[0], words[0]+"x", 1)
			spoiled++
			doc, err := document(style, strings.Join(bad, "\n"))
			if err == nil && fits(grammar, doc) == nil {
				t.Errorf("line %d is taken although it says %q", i+1, bad[i])
			}
		}
		if spoiled < 10 {
			t.Errorf("only %d lines were tried", spoiled)
		}
	})
}
