package lab

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seikan/internal/gateway"
	"seikan/internal/lab/topology"
	"seikan/internal/linux/netspec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func overview(t *testing.T) *topology.Topology {
	t.Helper()
	topo, err := topology.ReadFile("../../lab/system-overview.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got != string(want) {
		t.Errorf("got\n%swant (%s, %v)\n%s", got, file, err, want)
	}
}

func TestPlanOfTheSystemOverview(t *testing.T) {
	spec := Plan(overview(t))
	if err := spec.Validate(); err != nil {
		t.Errorf("the plan is not valid: %v", err)
	}
	golden(t, "plan.golden", spec.Normalize().String())
}

// What the site sends to its gateway must not go out in clear before the gateway
// knows the way: neither to the VPC nor to another site.
func TestAGatewaysHostShutsWhatTheSiteSendsToIt(t *testing.T) {
	topo := overview(t)
	topo.Sites[0].Routes = append(topo.Sites[0].Routes, topology.SiteRoute{To: netip.MustParsePrefix("192.168.2.0/24"), Via: "cgw"}, topology.SiteRoute{To: netip.MustParsePrefix("192.168.3.0/24"), Via: "dns"})
	var shut []string
	for _, ns := range Plan(topo).Namespaces {
		for _, r := range ns.Routes {
			if r.Type == netspec.Unreachable {
				shut = append(shut, ns.Name+" "+r.Dst.String())
			}
		}
	}
	if got, want := strings.Join(shut, ", "), "cgw 10.0.0.0/16, cgw 192.168.2.0/24"; got != want {
		t.Errorf("unreachable: got %s, want %s", got, want)
	}
}

func TestFaultsTouchNothingButTheirTable(t *testing.T) {
	whole := planFaults(Faults{})
	cut := planFaults(Faults{Cut: []netip.Addr{netip.MustParseAddr("203.0.113.11"), netip.MustParseAddr("203.0.113.10")}})
	if err := cut.Validate(); err != nil {
		t.Errorf("the plan is not valid: %v", err)
	}
	golden(t, "faults.golden", whole.Normalize().String()+"\n--- cut\n"+cut.Normalize().String())
}

func TestLinksAreFoundByName(t *testing.T) {
	topo, namespaces := overview(t), map[string]string{"cgw": "cgw", "web-1": "i-0abc"}
	for name, want := range map[string]place{
		"corp-lan": {"corp-lan", "br0"}, "internet": {"internet", ""}, "corp-uplink": {"internet", "corp-uplink"},
		"cgw/tun1": {"cgw", "tun1"}, "web-1/eth0": {"i-0abc", "eth0"},
	} {
		if got, err := findLink(topo, namespaces, name); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "nothing", "nobody/eth0", "cgw/", "/eth0"} {
		_, err := findLink(topo, namespaces, name)
		if err == nil || !strings.Contains(err.Error(), "corp-uplink") {
			t.Errorf("%q: got %v, want an error that lists the links", name, err)
		}
	}
}

func TestCountersAreRead(t *testing.T) {
	const dev = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       1       2    0    0    0     0          0         0        3       4    0    0    0     0       0          0
  eth0: 1000000     100    0    0    0     0          0         0   500000      50    0    0    0     0       0          0
`
	got := LinkStatus{Interface: "eth0"}
	if err := readCounters(strings.NewReader(dev), &got); err != nil {
		t.Fatal(err)
	}
	if want := (LinkStatus{Interface: "eth0", Up: true, RxBytes: 1000000, RxPackets: 100, TxBytes: 500000, TxPackets: 50}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "  eth0: 1 2 3", "  eth0: a b c d e f g h i j k"} {
		if err := readCounters(strings.NewReader(bad), &LinkStatus{Interface: "eth0"}); err == nil {
			t.Errorf("%q: got no error, want one", bad)
		}
	}
}

func TestGatewayStatusBecomesTunnels(t *testing.T) {
	st := gateway.Status{
		Tunnels: []gateway.TunnelStatus{
			{ID: "tunnel-1", Up: true, IKE: gateway.IKEStatus{Version: 2, Auth: "PSK", NATLocal: true, Suite: "S1", Weak: []string{"SHA1"}}, Child: &gateway.ChildStatus{Suite: "S2", Weak: []string{"DH2", "SHA1"}},
				Traffic: gateway.Traffic{BytesIn: 7, BytesOut: 8}},
			{ID: "tunnel-2", Phase: "connecting", IKE: gateway.IKEStatus{Version: 2}},
		},
		Routes: []gateway.RouteStatus{{Prefix: netip.MustParsePrefix("10.0.0.0/16"), Tunnel: "tunnel-1"}},
	}
	got := TunnelsOf("vpn", "customer", st)
	want := []TunnelStatus{
		{Connection: "vpn", Number: 1, End: "customer", Up: true, IKE: "ikev2", Auth: "PSK", NATLocal: true, Phase1: "S1", Phase2: "S2", Weak: "DH2, SHA1", BytesIn: 7, BytesOut: 8, Carries: true},
		{Connection: "vpn", Number: 2, End: "customer", Detail: "connecting", IKE: "ikev2"},
	}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDNSServerIsToldItsZones(t *testing.T) {
	h, _, _ := overview(t).Host("dns")
	got := strings.Join(dnsArgs(h), " ")
	for _, want := range []string{"--listen 192.168.1.53:53", "--zone corp.example", "--record corp.example=client 300 IN A 192.168.1.10", "--forward service.example=10.0.1.53:53,10.0.2.53:53"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	if got, want := RecordLine(topology.Record{Name: "@", Type: "TXT", Value: `say "hi"`}), `@ 0 IN TXT "say \"hi\""`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
