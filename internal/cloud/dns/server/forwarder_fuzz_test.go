package server

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A cannedConn answers whatever is asked with one message, to which it gives
// the id of the question.
type cannedConn struct {
	net.Conn // nil: only the methods below are called
	reply    []byte
	asked    []byte
}

func (c *cannedConn) Write(b []byte) (int, error) { c.asked = b; return len(b), nil }
func (c *cannedConn) Close() error                { return nil }

func (c *cannedConn) Read(b []byte) (int, error) {
	if c.reply == nil {
		return 0, io.EOF
	}
	n := copy(b, c.reply)
	copy(b[:n], c.asked[:2])
	c.reply = nil
	return n, nil
}

// FuzzUpstreamReply: whatever an upstream server answers, the client gets one
// well-formed reply to its own question, SERVFAIL at worst.
func FuzzUpstreamReply(f *testing.F) {
	ask := question("service.example", dns.TypeA)
	for _, text := range []string{"service.example. 60 IN A 10.0.0.1", "service.example. 60 IN CNAME x.example.", `service.example. 1 IN TXT "a\"b" "c"`} {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		reply := new(dns.Msg).SetReply(ask)
		reply.Answer = []dns.RR{rr}
		packed, err := reply.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
		f.Add(packed[:len(packed)-3])
	}
	packed, err := ask.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, reply []byte) {
		srv := &Server{cfg: Config{QueryTimeout: time.Second, Answerer: &Forwarder{Tries: 1,
			Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
				if network == "tcp" {
					return nil, io.ErrUnexpectedEOF
				}
				return &cannedConn{reply: append([]byte{}, reply...)}, nil
			}}}}
		out := srv.respond(t.Context(), packed, maxUDP)
		got := new(dns.Msg)
		if err := got.Unpack(out); err != nil || len(out) > maxUDP {
			t.Fatalf("Unpack of %d octets: %v", len(out), err)
		}
		if got.Id != ask.Id || !got.Response || len(got.Question) > 1 || len(got.Question) == 1 && got.Question[0] != ask.Question[0] {
			t.Fatalf("got %v, want a reply to %v", got, ask)
		}
	})
}
