package worker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"seikan/internal/gateway"
)

// TestARebuiltTunnelLosesNothing changes options of one tunnel at one end and of the
// other at the other, then of both at once, and then removes one: while there is
// another tunnel, no packet is lost. Which one carries the traffic is each end's own choice.
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
	over := w.traffic(12)
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
	changeBoth(&here)
	if err := customer.Set(here); err != nil {
		t.Fatal(err)
	}
	for i := range before {
		customer.until(fmt.Sprintf("a tunnel %d of after both changed", i+1), func(st gateway.Status) bool { return bothUp(st) && st.Tunnels[i].Child.SPIIn != before[i] })
	}
	both()
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

// changeBoth changes both tunnels of cfg so that they must be rebuilt.
func changeBoth(cfg *gateway.Config) {
	cfg.Tunnels = slices.Clone(cfg.Tunnels)
	for i := range cfg.Tunnels {
		cfg.Tunnels[i].Lifetime.Phase2 += 40 * time.Minute
	}
}

// TestTunnelsThatChangeAtOnceTakeTurns changes both tunnels of one end, with BGP: the
// second leaves when the first is back and its peer has announced its routes over it.
func TestTunnelsThatChangeAtOnceTakeTurns(t *testing.T) {
	w := newWorld(t)
	meds := [2]uint32{100, 100}
	there, here := dynamic(false, [2]gateway.Endpoint{}, meds), dynamic(true, [2]gateway.Endpoint{}, meds)
	cloud := w.start("right", there, w.sockets(), nil)
	customer := w.start("left", here, nil, nil)
	for _, s := range []*side{customer, cloud} {
		s.until("both sessions", settled)
	}
	before := spis(*cloud.Status())
	over := w.traffic(20)
	changeBoth(&there)
	if err := cloud.Set(there); err != nil {
		t.Fatal(err)
	}
	cloud.until("both sessions anew", func(st gateway.Status) bool {
		return settled(st) && !slices.ContainsFunc(spis(st), func(spi string) bool { return slices.Contains(before, spi) })
	})
	sent, lost, ended := over()
	if lost != 0 || ended {
		t.Errorf("under traffic: got %d of %d packets lost, and its end before that of the changes %v, want none and false", lost, sent, ended)
	}
}
