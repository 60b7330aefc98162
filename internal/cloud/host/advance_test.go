package host

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/metrics"
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

// A replacement that somebody asks for is carried through by the host: the store
// says drain, the gateway is told of another endpoint seconds later, and the one
// of the other tunnel stays. What is measured has CloudWatch's dimensions.
func TestTheHostReplacesAnEndpoint(t *testing.T) {
	w := newWorld(t)
	w.until("the gateway reports", func() bool { return len(w.host.Gateways()) == 1 })
	var conn resource.VPNConnection
	w.do(func(tx *store.Tx) error {
		conn = store.VPNConnections.List(tx)[0]
		return vpn.ReplaceVPNTunnel(tx, alice, vpn.ReplaceVPNTunnelInput{ID: conn.ID, OutsideIP: conn.Tunnels[1].OutsideIP})
	})
	w.until("tunnel 2 has another endpoint", func() bool {
		tunnels := w.host.Gateways()[string(w.gateway.ID)].Tunnels
		return len(tunnels) == 2 && tunnels[0].Endpoint == 0 && tunnels[1].Endpoint == 1
	})
	text, err := metrics.Append(nil, w.host.Metrics())
	want := fmt.Sprintf("seikan_tunnel_state{gateway=%q,tunnel=%q,tunnel_ip=%q,vpn_id=%q} 0\n", w.gateway.ID, vpn.TunnelID(conn.ID, 1), conn.Tunnels[1].OutsideIP, conn.ID)
	if err != nil || !strings.Contains(string(text), want) {
		t.Errorf("metrics: got\n%s\n%v, want the line %s", text, err, want)
	}
}
