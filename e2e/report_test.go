//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
)

// report runs the checks that are the same whoever stands at the ends, and
// prints a line of figures for each.
type report struct {
	t     *testing.T
	w     *world.World
	start time.Time
	// ours are the ends whose own counters tell what they dropped.
	ours []*ourgateway.Gateway
	// carrier is what ESP travels in, as world.Seen names it.
	carrier string
}

func newReport(t *testing.T, w *world.World, who, suite string) report {
	fmt.Printf("\n%s: %s\n", who, suite)
	return report{t: t, w: w, start: time.Now(), carrier: "natt"}
}

// line prints one row of the table.
func (r report) line(what, format string, args ...any) {
	fmt.Printf("  %5.1f s  %-34s %s\n", time.Since(r.start).Seconds(), what, fmt.Sprintf(format, args...))
}

// pings sends count pings, of which none may be lost.
func (r report) pings(count int, interval time.Duration) {
	r.t.Helper()
	sent, answered, err := r.w.Ping("client", world.Server, count, interval)
	if err != nil || answered != sent || sent != count {
		r.t.Errorf("ping: got %d of %d answered, %v, want all %d", answered, sent, err, count)
	}
	r.line("ping", "%d sent, %d answered", sent, answered)
}

// sizes sends packets around the tunnel's MTU and far beyond it. What may be
// cut must arrive whole; what may not be cut and does not fit must be answered
// with an ICMP message that names the MTU, and fit when it obeys.
func (r report) sizes() {
	r.t.Helper()
	sizes := []int{0, 1, 1200, 1300, 1350, 1380, 1400, 1431, 1472, 2000, 4000, 20000}
	for _, octets := range sizes {
		if out, ok := r.w.PingSize(octets, false); !ok {
			r.t.Errorf("ping of %d octets that may be cut: got no answer: %s", octets, out)
		}
	}
	out, ok := r.w.PingSize(1472, true)
	_, after, named := strings.Cut(out, "mtu = ")
	mtu, err := strconv.Atoi(strings.TrimRight(strings.SplitN(after, "\n", 2)[0], ") "))
	if ok || !named || err != nil {
		r.t.Errorf("ping of 1472 octets that must not be cut: got answered %v, %q, want an MTU", ok, out)
		return
	}
	if out, ok := r.w.PingSize(mtu-28, true); !ok { // 20 octets of IPv4 and 8 of ICMP
		r.t.Errorf("ping of %d octets that must not be cut, MTU %d: got no answer: %s", mtu-28, mtu, out)
	}
	r.line("sizes", "%v octets of data in pieces or whole; MTU %d is told and carries", sizes, mtu)
}

// transfers moves 100 MB each way. Everything must arrive as it was sent, and
// the internet must have seen at least as much of what carries it.
func (r report) transfers() {
	r.t.Helper()
	for _, up := range []bool{true, false} {
		_, before := r.w.Seen(r.carrier)
		tr, err := r.w.Transfer(world.Load{Up: up, Octets: megabytes100})
		_, after := r.w.Seen(r.carrier)
		if err != nil {
			r.t.Fatal(err)
		}
		if !tr.Whole(megabytes100) {
			r.t.Errorf("%s: got %d octets of %d, equal SHA-256: %v", tr.Direction, tr.Received, tr.Sent, tr.Same)
		}
		if after-before < megabytes100 {
			r.t.Errorf("%s: the internet saw %d octets of %s, want at least %d", tr.Direction, after-before, r.carrier, megabytes100)
		}
		r.line(tr.Direction, "%d octets sent, %d received, SHA-256 equal; %d of %s outside; %.1f s, %.0f Mbit/s",
			tr.Sent, tr.Received, after-before, r.carrier, tr.Took.Seconds(), tr.Rate())
	}
}

// stream is what flows, at 27 Mbit/s, while an SA is replaced: so little that
// a ping which is lost was not crowded out.
const stream = 5_000_000

// An end is a gateway that says which SAs it has: the text changes when one of
// them was replaced, and while there is not exactly one of each there is an error.
type end interface{ Current() (string, error) }

// rekeyed calls rekey in the middle of a stream up and of pings, and demands
// that the SA changed, that the stream is whole and that no ping was lost.
func (r report) rekeyed(what string, e end, rekey func()) {
	r.t.Helper()
	old, err := e.Current()
	if err != nil {
		r.t.Fatal(err)
	}
	before := r.w.Drops()
	type loss struct {
		sent, answered int
		err            error
	}
	pings := make(chan loss, 1)
	go func() {
		var l loss
		l.sent, l.answered, l.err = r.w.Ping("client", world.Server, 150, 10*time.Millisecond)
		pings <- l
	}()
	moved := make(chan error, 1)
	go func() {
		tr, err := r.w.Transfer(world.Load{Up: true, Octets: stream, Chunk: stream / 150})
		if err == nil && !tr.Whole(stream) {
			err = fmt.Errorf("got %d octets of %d, equal SHA-256: %v", tr.Received, tr.Sent, tr.Same)
		}
		moved <- err
	}()
	r.waitForTraffic()
	rekey()
	r.w.Until("one new SA after the rekey", 15*time.Second, func() error {
		now, err := e.Current()
		if err == nil && now == old {
			err = fmt.Errorf("still %v", old)
		}
		return err
	})
	l := <-pings
	if err := <-moved; err != nil {
		r.t.Errorf("transfer during the rekey of %s: %v", what, err)
	}
	if l.err != nil || l.sent != l.answered {
		r.t.Errorf("pings during the rekey of %s: got %d of %d answered, %v, want all; %v; %s", what, l.answered, l.sent, l.err, r.w.Drops().Since(before), r.dropped())
	}
	r.line("rekey of "+what, "%d of %d pings answered, %d octets whole", l.answered, l.sent, stream)
}

// dropped is what our gateways have dropped so far.
func (r report) dropped() string {
	text := "our gateways say nothing"
	for i, g := range r.ours {
		st, err := g.Status()
		if err != nil {
			return err.Error()
		}
		if i == 0 {
			text = "dropped by our gateways since they run:"
		}
		text += fmt.Sprintf(" %v and %d messages of IKE", st.Traffic.Drops, st.IKE.Dropped)
	}
	return text
}

// waitForTraffic returns when a megabyte more has crossed the internet.
func (r report) waitForTraffic() {
	r.t.Helper()
	_, before := r.w.Seen(r.carrier)
	r.w.Until("traffic", 5*time.Second, func() error {
		if _, now := r.w.Seen(r.carrier); now < before+1e6 {
			return fmt.Errorf("%d octets", now-before)
		}
		return nil
	})
}

// nothingClear demands that the internet saw IKE and ESP and nothing else.
func (r report) nothingClear() {
	r.t.Helper()
	packets, octets := r.w.Seen("clear")
	if packets != 0 {
		r.t.Errorf("the internet saw %d packets (%d octets) in clear, want none", packets, octets)
	}
	r.line("in clear on the internet", "%d packets", packets)
}
