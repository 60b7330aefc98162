package iketest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// pairBoth is two ends that speak both versions, that both begin, and that
// draw other numbers for every seed. The first has come to IKEv1 already when
// late is set.
func pairBoth(t testing.TB, seed uint64, late bool) *Net {
	t.Helper()
	n, err := makePair([]string{"version=both", "flag=initiator", "flag=restart", fmt.Sprintf("seed=%d", seed)})
	if err != nil {
		t.Fatal(err)
	}
	if late {
		n.Cut = true
		n.Step(0, ike.Initiate{})
		n.Wait(29 * time.Second)
		n.Cut = false
		n.Queue = nil
		n.Now = n.Now.Add(time.Second)
		n.Step(0, ike.TimerFired{})
	} else {
		n.Step(0, ike.Initiate{})
	}
	n.Step(1, ike.Initiate{})
	return n
}

// jumble delivers what is on the wire in any order, loses some of it and
// delivers some twice; now and then a timer comes early enough.
func (n *Net) jumble(r *rand.Rand, steps int) {
	for range steps {
		if n.Err() != nil {
			return
		}
		if len(n.Queue) == 0 || r.IntN(8) == 0 {
			i, at := n.nextDeadline()
			if i < 0 {
				return
			}
			if at.After(n.Now) {
				n.Now = at
			}
			n.Step(i, ike.TimerFired{})
			continue
		}
		i := r.IntN(len(n.Queue))
		p := n.Queue[i]
		if r.IntN(10) != 0 {
			n.Queue = append(n.Queue[:i:i], n.Queue[i+1:]...)
		}
		if r.IntN(10) != 0 {
			n.Deliver(p)
		}
	}
}

func TestBothVersionsSettleOnOneTunnel(t *testing.T) {
	used := map[int]int{}
	for seed := range uint64(150) {
		n := pairBoth(t, seed, seed%2 == 0)
		r := rand.New(rand.NewPCG(seed, 1))
		n.jumble(r, 5+r.IntN(60))
		n.Wait(3 * time.Minute)
		if err := n.Err(); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, n.Log.String())
		}
		a, b := n.Ends[0].Machine.State(), n.Ends[1].Machine.State()
		if err := n.Traffic(); err != nil || a.Version != b.Version || len(n.Ends[0].Inbound) != 1 || len(n.Ends[1].Inbound) != 1 {
			t.Fatalf("seed %d: got IKEv%d and IKEv%d with %d and %d inbound SAs, %v, want one of the same version\n%s", seed, a.Version, b.Version,
				len(n.Ends[0].Inbound), len(n.Ends[1].Inbound), err, n.Log.String())
		}
		used[a.Version]++
	}
	if len(used) != 1 || used[2] == 0 {
		t.Errorf("got %v tunnels by version, want IKEv2 only, which both ends speak", used)
	}
}

// TestStrangersDoNotMoveATunnelToTheOtherVersion has somebody without the key,
// at the peer's address, begin in either version while a tunnel is up.
func TestStrangersDoNotMoveATunnelToTheOtherVersion(t *testing.T) {
	for _, c := range []struct{ peer, stranger string }{{"2", "1"}, {"1", "2"}, {"2", "2"}, {"1", "1"}} {
		n, err := makePair([]string{"a.version=" + c.peer, "b.version=both"})
		if err != nil {
			t.Fatal(err)
		}
		n.Step(0, ike.Initiate{})
		n.Run()
		before := n.Ends[1].Machine.State()
		if before.Phase != ike.Established {
			t.Fatalf("IKEv%s: got %v, want a tunnel\n%s", c.peer, before.Phase, n.Log.String())
		}
		other, err := makePair([]string{"a.version=" + c.stranger, "a.psk=wrong", "a.seed=77", "b.version=" + c.stranger})
		if err != nil {
			t.Fatal(err)
		}
		other.Step(0, ike.Initiate{})
		asked := 0
		for range 40 {
			for _, p := range other.Queue {
				asked++
				n.Deliver(p)
			}
			answers := n.Queue
			other.Queue, n.Queue = nil, nil
			for _, p := range answers {
				other.Deliver(p)
			}
			n.Wait(time.Second)
			other.Now = n.Now
			if at := other.Ends[0].Machine.Deadline(); !at.IsZero() && !at.After(other.Now) {
				other.Step(0, ike.TimerFired{})
			}
		}
		after := n.Ends[1].Machine.State()
		if asked < 3 || n.Err() != nil {
			t.Errorf("IKEv%s beside IKEv%s: got %d messages, %v, want some", c.stranger, c.peer, asked, n.Err())
		}
		if err := n.Traffic(); err != nil || after.Phase != before.Phase || after.SPIi != before.SPIi || after.Version != before.Version {
			t.Errorf("IKEv%s beside IKEv%s: got IKEv%d %v %x, %v, want what was: IKEv%d %v %x", c.stranger, c.peer,
				after.Version, after.Phase, after.SPIi, err, before.Version, before.Phase, before.SPIi)
		}
		if len(n.Ends[1].Inbound) != 1 {
			t.Errorf("IKEv%s beside IKEv%s: got %d inbound SAs, want 1", c.stranger, c.peer, len(n.Ends[1].Inbound))
		}
	}
}

// TestWhoeverDropsIKEv2ChoosesIKEv1WhereBothAreAllowed is what an operator must
// know of allowing both versions, and how it is forbidden: IKEv1 then never
// begins, nor is it answered.
func TestWhoeverDropsIKEv2ChoosesIKEv1WhereBothAreAllowed(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want ike.Phase
	}{
		{"both", "both", ike.Established},
		{"2", "both", ike.Connecting},
		{"both", "2", ike.Connecting},
	} {
		n, err := makePair([]string{"a.version=" + tt.a, "b.version=" + tt.b, "a.flag=restart"})
		if err != nil {
			t.Fatal(err)
		}
		n.Step(0, ike.Initiate{})
		for range 2000 {
			if len(n.Queue) == 0 {
				i, at := n.nextDeadline()
				if i < 0 || at.Sub(start) > 2*time.Minute {
					break
				}
				n.Now = at
				n.Step(i, ike.TimerFired{})
				continue
			}
			p := n.Queue[0]
			n.Queue = n.Queue[1:]
			if h, _, err := ike.ParseHeader(p.Data); err == nil && h.Major() == 1 {
				n.Deliver(p)
			}
		}
		got := n.Ends[0].Machine.State()
		if up := got.Phase == ike.Established; up != (tt.want == ike.Established) || up && got.Version != 1 {
			t.Errorf("%s towards %s: got %v by IKEv%d, want %v", tt.a, tt.b, got.Phase, got.Version, tt.want)
		}
	}
}
