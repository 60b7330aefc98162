package ike

import (
	"cmp"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// attributes are the types of a distinguished name that have a short name (RFC
// 4514 section 3, RFC 4519). The first of each type is the one that is
// printed.
var attributes = []struct {
	name string
	oid  asn1.ObjectIdentifier
}{
	{"C", asn1.ObjectIdentifier{2, 5, 4, 6}},
	{"ST", asn1.ObjectIdentifier{2, 5, 4, 8}},
	{"L", asn1.ObjectIdentifier{2, 5, 4, 7}},
	{"O", asn1.ObjectIdentifier{2, 5, 4, 10}},
	{"OU", asn1.ObjectIdentifier{2, 5, 4, 11}},
	{"CN", asn1.ObjectIdentifier{2, 5, 4, 3}},
	{"DC", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}},
	{"UID", asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}},
	{"E", oidEmail},
	{"emailAddress", oidEmail},
	{"serialNumber", asn1.ObjectIdentifier{2, 5, 4, 5}},
	{"street", asn1.ObjectIdentifier{2, 5, 4, 9}},
	{"postalCode", asn1.ObjectIdentifier{2, 5, 4, 17}},
	{"T", asn1.ObjectIdentifier{2, 5, 4, 12}},
	{"surname", asn1.ObjectIdentifier{2, 5, 4, 4}},
	{"G", asn1.ObjectIdentifier{2, 5, 4, 42}},
	{"dnQualifier", asn1.ObjectIdentifier{2, 5, 4, 46}},
	{"pseudonym", asn1.ObjectIdentifier{2, 5, 4, 65}},
}

var (
	oidEmail = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	oidDC    = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}
)

// special are the characters that stand in a value behind a backslash (RFC
// 4514 section 2.4).
const special = `,+"\<>;=#`

// looksLikeDN reports whether text begins as a distinguished name does: with a
// known type, or an object identifier, and "=".
func looksLikeDN(text string) bool {
	name, _, ok := strings.Cut(text, "=")
	_, known := attributeType(strings.TrimSpace(name))
	return ok && known
}

// attributeType is the type that a short name or numbers with dots stand for.
func attributeType(name string) (asn1.ObjectIdentifier, bool) {
	for _, a := range attributes {
		if strings.EqualFold(a.name, name) {
			return a.oid, true
		}
	}
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(name, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, false
		}
		oid = append(oid, int(n))
	}
	return oid, len(oid) > 1
}

// attributeName undoes attributeType.
func attributeName(oid asn1.ObjectIdentifier) string {
	for _, a := range attributes {
		if a.oid.Equal(oid) {
			return a.name
		}
	}
	return oid.String()
}

// parseDN reads "C=XX, O=Org, CN=name" in the order of the certificate. A
// backslash takes the next character for what it is, or the octet that two
// hexadecimal digits after it give; "+" joins what is one step of the name.
func parseDN(text string) (Identity, error) {
	var name pkix.RDNSequence
	for _, step := range splitUnescaped(text, ',') {
		var set pkix.RelativeDistinguishedNameSET
		for _, one := range splitUnescaped(step, '+') {
			a, err := parseAttribute(one)
			if err != nil {
				return Identity{}, fmt.Errorf("identity %q: %w", text, err)
			}
			set = append(set, a)
		}
		name = append(name, set)
	}
	der, err := asn1.Marshal(name)
	if err != nil {
		return Identity{}, fmt.Errorf("identity %q: %w", text, err)
	}
	return Identity{IDDN, string(der)}, nil
}

// splitUnescaped splits at each sep that no backslash stands before.
func splitUnescaped(text string, sep byte) []string {
	var out []string
	from := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case sep:
			out = append(out, text[from:i])
			from = i + 1
		}
	}
	return append(out, text[from:])
}

