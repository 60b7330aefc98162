package ikev2

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// TestRekeyTimeFollowsTheFormula has the times that vpn §2.2 gives for AWS's
// defaults, which the fuzz spreads: not all alike, and early ones and late ones.
func TestRekeyTimeFollowsTheFormula(t *testing.T) {
	const margin = 270 * time.Second
	for what, life := range map[string]time.Duration{"CHILD SA": time.Hour, "IKE SA": 8 * time.Hour} {
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

func TestConfigErrorsNameFieldAndRule(t *testing.T) {
	for _, c := range []struct {
		change func(*policy.Config)
		want   string
	}{
		{func(c *policy.Config) { c.Local = netip.AddrPort{} }, "Local"},
		{func(c *policy.Config) { c.Remote = netip.AddrPort{} }, "Remote"},
		{func(c *policy.Config) { c.Auth.PSK = secret.Secret{} }, "Auth.PSK"},
		{func(c *policy.Config) { c.IKE = nil }, "IKE"},
		{func(c *policy.Config) { c.ESP = nil }, "ESP"},
		{func(c *policy.Config) { c.IKE = []suite.IKE{{}} }, "IKE[0]"},
		{func(c *policy.Config) { c.ESP = []suite.ESP{{}} }, "ESP[0]"},
		{func(c *policy.Config) { c.Lifetime.Fuzz = 101 }, "Lifetime.Fuzz, RekeyFuzz"},
		{func(c *policy.Config) { c.Lifetime.Child = 300 * time.Second; c.Lifetime.Fuzz = 100 }, "Lifetime.Child"},
		{func(c *policy.Config) { c.Liveness.Timeout = -1 }, "Liveness.Timeout"},
	} {
		cfg := testConfig(0)
		c.change(&cfg)
		if _, err := New(cfg, nil); err == nil || !strings.Contains(err.Error(), c.want+":") {
			t.Errorf("got %v, want an error that names %s", err, c.want)
		}
	}
}
