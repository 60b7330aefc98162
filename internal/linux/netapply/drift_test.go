package netapply_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

// everything is a Spec with every kind of object.
func everything() netspec.Spec {
	s := routed()
	rt := &s.Namespaces[0]
	rt.Sysctls["net.ipv4.ip_default_ttl"] = "60"
	rt.Links = append(rt.Links,
		netspec.Link{Name: "br0", Kind: netspec.Bridge, Addrs: []netip.Prefix{prefix("10.3.0.1/24"), prefix("10.3.0.2/24"), prefix("fd00:3::1/64")}},
		netspec.Link{Name: "port", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "rt", Link: "trop"}, Master: "br0"},
		netspec.Link{Name: "trop", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "rt", Link: "port"}, Down: true},
		netspec.Link{Name: "lo", Kind: netspec.Loopback, Addrs: []netip.Prefix{prefix("10.255.0.1/32")}},
	)
	rt.Routes = append(rt.Routes,
		netspec.Route{Dst: prefix("fd00::/16"), Via: addr("fd00:3::2"), Dev: "br0", Src: addr("fd00:3::1")},
		netspec.Route{Dst: prefix("fd01::/16"), Type: netspec.Blackhole},
		netspec.Route{Dst: prefix("10.4.0.0/16"), Via: addr("10.250.0.1"), Dev: "br0", OnLink: true, Src: addr("10.3.0.1")},
		netspec.Route{Dst: prefix("10.5.0.0/16"), Spread: netspec.LinksOf("to-server", "to-client"), Table: 102},
		netspec.Route{Dst: prefix("fd05::/16"), Spread: netspec.LinksOf("to-server", "to-client"), Table: 102},
	)
	rt.Rules = append(rt.Rules, netspec.Rule{Priority: 400, From: prefix("::/0"), IIF: "br0", Table: 9}, netspec.Rule{Priority: 300, IIF: "lo", Mark: 7, Table: 9})
	return s
}

// TestDriftIsRepaired changes one thing behind the Host's back at a time.
func TestDriftIsRepaired(t *testing.T) {
	drifts := []string{
		"ip link del to-client",
		"ip link set to-client down",
		"ip link set trop up",
		"ip link set to-client mtu 1300",
		"ip link set to-server address 02:00:00:00:00:99",
		"ip link set to-client alias nothing",
		"ip link set port nomaster",
		"ip link set to-client master br0",
		"ip link del br0",
		"ip link set to-server name elsewhere",
		"ip link add stray type bridge",
		"ip link add stray type veth peer name stray2",
		"ip addr del 10.0.2.1/24 dev to-server",
		"ip addr del 10.3.0.1/24 dev br0",
		"ip addr add 10.66.0.1/24 dev to-server",
		"ip addr del 10.255.0.1/32 dev lo",
		"ip addr del fd00:3::1/64 dev br0",
		"ip link set lo down",
		"ip route del 10.0.1.10/32 table 100",
		"ip route flush table 100",
		"ip route replace unreachable 172.16.0.0/12 metric 5",
		"ip route replace 10.0.1.0/24 dev to-server",
		"ip route append 10.0.1.10/32 dev to-server table 100",
		"ip route add 10.88.0.0/16 dev to-client table 44",
		"ip route del blackhole fd01::/16",
		"ip -6 route replace fd00::/16 dev br0 metric 1024",
		"ip route del 10.5.0.0/16 table 102",
		"ip route replace 10.5.0.0/16 dev to-client table 102",
		"ip route replace 10.5.0.0/16 table 102 nexthop dev to-client weight 2 nexthop dev to-server",
		"ip route replace 10.5.0.0/16 table 102 nexthop via 10.0.2.10 dev to-server nexthop dev to-client",
		"ip route del fd05::/16 table 102",
		"ip route replace blackhole fd05::/16 table 102 metric 1024",
		"ip route append fd05::/16 dev to-client table 102 metric 1024",
		"ip route replace fd05::/16 table 102 metric 1024 nexthop via fe80::1 dev to-client",
		"ip route replace fd05::/16 table 102 metric 1024 nexthop via fe80::2 dev to-client nexthop via fe80::1 dev to-server",
		"ip rule del priority 100",
		"ip rule del priority 300",
		"ip rule add priority 300 from all iif lo fwmark 7/0xff lookup 9",
		"ip rule add priority 50 from 10.1.0.0/16 lookup 50",
		"ip rule add priority 200 from all iif to-client fwmark 1 lookup 101",
		"ip -6 rule del priority 400",
		"ip rule flush",
		"sysctl -q net.ipv4.ip_forward=0",
		"sysctl -q net.ipv4.ip_default_ttl=64",
		"sysctl -q net.ipv4.conf.to-client.proxy_arp=0",
		"nft delete table ip seikan_sg",
		"nft flush chain ip seikan_sg forward",
		"nft add rule ip seikan_sg forward accept",
		"nft add element ip seikan_sg open { 22 }",
		"nft delete element ip seikan_sg open { 7000 }",
		"nft add chain ip seikan_sg forward { policy accept ; }",
		"nft add table inet stray",
		"nft flush ruleset",
	}
	h := newHost(t)
	want := everything()
	apply(t, h, want)
	wantKernel(t, h, want)
	for _, drift := range drifts {
		t.Run(drift, func(t *testing.T) {
			words := strings.Fields(drift)
			before := settled(t, h)
			run(t, h, "rt", words[0], words[1:]...)
			if drift == "ip rule flush" {
				// It takes what the kernel made as well, which is not ours.
				run(t, h, "rt", "ip", "rule", "add", "priority", "32766", "lookup", "main")
			}
			if after := fingerprint(t, h); after == before {
				t.Errorf("fingerprint after the drift: got %x as before, want another", after)
			}
			if report := apply(t, h, want); len(report.Changes) == 0 {
				t.Errorf("Apply after the drift: got no changes, want some")
			}
			wantKernel(t, h, want)
			if report := apply(t, h, want); len(report.Changes) != 0 {
				t.Errorf("Apply after the repair: got changes %q, want none", report.Changes)
			}
		})
	}
}

