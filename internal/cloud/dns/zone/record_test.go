package zone

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestNewRefusesBadRecords(t *testing.T) {
	for _, c := range []struct {
		name string
		rec  []Record
		want string // part of the error
	}{
		{"outside the zone", []Record{set("www.example.org", "A", 60, "10.0.0.1")}, "does not lie within zone"},
		{"not an address", []Record{set("www.example.com", "A", 60, "10.0.0")}, `value "10.0.0": not an IPv4 address`},
		{"an IPv6 address in A", []Record{set("www.example.com", "A", 60, "fd00::1")}, "not an IPv4 address"},
		{"an address with a zone", []Record{set("www.example.com", "AAAA", 60, "fe80::1%eth0")}, "not an IPv6 address"},
		{"a value twice", []Record{set("www.example.com", "A", 60, "10.0.0.1|10.0.0.1")}, "given twice"},
		{"two CNAME values", []Record{set("www.example.com", "CNAME", 60, "a.b|c.d")}, "exactly one"},
		{"CNAME at the apex", []Record{set("example.com", "CNAME", 60, "a.b")}, "apex"},
		{"CNAME beside A", []Record{set("www.example.com", "A", 60, "10.0.0.1"), set("www.example.com", "CNAME", 60, "a.b")}, "beside"},
		{"A beside CNAME", []Record{set("www.example.com", "CNAME", 60, "a.b"), set("www.example.com", "A", 60, "10.0.0.1")}, "beside"},
		{"negative TTL", []Record{set("www.example.com", "A", -1, "10.0.0.1")}, "TTL -1"},
		{"TTL above 31 bits", []Record{set("www.example.com", "A", 1<<31, "10.0.0.1")}, "TTL 2147483648"},
		{"no values", []Record{{Name: MustParseName("www.example.com"), Type: "A"}}, "0 values"},
		{"unknown type", []Record{set("www.example.com", "SRV", 60, "x")}, `type "SRV"`},
		{"alias with TTL", []Record{{Name: MustParseName("a.example.com"), Type: "A", TTL: 5, Alias: MustParseName("x.y")}}, "neither TTL nor values"},
		{"alias of type TXT", []Record{alias("a.example.com", "TXT", "x.y")}, "type A or AAAA"},
		{"the same set twice", []Record{set("www.example.com", "A", 60, "10.0.0.1"), set("WWW.example.com", "A", 60, "10.0.0.2")}, "second set"},
		{"TXT without quotes", []Record{set("www.example.com", "TXT", 60, "hello")}, "outside quotes"},
		{"TXT without end", []Record{set("www.example.com", "TXT", 60, `"hello`)}, "closing quote"},
		{"TXT too long", []Record{set("www.example.com", "TXT", 60, `"`+strings.Repeat("x", 256)+`"`)}, "256 octets"},
		{"MX without preference", []Record{set("www.example.com", "MX", 60, "mail.example.com")}, "preference"},
		{"MX preference too high", []Record{set("www.example.com", "MX", 60, "65536 mail.example.com")}, "0 to 65535"},
		{"SOA below the apex", []Record{set("www.example.com", "SOA", 60, soaValue)}, "apex"},
		{"no SOA", nil, "no SOA record"},
	} {
		t.Run(c.name, func(t *testing.T) {
			records := c.rec
			if c.rec != nil {
				records = append(records, set("example.com", "SOA", 900, soaValue))
			}
			_, err := New(MustParseName("example.com"), records)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("New: got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// FuzzRecordValue: a value that is accepted can be packed into a message, and
// comes out of it again.
func FuzzRecordValue(f *testing.F) {
	f.Add("A", "10.0.0.1")
	f.Add("TXT", `"a\"b\\c\000" "d"`)
	f.Add("MX", "10 mail.example.com")
	f.Add("SOA", soaValue)
	f.Add("CNAME", `\052.example.com.`)
	f.Fuzz(func(t *testing.T, typ, value string) {
		name := MustParseName("x.example.com")
		set, _, err := compile(Record{Name: name, Type: typ, TTL: 60, Values: []string{value}})
		if err != nil {
			return
		}
		buf := make([]byte, 70000)
		n, err := dns.PackRR(set.rrs[0], buf, 0, nil, false)
		if err != nil {
			if typ == "TXT" && len(value) > 40000 {
				return
			}
			t.Fatalf("PackRR of %s %q: %v", typ, value, err)
		}
		back, _, err := dns.UnpackRR(buf[:n], 0)
		if err != nil {
			t.Fatalf("UnpackRR of %s %q: %v", typ, value, err)
		}
		again := make([]byte, 70000)
		m, err := dns.PackRR(back, again, 0, nil, false)
		if err != nil || !bytes.Equal(again[:m], buf[:n]) {
			t.Fatalf("round trip of %s %q: got %x, %v, want %x", typ, value, again[:m], err, buf[:n])
		}
	})
}
