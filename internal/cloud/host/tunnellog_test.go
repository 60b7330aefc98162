package host

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/vpn"
	"seikan/internal/gateway"
	"seikan/internal/gateway/activity"
)

// Each log that was asked for is a file in its group's folder, and no other file
// is made.
func TestTunnelLogsAreKeptByGroup(t *testing.T) {
	dir := t.TempDir()
	l := newTunnelLogs(dir, slog.New(slog.DiscardHandler))
	l.now = func() time.Time { return time.Unix(1700000000, 0) }
	w := vpn.Worker{GatewayID: "vgw-1", Tunnels: []vpn.WorkerTunnel{
		{ID: "vpn-1/1", Outside: netip.MustParseAddr("203.0.113.10"), Logs: resource.TunnelLogs{
			Activity: resource.TunnelLog{Enabled: true, GroupARN: "arn:aws:logs:us-east-1:111111111111:log-group:/aws/vendedlogs/vpn:*", Format: "json"},
			BGP:      resource.TunnelLog{Enabled: true, GroupARN: "arn:aws:logs:us-east-1:111111111111:log-group:..", Format: "text"}}},
		{ID: "vpn-1/2", Outside: netip.MustParseAddr("203.0.113.11")},
	}}
	l.set(w)
	said := func(tunnel string, bgp bool) activity.Notice {
		return activity.Notice{At: time.Unix(1700000000, 0), Tunnel: tunnel, BGP: bgp, Text: "something"}
	}
	for range 2 {
		l.report("vgw-1", gateway.Status{}, []activity.Notice{said("vpn-1/1", false), said("vpn-1/1", true), said("vpn-1/2", false)})
	}
	l.report("vgw-unknown", gateway.Status{}, []activity.Notice{said("vpn-1/1", false)})
	var got []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		info, _ := d.Info()
		got = append(got, strings.TrimPrefix(path, dir)+" "+info.Mode().String()+" "+strings.ReplaceAll(string(text), "\n", "|"))
		return err
	})
	want := []string{
		`/%2E./vpn-1_203.0.113.10.bgp.log -rw------- ` + strings.Repeat(`resource_id="vpn-1_203.0.113.10" event_timestamp=1700000000000 timestamp="2023-11-14 22:13:20.000Z" type="BGPStatus" status="DOWN" message.details="something"|`, 2),
		`/%2Faws%2Fvendedlogs%2Fvpn/vpn-1_203.0.113.10.activity.log -rw------- ` + strings.Repeat(`{"event_timestamp":1700000000,"timestamp":"2023-11-14 22:13:20.000Z","dpd_enabled":true,"nat_t_detected":false,"ike_phase1_state":"Down","ike_phase2_state":"Down","details":"something"}|`, 2),
	}
	if err != nil || strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\n%v, want\n%s", strings.Join(got, "\n"), err, strings.Join(want, "\n"))
	}
}

func TestALongTunnelLogIsPutAside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "group", "log")
	for _, text := range []string{strings.Repeat("x", maxLogFile-1) + "\n", "second\n", "third\n"} {
		if err := appendTo(path, text); err != nil {
			t.Fatal(err)
		}
	}
	now, _ := os.ReadFile(path)
	before, err := os.Stat(path + ".1")
	if err != nil || string(now) != "second\nthird\n" || before.Size() != maxLogFile {
		t.Errorf("got %d bytes in the log and %v, want what came after the file was full", len(now), err)
	}
}
