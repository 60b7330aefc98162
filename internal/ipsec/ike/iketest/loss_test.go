package iketest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// story is a life: up, both kinds of rekey from both ends.
var story = []struct {
	end int
	ev  ike.Event
}{
	{0, ike.Initiate{}}, {0, ike.RekeyChild{}}, {1, ike.RekeyChild{}}, {0, ike.RekeyIKE{}}, {1, ike.RekeyIKE{}}, {1, ike.RekeyChild{}},
}

// tell plays the story, losing what lose says of the nth datagram.
func tell(n *Net, lose func(nth int) bool) {
	sent := 0
	for _, s := range story {
		n.Step(s.end, s.ev)
		for range 40 {
			for len(n.Queue) > 0 && n.Err() == nil {
				if lose(sent) {
					n.Queue = n.Queue[1:]
				} else {
					n.DeliverNext()
				}
				sent++
			}
			if n.Ends[0].Machine.State().Phase == ike.Established && n.Ends[1].Machine.State().Phase == ike.Established && n.Traffic() == nil {
				break
			}
			n.waitOne()
		}
	}
	n.Wait(8 * time.Second)
}

// checkUp fails unless both ends are established on one CHILD SA each, with
// nothing left over.
func checkUp(t interface{ Errorf(string, ...any) }, n *Net) {
	for _, e := range n.Ends {
		if got := e.Machine.State().Phase; got != ike.Established {
			t.Errorf("%s: got %v, want established", e.Name, got)
		}
		if got := len(e.Inbound); got != 1 {
			t.Errorf("%s: got %d inbound SAs, want 1", e.Name, got)
		}
	}
	if err := n.Traffic(); err != nil {
		t.Errorf("traffic: %v", err)
	}
	if a, b := n.Ends[0].Outbound, n.Ends[1].Outbound; a != nil && b != nil && (a.Local.Addr() != b.Remote.Addr() || a.Remote.Addr() != b.Local.Addr()) {
		t.Errorf("a sends from %v to %v, b from %v to %v", a.Local, a.Remote, b.Local, b.Remote)
	}
	if err := n.Err(); err != nil {
		t.Errorf("net: %v", err)
	}
}

func TestLossOfAnyOneMessageIsMadeGood(t *testing.T) { loseEach(t, 20, nil) }

func TestLossOfAnyOneFragmentIsMadeGood(t *testing.T) { loseEach(t, 40, long) }

func TestLossOfAnyOneMessageOfAHybridIsMadeGood(t *testing.T) { loseEach(t, 40, hybrid) }

// hybrid gives both ends suites with additional key exchanges.
func hybrid(a, b *policy.Config) {
	for _, c := range []*policy.Config{a, b} {
		for i := range c.IKE {
			c.IKE[i].AddKE = suite.MoreKE{suite.MLKEM768, 31}
		}
		for i := range c.ESP {
			c.ESP[i].Group, c.ESP[i].AddKE = 19, suite.MoreKE{suite.MLKEM768, suite.MLKEM1024}
		}
	}
}

// long makes both ends send long messages in small fragments.
func long(a, b *policy.Config) {
	for _, c := range []*policy.Config{a, b} {
		c.Extensions.FragmentSize = 576
		c.LocalID = ike.Identity{Type: ike.IDKeyID, Data: strings.Repeat("long ", 200)}
		for i := range 24 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i)}), 16)
			c.LocalTS, c.RemoteTS = append(c.LocalTS, ike.FromPrefix(p)), append(c.RemoteTS, ike.FromPrefix(p))
		}
	}
}

// loseEach plays the story, which has at least the given number of datagrams,
// once for each of them without it.
func loseEach(t *testing.T, least int, change func(a, b *policy.Config)) {
	t.Helper()
	whole := pair(t, change)
	tell(whole, func(int) bool { return false })
	checkUp(t, whole)
	total := len(whole.Sent)
	if total < least {
		t.Fatalf("got a story of %d datagrams, want at least %d", total, least)
	}
	for k := range total {
		t.Run(fmt.Sprintf("datagram %d", k), func(t *testing.T) {
			n := pair(t, change)
			tell(n, func(nth int) bool { return nth == k })
			checkUp(t, n)
			for _, e := range n.Ends {
				for _, p := range e.Phases {
					if p == ike.Failed {
						t.Errorf("%s failed on the way", e.Name)
					}
				}
			}
			if t.Failed() {
				t.Logf("\n%s", n.Log.String())
			}
		})
	}
}

func TestBadWireNeverLeavesTheEndsApart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Byte().Draw(rt, "seed")
		wire := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "wire"), 1))
		loss := rapid.Float64Range(0, 0.4).Draw(rt, "loss")
		moves := rapid.Bool().Draw(rt, "moves")
		n := pair(t, func(a, b *policy.Config) {
			a.Tuning.Rand = rand.NewChaCha8([32]byte{0, seed})
			b.Tuning.Rand = rand.NewChaCha8([32]byte{1, seed})
			a.Restart = true
			if rapid.Bool().Draw(rt, "long") {
				long(a, b)
			}
			a.Extensions.NoMOBIKE, b.Extensions.NoMOBIKE = !moves, !moves
			if rapid.Bool().Draw(rt, "hybrid") {
				hybrid(a, b)
			}
			// Both ends may start, and lifetimes may end amid it all.
			b.Initiator = rapid.Bool().Draw(rt, "both")
			b.Restart = b.Initiator
			if rapid.Bool().Draw(rt, "short") {
				for _, c := range []*policy.Config{a, b} {
					c.Lifetime.Child, c.Lifetime.IKE, c.Lifetime.Margin, c.Lifetime.Fuzz = 40*time.Second, 90*time.Second, 5*time.Second, 100
				}
			}
		})
		n.Step(0, ike.Initiate{})
		n.Step(1, ike.Initiate{})
		for range rapid.IntRange(5, 60).Draw(rt, "turns") {
			n.muddle(wire, loss)
			switch end := wire.IntN(2); wire.IntN(6) {
			case 0:
				n.Step(end, ike.RekeyChild{})
			case 1:
				n.Step(end, ike.RekeyIKE{})
			case 2:
				if moves {
					n.Home[0] = netip.AddrFrom4([4]byte{192, 0, 2, byte(wire.IntN(20))})
					n.Step(0, ike.LocalChanged{Local: netip.AddrPortFrom(n.Home[0], 500)})
				}
			default:
				n.waitOne()
			}
		}
		n.settle()
		checkUp(rt, n)
		if rt.Failed() {
			rt.Logf("\n%s", n.Log.String())
		}
	})
}
