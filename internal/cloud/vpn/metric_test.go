package vpn

import (
	"fmt"
	"net/netip"
	"testing"

	"seikan/internal/cloud/resource"
)

// TunnelState is 1, 0 or a fraction by dimension, and data are those of the period
// (vpn §6.1).
func TestMetricsOfAConnection(t *testing.T) {
	c := resource.VPNConnection{ID: "vpn-1"}
	c.Tunnels[0].OutsideIP, c.Tunnels[1].OutsideIP = netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.11")
	c.Telemetry[0].Status, c.Telemetry[1].Status = resource.TunnelUp, resource.TunnelDown
	got := ""
	for _, d := range Metrics(c, [2]Counters{{1000, 2000}, {500, 600}}, [2]Counters{{1500, 2000}, {7, 8}}) {
		got += fmt.Sprintf("%s %s%s %v\n", d.Name, d.VPNID, d.TunnelIP, d.Value)
	}
	want := `TunnelState 203.0.113.10 1
TunnelDataIn 203.0.113.10 500
TunnelDataOut 203.0.113.10 0
TunnelState 203.0.113.11 0
TunnelDataIn 203.0.113.11 7
TunnelDataOut 203.0.113.11 8
TunnelState vpn-1 0.5
TunnelDataIn vpn-1 507
TunnelDataOut vpn-1 8
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
