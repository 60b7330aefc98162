package server

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"seikan/internal/cloud/dns/zone"
)

var testSOA = zone.Record{Type: "SOA", TTL: 900, Values: []string{"ns-1536.awsdns-00.co.uk. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}}

func testZone(t testing.TB, origin string, records ...zone.Record) *zone.Zone {
	t.Helper()
	soa := testSOA
	soa.Name = zone.MustParseName(origin)
	z, err := zone.New(soa.Name, append(records, soa))
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func addrs(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func testView(t testing.TB) *View {
	t.Helper()
	name := zone.MustParseName
	var many []string
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, 9, byte(i)}).String())
	}
	zones, err := zone.NewSet(
		testZone(t, "service.example",
			zone.Record{Name: name("service.example"), Type: "A", Alias: name("vpce-1.vpce.amazonaws.com")},
			zone.Record{Name: name("out.service.example"), Type: "CNAME", TTL: 60, Values: []string{"vpce-1.vpce.amazonaws.com"}},
			zone.Record{Name: name("www.service.example"), Type: "CNAME", TTL: 60, Values: []string{"www.example.org"}},
			zone.Record{Name: name("many.service.example"), Type: "A", TTL: 60, Values: many}),
		testZone(t, "internal", zone.Record{Name: name("x.compute.internal"), Type: "A", TTL: 60, Values: []string{"10.9.9.9"}}),
		testZone(t, "host.us-east-1.compute.internal", zone.Record{Name: name("host.us-east-1.compute.internal"), Type: "A", TTL: 60, Values: []string{"10.9.9.8"}}),
		testZone(t, "us-east-1.compute.internal", zone.Record{Name: name("ip-10-0-0-5.us-east-1.compute.internal"), Type: "A", TTL: 60, Values: []string{"10.9.9.7"}}),
		testZone(t, "hidden.vpce.amazonaws.com"))
	if err != nil {
		t.Fatal(err)
	}
	return &View{
		Zones:    zones,
		Internal: []zone.Name{name("us-east-1.compute.internal"), name("10.in-addr.arpa")},
		Public:   []zone.Name{name("vpce.amazonaws.com")},
		Hosts: map[zone.Name][]netip.Addr{
			name("ip-10-0-0-5.us-east-1.compute.internal"): addrs("10.0.0.5"),
			name("vpce-1.vpce.amazonaws.com"):              addrs("10.0.1.9", "10.0.2.9"),
			name("vpce-2.vpce.amazonaws.com"):              nil,
			name("a.hidden.vpce.amazonaws.com"):            addrs("10.0.1.8"),
		},
		Pointers: map[zone.Name]zone.Name{name("5.0.0.10.in-addr.arpa"): name("ip-10-0-0-5.us-east-1.compute.internal")},
	}
}

func question(name string, qtype uint16) *dns.Msg {
	q := new(dns.Msg)
	return q.SetQuestion(dns.Fqdn(name), qtype)
}

// upstreamFunc is an Answerer made of a function.
type upstreamFunc func(q *dns.Msg) *dns.Msg

func (f upstreamFunc) Answer(_ context.Context, q *dns.Msg) *dns.Msg { return f(q) }

