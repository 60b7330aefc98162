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
	"seikan/internal/gateway"
	"seikan/internal/routing/bgp"
)

// customerFile is our customer gateway with two tunnels, BGP and AWS's timers.
const customerFile = `
bgp: {asn: 65000, announce: [` + world.CustomerSite + `]}
tunnels:
  - name: t1
    interface: tun1
    outside: {remote_address: ` + world.Responder + `, local_id: customer.example, remote_id: ` + world.Responder + `}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideSecond + world.InsideBits + `
    bgp: {peer_asn: 64512}
  - name: t2
    interface: tun2
    outside: {remote_address: ` + world.Responder2 + `, local_id: customer.example, remote_id: ` + world.Responder2 + `}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideSecond2 + world.InsideBits + `
    bgp: {peer_asn: 64512}
`

// cloudFile is our gateway as AWS's end: it waits, takes 100 prefixes, and makes
// the peer prefer tunnel 1.
const cloudFile = `
bgp: {asn: 64512, announce: [` + world.ServerSite + `]}
tunnels:
  - name: t1
    interface: tun1
    startup_action: add
    dpd_action: clear
    outside: {local_address: ` + world.Responder + `, remote_address: ` + world.NAT + `, local_id: ` + world.Responder + `, remote_id: customer.example}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideFirst + world.InsideBits + `
    bgp: {peer_asn: 65000, max_prefixes: 100, med: 100}
  - name: t2
    interface: tun2
    startup_action: add
    dpd_action: clear
    outside: {local_address: ` + world.Responder2 + `, remote_address: ` + world.NAT + `, local_id: ` + world.Responder2 + `, remote_id: customer.example}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideFirst2 + world.InsideBits + `
    bgp: {peer_asn: 65000, max_prefixes: 100, med: 200}
`

// startText runs our gateway in a namespace.
func startText(t *testing.T, w *world.World, namespace, text string) *ourgateway.Gateway {
	t.Helper()
	return ourgateway.StartText(t, w, ourgateway.Config{Namespace: namespace, PSK: psk}, text)
}

// spoken checks that both BGP sessions of g are established, with accepted
// routes from each peer, and that prefix is carried by one of the tunnels, or by
// tunnel.
func spoken(g *ourgateway.Gateway, accepted int, prefix, tunnel string) error {
	st, err := g.Whole()
	if err != nil {
		return err
	}
	if st.BGP == nil || len(st.BGP.Peers) != 2 {
		return fmt.Errorf("got BGP %+v, want two peers", st.BGP)
	}
	for _, p := range st.BGP.Peers {
		if !p.Established || p.Accepted != accepted || p.Announced != 1 {
			return fmt.Errorf("%s: got %+v, want it established, %d accepted, 1 announced", p.Tunnel, p, accepted)
		}
	}
	return carried(st, prefix, tunnel)
}

// carried checks which tunnel carries prefix, learned by BGP.
func carried(st gateway.Status, prefix, tunnel string) error {
	for _, r := range st.Routes {
		if r.Prefix.String() == prefix && r.Learned && (r.Tunnel == tunnel || tunnel == "" && r.Tunnel != "") {
			return nil
		}
	}
	return fmt.Errorf("%s: got %+v, want it by %s, learned", prefix, st.Routes, tunnel)
}

// failover cuts tunnel 1, sees traffic go on over tunnel 2 in time, and mends it.
func failover(t *testing.T, w *world.World, customer *ourgateway.Gateway) {
	t.Helper()
	w.CutTo(world.Responder)
	took := w.Until("traffic over tunnel 2", failoverTime, w.Reach)
	if took > failoverTime {
		t.Errorf("failover took %v, want at most %v", took, failoverTime)
	}
	st, err := customer.Whole()
	if err == nil {
		err = carried(st, world.ServerSite, "t2")
	}
	if err != nil {
		t.Error(err)
	}
	t.Logf("traffic went on %v after tunnel 1's path was cut", took.Round(100*time.Millisecond))
	w.Mend()
}

