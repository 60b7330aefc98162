package store

import "testing"

func TestAWakeUpThatCameTooLateTellsNothing(t *testing.T) {
	p := pending{changes: map[Change]struct{}{}, wake: make(chan struct{}, 1)}
	p.add(false, []Change{{"vpc", "vpc-1"}})
	<-p.wake
	// Between the wake-up and the taking, another change comes and wakes again.
	p.add(false, []Change{{"vpc", "vpc-2"}})
	if got, some := p.take(); !some || len(got) != 2 {
		t.Errorf("first call: got %v, %v, want both changes", got, some)
	}
	<-p.wake
	if got, some := p.take(); some {
		t.Errorf("second call: got %v, want none: no changes would mean everything", got)
	}
	p.add(true, nil)
	if got, some := p.take(); !some || got != nil {
		t.Errorf("after a gap: got %v, %v, want nil for everything", got, some)
	}
}
