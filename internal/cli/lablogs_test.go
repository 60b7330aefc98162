package cli

import (
	"bytes"
	"testing"

	"seikan/internal/lab"
)

// What AWS's command line shows of a metric has these names (vpn §6.1).
func TestMetricsAreCloudWatchs(t *testing.T) {
	var out bytes.Buffer
	err := printMetrics(&streams{out: &out}, []lab.Metric{
		{Name: "TunnelState", TunnelIP: "203.0.113.10", Value: 1}, {Name: "TunnelState", VPNID: "vpn-1", Value: 0.5}, {Name: "TunnelDataIn", VPNID: "vpn-1", Value: 1500},
	})
	const want = `{"Namespace":"AWS/VPN","MetricName":"TunnelState","Dimensions":[{"Name":"TunnelIpAddress","Value":"203.0.113.10"}],"Value":1,"Unit":"None"}
{"Namespace":"AWS/VPN","MetricName":"TunnelState","Dimensions":[{"Name":"VpnId","Value":"vpn-1"}],"Value":0.5,"Unit":"None"}
{"Namespace":"AWS/VPN","MetricName":"TunnelDataIn","Dimensions":[{"Name":"VpnId","Value":"vpn-1"}],"Value":1500,"Unit":"Bytes"}
`
	if err != nil || out.String() != want {
		t.Errorf("got %v and\n%s\nwant\n%s", err, out.String(), want)
	}
	if err := printMetrics(&streams{out: &out}, nil); err == nil {
		t.Error("of a lab without connections: got no error")
	}
}
