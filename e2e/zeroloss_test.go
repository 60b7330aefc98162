//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
)

// streamRate is how many packets a second cross the tunnel each way while keys
// are renewed.
const streamRate = 2000

// streams are one stream each way.
type streams []*world.Stream

// startStreams lets the queues of the TUNs hold seconds of the streams: what a
// machine too busy to run the gateways drops there has nothing to do with keys.
func startStreams(t *testing.T, w *world.World, links ...string) streams {
	t.Helper()
	for i, ns := range []string{"resp", "cgw"} {
		w.Exec(ns, "ip", "link", "set", links[i], "txqueuelen", "20000")
	}
	var both streams
	for _, up := range []bool{true, false} {
		s, err := w.StartStream(up, streamRate)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, s)
	}
	return both
}

// stop is what became of both.
func (s streams) stop(t *testing.T) (all []world.Delivery) {
	t.Helper()
	for _, one := range s {
		d, err := one.Stop()
		if err != nil {
			t.Error(err)
		}
		all = append(all, d)
	}
	return all
}

// TestStreamSeesLoss proves the gate of the tests below: a short cut is seen.
func TestStreamSeesLoss(t *testing.T) {
	w := world.New(t)
	s := suites[0]
	ourResponder(t, w, s)
	customer := ourCustomer(t, w, s)
	w.Until("our tunnel", 10*time.Second, func() error { return up(customer) })
	w.Until("first ping", 5*time.Second, w.Reach)
	both := startStreams(t, w, "tun1", "tun1")
	for _, change := range []func(){w.Cut, w.Mend} {
		for _, s := range both {
			until := s.Sent() + streamRate/10
			w.Until("packets on their way", 5*time.Second, func() error {
				if s.Sent() < until {
					return fmt.Errorf("%d of %d sent", s.Sent(), until)
				}
				return nil
			})
		}
		change()
	}
	for _, d := range both.stop(t) {
		if d.Lost == 0 || d.Lost >= d.Sent || d.Duplicated != 0 {
			t.Errorf("got %v, want some lost and none twice", d)
		}
	}
}

const (
	childRekeys = 1000
	ikeRekeys   = 100
)

// TestRekeysLoseNothing renews keys as fast as one renewal follows the other,
// from both ends in turn, every eleventh time those of IKE, under a stream each
// way.
func TestRekeysLoseNothing(t *testing.T) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			w := world.New(t)
			ends := []*ourgateway.Gateway{ourResponder(t, w, s), ourCustomer(t, w, s)}
			w.Until("our tunnel", 10*time.Second, func() error { return up(ends[1]) })
			w.Until("first ping", 5*time.Second, w.Reach)

			both := startStreams(t, w, "tun1", "tun1")
			began := time.Now()
			child, ike := 0, 0
			for i := 0; !t.Failed() && (child < childRekeys || ike < ikeRekeys); i++ {
				ask := ends[i%2].RekeyChild
				if i%11 == 10 {
					ask = ends[i%2].RekeyIKE
					ike++
				} else {
					child++
				}
				replaced(t, ends, ask)
			}
			took := time.Since(began)
			r := newReport(t, w, "Seikan → Seikan", s.name)
			for _, d := range both.stop(t) {
				r.line("under 2,000 packets a second", "%v", d)
				if d.Lost != 0 || d.Duplicated != 0 || d.Late != 0 {
					t.Errorf("got %v, want none", d)
				}
				if want := took.Seconds() * streamRate * 0.9; float64(d.Sent) < want {
					t.Errorf("got only %d packets sent in %v", d.Sent, took)
				}
			}
			if t.Failed() { // was it the keys, or a machine too busy to read the TUN?
				for i, ns := range []string{"resp", "cgw"} {
					st, err := ends[i].Status()
					t.Logf("%s: traffic %+v, %v\n%s", ns, st.Traffic, err, w.Exec(ns, "ip", "-s", "link", "show", "tun1"))
				}
			}
			r.line("keys renewed", "CHILD %d times, IKE %d times, in %v", child, ike, took.Round(time.Second))
		})
	}
}

