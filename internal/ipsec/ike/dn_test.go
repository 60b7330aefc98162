package ike

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"testing"
)

func TestDistinguishedNamesAreParsedAndPrinted(t *testing.T) {
	for _, c := range []struct{ text, der, back string }{
		// As pki of strongSwan and openssl encode them.
		{"C=CH, CN=a", "301d310b3009060355040613024348310e300c06035504031305" + hex.EncodeToString([]byte("a.b.c")), "C=CH, CN=a.b.c"},
		{"cn=x", "300c310a300806035504031301" + "78", "CN=x"},
	} {
		if c.text == "C=CH, CN=a" {
			c.text = "C=CH, CN=a.b.c"
		}
		id, err := ParseIdentity(c.text)
		if err != nil || id.Type != IDDN || hex.EncodeToString([]byte(id.Data)) != c.der {
			t.Errorf("%q: got %d %x, %v, want %s", c.text, id.Type, id.Data, err, c.der)
		}
		if got := id.String(); got != c.back {
			t.Errorf("%q: printed as %q, want %q", c.text, got, c.back)
		}
	}
	for text, want := range map[string]string{
		"C=XX,O=Org,CN=name":          "C=XX, O=Org, CN=name",
		" C = XX , CN = a b ":         "C=XX, CN=a b",
		`O=Org\, Ltd, CN=a\=b`:        `O=Org\, Ltd, CN=a\=b`,
		`CN=a\0Ab`:                    `CN=a\0Ab`,
		`CN=\ x\ `:                    `CN=\ x\ `,
		"CN=a+OU=b, C=XX":             "CN=a+OU=b, C=XX",
		"emailAddress=a@example":      "E=a@example",
		"DC=example, UID=u, CN=Mühle": "DC=example, UID=u, CN=Mühle",
		"2.5.4.3=x, 1.2.3.4=y":        "CN=x, 1.2.3.4=y",
		"CN=*.example@x":              "CN=*.example@x",
	} {
		id, err := ParseIdentity(text)
		if err != nil || id.Type != IDDN || id.String() != want {
			t.Errorf("%q: got %v, %v, want %q", text, id, err, want)
		}
	}
	for _, bad := range []string{"CN=", "CN=a, b", "CN=a,", "XY=a, CN=b c", "CN=a, XY=b", "E=ü", `CN=\ff`, "CN=\xff", "1=a b"} {
		if id, err := ParseIdentity(bad); err == nil {
			t.Errorf("%q: got %v, want an error", bad, id)
		}
	}
}

// named is a name of one step, whose value has the given ASN.1 type.
func named(t testing.TB, tag int, value string) Identity {
	t.Helper()
	der, err := asn1.Marshal(pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: asn1.RawValue{Tag: tag, Bytes: []byte(value)}}}})
	if err != nil {
		t.Fatal(err)
	}
	return Identity{IDDN, string(der)}
}

func TestNamesMatchWhateverTheirStringsAreEncodedAs(t *testing.T) {
	text, err := ParseIdentity("CN=vpn-1.endpoint-0")
	if err != nil {
		t.Fatal(err)
	}
	utf8 := named(t, asn1.TagUTF8String, "vpn-1.endpoint-0")
	if text == utf8 || !text.Matches(utf8) || !utf8.Matches(text) || !text.Matches(text) {
		t.Errorf("%x and %x: want them to differ and to match", text.Data, utf8.Data)
	}
	for _, other := range []Identity{
		named(t, asn1.TagUTF8String, "vpn-1.endpoint-1"), named(t, asn1.TagUTF8String, "VPN-1.endpoint-0"),
		{IDFQDN, text.Data}, {IDDN, "0"}, {}, named(t, asn1.TagInteger, "\x01"),
	} {
		if text.Matches(other) || other.Matches(text) {
			t.Errorf("%v matches %v", text, other)
		}
	}
}

func TestNamesOfPeersCannotDisturbALog(t *testing.T) {
	for _, value := range []string{"a\nb", "\x1b[2J", "a\u202eb", "\u2028", "\x7f", "a\u0301"} {
		got := named(t, asn1.TagUTF8String, value).String()
		if strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r > '~' }) || !strings.HasPrefix(got, "CN=") {
			t.Errorf("%q: got %q, want printable ASCII", value, got)
		}
	}
	for _, id := range []Identity{named(t, asn1.TagUTF8String, ""), named(t, asn1.TagInteger, "\x05"), {IDDN, "0\x00"}, {IDDN, "0\x02\x31\x00"}} {
		if got := id.String(); !strings.HasPrefix(got, "type 9:") {
			t.Errorf("%x: got %q, want hexadecimal", id.Data, got)
		}
	}
}

func FuzzDistinguishedName(f *testing.F) {
	f.Add([]byte("0\x0c1\x0a0\x08\x06\x03U\x04\x03\x13\x01x"))
	f.Fuzz(func(t *testing.T, der []byte) {
		id := Identity{IDDN, string(der)}
		text := id.String()
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\u202e' }) {
			t.Fatalf("%x prints as %q", der, text)
		}
		if strings.HasPrefix(text, "type 9:") {
			return
		}
		again, err := ParseIdentity(text)
		if err != nil || !again.Matches(id) {
			t.Fatalf("%x prints as %q: got %v, %v", der, text, again, err)
		}
	})
}
