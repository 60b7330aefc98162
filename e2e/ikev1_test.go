//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/pki"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// v1Ends are our end and strongSwan's in IKEv1 with a pre-shared key, both
// through the NAT: in main mode the customer goes by its own address.
func v1Ends(s suite, ourStart bool) (ourgateway.Config, strongswan.Config) {
	ours, swan := ourConfig(s, ourStart), swanConfig(s, !ourStart)
	ours.Version, swan.Version = 1, 1
	if ourStart {
		ours.LocalID, swan.RemoteID = world.Customer, world.Customer
	} else {
		ours.RemoteID, swan.LocalID = world.Customer, world.Customer
	}
	return ours, swan
}

// TestManyRekeysOfIKEv1 replaces SAs one after the other, from either end and
// from both at once, under a stream of pings.
func TestManyRekeysOfIKEv1(t *testing.T) {
	for _, ourStart := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate %v", ourStart), func(t *testing.T) {
			w := world.New(t)
			ourCfg, swanCfg := v1Ends(suite{"", "AES256", "SHA2-256", 14}, ourStart)
			ours, swan := bothEnds(t, w, ourCfg, swanCfg)
			w.Until("our tunnel", 20*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)
			r := newReport(t, w, "IKEv1 rekeys in a row", fmt.Sprintf("we initiate %v", ourStart))

			type loss struct {
				sent, answered int
				err            error
			}
			pings := make(chan loss, 1)
			go func() {
				var l loss
				l.sent, l.answered, l.err = w.Ping("client", world.Server, 3000, 10*time.Millisecond)
				pings <- l
			}()
			kinds := []struct {
				name string
				do   func()
			}{
				{"CHILD by us", ours.RekeyChild}, {"CHILD by strongSwan", swan.RekeyChild}, {"IKE by us", ours.RekeyIKE},
				{"both CHILD at once", func() { ours.RekeyChild(); swan.RekeyChild() }},
			}
			for range 3 {
				for _, k := range kinds {
					old, err := ours.Current()
					if err != nil {
						t.Fatalf("before the rekey of %s: %v", k.name, err)
					}
					k.do()
					w.Until("another SA after the rekey of "+k.name, 10*time.Second, func() error {
						now, err := ours.Current()
						if err == nil && now == old {
							err = fmt.Errorf("still %v", old)
						}
						return err
					})
				}
			}
			l := <-pings
			if l.err != nil || l.sent-l.answered > 2 {
				t.Errorf("pings: got %d of %d answered, %v, want at most 2 lost: strongSwan loses some of its own rekeys", l.answered, l.sent, l.err)
			}
			r.line("12 rekeys", "%d of %d pings answered", l.answered, l.sent)
			if err := up(ours); err != nil {
				t.Error(err)
			}
			ours.Stop()
			w.Until("strongSwan drops what we deleted", 5*time.Second, func() error { return none(swan) })
			r.nothingClear()
		})
	}
}

// TestECDSAInIKEv1 has certificates with ECDSA keys, methods 9 to 11 of RFC 4754.
func TestECDSAInIKEv1(t *testing.T) {
	authority := pki.NewAuthority(t, pki.ECDSA)
	customer, responder := authority.Issue(customerName), authority.Issue(responderName)
	for _, ourStart := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate %v", ourStart), func(t *testing.T) {
			w := world.New(t)
			ourCfg, swanCfg := v1Ends(suite{"", "AES256", "SHA2-256", 19}, ourStart)
			ourCfg.LocalID, ourCfg.RemoteID, ourCfg.Certificates = responderName, customerName, &responder
			swanCfg.LocalID, swanCfg.RemoteID, swanCfg.Certificates = customerName, responderName, &customer
			if ourStart {
				ourCfg.LocalID, ourCfg.RemoteID, ourCfg.Certificates = customerName, responderName, &customer
				swanCfg.LocalID, swanCfg.RemoteID, swanCfg.Certificates = responderName, customerName, &responder
			}
			ours, swan := bothEnds(t, w, ourCfg, swanCfg)
			w.Until("our tunnel", 20*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)
			st, err := ours.Status()
			if err != nil || !strings.HasPrefix(st.IKE.Auth, "ECDSA") {
				t.Errorf("got %+v, %v, want ECDSA", st.IKE, err)
			}
			r := newReport(t, w, "IKEv1 with ECDSA", fmt.Sprintf("we initiate %v", ourStart))
			r.rekeyed("IKE, by us", swan, ours.RekeyIKE)
			r.nothingClear()
		})
	}
}

// TestWrongKeyInIKEv1 has words at our end, whoever begins: with strongSwan's
// way of being refused.
func TestWrongKeyInIKEv1(t *testing.T) {
	for _, ourStart := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate %v", ourStart), func(t *testing.T) {
			w := world.New(t)
			ourCfg, swanCfg := v1Ends(suite{"", "AES256", "SHA2-256", 14}, ourStart)
			swanCfg.PSK = "Another.Key_Altogether1"
			swan := strongswan.Start(t, w, swanCfg)
			ours := ourgateway.Start(t, w, ourCfg)
			if !ourStart {
				swan.Swanctl("--initiate", "--child", "net", "--timeout", "5") // must fail
			}
			w.Until("words about the key", 20*time.Second, func() error {
				st, err := ours.Status()
				if err == nil && !strings.Contains(st.Reason, "pre-shared key") {
					err = fmt.Errorf("got %q", st.Reason)
				}
				return err
			})
			if err := up(ours); err == nil {
				t.Error("the tunnel is up with different keys")
			}
		})
	}
}
