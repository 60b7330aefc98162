//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// A post-quantum pre-shared key and its name.
const (
	ppk   = "A-post-quantum-key-of-48-octets-for-tests-only-."
	ppkID = "test-ppk"
)

// usesPPK reports whether the tunnel says that its keys rest on the PPK.
func usesPPK(g *ourgateway.Gateway) error {
	st, err := g.Status()
	if err == nil && !slices.Contains(st.IKE.Extensions, "PPK") {
		err = fmt.Errorf("extensions %v, no PPK: %s %s", st.IKE.Extensions, st.Phase, st.Reason)
	}
	return err
}

// TestPPK has a post-quantum pre-shared key (RFC 8784) that both ends require,
// with a suite that AWS does not have (RFC 7634, RFC 8031), in both roles.
func TestPPK(t *testing.T) {
	s := suite{"ChaCha20-Poly1305, X25519", "CHACHA20-POLY1305", "SHA2-256", 31}
	for _, initiate := range []bool{true, false} {
		t.Run(fmt.Sprintf("initiate=%v", initiate), func(t *testing.T) {
			w := world.New(t)
			ours, theirs := ourConfig(s, initiate), swanConfig(s, !initiate)
			ours.Version = 2
			ours.Quantum.PPK = ourgateway.PPK{Key: ppk, ID: ppkID, Required: true}
			theirs.PPK = strongswan.PPK{Key: ppk, ID: ppkID, Required: true}
			var us *ourgateway.Gateway
			var swan *strongswan.Charon
			if initiate {
				swan = strongswan.Start(t, w, theirs)
				swan.Route()
				us = ourgateway.Start(t, w, ours)
			} else {
				us = ourgateway.Start(t, w, ours)
				swan = strongswan.Start(t, w, theirs)
				swan.Route()
				swan.Initiate()
			}
			w.Until("the tunnel", 10*time.Second, func() error { return errors.Join(up(us), usesPPK(us)) })
			w.Until("first ping", 5*time.Second, w.Reach)
			// The keys of what is rekeyed come from those with the PPK.
			for name, rekey := range map[string]func(){
				"our CHILD SA": us.RekeyChild, "our IKE SA": us.RekeyIKE, "its CHILD SA": swan.RekeyChild, "its IKE SA": swan.RekeyIKE,
			} {
				before, err := us.Current()
				if err != nil {
					t.Fatal(err)
				}
				rekey()
				w.Until("rekey of "+name, 10*time.Second, func() error {
					now, err := us.Current()
					if err == nil && now == before {
						err = errors.New("nothing has changed")
					}
					return err
				})
				w.Until("ping after the rekey of "+name, 5*time.Second, w.Reach)
			}
			if err := usesPPK(us); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPPKOfAnotherName has each end require a PPK that the other does not know:
// there is no tunnel, and we say why.
func TestPPKOfAnotherName(t *testing.T) {
	w := world.New(t)
	theirs := swanConfig(suites[0], false)
	theirs.PPK = strongswan.PPK{Key: ppk, ID: "another-ppk", Required: true}
	swan := strongswan.Start(t, w, theirs)
	swan.Route()
	ours := ourConfig(suites[0], true)
	ours.Version = 2
	ours.Quantum.PPK = ourgateway.PPK{Key: ppk, ID: ppkID, Required: true}
	us := ourgateway.Start(t, w, ours)
	w.Until("words about the PPK", 10*time.Second, func() error {
		st, err := us.Status()
		if err == nil && (st.Up || !strings.Contains(st.Reason, ppkID)) {
			err = fmt.Errorf("got %s %q, want no tunnel and the PPK named", st.Phase, st.Reason)
		}
		return err
	})
}
