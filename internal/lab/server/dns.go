package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sort"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A DNSConfig says how a site's DNS server answers.
type DNSConfig struct {
	Listen   string // such as "192.168.1.53:53"
	Zones    []DNSZone
	Forwards []DNSForward
	// Try is how long one forwarder is waited for before the next is asked; 0
	// means 1 s. A client usually asks again after 5 s.
	Try time.Duration
	Log *slog.Logger
}

// A DNSZone is answered from its records. Each is a line of a zone file with
// names relative to Name: "www 300 IN A 192.0.2.1".
type DNSZone struct {
	Name    string
	Records []string
}

// A DNSForward sends the names of Zone and below to the servers in To, in order.
type DNSForward struct {
	Zone string
	To   []netip.AddrPort
}

// ServeDNS serves over UDP and TCP until ctx ends, and calls ready when both
// listen. Names of no zone and no forward are refused: the site has no other
// way to resolve.
func ServeDNS(ctx context.Context, cfg DNSConfig, ready func()) error {
	s, err := newDNSServer(cfg)
	if err != nil {
		return err
	}
	pc, err := net.ListenPacket("udp4", cfg.Listen)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp4", pc.LocalAddr().String())
	if err != nil {
		return errors.Join(err, pc.Close())
	}
	udp := &dns.Server{PacketConn: pc, Handler: s}
	tcp := &dns.Server{Listener: ln, Handler: s, MaxTCPQueries: 64, IdleTimeout: func() time.Duration { return 10 * time.Second }}
	ended := make(chan error, 2)
	for _, server := range []*dns.Server{udp, tcp} {
		go func() { ended <- server.ActivateAndServe() }()
	}
	ready()
	var first error
	select {
	case <-ctx.Done():
	case first = <-ended:
		ended <- first
	}
	err = errors.Join(pc.Close(), ln.Close())
	for range 2 {
		if e := <-ended; e != nil && !errors.Is(e, net.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// A dnsServer answers; it is never changed after it was made.
type dnsServer struct {
	cfg   DNSConfig
	zones []zone
}

// A zone holds its records by owner name, in canonical form.
type zone struct {
	name  string
	names map[string][]dns.RR
	soa   dns.RR
}

func newDNSServer(cfg DNSConfig) (*dnsServer, error) {
	if cfg.Try <= 0 {
		cfg.Try = time.Second
	}
	s := &dnsServer{cfg: cfg}
	for _, z := range cfg.Zones {
		out := zone{name: dns.CanonicalName(z.Name), names: map[string][]dns.RR{}}
		soa, err := dns.NewRR(fmt.Sprintf("%s 300 IN SOA ns.%s hostmaster.%s 1 7200 900 1209600 60", out.name, out.name, out.name))
		if err != nil {
			return nil, fmt.Errorf("zone %q: %w", z.Name, err)
		}
		out.soa = soa
		out.names[out.name] = []dns.RR{soa}
		for _, line := range z.Records {
			rr, err := dns.NewRR("$ORIGIN " + out.name + "\n" + line)
			if err != nil || rr == nil {
				return nil, fmt.Errorf("zone %q: record %q: %w", z.Name, line, err)
			}
			owner := dns.CanonicalName(rr.Header().Name)
			if !dns.IsSubDomain(out.name, owner) {
				return nil, fmt.Errorf("zone %q: record %q is outside the zone", z.Name, line)
			}
			out.names[owner] = append(out.names[owner], rr)
		}
		s.zones = append(s.zones, out)
	}
	// The longest name first: it is the one that fits best.
	sort.SliceStable(s.zones, func(i, j int) bool { return len(s.zones[i].name) > len(s.zones[j].name) })
	sort.SliceStable(s.cfg.Forwards, func(i, j int) bool { return len(s.cfg.Forwards[i].Zone) > len(s.cfg.Forwards[j].Zone) })
	return s, nil
}

// ServeDNS answers one message.
func (s *dnsServer) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	network := w.LocalAddr().Network()
	resp := s.answer(req, network)
	size := dns.MaxMsgSize
	if network == "udp" {
		size = dns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = max(size, min(int(opt.UDPSize()), 1232))
		}
	}
	resp.Truncate(size)
	if err := w.WriteMsg(resp); err != nil {
		s.cfg.Log.Debug("writing a DNS answer", "to", w.RemoteAddr(), "err", err)
	}
}

// answer makes the answer to req.
func (s *dnsServer) answer(req *dns.Msg, network string) *dns.Msg {
	resp := new(dns.Msg)
	switch {
	case len(req.Question) != 1:
		return resp.SetRcode(req, dns.RcodeFormatError)
	case req.Opcode != dns.OpcodeQuery:
		return resp.SetRcode(req, dns.RcodeNotImplemented)
	}
	name := dns.CanonicalName(req.Question[0].Name)
	for _, f := range s.cfg.Forwards {
		if dns.IsSubDomain(dns.CanonicalName(f.Zone), name) {
			return s.forward(req, f, network)
		}
	}
	for _, z := range s.zones {
		if dns.IsSubDomain(z.name, name) {
			return z.answer(req, name)
		}
	}
	return resp.SetRcode(req, dns.RcodeRefused)
}

// answer looks name up, following one CNAME inside the zone.
func (z zone) answer(req *dns.Msg, name string) *dns.Msg {
	resp := new(dns.Msg).SetReply(req)
	resp.Authoritative, resp.RecursionAvailable = true, true
	qtype := req.Question[0].Qtype
	rrs, exists := z.names[name]
	for _, rr := range rrs {
		if t := rr.Header().Rrtype; t == qtype || t == dns.TypeCNAME || qtype == dns.TypeANY {
			resp.Answer = append(resp.Answer, rr)
		}
	}
	if len(resp.Answer) == 1 && qtype != dns.TypeCNAME {
		if cname, ok := resp.Answer[0].(*dns.CNAME); ok {
			for _, rr := range z.names[dns.CanonicalName(cname.Target)] {
				if rr.Header().Rrtype == qtype {
					resp.Answer = append(resp.Answer, rr)
				}
			}
		}
	}
	if len(resp.Answer) > 0 {
		return resp
	}
	// "NXDOMAIN" says that neither the name nor any below it exists (RFC 8020).
	if !exists && !z.hasBelow(name) {
		resp.Rcode = dns.RcodeNameError
	}
	resp.Ns = []dns.RR{z.soa}
	return resp
}

func (z zone) hasBelow(name string) bool {
	for owner := range z.names {
		if strings.HasSuffix(owner, "."+name) {
			return true
		}
	}
	return false
}

// forward asks the servers in turn until one answers.
func (s *dnsServer) forward(req *dns.Msg, f DNSForward, network string) *dns.Msg {
	client := dns.Client{Net: network, Timeout: s.cfg.Try, UDPSize: 1232}
	for _, to := range f.To {
		out := req.Copy()
		out.Id = dns.Id()
		in, _, err := client.Exchange(out, to.String())
		if err != nil || in.Rcode == dns.RcodeServerFailure {
			s.cfg.Log.Debug("forwarder did not answer", "server", to, "name", req.Question[0].Name, "err", err)
			continue
		}
		in.Id = req.Id
		in.RecursionAvailable = true
		return in
	}
	return new(dns.Msg).SetRcode(req, dns.RcodeServerFailure)
}
