package ikev2

import (
	"slices"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// A CHILD SA that lingers when its lifetime ends is gone then, at both ends,
// whatever it still waits for.
func TestALifetimeEndsThoughAnSALingers(t *testing.T) {
	d := upDuo(t, nil)
	ends := []*Machine{d.a, d.b}
	old := []*child{d.a.used(), d.b.used()}
	for _, c := range old {
		c.hard = d.Now.Add(lingerFor / 2)
	}
	d.Step(0, ike.RekeyChild{})
	d.Run()
	for i, m := range ends {
		if old[i].state != childLingering || !slices.Contains(m.children, old[i]) {
			t.Fatalf("end %d: after the rekey: got the old CHILD SA in state %d, want lingering", i, old[i].state)
		}
	}
	d.Now = d.Now.Add(lingerFor / 2)
	for i, m := range ends {
		if at := m.Deadline(); at.After(d.Now) {
			t.Errorf("end %d: got a deadline %v after the end of the lifetime", i, at.Sub(d.Now))
		}
		d.Step(i, ike.TimerFired{})
		if slices.Contains(m.children, old[i]) {
			t.Errorf("end %d: at the end of its lifetime: got it kept until %v after, want it gone", i, old[i].until.Sub(d.Now).Round(time.Millisecond))
		}
	}
	if err := d.Err(); err != nil {
		t.Error(err)
	}
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}
