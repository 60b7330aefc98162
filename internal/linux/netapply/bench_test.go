package netapply_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

// star returns a router with a veth to each of n instances, like a VPC: host
// routes, a rule an ENI, one table of security groups.
func star(n int) netspec.Spec {
	router := netspec.Namespace{
		Name:    "router",
		Sysctls: map[string]string{"net.ipv4.ip_forward": "1"},
		Tables: []netspec.Table{{Family: "ip", Name: "sg", Chains: []netspec.Chain{{
			Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Policy: "drop",
			Rules: []netspec.NftRule{{Text: "ct state established,related accept"}},
		}}}},
	}
	var s netspec.Spec
	for i := range n {
		name := fmt.Sprintf("i%d", i)
		a, b := pair("router", fmt.Sprintf("eni-%d", i), name, "eth0")
		a.Sysctls = map[string]string{"proxy_arp": "1"}
		host := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		b.Addrs = []netip.Prefix{netip.PrefixFrom(host, 32)}
		router.Links = append(router.Links, a)
		router.Routes = append(router.Routes, netspec.Route{Table: 100, Dst: netip.PrefixFrom(host, 32), Dev: a.Name})
		router.Rules = append(router.Rules, netspec.Rule{Priority: 1000 + i, IIF: a.Name, Table: 100})
		s.Namespaces = append(s.Namespaces, netspec.Namespace{
			Name: name, Links: []netspec.Link{b},
			Routes: []netspec.Route{{Dst: prefix("0.0.0.0/0"), Via: addr("169.254.1.1"), Dev: "eth0", OnLink: true}},
			Tables: []netspec.Table{{Family: "ip", Name: "guard", Chains: []netspec.Chain{{Name: "in"}}}},
		})
	}
	s.Namespaces = append(s.Namespaces, router)
	return s
}

// BenchmarkApplyUnchanged is what every reconcile costs when nothing is to do.
func BenchmarkApplyUnchanged(b *testing.B) {
	for _, n := range []int{20, 200} {
		b.Run(fmt.Sprintf("namespaces=%d", n), func(b *testing.B) {
			h := netapply.New(netapply.Options{})
			b.Cleanup(func() {
				h.Apply(background(), netspec.Spec{})
				h.Close()
			})
			want := star(n)
			start := time.Now()
			if _, err := h.Apply(b.Context(), want); err != nil {
				b.Fatal(err)
			}
			first := time.Since(start)
			for b.Loop() {
				report, err := h.Apply(b.Context(), want)
				if err != nil || len(report.Changes) != 0 {
					b.Fatalf("Apply: %q, %v", report.Changes, err)
				}
			}
			b.ReportMetric(float64(first.Milliseconds()), "ms-first")
		})
	}
}
