//go:build e2e

package e2e

import (
	"bufio"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
)

//go:embed testdata/hostile.py
var hostileScript []byte

// silence is the answer to what proves nothing and makes no sense.
const silence = ""

// hostile is what a stranger with the peer's address may send, and what the
// answer begins with: version/exchange: payloads.
var hostile = []struct{ name, want string }{
	{"v2 weak algorithms", "2/34: N(14)"},                           // NO_PROPOSAL_CHOSEN
	{"v2 nothing but a proposal without transforms", "2/34: N(14)"}, //
	{"v2 key of another group", "2/34: N(17:000e)"},                 // INVALID_KE_PAYLOAD, group 14
	{"v2 key of zero", "2/34: N(7)"},                                // INVALID_SYNTAX
	{"v2 key cut short", "2/34: N(7)"},
	{"v2 unknown critical payload", "2/34: N(1:c8)"}, // UNSUPPORTED_CRITICAL_PAYLOAD
	{"v2 unknown payload", "2/34: N(14)"},            // it is skipped
	{"v2 reserved bits", "2/34: N(14)"},              // they are ignored
	{"v2 minor version", "2/34: N(14)"},              //
	{"v2 no nonce", "2/34: N(7)"},
	{"v2 no SA", "2/34: N(7)"},
	{"v2 no payloads", "2/34: N(7)"},
	{"v2 major version 3", "2/34: N(5)"}, // INVALID_MAJOR_VERSION
	{"v2 major version 15", "2/34: N(5)"},
	{"v2 major version 3, a response", silence},
	{"v2 IKE_AUTH of no SA", "2/35: N(4)"}, // INVALID_IKE_SPI
	{"v2 response of no SA", silence},
	{"v2 exchange 255 of no SA", "2/255: N(4)"},
	{"v2 IKE_SA_INIT as a response", silence},
	{"v2 IKE_SA_INIT with message id 1", silence},
	{"v2 IKE_SA_INIT with both SPIs", silence},
	{"v2 SPI of zero", silence},
	{"v2 truncated in the header", silence},
	{"v2 header only, length of the whole", silence},
	{"v2 truncated in a payload", silence},
	{"v2 length too large", silence},
	{"v2 length too small", silence},
	{"v2 length of four gigabytes", silence},
	{"v2 octets after the message", silence},
	{"v2 payload of length 0", silence},
	{"v2 payload of length 3", silence},
	{"v2 payload beyond the end", silence},
	{"v2 proposal of length 0", silence},
	{"v2 transforms counted wrong", silence},
	{"v2 SPI longer than its proposal", silence},
	{"v2 a thousand proposals", silence},
	{"v2 two thousand transforms", silence},
	{"v2 a thousand payloads", silence},
	{"v2 sixty thousand octets", silence},
	{"v2 fragment of no SA", silence},
	{"v2 as it should be", "2/34: SA KE Nonce"},
	{"v2 the same again", "2/34: SA KE Nonce"},
	{"v2 another one", "2/34: N(16390)"}, // COOKIE, while one is half open
	{"v2 wrong cookie", "2/34: N(16390)"},
	{"v1 aggressive mode", "1/5: N(7)"}, // INVALID-EXCHANGE-TYPE
	{"v1 transaction", "1/5: N(7)"},
	{"v1 exchange 240", "1/5: N(7)"},
	{"v1 weak algorithms", "1/5: N(14)"}, // NO-PROPOSAL-CHOSEN
	{"v1 no SA", "1/5: N(16)"},           // PAYLOAD-MALFORMED
	{"v1 no payloads", "1/5: N(16)"},
	{"v1 domain of interpretation 9", silence},
	{"v1 reserved octet", silence},
	{"v1 truncated", silence},
	{"v1 length too large", silence},
	{"v1 payload of length 0", silence},
	{"v1 two hundred transforms of a thousand", silence},
	{"v1 long SPI", "1/2: SA"}, // which says nothing in phase 1,
	{"v1 cookie of zero", silence},
	{"v1 message id in main mode", silence},
	{"v1 encrypted first message", silence},
	{"v1 quick mode of no SA", silence},
	{"v1 DELETE in the clear", silence},
	{"v1 third message of no SA", silence},
	{"v1 fragment of no SA", silence},
	{"v1 as it should be", "1/2: SA"},
	{"v1 the same again", "1/2: SA"},
	{"nothing", silence},
	{"one octet", silence},
	{"27 octets", silence},
	{"zeros", silence},
	{"noise", silence},
	{"version 0", silence},
	{"4500: two octets", silence},
	{"4500: the marker alone", silence},
	{"4500: half a header", silence},
	{"4500: ESP of no SA", silence},
	{"4500: ESP too short", silence},
	{"4500: weak algorithms", "2/34: N(14)"},
	{"4500: IKE without the marker", silence},
}

