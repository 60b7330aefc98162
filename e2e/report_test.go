//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// report runs the checks that are the same whoever stands at the ends, and
// prints a line of figures for each.
type report struct {
	t     *testing.T
	w     *world.World
	start time.Time
}

func newReport(t *testing.T, w *world.World, who, suite string) report {
	fmt.Printf("\n%s, %s\n", who, suite)
	return report{t: t, w: w, start: time.Now()}
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

// transfers moves 100 MB each way. Everything must arrive as it was sent, and
// the internet must have seen at least as much in UDP 4500.
func (r report) transfers() {
	r.t.Helper()
	for _, up := range []bool{true, false} {
		_, before := r.w.Seen("natt")
		tr, err := r.w.Transfer(world.Load{Up: up, Octets: megabytes100})
		_, after := r.w.Seen("natt")
		if err != nil {
			r.t.Fatal(err)
		}
		if !tr.Whole(megabytes100) {
			r.t.Errorf("%s: got %d octets of %d, equal SHA-256: %v", tr.Direction, tr.Received, tr.Sent, tr.Same)
		}
		if after-before < megabytes100 {
			r.t.Errorf("%s: the internet saw %d octets in UDP 4500, want at least %d", tr.Direction, after-before, megabytes100)
		}
		r.line(tr.Direction, "%d octets sent, %d received, SHA-256 equal; %d in UDP 4500; %.1f s, %.0f Mbit/s",
			tr.Sent, tr.Received, after-before, tr.Took.Seconds(), tr.Rate())
	}
}

// stream is what flows, at 27 Mbit/s, while an SA is replaced: so little that
// a ping which is lost was not crowded out.
const stream = 5_000_000

// rekeyed calls rekey in the middle of a stream up and of pings, and demands
// that the SA changed, that the stream is whole and that no ping was lost.
func (r report) rekeyed(what string, c *strongswan.Charon, rekey func()) {
	r.t.Helper()
	old, err := c.Current()
	if err != nil {
		r.t.Fatal(err)
	}
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
	var now strongswan.SA
	r.w.Until("one new SA after the rekey", 15*time.Second, func() error {
		if now, err = c.Current(); err == nil && now == old {
			err = fmt.Errorf("still %v", old)
		}
		return err
	})
	l := <-pings
	if err := <-moved; err != nil {
		r.t.Errorf("transfer during the rekey of %s: %v", what, err)
	}
	if l.err != nil || l.sent != l.answered {
		r.t.Errorf("pings during the rekey of %s: got %d of %d answered, %v, want all", what, l.answered, l.sent, l.err)
	}
	r.line("rekey of "+what, "%d of %d pings answered, %d octets whole", l.answered, l.sent, stream)
}

// waitForTraffic returns when a megabyte more has crossed the internet.
func (r report) waitForTraffic() {
	r.t.Helper()
	_, before := r.w.Seen("natt")
	r.w.Until("traffic", 5*time.Second, func() error {
		if _, now := r.w.Seen("natt"); now < before+1e6 {
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
