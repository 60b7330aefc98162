package zone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const (
	// AliasTTL is the TTL of answers made for an ALIAS to an endpoint or a load
	// balancer, in seconds (pl §3.4).
	AliasTTL = 60
	// maxChase bounds how many CNAME or ALIAS records one question follows.
	maxChase = 9
)

// A Target says which addresses the name of an endpoint or a load balancer
// stands for at this moment. known is false when no such resource exists; a
// resource that is not yet accepted is known and has no address.
type Target func(name Name) (addrs []netip.Addr, known bool)

// An Answer is what a DNS reply will carry.
type Answer struct {
	Rcode     int // dns.RcodeSuccess, dns.RcodeNameError or dns.RcodeServerFailure
	Answer    []dns.RR
	Authority []dns.RR // the SOA record of a negative answer
	// Onward is set when the last CNAME leaves all zones of the set: the
	// caller has to look that name up elsewhere and append what it finds.
	Onward Name
}

// A Set is the zones that one VPC sees. The most specific one that holds a name
// answers for it, and no other (pl §3.7).
type Set struct {
	zones map[Name]*Zone
}

// NewSet makes a Set. Two zones of the same name cannot be seen by one VPC.
func NewSet(zones ...*Zone) (*Set, error) {
	s := &Set{zones: make(map[Name]*Zone, len(zones))}
	for _, z := range zones {
		if s.zones[z.origin] != nil {
			return nil, fmt.Errorf("zones of one VPC: two of them are called %s", z.origin)
		}
		s.zones[z.origin] = z
	}
	return s, nil
}

// Find returns the most specific zone that holds name, or nil.
func (s *Set) Find(name Name) *Zone {
	for n := name; ; n = n.Parent() {
		if z := s.zones[n]; z != nil {
			return z
		}
		if n == Root() {
			return nil
		}
	}
}

// Lookup answers a question. ok is false when no zone of the set holds the name:
// the question is then none of the set's business. CNAME records are followed
// through all zones of the set.
func (s *Set) Lookup(name Name, qtype uint16, target Target) (a Answer, ok bool) {
	zone := s.Find(name)
	if zone == nil {
		return Answer{}, false
	}
	seen := make(map[Name]bool)
	for range maxChase {
		if seen[name] {
			break
		}
		seen[name] = true
		next := zone.step(name, qtype, target, &a)
		if next == (Name{}) {
			return a, true
		}
		name = next
		if zone = s.Find(name); zone == nil {
			a.Onward = name
			return a, true
		}
	}
	// A circle of CNAMEs, or a chain longer than anybody needs.
	return Answer{Rcode: dns.RcodeServerFailure}, true
}

// step adds to a what z says of name and returns the name to go on with, or the
// zero Name when the answer is complete.
func (z *Zone) step(name Name, qtype uint16, target Target, a *Answer) Name {
	n := z.find(name)
	if n == nil {
		a.Rcode = dns.RcodeNameError
		a.Authority = []dns.RR{z.negative()}
		return Name{}
	}
	if c := n.sets[dns.TypeCNAME]; c != nil && qtype != dns.TypeCNAME && qtype != dns.TypeANY {
		a.Answer = append(a.Answer, owned(c.rrs, name)...)
		next, err := ParseWire(c.rrs[0].(*dns.CNAME).Target)
		if err != nil {
			a.Rcode = dns.RcodeServerFailure
			return Name{}
		}
		return next
	}
	if rrs := z.values(n, name, qtype, target); len(rrs) > 0 {
		a.Answer = append(a.Answer, rrs...)
		return Name{}
	}
	a.Authority = []dns.RR{z.negative()}
	return Name{}
}

// values are the records of a node that answer qtype, with name as their owner.
func (z *Zone) values(n *node, name Name, qtype uint16, target Target) []dns.RR {
	if qtype == dns.TypeANY && len(n.sets) > 0 {
		// "[…] a synthesized HINFO resource record": small, and no gift for
		// amplification. https://www.rfc-editor.org/rfc/rfc8482#section-4.2
		return []dns.RR{&dns.HINFO{Hdr: header(name, dns.TypeHINFO, 3600), Cpu: "RFC8482"}}
	}
	set := n.sets[qtype]
	if set == nil {
		return nil
	}
	for range maxChase {
		if set.alias == (Name{}) {
			return owned(set.rrs, name)
		}
		if !set.alias.Under(z.origin) {
			return addresses(name, qtype, set.alias, target)
		}
		n := z.find(set.alias)
		if n == nil || n.sets[qtype] == nil {
			return nil
		}
		set = n.sets[qtype]
	}
	return nil // aliases in a circle: there is nothing that they stand for
}

// addresses makes the answer of an alias to an endpoint or a load balancer.
func addresses(name Name, qtype uint16, alias Name, target Target) []dns.RR {
	if target == nil {
		return nil
	}
	addrs, _ := target(alias)
	var out []dns.RR
	for _, addr := range addrs {
		if rr := AddrRR(name, qtype, addr, AliasTTL); rr != nil {
			out = append(out, rr)
		}
	}
	return out
}

// AddrRR makes the record of one address, or nil when qtype is not the address's
// type.
func AddrRR(name Name, qtype uint16, addr netip.Addr, ttl uint32) dns.RR {
	switch {
	case qtype == dns.TypeA && addr.Is4():
		return &dns.A{Hdr: header(name, qtype, ttl), A: addr.AsSlice()}
	case qtype == dns.TypeAAAA && addr.Is6():
		return &dns.AAAA{Hdr: header(name, qtype, ttl), AAAA: addr.AsSlice()}
	}
	return nil
}

func header(name Name, qtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name.Wire(), Rrtype: qtype, Class: dns.ClassINET, Ttl: ttl}
}

// owned copies rrs, giving them the owner that was asked for: the records of a
// wildcard or an alias have another.
func owned(rrs []dns.RR, name Name) []dns.RR {
	out := make([]dns.RR, len(rrs))
	for i, rr := range rrs {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = name.Wire()
	}
	return out
}

// String lists the zones by name, for logs and tests.
func (s *Set) String() string {
	var names []string
	for n := range s.zones {
		names = append(names, n.String())
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
