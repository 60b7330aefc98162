package netspec_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"seikan/internal/linux/netspec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// sample is a small VPC: a router and one instance, with everything that a
// Spec can say.
func sample() netspec.Spec {
	return netspec.Spec{Namespaces: []netspec.Namespace{
		{
			Name:    "vpc-a",
			Sysctls: map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0"},
			Links: []netspec.Link{
				{Name: "eni-1", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "i-1", Link: "eth0"}, MTU: 1500,
					MAC: "02:00:00:00:00:0A", Sysctls: map[string]string{"proxy_arp": "1"}, Comment: "web server"},
				{Name: "br0", Kind: netspec.Bridge, Addrs: []netip.Prefix{prefix("10.0.9.1/24"), prefix("fd00::1/64")}},
				{Name: "up0", Kind: netspec.Veth, Peer: netspec.Peer{Link: "vpc-a"}, Master: "br0"},
				{Name: "tun0", Kind: netspec.External, Down: true},
				{Name: "lo", Kind: netspec.Loopback, Addrs: []netip.Prefix{prefix("10.0.0.2/32")}},
			},
			Routes: []netspec.Route{
				{Table: 100, Dst: prefix("10.0.1.10/32"), Dev: "eni-1"},
				{Table: 100, Dst: prefix("10.0.0.0/16"), Type: netspec.Unreachable},
				{Dst: prefix("0.0.0.0/0"), Via: addr("10.0.9.2"), Dev: "br0", Src: addr("10.0.9.1"), Metric: 50},
				{Dst: prefix("::/0"), Via: addr("fe80::1"), Dev: "br0", OnLink: true},
			},
			Rules: []netspec.Rule{
				{Priority: 1000, IIF: "eni-1", Table: 101},
				{Priority: 100, To: prefix("10.0.0.0/16"), Table: 100},
				{Priority: 200, From: prefix("::/0"), IIF: "eni-1", Table: 102},
			},
			Tables: []netspec.Table{{
				Family: "ip", Name: "sg",
				Sets: []netspec.Set{
					{Name: "peers", Type: "ipv4_addr", Flags: []string{"interval"}, Elements: []string{"10.0.0.0/8", "192.0.2.1"}},
					{Name: "targets", Type: "inet_service", Value: "ipv4_addr . inet_service", Elements: []string{"80 : 10.0.1.10 . 8080"}},
				},
				Chains: []netspec.Chain{
					{Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Policy: "drop", Rules: []netspec.NftRule{
						{Text: "ct state established,related accept"},
						{Text: `iifname "eni-1" ip daddr @peers accept`, Comment: "sg-1 egress"},
					}},
					{Name: "empty"},
				},
			}},
		},
		{Name: "i-1", Links: []netspec.Link{
			{Name: "eth0", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "vpc-a", Link: "eni-1"}, Addrs: []netip.Prefix{prefix("10.0.1.10/24")}},
		}},
		{Links: []netspec.Link{
			{Name: "vpc-a", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "vpc-a", Link: "up0"}},
		}},
	}}
}

// wantGolden compares got with testdata/name.golden.
func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

func TestSpecPrintsLikeIPAndNft(t *testing.T) {
	wantGolden(t, "sample", sample().String())
}

func TestTablePrintsWhatNftLoads(t *testing.T) {
	wantGolden(t, "table", sample().Namespaces[0].Tables[0].String())
}

func TestSampleIsValid(t *testing.T) {
	if err := sample().Validate(); err != nil {
		t.Errorf("Validate: got %v, want none", err)
	}
}

// shuffle returns s with everything whose order has no meaning in another.
func shuffle(rt *rapid.T, s netspec.Spec) netspec.Spec {
	mix := func(label string, n int) []int {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		return rapid.Permutation(order).Draw(rt, label)
	}
	var out netspec.Spec
	for _, i := range mix("namespaces", len(s.Namespaces)) {
		n := s.Namespaces[i]
		m := netspec.Namespace{Name: n.Name, Sysctls: n.Sysctls, Tables: n.Tables}
		for _, j := range mix("links", len(n.Links)) {
			m.Links = append(m.Links, n.Links[j])
		}
		for _, j := range mix("routes", len(n.Routes)) {
			m.Routes = append(m.Routes, n.Routes[j])
		}
		for _, j := range mix("rules", len(n.Rules)) {
			m.Rules = append(m.Rules, n.Rules[j])
		}
		out.Namespaces = append(out.Namespaces, m)
	}
	return out
}

func TestOrderDoesNotMatter(t *testing.T) {
	want := sample().Normalize()
	if got := want.Normalize(); !reflect.DeepEqual(got, want) {
		t.Errorf("Normalize of a normal form: got\n%v\nwant\n%v", got, want)
	}
	rapid.Check(t, func(rt *rapid.T) {
		mixed := shuffle(rt, sample())
		if got := mixed.Normalize(); !reflect.DeepEqual(got, want) {
			rt.Fatalf("Normalize: got\n%v\nwant\n%v", got, want)
		}
		if diff := netspec.Diff(sample(), mixed); diff != "" {
			rt.Fatalf("Diff: got\n%s\nwant none", diff)
		}
	})
}

