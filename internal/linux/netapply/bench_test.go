package netapply_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// tunnels is what a gateway with n tunnels wants of its namespace, and the lines
// by which ip(8) makes their links.
func tunnels(n int) (netspec.Spec, string) {
	var ns netspec.Namespace
	var lines strings.Builder
	anyPath := map[string]string{"rp_filter": "2"}
	for i := range n {
		name, dst := fmt.Sprintf("t%d", i), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 200, byte(i >> 8), byte(i)}), 32)
		inside := netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, byte(i >> 6), byte(i<<2 + 1)}), 30)
		fmt.Fprintf(&lines, "tuntap add dev %s mode tun\n", name)
		ns.Links = append(ns.Links, netspec.Link{Name: name, Kind: netspec.External, MTU: 1422, Sysctls: anyPath, Addrs: []netip.Prefix{inside}})
		ns.Routes = append(ns.Routes, netspec.Route{Dst: dst, Dev: name}, netspec.Route{Dst: dst, Type: netspec.Unreachable, Metric: 1000})
	}
	return netspec.Spec{Namespaces: []netspec.Namespace{ns}}, lines.String()
}

// BenchmarkLookAtTunnels is what it costs a gateway to compare the kernel with what
// it wants, and to see that it has what it had.
func BenchmarkLookAtTunnels(b *testing.B) {
	for _, n := range []int{100, 2000} {
		b.Run(fmt.Sprintf("tunnels=%d", n), func(b *testing.B) {
			h := netapply.New(netapply.Options{Guest: true})
			want, lines := tunnels(n)
			ip := func(lines string) {
				cmd := exec.CommandContext(background(), "ip", "-batch", "-")
				cmd.Stdin = strings.NewReader(lines)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("ip: %v: %s", err, out)
				}
			}
			ip(lines)
			b.Cleanup(func() {
				h.Apply(background(), netspec.Spec{})
				h.Close()
				ip(strings.ReplaceAll(strings.ReplaceAll(lines, "tuntap add", "link set"), "mode tun", "group 7") + "link del group 7\n")
			})
			if _, err := h.Apply(b.Context(), want); err != nil {
				b.Fatal(err)
			}
			measure(b, "apply", func(b *testing.B) {
				report, err := h.Apply(b.Context(), want)
				if err != nil || len(report.Changes) != 0 {
					b.Fatalf("Apply: %q, %v", report.Changes, err)
				}
			})
			seen, err := h.Fingerprint(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			measure(b, "fingerprint", func(b *testing.B) {
				if now, err := h.Fingerprint(b.Context()); err != nil || now != seen {
					b.Fatalf("Fingerprint: %x, %v; want %x", now, err, seen)
				}
			})
		})
	}
}

// measure is a benchmark of one, with the processor time that it takes.
func measure(b *testing.B, name string, one func(*testing.B)) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		before, rounds := cpuTime(b), 0
		for b.Loop() {
			one(b)
			rounds++
		}
		b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(rounds), "cpu-ms/op")
	})
}

// cpuTime is what the process has used, in user space and in the kernel: other
// than time on the clock it says little of what else the machine does.
func cpuTime(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