// parseAttribute reads "CN=name". The value becomes a string of the type that
// others choose, too: an IA5String for mail and DC, a PrintableString if its
// characters allow that, else a UTF8String (RFC 5280 section 4.1.2.4).
func parseAttribute(text string) (pkix.AttributeTypeAndValue, error) {
	name, raw, ok := strings.Cut(strings.TrimLeft(text, " "), "=")
	oid, known := attributeType(strings.TrimSpace(name))
	if !ok || !known {
		return pkix.AttributeTypeAndValue{}, fmt.Errorf("%q: want type=value, such as CN=name", text)
	}
	value, err := unescape(raw)
	if err != nil {
		return pkix.AttributeTypeAndValue{}, err
	}
	tag := asn1.TagUTF8String
	switch {
	case oid.Equal(oidEmail) || oid.Equal(oidDC):
		tag = asn1.TagIA5String
	case !strings.ContainsFunc(value, func(r rune) bool { return !isPrintableString(r) }):
		tag = asn1.TagPrintableString
	}
	if tag == asn1.TagIA5String && strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII }) {
		return pkix.AttributeTypeAndValue{}, fmt.Errorf("%q: want ASCII only", value)
	}
	return pkix.AttributeTypeAndValue{Type: oid, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}, nil
}

// isPrintableString reports whether r may stand in a PrintableString (X.680).
func isPrintableString(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" '()+,-./:=?", r)
}

// unescape reads a value: without the spaces around it, and with what
// backslashes mean.
func unescape(raw string) (string, error) {
	raw = strings.TrimLeft(raw, " ")
	var out []byte
	kept := 0 // how much of out a space at the end may not be cut from
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		if b, err := hex.DecodeString(raw[i+1 : min(i+3, len(raw))]); err == nil && len(b) == 1 {
			out = append(out, b[0])
			i += 2
		} else if i+1 < len(raw) {
			out = append(out, raw[i+1])
			i++
		}
		kept = len(out)
	}
	for len(out) > kept && out[len(out)-1] == ' ' {
		out = out[:len(out)-1]
	}
	if len(out) == 0 || !utf8.Valid(out) {
		return "", fmt.Errorf("value %q: want text", raw)
	}
	return string(out), nil
}

// errNotText says that a distinguished name cannot be shown as text.
var errNotText = errors.New("not a name of text")

// dnText is a distinguished name as parseDN reads it.
func dnText(der string) (string, error) {
	name, err := decodeDN(der)
	if err != nil {
		return "", err
	}
	var steps []string
	for _, set := range name {
		var parts []string
		for _, a := range set {
			parts = append(parts, attributeName(a.Type)+"="+escape(a.Value.(string))) // decodeDN takes only those
		}
		steps = append(steps, strings.Join(parts, "+"))
	}
	return strings.Join(steps, ", "), nil
}

// decodeDN reads a distinguished name all of whose values are text. What is
// joined in one step comes in one order, whatever that of the octets.
func decodeDN(der string) (pkix.RDNSequence, error) {
	var name pkix.RDNSequence
	rest, err := asn1.Unmarshal([]byte(der), &name)
	if err != nil || len(rest) != 0 || len(name) == 0 {
		return nil, errNotText
	}
	for _, set := range name {
		for _, a := range set {
			if s, ok := a.Value.(string); !ok || s == "" || !utf8.ValidString(s) {
				return nil, errNotText
			}
		}
		if len(set) == 0 {
			return nil, errNotText
		}
		slices.SortFunc(set, func(a, b pkix.AttributeTypeAndValue) int {
			return cmp.Or(slices.Compare(a.Type, b.Type), strings.Compare(a.Value.(string), b.Value.(string)))
		})
	}
	return name, nil
}

// escape writes a value so that unescape reads it, and so that nothing in it
// can disturb a terminal or a log: what is neither a letter nor a digit nor
// printable ASCII becomes hexadecimal.
func escape(value string) string {
	var b strings.Builder
	for i, r := range value {
		switch {
		case strings.ContainsRune(special, r), r == ' ' && (i == 0 || i == len(value)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= ' ' && r <= '~', r > unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		default:
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, `\%02X`, c)
			}
		}
	}
	return b.String()
}

// Matches reports whether id, read from text, means other: they are the same,
// or they are distinguished names of the same types and values in the same
// order, whose strings are encoded in different ways. Text does not say how,
// and CAs differ (RFC 5280 section 7.1).
func (id Identity) Matches(other Identity) bool {
	if id == other {
		return true
	}
	if id.Type != IDDN || other.Type != IDDN {
		return false
	}
	a, errA := decodeDN(id.Data)
	b, errB := decodeDN(other.Data)
	if errA != nil || errB != nil {
		return false
	}
	return slices.EqualFunc(a, b, func(x, y pkix.RelativeDistinguishedNameSET) bool {
		return slices.EqualFunc(x, y, func(p, q pkix.AttributeTypeAndValue) bool {
			return p.Type.Equal(q.Type) && p.Value == q.Value
		})
	})
}
