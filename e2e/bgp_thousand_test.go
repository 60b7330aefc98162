//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/bgppeer"
	"seikan/e2e/world"
)

// soon is how long a thousand routes may take from the announcement to the
// kernel's table.
const soon = 2 * time.Second

// TestThousandRoutesConverge has AWS's end announce as many prefixes as it may
// (vpn §4.5), over both tunnels, and withdraw them, while the sessions go on; and
// then has the sessions begin with them.
func TestThousandRoutesConverge(t *testing.T) {
	const many = 1000
	w := world.New(t)
	w.SecondAddress()
	carrier := strings.ReplaceAll(cloudFile, "    bgp: {peer_asn: 65000, max_prefixes: 100, med: ", "    # ")
	startText(t, w, "resp", strings.Replace(carrier, "bgp: {asn: 64512, announce: ["+world.ServerSite+"]}\n", "", 1))
	customer := startText(t, w, "cgw", customerFile)
	w.Until("both tunnels", 30*time.Second, func() error { return bothUp(customer) })
	cloud := bgppeer.StartCrowd(t, w, many)
	sessions := func(want int) func() error {
		return func() error {
			st, err := customer.Whole()
			if err != nil {
				return err
			}
			got := 0
			for _, p := range st.BGP.Peers {
				if p.Established {
					got++
				}
			}
			if got < want {
				return fmt.Errorf("got %d sessions, want %d: %+v", got, want, st.BGP.Peers)
			}
			return nil
		}
	}
	w.Until("both sessions", 30*time.Second, sessions(2))

	laid := func(want int) func() error {
		return func() error {
			// A prefix that is carried has a second route, which stays when no
			// tunnel carries it.
			got := strings.Count(w.Exec("cgw", "ip", "route", "show", "metric", "17900"), "dev tun")
			if got != want {
				return fmt.Errorf("got %d routes, want %d", got, want)
			}
			return nil
		}
	}
	measure := func(what string, begin func() error, want int) {
		t.Helper()
		began := time.Now()
		if err := begin(); err != nil {
			t.Fatal(err)
		}
		w.Until(what, 20*time.Second, laid(want))
		took := time.Since(began)
		t.Logf("%s: %v", what, took.Round(10*time.Millisecond))
		if took > soon {
			t.Errorf("%s took %v, want at most %v", what, took, soon)
		}
	}
	for range 2 {
		measure("announced", cloud.Announce, many)
		measure("withdrawn", cloud.Withdraw, 0)
	}
	measure("announced", cloud.Announce, many)
	if err := spoken(customer, many, "10.100.3.0/24", "t1"); err != nil {
		t.Error(err)
	}
	if err := cloud.End(); err != nil {
		t.Fatal(err)
	}
	w.Until("nothing carried without a session", 5*time.Second, laid(0))
	// The sessions take their time to be opened; the routes come with them.
	if err := cloud.Begin(); err != nil {
		t.Fatal(err)
	}
	w.Until("a session again", 30*time.Second, sessions(1))
	measure("with the session", func() error { return nil }, many)
}
