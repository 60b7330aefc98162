package probe

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// query is the DNS client: one question over UDP, over TCP when truncated.
func query(ctx context.Context, q Question, r *Result) error {
	qtype := dns.TypeA
	if q.Type != "" {
		t, ok := dns.StringToType[strings.ToUpper(q.Type)]
		if !ok {
			return fmt.Errorf("no DNS type is called %q", q.Type)
		}
		qtype = t
	}
	m, err := exchange(ctx, q.Resolver, q.Target, qtype)
	if err != nil {
		return err
	}
	r.DNS = &DNSResult{Server: q.Resolver, Rcode: dns.RcodeToString[m.Rcode], Answers: []string{}}
	for _, rr := range m.Answer {
		h := rr.Header()
		value := strings.TrimPrefix(rr.String(), h.String())
		r.DNS.Answers = append(r.DNS.Answers, dns.TypeToString[h.Rrtype]+" "+value)
	}
	if m.Rcode != dns.RcodeSuccess {
		r.Outcome = Refused
	}
	return nil
}

func exchange(ctx context.Context, server netip.AddrPort, name string, qtype uint16) (*dns.Msg, error) {
	if !server.IsValid() {
		return nil, fmt.Errorf("no DNS server is given for %q", name)
	}
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	m.RecursionDesired = true
	var c dns.Client
	if deadline, ok := ctx.Deadline(); ok {
		c.Timeout = max(1, time.Until(deadline))
	}
	in, _, err := c.ExchangeContext(ctx, m, server.String())
	if err == nil && in.Truncated {
		c.Net = "tcp"
		in, _, err = c.ExchangeContext(ctx, m, server.String())
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", server, err)
	}
	return in, nil
}

// resolve turns a host name or an address into an IPv4 address.
func resolve(ctx context.Context, q Question, host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, nil
	}
	m, err := exchange(ctx, q.Resolver, host, dns.TypeA)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("resolving %s: %w", host, err)
	}
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			if addr, ok := netip.AddrFromSlice(a.A.To4()); ok {
				return addr, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("resolving %s: %s says %s, without an address: %w", host, q.Resolver, dns.RcodeToString[m.Rcode], errRefused)
}
