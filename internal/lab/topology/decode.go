package topology

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A decoder collects the problems of one file and where each field stands.
type decoder struct {
	file     string
	problems Problems
	at       map[string]*yaml.Node // by path, for the checks across fields
}

func (d *decoder) errorf(n *yaml.Node, path, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{d.file, n.Line, n.Column, path, fmt.Sprintf(format, args...)})
	}
}

// errorAt reports a problem of the field at path, or of the nearest thing
// around it that the file does hold.
func (d *decoder) errorAt(path, format string, args ...any) {
	for at := path; ; {
		if n := d.at[at]; n != nil {
			d.errorf(n, path, format, args...)
			return
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	d.errorf(d.at[""], path, format, args...)
}

// An object is one YAML mapping that is being read. Every key that is asked
// for is known; done complains of the others.
type object struct {
	d      *decoder
	node   *yaml.Node
	path   string
	fields map[string]*yaml.Node
	known  []string
}

// object reads n as a mapping. When it is none the object is empty, and the
// problem is noted.
func (d *decoder) object(n *yaml.Node, path string) *object {
	o := &object{d: d, node: n, path: path, fields: map[string]*yaml.Node{}}
	d.at[path] = n
	if n.Kind != yaml.MappingNode {
		d.errorf(n, path, "%s stands where fields are expected; write `field: value` lines below it", describe(n))
		return o
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if o.fields[key.Value] != nil {
			d.errorf(key, o.sub(key.Value), "is given twice; keep one")
			continue
		}
		o.fields[key.Value] = value
		d.at[o.sub(key.Value)] = value
	}
	return o
}

func (o *object) sub(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

// done reports the keys that nobody asked for.
func (o *object) done() {
	if o.node.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(o.node.Content); i += 2 {
		key := o.node.Content[i]
		if slices.Contains(o.known, key.Value) {
			continue
		}
		if near := nearest(key.Value, o.known); near != "" {
			o.d.errorf(key, o.path, "unknown field %q; did you mean %q?", key.Value, near)
			continue
		}
		known := slices.Clone(o.known)
		sort.Strings(known)
		o.d.errorf(key, o.path, "unknown field %q; the fields here are %s", key.Value, strings.Join(known, ", "))
	}
}

// field returns the node of key, nil when absent or null.
func (o *object) field(key string) *yaml.Node {
	o.known = append(o.known, key)
	n := o.fields[key]
	if n == nil || n.Tag == "!!null" {
		return nil
	}
	return n
}

// need is whether a field may be left out.
type need bool

const (
	required need = true
	optional need = false
)

// scalar returns the text of key. rule says in words what belongs there; it
// ends the errors of missing and wrong values.
func (o *object) scalar(key string, must need, rule string) (string, *yaml.Node) {
	n := o.field(key)
	if n == nil {
		if must && o.node.Kind == yaml.MappingNode {
			o.d.errorf(o.node, o.sub(key), "is missing; %s", rule)
		}
		return "", nil
	}
	if n.Kind != yaml.ScalarNode {
		o.d.errorf(n, o.sub(key), "%s stands where one value is expected; %s", describe(n), rule)
		return "", nil
	}
	return n.Value, n
}

var nameRule = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,13}[a-z0-9])?$`)

const nameWords = "a name has 1 to 15 of a-z 0-9 -, begins with a letter and does not end with -"

// name reads a name of the file's author.
func (o *object) name(key string, must need) string {
	s, n := o.scalar(key, must, nameWords)
	if n != nil && !nameRule.MatchString(s) {
		o.d.errorf(n, o.sub(key), "%q: %s", s, nameWords)
		return ""
	}
	return s
}

// names reads a list of names.
func (o *object) names(key string, must need) (out []string) {
	o.scalars(key, must, nameWords, func(s string) bool {
		out = append(out, s)
		return nameRule.MatchString(s)
	})
	return out
}

// scalars calls take for each value of a list; take returns whether the value
// obeys the rule.
func (o *object) scalars(key string, must need, rule string, take func(string) bool) {
	o.list(key, must, "a list such as [one, two]; "+rule, func(n *yaml.Node, path string) {
		if n.Kind != yaml.ScalarNode {
			o.d.errorf(n, path, "%s stands where one value is expected; %s", describe(n), rule)
		} else if !take(n.Value) {
			o.d.errorf(n, path, "%q: %s", n.Value, rule)
		}
	})
}

// list calls each for the items of key.
func (o *object) list(key string, must need, rule string, each func(n *yaml.Node, path string)) {
	n := o.field(key)
	if n == nil {
		if must && o.node.Kind == yaml.MappingNode {
			o.d.errorf(o.node, o.sub(key), "is missing; write %s", rule)
		}
		return
	}
	if n.Kind != yaml.SequenceNode {
		o.d.errorf(n, o.sub(key), "%s stands where a list is expected; write %s", describe(n), rule)
		return
	}
	if must && len(n.Content) == 0 {
		o.d.errorf(n, o.sub(key), "is empty; write %s", rule)
	}
	for i, item := range n.Content {
		path := fmt.Sprintf("%s[%d]", o.sub(key), i)
		o.d.at[path] = item
		each(item, path)
	}
}

// objects calls each for the mappings in the list key, and done on each.
func (o *object) objects(key string, must need, each func(o *object)) {
	o.list(key, must, "a list of items, each beginning with `- `", func(n *yaml.Node, path string) {
		item := o.d.object(n, path)
		each(item)
		item.done()
	})
}

// child reads the mapping key; absent, it is an empty object whose required
// fields are not complained of again.
func (o *object) child(key string, must need) *object {
	n := o.field(key)
	if n == nil {
		if must && o.node.Kind == yaml.MappingNode {
			o.d.errorf(o.node, o.sub(key), "is missing; write `%s:` and its fields below it", key)
		}
		return &object{d: o.d, node: &yaml.Node{Line: o.node.Line, Column: o.node.Column}, path: o.sub(key), fields: map[string]*yaml.Node{}}
	}
	return o.d.object(n, o.sub(key))
}

const addrRule = "an IPv4 address such as 192.168.1.10 belongs here"

// addr reads an IPv4 address that a machine can have.
func (o *object) addr(key string, must need) netip.Addr {
	return o.address(key, must, addrRule, parseAddr)
}

// address reads an address that parse takes, which rule says in words.
func (o *object) address(key string, must need, rule string, parse func(string) (netip.Addr, bool)) netip.Addr {
	s, n := o.scalar(key, must, rule)
	if n == nil {
		return netip.Addr{}
	}
	a, ok := parse(s)
	if !ok {
		o.d.errorf(n, o.sub(key), "%q: %s", s, rule)
	}
	return a
}

func parseAddr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return netip.Addr{}, false
	}
	return a, true
}

// addrs reads a list of addresses.
func (o *object) addrs(key string, must need) []netip.Addr {
	return o.addresses(key, must, addrRule, parseAddr)
}

// addresses reads a list of what address reads.
func (o *object) addresses(key string, must need, rule string, parse func(string) (netip.Addr, bool)) (out []netip.Addr) {
	o.scalars(key, must, rule, func(s string) bool {
		a, ok := parse(s)
		out = append(out, a)
		return ok
	})
	return out
}

// prefix reads an IPv4 prefix of minBits to maxBits with no host bits set.
func (o *object) prefix(key string, must need, minBits, maxBits int) netip.Prefix {
	rule := fmt.Sprintf("an IPv4 prefix of /%d to /%d such as 10.0.0.0/%d belongs here", minBits, maxBits, maxBits)
	if minBits == maxBits {
		rule = fmt.Sprintf("an IPv4 prefix of length /%d belongs here", maxBits)
	}
	s, n := o.scalar(key, must, rule)
	if n == nil {
		return netip.Prefix{}
	}
	p, problem := parsePrefix(s, minBits, maxBits)
	switch problem {
	case "":
	case badPrefix:
		o.d.errorf(n, o.sub(key), "%q: %s", s, rule)
	default:
		o.d.errorf(n, o.sub(key), "%q: %s", s, problem)
	}
	return p
}

const badPrefix = "bad"

// parsePrefix returns the prefix, or what is wrong.
func parsePrefix(s string, minBits, maxBits int) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p.Bits() < minBits || p.Bits() > maxBits {
		return netip.Prefix{}, badPrefix
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Sprintf("has bits set beyond /%d; write %v", p.Bits(), p.Masked())
	}
	return p, ""
}

// prefixes reads a list of prefixes of any length.
func (o *object) prefixes(key string, must need) (out []netip.Prefix) {
	const rule = "an IPv4 prefix without host bits such as 192.168.1.0/24 belongs here"
	o.scalars(key, must, rule, func(s string) bool {
		p, problem := parsePrefix(s, 0, 32)
		out = append(out, p)
		return problem == ""
	})
	return out
}

// boolean reads true or false; absent is false.
func (o *object) boolean(key string) bool {
	s, n := o.scalar(key, optional, "true or false belongs here")
	if n != nil && s != "true" && s != "false" {
		o.d.errorf(n, o.sub(key), "%q: write true or false", s)
	}
	return s == "true"
}

// number reads an integer from low to high; absent gives def.
func (o *object) number(key string, def, low, high int) int {
	rule := fmt.Sprintf("a number from %d to %d belongs here", low, high)
	s, n := o.scalar(key, optional, rule)
	if n == nil {
		return def
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < low || v > high {
		o.d.errorf(n, o.sub(key), "%q: %s", s, rule)
		return def
	}
	return v
}

// seconds reads a whole number of seconds; absent gives 0.
func (o *object) seconds(key string, low, high int) time.Duration {
	return time.Duration(o.number(key, 0, low, high)) * time.Second
}

// duration reads a time such as 300ms; absent gives 0.
func (o *object) duration(key string, low, high time.Duration) time.Duration {
	rule := fmt.Sprintf("a time from %v to %v, such as %v, belongs here", low, high, low)
	s, n := o.scalar(key, optional, rule)
	if n == nil {
		return 0
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < low || v > high {
		o.d.errorf(n, o.sub(key), "%q: %s", s, rule)
		return 0
	}
	return v
}

// choice reads one of a few words; absent gives def, or a problem without one.
func (o *object) choice(key, def string, words ...string) string {
	rule := "one of " + strings.Join(words, ", ") + " belongs here"
	s, n := o.scalar(key, need(def == ""), rule)
	if n == nil {
		return def
	}
	if !slices.Contains(words, s) {
		if near := nearest(s, words); near != "" {
			rule = fmt.Sprintf("did you mean %q?", near)
		}
		o.d.errorf(n, o.sub(key), "%q: %s", s, rule)
	}
	return s
}

// choices reads a list of words.
func (o *object) choices(key string, words ...string) (out []string) {
	o.scalars(key, optional, "one of "+strings.Join(words, ", ")+" belongs here", func(s string) bool {
		out = append(out, s)
		return slices.Contains(words, s)
	})
	return out
}

// numbers reads a list of numbers of a set.
func (o *object) numbers(key string, allowed func(int) bool, rule string) (out []int) {
	o.scalars(key, optional, rule, func(s string) bool {
		v, err := strconv.Atoi(s)
		out = append(out, v)
		return err == nil && allowed(v)
	})
	return out
}

// describe says what a node is, for errors.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		return fmt.Sprintf("%q", n.Value)
	}
	return "something else"
}
