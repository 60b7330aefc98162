package worker

import (
	"testing"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
)

// TestCloudThatStartsDoesSoAgainAfterADelete is a connection with startup
// action start (vpn §3.1): the cloud calls a customer gateway that waits behind
// a NAT with open ports, and again after that one has said goodbye.
func TestCloudThatStartsDoesSoAgainAfterADelete(t *testing.T) {
	w := newWorld(t)
	w.run("nat", "nft", `add chain ip watch open { type nat hook prerouting priority -100; ip daddr 198.51.100.2 udp dport { 500, 4500 } dnat to 192.168.2.2; }`)
	customer, cloud := config(true, key), config(false, key)
	for i := range customer.Tunnels {
		customer.Tunnels[i].Initiate, cloud.Tunnels[i].Initiate, cloud.Tunnels[i].Endpoint.AnswerIKEv1 = false, true, true
		customer.Tunnels[i].Outside.LocalID, cloud.Tunnels[i].Outside.RemoteID = "198.51.100.2", "198.51.100.2"
	}
	aws := w.start("right", cloud, w.sockets(), nil)
	bothUp := func(st gateway.Status) bool { return up(st) == "tunnel-1 tunnel-2" && carrier(st) != "" }
	for round := range 2 {
		device := w.start("left", customer, nil, nil)
		device.until("both tunnels", bothUp)
		st := aws.until("both tunnels", bothUp)
		for _, tunnel := range st.Tunnels {
			if !tunnel.IKE.Initiator || tunnel.IKE.Version != 2 || !tunnel.IKE.NATRemote {
				t.Errorf("round %d, %s: got initiator %v, IKEv%d, NAT before the peer %v; want to have begun with IKEv2 towards a NAT", round, tunnel.ID, tunnel.IKE.Initiator, tunnel.IKE.Version, tunnel.IKE.NATRemote)
			}
		}
		if !w.pings() {
			t.Errorf("round %d: the server does not answer through the tunnels", round)
		}
		device.Stop() // which deletes the SAs
		aws.until("no tunnel", func(st gateway.Status) bool { return up(st) == "" })
	}
}

// TestTunnelsOfBothVersionsStandSideBySide has one tunnel of each, as the system
// overview does, and cuts the one that carries the traffic.
func TestTunnelsOfBothVersionsStandSideBySide(t *testing.T) {
	w := newWorld(t)
	customer, cloud := config(true, key), config(false, key)
	for _, cfg := range []*gateway.Config{&customer, &cloud} {
		cfg.Tunnels[1].Versions = []int{1}
		cfg.Tunnels[1].IKE = []suite.IKE{{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 14}}
	}
	here := w.start("right", cloud, w.sockets(), nil)
	there := w.start("left", customer, nil, nil)
	outside := map[string]string{"tunnel-1": "198.51.100.10", "tunnel-2": "198.51.100.11"}
	for range 2 {
		st := there.until("both tunnels", func(st gateway.Status) bool { return up(st) == "tunnel-1 tunnel-2" && carrier(st) != "" })
		here.until("both tunnels", func(st gateway.Status) bool { return up(st) == "tunnel-1 tunnel-2" && carrier(st) != "" })
		for i, tunnel := range st.Tunnels {
			if want := 2 - i; tunnel.IKE.Version != want || !tunnel.IKE.NATLocal || !tunnel.Child.Encap {
				t.Errorf("%s: got IKEv%d, NAT before us %v, encapsulation %v; want IKEv%d through the NAT", tunnel.ID, tunnel.IKE.Version, tunnel.IKE.NATLocal, tunnel.Child.Encap, want)
			}
		}
		first := carrier(st)
		w.cut(outside[first])
		for _, s := range []*side{there, here} {
			s.until("the other tunnel", func(st gateway.Status) bool { return carrier(st) != "" && carrier(st) != first })
		}
		if !w.pings() {
			t.Errorf("%s is cut: the server does not answer through the other", first)
		}
		w.mend()
	}
}
