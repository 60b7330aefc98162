package iketest

import (
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// asking is a pair whose end a has just asked a silent b whether it lives: with
// the default times, every two seconds for thirty.
func asking(t *testing.T, version string) *Net {
	t.Helper()
	n, err := makePair([]string{"version=" + version, "b.dpdaction=none"})
	if err != nil {
		t.Fatal(err)
	}
	n.Step(0, ike.Initiate{})
	n.Run()
	for range maxSteps {
		if len(n.Queue) > 0 {
			return n
		}
		n.Now = n.Ends[0].Machine.Deadline()
		n.Step(0, ike.TimerFired{})
	}
	t.Fatal("a asks nothing")
	return nil
}

// stands reports whether a takes b for alive.
func (n *Net) stands() bool { return n.Ends[0].Machine.State().Phase == ike.Established }

// TestWhoWasNotRunningDoesNotTakeThePeerForDead: a comes late to its timer, as on a
// busy machine or one that was paused. It has read nothing meanwhile, so it asks
// again and waits for that answer; but a peer that is dead is found to be, also by
// an end that is always late.
func TestWhoWasNotRunningDoesNotTakeThePeerForDead(t *testing.T) {
	const pause, late = 2 * time.Second, time.Minute
	for _, version := range []string{"1", "2"} {
		n := asking(t, version)
		n.Now = n.Now.Add(late)
		n.Step(0, ike.TimerFired{})
		if !n.stands() || len(n.Queue) != 2 {
			t.Errorf("version %s, late: got up %v and %d datagrams, want an SA that is up and the question asked twice", version, n.stands(), len(n.Queue))
		}
		n.Wait(late)
		if !n.stands() || n.Err() != nil {
			t.Errorf("version %s, answered: the SA is down (%v)", version, n.Err())
		}

		n = asking(t, version)
		n.Cut, n.Queue = true, nil
		n.Now = n.Now.Add(late)
		n.Step(0, ike.TimerFired{})
		n.Wait(pause - time.Millisecond)
		if !n.stands() {
			t.Errorf("version %s, late once: the SA is down before the answer to the second question may have come", version)
		}
		n.Wait(time.Millisecond)
		if n.stands() {
			t.Errorf("version %s, late once and unanswered: the SA is up, want it down after %v", version, pause)
		}

		n = asking(t, version)
		n.Cut, n.Queue = true, nil
		looks := 0
		for ; n.stands() && looks < 100; looks++ {
			n.Now = n.Now.Add(late)
			n.Step(0, ike.TimerFired{})
		}
		if looks != 6 {
			t.Errorf("version %s, always late: the SA is down at look %d, want 6", version, looks)
		}
	}
}
