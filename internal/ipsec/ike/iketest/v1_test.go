package iketest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"pgregory.net/rapid"
	"seikan/internal/ipsec/ike"
	"testing"

	"seikan/internal/ipsec/ike/ikev1"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// suiteV1 is what "version=1" uses in phase 1, since IKEv1 has no AES-GCM
// there.
var suiteV1 = suite.IKE{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA384, Integ: suite.IntegSHA384, Group: 20}

// pairV1 is pair in IKEv1.
func pairV1(t testing.TB, change func(a, b *policy.Config)) *Net {
	t.Helper()
	ca, cb := config(0, 0), config(1, 0)
	ca.IKE, cb.IKE = []suite.IKE{suiteV1}, []suite.IKE{suiteV1}
	if change != nil {
		change(&ca, &cb)
	}
	a, err := ikev1.New(ca)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ikev1.New(cb)
	if err != nil {
		t.Fatal(err)
	}
	return NewNet(start, a, b)
}

func TestV1LossOfAnyOneMessageIsMadeGood(t *testing.T) {
	whole := pairV1(t, nil)
	tell(whole, func(int) bool { return false })
	total := len(whole.Sent)
	whole.Wait(time.Minute)
	checkUp(t, whole)
	if total < 30 {
		t.Fatalf("got a story of %d datagrams, want at least 30", total)
	}
	for k := range total {
		t.Run(fmt.Sprintf("datagram %d", k), func(t *testing.T) {
			n := pairV1(t, nil)
			tell(n, func(nth int) bool { return nth == k })
			n.Wait(time.Minute) // a DELETE that got lost is not repeated
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

func TestV1BadWireNeverLeavesTheEndsApart(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Byte().Draw(rt, "seed")
		wire := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "wire"), 1))
		loss := rapid.Float64Range(0, 0.4).Draw(rt, "loss")
		n := pairV1(t, func(a, b *policy.Config) {
			a.Tuning.Rand = rand.NewChaCha8([32]byte{0, seed})
			b.Tuning.Rand = rand.NewChaCha8([32]byte{1, seed})
			a.Restart = true
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

// TestV1RekeyingNeverInterruptsTraffic asks after every single datagram and
// timer whether what either end seals now would be opened, with rekeys from
// either end and both at once, and with any one datagram lost on the way.
func TestV1RekeyingNeverInterruptsTraffic(t *testing.T) {
	events := [][]struct {
		end int
		ev  ike.Event
	}{
		{{0, ike.RekeyChild{}}}, {{1, ike.RekeyChild{}}}, {{0, ike.RekeyIKE{}}}, {{1, ike.RekeyIKE{}}},
		{{0, ike.RekeyChild{}}, {1, ike.RekeyChild{}}},
		{{0, ike.RekeyIKE{}}, {1, ike.RekeyIKE{}}},
		{{1, ike.RekeyIKE{}}, {0, ike.RekeyChild{}}, {1, ike.RekeyChild{}}},
	}
	for i, evs := range events {
		for lost := -1; lost < 16; lost++ {
			n := pairV1(t, nil)
			n.Step(0, ike.Initiate{})
			n.Run()
			for _, e := range evs {
				n.Step(e.end, e.ev)
			}
			end := n.Now.Add(2 * time.Minute)
			for sent := 0; n.Now.Before(end) && n.Err() == nil; {
				if err := n.Traffic(); err != nil {
					t.Fatalf("events %d, datagram %d lost: %v\n%s", i, lost, err, n.Log.String())
				}
				if len(n.Queue) == 0 {
					n.waitOne()
					continue
				}
				if sent == lost {
					n.Queue = n.Queue[1:]
				} else {
					n.DeliverNext()
				}
				sent++
			}
			checkUp(t, n)
		}
	}
}

func TestV1TrafficGoesOnWhileABadWireMuddlesRekeys(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		wire := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "wire"), 1))
		loss := rapid.Float64Range(0, 0.3).Draw(rt, "loss")
		goesOn(rt, pairV1(t, nil), wire, loss)
	})
}

// TestV1TrafficGoesOnOnWiresThatOnceStoppedIt repeats what was found among some
// hundred thousand wires. On all but the first, message 6 of main mode was lost
// several times, and what the peer sent on the new SA was taken for a refusal.
// On that one an ISAKMP SA was deleted with a quick mode on it that only one
// end had ended.
func TestV1TrafficGoesOnOnWiresThatOnceStoppedIt(t *testing.T) {
	for _, seed := range []uint64{8021341, 8028936, 8034775, 8051164, 8054675, 9010151, 9018035, 9042362} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			wire := rand.New(rand.NewPCG(seed, 77))
			loss := wire.Float64() * 0.3
			n := pairV1(t, func(a, b *policy.Config) {
				for _, c := range []*policy.Config{a, b} {
					c.IKE = []suite.IKE{{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 19}}
					for i := range c.ESP {
						c.ESP[i].Group = 0
					}
				}
			})
			goesOn(t, n, wire, loss)
		})
	}
}

// goesOn has the ends of n rekey at random over a wire that loses and reorders,
// and demands that after every single step traffic would pass.
func goesOn(t rapid.TB, n *Net, wire *rand.Rand, loss float64) {
	n.Step(0, ike.Initiate{})
	n.Run()
	check := func() {
		if err := n.Traffic(); err != nil || n.Err() != nil {
			t.Fatalf("%v, %v\n%s", err, n.Err(), n.Log.String())
		}
	}
	// arrive delivers or loses one of the datagrams on the wire, not always
	// the oldest.
	arrive := func() {
		i := wire.IntN(min(len(n.Queue), 3))
		p := n.Queue[i]
		n.Queue = append(n.Queue[:i:i], n.Queue[i+1:]...)
		if wire.Float64() >= loss {
			n.Deliver(p)
		}
		check()
	}
	for range 60 {
		switch end, what := wire.IntN(2), wire.IntN(8); {
		case what == 0:
			n.Step(end, ike.RekeyChild{})
		case what == 1:
			n.Step(end, ike.RekeyIKE{})
		case what == 2:
			// The shortest timer is far longer than a wire.
			for range 100 {
				if len(n.Queue) == 0 {
					break
				}
				arrive()
			}
			n.waitOne()
		case len(n.Queue) > 0:
			arrive()
		}
		check()
	}
}
