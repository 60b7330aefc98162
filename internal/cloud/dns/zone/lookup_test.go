package zone

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const soaValue = "ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"

// set writes a test record: name, type, TTL in seconds, values separated by |.
func set(name, typ string, ttl int64, values string) Record {
	return Record{Name: MustParseName(name), Type: typ, TTL: ttl, Values: strings.Split(values, "|")}
}

func alias(name, typ, target string) Record {
	return Record{Name: MustParseName(name), Type: typ, Alias: MustParseName(target)}
}

func mustZone(t *testing.T, origin string, records ...Record) *Zone {
	t.Helper()
	records = append(records, set(origin, "SOA", 900, soaValue), set(origin, "NS", 172800, "ns-0.awsdns-00.com."))
	z, err := New(MustParseName(origin), records)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func testSet(t *testing.T) *Set {
	t.Helper()
	s, err := NewSet(
		mustZone(t, "example.com",
			alias("example.com", "A", "vpce-1.vpce-svc-1.us-east-1.vpce.amazonaws.com"),
			set("www.example.com", "A", 300, "10.0.1.1|10.0.1.2"),
			set("www.example.com", "AAAA", 300, "fd00::1"),
			set("web.example.com", "CNAME", 60, "www.example.com"),
			set("away.example.com", "CNAME", 60, "host.elsewhere.net"),
			set("dangling.example.com", "CNAME", 60, "nobody.example.com"),
			set("loop.example.com", "CNAME", 60, "pool.example.com"),
			set("pool.example.com", "CNAME", 60, "loop.example.com"),
			set("over.example.com", "CNAME", 60, "db.corp.example.com"),
			set("deep.empty.example.com", "A", 300, "10.0.1.3"),
			set("*.wild.example.com", "A", 300, "10.0.1.4"),
			set("real.wild.example.com", "TXT", 300, `"here"`),
			set("a.below.wild.example.com", "A", 300, "10.0.1.5"),
			set("*.star.example.com", "CNAME", 60, "www.example.com"),
			set("t.example.com", "TXT", 300, `"one" "two \"2\" \\ \011"`),
			set("m.example.com", "MX", 300, "10 mail.example.com|20 mail2.example.com"),
			alias("pending.example.com", "A", "vpce-2.vpce-svc-1.us-east-1.vpce.amazonaws.com"),
			alias("gone.example.com", "A", "vpce-3.vpce-svc-1.us-east-1.vpce.amazonaws.com"),
			alias("same.example.com", "A", "www.example.com"),
			alias("ring1.example.com", "A", "ring2.example.com"),
			alias("ring2.example.com", "A", "ring1.example.com"),
		),
		mustZone(t, "corp.example.com", set("db.corp.example.com", "A", 30, "10.0.2.1")),
	)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func endpoints(n Name) ([]netip.Addr, bool) {
	switch n.First() {
	case "vpce-1":
		return []netip.Addr{netip.MustParseAddr("10.0.1.9"), netip.MustParseAddr("10.0.2.9")}, true
	case "vpce-2":
		return nil, true
	}
	return nil, false
}

const (
	exampleSOA = "example.com. 900 SOA ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
	corpSOA    = "corp.example.com. 900 SOA ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"
	webCNAME   = "web.example.com. 60 CNAME www.example.com."
)

// A Case is one question and what has to be answered.
type Case struct {
	Qname  string
	Qtype  uint16
	Rcode  int
	Answer []string
	Ns     []string
	Onward string
}

var cases = []Case{
	{Qname: "www.example.com", Qtype: dns.TypeA, Answer: []string{"www.example.com. 300 A 10.0.1.1", "www.example.com. 300 A 10.0.1.2"}},
	{Qname: "WWW.Example.COM", Qtype: dns.TypeAAAA, Answer: []string{"www.example.com. 300 AAAA fd00::1"}},
	{Qname: "www.example.com", Qtype: dns.TypeMX, Ns: []string{exampleSOA}},
	{Qname: "nobody.example.com", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: []string{exampleSOA}},
	{Qname: "below.www.example.com", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: []string{exampleSOA}},
	// The apex: an alias there, and the sets that every zone has.
	{Qname: "example.com", Qtype: dns.TypeA, Answer: []string{"example.com. 60 A 10.0.1.9", "example.com. 60 A 10.0.2.9"}},
	{Qname: "example.com", Qtype: dns.TypeAAAA, Ns: []string{exampleSOA}},
	{Qname: "example.com", Qtype: dns.TypeNS, Answer: []string{"example.com. 172800 NS ns-0.awsdns-00.com."}},
	{Qname: "example.com", Qtype: dns.TypeSOA, Answer: []string{exampleSOA}},
	// A name that exists only because something lies below it is no NXDOMAIN.
	{Qname: "empty.example.com", Qtype: dns.TypeA, Ns: []string{exampleSOA}},
	{Qname: "deep.empty.example.com", Qtype: dns.TypeA, Answer: []string{"deep.empty.example.com. 300 A 10.0.1.3"}},
	{Qname: "other.empty.example.com", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: []string{exampleSOA}},
	// Wildcards.
	{Qname: "x.wild.example.com", Qtype: dns.TypeA, Answer: []string{"x.wild.example.com. 300 A 10.0.1.4"}},
	{Qname: "x.y.wild.example.com", Qtype: dns.TypeA, Answer: []string{"x.y.wild.example.com. 300 A 10.0.1.4"}},
	{Qname: "x.wild.example.com", Qtype: dns.TypeTXT, Ns: []string{exampleSOA}},
	{Qname: "real.wild.example.com", Qtype: dns.TypeA, Ns: []string{exampleSOA}},
	{Qname: "x.real.wild.example.com", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: []string{exampleSOA}},
	{Qname: "below.wild.example.com", Qtype: dns.TypeA, Ns: []string{exampleSOA}},
	{Qname: "b.below.wild.example.com", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: []string{exampleSOA}},
	{Qname: "wild.example.com", Qtype: dns.TypeA, Ns: []string{exampleSOA}},
	{Qname: "*.wild.example.com", Qtype: dns.TypeA, Answer: []string{`\042.wild.example.com. 300 A 10.0.1.4`}},
	{Qname: "x.star.example.com", Qtype: dns.TypeA, Answer: []string{
		"x.star.example.com. 60 CNAME www.example.com.", "www.example.com. 300 A 10.0.1.1", "www.example.com. 300 A 10.0.1.2"}},
	// CNAME.
	{Qname: "web.example.com", Qtype: dns.TypeA, Answer: []string{webCNAME, "www.example.com. 300 A 10.0.1.1", "www.example.com. 300 A 10.0.1.2"}},
	{Qname: "web.example.com", Qtype: dns.TypeCNAME, Answer: []string{webCNAME}},
	{Qname: "web.example.com", Qtype: dns.TypeMX, Answer: []string{webCNAME}, Ns: []string{exampleSOA}},
	{Qname: "dangling.example.com", Qtype: dns.TypeA, Rcode: dns.RcodeNameError,
		Answer: []string{"dangling.example.com. 60 CNAME nobody.example.com."}, Ns: []string{exampleSOA}},
	{Qname: "away.example.com", Qtype: dns.TypeA, Answer: []string{"away.example.com. 60 CNAME host.elsewhere.net."}, Onward: "host.elsewhere.net."},
	{Qname: "over.example.com", Qtype: dns.TypeA, Answer: []string{"over.example.com. 60 CNAME db.corp.example.com.", "db.corp.example.com. 30 A 10.0.2.1"}},
	{Qname: "loop.example.com", Qtype: dns.TypeA, Rcode: dns.RcodeServerFailure},
	// Aliases.
	{Qname: "pending.example.com", Qtype: dns.TypeA, Ns: []string{exampleSOA}},
	{Qname: "gone.example.com", Qtype: dns.TypeA, Ns: []string{exampleSOA}},
	{Qname: "same.example.com", Qtype: dns.TypeA, Answer: []string{"same.example.com. 300 A 10.0.1.1", "same.example.com. 300 A 10.0.1.2"}},
	{Qname: "ring1.example.com", Qtype: dns.TypeA, Ns: []string{exampleSOA}},
	// Other types.
	{Qname: "t.example.com", Qtype: dns.TypeTXT, Answer: []string{`t.example.com. 300 TXT "one" "two \"2\" \\ \009"`}},
	{Qname: "m.example.com", Qtype: dns.TypeMX, Answer: []string{"m.example.com. 300 MX 10 mail.example.com.", "m.example.com. 300 MX 20 mail2.example.com."}},
	{Qname: "www.example.com", Qtype: dns.TypeANY, Answer: []string{`www.example.com. 3600 HINFO "RFC8482" ""`}},
	// The most specific zone answers, and no other: there is no fall-through.
	{Qname: "db.corp.example.com", Qtype: dns.TypeA, Answer: []string{"db.corp.example.com. 30 A 10.0.2.1"}},
	{Qname: "www.corp.example.com", Qtype: dns.TypeA, Rcode: dns.RcodeNameError, Ns: []string{corpSOA}},
	{Qname: "corp.example.com", Qtype: dns.TypeA, Ns: []string{corpSOA}},
}

func TestLookupAnswers(t *testing.T) {
	s := testSet(t)
	for _, c := range cases {
		t.Run(c.Qname+" "+dns.TypeToString[c.Qtype], func(t *testing.T) {
			got, ok := s.Lookup(MustParseName(c.Qname), c.Qtype, endpoints)
			if !ok {
				t.Fatal("got no zone, want an answer")
			}
			if got.Rcode != c.Rcode {
				t.Errorf("rcode: got %s, want %s", dns.RcodeToString[got.Rcode], dns.RcodeToString[c.Rcode])
			}
			if lines := text(got.Answer); !slices.Equal(lines, c.Answer) {
				t.Errorf("answer: got %q, want %q", lines, c.Answer)
			}
			if lines := text(got.Authority); !slices.Equal(lines, c.Ns) {
				t.Errorf("authority: got %q, want %q", lines, c.Ns)
			}
			if got.Onward.String() != c.Onward {
				t.Errorf("onward: got %q, want %q", got.Onward, c.Onward)
			}
		})
	}
}

func TestLookupLeavesForeignNamesAlone(t *testing.T) {
	s := testSet(t)
	for _, name := range []string{".", "com", "example.org", "badexample.com", "amazonaws.com"} {
		if _, ok := s.Lookup(MustParseName(name), dns.TypeA, endpoints); ok {
			t.Errorf("Lookup(%q): got an answer, want none", name)
		}
	}
}

func TestTwoZonesOfOneNameCannotBeInOneSet(t *testing.T) {
	z := mustZone(t, "example.com")
	if _, err := NewSet(z, z); err == nil {
		t.Error("NewSet: got nil, want an error")
	}
}

// text prints records without class and tabs.
func text(rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		out = append(out, strings.Join(slices.DeleteFunc(strings.Split(rr.String(), "\t"), func(s string) bool { return s == "IN" }), " "))
	}
	return out
}
