package worker

import (
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"seikan/internal/gateway"
)

// TestBothEndsLiveOnAfterAPause stops both ends while the cloud's is asking
// whether the customer's lives, for longer than it waits for the answer: a machine
// that was paused, or has too much to do. Nobody is dead, and when they go on, they
// go on with what they had.
func TestBothEndsLiveOnAfterAPause(t *testing.T) {
	w := newWorld(t)
	customer, cloud := w.startBoth()
	before := spis(*cloud.Status())
	live := config(false, key).Tunnels[0].Liveness
	customer.signal(syscall.SIGSTOP)
	<-time.After(2 * live.Interval) // it asks
	cloud.signal(syscall.SIGSTOP)
	<-time.After(live.Timeout)
	cloud.signal(syscall.SIGCONT)
	customer.signal(syscall.SIGCONT)
	resumed := time.Now()
	for _, s := range []*side{cloud, customer} {
		// What was due before the pause is done before this.
		s.until("a status of after the pause", func(gateway.Status) bool { return time.Since(resumed) > live.Interval+live.Timeout })
		if said := s.log.String(); strings.Contains(said, "dead") {
			t.Errorf("%s takes the other for dead after a pause:\n%s", s.ns, said)
		}
	}
	if got := spis(cloud.until("both tunnels", bothUp)); !slices.Equal(got, before) {
		t.Errorf("SPIs: got %v, want those of before, %v", got, before)
	}
	if !w.pings() {
		t.Error("the server does not answer after a pause")
	}
}

// signal sends sig to the worker.
func (s *side) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := syscall.Kill(s.PID(), sig); err != nil {
		s.t.Fatal(err)
	}
}