// TestBGPWithStrongSwanAndFRR has our customer gateway behind a NAT, and
// strongSwan and FRR as each of AWS's two endpoints.
func TestBGPWithStrongSwanAndFRR(t *testing.T) {
	w := world.New(t)
	w.SecondGateway()
	var routers []*frr.Router
	for _, end := range namedEnds(false) {
		routers = append(routers, end.start(t, w))
	}
	ours := startText(t, w, "cgw", customerFile)
	took := w.Until("both sessions", 60*time.Second, func() error { return spoken(ours, 1, world.ServerSite, "t1") })
	t.Logf("both sessions after %v", took.Round(100*time.Millisecond))
	for _, r := range routers {
		w.Until("our prefix at FRR", 10*time.Second, func() error { return r.Has(world.CustomerSite, "65000") })
	}
	w.Until("traffic", 10*time.Second, w.Reach)
	for _, up := range []bool{true, false} {
		if got, err := w.Transfer(world.Load{Up: up, Octets: 4 << 20}); err != nil || !got.Whole(4<<20) {
			t.Errorf("transfer: got %+v, %v", got, err)
		}
	}
	// FRR announces a default route, as AWS's samples have customers do.
	st, err := ours.Whole()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range st.BGP.Peers {
		if len(p.Routes) == 0 || p.Routes[0].Prefix.Bits() != 0 || p.Routes[0].Refused != bgp.DefaultRefused {
			t.Errorf("%s: got %+v, want the default route refused", p.Tunnel, p.Routes)
		}
	}
	if got := w.Exec("cgw", "ip", "route", "show", "default"); strings.Contains(got, "tun") || !strings.Contains(got, "192.168.50.1") {
		t.Errorf("the site's default route: got %q, want its own", got)
	}
	failover(t, w, ours)
	w.Until("both sessions again", 90*time.Second, func() error { return spoken(ours, 1, world.ServerSite, "") })
	w.Until("traffic after the mend", 10*time.Second, w.Reach)

	// A session that ends takes its routes along, though the tunnel is up.
	if _, err := routers[1].Vtysh("clear bgp *"); err != nil {
		t.Fatal(err)
	}
	w.Until("tunnel 2's routes gone", 5*time.Second, func() error {
		st, err := ours.Whole()
		if err == nil && (!st.Tunnels[1].Up || st.BGP.Peers[1].Established || len(st.BGP.Peers[1].Routes) > 0 || carried(st, world.ServerSite, "t1") != nil) {
			err = fmt.Errorf("got %+v and %+v", st.BGP.Peers[1], st.Routes)
		}
		return err
	})
	w.Until("the session that was cleared", 60*time.Second, func() error { return spoken(ours, 1, world.ServerSite, "") })
	if packets, _ := w.Seen("clear"); packets != 0 {
		t.Errorf("%d packets crossed the internet in clear", packets)
	}
}

