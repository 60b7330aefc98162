package ikev1

import (
	"testing"

	"seikan/internal/ipsec/ike"
)

// A CHILD SA that is to part at the very instant at which its lifetime ends is
// gone then, and no timer is left that is due.
func TestALifetimeEndsWhateverElseIsDue(t *testing.T) {
	d := upDuo(t, nil)
	old := d.a.children[0]
	d.Step(0, ike.RekeyChild{})
	d.Run()
	old.state, old.told, old.until = childLingering, false, old.hard
	d.Now = old.hard
	d.Step(0, ike.TimerFired{})
	for _, c := range d.a.children {
		if c == old {
			t.Errorf("at the end of its lifetime: got %+v kept, want it gone", c)
		}
	}
	if err := d.Err(); err != nil {
		t.Error(err)
	}
}