// fingerprint is that of what h works in.
func fingerprint(t *testing.T, h *netapply.Host) netapply.Fingerprint {
	t.Helper()
	f, err := h.Fingerprint(t.Context())
	if err != nil {
		t.Fatalf("Fingerprint: %v", err)
	}
	return f
}

// settled is the fingerprint when the kernel, which is not done with a new link
// at once, says the same many times.
func settled(t *testing.T, h *netapply.Host) netapply.Fingerprint {
	t.Helper()
	last := fingerprint(t, h)
	for same := 0; same < 20; same++ {
		if f := fingerprint(t, h); f != last {
			last, same = f, 0
		}
	}
	return last
}

// TestFingerprintStays has nothing happen but traffic, and changes of what
// another Owner has.
func TestFingerprintStays(t *testing.T) {
	h := newHost(t)
	want := routed()
	for i := range want.Namespaces { // or the kernel gives addresses by itself, some time
		want.Namespaces[i].Sysctls = map[string]string{"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.default.disable_ipv6": "1"}
	}
	before := apply(t, h, want).Fingerprint
	run(t, h, "client", "ping", "-c1", "-W5", "10.0.2.10")
	run(t, h, "rt", "ip", "route", "add", "unreachable", "198.51.100.0/24", "proto", fmt.Sprint(netapply.GuestProtocol))
	if report := apply(t, h, want); len(report.Changes) != 0 || report.Fingerprint != before {
		t.Errorf("Apply: got changes %q, fingerprint %x, want none and %x", report.Changes, report.Fingerprint, before)
	}
	if after := fingerprint(t, h); after != before {
		t.Errorf("fingerprint: got %x, want %x as before", after, before)
	}
}

func TestFingerprintIsAnotherWithAnotherAddress(t *testing.T) {
	h := newHost(t)
	apply(t, h, routed())
	before := settled(t, h)
	run(t, h, "client", "ip", "addr", "del", "10.0.1.10/24", "dev", "eth0")
	run(t, h, "client", "ip", "addr", "add", "10.0.1.11/24", "dev", "eth0")
	run(t, h, "client", "ip", "route", "add", "default", "via", "10.0.1.1", "proto", fmt.Sprint(netapply.Protocol))
	if after := settled(t, h); after == before {
		t.Errorf("fingerprint: got %x as before, want another", after)
	}
}

func TestDeletedNamespaceComesBack(t *testing.T) {
	h := newHost(t)
	apply(t, h, routed())
	before := fingerprint(t, h)
	run(t, h, "", "ip", "netns", "del", "client")
	if after := fingerprint(t, h); after == before {
		t.Errorf("fingerprint without a namespace: got %x as before, want another", after)
	}
	apply(t, h, routed())
	wantKernel(t, h, routed())
}

func TestNamespaceReplacedBySomebodyElseIsNotDeleted(t *testing.T) {
	h := newHost(t)
	want := netspec.Spec{Namespaces: []netspec.Namespace{{Name: "mine"}}}
	apply(t, h, want)
	run(t, h, "", "ip", "netns", "add", "keep") // so that no inode number is used again
	run(t, h, "", "ip", "netns", "del", "mine")
	run(t, h, "", "ip", "netns", "add", "mine")
	apply(t, h, netspec.Spec{})
	got := run(t, h, "", "ip", "netns", "list")
	if !strings.Contains(got, "mine") {
		t.Errorf("namespaces: got %q, want that of somebody else left", got)
	}
	run(t, h, "", "ip", "netns", "del", "mine")
	run(t, h, "", "ip", "netns", "del", "keep")
}

