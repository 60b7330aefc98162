package netspec_test

import (
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/linux/netspec"
)

// TestValidateNamesTheFault breaks one thing of a valid Spec at a time.
func TestValidateNamesTheFault(t *testing.T) {
	type spec = netspec.Spec
	router := func(s *spec) *netspec.Namespace { return &s.Namespaces[0] }
	link := func(s *spec) *netspec.Link { return &s.Namespaces[0].Links[0] }
	route := func(s *spec) *netspec.Route { return &s.Namespaces[0].Routes[2] }
	rule := func(s *spec) *netspec.Rule { return &s.Namespaces[0].Rules[0] }
	table := func(s *spec) *netspec.Table { return &s.Namespaces[0].Tables[0] }
	for _, tc := range []struct {
		want  string
		spoil func(*spec)
	}{
		{`vpc-a: namespace is declared twice`, func(s *spec) { s.Namespaces = append(s.Namespaces, *router(s)) }},
		{`../x: name "../x" must not begin with '.'`, func(s *spec) { s.Namespaces[1].Name = "../x" }},
		{`a b: name "a b" holds ' '`, func(s *spec) { s.Namespaces[1].Name = "a b" }},
		{`sysctl: "kernel.panic" does not begin with "net."`, func(s *spec) { router(s).Sysctls["kernel.panic"] = "1" }},
		{`sysctl: "net.../etc/passwd" must not`, func(s *spec) { router(s).Sysctls["net.../etc/passwd"] = "1" }},
		{`sysctl: net.x: value "" must be one line`, func(s *spec) { router(s).Sysctls["net.x"] = "" }},
		{`link a/b: name "a/b" must not hold`, func(s *spec) { link(s).Name = "a/b" }},
		{`link eni-1: is declared twice`, func(s *spec) { router(s).Links = append(router(s).Links, *link(s)) }},
		{`link eni-1: kind "vlan" is none of`, func(s *spec) { link(s).Kind = "vlan" }},
		{`link eni-1: peer i-2/eth0 is not declared`, func(s *spec) { link(s).Peer.Namespace = "i-2" }},
		{`link eni-1: peer (process)/vpc-a does not name this end`, func(s *spec) { link(s).Peer = netspec.Peer{Link: "vpc-a"} }},
		{`link eni-1: is its own peer`, func(s *spec) { link(s).Peer = netspec.Peer{Namespace: "vpc-a", Link: "eni-1"} }},
		{`link br0: kind bridge takes no peer`, func(s *spec) { router(s).Links[1].Peer.Link = "x" }},
		{`link up0: master "eni-1" must be a bridge`, func(s *spec) { router(s).Links[2].Master = "eni-1" }},
		{`link lo0: kind loopback must be called lo`, func(s *spec) { router(s).Links[4].Name = "lo0" }},
		{`link lo: kind loopback takes no MAC`, func(s *spec) { router(s).Links[4].MAC = "02:00:00:00:00:01" }},
		{`link eni-1: MTU 67 is outside 68 to 65535`, func(s *spec) { link(s).MTU = 67 }},
		{`link eni-1: MAC "01:00:00:00:00:01" is not a unicast`, func(s *spec) { link(s).MAC = "01:00:00:00:00:01" }},
		{`link eni-1: comment "a\nb" must be printable`, func(s *spec) { link(s).Comment = "a\nb" }},
		{`link eni-1: address 224.0.0.1/32 is not a unicast`, func(s *spec) { link(s).Addrs = []netip.Prefix{prefix("224.0.0.1/32")} }},
		{`link eni-1: address 10.0.0.1/32 is declared twice`, func(s *spec) {
			link(s).Addrs = []netip.Prefix{prefix("10.0.0.1/32"), prefix("10.0.0.1/32")}
		}},
		{`link eni-1: sysctl "../x" is not the last part`, func(s *spec) { link(s).Sysctls = map[string]string{"../x": "1"} }},
		{`destination invalid Prefix is not a prefix`, func(s *spec) { route(s).Dst = netip.Prefix{} }},
		{`is declared twice: destination, metric and table`, func(s *spec) { router(s).Routes = append(router(s).Routes, *route(s)) }},
		{`dev "eth7" is not a link of this namespace`, func(s *spec) { route(s).Dev = "eth7" }},
		{`dev "tun0" is down`, func(s *spec) { route(s).Dev = "tun0" }},
		{`via fe80::1 is not of the family of 0.0.0.0/0`, func(s *spec) { route(s).Via = addr("fe80::1") }},
		{`src fe80::1 is not of the family of 0.0.0.0/0`, func(s *spec) { route(s).Src = addr("fe80::1") }},
		{`onlink needs a gateway`, func(s *spec) { route(s).OnLink, route(s).Via = true, netip.Addr{} }},
		{`metric -1 is outside 0 to 4294967295`, func(s *spec) { route(s).Metric = -1 }},
		{`table 255 is outside`, func(s *spec) { route(s).Table = 255 }},
		{`type "throw" is none of`, func(s *spec) { route(s).Type = "throw" }},
		{`type blackhole takes no dev`, func(s *spec) { route(s).Type = netspec.Blackhole }},
		{`type blackhole takes no dev, spread`, func(s *spec) { *route(s) = netspec.Route{Dst: route(s).Dst, Type: netspec.Blackhole, Spread: "br0"} }},
		{`dev "eth7" is not a link of this namespace`, func(s *spec) { *route(s) = netspec.Route{Dst: route(s).Dst, Spread: "br0 eth7"} }},
		{`spread over br0 eni-1 takes no dev`, func(s *spec) { route(s).Spread = "br0 eni-1" }},
		{`spread "eni-1 br0" is not sorted`, func(s *spec) { *route(s) = netspec.Route{Dst: route(s).Dst, Spread: "eni-1 br0"} }},
		{`is what address 10.0.9.1/24 of link br0 makes already`, func(s *spec) {
			router(s).Routes = append(router(s).Routes, netspec.Route{Dst: prefix("10.0.9.0/24"), Dev: "br0"})
		}},
		{`is what address fd00::1/64 of link br0 makes already`, func(s *spec) {
			router(s).Routes = append(router(s).Routes, netspec.Route{Dst: prefix("fd00::/64"), Dev: "br0", Metric: 256})
		}},
		{`rule 0: from all iif eni-1 lookup 101: priority 0 is outside 1 to 32765`, func(s *spec) { rule(s).Priority = 0 }},
		{`lookup 0: table 0 is outside`, func(s *spec) { rule(s).Table = 0 }},
		{`iif "a b" must not hold`, func(s *spec) { rule(s).IIF = "a b" }},
		{`from 10.0.0.0/8 and to fd00::/16 are of different families`, func(s *spec) {
			rule(s).From, rule(s).To = prefix("10.0.0.0/8"), prefix("fd00::/16")
		}},
		{`is declared twice`, func(s *spec) { router(s).Rules = append(router(s).Rules, *rule(s)) }},
		{`table netdev sg: family "netdev" is none of`, func(s *spec) { table(s).Family = "netdev" }},
		{`name "1x" must begin with a letter`, func(s *spec) { table(s).Name = "1x" }},
		{`table ip sg: set peers: is declared twice`, func(s *spec) { table(s).Sets = append(table(s).Sets, table(s).Sets[0]) }},
		{`element "192.0.2.1" is declared twice`, func(s *spec) { table(s).Sets[0].Elements = []string{"192.0.2.1", "192.0.2.1"} }},
		{`nft text "a, b" holds ',' outside quotes`, func(s *spec) { table(s).Sets[0].Elements = []string{"a, b"} }},
		{`set peers: empty nft text`, func(s *spec) { table(s).Sets[0].Type = "" }},
		{`table ip sg: chain forward: is declared twice`, func(s *spec) { table(s).Chains = append(table(s).Chains, table(s).Chains[0]) }},
		{`hook "ingress" is none of`, func(s *spec) { table(s).Chains[0].Hook = "ingress" }},
		{`type "x" is none of filter, nat, route`, func(s *spec) { table(s).Chains[0].Type = "x" }},
		{`policy "reject" is neither accept nor drop`, func(s *spec) { table(s).Chains[0].Policy = "reject" }},
		{`chain empty: has type "nat", priority "", policy "" but no hook`, func(s *spec) { table(s).Chains[1].Type = "nat" }},
		{`nft text "drop; accept" holds ';'`, func(s *spec) { table(s).Chains[0].Rules[0].Text = "drop; accept" }},
		{`nft text "drop } chain x {" has unbalanced`, func(s *spec) { table(s).Chains[0].Rules[0].Text = "drop } chain x {" }},
		{`nft text "log prefix \"x" has unbalanced`, func(s *spec) { table(s).Chains[0].Rules[0].Text = `log prefix "x` }},
		{`nft text "drop\naccept" must be one line`, func(s *spec) { table(s).Chains[0].Rules[0].Text = "drop\naccept" }},
		{`comment "a \" b" must be printable`, func(s *spec) { table(s).Chains[0].Rules[0].Comment = `a " b` }},
		{`is longer than 128 bytes`, func(s *spec) { table(s).Chains[0].Rules[0].Comment = strings.Repeat("x", 129) }},
	} {
		s := sample()
		tc.spoil(&s)
		if err := s.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Validate: got error\n%v\nwant one with\n%s", err, tc.want)
		}
	}
}

func TestLinkNameHasAtMostFifteenBytes(t *testing.T) {
	for name, want := range map[string]string{
		"eni-12345678901":  "",
		"eni-123456789012": `netspec: x: link eni-123456789012: name "eni-123456789012" must have 1 to 15 bytes`,
		"":                 `netspec: x: link : name "" must have 1 to 15 bytes`,
	} {
		err := netspec.Spec{Namespaces: []netspec.Namespace{{Name: "x", Links: []netspec.Link{{Name: name, Kind: netspec.Bridge}}}}}.Validate()
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("name %q: got %q, want %q", name, got, want)
		}
	}
}

func TestValidateReportsEveryFault(t *testing.T) {
	s := sample()
	s.Namespaces[0].Links[0].MTU = 1
	s.Namespaces[0].Routes[2].Metric = -1
	s.Namespaces[0].Tables[0].Family = "x"
	err := s.Validate()
	for _, want := range []string{"MTU 1 ", "metric -1 ", `family "x"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate: got error %v, want one with %q too", err, want)
		}
	}
}
