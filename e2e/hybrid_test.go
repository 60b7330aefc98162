//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// suiteOf reports whether the suites of the tunnel end as given.
func suiteOf(g *ourgateway.Gateway, ike, child string) error {
	st, err := g.Status()
	if err == nil && (st.Child == nil || !strings.HasSuffix(st.IKE.Suite, ike) || !strings.HasSuffix(st.Child.Suite, child)) {
		err = fmt.Errorf("got %s, child %v, want …%s and …%s", st.IKE.Suite, st.Child, ike, child)
	}
	return err
}

// TestHybridKeyExchange has our gateway at both ends, which require ML-KEM-768
// and -1024 after a classical group (RFC 9370), through the NAT and a packet
// size in which ML-KEM-1024 takes fragments.
func TestHybridKeyExchange(t *testing.T) {
	w := world.New(t)
	customer, responder := ourConfig(suites[0], true), ourConfig(suites[0], false)
	for _, c := range []*ourgateway.Config{&customer, &responder} {
		c.Version = 2
		c.Quantum.AddKE, c.Quantum.Required = []string{"ML-KEM-768", "ML-KEM-1024"}, true
	}
	resp := ourgateway.Start(t, w, responder)
	cgw := ourgateway.Start(t, w, customer)
	w.Until("the tunnel", 10*time.Second, func() error { return errors.Join(up(cgw), up(resp)) })
	w.Until("first ping", 5*time.Second, w.Reach)
	const both = "/DH19/ML-KEM-768/ML-KEM-1024"
	if err := suiteOf(cgw, both, "AES128-GCM-16"); err != nil {
		t.Error(err) // the first CHILD SA has no key exchange of its own
	}
	for _, g := range []*ourgateway.Gateway{cgw, resp} {
		for name, rekey := range map[string]func(){"CHILD SA": g.RekeyChild, "IKE SA": g.RekeyIKE} {
			before, err := g.Current()
			if err != nil {
				t.Fatal(err)
			}
			rekey()
			w.Until("rekey of the "+name, 10*time.Second, func() error {
				now, err := g.Current()
				if err == nil && now == before {
					err = errors.New("nothing has changed")
				}
				return err
			})
			w.Until("ping after the rekey of the "+name, 5*time.Second, w.Reach)
		}
	}
	if err := errors.Join(suiteOf(cgw, both, both), suiteOf(resp, both, both)); err != nil {
		t.Error(err)
	}
}

// TestHybridWithAPeerThatHasNone prefers ML-KEM and does not require it:
// strongSwan 5.9.8, which has never heard of it, gets a tunnel without, in both
// roles.
func TestHybridWithAPeerThatHasNone(t *testing.T) {
	for _, initiate := range []bool{true, false} {
		t.Run(fmt.Sprintf("initiate=%v", initiate), func(t *testing.T) {
			w := world.New(t)
			ours := ourConfig(suites[0], initiate)
			ours.Version, ours.Quantum.AddKE = 2, []string{"ML-KEM-768"}
			theirs := swanConfig(suites[0], !initiate)
			var us *ourgateway.Gateway
			if initiate {
				strongswan.Start(t, w, theirs).Route()
				us = ourgateway.Start(t, w, ours)
			} else {
				us = ourgateway.Start(t, w, ours)
				swan := strongswan.Start(t, w, theirs)
				swan.Route()
				swan.Initiate()
			}
			w.Until("the tunnel", 10*time.Second, func() error { return up(us) })
			w.Until("first ping", 5*time.Second, w.Reach)
			us.RekeyChild()
			w.Until("the suites", 10*time.Second, func() error { return suiteOf(us, "/DH19", "/DH19") })
			w.Until("ping after the rekey", 5*time.Second, w.Reach)
		})
	}
}
