package awsconfig

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"seikan/internal/secret"
)

// Bounds of what is read into a tree.
const (
	maxDepth = 24
	maxNodes = 200_000
)

// A kind is what a node holds; XML has text and elements only.
type kind uint8

const (
	text kind = iota // also numbers and booleans of XML
	number
	boolean
	null
	object
	array
)

// A node is an element of XML or a value of JSON.
type node struct {
	kind kind
	name string // empty in an array
	line int
	text string
	up   *node
	kids []*node
}

// add puts a child below n.
func (n *node) add(k *node) *node {
	k.up = n
	n.kids = append(n.kids, k)
	return k
}

// path is how people find a node: a/b[2]/c in XML, a.b[1].c in JSON. It is made
// when it is asked for, since a hostile file could make all of them long.
func (n *node) path(sep string) string {
	if n.up == nil {
		return n.name
	}
	before, place, same := n.up.path(sep), 0, 0
	for _, k := range n.up.kids {
		if k == n {
			place = same
		}
		if k.name == n.name {
			same++
		}
	}
	switch {
	case n.up.kind == array: // JSON counts from 0
		return fmt.Sprintf("%s[%d]", before, place)
	case before == "":
		return n.name
	case same > 1: // XPath counts from 1
		return fmt.Sprintf("%s%s%s[%d]", before, sep, n.name, place+1)
	}
	return before + sep + n.name
}

// child is the first child of that name, or nil.
func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	for _, k := range n.kids {
		if k.name == name && k.kind != null {
			return k
		}
	}
	return nil
}

// A reader takes values out of a tree. Its first failure sticks: what comes
// later gives zero values.
type reader struct {
	sep string // between the names of a path
	err error
}

func (r *reader) fail(n *node, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("line %d: %s: %s", n.line, n.path(r.sep), fmt.Sprintf(format, args...))
	}
}

// need is the node at the end of names, all of which must be there.
func (r *reader) need(n *node, names ...string) *node {
	for i, name := range names {
		if r.err != nil || n == nil {
			return nil
		}
		k := n.child(name)
		if k == nil {
			missing := &node{name: strings.Join(names[i:], r.sep), line: n.line, up: n}
			r.fail(missing, "missing; %s", again)
			return nil
		}
		n = k
	}
	return n
}

// value is n's text; a node with children has none.
func (r *reader) value(n *node) string {
	if r.err != nil || n == nil {
		return ""
	}
	if len(n.kids) > 0 || n.kind == object || n.kind == array {
		r.fail(n, "a single value is expected here; %s", again)
		return ""
	}
	return n.text
}

func (r *reader) addr(n *node) netip.Addr {
	s := r.value(n)
	if r.err != nil || n == nil {
		return netip.Addr{}
	}
	a, err := parseAddr(s)
	if err != nil {
		r.fail(n, "%v", err)
	}
	return a
}

// parseAddr reads a plain address. What a person was to fill in is told apart.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case strings.HasPrefix(s, "YOUR_"):
		return a, fmt.Errorf("%s stands for an address; write the one there that the customer gateway has at AWS", clip(s))
	case err != nil || a.Zone() != "":
		return a, fmt.Errorf("%s is no IP address; %s", clip(s), again)
	case a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is4In6():
		return a, fmt.Errorf("%v is no address of a gateway; %s", a, again)
	}
	return a, nil
}

func (r *reader) prefix(n *node) netip.Prefix {
	s := r.value(n)
	if r.err != nil || n == nil {
		return netip.Prefix{}
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		r.fail(n, "%s is no range such as 10.0.0.0/16; %s", clip(s), again)
		return netip.Prefix{}
	}
	return p.Masked()
}

// number is a whole number of least to most; 0 without a node.
func (r *reader) number(n *node, least, most int64) int64 {
	s := r.value(n)
	if r.err != nil || n == nil {
		return 0
	}
	v, err := parseNumber(s, least, most)
	if err != nil {
		r.fail(n, "%v", err)
	}
	return v
}

func parseNumber(s string, least, most int64) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	switch {
	case strings.HasPrefix(s, "YOUR_"):
		return 0, fmt.Errorf("%s stands for a number; write the one there that the customer gateway has at AWS", clip(s))
	case err != nil || v < least || v > most:
		return 0, fmt.Errorf("%s is no whole number of %d to %d; %s", clip(s), least, most, again)
	}
	return v, nil
}

func (r *reader) seconds(n *node, least, most int64) time.Duration {
	return time.Duration(r.number(n, least, most)) * time.Second
}

// asn is an ASN of four octets (RFC 6793), without 0, which is nobody's.
func (r *reader) asn(n *node) uint32 { return uint32(r.number(n, 1, 1<<32-1)) }

func (r *reader) boolean(n *node) bool {
	s := r.value(n)
	if r.err == nil && n != nil && s != "true" && s != "false" {
		r.fail(n, "%s is neither true nor false; %s", clip(s), again)
	}
	return s == "true"
}

// oneOf is n's text, which must be in list; empty without a node.
func (r *reader) oneOf(n *node, list ...string) string {
	s := r.value(n)
	if r.err == nil && n != nil && !slices.Contains(list, s) {
		r.fail(n, "%s is not known here; it is one of: %s", clip(s), strings.Join(list, ", "))
	}
	return s
}

// psk is a pre-shared key, which no error shows.
func (r *reader) psk(n *node) secret.Secret {
	s := r.value(n)
	if r.err != nil || n == nil {
		return secret.Secret{}
	}
	if wrong := pskRule(s); wrong != "" {
		r.fail(n, "%s", wrong)
		return secret.Secret{}
	}
	return secret.FromString(s)
}

// errDepth and errNodes are for files that nobody wrote by hand.
var (
	errDepth = fmt.Errorf("nested deeper than %d levels; %s", maxDepth, again)
	errNodes = errors.New("more elements than any connection has; " + again)
)
