//go:build e2e

package e2e

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"seikan/e2e/pki"
	"seikan/e2e/world"
)

// TestFragmentsOfIKEv1WithStrongSwan has the messages of main mode with
// certificates cross in fragments, both ways. They have no RFC.
func TestFragmentsOfIKEv1WithStrongSwan(t *testing.T) {
	authority := pki.NewAuthority(t, pki.RSA)
	customer, responder := authority.Issue(customerName), authority.Issue(responderName)
	for _, ourStart := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate %v", ourStart), func(t *testing.T) {
			w := world.New(t)
			s := suite{"", "AES256", "SHA2-256", 14}
			ourCfg, swanCfg := ourConfig(s, ourStart), swanConfig(s, !ourStart)
			ourCfg.Version, swanCfg.Version = 1, 1
			ourCfg.FragmentSize, swanCfg.FragmentSize = 576, 576
			ourCfg.LocalID, ourCfg.RemoteID, ourCfg.Certificates = responderName, customerName, &responder
			swanCfg.LocalID, swanCfg.RemoteID, swanCfg.Certificates = customerName, responderName, &customer
			if ourStart {
				ourCfg.LocalID, ourCfg.RemoteID, ourCfg.Certificates = customerName, responderName, &customer
				swanCfg.LocalID, swanCfg.RemoteID, swanCfg.Certificates = responderName, customerName, &responder
			}
			ours, swan := bothEnds(t, w, ourCfg, swanCfg)
			w.Until("our tunnel", 20*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)
			r := newReport(t, w, "IKEv1 in fragments", fmt.Sprintf("we initiate %v", ourStart))
			for what, pattern := range map[string]string{
				"strongSwan split": `splitting IKE message \(\d+ bytes\) into \d+ fragments`, "we split": `reassembled fragmented IKE message`,
			} {
				n := len(regexp.MustCompile(pattern).FindAllString(swan.Log(), -1))
				if n == 0 {
					t.Errorf("%s: got no message, want at least the one with the certificate", what)
				}
				r.line(what, "%d messages", n)
			}
			r.nothingClear()
		})
	}
}

// TestVersionsWithStrongSwan has an end of ours that speaks both versions meet
// strongSwan that speaks one. To the version that it is not set to it says
// NO_PROPOSAL_CHOSEN, which proves nothing, so that we try on for 5 s.
func TestVersionsWithStrongSwan(t *testing.T) {
	s := suite{"", "AES256", "SHA2-256", 14}
	for _, version := range []int{1, 2} {
		for _, ourStart := range []bool{true, false} {
			t.Run(fmt.Sprintf("IKEv%d, we initiate %v", version, ourStart), func(t *testing.T) {
				w := world.New(t)
				ourCfg, swanCfg := ourConfig(s, ourStart), swanConfig(s, !ourStart)
				swanCfg.Version = version
				begun := time.Now()
				ours, swan := bothEnds(t, w, ourCfg, swanCfg)
				w.Until("our tunnel", 60*time.Second, func() error { return up(ours) })
				took := time.Since(begun)
				w.Until("first ping", 5*time.Second, w.Reach)
				r := newReport(t, w, "both versions meet one", fmt.Sprintf("IKEv%d, we initiate %v", version, ourStart))
				st, err := ours.Status()
				if err != nil || st.IKE.Version != version {
					t.Errorf("got %+v, %v, want IKEv%d", st, err, version)
				}
				r.line("up", "after %v", took.Round(100*time.Millisecond))
				r.rekeyed("CHILD, by us", swan, ours.RekeyChild)
				ours.Stop()
				w.Until("strongSwan drops what we deleted", time.Second, func() error { return none(swan) })
				r.nothingClear()
			})
		}
	}
}
