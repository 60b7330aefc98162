package netapply_test

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

// TestAnySpecFollowsAnyOther goes from one random Spec to the next and reads
// back what the kernel then has.
func TestAnySpecFollowsAnyOther(t *testing.T) {
	// Every example takes the kernel some tenths of a second; whoever hunts a
	// bug gives -rapid.checks.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("30"); err != nil {
			t.Fatal(err)
		}
	}
	h := newHost(t)
	rapid.Check(t, func(rt *rapid.T) {
		for range 2 {
			want := drawSpec(rt)
			if err := want.Validate(); err != nil {
				rt.Fatalf("the generator made an invalid Spec: %v\n%v", err, want)
			}
			if rapid.IntRange(0, 3).Draw(rt, "restart") == 0 {
				h.Close()
				h = netapply.New(netapply.Options{})
			}
			report, err := h.Apply(t.Context(), want)
			if err != nil {
				rt.Fatalf("Apply: %v\nafter %q\nof\n%v", err, report.Changes, want)
			}
			got, err := h.Read(t.Context())
			if err != nil {
				rt.Fatalf("Read: %v", err)
			}
			if diff := netspec.Diff(want, project(got, want)); diff != "" {
				rt.Fatalf("Read differs from what was applied:\n%s\nafter %q", diff, report.Changes)
			}
			if report, err = h.Apply(t.Context(), want); err != nil || len(report.Changes) != 0 {
				rt.Fatalf("second Apply: got changes %q and %v, want none", report.Changes, err)
			}
		}
	})
	h.Close()
}

// coin draws yes or no.
func coin(rt *rapid.T, label string) bool { return rapid.Bool().Draw(rt, label) }

// drawSpec draws a valid Spec for up to four namespaces. Its addresses come
// from 10/8 and fd00::/16, its routes in the main table from elsewhere, so that
// none is what an address makes.
func drawSpec(rt *rapid.T) netspec.Spec {
	var s netspec.Spec
	for i := range 4 {
		if coin(rt, "namespace") {
			s.Namespaces = append(s.Namespaces, netspec.Namespace{Name: fmt.Sprintf("n%d", i)})
		}
	}
	drawVeths(rt, s.Namespaces)
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		drawBridge(rt, n)
		for j := range n.Links {
			drawLink(rt, &n.Links[j])
		}
		if coin(rt, "loopback") {
			n.Links = append(n.Links, netspec.Link{Name: "lo", Kind: netspec.Loopback, Addrs: []netip.Prefix{prefix("10.255.0.1/32")}})
		}
		drawRoutes(rt, n)
		drawRules(rt, n)
		drawTables(rt, n)
		if coin(rt, "forward") {
			n.Sysctls = map[string]string{"net.ipv4.ip_forward": fmt.Sprint(rapid.IntRange(0, 1).Draw(rt, "value"))}
		}
	}
	return s
}

// drawVeths joins random places; few names, so that the same name often leads
// elsewhere in the next Spec.
func drawVeths(rt *rapid.T, spaces []netspec.Namespace) {
	var places []netspec.Peer
	for _, n := range spaces {
		for k := range 3 {
			places = append(places, netspec.Peer{Namespace: n.Name, Link: fmt.Sprintf("l%d", k)})
		}
	}
	if len(places) == 0 {
		return
	}
	places = rapid.Permutation(places).Draw(rt, "places")
	for i := 0; i+1 < len(places); i += 2 {
		if !coin(rt, "veth") {
			continue
		}
		a, b := pair(places[i].Namespace, places[i].Link, places[i+1].Namespace, places[i+1].Link)
		for j := range spaces {
			if spaces[j].Name == places[i].Namespace {
				spaces[j].Links = append(spaces[j].Links, a)
			}
			if spaces[j].Name == places[i+1].Namespace {
				spaces[j].Links = append(spaces[j].Links, b)
			}
		}
	}
}

// drawBridge adds a bridge, which may take the name of a veth of another Spec.
func drawBridge(rt *rapid.T, n *netspec.Namespace) {
	name := rapid.SampledFrom([]string{"", "br", "l0", "l1"}).Draw(rt, "bridge")
	taken := slices.ContainsFunc(n.Links, func(l netspec.Link) bool { return l.Name == name })
	if name == "" || taken {
		return
	}
	for i := range n.Links {
		if coin(rt, "port") {
			n.Links[i].Master = name
		}
	}
	n.Links = append(n.Links, netspec.Link{Name: name, Kind: netspec.Bridge})
}

