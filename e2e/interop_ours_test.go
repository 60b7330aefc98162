//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// Our dead peer detection in these tests.
const (
	dpdInterval = time.Second
	dpdTimeout  = 3 * time.Second
)

// ourConfig is our gateway behind the NAT when it initiates, and otherwise the
// responder.
func ourConfig(s suite, initiate bool) ourgateway.Config {
	cfg := ourgateway.Config{Namespace: "resp", Inside: world.InsideFirst + world.InsideBits, Site: world.CustomerSite,
		Local: world.Responder, Remote: world.NAT, LocalID: world.Responder, RemoteID: customerID, PSK: psk,
		Encryption: s.encryption, Integrity: s.integ, DH: s.dh, Interval: dpdInterval, Timeout: dpdTimeout}
	if initiate {
		cfg.Initiate, cfg.Namespace, cfg.Inside, cfg.Site = true, "cgw", world.InsideSecond+world.InsideBits, world.ServerSite
		cfg.Local, cfg.Remote, cfg.LocalID, cfg.RemoteID = "", world.Responder, customerID, world.Responder
	}
	return cfg
}

func ourCustomer(t *testing.T, w *world.World, s suite) *ourgateway.Gateway {
	return ourgateway.Start(t, w, ourConfig(s, true))
}

func ourResponder(t *testing.T, w *world.World, s suite) *ourgateway.Gateway {
	return ourgateway.Start(t, w, ourConfig(s, false))
}

// TestOurInitiatorBehindNAT has our customer gateway behind the NAT and
// strongSwan as the responder.
func TestOurInitiatorBehindNAT(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			w := world.New(t)
			swan := swanResponder(t, w, s)
			swan.Route()
			ours := ourCustomer(t, w, s)
			w.Until("our tunnel", 10*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)

			r := newReport(t, w, "Seikan behind NAT → strongSwan", s.name)
			exercise(r, ours, swan)

			w.Cut()
			r.line("our liveness check found it out", "after %v", w.Until("our tunnel down after the cut", 4*dpdTimeout, func() error { return down(ours) }).Round(10*time.Millisecond))
			w.Until("strongSwan lets go", 20*time.Second, func() error { return none(swan) })
			w.Mend()
			r.line("we began anew", "traffic %v after the mend", w.Until("traffic after the mend", 30*time.Second, w.Reach).Round(10*time.Millisecond))

			swan.Terminate()
			r.line("the peer deleted, we began anew", "traffic after %v", w.Until("traffic after the peer deleted", 30*time.Second, func() error {
				if err := up(ours); err != nil {
					return err
				}
				return w.Reach()
			}).Round(10*time.Millisecond))

			ours.Stop()
			r.line("we deleted at the end", "the peer let go after %v", w.Until("strongSwan drops what we deleted", time.Second, func() error { return none(swan) }).Round(10*time.Millisecond))
			r.nothingClear()
		})
	}
}

// TestOurResponder has strongSwan behind the NAT as the initiator and our
// gateway as the responder.
func TestOurResponder(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			w := world.New(t)
			ours := ourResponder(t, w, s)
			swan := swanCustomer(t, w, s)
			swan.Route()
			swan.Initiate()
			w.Until("our tunnel", 5*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)

			r := newReport(t, w, "strongSwan behind NAT → Seikan", s.name)
			exercise(r, ours, swan)

			w.Cut()
			r.line("our liveness check found it out", "after %v", w.Until("our tunnel down after the cut", 4*dpdTimeout, func() error { return down(ours) }).Round(10*time.Millisecond))
			w.Mend()
			r.line("the peer began anew", "traffic %v after the mend", w.Until("traffic after the mend", 60*time.Second, w.Reach).Round(10*time.Millisecond))

			swan.Terminate()
			r.line("the peer deleted", "we let go after %v", w.Until("our tunnel down after the peer deleted", time.Second, func() error { return down(ours) }).Round(10*time.Millisecond))

			swan.Initiate()
			w.Until("traffic over the tunnel made again", 5*time.Second, w.Reach)
			ours.Stop()
			w.Until("strongSwan sees our delete", 2*time.Second, func() error {
				if sa, err := swan.Current(); err == nil {
					return fmt.Errorf("still %v", sa)
				}
				return nil
			})
			r.line("we deleted at the end", "the peer let go")
			r.nothingClear()
		})
	}
}

