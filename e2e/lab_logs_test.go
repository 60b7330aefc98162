//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLabTellsOfAReplacedEndpoint replaces an endpoint and reads what its owner is
// told of it.
func TestLabTellsOfAReplacedEndpoint(t *testing.T) {
	l := labUp(t, "events")
	l.awaitUp()
	if s := l.do("events"); s.code != 0 || s.out != "" || !strings.Contains(s.err, "no events") {
		t.Errorf("before: got %v, want no events", s)
	}
	if s := l.do("replace", "203.0.113.10"); s.code != 0 {
		t.Fatalf("lab replace: %v", s)
	}
	until(t, "the event", 2*patience, func() error {
		s := l.do("events", "--json")
		if s.code != 0 || !strings.Contains(s.out, `"detail-type":"AWS Health Event","source":"aws.health"`) || !strings.Contains(s.out, `"eventTypeCode":"AWS_VPN_REDUNDANCY_LOSS"`) {
			return fmt.Errorf("got %v", s)
		}
		return nil
	})
	s := l.do("events")
	if s.code != 0 || strings.Count(s.out, "\n") != 2 || !strings.Contains(s.out, "corp-vpn    AWS_VPN_REDUNDANCY_LOSS") || !strings.Contains(s.out, "203.0.113.10") {
		t.Errorf("afterwards: got %v, want one event of corp-vpn", s)
	}
}

// TestLabKeepsLogsAndMeasures sees a line of each of a tunnel's logs, as AWS
// writes them, and the measurements of all tunnels, by the verbs that print them
// and in the files that they name.
func TestLabKeepsLogsAndMeasures(t *testing.T) {
	l := labUp(t, "logs")
	l.awaitUp()
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"corp-vpn/1", "--log", "activity"}, []string{
			`"dpd_enabled":true,"nat_t_detected":true,"ike_phase1_state":"Established","ike_phase2_state":"Established","details":"tunnel established`}},
		{[]string{"corp-vpn/2", "--log", "bgp"}, []string{
			`"type":"BGPStatus","status":"UP","message":{"details":"BGP session established`,
			`"type":"RouteStatus","status":"ADVERTISED","message":{"prefix":"192.168.1.0/24","asPath":"65000","localPref":100,"med":`,
			`{"resource_id":"vpn-`, `_203.0.113.11","event_timestamp":`}},
		{nil, []string{"==> corp-vpn/1 activity <==\n{", "==> corp-vpn/1 bgp <==\n{", "==> corp-vpn/2 activity <==\n{", "==> corp-vpn/2 bgp <==\n{"}},
		{[]string{"corp-vpn/1", "--files"}, []string{l.file("cloud", "logs", "corp-vpn") + "/vpn-"}},
	} {
		until(t, fmt.Sprint("lab logs ", c.args), patience, func() error {
			s := l.do("logs", c.args...)
			for _, want := range c.want {
				if s.code != 0 || !strings.Contains(s.out, want) {
					return fmt.Errorf("got %v, want %s", s, want)
				}
			}
			return nil
		})
	}
	if s := l.do("logs", "corp-vpn/3"); s.code != 1 || !strings.Contains(s.err, "there is corp-vpn/1, corp-vpn/2") {
		t.Errorf("logs of a tunnel that is not there: got %v", s)
	}

	until(t, "measurements of both tunnels", patience, func() error {
		if err := l.reach(); err != nil {
			return err
		}
		s := l.do("metrics")
		var errs []error
		for _, want := range []string{`seikan_tunnel_state\{.*tunnel_ip="203\.0\.113\.10".*\} 1`, `seikan_tunnel_state\{.*tunnel_ip="203\.0\.113\.11".*\} 1`,
			`seikan_tunnel_data_in_bytes_total\{.*vpn_id="vpn-[0-9a-f]{17}".*\} [1-9]`, `seikan_tunnel_data_out_bytes_total\{`} {
			if s.code != 0 || !regexp.MustCompile(want).MatchString(s.out) {
				errs = append(errs, fmt.Errorf("lab metrics: got %v, want %s", s, want))
			}
		}
		return errors.Join(errs...)
	})
	// The same by CloudWatch's names.
	if s := l.do("metrics", "--cloudwatch"); s.code != 0 ||
		!regexp.MustCompile(`"MetricName":"TunnelState","Dimensions":\[\{"Name":"VpnId","Value":"vpn-[0-9a-f]{17}"\}\],"Value":1,`).MatchString(s.out) ||
		!regexp.MustCompile(`"MetricName":"TunnelDataIn","Dimensions":\[\{"Name":"VpnId","Value":"vpn-[0-9a-f]{17}"\}\],"Value":[1-9]`).MatchString(s.out) {
		t.Errorf("lab metrics --cloudwatch: got %v, want both tunnels up, and data", s)
	}
	s := command(t, patience, "curl", "-sS", "--unix-socket", l.file("metrics.sock"), "http://lab/metrics")
	if s.code != 0 || !strings.Contains(s.out, "# TYPE seikan_tunnel_state gauge") {
		t.Errorf("curl at the socket: got %v, want Prometheus's text", s)
	}
}

// TestLabWritesForADevice asks the running lab for files of the connection as it
// is, and loads them by our own program.
func TestLabWritesForADevice(t *testing.T) {
	l := labUp(t, "device")
	dir := t.TempDir()
	if s := l.do("device-config", "corp-vpn", "--device", "generic", "-o", dir); s.code != 0 || !strings.Contains(s.out, ".txt: written") {
		t.Errorf("in a file: got %v", s)
	}
	s := l.do("device-config", "corp-vpn", "--device", "seikan")
	if s.code != 0 {
		t.Fatalf("our own: %v", s)
	}
	file := filepath.Join(dir, "gateway.yaml")
	if err := os.WriteFile(file, []byte(s.out), 0o600); err != nil {
		t.Fatal(err)
	}
	if s := command(t, patience, seikan(t), "gateway", "check", "--config", file); s.code != 0 {
		t.Errorf("gateway check of it: %v", s)
	}
	if s := l.do("device-config", "corp-vpn", "--device", "cisco-asa"); s.code != 1 || !strings.Contains(s.err, "UnsupportedOperation: device cisco-asa: ") {
		t.Errorf("a device that cannot: got %v", s)
	}
	if s := l.do("device-config", "corp-vpn", "--device", "fortigate", "--sample-type", "recommended", "--ike-version", "ikev1"); s.code != 1 || !strings.Contains(s.err, "recommended is for ikev2") {
		t.Errorf("recommended with IKEv1: got %v", s)
	}
}
