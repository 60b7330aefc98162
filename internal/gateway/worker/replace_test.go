package worker

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"seikan/internal/gateway"
)

// dynamic is one end of two tunnels with BGP. The cloud's sends meds and has the
// endpoints. Liveness is AWS's: 30 seconds, so that no failover hides what a tunnel
// does not carry, and a busy machine causes none.
func dynamic(customer bool, endpoints [2]gateway.Endpoint, meds [2]uint32) gateway.Config {
	cfg := config(customer, key)
	cfg.BGP = gateway.BGP{ASN: 64512, Announce: []netip.Prefix{prefix("10.0.0.0/16")}}
	peer := uint32(65000)
	if customer {
		cfg.BGP = gateway.BGP{ASN: 65000, Announce: []netip.Prefix{prefix("192.168.1.0/24")}}
		peer = 64512
	}
	for i := range cfg.Tunnels {
		cfg.Tunnels[i].Routes, cfg.Tunnels[i].Liveness = nil, gateway.Liveness{}
		cfg.Tunnels[i].BGP = gateway.Session{PeerASN: peer, Hold: 9 * time.Second, Keepalive: 3 * time.Second, MED: meds[i]}
		cfg.Tunnels[i].Endpoint = endpoints[i]
	}
	return cfg
}

// by reports whether tunnel carries the only learned route.
func by(tunnel string) func(gateway.Status) bool {
	return func(st gateway.Status) bool { return len(st.Routes) == 1 && st.Routes[0].Tunnel == tunnel }
}

// settled reports whether both sessions stand and bring a route that is used.
func settled(st gateway.Status) bool {
	if up(st) != "tunnel-1 tunnel-2" || st.BGP == nil || len(st.Routes) == 0 || carrier(st) == "" {
		return false
	}
	for _, p := range st.BGP.Peers {
		if !p.Established || p.Accepted != 1 {
			return false
		}
	}
	return true
}

// The cloud replaces one endpoint after the other under traffic, as
// cloud/vpn plans it: drained, with the other tunnel's MED lowered, before it is
// begun anew. No packet is lost (vpn §3.6).
func TestAnEndpointIsReplacedWithoutLoss(t *testing.T) {
	w := newWorld(t)
	var endpoints [2]gateway.Endpoint
	meds := [2]uint32{100, 100}
	cloud := w.start("right", dynamic(false, endpoints, meds), w.sockets(), nil)
	customer := w.start("left", dynamic(true, endpoints, [2]uint32{}), nil, nil)
	for _, s := range []*side{customer, cloud} {
		s.until("both sessions", settled)
	}
	over := w.traffic(25)
	for i, tunnel := range []string{"tunnel-1", "tunnel-2"} {
		other := fmt.Sprint("tunnel-", 2-i)
		set := func() {
			if err := cloud.Set(dynamic(false, endpoints, meds)); err != nil {
				t.Fatal(err)
			}
		}
		endpoints[i].Draining, meds[1-i] = true, 50
		set()
		for _, s := range []*side{customer, cloud} {
			s.until("traffic by "+other, by(other))
		}
		// cloud/vpn waits for seconds; what is on its way arrives in less.
		since := time.Now()
		cloud.until("what was on its way", func(gateway.Status) bool { return time.Since(since) > 300*time.Millisecond })
		began := time.Now()
		endpoints[i].Generation++
		set()
		cloud.until("a new endpoint of "+tunnel, func(st gateway.Status) bool { return st.Tunnels[i].Endpoint == endpoints[i].Generation && settled(st) })
		customer.until("both sessions", settled)
		t.Logf("%s is back after %v", tunnel, time.Since(began).Round(10*time.Millisecond))
		endpoints[i].Draining, meds[1-i] = false, 100
		set()
	}
	// What the logs of the tunnels are made of comes up with the statuses.
	for _, tunnel := range []string{"tunnel-1", "tunnel-2"} {
		if !customer.hears(tunnel, false, "IKE SA is up") || !cloud.hears(tunnel, true, "BGP session established") {
			t.Errorf("%s: the workers did not hand up that its IKE SA and its BGP session came up", tunnel)
		}
	}
	sent, lost, ended := over()
	if lost != 0 || ended {
		t.Errorf("under traffic: got %d of %d packets lost, and its end before that of the replacements %v, want none and false", lost, sent, ended)
	}
	t.Logf("%d packets and their answers, %d lost", sent, lost)
	for _, ns := range []string{"left", "right"} {
		if t.Failed() { // was it the replacement, or a machine too busy to read its sockets?
			t.Logf("%s:\n%s\n%s", ns, w.run(ns, "grep", "Udp:", "/proc/net/snmp"), w.run(ns, "ip", "-s", "link"))
		}
	}
}
