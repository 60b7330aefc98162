//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// megabyte is moved where it matters that traffic flows, not how fast.
const megabyte = 1_000_000

// carries demands that the tunnel comes up and moves a megabyte each way, and
// another after we replaced both SAs.
func carries(t *testing.T, w *world.World, ours *ourgateway.Gateway, swan *strongswan.Charon) {
	t.Helper()
	w.Until("our tunnel", 20*time.Second, func() error { return up(ours) })
	w.Until("first ping", 5*time.Second, w.Reach)
	move := func() {
		t.Helper()
		for _, up := range []bool{true, false} {
			tr, err := w.Transfer(world.Load{Up: up, Octets: megabyte})
			if err != nil || !tr.Whole(megabyte) {
				t.Fatalf("transfer: got %+v, %v, want all of it", tr, err)
			}
		}
	}
	move()
	for _, rekey := range []func(){ours.RekeyChild, ours.RekeyIKE} {
		old, err := swan.Current()
		if err != nil {
			t.Fatal(err)
		}
		rekey()
		w.Until("new SA", 15*time.Second, func() error {
			now, err := swan.Current()
			if err == nil && now == old {
				err = fmt.Errorf("still %v", old)
			}
			return err
		})
	}
	move()
}

// TestWrongKeyIsNamed gives the ends different keys: both must say so in words,
// no tunnel may come up, and no log may show a key.
func TestWrongKeyIsNamed(t *testing.T) {
	const wrong = "Another.Key_than.the.Peers"
	for _, initiate := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate: %v", initiate), func(t *testing.T) {
			w := world.New(t)
			s := suites[0]
			cfg := ourConfig(s, initiate)
			cfg.PSK = wrong
			var ours *ourgateway.Gateway
			if initiate {
				swanResponder(t, w, s)
				ours = ourgateway.Start(t, w, cfg)
			} else {
				ours = ourgateway.Start(t, w, cfg)
				swan := swanCustomer(t, w, s)
				if out, err := swan.Swanctl("--initiate", "--child", "net", "--timeout", "5"); err == nil || !strings.Contains(out, "AUTHENTICATION_FAILED") {
					t.Errorf("strongSwan's initiation with another key: got %v, %q, want AUTHENTICATION_FAILED", err, out)
				}
			}
			var st ourgateway.Tunnel
			w.Until("a reason with the word key", 10*time.Second, func() (err error) {
				if st, err = ours.Status(); err == nil && (st.Up || !strings.Contains(st.Reason, "key")) {
					err = fmt.Errorf("up %v, reason %q", st.Up, st.Reason)
				}
				return err
			})
			newReport(t, w, "Different pre-shared keys", fmt.Sprintf("we initiate: %v", initiate)).line("our reason", "%s", st.Reason)
		})
	}
}

// TestOtherGroupIsTriedAgain offers a group first that the peer does not take:
// INVALID_KE_PAYLOAD (RFC 7296 section 1.2) names the one to use.
func TestOtherGroupIsTriedAgain(t *testing.T) {
	w := world.New(t)
	both := suite{"", "AES256", "SHA2-256", 14}
	r := newReport(t, w, "Groups 21, 20 and 14 against 14 alone", "")
	t.Run("we initiate", func(t *testing.T) {
		swan := swanResponder(t, w, both)
		swan.Route()
		cfg := ourConfig(both, true)
		cfg.MoreDH = []int{20, 21}
		ours := ourgateway.Start(t, w, cfg)
		carries(t, w, ours, swan)
		if log := swan.Log(); !strings.Contains(log, "N(INVAL_KE)") {
			t.Error("strongSwan did not ask for another group: the test proves nothing")
		}
	})
	t.Run("we answer", func(t *testing.T) {
		ours := ourResponder(t, w, both)
		more := swanConfig(both, true)
		more.IKE = "aes256-sha256-ecp384-modp2048"
		swan := strongswan.Start(t, w, more)
		swan.Route()
		swan.Initiate()
		carries(t, w, ours, swan)
		if log := swan.Log(); !strings.Contains(log, "N(INVAL_KE)") {
			t.Error("we did not ask for another group: the test proves nothing")
		}
	})
	r.line("INVALID_KE_PAYLOAD", "answered and sent; traffic after it")
}

// TestCookieIsReturned has strongSwan demand a cookie of everyone (RFC 7296
// section 2.6), which it does while somebody else's exchange is half open.
func TestCookieIsReturned(t *testing.T) {
	w := world.New(t)
	cfg := swanConfig(suites[0], false)
	cfg.Cookies = true
	swan := strongswan.Start(t, w, cfg)
	swan.Route()
	w.Nft("inet", `
		table ip deaf {
			chain answers {
				type filter hook input priority 0
				udp sport 500 drop
			}
		}`)
	decoy := swanConfig(suites[0], true)
	decoy.Namespace = "inet"
	if out, err := strongswan.Start(t, w, decoy).Swanctl("--initiate", "--child", "net", "--timeout", "1"); err == nil {
		t.Fatalf("the decoy that hears no answer has a tunnel: %s", out)
	}
	carries(t, w, ourCustomer(t, w, suites[0]), swan)
	if log := swan.Log(); !strings.Contains(log, "N(COOKIE)") {
		t.Error("strongSwan sent no cookie: the test proves nothing")
	}
	newReport(t, w, "Cookie demanded", "").line("COOKIE", "returned; traffic after it")
}

// TestNATMayForget gives the tunnel another port at the NAT while traffic
// flows; the end that is not behind it must follow.
func TestNATMayForget(t *testing.T) {
	for _, weInitiate := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate: %v", weInitiate), func(t *testing.T) {
			w := world.New(t)
			if weInitiate {
				swan := swanResponder(t, w, suites[0])
				swan.Route()
				carries(t, w, ourCustomer(t, w, suites[0]), swan)
			} else {
				ours := ourResponder(t, w, suites[0])
				swan := swanCustomer(t, w, suites[0])
				swan.Route()
				swan.Initiate()
				carries(t, w, ours, swan)
			}
			w.Rebind()
			gap := w.Until("traffic by the NAT's new port", 20*time.Second, w.Reach)
			if packets, _ := w.Seen("moved"); packets == 0 {
				t.Error("the internet saw nothing from the new port: the test proves nothing")
			}
			newReport(t, w, "The NAT gives the tunnel another port", fmt.Sprintf("we initiate: %v", weInitiate)).
				line("traffic again", "after %v", gap.Round(10*time.Millisecond))
		})
	}
}
