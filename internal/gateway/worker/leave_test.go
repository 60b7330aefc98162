package worker

import (
	"fmt"
	"testing"
	"time"

	"seikan/internal/gateway"
)

// TestARebuiltTunnelLosesNothing changes options of one tunnel at one end and of the
// other at the other, and then removes one: while there is another tunnel, no packet
// is lost. Which one carries the traffic is each end's own choice.
func TestARebuiltTunnelLosesNothing(t *testing.T) {
	w := newWorld(t)
	there, here := config(false, key), config(true, key)
	customer, cloud := w.startBoth()
	both := func() (sas [2]string) {
		for _, s := range []*side{customer, cloud} {
			s.until("both tunnels", bothUp)
		}
		for i, tun := range customer.Status().Tunnels {
			sas[i] = tun.Child.SPIIn
		}
		return sas
	}
	before := both()
	over := w.traffic(8)
	for i, end := range []struct {
		side *side
		cfg  *gateway.Config
	}{{customer, &here}, {cloud, &there}} {
		end.cfg.Tunnels[i].Lifetime.Phase2 += 50 * time.Minute
		if err := end.side.Set(*end.cfg); err != nil {
			t.Fatal(err)
		}
		customer.until(fmt.Sprintf("another tunnel %d", i+1), func(st gateway.Status) bool {
			return bothUp(st) && st.Tunnels[i].Child.SPIIn != before[i]
		})
		now := both()
		if now[1-i] != before[1-i] {
			t.Errorf("tunnel %d: got SA %s, want that of before, %s, for it was not touched", 2-i, now[1-i], before[1-i])
		}
		before = now
	}
	here.Tunnels = here.Tunnels[1:]
	if err := customer.Set(here); err != nil {
		t.Fatal(err)
	}
	customer.until("tunnel 2 alone", func(st gateway.Status) bool { return up(st) == "tunnel-2" && len(st.Tunnels) == 1 })
	sent, lost, ended := over()
	if lost != 0 || ended {
		t.Errorf("under traffic: got %d of %d packets lost, and its end before that of the changes %v, want none and false", lost, sent, ended)
	}
	t.Logf("%d packets and their answers, %d lost", sent, lost)
}