// TestOurselves has our gateway at both ends, behind the NAT in UDP 4500 and
// without one in plain ESP, which strongSwan's user space cannot do.
func TestOurselves(t *testing.T) {
	for _, s := range suites {
		for _, carrier := range []string{"natt", "plain"} {
			t.Run(s.name+" "+carrier, func(t *testing.T) {
				w := world.New(t)
				customer, responder := ourConfig(s, true), ourConfig(s, false)
				if carrier == "plain" {
					w.WithoutNAT()
					responder.Remote = world.Customer
				}
				resp := ourgateway.Start(t, w, responder)
				cgw := ourgateway.Start(t, w, customer)
				w.Until("the tunnel", 10*time.Second, func() error { return errors.Join(up(cgw), up(resp)) })
				w.Until("first ping", 5*time.Second, w.Reach)

				r := newReport(t, w, "Seikan → Seikan in "+carrier, s.name)
				r.carrier = carrier
				r.established(cgw)
				pings := 500
				if s == suites[0] {
					pings = 5000
				}
				r.pings(pings, 2*time.Millisecond)
				r.sizes()
				r.transfers()
				r.rekeyed("CHILD, by the initiator", cgw, cgw.RekeyChild)
				r.rekeyed("IKE, by the initiator", cgw, cgw.RekeyIKE)
				r.rekeyed("CHILD, by the responder", cgw, resp.RekeyChild)
				r.rekeyed("IKE, by the responder", cgw, resp.RekeyIKE)
				r.counters(cgw)
				resp.Stop()
				w.Until("the initiator hears the delete", 2*time.Second, func() error { return down(cgw) })
				r.nothingClear()
			})
		}
	}
}

// exercise is what must work whoever began: traffic, and the rekeys that each
// end may begin.
func exercise(r report, ours *ourgateway.Gateway, swan *strongswan.Charon) {
	r.t.Helper()
	r.established(ours)
	r.pings(500, 2*time.Millisecond)
	r.sizes()
	r.transfers()
	r.rekeyed("CHILD, by us", swan, ours.RekeyChild)
	r.rekeyed("IKE, by us", swan, ours.RekeyIKE)
	r.rekeyed("CHILD, by strongSwan", swan, swan.RekeyChild)
	r.rekeyed("IKE, by strongSwan", swan, swan.RekeyIKE)
	r.rekeyed("CHILD under the new IKE SA, by us", swan, ours.RekeyChild)
	r.idle(ours, swan)
	r.counters(ours)
	r.nothingClear()
}

// established shows what was negotiated; ESP must be in UDP exactly when it
// has to be.
func (r report) established(ours *ourgateway.Gateway) {
	r.t.Helper()
	st, err := ours.Status()
	if err != nil || st.Child == nil {
		r.t.Fatalf("status: got %+v, %v, want a tunnel", st, err)
	}
	if got, want := st.Child.Encap, r.carrier == "natt"; got != want {
		r.t.Errorf("ESP in UDP: got %v, want %v", got, want)
	}
	r.line("established", "IKE %s, ESP %s, NAT here %v, there %v", st.IKE.Suite, st.Child.Suite, st.IKE.NATLocal, st.IKE.NATRemote)
}

// peakMemory is the most that one of our processes may have.
const peakMemory = 150_000_000

// counters shows our own counters, which must have both transfers in them, and
// what memory it took.
func (r report) counters(ours *ourgateway.Gateway) {
	r.t.Helper()
	st, err := ours.Status()
	if err != nil {
		r.t.Fatal(err)
	}
	r.line("our counters", "in %d packets, %d octets; out %d, %d; drops %v",
		st.Traffic.PacketsIn, st.Traffic.BytesIn, st.Traffic.PacketsOut, st.Traffic.BytesOut, st.Traffic.Drops)
	for _, octets := range []uint64{st.Traffic.BytesIn, st.Traffic.BytesOut} {
		if octets < megabytes100 {
			r.t.Errorf("our counters: got %d octets, want at least %d", octets, megabytes100)
		}
	}
	peak, err := ours.PeakMemory()
	if err != nil || peak > peakMemory {
		r.t.Errorf("peak memory: got %d octets, %v, want at most %d", peak, err, peakMemory)
	}
	r.line("our memory", "%.1f MB at most", float64(peak)/1e6)
}

// idle leaves the tunnel alone for some intervals of both ends' dead peer
// detection and demands that questions were asked and that it still stands.
func (r report) idle(ours *ourgateway.Gateway, swan *strongswan.Charon) {
	r.t.Helper()
	old, err := swan.Current()
	if err != nil {
		r.t.Fatal(err)
	}
	before, _ := r.w.Seen(r.carrier)
	begun := time.Now()
	r.w.Until("six messages of dead peer detection", 4*dpdTimeout, func() error {
		if now, _ := r.w.Seen(r.carrier); now < before+6 || time.Since(begun) < dpdTimeout {
			return fmt.Errorf("%d packets in %v", now-before, time.Since(begun))
		}
		return nil
	})
	now, err := swan.Current()
	if err != nil || now != old {
		r.t.Errorf("after idling: got %v, %v, want %v", now, err, old)
	}
	if err := up(ours); err != nil {
		r.t.Errorf("after idling: %v", err)
	}
	packets, _ := r.w.Seen(r.carrier)
	r.line("idle with liveness checks", "%d packets in %v, same SAs", packets-before, time.Since(begun).Round(time.Second))
}

func up(g *ourgateway.Gateway) error {
	st, err := g.Status()
	if err == nil && (!st.Up || st.Child == nil) {
		err = fmt.Errorf("%s %s", st.Phase, st.Reason)
	}
	return err
}

func down(g *ourgateway.Gateway) error {
	st, err := g.Status()
	if err == nil && st.Up {
		err = fmt.Errorf("still %s", st.Phase)
	}
	return err
}