func TestResolverChoosesWhoAnswers(t *testing.T) {
	var r Resolver
	r.Set(testView(t))
	for _, c := range []struct {
		Qname  string
		Qtype  uint16
		Rcode  int
		Answer []string // last fields of the answers
		SOA    string   // owner of the SOA record in the authority section
	}{
		{"service.example", dns.TypeA, dns.RcodeSuccess, []string{"10.0.1.9", "10.0.2.9"}, ""},
		{"nothing.service.example", dns.TypeA, dns.RcodeNameError, nil, "service.example."},
		{"out.service.example", dns.TypeA, dns.RcodeSuccess, []string{"vpce-1.vpce.amazonaws.com.", "10.0.1.9", "10.0.2.9"}, ""},
		// Nothing here knows the world, and says so.
		{"www.example.org", dns.TypeA, dns.RcodeRefused, nil, ""},
		{"www.service.example", dns.TypeA, dns.RcodeRefused, []string{"www.example.org."}, ""},
		// Public names of endpoints.
		{"vpce-1.vpce.amazonaws.com", dns.TypeA, dns.RcodeSuccess, []string{"10.0.1.9", "10.0.2.9"}, ""},
		{"vpce-1.vpce.amazonaws.com", dns.TypeAAAA, dns.RcodeSuccess, nil, "vpce.amazonaws.com."},
		{"vpce-2.vpce.amazonaws.com", dns.TypeA, dns.RcodeSuccess, nil, "vpce.amazonaws.com."},
		{"vpce-3.vpce.amazonaws.com", dns.TypeA, dns.RcodeNameError, nil, "vpce.amazonaws.com."},
		// A private zone hides public names below it.
		{"a.hidden.vpce.amazonaws.com", dns.TypeA, dns.RcodeNameError, nil, "hidden.vpce.amazonaws.com."},
		// Own names beat a private zone of the same name and a parent's, not a child's.
		{"ip-10-0-0-5.us-east-1.compute.internal", dns.TypeA, dns.RcodeSuccess, []string{"10.0.0.5"}, ""},
		{"ip-10-0-0-6.us-east-1.compute.internal", dns.TypeA, dns.RcodeNameError, nil, "us-east-1.compute.internal."},
		{"host.us-east-1.compute.internal", dns.TypeA, dns.RcodeSuccess, []string{"10.9.9.8"}, ""},
		{"x.compute.internal", dns.TypeA, dns.RcodeSuccess, []string{"10.9.9.9"}, ""},
		// Reverse names, and the empty non-terminals above them.
		{"5.0.0.10.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, []string{"ip-10-0-0-5.us-east-1.compute.internal."}, ""},
		{"5.0.0.10.in-addr.arpa", dns.TypeA, dns.RcodeSuccess, nil, "10.in-addr.arpa."},
		{"0.0.10.in-addr.arpa", dns.TypePTR, dns.RcodeSuccess, nil, "10.in-addr.arpa."},
		{"6.0.0.10.in-addr.arpa", dns.TypePTR, dns.RcodeNameError, nil, "10.in-addr.arpa."},
	} {
		t.Run(c.Qname+" "+dns.TypeToString[c.Qtype], func(t *testing.T) {
			got := r.Answer(t.Context(), question(c.Qname, c.Qtype))
			if got.Rcode != c.Rcode {
				t.Errorf("rcode: got %s, want %s", dns.RcodeToString[got.Rcode], dns.RcodeToString[c.Rcode])
			}
			if last := lastFields(got.Answer); !slices.Equal(last, c.Answer) {
				t.Errorf("answer: got %v, want %v", last, c.Answer)
			}
			soa := ""
			if len(got.Ns) == 1 {
				soa = got.Ns[0].Header().Name
			}
			if soa != c.SOA {
				t.Errorf("authority: got SOA of %q, want %q", soa, c.SOA)
			}
		})
	}
}

func TestResolverAsksUpstreamForTheRest(t *testing.T) {
	r := Resolver{Upstream: upstreamFunc(func(q *dns.Msg) *dns.Msg {
		rr, err := dns.NewRR(q.Question[0].Name + " 60 IN A 192.0.2.1")
		if err != nil {
			return nil
		}
		return &dns.Msg{Answer: []dns.RR{rr}}
	})}
	r.Set(testView(t))
	got := lastFields(r.Answer(t.Context(), question("www.service.example", dns.TypeA)).Answer)
	if want := []string{"www.example.org.", "192.0.2.1"}; !slices.Equal(got, want) {
		t.Errorf("answer: got %v, want %v", got, want)
	}
}

func lastFields(rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		f := strings.Fields(rr.String())
		out = append(out, f[len(f)-1])
	}
	return out
}
