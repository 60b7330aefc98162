package zone

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// MaxValues is how many values one record set may have (pl §3.1, quotas).
const MaxValues = 400

// A Record is one resource record set as Route 53 keeps it.
type Record struct {
	Name Name
	Type string // "A", "AAAA", "CNAME", "MX", "NS", "SOA" or "TXT"
	// TTL is in seconds, 0 to 2147483647 (RFC 2181 §8). An alias has none.
	TTL    int64
	Values []string // as Route 53 writes them, TXT in quotes; empty for an alias
	Alias  Name     // what an alias stands for; zero value: not an alias
}

// compile reads the values of r. An alias is kept as its target.
func compile(r Record) (*rrset, uint16, error) {
	t, ok := types[r.Type]
	if !ok {
		return nil, 0, fmt.Errorf("type %q: A, AAAA, CNAME, MX, NS, SOA and TXT are known", r.Type)
	}
	if r.Alias != (Name{}) {
		if len(r.Values) > 0 || r.TTL != 0 {
			return nil, 0, fmt.Errorf("an alias has neither TTL nor values (pl §3.4)")
		}
		if t.code != dns.TypeA && t.code != dns.TypeAAAA {
			return nil, 0, fmt.Errorf("type %q: an alias is of type A or AAAA here", r.Type)
		}
		return &rrset{alias: r.Alias}, t.code, nil
	}
	if r.TTL < 0 || r.TTL > 1<<31-1 {
		return nil, 0, fmt.Errorf("TTL %d: 0 to 2147483647 seconds (RFC 2181 §8)", r.TTL)
	}
	if len(r.Values) == 0 || len(r.Values) > MaxValues {
		return nil, 0, fmt.Errorf("%d values: a set has 1 to %d", len(r.Values), MaxValues)
	}
	if len(r.Values) > 1 && t.single {
		return nil, 0, fmt.Errorf("%d values: a %s set has exactly one", len(r.Values), r.Type)
	}
	set := &rrset{}
	seen := make(map[string]bool, len(r.Values))
	for _, v := range r.Values {
		if seen[v] {
			return nil, 0, fmt.Errorf("value %q: given twice", v)
		}
		seen[v] = true
		rr, err := t.parse(v)
		if err != nil {
			return nil, 0, fmt.Errorf("value %q: %w", v, err)
		}
		*rr.Header() = dns.RR_Header{Name: r.Name.Wire(), Rrtype: t.code, Class: dns.ClassINET, Ttl: uint32(r.TTL)}
		set.rrs = append(set.rrs, rr)
	}
	return set, t.code, nil
}

// types are the record types that a private zone may hold here.
var types = map[string]struct {
	code   uint16
	single bool
	parse  func(string) (dns.RR, error)
}{
	"A":     {dns.TypeA, false, parseA},
	"AAAA":  {dns.TypeAAAA, false, parseAAAA},
	"CNAME": {dns.TypeCNAME, true, parseCNAME},
	"MX":    {dns.TypeMX, false, parseMX},
	"NS":    {dns.TypeNS, false, parseNS},
	"SOA":   {dns.TypeSOA, true, parseSOA},
	"TXT":   {dns.TypeTXT, false, parseTXT},
}

func parseA(v string) (dns.RR, error) {
	a, err := netip.ParseAddr(v)
	if err != nil || !a.Is4() {
		return nil, fmt.Errorf("not an IPv4 address")
	}
	return &dns.A{A: a.AsSlice()}, nil
}

func parseAAAA(v string) (dns.RR, error) {
	a, err := netip.ParseAddr(v)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return nil, fmt.Errorf("not an IPv6 address")
	}
	return &dns.AAAA{AAAA: a.AsSlice()}, nil
}

func parseCNAME(v string) (dns.RR, error) {
	n, err := ParseName(v)
	return &dns.CNAME{Target: n.Wire()}, err
}

func parseNS(v string) (dns.RR, error) {
	n, err := ParseName(v)
	return &dns.NS{Ns: n.Wire()}, err
}

func parseMX(v string) (dns.RR, error) {
	f := strings.Fields(v)
	if len(f) != 2 {
		return nil, fmt.Errorf("not a preference and a name, as in \"10 mail.example.com\"")
	}
	pref, err := strconv.ParseUint(f[0], 10, 16)
	if err != nil {
		return nil, fmt.Errorf("preference %q: 0 to 65535", f[0])
	}
	n, err := ParseName(f[1])
	return &dns.MX{Preference: uint16(pref), Mx: n.Wire()}, err
}

func parseSOA(v string) (dns.RR, error) {
	f := strings.Fields(v)
	if len(f) != 7 {
		return nil, fmt.Errorf("%d fields: an SOA has master, mailbox, serial, refresh, retry, expire, minimum", len(f))
	}
	ns, err := ParseName(f[0])
	if err != nil {
		return nil, err
	}
	mbox, err := ParseName(f[1])
	if err != nil {
		return nil, err
	}
	var num [5]uint32
	for i, s := range f[2:] {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("field %q: 0 to 4294967295", s)
		}
		num[i] = uint32(n)
	}
	return &dns.SOA{Ns: ns.Wire(), Mbox: mbox.Wire(), Serial: num[0],
		Refresh: num[1], Retry: num[2], Expire: num[3], Minttl: num[4]}, nil
}

// parseTXT reads one or more strings in quotes, each of at most 255 octets.
// Within the quotes \" and \\ stand for themselves and \ooo is an octal escape.
func parseTXT(v string) (dns.RR, error) {
	txt := &dns.TXT{}
	rest := strings.TrimSpace(v)
	for rest != "" {
		if rest[0] != '"' {
			return nil, fmt.Errorf("a string outside quotes: write \"…\"")
		}
		s, n, err := quoted(rest[1:])
		if err != nil {
			return nil, err
		}
		txt.Txt = append(txt.Txt, s)
		rest = strings.TrimLeft(rest[1+n:], " \t")
	}
	if len(txt.Txt) == 0 {
		return nil, fmt.Errorf("empty: a TXT value has at least one string")
	}
	return txt, nil
}

// quoted reads up to the closing quote and returns the string as package dns
// prints it, and how many octets it took with the quote.
func quoted(s string) (text string, n int, err error) {
	var b strings.Builder
	size := 0
	for i := 0; i < len(s); {
		if s[i] == '"' {
			if size > 255 {
				return "", 0, fmt.Errorf("a string of %d octets: at most 255 (RFC 1035 §3.3)", size)
			}
			return b.String(), i + 1, nil
		}
		c, n, err := char(s[i:], 8)
		if err != nil {
			return "", 0, err
		}
		i += n
		size++
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return "", 0, fmt.Errorf("a string without its closing quote")
}
