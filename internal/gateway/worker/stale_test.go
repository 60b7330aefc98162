package worker

import (
	"slices"
	"testing"

	"seikan/internal/gateway"
)

// learns reports whether both tunnels are up and carry by what BGP tells, or told
// before.
func learns(st gateway.Status) bool {
	return up(st) == "tunnel-1 tunnel-2" && len(st.Routes) == 1 && st.Routes[0].Learned && st.Routes[0].Tunnel != ""
}

// TestKilledWorkerGoesOnWithWhatItHadLearned kills either end, whose BGP is back
// seconds later: at once it carries traffic by the routes that it had, its peer by
// those that it has, and when the peer has told all that it has now only that counts.
func TestKilledWorkerGoesOnWithWhatItHadLearned(t *testing.T) {
	w := newWorld(t)
	w.state = map[string]string{"left": t.TempDir() + "/left", "right": t.TempDir() + "/right"}
	meds := [2]uint32{100, 100}
	there, here := dynamic(false, [2]gateway.Endpoint{}, meds), dynamic(true, [2]gateway.Endpoint{}, meds)
	cloud := w.start("right", there, w.sockets(), nil)
	customer := w.start("left", here, nil, nil)
	both := func() {
		t.Helper()
		for _, s := range []*side{customer, cloud} {
			s.until("both sessions", settled)
		}
	}
	both()
	cloud.kill()
	cloud = w.start("right", there, w.sockets(), nil)
	stale(t, cloud)
	if !w.pings() {
		t.Error("the server does not answer after the cloud's worker was killed")
	}
	both()
	customer.kill()
	customer = w.start("left", here, nil, nil)
	stale(t, customer)
	if !w.pings() {
		t.Error("the server does not answer after the customer's worker was killed")
	}
	both()

	// What is not announced any more is gone when the peer has told all.
	customer.kill()
	if err := cloud.Set(func() gateway.Config {
		cfg := there
		cfg.BGP.Announce = append(slices.Clone(cfg.BGP.Announce), prefix("10.1.0.0/16"))[1:]
		return cfg
	}()); err != nil {
		t.Fatal(err)
	}
	customer = w.start("left", here, nil, nil)
	stale(t, customer)
	customer.until("the cloud's new route alone", func(st gateway.Status) bool {
		return settled(st) && len(st.Routes) == 1 && st.Routes[0].Prefix == prefix("10.1.0.0/16")
	})

	// An orderly end leaves none of it.
	customer.Stop()
	customer = w.start("left", here, nil, nil)
	st := customer.until("a status", func(gateway.Status) bool { return true })
	for _, p := range st.BGP.Peers {
		if len(p.Routes) > 0 && !p.Established {
			t.Errorf("after an orderly end: got %+v, want nothing of before", p.Routes)
		}
	}
}

// stale waits until s carries traffic by what it had learned, with no session yet.
func stale(t *testing.T, s *side) {
	t.Helper()
	st := s.until("the routes of before", learns)
	for _, p := range st.BGP.Peers {
		if p.Established || len(p.Routes) != 1 || !p.Routes[0].Stale {
			t.Errorf("%s: got a session %v and %+v, want none yet, and the stale route", p.Tunnel, p.Established, p.Routes)
		}
	}
}
