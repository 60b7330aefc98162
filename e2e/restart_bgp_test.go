//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"seikan/e2e/world"
)

// TestKilledGatewayGoesOnWithBGP kills each end of a tunnel whose routes BGP taught,
// with AWS's timers: traffic does not wait for BGP.
func TestKilledGatewayGoesOnWithBGP(t *testing.T) {
	w := world.New(t)
	one := func(text string) string {
		head, _, _ := strings.Cut(text, "  - name: t2\n")
		return "state_directory: state\n" + head
	}
	cloud, customer := startText(t, w, "resp", one(cloudFile)), startText(t, w, "cgw", one(customerFile))
	w.Until("the session", 60*time.Second, func() error { return established(customer, "t1") })
	w.Until("first ping", 5*time.Second, w.Reach)
	r := newReport(t, w, "Seikan and Seikan, killed, with BGP", suites[0].name)
	life := newLifeline(t, w)
	kill(r, life, "the customer's", customer)
	kill(r, life, "AWS's end", cloud)
	life.endAsBefore(r)
	// BGP comes back, and what it says then is what counts.
	w.Until("the session at both ends", 60*time.Second, func() error {
		if err := established(cloud, "t1"); err != nil {
			return err
		}
		return established(customer, "t1")
	})
	if st := tunnel(t, customer, "t1"); len(st.session.Routes) != 1 || st.session.Routes[0].Stale {
		t.Errorf("got %+v, want one route, and not a stale one", st.session.Routes)
	}
}
