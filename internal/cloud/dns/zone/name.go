package zone

import (
	"fmt"
	"net/netip"
	"strings"
)

// A Name is an absolute domain name in one canonical form, so that == compares
// names as DNS does, without regard to case. The zero value is not a name; Root
// is the root.
type Name struct {
	wire string // length-prefixed labels, lower case, without the final zero octet; "\x00" alone is the root
}

// Root is the name of the DNS root.
func Root() Name { return Name{wire: "\x00"} }

// ParseName reads a name as Route 53 spells it: with or without the final dot,
// upper or lower case, special characters either plain or as octal escapes
// (`\052` is `*`, pl §3.5). Labels are 1 to 63 octets, the name at most 255
// octets on the wire (RFC 1035 §2.3.4).
func ParseName(s string) (Name, error) { return parse(s, 8) }

// ParseWire reads a name as DNS messages are printed, escapes being decimal
// (RFC 1035 §5.1).
func ParseWire(s string) (Name, error) { return parse(s, 10) }

// MustParseName is ParseName for names that are constants of the program.
func MustParseName(s string) Name {
	n, err := ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

func parse(s string, base int) (Name, error) {
	switch s {
	case "":
		return Name{}, fmt.Errorf("name %q: empty: a domain name has at least one label", s)
	case ".":
		return Root(), nil
	}
	var wire strings.Builder
	label := make([]byte, 0, 63)
	flush := func() error {
		if len(label) == 0 || len(label) > 63 {
			return fmt.Errorf("name %q: a label of %d octets: labels have 1 to 63 (RFC 1035 §2.3.4)", s, len(label))
		}
		wire.WriteByte(byte(len(label)))
		wire.Write(label)
		label = label[:0]
		return nil
	}
	for i := 0; i < len(s); {
		c, n, err := char(s[i:], base)
		if err != nil {
			return Name{}, fmt.Errorf("name %q: %w", s, err)
		}
		if n == 1 && c == '.' {
			if err := flush(); err != nil {
				return Name{}, err
			}
		} else {
			label = append(label, lower(c))
		}
		i += n
	}
	if len(label) > 0 {
		if err := flush(); err != nil {
			return Name{}, err
		}
	}
	if wire.Len() > 254 {
		return Name{}, fmt.Errorf("name %q: %d octets: a name has at most 255 (RFC 1035 §2.3.4)", s, wire.Len()+1)
	}
	return Name{wire: wire.String()}, nil
}

// char reads one character of a name, escaped or plain, and how many octets of
// s it took. A plain dot takes one octet, an escaped one more.
func char(s string, base int) (c byte, n int, err error) {
	if s[0] != '\\' {
		return s[0], 1, nil
	}
	if len(s) < 2 {
		return 0, 0, fmt.Errorf("ends in the middle of an escape")
	}
	if s[1] < '0' || s[1] > '9' {
		return s[1], 2, nil
	}
	if len(s) < 4 {
		return 0, 0, fmt.Errorf("escape %q: three digits are needed", s)
	}
	v := 0
	for _, d := range []byte(s[1:4]) {
		if d < '0' || int(d-'0') >= base {
			return 0, 0, fmt.Errorf("escape %q: not three digits of base %d", s[:4], base)
		}
		v = v*base + int(d-'0')
	}
	if v > 255 {
		return 0, 0, fmt.Errorf("escape %q: above 255", s[:4])
	}
	return byte(v), 4, nil
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// String is the name as Route 53 prints it: lower case, a final dot, special
// characters as octal escapes.
func (n Name) String() string { return n.format(`\%03o`) }

// Wire is the name as DNS messages are printed: a final dot, decimal escapes.
func (n Name) Wire() string { return n.format(`\%03d`) }

func (n Name) format(escape string) string {
	if n.wire == "" {
		return ""
	}
	if n == Root() {
		return "."
	}
	var b strings.Builder
	for w := n.wire; w != ""; w = w[1+int(w[0]):] {
		for _, c := range []byte(w[1 : 1+int(w[0])]) {
			switch {
			case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
				b.WriteByte(c)
			default:
				fmt.Fprintf(&b, escape, c)
			}
		}
		b.WriteByte('.')
	}
	return b.String()
}

// Parent is the name without its first label; the root's parent is the root.
func (n Name) Parent() Name {
	if n == Root() || n.wire == "" {
		return Root()
	}
	rest := n.wire[1+int(n.wire[0]):]
	if rest == "" {
		return Root()
	}
	return Name{wire: rest}
}

// First is the first label, in lower case; the root has none.
func (n Name) First() string {
	if n == Root() || n.wire == "" {
		return ""
	}
	return n.wire[1 : 1+int(n.wire[0])]
}

// Labels counts the labels; the root has none.
func (n Name) Labels() int {
	count := 0
	for ; n != Root() && n.wire != ""; n = n.Parent() {
		count++
	}
	return count
}

// Under reports whether n is top or lies below it.
func (n Name) Under(top Name) bool {
	for ; ; n = n.Parent() {
		if n == top || top == Root() {
			return true
		}
		if n == Root() {
			return false
		}
	}
}

// wildcard is the name of the wildcard immediately below n. The result may be
// too long to be a legal name; then no zone holds it, which is the right answer.
func (n Name) wildcard() Name {
	if n == Root() {
		return Name{wire: "\x01*"}
	}
	return Name{wire: "\x01*" + n.wire}
}

// Compare orders names as Route 53 lists them: by their labels from the last to
// the first (pl §3.5).
func (n Name) Compare(o Name) int {
	a, b := n.labels(), o.labels()
	for i := 1; i <= min(len(a), len(b)); i++ {
		if c := strings.Compare(a[len(a)-i], b[len(b)-i]); c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

func (n Name) labels() []string {
	var out []string
	for ; n != Root() && n.wire != ""; n = n.Parent() {
		out = append(out, n.First())
	}
	return out
}

// Reverse is the name that PTR records of addr have (RFC 1035 §3.5). Only IPv4
// addresses have one here.
func Reverse(addr netip.Addr) Name {
	o := addr.As4()
	return MustParseName(fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", o[3], o[2], o[1], o[0]))
}

// MarshalText makes a Name storable.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what MarshalText wrote. Empty text gives the zero value.
func (n *Name) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*n = Name{}
		return nil
	}
	parsed, err := ParseName(string(b))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}
