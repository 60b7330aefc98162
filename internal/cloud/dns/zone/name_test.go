package zone

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestNamesHaveOneForm(t *testing.T) {
	for in, want := range map[string]string{
		"Example.COM":       "example.com.",
		"example.com.":      "example.com.",
		"*.example.com":     `\052.example.com.`,
		`\052.example.com`:  `\052.example.com.`,
		`a\.b.example.com`:  `a\056b.example.com.`,
		"_sip._tcp.example": "_sip._tcp.example.",
		".":                 ".",
	} {
		n, err := ParseName(in)
		if err != nil || n.String() != want {
			t.Errorf("ParseName(%q): got %q, %v, want %q", in, n, err, want)
		}
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	for _, in := range []string{"", "..", ".a", "a..b", `a\`, `a\9`, `a\09`, `a\089`, `a\777`,
		strings.Repeat("x", 64), strings.Repeat("x.", 128)} {
		if n, err := ParseName(in); err == nil {
			t.Errorf("ParseName(%q): got %q, want an error", in, n)
		}
	}
}

func TestWireEscapesAreDecimal(t *testing.T) {
	n, err := ParseWire(`\042.example.com.`)
	if want := `\052.example.com.`; err != nil || n.String() != want {
		t.Errorf("ParseWire: got %q, %v, want %q", n, err, want)
	}
}

func TestNamesAreListedByReversedLabels(t *testing.T) {
	want := []string{"example.com.", "a.example.com.", "z.a.example.com.", "b.example.com.", "example.org."}
	got := []string{want[4], want[3], want[2], want[1], want[0]}
	slices.SortFunc(got, func(a, b string) int { return MustParseName(a).Compare(MustParseName(b)) })
	if !slices.Equal(got, want) {
		t.Errorf("order: got %v, want %v", got, want)
	}
}

func TestReverseName(t *testing.T) {
	if got, want := Reverse(netip.MustParseAddr("10.0.2.53")).String(), "53.2.0.10.in-addr.arpa."; got != want {
		t.Errorf("Reverse: got %q, want %q", got, want)
	}
}

// FuzzName: what is accepted has one form, which is accepted again by both
// parsers and by package dns.
func FuzzName(f *testing.F) {
	for _, s := range []string{"example.com", `\052.Example.com.`, ".", "a..b", `x\.y`, "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if again, err := ParseName(n.String()); err != nil || again != n {
			t.Fatalf("ParseName(%q): got %q, %v, want %q", n.String(), again, err, n)
		}
		if again, err := ParseWire(n.Wire()); err != nil || again != n {
			t.Fatalf("ParseWire(%q): got %q, %v, want %q", n.Wire(), again, err, n)
		}
		buf := make([]byte, 300)
		if _, err := dns.PackDomainName(n.Wire(), buf, 0, nil, false); err != nil {
			t.Fatalf("PackDomainName(%q): %v", n.Wire(), err)
		}
		if n != Root() && n.Labels() != n.Parent().Labels()+1 {
			t.Fatalf("Labels(%q) = %d, parent has %d", n, n.Labels(), n.Parent().Labels())
		}
	})
}
