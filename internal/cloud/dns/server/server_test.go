package server

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

// start serves on loopback until the test ends.
func start(t *testing.T, cfg Config) (srv *Server, address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listener, cfg.Packet = ln, pc
	srv, err = New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: got %v, want nil", err)
		}
	})
	return srv, ln.Addr().String()
}

func testResolver(t testing.TB) *Resolver {
	t.Helper()
	r := new(Resolver)
	r.Set(testView(t))
	return r
}

func TestServerAnswersOverBothTransports(t *testing.T) {
	srv, addr := start(t, Config{Answerer: testResolver(t)})
	for _, network := range []string{"udp", "tcp"} {
		c := dns.Client{Net: network, Timeout: 5 * time.Second}
		q := question("service.example", dns.TypeA)
		reply, _, err := c.Exchange(q, addr)
		if err != nil {
			t.Fatalf("%s: %v", network, err)
		}
		if len(reply.Answer) != 2 || !reply.RecursionAvailable || reply.Authoritative || reply.Id != q.Id {
			t.Errorf("%s: got %v, want two answers, ra, no aa, id %d", network, reply, q.Id)
		}
	}
	if got := srv.Counters(); got.Queries != 2 || got.Connections != 1 {
		t.Errorf("Counters: got %+v, want 2 queries, 1 connection", got)
	}
}

func TestLargeRepliesAreTruncatedOverUDPOnly(t *testing.T) {
	srv, addr := start(t, Config{Answerer: testResolver(t)})
	for _, c := range []struct {
		network string
		edns    uint16
		tc      bool
		least   int
	}{{"udp", 0, true, 20}, {"udp", 4096, true, 60}, {"tcp", 0, false, 100}} {
		q := question("many.service.example", dns.TypeA)
		if c.edns > 0 {
			q.SetEdns0(c.edns, false)
		}
		client := dns.Client{Net: c.network, Timeout: 5 * time.Second, UDPSize: 4096}
		reply, _, err := client.Exchange(q, addr)
		if err != nil {
			t.Fatalf("%s: %v", c.network, err)
		}
		limit := 65535
		if c.network == "udp" {
			limit = max(512, min(int(c.edns), maxUDP))
		}
		reply.Compress = true
		if reply.Truncated != c.tc || len(reply.Answer) < c.least || reply.Len() > limit {
			t.Errorf("%s edns %d: got tc %t, %d answers, %d octets, want tc %t, at least %d, at most %d",
				c.network, c.edns, reply.Truncated, len(reply.Answer), reply.Len(), c.tc, c.least, limit)
		}
	}
	if got := srv.Counters().Truncated; got != 2 {
		t.Errorf("Truncated: got %d, want 2", got)
	}
}

func TestUnanswerableQuestionsAreRefused(t *testing.T) {
	srv := &Server{cfg: Config{Answerer: testResolver(t), QueryTimeout: time.Second}}
	for _, c := range []struct {
		name  string
		edit  func(*dns.Msg)
		rcode int
	}{
		{"zone transfer", func(q *dns.Msg) { q.Question[0].Qtype = dns.TypeAXFR }, dns.RcodeRefused},
		{"class CHAOS", func(q *dns.Msg) { q.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
		{"dynamic update", func(q *dns.Msg) { q.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		{"no question", func(q *dns.Msg) { q.Question = nil }, dns.RcodeFormatError},
		{"two questions", func(q *dns.Msg) { q.Question = append(q.Question, q.Question[0]) }, dns.RcodeFormatError},
		{"unknown EDNS version", func(q *dns.Msg) { q.SetEdns0(1232, false); q.IsEdns0().SetVersion(1) }, dns.RcodeBadVers},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := question("service.example", dns.TypeA)
			c.edit(q)
			packed, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			reply := new(dns.Msg)
			if err := reply.Unpack(srv.respond(t.Context(), packed, maxUDP)); err != nil {
				t.Fatal(err)
			}
			if reply.Rcode != c.rcode || reply.Id != q.Id || !reply.Response {
				t.Errorf("got %s id %d qr %t, want %s id %d qr true", dns.RcodeToString[reply.Rcode], reply.Id,
					reply.Response, dns.RcodeToString[c.rcode], q.Id)
			}
		})
	}
}

func TestRepliesAreNeverAnswered(t *testing.T) {
	srv := &Server{cfg: Config{Answerer: testResolver(t), QueryTimeout: time.Second}}
	q := question("service.example", dns.TypeA)
	q.Response = true
	packed, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if got := srv.respond(t.Context(), packed, maxUDP); got != nil {
		t.Errorf("got %x, want no reply", got)
	}
	if got := srv.Counters().Malformed; got != 1 {
		t.Errorf("Malformed: got %d, want 1", got)
	}
}

func TestDatagramsAboveTheLimitAreDropped(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	srv, addr := start(t, Config{MaxQueries: 1, Answerer: upstreamFunc(func(*dns.Msg) *dns.Msg {
		select {
		case entered <- true:
		case <-leave: // nobody counts any more
		}
		<-leave
		return &dns.Msg{}
	})})
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packed, err := question("service.example", dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		if _, err := conn.Write(packed); err != nil {
			t.Fatal(err)
		}
	}
	send()
	<-entered // the only place is taken
	for srv.Counters().Dropped == 0 {
		send()
	}
	close(leave)
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 512)); err != nil {
		t.Errorf("the first question: got %v, want its reply", err)
	}
}

