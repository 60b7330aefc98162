package gateway

import (
	"testing"
	"time"
)

// look is one look, and the pause that follows it.
func look(p *pace, now *time.Time, took time.Duration) time.Duration {
	*now = now.Add(took)
	pause := p.after(took, *now)
	*now = now.Add(pause)
	return pause
}

func TestPaceLetsABurstGoWithoutPause(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	for i := range 20 {
		if got := look(&p, &now, burst/20); got != 0 {
			t.Fatalf("look %d: got a pause of %v, want none", i, got)
		}
	}
	// A twentieth was earned meanwhile, as much again is what is paid for.
	if got, most := look(&p, &now, burst/10), paceFactor*burst/10; got < most/3 || got > most {
		t.Errorf("after the burst: got a pause of %v, want %v to %v", got, most/3, most)
	}
}

func TestPaceGivesLooksASmallShareOfAProcessor(t *testing.T) {
	for _, took := range []time.Duration{20 * time.Millisecond, 200 * time.Millisecond} {
		var p pace
		now := time.Unix(0, 0)
		var spent time.Duration
		for now.Before(time.Unix(600, 0)) {
			if got := look(&p, &now, took); got > maxPace {
				t.Fatalf("got a pause of %v, want at most %v", got, maxPace)
			}
			spent += took
		}
		if got, want := spent-burst, 600*time.Second/(paceFactor-1); got > want {
			t.Errorf("looks of %v: spent %v in ten minutes, want at most %v", took, got, want)
		}
	}
}

func TestPaceNeverWaitsForQuickLooks(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	for i := range 1000 {
		if got := look(&p, &now, quick); got != 0 {
			t.Fatalf("look %d: got a pause of %v, want none", i, got)
		}
	}
}

func TestPaceEarnsItsBurstAgain(t *testing.T) {
	var p pace
	now := time.Unix(0, 0)
	look(&p, &now, 2*burst)
	now = now.Add(2 * paceFactor * burst)
	if got := look(&p, &now, burst); got != 0 {
		t.Errorf("after a long rest: got a pause of %v, want none", got)
	}
}
