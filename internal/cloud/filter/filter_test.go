package filter

import (
	"slices"
	"strings"
	"testing"

	"seikan/internal/cloud/resource"
)

// The first lines are the examples of the EC2 User Guide.
func TestWildcards(t *testing.T) {
	for _, c := range []struct {
		pattern string
		yes, no []string
	}{
		{"prod", []string{"prod"}, []string{"prods", "production", "Prod", "pro"}},
		{"prod?", []string{"prod", "prods"}, []string{"production"}},
		{"prod*", []string{"prod", "prods", "production"}, []string{"aprod"}},
		{`\*amazon\?\\`, []string{`*amazon?\`}, []string{`xamazonx\`, `amazon\`}},
		{"*", []string{"", "x", "vpn-1"}, nil},
		{"", []string{""}, []string{"x"}},
		{"?", []string{"", "x", "ü"}, []string{"xy"}},
		{"a??c", []string{"ac", "abc", "abbc"}, []string{"abbbc", "a"}},
		{"*b*", []string{"b", "abc", "bb"}, []string{"ac"}},
		{"10.0.*.0/2?", []string{"10.0.1.0/24", "10.0.9.9.0/2"}, []string{"10.1.1.0/24", "10.0.1.0/16"}},
		{`a\`, []string{`a\`}, []string{"a"}},
		{`\a`, []string{"a"}, []string{`\a`}},
	} {
		p := newPattern(c.pattern)
		for _, s := range c.yes {
			if !p.matches(s) {
				t.Errorf("%q and %q: got no match", c.pattern, s)
			}
		}
		for _, s := range c.no {
			if p.matches(s) {
				t.Errorf("%q and %q: got a match", c.pattern, s)
			}
		}
	}
}

type row struct {
	id     string
	colors []string
	tags   resource.Tags
}

func rows() []row {
	return []row{
		{"x-1", []string{"red", "green"}, resource.Tags{"Name": "one", "team": "net"}},
		{"x-2", []string{"blue"}, resource.Tags{"Name": "two"}},
		{"x-3", nil, nil},
	}
}

func fields() Fields[row] {
	return Fields[row]{"id": func(r row) []string { return One(r.id) }, "color": func(r row) []string { return r.colors }}
}

func TestValuesAreAlternativesAndFiltersAreNot(t *testing.T) {
	for _, c := range []struct {
		name    string
		filters []Filter
		want    string
	}{
		{"none", nil, "x-1 x-2 x-3"},
		{"one value", []Filter{{"id", []string{"x-2"}}}, "x-2"},
		{"two values", []Filter{{"id", []string{"x-1", "x-3"}}}, "x-1 x-3"},
		{"one of a row's values", []Filter{{"color", []string{"green"}}}, "x-1"},
		{"a row without a value", []Filter{{"color", []string{"*"}}}, "x-1 x-2"},
		{"two filters", []Filter{{"color", []string{"*e*"}}, {"id", []string{"x-1", "x-3"}}}, "x-1"},
		{"one filter twice", []Filter{{"color", []string{"red"}}, {"color", []string{"green"}}}, "x-1"},
		{"nothing is left", []Filter{{"id", []string{"x-1"}}, {"id", []string{"x-2"}}}, ""},
		{"a tag", []Filter{{"tag:Name", []string{"t*"}}}, "x-2"},
		{"a tag of another case", []Filter{{"tag:name", []string{"*"}}}, ""},
		{"a tag's key", []Filter{{"tag-key", []string{"team"}}}, "x-1"},
	} {
		got, err := Select(rows(), fields(), func(r row) resource.Tags { return r.tags }, c.filters)
		var ids []string
		for _, r := range got {
			ids = append(ids, r.id)
		}
		if text := strings.Join(ids, " "); err != nil || text != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.name, text, err, c.want)
		}
	}
}

func TestWrongFiltersAreRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		filters []Filter
		want    string
	}{
		{"unknown", []Filter{{"colour", []string{"red"}}}, "InvalidParameterValue: The filter 'colour' is invalid"},
		{"another case", []Filter{{"Color", []string{"red"}}}, "InvalidParameterValue: The filter 'Color' is invalid"},
		{"no name", []Filter{{"", []string{"red"}}}, "InvalidParameterValue: The filter '' is invalid"},
		{"no values", []Filter{{"color", nil}}, "InvalidParameterValue: Filter: color has no value; give at least one"},
		{"too long", []Filter{{"color", []string{strings.Repeat("x", 256)}}}, "InvalidParameterValue: Filter: a value of color has 256 characters, at most 255"},
		{"too many values", []Filter{{"color", make([]string, 201)}}, "FilterLimitExceeded: The maximum number of filter values specified on a single call is 200"},
		{"too many filters", slices.Repeat([]Filter{{"color", []string{"red"}}}, 51), "FilterLimitExceeded: The maximum number of filters specified on a single call is 50"},
	} {
		if _, err := Select(rows(), fields(), func(r row) resource.Tags { return r.tags }, c.filters); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

// Escaping every character of a text makes a pattern of that text alone.
func FuzzPattern(f *testing.F) {
	f.Add("a*b", `x?\`)
	f.Fuzz(func(t *testing.T, text, pattern string) {
		text, pattern = strings.ToValidUTF8(text, "?"), strings.ToValidUTF8(pattern, "?")
		var escaped strings.Builder
		for _, r := range text {
			escaped.WriteString(`\` + string(r))
		}
		p := newPattern(escaped.String())
		if !p.matches(text) || p.matches(text+"x") {
			t.Fatalf("%q escaped: matches itself %v, and more %v", text, p.matches(text), p.matches(text+"x"))
		}
		if q := newPattern(pattern); q.matches(text) && !newPattern("*"+pattern).matches("y"+text) {
			t.Fatalf("%q matches %q, but with * before not y before", pattern, text)
		}
	})
}
