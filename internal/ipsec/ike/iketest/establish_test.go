package iketest

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// start is when every test begins.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// The addresses of the two ends.
var (
	addrA = netip.MustParseAddrPort("198.51.100.2:500")
	addrB = netip.MustParseAddrPort("203.0.113.10:500")
)

// config is that of end i with the given seed of its randomness, without
// extensions: a conversation that is about one asks for it.
func config(i int, seed byte) policy.Config {
	c := policy.Config{
		Initiator: i == 0, Local: addrA, Remote: addrB, Auth: policy.Auth{PSK: secret.FromString("correct.horse_battery")},
		IKE:        []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 256, PRF: suite.PRFSHA384, Group: 20}},
		ESP:        []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 256, Group: 20}},
		Extensions: policy.Extensions{FragmentSize: -1, NoMOBIKE: true, NoMessageIDSync: true},
	}
	if i == 1 {
		c.Local, c.Remote = addrB, addrA
	}
	c.Tuning.Rand = rand.NewChaCha8([32]byte{byte(i), seed})
	return c
}

// pair joins two machines, after change has had its way with their configs.
func pair(t testing.TB, change func(a, b *policy.Config)) *Net {
	t.Helper()
	ca, cb := config(0, 0), config(1, 0)
	if change != nil {
		change(&ca, &cb)
	}
	a, err := ikev2.New(ca, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ikev2.New(cb, nil)
	if err != nil {
		t.Fatal(err)
	}
	return NewNet(start, a, b)
}

func TestTwoMachinesEstablish(t *testing.T) {
	n := pair(t, nil)
	n.Step(0, ike.Initiate{})
	n.Run()
	t.Logf("\n%s", n.Log.String())
	if err := n.Traffic(); err != nil {
		t.Error(err)
	}
	n.Step(0, ike.RekeyChild{})
	n.Run()
	n.Step(1, ike.RekeyIKE{})
	n.Run()
	n.Step(1, ike.RekeyChild{})
	n.Run()
	n.Wait(60 * time.Second)
	if err := n.Traffic(); err != nil {
		t.Error(err)
	}
	n.Step(0, ike.Close{})
	n.Run()
	n.Wait(60 * time.Second)
	t.Logf("\n%s", n.Log.String())
}
