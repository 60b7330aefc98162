package server

import (
	"context"
	"net/netip"
	"sync/atomic"

	"github.com/miekg/dns"

	"seikan/internal/cloud/dns/zone"
)

// A View is all that one VPC's resolver knows. It does not change once it is
// given to a Resolver.
type View struct {
	Zones *zone.Set // private zones associated with the VPC; nil is none

	// Internal are the domains that the resolver answers for itself, such as
	// <region>.compute.internal: the autodefined rules. One of them beats a
	// private zone of the same name or a parent's (pl §3.7, rules 2 and 3).
	Internal []zone.Name
	// Public are domains of names that the world sees too, of endpoints and
	// load balancers: a private zone of any name hides them.
	Public []zone.Name

	Hosts    map[zone.Name][]netip.Addr // names within Internal and Public; no addresses: NODATA
	Pointers map[zone.Name]zone.Name    // reverse names
}

// HostTTL is the TTL of answers from Hosts and Pointers, in seconds.
const HostTTL = 60

// A Resolver is the ".2" resolver of one VPC. The zero value knows no name.
type Resolver struct {
	// Upstream answers names that nothing here holds: the public DNS. Without
	// one they are REFUSED, not NXDOMAIN: we know nothing of such a name, and
	// NXDOMAIN would be a statement that caches believe, while REFUSED makes a
	// stub resolver try its next server.
	Upstream Answerer

	view atomic.Pointer[View]
}

// Set replaces what the resolver knows; questions in work keep the old view.
func (r *Resolver) Set(v *View) { r.view.Store(v) }

// Answer implements Answerer by the selection rule of pl §3.7.
func (r *Resolver) Answer(ctx context.Context, q *dns.Msg) *dns.Msg {
	v := r.view.Load()
	name, err := zone.ParseWire(q.Question[0].Name)
	if v == nil || err != nil {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeServerFailure}}
	}
	internal := enclosing(v.Internal, name)
	if v.Zones != nil {
		if z := v.Zones.Find(name); z != nil && z.Origin().Labels() > labels(internal) {
			return r.fromZone(ctx, v, q, name)
		}
	}
	return r.beyond(ctx, v, q, name)
}

// fromZone answers from the private zones, following a CNAME out of them.
func (r *Resolver) fromZone(ctx context.Context, v *View, q *dns.Msg, name zone.Name) *dns.Msg {
	qtype := q.Question[0].Qtype
	a, _ := v.Zones.Lookup(name, qtype, v.target)
	reply := &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: a.Rcode}, Answer: a.Answer, Ns: a.Authority}
	if a.Onward != (zone.Name{}) {
		rest := r.beyond(ctx, v, q, a.Onward)
		reply.Rcode, reply.Ns = rest.Rcode, rest.Ns
		reply.Answer = append(reply.Answer, rest.Answer...)
	}
	return reply
}

// beyond answers a name that no private zone holds.
func (r *Resolver) beyond(ctx context.Context, v *View, q *dns.Msg, name zone.Name) *dns.Msg {
	domain := enclosing(v.Internal, name)
	if domain == (zone.Name{}) {
		domain = enclosing(v.Public, name)
	}
	if domain != (zone.Name{}) {
		return v.own(domain, name, q.Question[0].Qtype)
	}
	if r.Upstream == nil {
		return &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: dns.RcodeRefused}}
	}
	onward := *q
	onward.Question = []dns.Question{{Name: name.Wire(), Qtype: q.Question[0].Qtype, Qclass: dns.ClassINET}}
	return r.Upstream.Answer(ctx, &onward)
}

// own answers a name within domain, which is the resolver's own.
func (v *View) own(domain, name zone.Name, qtype uint16) *dns.Msg {
	reply := &dns.Msg{}
	addrs, isHost := v.Hosts[name]
	for _, addr := range addrs {
		if rr := zone.AddrRR(name, qtype, addr, HostTTL); rr != nil {
			reply.Answer = append(reply.Answer, rr)
		}
	}
	pointer, isPointer := v.Pointers[name]
	if isPointer && qtype == dns.TypePTR {
		reply.Answer = append(reply.Answer, &dns.PTR{Hdr: rrHeader(name, qtype), Ptr: pointer.Wire()})
	}
	if len(reply.Answer) > 0 {
		return reply
	}
	if !isHost && !isPointer && name != domain && !v.encloses(name) {
		reply.Rcode = dns.RcodeNameError
	}
	reply.Ns = []dns.RR{&dns.SOA{
		Hdr: rrHeader(domain, dns.TypeSOA), Ns: "ns-0.awsdns-00.com.", Mbox: "awsdns-hostmaster.amazon.com.",
		Serial: 1, Refresh: 7200, Retry: 900, Expire: 1209600, Minttl: HostTTL,
	}}
	return reply
}

// encloses reports whether name is an empty non-terminal: something lies below
// it.
func (v *View) encloses(name zone.Name) bool {
	for n := range v.Hosts {
		if n.Under(name) {
			return true
		}
	}
	for n := range v.Pointers {
		if n.Under(name) {
			return true
		}
	}
	return false
}

// target says what an alias to an endpoint or a load balancer stands for.
func (v *View) target(name zone.Name) (addrs []netip.Addr, known bool) {
	addrs, known = v.Hosts[name]
	return addrs, known
}

// enclosing is the most specific of domains that holds name, or the zero Name.
func enclosing(domains []zone.Name, name zone.Name) zone.Name {
	var best zone.Name
	for _, d := range domains {
		if name.Under(d) && d.Labels() > labels(best) {
			best = d
		}
	}
	return best
}

// labels counts the labels of a name, -1 for no name.
func labels(n zone.Name) int {
	if n == (zone.Name{}) {
		return -1
	}
	return n.Labels()
}

func rrHeader(name zone.Name, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name.Wire(), Rrtype: rrtype, Class: dns.ClassINET, Ttl: HostTTL}
}
