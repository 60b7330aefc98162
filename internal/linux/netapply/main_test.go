package netapply_test

import (
	"context"
	"net/netip"
	"testing"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
	"seikan/internal/nettest"
)

// background is for what runs after the context of a test has ended.
func background() context.Context { return context.Background() }

func TestMain(m *testing.M) { nettest.Main(m) }

// newHost returns a Host whose namespaces are gone when the test ends.
func newHost(t *testing.T) *netapply.Host {
	t.Helper()
	h := netapply.New(netapply.Options{})
	t.Cleanup(func() {
		if _, err := h.Apply(background(), netspec.Spec{}); err != nil {
			t.Errorf("apply of nothing: %v", err)
		}
		h.Close()
	})
	return h
}

// apply makes want true and returns what it took.
func apply(t *testing.T, h *netapply.Host, want netspec.Spec) netapply.Report {
	t.Helper()
	report, err := h.Apply(t.Context(), want)
	if err != nil {
		t.Fatalf("Apply: %v\nafter %q", err, report.Changes)
	}
	return report
}

// run executes a command in a namespace and returns its output.
func run(t *testing.T, h *netapply.Host, ns, name string, args ...string) string {
	t.Helper()
	out, err := h.CommandIn(t.Context(), ns, name, args...)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// read returns what h owns.
func read(t *testing.T, h *netapply.Host) netspec.Spec {
	t.Helper()
	got, err := h.Read(t.Context())
	if err != nil {
		t.Fatalf("Read: %v", err)
	}
	return got
}

// project drops from got, which Read returned, what want leaves open: MTU and
// MAC. What remains must equal want.
func project(got, want netspec.Spec) netspec.Spec {
	open := map[netspec.Peer]netspec.Link{}
	for _, n := range want.Namespaces {
		for _, l := range n.Links {
			open[netspec.Peer{Namespace: n.Name, Link: l.Name}] = l
		}
	}
	got = got.Normalize()
	for _, n := range got.Namespaces {
		for i := range n.Links {
			l := &n.Links[i]
			w := open[netspec.Peer{Namespace: n.Name, Link: l.Name}]
			if w.MTU == 0 {
				l.MTU = 0
			}
			if w.MAC == "" {
				l.MAC = ""
			}
		}
	}
	return got
}

// wantKernel fails the test unless the machine has exactly want.
func wantKernel(t *testing.T, h *netapply.Host, want netspec.Spec) {
	t.Helper()
	if diff := netspec.Diff(want, project(read(t, h), want)); diff != "" {
		t.Errorf("Read differs from what was applied:\n%s", diff)
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// pair returns the two ends of a veth.
func pair(nsA, a, nsB, b string) (netspec.Link, netspec.Link) {
	return netspec.Link{Name: a, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: nsB, Link: b}},
		netspec.Link{Name: b, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: nsA, Link: a}}
}

// routed returns a client and a server joined by a router that forwards UDP
// to port 7000 and ping, and drops everything else.
func routed() netspec.Spec {
	rc, c := pair("rt", "to-client", "client", "eth0")
	rs, s := pair("rt", "to-server", "server", "eth0")
	rc.Sysctls = map[string]string{"proxy_arp": "1"}
	rc.Comment = "the client's"
	rc.Addrs = []netip.Prefix{prefix("10.0.1.1/32")}
	rs.Addrs = []netip.Prefix{prefix("10.0.2.1/24")}
	rs.MAC = "02:00:00:00:00:07"
	c.Addrs = []netip.Prefix{prefix("10.0.1.10/24")}
	c.MTU = 1400
	s.Addrs = []netip.Prefix{prefix("10.0.2.10/24")}
	return netspec.Spec{Namespaces: []netspec.Namespace{
		{
			Name:    "rt",
			Sysctls: map[string]string{"net.ipv4.ip_forward": "1"},
			Links:   []netspec.Link{rc, rs},
			Routes: []netspec.Route{
				{Dst: prefix("10.0.1.10/32"), Dev: "to-client", Table: 100},
				{Dst: prefix("10.0.2.0/24"), Dev: "to-server", Table: 100},
				{Dst: prefix("10.0.0.0/16"), Type: netspec.Unreachable, Table: 100},
				{Dst: prefix("172.16.0.0/12"), Via: addr("10.0.2.10"), Dev: "to-server", Metric: 5},
				{Dst: prefix("10.0.1.0/24"), Dev: "to-client"},
			},
			Rules: []netspec.Rule{
				{Priority: 100, To: prefix("10.0.0.0/16"), Table: 100},
				{Priority: 200, IIF: "to-client", Table: 101},
			},
			Tables: []netspec.Table{{
				Family: "ip", Name: "seikan_sg",
				Sets: []netspec.Set{{Name: "open", Type: "inet_service", Elements: []string{"7000"}}},
				Chains: []netspec.Chain{{
					Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Policy: "drop",
					Rules: []netspec.NftRule{
						{Text: "ct state established,related accept"},
						{Text: "udp dport @open accept", Comment: "the service"},
						{Text: "icmp type echo-request accept"},
					},
				}},
			}},
		},
		{Name: "client", Links: []netspec.Link{c}, Routes: []netspec.Route{{Dst: prefix("0.0.0.0/0"), Via: addr("10.0.1.1"), Dev: "eth0"}}},
		{Name: "server", Links: []netspec.Link{s}, Routes: []netspec.Route{{Dst: prefix("0.0.0.0/0"), Via: addr("10.0.2.1"), Dev: "eth0"}}},
	}}
}
