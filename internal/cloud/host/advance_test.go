package host

import (
	"testing"
	"time"

	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
)

// What a plan says of an endpoint reaches the gateway, and a lowered MED only
// where there is a session to send it by.
func TestAReplacementReachesTheGateway(t *testing.T) {
	in := vpn.WorkerTunnel{Algorithms: everything("ikev2"), Endpoint: vpn.WorkerEndpoint{Generation: 3, Draining: true, MED: 50}}
	in.Liveness.Action = "clear"
	for asn, med := range map[uint32]uint32{0: 0, 65000: 50} {
		in.BGP.PeerASN = asn
		got, err := workerTunnel(in)
		if err != nil {
			t.Fatal(err)
		}
		if got.BGP.MED != med || got.Endpoint != (gateway.Endpoint{Generation: 3, Draining: true}) {
			t.Errorf("peer %d: got MED %d and %+v, want MED %d and generation 3, draining", asn, got.BGP.MED, got.Endpoint, med)
		}
	}
}

func TestTheEarlierOfTwoReasonsToLookAgain(t *testing.T) {
	for _, c := range []struct{ a, b, want time.Duration }{{0, 0, 0}, {time.Second, 0, time.Second}, {0, time.Second, time.Second}, {2 * time.Second, time.Second, time.Second}, {time.Second, 2 * time.Second, time.Second}} {
		if got := sooner(c.a, c.b); got != c.want {
			t.Errorf("sooner(%v, %v): got %v, want %v", c.a, c.b, got, c.want)
		}
	}
}