func drawLink(rt *rapid.T, l *netspec.Link) {
	pool := []netip.Prefix{
		prefix("10.1.0.1/24"), prefix("10.1.0.2/24"), prefix("10.1.0.1/16"), prefix("10.2.0.1/32"),
		prefix("fd00:1::1/64"), prefix("fd00:1::1/48"), prefix("fd00:1::2/64"),
	}
	for _, a := range pool {
		// The kernel has no two lengths of one IPv6 address on a link.
		twice := a.Addr().Is6() && slices.ContainsFunc(l.Addrs, func(b netip.Prefix) bool { return a.Addr() == b.Addr() })
		if !twice && rapid.IntRange(0, 2).Draw(rt, "address") == 0 {
			l.Addrs = append(l.Addrs, a)
		}
	}
	l.Down = rapid.IntRange(0, 4).Draw(rt, "down") == 0
	l.MTU = rapid.SampledFrom([]int{0, 1300, 1500}).Draw(rt, "mtu")
	l.MAC = rapid.SampledFrom([]string{"", "02:00:00:00:00:01", "02:00:00:00:00:02"}).Draw(rt, "mac")
	l.Comment = rapid.SampledFrom([]string{"", "one", "two words"}).Draw(rt, "comment")
	if l.Kind == netspec.Bridge {
		l.MTU = 0 // follows its ports
	}
	if coin(rt, "proxy") {
		l.Sysctls = map[string]string{"proxy_arp": fmt.Sprint(rapid.IntRange(0, 1).Draw(rt, "value"))}
	}
}

func drawRoutes(rt *rapid.T, n *netspec.Namespace) {
	for _, table := range []int{netspec.MainTable, 7, 1000} {
		for _, dst := range []netip.Prefix{prefix("0.0.0.0/0"), prefix("172.16.0.0/12"), prefix("198.51.100.7/32"), prefix("fd77::/32"), prefix("::/0")} {
			if !coin(rt, "route") {
				continue
			}
			r := netspec.Route{Table: table, Dst: dst, Metric: rapid.SampledFrom([]int{0, 20}).Draw(rt, "metric")}
			r.Type = rapid.SampledFrom([]netspec.RouteType{netspec.Unicast, netspec.Unicast, netspec.Blackhole, netspec.Unreachable, netspec.Prohibit}).Draw(rt, "type")
			if r.Type == netspec.Unicast && !drawNextHop(rt, n, &r) {
				continue
			}
			n.Routes = append(n.Routes, r)
		}
	}
}

// drawNextHop gives r a device, if n has one that is up, and maybe a gateway.
func drawNextHop(rt *rapid.T, n *netspec.Namespace, r *netspec.Route) bool {
	var up []netspec.Link
	for _, l := range n.Links {
		if !l.Down && l.Name != "lo" {
			up = append(up, l)
		}
	}
	if len(up) == 0 {
		return false
	}
	l := rapid.SampledFrom(up).Draw(rt, "dev")
	r.Dev = l.Name
	if coin(rt, "gateway") {
		r.Via, r.OnLink = addr("10.200.0.1"), true
		if r.Dst.Addr().Is6() {
			r.Via = addr("fd20::1")
		}
	}
	for _, a := range l.Addrs {
		if a.Addr().Is4() == r.Dst.Addr().Is4() && coin(rt, "source") {
			r.Src = a.Addr()
		}
	}
	return true
}

func drawRules(rt *rapid.T, n *netspec.Namespace) {
	for _, r := range []netspec.Rule{
		{Priority: 100, To: prefix("10.0.0.0/16"), Table: 100},
		{Priority: 100, To: prefix("10.0.0.0/16"), Table: 7},
		{Priority: 100, From: prefix("10.0.0.0/16"), To: prefix("10.1.0.0/16"), IIF: "l0", Table: 100},
		{Priority: 200, IIF: "l1", Table: 1000},
		{Priority: 300, Table: 1000},
		{Priority: 300, From: prefix("::/0"), Table: 1000},
		{Priority: 300, To: prefix("fd00::/16"), Table: 7},
	} {
		if coin(rt, "rule") {
			n.Rules = append(n.Rules, r)
		}
	}
}

func drawTables(rt *rapid.T, n *netspec.Namespace) {
	rules := []netspec.NftRule{
		{Text: "ct state established,related accept"},
		{Text: "ip daddr @allowed accept", Comment: "a comment"},
		{Text: "tcp dport 443 drop"},
		{Text: "jump other"},
	}
	for _, family := range []string{"ip", "inet"} {
		if !coin(rt, "table") {
			continue
		}
		t := netspec.Table{Family: family, Name: "filter"}
		elements := []string{"10.0.0.0/8", "192.0.2.1", "198.51.100.0/24"}
		t.Sets = []netspec.Set{{Name: "allowed", Type: "ipv4_addr", Flags: []string{"interval"},
			Elements: elements[:rapid.IntRange(0, 3).Draw(rt, "elements")]}}
		if coin(rt, "map") {
			t.Sets = append(t.Sets, netspec.Set{Name: "m", Type: "inet_service", Value: "ipv4_addr . inet_service",
				Elements: []string{"443 : 10.0.0.1 . 8443"}})
		}
		chain := netspec.Chain{Name: "forward", Type: "filter", Hook: "forward", Priority: "filter",
			Policy: rapid.SampledFrom([]string{"accept", "drop"}).Draw(rt, "policy")}
		chain.Rules = rapid.Permutation(rules).Draw(rt, "rules")[:rapid.IntRange(0, len(rules)).Draw(rt, "count")]
		t.Chains = []netspec.Chain{chain, {Name: "other"}}
		n.Tables = append(n.Tables, t)
	}
}