// replaced asks for new keys and waits until both ends use them. While the peer
// finishes what was before, the request may be put off for seconds.
func replaced(t *testing.T, ends []*ourgateway.Gateway, ask func()) {
	t.Helper()
	before, err := agreed(ends)
	if err != nil {
		t.Error(err)
		return
	}
	ask()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		now, err := agreed(ends)
		if err == nil && now[0] == before[0]+1 && now[1] == before[1]+1 {
			<-tick.C // for the end of the old SA
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Errorf("no new keys in %v: %v; renewals of both ends: got %v, before %v", time.Since(began), err, now, before)
			return
		}
	}
}

// agreed is how many renewals either end counts, if both use the same SAs.
func agreed(ends []*ourgateway.Gateway) (renewals [2]uint64, err error) {
	var st [2]ourgateway.Tunnel
	for i, end := range ends {
		if st[i], err = end.Status(); err != nil {
			return renewals, err
		}
		if !st[i].Up || st[i].Child == nil {
			return renewals, fmt.Errorf("end %d is %s: %s", i, st[i].Phase, st[i].Reason)
		}
		renewals[i] = st[i].IKE.Rekeys
	}
	if st[0].Child.SPIIn != st[1].Child.SPIOut || st[0].Child.SPIOut != st[1].Child.SPIIn {
		return renewals, fmt.Errorf("the ends use different SAs: %+v and %+v", *st[0].Child, *st[1].Child)
	}
	return renewals, nil
}

const (
	// patientRekeys are done, apart from each other, beside strongSwan.
	patientRekeys = 6
	apart         = 10 * time.Second
)

// TestRekeysWithStrongSwanLoseNoMoreThanItsOwn runs our gateway with strongSwan
// and strongSwan with itself side by side. On a busy machine strongSwan may lose
// packets at any time; of the pair with us only what is lost after a renewal is
// held against us.
func TestRekeysWithStrongSwanLoseNoMoreThanItsOwn(t *testing.T) {
	s := suites[0]
	results := make(chan result, 2)
	t.Run("pairs", func(t *testing.T) {
		t.Run("ours", func(t *testing.T) {
			t.Parallel()
			w := world.New(t)
			swan := swanResponder(t, w, s)
			swan.Route()
			ours := ourCustomer(t, w, s)
			w.Until("our tunnel", 10*time.Second, func() error { return up(ours) })
			w.Until("first ping", 5*time.Second, w.Reach)
			results <- patient(t, w, "ours", startStreams(t, w, "ipsec0", "tun1"), []rekeyer{ours, swan})
		})
		t.Run("strongSwan's", func(t *testing.T) {
			t.Parallel()
			w := world.New(t)
			resp, cgw := swanResponder(t, w, s), swanCustomer(t, w, s)
			cgw.Initiate()
			resp.Route()
			cgw.Route()
			w.Until("first ping", 5*time.Second, w.Reach)
			results <- patient(t, w, "strongSwan's", startStreams(t, w, "ipsec0", "ipsec0"), []rekeyer{cgw, resp})
		})
	})
	close(results)
	got := map[string]result{}
	for r := range results {
		got[r.pair] = r
	}
	if len(got) != 2 || got["ours"].marked > got["strongSwan's"].lost {
		t.Errorf("lost with both pairs: got %+v, want ours after renewals at most strongSwan's", got)
	}
}

// A result is how many packets a pair lost, and how many of them after a
// renewal.
type result struct {
	pair         string
	lost, marked int
}

// A rekeyer is an end of either kind.
type rekeyer interface {
	RekeyChild()
	RekeyIKE()
}

// patient renews keys at both ends in turn, those of CHILD and of IKE.
func patient(t *testing.T, w *world.World, pair string, both streams, ends []rekeyer) result {
	t.Helper()
	tick := time.NewTicker(apart)
	defer tick.Stop()
	for i := range patientRekeys {
		<-tick.C
		for _, s := range both {
			s.Mark()
		}
		if end := ends[i%2]; i%4 < 2 {
			end.RekeyChild()
		} else {
			end.RekeyIKE()
		}
	}
	<-tick.C
	all := both.stop(t)
	r := newReport(t, w, "keys renewed every 10 s, "+pair+" with strongSwan", suites[0].name)
	for _, d := range all {
		r.line("under 2,000 packets a second", "%v", d)
	}
	out := result{pair: pair}
	for _, d := range all {
		out.lost += d.Lost
		out.marked += d.Marked
	}
	return out
}
