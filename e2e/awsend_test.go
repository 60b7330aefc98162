//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/e2e/frr"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
)

// An awsEnd is one of AWS's two endpoints, played by strongSwan and FRR.
type awsEnd struct {
	namespace, address, inside, peer, key string
	ike, esp                              string
	customer                              string // the customer's identity; empty: the address that the NAT gives it
	med                                   int    // of what it announces; 0: none
	bfd                                   bool   // three times 250 ms
}

// twoEnds are the two, as each test wants them.
func twoEnds(change func(i int, e *awsEnd)) []awsEnd {
	ends := []awsEnd{
		{namespace: "resp", address: world.Responder, inside: world.InsideFirst, peer: world.InsideSecond},
		{namespace: "resp2", address: world.Responder2, inside: world.InsideFirst2, peer: world.InsideSecond2},
	}
	for i := range ends {
		change(i, &ends[i])
	}
	return ends
}

// namedEnds know the customer of customerFile by its name, have the tests' key, and
// have it prefer the first.
func namedEnds(bfd bool) []awsEnd {
	return twoEnds(func(i int, e *awsEnd) {
		e.customer, e.key, e.med, e.bfd = "customer.example", psk, 100*(i+1), bfd
		e.ike, e.esp = "aes256-sha256-prfsha256-ecp256", "aes256gcm16-ecp256"
	})
}

// start plays the endpoint. It announces the server's site and a default route,
// with AWS's timers.
func (e awsEnd) start(t *testing.T, w *world.World) *frr.Router {
	t.Helper()
	cfg := strongswan.Config{Namespace: e.namespace, Local: e.address, Remote: world.NAT, LocalID: e.address, RemoteID: e.customer,
		PSK: e.key, IKE: e.ike, ESP: e.esp, DPDDelay: 10 * time.Second, Inside: e.inside + world.InsideBits}
	if e.customer == "" {
		cfg.RemoteID, cfg.AnyVersion = world.NAT, true
	}
	strongswan.Start(t, w, cfg)
	w.Exec(e.namespace, "ip", "address", "replace", e.inside+world.InsideBits, "dev", "ipsec0")
	bgp, bfd := e.frr()
	return frr.StartBFD(t, w, e.namespace, bgp, bfd)
}

// frr is what FRR's bgpd and bfdd are told.
func (e awsEnd) frr() (bgp, bfd string) {
	var b strings.Builder
	neighbor := func(words string) { fmt.Fprintf(&b, "  neighbor %s %s\n", e.peer, words) }
	fmt.Fprintf(&b, "router bgp 64512\n bgp router-id %s\n no bgp ebgp-requires-policy\n no bgp network import-check\n timers bgp 10 30\n", e.inside)
	neighbor("remote-as 65000")
	neighbor("timers connect 5")
	if e.bfd {
		neighbor("bfd")
		bfd = "bfd\n peer " + e.peer + "\n  detect-multiplier 3\n  receive-interval 250\n  transmit-interval 250\n"
	}
	fmt.Fprintf(&b, " address-family ipv4 unicast\n  network %s\n", world.ServerSite)
	neighbor("maximum-prefix 100")
	neighbor("default-originate")
	if e.med > 0 {
		neighbor("route-map metric out")
	}
	b.WriteString(" exit-address-family\n")
	if e.med > 0 {
		fmt.Fprintf(&b, "route-map metric permit 10\n set metric %d\n", e.med)
	}
	return b.String(), bfd
}
