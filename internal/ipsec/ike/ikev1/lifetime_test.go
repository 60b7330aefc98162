package ikev1

import (
	"math/rand/v2"
	"testing"
	"time"

	"seikan/internal/ipsec/ike/policy"
)

// TestRekeyTimeFollowsTheFormula has the times that vpn §2.2 gives for AWS's
// defaults, which the fuzz spreads: not all alike, and early ones and late ones.
func TestRekeyTimeFollowsTheFormula(t *testing.T) {
	const margin = 270 * time.Second
	for what, life := range map[string]time.Duration{"CHILD SA": time.Hour, "ISAKMP SA": 8 * time.Hour} {
		latest := life - margin // 3330 s and 28530 s
		lead := func(fuzz int, seed byte) time.Duration {
			d := upDuo(t, func(a, _ *policy.Config) {
				a.Tuning.Rand, a.Lifetime.Fuzz = rand.NewChaCha8([32]byte{seed, 99}), fuzz
			})
			if what == "CHILD SA" {
				return latest - d.a.used().soft.Sub(begin)
			}
			return latest - d.a.current.soft.Sub(begin)
		}
		if got := lead(0, 1); got != 0 {
			t.Errorf("%s without fuzz: got a rekey %v before %v, want then", what, got, latest)
		}
		least, most := margin, time.Duration(0)
		for seed := range byte(40) {
			got := lead(100, seed)
			least, most = min(least, got), max(most, got)
		}
		if least < 0 || least > margin/3 || most < margin*2/3 || most > margin {
			t.Errorf("%s: got rekeys %v to %v before %v, want them spread over %v", what, least, most, latest, margin)
		}
	}
}
