// Package metrics writes measurements in the text format that Prometheus reads.
//
// A Family is a value that its owner makes when it is asked; nothing is counted
// or kept here, and there is no registry. Append refuses what the format
// forbids, so that a scrape is either whole or an error. It opens no socket.
// Whoever shows measurements calls it.
package metrics

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ContentType is that of an HTTP answer with what Append wrote.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// A Kind is the type of a family.
type Kind string

// Kinds.
const (
	Counter Kind = "counter" // only grows, but for restarts; its name ends in _total
	Gauge   Kind = "gauge"
)

// A Family is all samples of one name.
type Family struct {
	Name    string // such as seikan_tunnel_up: letters, digits, underscores
	Help    string // one sentence, with the unit
	Kind    Kind
	Samples []Sample
}

// A Sample is one number. Within a family no two have the same labels.
type Sample struct {
	Labels []Label
	Value  float64
}

// A Label names what a sample is of. The value may hold anything that is UTF-8.
type Label struct{ Name, Value string }

// Append appends families to b, in their order, or returns what is wrong with
// them.
func Append(b []byte, families []Family) ([]byte, error) {
	seen := map[string]bool{}
	for _, f := range families {
		switch {
		case !validName(f.Name) || seen[f.Name]:
			return nil, fmt.Errorf("metrics: family %q: a name of its own, of letters, digits and underscores, is wanted", f.Name)
		case f.Kind != Counter && f.Kind != Gauge:
			return nil, fmt.Errorf("metrics: family %s: kind %q is neither %s nor %s", f.Name, f.Kind, Counter, Gauge)
		case f.Kind == Counter != strings.HasSuffix(f.Name, "_total"):
			return nil, fmt.Errorf("metrics: family %s: the names of counters, and only theirs, end in _total", f.Name)
		case f.Help == "":
			return nil, fmt.Errorf("metrics: family %s: has no help", f.Name)
		}
		seen[f.Name] = true
		b = fmt.Appendf(b, "# HELP %s %s\n# TYPE %s %s\n", f.Name, escapeHelp.Replace(f.Help), f.Name, f.Kind)
		lines := map[string]bool{}
		for _, s := range f.Samples {
			labels, err := s.labels()
			if err != nil {
				return nil, fmt.Errorf("metrics: family %s: %w", f.Name, err)
			}
			if lines[labels] {
				return nil, fmt.Errorf("metrics: family %s: the labels %s stand there twice", f.Name, labels)
			}
			if f.Kind == Counter && (s.Value < 0 || math.IsNaN(s.Value)) {
				return nil, fmt.Errorf("metrics: family %s: a counter cannot be %v", f.Name, s.Value)
			}
			lines[labels] = true
			b = append(b, f.Name...)
			b = append(b, labels...)
			b = append(b, ' ')
			b = append(strconv.AppendFloat(b, s.Value, 'g', -1, 64), '\n')
		}
	}
	return b, nil
}

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// labels are those of s between braces, sorted; nothing for none.
func (s Sample) labels() (string, error) {
	if len(s.Labels) == 0 {
		return "", nil
	}
	all := slices.Clone(s.Labels)
	slices.SortFunc(all, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	var parts []string
	for i, l := range all {
		if !validName(l.Name) || strings.HasPrefix(l.Name, "__") || i > 0 && all[i-1].Name == l.Name {
			return "", fmt.Errorf("label %q: a name of its own, of letters, digits and underscores, is wanted", l.Name)
		}
		parts = append(parts, l.Name+`="`+escapeLabel.Replace(strings.ToValidUTF8(l.Value, "�"))+`"`)
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}

// validName reports whether name is one that every reader takes.
func validName(name string) bool {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
}