func TestNormalizeDoesNotShare(t *testing.T) {
	s := sample()
	n := s.Normalize()
	for i := range n.Namespaces {
		for j := range n.Namespaces[i].Links {
			for k := range n.Namespaces[i].Links[j].Addrs {
				n.Namespaces[i].Links[j].Addrs[k] = netip.Prefix{}
			}
		}
		for k := range n.Namespaces[i].Sysctls {
			n.Namespaces[i].Sysctls[k] = "changed"
		}
	}
	if got, want := s.String(), sample().String(); got != want {
		t.Errorf("the original after its normal form was changed: got\n%s\nwant\n%s", got, want)
	}
}

func TestNormalizeWritesDefaultsOut(t *testing.T) {
	got := netspec.Spec{Namespaces: []netspec.Namespace{{
		Name:   "x",
		Routes: []netspec.Route{{Dst: prefix("10.1.2.3/8"), Dev: "a"}, {Dst: prefix("fd00::1/16"), Dev: "a"}},
		Rules: []netspec.Rule{
			{Priority: 1, From: prefix("0.0.0.0/0"), To: prefix("10.1.2.3/8"), Table: 1},
			{Priority: 2, From: prefix("::/0"), To: prefix("::/0"), Table: 1},
		},
	}}}.Normalize()
	want := netspec.Namespace{
		Name: "x",
		Routes: []netspec.Route{
			{Table: 254, Dst: prefix("10.0.0.0/8"), Dev: "a"},
			{Table: 254, Dst: prefix("fd00::/16"), Dev: "a", Metric: 1024},
		},
		Rules: []netspec.Rule{
			{Priority: 1, To: prefix("10.0.0.0/8"), Table: 1},
			{Priority: 2, From: prefix("::/0"), Table: 1},
		},
	}
	if !reflect.DeepEqual(got.Namespaces[0], want) {
		t.Errorf("Normalize: got %+v, want %+v", got.Namespaces[0], want)
	}
}

func TestDiffShowsWhatChanges(t *testing.T) {
	to := sample()
	a := &to.Namespaces[0]
	a.Routes = a.Routes[1:]
	a.Links[0].MTU = 1400
	a.Tables[0].Chains[0].Rules = append(a.Tables[0].Chains[0].Rules, netspec.NftRule{Text: "drop"})
	to.Namespaces = append(to.Namespaces, netspec.Namespace{Name: "new"})
	wantGolden(t, "diff", netspec.Diff(sample(), to))

	swapped := sample()
	rules := swapped.Namespaces[0].Tables[0].Chains[0].Rules
	rules[0], rules[1] = rules[1], rules[0]
	if got := netspec.Diff(sample(), swapped); !strings.Contains(got, "order:") {
		t.Errorf("Diff of swapped nft rules: got %q, want the order", got)
	}
}

func TestMergeJoinsByNamespace(t *testing.T) {
	whole := sample()
	// One plan has the links, the other everything else and one link again.
	first, second := sample(), sample()
	for i := range first.Namespaces {
		n := first.Namespaces[i]
		first.Namespaces[i] = netspec.Namespace{Name: n.Name, Links: n.Links, Rules: n.Rules}
		second.Namespaces[i].Links = n.Links[:1]
	}
	got, err := netspec.Merge(first, second)
	if err != nil {
		t.Fatalf("Merge: %v", err)
	}
	if diff := netspec.Diff(whole, got); diff != "" {
		t.Errorf("Merge differs from the whole:\n%s", diff)
	}
	if !reflect.DeepEqual(got, got.Normalize()) {
		t.Errorf("Merge: got %v, want a normal form", got)
	}
}

func TestMergeRefusesContradictions(t *testing.T) {
	in := func(n netspec.Namespace) netspec.Spec {
		n.Name = "x"
		return netspec.Spec{Namespaces: []netspec.Namespace{n}}
	}
	table := netspec.Table{Family: "ip", Name: "t"}
	for _, tc := range []struct {
		name string
		a, b netspec.Namespace
		want string
	}{
		{"link", netspec.Namespace{Links: []netspec.Link{{Name: "l", Kind: netspec.Bridge}}},
			netspec.Namespace{Links: []netspec.Link{{Name: "l", Kind: netspec.Bridge, MTU: 1400}}},
			"merge x: link l is declared twice and differently: l bridge up, and l bridge mtu 1400 up"},
		{"sysctl", netspec.Namespace{Sysctls: map[string]string{"net.a": "0"}},
			netspec.Namespace{Sysctls: map[string]string{"net.a": "1"}},
			"merge x: sysctl net.a is declared twice and differently: 0, and 1"},
		{"route", netspec.Namespace{Routes: []netspec.Route{{Dst: prefix("10.0.0.0/8"), Dev: "a"}}},
			netspec.Namespace{Routes: []netspec.Route{{Dst: prefix("10.0.0.0/8"), Dev: "b"}}},
			"merge x: route 10.0.0.0/8 metric 0 table 254 is declared twice and differently: 10.0.0.0/8 dev a, and 10.0.0.0/8 dev b"},
		{"table, though equal", netspec.Namespace{Tables: []netspec.Table{table}}, netspec.Namespace{Tables: []netspec.Table{table}},
			"merge x: table ip t is declared twice: an nftables table belongs to one plan; rename one"},
	} {
		_, err := netspec.Merge(in(tc.a), in(tc.b))
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: got error %v, want %s", tc.name, err, tc.want)
		}
	}
}
