package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/internal/lab/probe"
	"seikan/internal/lab/server"
	"seikan/internal/nettest"
)

// The test clients and the test servers are tried against each other, in a
// network of the tests' own, so that ports such as 21 are free.
func TestMain(m *testing.M) { nettest.Main(m) }

// serve runs a server until the test ends.
func serve(t *testing.T, run func(ctx context.Context, ready func()) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("server: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
	})
}

func ask(t *testing.T, q probe.Question) probe.Result {
	t.Helper()
	if q.Timeout == 0 {
		q.Timeout = 2 * time.Second
	}
	return probe.Ask(t.Context(), q)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// resolver serves a zone in which every name of the tests is, and forwards
// another to servers of which the first is silent.
func resolver(t *testing.T) netip.AddrPort {
	t.Helper()
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	far, near := netip.MustParseAddrPort("127.0.0.2:53"), netip.MustParseAddrPort("127.0.0.1:53")
	serve(t, func(ctx context.Context, ready func()) error {
		return server.ServeDNS(ctx, server.DNSConfig{Listen: far.String(), Log: quiet(), Zones: []server.DNSZone{{Name: "service.example", Records: []string{"@ 60 IN A 10.0.1.4", "@ 60 IN A 10.0.2.4"}}}}, ready)
	})
	serve(t, func(ctx context.Context, ready func()) error {
		return server.ServeDNS(ctx, server.DNSConfig{Listen: near.String(), Log: quiet(), Try: 100 * time.Millisecond,
			Zones: []server.DNSZone{{Name: "corp.example", Records: []string{
				"web 300 IN A 127.0.0.1", "www 300 IN CNAME web.corp.example.", "note 300 IN TXT \"a note\"", "a.b 300 IN A 127.0.0.9",
			}}},
			Forwards: []server.DNSForward{{Zone: "service.example", To: []netip.AddrPort{netip.MustParseAddrPort(silent.LocalAddr().String()), far}}}}, ready)
	})
	return near
}

func TestDNSServerAnswersAndForwards(t *testing.T) {
	at := resolver(t)
	for _, c := range []struct{ name, qtype, rcode, answers string }{
		{"web.corp.example", "A", "NOERROR", "A 127.0.0.1"},
		{"WEB.Corp.Example", "A", "NOERROR", "A 127.0.0.1"},
		{"www.corp.example", "A", "NOERROR", "CNAME web.corp.example.|A 127.0.0.1"},
		{"web.corp.example", "AAAA", "NOERROR", ""},
		{"b.corp.example", "A", "NOERROR", ""}, // it has a name below it
		{"nothing.corp.example", "A", "NXDOMAIN", ""},
		{"note.corp.example", "TXT", "NOERROR", `TXT "a note"`},
		{"service.example", "A", "NOERROR", "A 10.0.1.4|A 10.0.2.4"}, // by the second forwarder
		{"no.service.example", "A", "NXDOMAIN", ""},
		{"elsewhere.test", "A", "REFUSED", ""},
	} {
		r := ask(t, probe.Question{Kind: probe.DNS, Target: c.name, Type: c.qtype, Resolver: at})
		if r.DNS == nil {
			t.Errorf("%s %s: got %v, want an answer", c.name, c.qtype, r)
			continue
		}
		if got := strings.Join(r.DNS.Answers, "|"); r.DNS.Rcode != c.rcode || got != c.answers {
			t.Errorf("%s %s: got %s %q, want %s %q", c.name, c.qtype, r.DNS.Rcode, got, c.rcode, c.answers)
		}
	}
}

func TestForwarderThatIsGoneGivesServerFailure(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.3:53")
	serve(t, func(ctx context.Context, ready func()) error {
		return server.ServeDNS(ctx, server.DNSConfig{Listen: at.String(), Log: quiet(), Try: 50 * time.Millisecond,
			Forwards: []server.DNSForward{{Zone: "gone.example", To: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")}}}}, ready)
	})
	if r := ask(t, probe.Question{Kind: probe.DNS, Target: "x.gone.example", Resolver: at}); r.DNS == nil || r.DNS.Rcode != "SERVFAIL" || r.Outcome != probe.Refused {
		t.Errorf("got %v, want SERVFAIL", r)
	}
}

// web serves web.corp.example with a certificate for it, and returns the
// authority's file.
func web(t *testing.T) (caFile string) {
	t.Helper()
	ca, err := server.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := ca.Issue("web.corp.example", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{"ca": ca.PEM(), "cert": cert, "key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, func(ctx context.Context, ready func()) error {
		return server.ServeWeb(ctx, server.WebConfig{Name: "web-1", Listen: "127.0.0.1:443", Plain: "127.0.0.1:80", CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key"), Log: quiet()}, ready)
	})
	return filepath.Join(dir, "ca")
}

func TestWebClientSeesWhoAnswers(t *testing.T) {
	at, ca := resolver(t), web(t)
	r := ask(t, probe.Question{Kind: probe.HTTPS, Target: "https://web.corp.example/", Resolver: at, CAFile: ca})
	if r.Outcome != probe.Answered || r.HTTP == nil || r.HTTP.Status != 200 || r.HTTP.Server != "web-1" || r.HTTP.TLS != "TLS 1.3" {
		t.Fatalf("got %v, want 200 from web-1 over TLS 1.3", r)
	}
	if r.HTTP.Client != r.Local.String() || r.Remote != netip.MustParseAddrPort("127.0.0.1:443") {
		t.Errorf("got client %s and remote %v, want %v and 127.0.0.1:443", r.HTTP.Client, r.Remote, r.Local)
	}
	bulk := ask(t, probe.Question{Kind: probe.HTTPS, Target: "https://web.corp.example/bytes?n=3000000", Resolver: at, CAFile: ca})
	if bulk.Bytes != 3000000 {
		t.Errorf("got %v, want 3000000 bytes", bulk)
	}
	if r := ask(t, probe.Question{Kind: probe.HTTPS, Target: "http://web.corp.example/bytes?n=-1", Resolver: at}); r.Outcome != probe.Refused || r.HTTP.Status != 400 {
		t.Errorf("got %v, want a refusal with 400", r)
	}
	byAddress := ask(t, probe.Question{Kind: probe.HTTPS, Target: "https://127.0.0.1/", CAFile: ca})
	if byAddress.Outcome != probe.Answered || byAddress.HTTP.Sum != "" {
		t.Errorf("by address: got %v, want it answered, and no sum that was not asked for", byAddress)
	}
	other := ask(t, probe.Question{Kind: probe.HTTPS, Target: "https://www.corp.example/", Resolver: at, CAFile: ca})
	if other.Outcome != probe.Failed || !strings.Contains(other.Error, "certificate") {
		t.Errorf("got %v, want the wrong name refused", other)
	}
}

func TestNoiseArrivesAsItWasSentAndNoFaster(t *testing.T) {
	ca := web(t)
	const n, rate = 300_000, 1_000_000
	sum := sha256.New()
	if _, err := io.CopyN(sum, server.Noise(), n); err != nil {
		t.Fatal(err)
	}
	r := ask(t, probe.Question{Kind: probe.HTTPS, Target: fmt.Sprintf("https://127.0.0.1/noise?n=%d&rate=%d", n, rate), CAFile: ca, Sum: true})
	if want := hex.EncodeToString(sum.Sum(nil)); r.Bytes != n || r.HTTP.Sum != want {
		t.Fatalf("got %d octets with %v, want %d with %s", r.Bytes, r.HTTP, n, want)
	}
	if r.Took < 250*time.Millisecond || r.HTTP.Pause <= 0 || r.HTTP.Pause > r.Took {
		t.Errorf("got %v with a pause of %v, want about 300 ms and pauses within", r.Took, r.HTTP.Pause)
	}
	for _, query := range []string{"n=1", "n=1&rate=0", "n=-1&rate=1000", "n=x&rate=1000"} {
		if r := ask(t, probe.Question{Kind: probe.HTTPS, Target: "https://127.0.0.1/noise?" + query, CAFile: ca}); r.HTTP == nil || r.HTTP.Status != 400 {
			t.Errorf("%s: got %v, want a refusal with 400", query, r)
		}
	}
}

func TestFTPClientTransfersPassively(t *testing.T) {
	const size = 300_000
	serve(t, func(ctx context.Context, ready func()) error {
		return server.ServeFTP(ctx, server.FTPConfig{Name: "ftp-1", Listen: "127.0.0.1:21", FirstPort: 1024, LastPort: 1024, Files: map[string]int64{"hello.bin": size}, Log: quiet()}, ready)
	})
	for range 2 { // the passive port must be free again
		r := ask(t, probe.Question{Kind: probe.FTP, Target: "ftp://127.0.0.1/hello.bin"})
		if r.Outcome != probe.Answered || r.Bytes != size || r.FTP.Data != netip.MustParseAddrPort("127.0.0.1:1024") || r.FTP.Greeting != "ftp-1 is ready" {
			t.Fatalf("got %v, want %d bytes from port 1024", r, size)
		}
	}
	if r := ask(t, probe.Question{Kind: probe.FTP, Target: "ftp://127.0.0.1/none"}); r.Outcome != probe.Refused || !strings.Contains(r.Error, "550") {
		t.Errorf("got %v, want the missing file refused", r)
	}
}

// talk sends lines to the FTP server and returns its answers.
func talk(t *testing.T, conn net.Conn, lines ...string) (out []string) {
	t.Helper()
	buf := make([]byte, 1024)
	read := func() {
		conn.SetReadDeadline(time.Now().Add(2 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("after %q: %v", out, err)
		}
		out = append(out, strings.TrimSpace(string(buf[:n])))
	}
	read()
	for _, l := range lines {
		fmt.Fprintf(conn, "%s\r\n", l)
		read()
	}
	return out
}

func TestFTPServerKeepsStrangersFromTheData(t *testing.T) {
	serve(t, func(ctx context.Context, ready func()) error {
		return server.ServeFTP(ctx, server.FTPConfig{Name: "f", Listen: "127.0.0.1:2121", Advertise: netip.MustParseAddr("192.0.2.7"), FirstPort: 1024, LastPort: 1025,
			Files: map[string]int64{"f": 10}, Log: quiet()}, ready)
	})
	conn, err := net.Dial("tcp4", "127.0.0.1:2121")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got := talk(t, conn, "RETR f", "USER root", "PASS x", "USER anonymous", "PASS x", "SIZE f", "PORT 127,0,0,1,4,1", "PASV", "BOGUS")
	want := []string{"220 f is ready", "530 ", "331 ", "530 ", "331 ", "230 ", "213 10", "502 ", "227 Entering Passive Mode (192,0,2,7,4,0)", `502 this server does not know "BOGUS"`}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("answer %d: got %q, want %q…", i, got[i], want[i])
		}
	}
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 8)}}
	thief, err := stranger.Dial("tcp4", "127.0.0.1:1024")
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	fmt.Fprint(conn, "RETR f\r\n")
	var all string
	buf := make([]byte, 1024)
	for !strings.Contains(all, "425 ") {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("after %q: %v, want 425", all, err)
		}
		all += string(buf[:n])
	}
	if n, _ := thief.Read(buf); n != 0 {
		t.Errorf("the stranger got %d bytes, want none", n)
	}
}

func TestPingCountsAnswersAndSilence(t *testing.T) {
	r := ask(t, probe.Question{Kind: probe.Ping, Target: "127.0.0.1", Count: 20, Interval: time.Millisecond})
	if r.Outcome != probe.Answered || r.Ping.Received != 20 || r.Ping.Loss() != 0 || r.Ping.Gap != 0 || r.Ping.Min <= 0 || r.Ping.Max < r.Ping.Avg {
		t.Errorf("got %v, want 20 of 20 answered", r)
	}
	if r := ask(t, probe.Question{Kind: probe.Ping, Target: "192.0.2.1", Count: 2, Interval: time.Millisecond, Timeout: 100 * time.Millisecond}); r.Outcome != probe.Unreachable {
		t.Errorf("got %v, want unreachable: there is no route", r)
	}
}

func TestTCPOutcomes(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if r := ask(t, probe.Question{Kind: probe.TCP, Target: ln.Addr().String()}); r.Outcome != probe.Answered {
		t.Errorf("open port: got %v", r)
	}
	if r := ask(t, probe.Question{Kind: probe.TCP, Target: "127.0.0.1:9"}); r.Outcome != probe.Refused {
		t.Errorf("closed port: got %v", r)
	}
	if r := ask(t, probe.Question{Kind: probe.TCP, Target: "192.0.2.1:9"}); r.Outcome != probe.Unreachable {
		t.Errorf("no route: got %v", r)
	}
	if r := ask(t, probe.Question{Kind: "carrier pigeon"}); r.Outcome != probe.Failed {
		t.Errorf("unknown client: got %v", r)
	}
}
