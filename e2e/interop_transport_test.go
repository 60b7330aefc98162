//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// TestFragmentsWithStrongSwan has both ends rekey with a group whose values
// alone are larger than a packet may be.
func TestFragmentsWithStrongSwan(t *testing.T) {
	s := suite{"", "AES256", "SHA2-256", 18}
	const size = 576
	for _, ourStart := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate %v", ourStart), func(t *testing.T) {
			w := world.New(t)
			ourCfg, swanCfg := ourConfig(s, ourStart), swanConfig(s, !ourStart)
			ourCfg.FragmentSize, swanCfg.FragmentSize = size, size
			ours, swan := bothEnds(t, w, ourCfg, swanCfg)
			w.Until("our tunnel", 20*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)
			r := newReport(t, w, "IKE in fragments", fmt.Sprintf("of at most %d octets, we initiate %v", size, ourStart))
			r.ours = []*ourgateway.Gateway{ours}
			r.rekeyed("CHILD, by us", swan, ours.RekeyChild)
			r.rekeyed("IKE, by us", swan, ours.RekeyIKE)
			r.rekeyed("CHILD, by strongSwan", swan, swan.RekeyChild)
			r.rekeyed("IKE, by strongSwan", swan, swan.RekeyIKE)
			log := swan.Log()
			for what, pattern := range map[string]string{
				"strongSwan split": `splitting IKE message \(\d+ bytes\) into \d+ fragments`, "we split": `reassembled fragmented IKE message`,
			} {
				n := len(regexp.MustCompile(pattern).FindAllString(log, -1))
				if n < 4 {
					t.Errorf("%s: got %d messages, want at least one for each of four rekeys", what, n)
				}
				r.line(what, "%d messages", n)
			}
			r.nothingClear()
		})
	}
}

// bothEnds starts both ends, the one that initiates last.
func bothEnds(t *testing.T, w *world.World, ourCfg ourgateway.Config, swanCfg strongswan.Config) (*ourgateway.Gateway, *strongswan.Charon) {
	t.Helper()
	if ourCfg.Initiate {
		swan := strongswan.Start(t, w, swanCfg)
		swan.Route()
		return ourgateway.Start(t, w, ourCfg), swan
	}
	ours := ourgateway.Start(t, w, ourCfg)
	swan := strongswan.Start(t, w, swanCfg)
	swan.Route()
	swan.Initiate()
	return ours, swan
}

// TestMovesWithStrongSwan has the customer gateway get another address, and then
// the NAT forget: with MOBIKE the IKE SA moves along. The CHILD SA does
// so at our end; strongSwan's user space cannot move one and rekeys it.
// Routers tell of the old address in ICMP, so the internet sees that in clear.
func TestMovesWithStrongSwan(t *testing.T) {
	for _, ourStart := range []bool{true, false} {
		t.Run(fmt.Sprintf("we initiate %v", ourStart), func(t *testing.T) {
			w := world.New(t)
			ourCfg, swanCfg := ourConfig(suites[0], ourStart), swanConfig(suites[0], !ourStart)
			swanCfg.MOBIKE = true
			// A move must not be taken for a death.
			ourCfg.Timeout = 20 * time.Second
			ours, swan := bothEnds(t, w, ourCfg, swanCfg)
			w.Until("our tunnel", 20*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)
			r := newReport(t, w, "MOBIKE", fmt.Sprintf("we initiate %v", ourStart))
			before := ikeSA(w, swan)
			w.Exec("cgw", "ip", "address", "del", world.Customer+"/24", "dev", "wan0")
			w.Exec("cgw", "ip", "address", "add", "192.168.50.77/24", "dev", "wan0")
			w.Exec("cgw", "ip", "route", "replace", "default", "via", "192.168.50.1")
			r.line("another address", "traffic again after %v", w.Until("traffic from the new address", 30*time.Second, w.Reach).Round(10*time.Millisecond))
			w.Rebind()
			r.line("the NAT forgot", "traffic again after %v", w.Until("traffic through the new mapping", 20*time.Second, w.Reach).Round(10*time.Millisecond))
			if after := ikeSA(w, swan); after != before {
				t.Errorf("got IKE SA %s, want the one that was there, %s", after, before)
			}
			if !ourStart && !strings.Contains(ours.Log(), "peer moves") {
				t.Error("our log says nothing of a move")
			}
			ours.RekeyChild()
			swan.RekeyIKE()
			w.Until("traffic after rekeys at the new address", 5*time.Second, w.Reach)
			r.line("rekey of both SAs there", "traffic goes on")
		})
	}
}

// TestMovesOurselves has our customer gateway, in plain ESP and without a NAT,
// get another address that our responder knows nothing of.
func TestMovesOurselves(t *testing.T) {
	w := world.New(t)
	w.WithoutNAT()
	const moved = "192.168.50.77"
	w.Exec("inet", "ip", "route", "replace", moved+"/32", "via", world.NAT)
	w.Exec("resp", "ip", "route", "replace", moved+"/32", "via", "203.0.113.1")
	responder := ourConfig(suites[0], false)
	responder.Remote = world.Customer
	resp, cgw := ourgateway.Start(t, w, responder), ourgateway.Start(t, w, ourConfig(suites[0], true))
	w.Until("the tunnel", 10*time.Second, func() error { return errors.Join(up(cgw), up(resp)) })
	w.Until("first ping", 5*time.Second, w.Reach)
	r := newReport(t, w, "MOBIKE", "Seikan → Seikan in plain ESP")
	cgw.RekeyIKE()
	w.Until("traffic after the rekey", 5*time.Second, w.Reach)
	before, err := resp.Status()
	if err != nil {
		t.Fatal(err)
	}
	w.Exec("cgw", "ip", "address", "del", world.Customer+"/24", "dev", "wan0")
	w.Exec("cgw", "ip", "address", "add", moved+"/24", "dev", "wan0")
	w.Exec("cgw", "ip", "route", "replace", "default", "via", "192.168.50.1")
	r.line("another address", "traffic again after %v", w.Until("traffic from the new address", 20*time.Second, w.Reach).Round(10*time.Millisecond))
	after, err := resp.Status()
	if err != nil || after.Child == nil || after.Child.SPIIn != before.Child.SPIIn {
		t.Errorf("got %+v, %v, want the CHILD SA of before", after.Child, err)
	}
}

// ikeSA is the SPIs of strongSwan's one IKE SA, once no CHILD SA is being
// replaced.
func ikeSA(w *world.World, swan *strongswan.Charon) (spis string) {
	w.Until("one IKE SA with one CHILD SA", 5*time.Second, func() error {
		text, err := swan.Current()
		if words := strings.Fields(text); len(words) >= 2 {
			spis = words[0] + " " + words[1]
		}
		return err
	})
	return spis
}