func TestConnectionsAboveTheLimitAreClosed(t *testing.T) {
	for name, cfg := range map[string]Config{"of all": {MaxConns: 1}, "of one peer": {MaxPerPeer: 1}} {
		t.Run(name, func(t *testing.T) {
			cfg.Answerer = testResolver(t)
			secondIsClosed(t, cfg)
		})
	}
}

func secondIsClosed(t *testing.T, cfg Config) {
	t.Helper()
	srv, addr := start(t, cfg)
	client := dns.Client{Net: "tcp", Timeout: 5 * time.Second}
	first, err := client.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, _, err := client.ExchangeWithConn(question("service.example", dns.TypeA), first); err != nil {
		t.Fatal(err)
	}
	second, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := second.Read(make([]byte, 1)); n != 0 || err == nil || isTimeout(err) {
		t.Errorf("second connection: got %d, %v, want it closed", n, err)
	}
	if got := srv.Counters().Refused; got != 1 {
		t.Errorf("Refused: got %d, want 1", got)
	}
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

func TestSilentConnectionsAreClosed(t *testing.T) {
	_, addr := start(t, Config{IdleTimeout: 20 * time.Millisecond, Answerer: testResolver(t)})
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte{0, 40, 1}); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || isTimeout(err) {
		t.Errorf("got %d, %v, want the connection closed", n, err)
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	if _, err := New(Config{Answerer: &Resolver{}}); err == nil {
		t.Error("without a socket: got nil, want an error")
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if _, err := New(Config{Packet: pc}); err == nil {
		t.Error("without an Answerer: got nil, want an error")
	}
}

func BenchmarkRespond(b *testing.B) {
	srv := &Server{cfg: Config{Answerer: testResolver(b), QueryTimeout: time.Second}}
	packed, err := question("service.example", dns.TypeA).Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if srv.respond(b.Context(), packed, maxUDP) == nil {
			b.Fatal("no reply")
		}
	}
}

// FuzzRespond: whatever arrives, the reply is a well-formed one of the right
// size to the right question, or there is none.
func FuzzRespond(f *testing.F) {
	for _, q := range []*dns.Msg{
		question("service.example", dns.TypeA),
		question("many.service.example", dns.TypeA).SetEdns0(4096, true),
		question("out.service.example", dns.TypeANY),
		question(`\000.x\046y.service.example`, dns.TypeTXT),
	} {
		packed, err := q.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		srv := &Server{cfg: Config{Answerer: testResolver(t), QueryTimeout: time.Second}}
		for _, limit := range []int{maxUDP, maxTCP} {
			out := srv.respond(t.Context(), packet, limit)
			if out == nil {
				continue
			}
			if len(out) > limit || len(out) < 12 {
				t.Fatalf("got %d octets, want 12 to %d", len(out), limit)
			}
			reply := new(dns.Msg)
			if err := reply.Unpack(out); err != nil {
				t.Fatalf("Unpack of the reply %x: %v", out, err)
			}
			if !reply.Response || out[0] != packet[0] || out[1] != packet[1] {
				t.Fatalf("got %v, want a response with the id of %x", reply, packet)
			}
		}
	})
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
