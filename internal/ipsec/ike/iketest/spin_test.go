package iketest

import (
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// A spinner is a machine whose timer does not help.
type spinner struct{ Machine }

func (spinner) Step(time.Time, ike.Event, *ike.Outputs) error { return nil }

func (spinner) Deadline() time.Time { return start }

func TestMachineThatWouldSpinIsReported(t *testing.T) {
	n := NewNet(start, spinner{}, spinner{})
	n.Step(0, ike.Initiate{})
	if err := n.Err(); err != nil {
		t.Fatalf("a deadline that has come may be met: got %v", err)
	}
	n.Step(0, ike.TimerFired{})
	if n.Err() == nil {
		t.Error("got no error for a deadline that the timer does not change")
	}
}
