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

func TestRekeyTimeFollowsTheFormula(t *testing.T) {
	for seed := range byte(20) {
		d := upDuo(t, func(a, _ *policy.Config) {
			a.Tuning.Rand = rand.NewChaCha8([32]byte{seed})
			a.Lifetime.Fuzz = 100
		})
		// vpn §2.2: a CHILD SA between 3060 s and 3330 s, an IKE SA between
		// 28260 s and 28530 s.
		if got := d.a.used().soft.Sub(begin); got < 3060*time.Second || got > 3330*time.Second {
			t.Errorf("CHILD SA: got a rekey after %v, want 3060 to 3330 s", got)
		}
		if got := d.a.current.soft.Sub(begin); got < 28260*time.Second || got > 28530*time.Second {
			t.Errorf("IKE SA: got a rekey after %v, want 28260 to 28530 s", got)
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
