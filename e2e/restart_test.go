//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// maxGap is how long traffic may pause when a gateway is killed and started
// again.
const maxGap = time.Second

// A lifeline sees what crosses the internet during a test, and an uninterrupted ping
// from end to end.
type lifeline struct {
	t       *testing.T
	w       *world.World
	file    string
	capture *exec.Cmd
	ping    *exec.Cmd
	replies output
}

// output is what a process has written so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// newLifeline begins to watch.
func newLifeline(t *testing.T, w *world.World) *lifeline {
	t.Helper()
	r := &lifeline{t: t, w: w, file: filepath.Join(t.TempDir(), "internet.pcap")}
	var said output
	r.capture = w.Command("inet", "tcpdump", "-i", "a0", "-n", "-U", "-w", r.file, "ip")
	r.capture.Stderr = &said
	r.ping = w.Command("client", "ping", "-n", "-D", "-i", "0.01", world.Server)
	r.ping.Stdout = &r.replies
	for _, c := range []*exec.Cmd{r.capture, r.ping} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Process.Kill(); c.Wait() })
		if c == r.capture {
			w.Until("the capture", 5*time.Second, func() error {
				if !strings.Contains(said.String(), "listening on") {
					return fmt.Errorf("tcpdump says %q", said.String())
				}
				return nil
			})
		}
	}
	return r
}

// answered counts the replies so far.
func (r *lifeline) answered() int { return strings.Count(r.replies.String(), "bytes from") }

// more waits for n replies more.
func (r *lifeline) more(n int) {
	r.t.Helper()
	want := r.answered() + n
	r.w.Until(fmt.Sprintf("%d replies more", n), 20*time.Second, func() error {
		if got := r.answered(); got < want {
			return fmt.Errorf("%d of %d", got, want)
		}
		return nil
	})
}

// stamp is the time at the beginning of a line of ping -D.
var stamp = regexp.MustCompile(`(?m)^\[([0-9.]+)\] \d+ bytes from`)

// longest is the longest time between two replies since there were first of
// them.
func (r *lifeline) longest(first int) time.Duration {
	r.t.Helper()
	longest, last := 0.0, 0.0
	for i, m := range stamp.FindAllStringSubmatch(r.replies.String(), -1) {
		at, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			r.t.Fatal(err)
		}
		if i >= max(first, 1) {
			longest = max(longest, at-last)
		}
		last = at
	}
	return time.Duration(longest * float64(time.Second)).Round(time.Millisecond)
}

// espLine is a packet of ESP as tcpdump prints it.
var espLine = regexp.MustCompile(`ESP\(spi=0x([0-9a-f]+),seq=0x([0-9a-f]+)\)`)

// endAsBefore ends it, and fails unless both SAs are those of before the kills.
func (r *lifeline) endAsBefore(to report) {
	r.t.Helper()
	packets, sas, inits := r.end()
	to.line("sequence numbers", "%d packets of %d SAs, strictly increasing", packets, sas)
	if sas != 2 || inits != 0 {
		r.t.Errorf("got %d SAs and %d IKE_SA_INITs, want the 2 of before and none", sas, inits)
	}
}

// end stops watching, and fails unless the sequence numbers of each SA went up
// only and nothing of the ping crossed in clear. The kernel of a gateway that is
// dead answers ESP by ICMP errors, which tell nothing of what is inside. It returns how many packets and SAs there were, and the IKE_SA_INITs.
func (r *lifeline) end() (packets, sas, inits int) {
	r.t.Helper()
	for _, c := range []*exec.Cmd{r.ping, r.capture} {
		c.Process.Signal(syscall.SIGINT)
		c.Wait()
	}
	out, err := exec.Command("tcpdump", "-n", "-r", r.file).Output()
	if err != nil {
		r.t.Fatal(err)
	}
	last := map[string]uint64{}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "ikev2_init[I]") {
			inits++
		}
		if strings.Contains(line, "ICMP echo") {
			r.t.Errorf("in clear on the internet: %s", line)
		}
		m := espLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		packets++
		seq, err := strconv.ParseUint(m[2], 16, 64)
		if err != nil {
			r.t.Fatal(err)
		}
		if before := last[m[1]]; seq <= before {
			r.t.Errorf("SPI %s: sequence number %d after %d", m[1], seq, before)
		}
		last[m[1]] = seq
	}
	return packets, len(last), inits
}

