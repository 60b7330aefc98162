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
		n.settle(rt)
		checkUp(rt, n)
		if rt.Failed() {
			rt.Logf("\n%s", n.Log.String())
		}
	})
}
