// Package zone answers DNS questions from private hosted zones (pl §3.2–3.7).
//
// It is pure: it holds the record sets of some zones in a form made for
// looking up, and says what the answer to a question is. It opens no socket,
// reads no clock and knows nothing of the store; what an ALIAS record stands
// for is asked through a function that the caller gives. A Zone and a Set never
// change once made, so any number of goroutines may use them. Only
// internal/cloud/dns and its sub-packages call it.
package zone

import (
	"fmt"

	"github.com/miekg/dns"
)

// A Zone is one private hosted zone, compiled for looking up.
type Zone struct {
	origin Name
	soa    *dns.SOA
	nodes  map[Name]*node
}

// A node is a name that exists in a zone. One without sets is an empty
// non-terminal (RFC 8020 §2): it exists because something below it does.
type node struct {
	sets map[uint16]*rrset
}

// An rrset is one resource record set: either values or an alias.
type rrset struct {
	rrs   []dns.RR
	alias Name
}

// New compiles the records of the zone called origin. It refuses, naming record,
// value and rule, a record outside the zone, two sets of the same name and type,
// values that do not parse, a CNAME beside other records or at the apex, and a
// zone without an SOA record.
func New(origin Name, records []Record) (*Zone, error) {
	z := &Zone{origin: origin, nodes: map[Name]*node{origin: {sets: map[uint16]*rrset{}}}}
	for _, r := range records {
		if err := z.add(r); err != nil {
			return nil, fmt.Errorf("zone %s: record %s %s: %w", origin, r.Name, r.Type, err)
		}
	}
	if z.soa == nil {
		return nil, fmt.Errorf("zone %s: no SOA record: every zone has exactly one, at its apex", origin)
	}
	return z, nil
}

// Origin is the name of the zone.
func (z *Zone) Origin() Name { return z.origin }

func (z *Zone) add(r Record) error {
	if !r.Name.Under(z.origin) {
		return fmt.Errorf("the name does not lie within zone %s", z.origin)
	}
	set, qtype, err := compile(r)
	if err != nil {
		return err
	}
	n := z.ensure(r.Name)
	if n.sets[qtype] != nil {
		return fmt.Errorf("a second set of this name and type: give all values in one set")
	}
	if qtype == dns.TypeCNAME && r.Name == z.origin {
		return fmt.Errorf("a CNAME is not permitted at the zone apex: use an alias")
	}
	_, hasCNAME := n.sets[dns.TypeCNAME]
	if hasCNAME || qtype == dns.TypeCNAME && len(n.sets) > 0 {
		return fmt.Errorf("a CNAME cannot stand beside other records of its name (RFC 1034 §3.6.2)")
	}
	if qtype == dns.TypeSOA {
		if r.Name != z.origin || len(set.rrs) != 1 {
			return fmt.Errorf("an SOA set is one record at the zone apex")
		}
		z.soa = set.rrs[0].(*dns.SOA)
	}
	n.sets[qtype] = set
	return nil
}

// ensure makes name and every name between it and the apex exist.
func (z *Zone) ensure(name Name) *node {
	for n := name; n != z.origin && z.nodes[n] == nil; n = n.Parent() {
		z.nodes[n] = &node{sets: map[uint16]*rrset{}}
	}
	return z.nodes[name]
}

// find returns the node that answers for name: its own, or the wildcard of the
// closest encloser. It returns nil when the name does not exist.
func (z *Zone) find(name Name) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	// "The source of synthesis is defined in the context of a query process as
	// that wildcard domain name immediately descending from the closest
	// encloser, provided that this wildcard domain name exists."
	// https://www.rfc-editor.org/rfc/rfc4592#section-3.3.1
	encloser := name.Parent()
	for z.nodes[encloser] == nil {
		encloser = encloser.Parent()
	}
	return z.nodes[encloser.wildcard()]
}

// negative is the SOA record as the authority section of a negative answer
// carries it.
func (z *Zone) negative() dns.RR {
	soa := *z.soa
	// "The TTL of this record is set from the minimum of the MINIMUM field of
	// the SOA record and the TTL of the SOA itself".
	// https://www.rfc-editor.org/rfc/rfc2308#section-3
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return &soa
}
