package server

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func FuzzCommand(f *testing.F) {
	for _, s := range []string{"USER anonymous\r\n", "retr /a b\n", "", "\r\n", " X", "PASV\x00\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		verb, arg := parseCommand(line)
		if strings.ContainsRune(verb, ' ') || verb != strings.ToUpper(verb) || arg != strings.TrimSpace(arg) {
			t.Fatalf("%q: got %q, %q", line, verb, arg)
		}
		if v, a := parseCommand(verb + " " + arg + "\r\n"); v != verb || a != strings.TrimSpace(strings.TrimRight(arg, "\r\n")) {
			t.Fatalf("%q: got %q, %q, which read back as %q, %q", line, verb, arg, v, a)
		}
	})
}

func server(t testing.TB) *dnsServer {
	s, err := newDNSServer(DNSConfig{Log: slog.New(slog.DiscardHandler), Try: 1, Zones: []DNSZone{{Name: "corp.example", Records: []string{
		"@ 300 IN A 192.0.2.1", "www 300 IN CNAME web.corp.example.", "web 300 IN A 192.0.2.2", "loop 300 IN CNAME loop.corp.example.",
	}}}, Forwards: []DNSForward{{Zone: "far.example", To: []netip.AddrPort{}}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"corp.example.", "www.corp.example.", "loop.corp.example.", "x.far.example.", "other.", "."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeA)
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	s := server(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		req := new(dns.Msg)
		if req.Unpack(in) != nil {
			return
		}
		resp := s.answer(req, "udp")
		if resp.Id != req.Id || !resp.Response {
			t.Fatalf("%v: got %v, want an answer to it", req, resp)
		}
		if _, err := resp.Pack(); err != nil {
			t.Fatalf("%v: the answer cannot be sent: %v", req, err)
		}
	})
}

func TestZonesThatMakeNoSenseAreRefused(t *testing.T) {
	for _, c := range []struct{ zone, record, want string }{
		{"corp.example", "www 300 IN A not-an-address", "record"},
		{"corp.example", "www.other.example. 300 IN A 192.0.2.1", "outside the zone"},
		{"corp.example", "; a comment", "record"},
	} {
		_, err := newDNSServer(DNSConfig{Zones: []DNSZone{{Name: c.zone, Records: []string{c.record}}}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %q", c.record, err, c.want)
		}
	}
}
