package gateway

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2"
	"seikan/internal/ipsec/ike/policy"
)

// initiateTo lets the peer of t begin towards responder, and returns what the
// peer makes of the answer, in words.
func initiateTo(t *testing.T, responder ike.Machine, of policy.Config) string {
	t.Helper()
	of.Initiator, of.Local, of.Remote = true, of.Remote, of.Local
	initiator, err := ikev2.New(of, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var out ike.Outputs
	if err := initiator.Step(now, ike.Initiate{}, &out); err != nil {
		t.Fatal(err)
	}
	request := out.Datagrams[0]
	out.Reset()
	if err := responder.Step(now, ike.Datagram{Local: request.Remote, Remote: request.Local, Data: request.Data}, &out); err != nil {
		t.Fatal(err)
	}
	return initiator.Describe(out.Datagrams[0].Data)
}

func TestTunnelsOfAGatewayCountHalfOpenAttemptsTogether(t *testing.T) {
	g, err := New(waiting(), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.host.Close() })
	const tunnels = 40
	demanded := 0
	for i := range tunnels {
		tunnel := waiting().Tunnels[0].withDefaults()
		tunnel.Outside.Remote = netip.MustParseAddr(fmt.Sprintf("127.0.1.%d", i+1))
		m, _, err := g.machine(tunnel, tunnel.Outside.Local, nil)
		if err != nil {
			t.Fatal(err)
		}
		cfg, err := machineConfig(tunnel, tunnel.Outside.Local)
		if err != nil {
			t.Fatal(err)
		}
		// Each machine sees one attempt only, so only what all of them see
		// together can call for a cookie.
		if strings.Contains(initiateTo(t, m, cfg), "N(COOKIE)") {
			demanded++
		} else if demanded > 0 {
			t.Errorf("tunnel %d: no cookie demanded, though one before it did", i)
		}
	}
	if demanded == 0 || demanded == tunnels {
		t.Errorf("got %d of %d attempts asked for a cookie, want the later ones", demanded, tunnels)
	}
}
