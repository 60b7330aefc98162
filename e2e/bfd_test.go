//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/frr"
	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
)

// withBFD gives every session of a file BFD.
func withBFD(text string) string {
	out := strings.ReplaceAll(text, "bgp: {peer_asn: 64512", "bgp: {bfd: {interval: 250ms}, peer_asn: 64512")
	return strings.ReplaceAll(out, "bgp: {peer_asn: 65000", "bgp: {bfd: {interval: 250ms}, peer_asn: 65000")
}

// bfdLimit is how long traffic may be away when a path breaks.
const bfdLimit = time.Second

// watchedBy checks that BFD is up on both tunnels of g, at 3 × 300 ms.
func watchedBy(g *ourgateway.Gateway) error {
	st, err := g.Whole()
	if err != nil {
		return err
	}
	for _, p := range st.BGP.Peers {
		if p.BFD == nil || p.BFD.State != "Up" || p.BFD.Peer != "Up" || p.BFD.DetectMillis != 750 || p.BFD.TransmitMillis != 250 || p.BFD.Cut {
			return fmt.Errorf("%s: got %+v, want it up, and to find a broken path within 750 ms", p.Tunnel, p.BFD)
		}
	}
	return nil
}

// quickFailover cuts a tunnel's path under traffic, and sees it go on over the
// other one within bfdLimit. BGP and IKE have not noticed by then.
func quickFailover(t *testing.T, w *world.World, customer *ourgateway.Gateway, links ...string) {
	t.Helper()
	both := startStreams(t, w, links...)
	for _, s := range both {
		w.Until("the streams", 5*time.Second, func() error {
			if s.Sent() < streamRate {
				return fmt.Errorf("%d sent", s.Sent())
			}
			return nil
		})
	}
	w.CutTo(world.Responder)
	w.Until("tunnel 1 cut by BFD", 2*time.Second, func() error {
		st, err := customer.Whole()
		if err == nil && (st.BGP.Peers[0].BFD == nil || !st.BGP.Peers[0].BFD.Cut || !st.Tunnels[0].Up) {
			err = fmt.Errorf("got %+v, want it cut by BFD while the tunnel is still up", st.BGP.Peers[0].BFD)
		}
		if err == nil {
			err = carried(st, world.ServerSite, "t2")
		}
		return err
	})
	w.Until("traffic over tunnel 2", 2*time.Second, w.Reach)
	lost := 0
	for _, d := range both.stop(t) {
		lost += d.Lost
		away := time.Duration(d.Lost) * time.Second / streamRate
		t.Logf("traffic was away for %v: %v", away, d)
		if away > bfdLimit {
			t.Errorf("got traffic away for %v, want at most %v", away, bfdLimit)
		}
	}
	if lost == 0 { // which tunnel carries the way back is the other end's choice
		t.Error("nothing was lost: the cut tunnel carried nothing")
	}
	w.Mend()
}

// TestBFDBetweenOurselves has our gateway at both ends.
func TestBFDBetweenOurselves(t *testing.T) {
	w := world.New(t)
	w.SecondAddress()
	cloud := startText(t, w, "resp", withBFD(cloudFile))
	customer := startText(t, w, "cgw", withBFD(customerFile))
	w.Until("both sessions at both ends", 60*time.Second, func() error {
		if err := spoken(customer, 1, world.ServerSite, "t1"); err != nil {
			return err
		}
		return spoken(cloud, 1, world.CustomerSite, "")
	})
	w.Until("BFD", 10*time.Second, func() error {
		if err := watchedBy(customer); err != nil {
			return err
		}
		return watchedBy(cloud)
	})
	w.Until("traffic", 10*time.Second, w.Reach)
	quickFailover(t, w, customer, "tun1", "tun1")
	w.Until("BFD after the mend", 60*time.Second, func() error { return watchedBy(customer) })
	w.Until("tunnel 1 again, whose MED is lower", 60*time.Second, func() error { return spoken(customer, 1, world.ServerSite, "t1") })

	// What one end ends on purpose is no failure of the path at the other.
	reloaded(t, w, customer, customerFile, "t1      changed  bgp.bfd.interval, bgp.bfd.multiplier")
	w.Until("the end of BFD at the cloud's end, and no cut", 5*time.Second, func() error {
		st, err := cloud.Whole()
		if err != nil {
			return err
		}
		for _, p := range st.BGP.Peers {
			if p.BFD == nil || p.BFD.State == "Up" || p.BFD.Cut || !p.Established {
				return fmt.Errorf("%s: got %+v, want it down, and not cut", p.Tunnel, p.BFD)
			}
		}
		return carriedBySomething(cloud, world.CustomerSite)
	})
	w.Until("traffic without BFD", 5*time.Second, w.Reach)
}

// carriedBySomething checks that a tunnel carries prefix.
func carriedBySomething(g *ourgateway.Gateway, prefix string) error {
	st, err := g.Whole()
	if err != nil {
		return err
	}
	return carried(st, prefix, "")
}

// TestBFDWithFRR has strongSwan, and FRR with its bfdd, as each of two endpoints.
func TestBFDWithFRR(t *testing.T) {
	w := world.New(t)
	w.SecondGateway()
	var routers []*frr.Router
	for _, end := range namedEnds(true) {
		routers = append(routers, end.start(t, w))
	}
	customer := startText(t, w, "cgw", withBFD(customerFile))
	w.Until("both sessions", 60*time.Second, func() error { return spoken(customer, 1, world.ServerSite, "t1") })
	w.Until("BFD", 20*time.Second, func() error { return watchedBy(customer) })
	out, err := routers[0].Vtysh("show bfd peers")
	if err != nil || !strings.Contains(out, "Status: up") {
		t.Errorf("FRR: got %v, %s, want its session up", err, out)
	}
	w.Until("traffic", 10*time.Second, w.Reach)
	quickFailover(t, w, customer, "ipsec0", "tun1")
	w.Until("BFD after the mend", 90*time.Second, func() error { return watchedBy(customer) })
}
