package server

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

func TestForwarderCarriesAnswersThrough(t *testing.T) {
	_, upstream := start(t, Config{Answerer: testResolver(t)})
	f := &Forwarder{Upstream: netip.MustParseAddrPort(upstream), Dial: dial}
	_, addr := start(t, Config{Answerer: f})

	client := dns.Client{Timeout: 5 * time.Second}
	reply, _, err := client.Exchange(question("service.example", dns.TypeA), addr)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lastFields(reply.Answer), []string{"10.0.1.9", "10.0.2.9"}; !slices.Equal(got, want) {
		t.Errorf("answer: got %v, want %v", got, want)
	}
	reply, _, err = client.Exchange(question("nothing.service.example", dns.TypeA), addr)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Rcode != dns.RcodeNameError || len(reply.Ns) != 1 {
		t.Errorf("negative: got %v, want NXDOMAIN with SOA", reply)
	}
	if got, want := f.Counters(), (ForwarderCounters{Forwarded: 2}); got != want {
		t.Errorf("Counters: got %+v, want %+v", got, want)
	}
}

func TestForwarderAsksAgainOverTCPWhenTruncated(t *testing.T) {
	_, upstream := start(t, Config{Answerer: testResolver(t)})
	f := &Forwarder{Upstream: netip.MustParseAddrPort(upstream), Dial: dial}
	reply := f.Answer(t.Context(), question("many.service.example", dns.TypeA))
	if len(reply.Answer) != 100 {
		t.Errorf("got %d answers, want 100", len(reply.Answer))
	}
	if got := f.Counters().Streams; got != 1 {
		t.Errorf("Streams: got %d, want 1", got)
	}
}

func TestForwarderAnswersServfailWhenUpstreamIsSilent(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	f := &Forwarder{Upstream: netip.MustParseAddrPort(silent.LocalAddr().String()), Dial: dial, Timeout: 20 * time.Millisecond}
	if reply := f.Answer(t.Context(), question("service.example", dns.TypeA)); reply.Rcode != dns.RcodeServerFailure {
		t.Errorf("got %v, want SERVFAIL", reply)
	}
	if got, want := f.Counters(), (ForwarderCounters{Timeouts: 2, Failures: 1}); got != want {
		t.Errorf("Counters: got %+v, want %+v", got, want)
	}
}

func TestForwarderIgnoresForgedReplies(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	done := make(chan error, 1)
	go func() { done <- forgeThenAnswer(pc) }()
	f := &Forwarder{Upstream: netip.MustParseAddrPort(pc.LocalAddr().String()), Dial: dial, Timeout: 5 * time.Second}
	reply := f.Answer(t.Context(), question("service.example", dns.TypeA))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, want := lastFields(reply.Answer), []string{"10.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("answer: got %v, want %v", got, want)
	}
}

// forgeThenAnswer answers one question with noise, a wrong id, a wrong name and
// at last rightly.
func forgeThenAnswer(pc net.PacketConn) error {
	buf := make([]byte, 4096)
	n, peer, err := pc.ReadFrom(buf)
	if err != nil {
		return err
	}
	q := new(dns.Msg)
	if err := q.Unpack(buf[:n]); err != nil {
		return err
	}
	reply := func(idOffset uint16, name, value string) ([]byte, error) {
		m := new(dns.Msg).SetReply(q)
		m.Id += idOffset
		m.Question[0].Name = name
		rr, err := dns.NewRR(name + " 60 IN A " + value)
		if err != nil {
			return nil, err
		}
		m.Answer = []dns.RR{rr}
		return m.Pack()
	}
	wrongID, err := reply(1, q.Question[0].Name, "10.6.6.6")
	if err != nil {
		return err
	}
	wrongName, err := reply(0, "evil.example.", "10.6.6.7")
	if err != nil {
		return err
	}
	right, err := reply(0, "service.example.", "10.0.0.1")
	if err != nil {
		return err
	}
	for _, packet := range [][]byte{{1, 2, 3}, wrongID, wrongName, right} {
		if _, err := pc.WriteTo(packet, peer); err != nil {
			return err
		}
	}
	return nil
}