// TestBGPAtTheHundredAndFirstPrefix has our gateway as AWS's end take a hundred
// prefixes, and reset the session at one more, as AWS does (vpn §4.5), and say so.
func TestBGPAtTheHundredAndFirstPrefix(t *testing.T) {
	w := world.New(t)
	w.SecondAddress()
	cloud := startText(t, w, "resp", cloudFile)
	var prefixes []string
	for i := range 101 {
		prefixes = append(prefixes, fmt.Sprintf("172.16.%d.0/24", i))
	}
	announce := func(n int) string {
		return strings.Replace(customerFile, world.CustomerSite, strings.Join(prefixes[:n], ", "), 1)
	}
	customer := startText(t, w, "cgw", announce(100))
	w.Until("a hundred prefixes over both sessions", 60*time.Second, func() error { return spoken(cloud, 100, "172.16.99.0/24", "") })
	if out, err := customer.Reload(w, announce(101)); err != nil {
		t.Fatalf("reload: %v, %s", err, out)
	}
	w.Until("the end of both sessions, with the reason", 60*time.Second, func() error {
		st, err := customer.Whole()
		if err != nil {
			return err
		}
		for _, p := range st.BGP.Peers {
			if want := "received 6/1 (Cease/Maximum Number of Prefixes Reached)"; p.Established || p.LastError != want {
				return fmt.Errorf("%s: got %+v, want %q", p.Tunnel, p, want)
			}
		}
		return nil
	})
	// Both ends' logs say so, and nothing of the customer's is left at AWS's.
	for who, line := range map[*ourgateway.Gateway]string{
		cloud:    `msg="BGP notification" gateway=e2e peer=t1 what="sent 6/1 (Cease/Maximum Number of Prefixes Reached)"`,
		customer: `msg="BGP session ended" gateway=e2e peer=t1 reason="received 6/1 (Cease/Maximum Number of Prefixes Reached)"`,
	} {
		w.Until("the log line", 5*time.Second, func() error {
			if !strings.Contains(who.Log(), line) {
				return fmt.Errorf("want %s in %s", line, who.Log())
			}
			return nil
		})
	}
	// At once, but on a machine so busy that laying the hundred took half a second,
	// when a gateway pauses for 5 s before it looks again.
	took := w.Until("no route by a tunnel", 20*time.Second, func() error {
		if got := w.Exec("resp", "ip", "route", "show", "root", "172.16.0.0/16"); strings.Contains(got, "dev tun") {
			st, err := cloud.Whole()
			return fmt.Errorf("got %d lines, sessions %+v, %v", strings.Count(got, "\n"), st.BGP, err)
		}
		return nil
	})
	t.Logf("the hundred were gone %v after the sessions", took.Round(10*time.Millisecond))
}

// TestBGPBetweenOurselves has our gateway at both ends.
func TestBGPBetweenOurselves(t *testing.T) {
	w := world.New(t)
	w.SecondAddress()
	cloud := startText(t, w, "resp", cloudFile)
	customer := startText(t, w, "cgw", customerFile)
	took := w.Until("both sessions at both ends", 60*time.Second, func() error {
		if err := spoken(customer, 1, world.ServerSite, "t1"); err != nil {
			return err
		}
		return spoken(cloud, 1, world.CustomerSite, "")
	})
	t.Logf("both sessions after %v", took.Round(100*time.Millisecond))
	w.Until("traffic", 10*time.Second, w.Reach)
	failover(t, w, customer)
	w.Until("both sessions again", 90*time.Second, func() error { return spoken(customer, 1, world.ServerSite, "t1") })
	w.Until("traffic over tunnel 1 again, whose MED is lower", 10*time.Second, w.Reach)

	// With both tunnels gone the prefix is shut, so that nothing leaves in clear.
	w.Cut()
	w.Until("both tunnels down", failoverTime, func() error {
		st, err := customer.Whole()
		if err != nil {
			return err
		}
		return carriedByNothing(st)
	})
	if got := w.Exec("cgw", "ip", "route", "show", world.ServerSite); !strings.Contains(got, "unreachable") {
		t.Errorf("route to %s: got %q, want it unreachable", world.ServerSite, got)
	}
	w.Mend()
	w.Until("traffic after the mend", 90*time.Second, w.Reach)
	if packets, _ := w.Seen("clear"); packets != 0 {
		t.Errorf("%d packets crossed the internet in clear", packets)
	}
	cloud.Stop()
	customer.Stop()
}

// carriedByNothing checks that no tunnel carries the server's site, which is
// still known.
func carriedByNothing(st gateway.Status) error {
	for _, r := range st.Routes {
		if r.Prefix.String() == world.ServerSite && r.Tunnel == "" {
			return nil
		}
	}
	return fmt.Errorf("got %+v, want %s by nothing", st.Routes, world.ServerSite)
}