func TestSysctlReturnsToItsOldValue(t *testing.T) {
	h := newHost(t)
	forward := netspec.Spec{Namespaces: []netspec.Namespace{{Sysctls: map[string]string{"net.ipv4.ip_forward": "1"}}}}
	value := func() string {
		return strings.TrimSpace(run(t, h, "", "sysctl", "-n", "net.ipv4.ip_forward"))
	}
	before := value()
	apply(t, h, forward)
	if got := value(); got != "1" {
		t.Errorf("while wanted: got %s, want 1", got)
	}
	apply(t, netapply.New(netapply.Options{}), netspec.Spec{})
	if got := value(); got != before {
		t.Errorf("after: got %s, want %s", got, before)
	}
}

func TestElementsChangeWithoutTouchingRules(t *testing.T) {
	h := newHost(t)
	want := routed()
	table := &want.Namespaces[0].Tables[0]
	table.Chains[0].Rules[2].Text = "icmp type echo-request counter accept"
	// A rule that was replaced counts from zero.
	counted := func() bool {
		return strings.Contains(run(t, h, "rt", "nft", "list", "chain", "ip", "seikan_sg", "forward"), "counter packets 1 ")
	}
	apply(t, h, want)
	run(t, h, "client", "ping", "-c1", "-W5", "10.0.2.10")
	for _, elements := range [][]string{{"7000", "7001"}, nil, {"8000-8010"}} {
		table.Sets[0].Elements = elements
		if elements != nil && strings.Contains(elements[0], "-") {
			table.Sets[0].Flags = []string{"interval"} // another set: rules are replaced
		}
		report := apply(t, h, want)
		if got := fmt.Sprint(report.Changes); got != "[rt: load table ip seikan_sg]" {
			t.Errorf("changes for elements %v: got %s, want the table alone", elements, got)
		}
		wantKernel(t, h, want)
		if got, want := counted(), table.Sets[0].Flags == nil; got != want {
			t.Errorf("elements %v: got rules kept %v, want %v", elements, got, want)
		}
	}
}

func TestElementsThatPacketsAddAreNoDrift(t *testing.T) {
	h := newHost(t)
	want := routed()
	table := &want.Namespaces[0].Tables[0]
	table.Sets = append(table.Sets, netspec.Set{Name: "seen", Type: "ipv4_addr", Flags: []string{"timeout", "dynamic"}})
	table.Chains[0].Rules[2].Text = "icmp type echo-request update @seen { ip saddr timeout 10m } accept"
	apply(t, h, want)
	run(t, h, "client", "ping", "-c1", "-W5", "10.0.2.10")
	seen := func() bool {
		return strings.Contains(run(t, h, "rt", "nft", "list", "set", "ip", "seikan_sg", "seen"), "10.0.1.10")
	}
	if !seen() {
		t.Fatalf("the set after a ping: got no element, want 10.0.1.10")
	}
	h.Close() // so that the next Apply compares the whole text
	if report := apply(t, h, want); len(report.Changes) != 0 || !seen() {
		t.Errorf("Apply: got changes %q, want none and the element kept", report.Changes)
	}
}

// TestIPv6RoutesChangeTheirKind goes from each kind of route to one destination to
// each other: over two links, over one, and over none.
func TestIPv6RoutesChangeTheirKind(t *testing.T) {
	kinds := map[string]netspec.Route{
		"two":       {Spread: netspec.LinksOf("to-server", "to-client")},
		"others":    {Spread: netspec.LinksOf("to-server", "br0")},
		"one":       {Dev: "to-client"},
		"blackhole": {Type: netspec.Blackhole},
	}
	h := newHost(t)
	base := everything()
	for from, a := range kinds {
		for to, b := range kinds {
			for _, r := range []netspec.Route{a, b} {
				want := base
				want.Namespaces = slices.Clone(base.Namespaces)
				r.Dst, r.Table = prefix("fd06::/16"), 103
				want.Namespaces[0].Routes = append(slices.Clone(base.Namespaces[0].Routes), r)
				apply(t, h, want)
				if report := apply(t, h, want); len(report.Changes) != 0 {
					t.Errorf("from %s to %s: Apply once more: got changes %q, want none", from, to, report.Changes)
				}
				wantKernel(t, h, want)
			}
		}
	}
}