// kill kills g and starts it again until traffic has gone on in time three
// times, five times at most: a busy machine gets two more tries.
func kill(r report, life *lifeline, who string, g *ourgateway.Gateway) {
	r.t.Helper()
	life.more(20)
	var pauses []time.Duration
	for good := 0; good < 3; {
		if len(pauses) == 5 {
			r.t.Fatalf("%s killed: traffic paused for %v, want three times at most %v", who, pauses, maxGap)
		}
		before := life.answered()
		g.Kill()
		g.Again()
		life.more(30)
		pause := life.longest(before)
		if pauses = append(pauses, pause); pause <= maxGap {
			good++
		}
	}
	r.w.Until("our tunnel", 5*time.Second, func() error { return up(g) })
	r.line(who+" killed", "traffic paused for %v", pauses)
}

// identity is strongSwan's unique number of the IKE SA, and its SPIs.
var identity = regexp.MustCompile(`t1: (#\d+), ESTABLISHED, IKEv2, (\w+_i\*?) (\w+_r\*?)`)

func identityOf(t *testing.T, swan *strongswan.Charon) string {
	t.Helper()
	m := identity.FindAllString(swan.SAs(), -1)
	if len(m) != 1 {
		t.Fatalf("strongSwan: got %q, want one IKE SA:\n%s", m, swan.SAs())
	}
	return m[0]
}

// TestKilledGatewayGoesOnWithStrongSwan kills our gateway at either end of a
// tunnel with strongSwan: the same IKE SA goes on, and can be rekeyed.
func TestKilledGatewayGoesOnWithStrongSwan(t *testing.T) {
	for _, initiate := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate %v", initiate), func(t *testing.T) {
			w := world.New(t)
			s := suites[0]
			cfg := ourConfig(s, initiate)
			var ours *ourgateway.Gateway
			var swan *strongswan.Charon
			if initiate {
				swan = swanResponder(t, w, s)
				swan.Route()
				ours = ourgateway.Start(t, w, cfg)
			} else {
				ours = ourgateway.Start(t, w, cfg)
				swan = swanCustomer(t, w, s)
				swan.Route()
				swan.Initiate()
			}
			w.Until("our tunnel", 10*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)
			before := identityOf(t, swan)
			r := newReport(t, w, "Seikan, killed, and strongSwan", s.name)
			life := newLifeline(t, w)
			kill(r, life, "Seikan", ours)
			if after := identityOf(t, swan); after != before {
				t.Errorf("strongSwan has %s, had %s: a new IKE SA", after, before)
			}
			life.endAsBefore(r)
			renewed(r, "CHILD", ours, ours.RekeyChild)
			renewed(r, "IKE, by the peer", ours, swan.RekeyIKE)
			ours.Kill()
			ours.Again()
			w.Until("traffic after one more death", 5*time.Second, w.Reach)
			w.Until("our tunnel", 5*time.Second, func() error { return up(ours) })
			renewed(r, "IKE", ours, ours.RekeyIKE)
			ours.Stop()
			leftBehind(t, ours)
		})
	}
}

// renewed rekeys an SA that has gone on after a restart.
func renewed(r report, what string, g *ourgateway.Gateway, rekey func()) {
	r.t.Helper()
	before, err := g.Current()
	if err != nil {
		r.t.Fatal(err)
	}
	rekey()
	r.w.Until("rekey of "+what, 10*time.Second, func() error {
		if now, err := g.Current(); err != nil || now == before {
			return fmt.Errorf("still %s, %w", now, err)
		}
		return r.w.Reach()
	})
	r.line("rekey of "+what, "traffic passes")
}

// leftBehind fails if an orderly end has left state.
func leftBehind(t *testing.T, g *ourgateway.Gateway) {
	t.Helper()
	entries, err := os.ReadDir(g.StateDirectory())
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if e.Name() != "lock" {
			t.Errorf("%s is left after SIGTERM", e.Name())
		}
	}
}

// TestKilledGatewayGoesOnWithOurselves kills each end, in UDP and in plain ESP.
func TestKilledGatewayGoesOnWithOurselves(t *testing.T) {
	for _, carrier := range []string{"natt", "plain"} {
		t.Run(carrier, func(t *testing.T) {
			w := world.New(t)
			s := suites[1]
			customer, responder := ourConfig(s, true), ourConfig(s, false)
			if carrier == "plain" {
				w.WithoutNAT()
				responder.Remote = world.Customer
			}
			resp := ourgateway.Start(t, w, responder)
			cgw := ourgateway.Start(t, w, customer)
			w.Until("the tunnel", 10*time.Second, func() error { return up(cgw) })
			w.Until("first ping", 5*time.Second, w.Reach)
			r := newReport(t, w, "Seikan and Seikan, killed, "+carrier, s.name)
			life := newLifeline(t, w)
			kill(r, life, "the customer's", cgw)
			kill(r, life, "the responder", resp)
			life.endAsBefore(r)
			renewed(r, "IKE", cgw, resp.RekeyIKE)
			renewed(r, "CHILD", cgw, cgw.RekeyChild)
		})
	}
}