// scans are runs of ike-scan and what it says it got.
var scans = []struct {
	name string
	args []string
	want string
}{
	{"main mode with what it offers by itself", nil, "NO-PROPOSAL-CHOSEN"},
	{"main mode with DES and MD5", []string{"--trans=1,1,1,1"}, "NO-PROPOSAL-CHOSEN"},
	{"main mode with what is ours", []string{"--trans=7/256,4,1,14"}, "Main Mode Handshake returned"},
	{"aggressive mode", []string{"--aggressive", "--id=site"}, "INVALID-EXCHANGE-TYPE"},
	{"IKEv2 with what it offers by itself", []string{"--ikev2"}, "Notify"},
	{"port 4500", []string{"--nat-t", "--trans=7/256,4,1,14"}, "Main Mode Handshake returned"},
}

// TestHostilePeer sends a gateway with a tunnel that is up all that ike-scan
// and scapy can make, with the address of its peer and with another one. Each
// message gets the answer that the RFC asks for, or none, and the tunnel does
// not notice.
func TestHostilePeer(t *testing.T) {
	w := world.New(t)
	s := suites[1]
	resp, cgw := ourgateway.Start(t, w, ourConfig(s, false)), ourgateway.Start(t, w, ourConfig(s, true))
	w.Until("the tunnel", 20*time.Second, func() error { return errors.Join(up(cgw), up(resp)) })
	w.Until("first ping", 5*time.Second, w.Reach)
	r := newReport(t, w, "what no honest peer sends", s.name)
	before, err := resp.Current()
	if err != nil {
		t.Fatal(err)
	}

	pings := make(chan string, 1)
	go func() {
		sent, answered, err := w.Ping("client", world.Server, 30000, 4*time.Millisecond)
		if err != nil || sent != answered {
			pings <- fmt.Sprintf("got %d of %d answered, %v", answered, sent, err)
		}
		close(pings)
	}()
	scan(t, w, r)
	answers(t, w, r)
	if problem := <-pings; problem != "" {
		t.Errorf("pings meanwhile: %s, want all", problem)
	}
	r.line("pings meanwhile", "30000 sent and answered")
	after, err := resp.Current()
	if err != nil || after != before {
		t.Errorf("the tunnel: got %s, %v, want %s as before", after, err, before)
	}
	if got, err := resp.PeakMemory(); err != nil || got > peakMemory {
		t.Errorf("memory: got %d octets, %v, want at most %d", got, err, peakMemory)
	}
	cgw.RekeyIKE()
	cgw.RekeyChild()
	r.pings(200, 5*time.Millisecond)
}

// scan runs ike-scan from the peer's address, and from one that nobody has a
// tunnel with, which gets nothing at all.
func scan(t *testing.T, w *world.World, r report) {
	t.Helper()
	run := func(ns string, args []string) string {
		base := []string{"ike-scan", "--sport=0", "--retry=3", "--timeout=1200", "--multiline"}
		return w.Exec(ns, append(append(base, args...), world.Responder)...)
	}
	for _, c := range scans {
		if out := run("nat", c.args); !strings.Contains(out, c.want) {
			t.Errorf("ike-scan, %s: got\n%s\nwant %q", c.name, out, c.want)
		}
		if out := run("inet", c.args); !strings.Contains(out, "0 returned handshake; 0 returned notify") {
			t.Errorf("ike-scan from a stranger's address, %s: got\n%s\nwant no answer", c.name, out)
		}
	}
	r.line("ike-scan", "%d kinds, answered as expected to the peer's address and not at all to a stranger's", len(scans))
}

// answers sends every case of the script from the peer's address.
func answers(t *testing.T, w *world.World, r report) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "hostile.py")
	if err := os.WriteFile(script, hostileScript, 0o600); err != nil {
		t.Fatal(err)
	}
	var cases strings.Builder
	for _, c := range hostile {
		kind := "answer"
		if c.want == silence {
			kind = "silence"
		}
		fmt.Fprintf(&cases, "%s\t%s\n", c.name, kind)
	}
	cmd := w.Command("nat", "/usr/bin/python3", script, world.Responder)
	cmd.Stdin = strings.NewReader(cases.String())
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scapy: %v\n%s", err, errs.String())
	}
	got := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		name, answer, _ := strings.Cut(lines.Text(), "\t")
		got[name] = answer
	}
	for _, c := range hostile {
		switch answer, ran := got[c.name]; {
		case !ran:
			t.Errorf("scapy, %s: was not run", c.name)
		case c.want == silence && answer != silence, !strings.HasPrefix(answer, c.want):
			t.Errorf("scapy, %s: got %q, want %q", c.name, answer, c.want)
		}
	}
	r.line("scapy", "%d kinds of message, answered or not as expected", len(hostile))
}
