package vpn

import "seikan/internal/cloud/resource"

// MetricNamespace is where CloudWatch has the metrics of VPN connections.
const MetricNamespace = "AWS/VPN"

// Names of metrics (vpn §6.1).
const (
	MetricState   = "TunnelState"   // 0 to 1
	MetricDataIn  = "TunnelDataIn"  // bytes of the period, after decryption
	MetricDataOut = "TunnelDataOut" // bytes of the period, before encryption
)

// A Datum is the value of one metric over one period.
type Datum struct {
	Name string
	// Of the two dimensions one is given: VPNID for both tunnels together,
	// TunnelIP, the cloud's outside address, for one of them.
	VPNID    resource.VPNConnectionID
	TunnelIP string
	Value    float64
}

// Counters are the octets that a tunnel has carried since its gateway began to
// count.
type Counters struct{ In, Out uint64 }

// Metrics are the metrics of a connection over the period between two readings of
// its tunnels' counters: those of each tunnel, then those of the connection, whose
// state is a fraction when one tunnel is up (vpn §6.1). Counters that have begun
// anew count from nothing.
func Metrics(c resource.VPNConnection, before, now [2]Counters) []Datum {
	var out []Datum
	var state, in, outgoing float64
	for i, t := range c.Telemetry {
		ip := c.Tunnels[i].OutsideIP.String()
		up := 0.0
		if t.Status == resource.TunnelUp {
			up = 1
		}
		received, sent := growth(before[i].In, now[i].In), growth(before[i].Out, now[i].Out)
		out = append(out, Datum{Name: MetricState, TunnelIP: ip, Value: up}, Datum{Name: MetricDataIn, TunnelIP: ip, Value: received}, Datum{Name: MetricDataOut, TunnelIP: ip, Value: sent})
		state, in, outgoing = state+up/float64(len(c.Telemetry)), in+received, outgoing+sent
	}
	return append(out, Datum{Name: MetricState, VPNID: c.ID, Value: state}, Datum{Name: MetricDataIn, VPNID: c.ID, Value: in}, Datum{Name: MetricDataOut, VPNID: c.ID, Value: outgoing})
}

func growth(before, now uint64) float64 {
	if now < before {
		return float64(now)
	}
	return float64(now - before)
}
