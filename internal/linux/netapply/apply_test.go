package netapply_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

func TestApplyTwiceChangesNothing(t *testing.T) {
	h := newHost(t)
	first := apply(t, h, routed())
	if len(first.Changes) == 0 {
		t.Fatalf("first Apply: got no changes, want some")
	}
	wantKernel(t, h, routed())
	if second := apply(t, h, routed()); len(second.Changes) != 0 {
		t.Errorf("second Apply: got changes %q, want none", second.Changes)
	}
}

func TestRestartedHostChangesNothing(t *testing.T) {
	apply(t, newHost(t), routed())
	h := newHost(t)
	if report := apply(t, h, routed()); len(report.Changes) != 0 {
		t.Errorf("Apply by a new Host: got changes %q, want none", report.Changes)
	}
}

func TestNothingWantedLeavesNothing(t *testing.T) {
	h := newHost(t)
	apply(t, h, routed())
	apply(t, h, netspec.Spec{})
	for _, dir := range []string{"/run/netns", "/run/seikan-netns/seikan"} {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 0 {
			t.Errorf("%s: got %v, %v, want it empty", dir, entries, err)
		}
	}
	if got := read(t, h); len(got.Namespaces) != 0 {
		t.Errorf("Read: got\n%v, want nothing", got)
	}
}

// shared is what Seikan puts into a namespace that is not its own.
func shared(ns string) netspec.Spec {
	a, b := pair(ns, "sk-a", "own", "eth0")
	a.Addrs = []netip.Prefix{prefix("10.9.0.1/24"), prefix("fd00:9::1/64")}
	return netspec.Spec{Namespaces: []netspec.Namespace{
		{
			Name:    ns,
			Sysctls: map[string]string{"net.ipv4.ip_forward": "1"},
			Links: []netspec.Link{a,
				{Name: "lo", Kind: netspec.Loopback, Addrs: []netip.Prefix{prefix("10.8.0.1/32")}},
				{Name: "theirs", Kind: netspec.External, Addrs: []netip.Prefix{prefix("10.8.0.2/32")}},
			},
			Routes: []netspec.Route{{Dst: prefix("10.0.0.0/8"), Dev: "sk-a"}, {Dst: prefix("fd00::/16"), Via: addr("fd00:9::2"), Dev: "sk-a"}},
			Rules:  []netspec.Rule{{Priority: 300, IIF: "sk-a", Table: 7}},
			Tables: []netspec.Table{{Family: "inet", Name: "seikan_x", Chains: []netspec.Chain{{Name: "c"}}}},
		},
		{Name: "own", Links: []netspec.Link{b}},
	}}
}

func TestForeignThingsStayUntouched(t *testing.T) {
	for _, ns := range []string{"", "foreign"} {
		t.Run(fmt.Sprintf("in %q", ns), func(t *testing.T) {
			h := newHost(t)
			ip := func(args ...string) string { return run(t, h, ns, "ip", args...) }
			if ns != "" {
				run(t, h, "", "ip", "netns", "add", ns)
				t.Cleanup(func() { h.CommandIn(background(), "", "ip", "netns", "del", ns) })
			}
			ip("link", "set", "lo", "up")
			ip("link", "add", "theirs", "type", "bridge")
			t.Cleanup(func() { h.CommandIn(background(), ns, "ip", "link", "del", "theirs") })
			ip("addr", "add", "10.8.1.1/24", "dev", "theirs")
			ip("link", "set", "theirs", "up")
			ip("route", "add", "10.77.0.0/16", "dev", "theirs")
			ip("rule", "add", "priority", "77", "from", "10.77.0.1", "lookup", "77")
			t.Cleanup(func() { h.CommandIn(background(), ns, "ip", "rule", "del", "priority", "77") })
			run(t, h, ns, "nft", "add", "table", "ip", "theirs")
			t.Cleanup(func() { h.CommandIn(background(), ns, "nft", "delete", "table", "ip", "theirs") })
			state := func() string {
				return ip("-br", "link") + ip("-br", "addr") + ip("route") + ip("-6", "route") + ip("rule") +
					run(t, h, ns, "nft", "list", "ruleset") + run(t, h, ns, "sysctl", "net.ipv4.ip_forward")
			}
			before := state()

			want := shared(ns)
			apply(t, h, want)
			if got := ip("-br", "addr", "show", "theirs"); !strings.Contains(got, "10.8.0.2/32") || !strings.Contains(got, "10.8.1.1/24") {
				t.Errorf("addresses of the foreign link: got %q, want ours beside theirs", got)
			}
			if again := apply(t, h, want); len(again.Changes) != 0 {
				t.Errorf("second Apply: got changes %q, want none", again.Changes)
			}
			apply(t, h, netspec.Spec{})
			if after := state(); after != before {
				t.Errorf("after Apply of nothing: got\n%s\nwant\n%s", after, before)
			}
		})
	}
}

func TestForeignLinkOfTheSameNameIsAnError(t *testing.T) {
	h := newHost(t)
	run(t, h, "", "ip", "link", "add", "sk-a", "type", "bridge")
	t.Cleanup(func() { h.CommandIn(background(), "", "ip", "link", "del", "sk-a") })
	want := shared("")
	want.Namespaces[0].Links = want.Namespaces[0].Links[:1]
	_, err := h.Apply(t.Context(), want)
	const text = "apply (process): add link sk-a: a bridge of this name exists and is not ours"
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("Apply: got error %v, want %q", err, text)
	}
}

func TestForeignRouteAndTableAreNotReplaced(t *testing.T) {
	h := newHost(t)
	ip := func(args ...string) string { return run(t, h, "", "ip", args...) }
	ip("link", "add", "theirs", "type", "bridge")
	t.Cleanup(func() { h.CommandIn(background(), "", "ip", "link", "del", "theirs") })
	ip("link", "set", "theirs", "up")
	ip("route", "add", "10.0.0.0/8", "dev", "theirs")
	_, err := h.Apply(t.Context(), shared(""))
	const text = "apply (process): add route 10.0.0.0/8 dev sk-a: a route to it exists and is not ours"
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("Apply: got error %v, want %q", err, text)
	}
	if got := ip("route", "show", "10.0.0.0/8"); !strings.Contains(got, "dev theirs") {
		t.Errorf("the foreign route: got %q, want it over theirs", got)
	}

	_, err = h.Apply(t.Context(), netspec.Spec{Namespaces: []netspec.Namespace{{
		Tables: []netspec.Table{{Family: "ip", Name: "nat"}},
	}}})
	if err == nil || !strings.Contains(err.Error(), `table ip nat: in a namespace that is not ours the name must begin with "seikan"`) {
		t.Errorf("Apply of a table without our prefix: got error %v, want a refusal", err)
	}
}

func TestInvalidSpecChangesNothing(t *testing.T) {
	h := newHost(t)
	want := routed()
	want.Namespaces[0].Links[0].MTU = 1
	report, err := h.Apply(t.Context(), want)
	if err == nil || len(report.Changes) != 0 {
		t.Errorf("Apply: got changes %q and error %v, want none and an error", report.Changes, err)
	}
}

func TestMissingExternalLinkIsPending(t *testing.T) {
	h := newHost(t)
	want := netspec.Spec{Namespaces: []netspec.Namespace{{
		Name:  "vgw",
		Links: []netspec.Link{{Name: "tun0", Kind: netspec.External, MTU: 1400, Addrs: []netip.Prefix{prefix("169.254.10.1/30")}}},
		Routes: []netspec.Route{
			{Dst: prefix("192.168.1.0/24"), Dev: "tun0"},
			{Dst: prefix("192.168.2.0/24"), Type: netspec.Blackhole},
		},
	}}}
	report := apply(t, h, want)
	if got, want := fmt.Sprint(report.Pending), "[vgw: link tun0 vgw: route 192.168.1.0/24 dev tun0]"; got != want {
		t.Errorf("Pending without the link: got %s, want %s", got, want)
	}

	run(t, h, "vgw", "ip", "tuntap", "add", "tun0", "mode", "tun")
	report = apply(t, h, want)
	if len(report.Pending) != 0 {
		t.Errorf("Pending with the link: got %q, want none", report.Pending)
	}
	wantKernel(t, h, want)

	// The device is its maker's, only what we put on it goes.
	want.Namespaces[0].Links, want.Namespaces[0].Routes = nil, nil
	apply(t, h, want)
	got := run(t, h, "vgw", "ip", "-br", "addr")
	if !strings.Contains(got, "tun0") || strings.Contains(got, "169.254.10.1") {
		t.Errorf("links after tun0 is not wanted: got %q, want tun0 without our address", got)
	}
}

func TestVethMovesToAnotherNamespace(t *testing.T) {
	h := newHost(t)
	// In both namespaces eth0 has the same index: only the id of the peer's
	// namespace tells them apart.
	wire := func(to string) netspec.Spec {
		a, b := pair("rt", "port", to, "eth0")
		var s netspec.Spec
		s.Namespaces = append(s.Namespaces, netspec.Namespace{Name: "rt", Links: []netspec.Link{a}})
		for _, name := range []string{"one", "two"} {
			n := netspec.Namespace{Name: name}
			if name == to {
				n.Links = []netspec.Link{b}
			}
			s.Namespaces = append(s.Namespaces, n)
		}
		return s
	}
	for _, to := range []string{"one", "two", "one"} {
		apply(t, h, wire(to))
		wantKernel(t, h, wire(to))
	}
}

func TestFaultInOneNamespaceLeavesTheOthersServed(t *testing.T) {
	h := newHost(t)
	want := routed()
	want.Namespaces[0].Tables[0].Chains[0].Rules[0].Text = "nft knows no such words"
	a, b := pair("one", "eth0", "two", "eth0")
	a.Addrs = []netip.Prefix{prefix("10.0.0.1/24")}
	want.Namespaces = append(want.Namespaces,
		netspec.Namespace{Name: "one", Links: []netspec.Link{a}},
		netspec.Namespace{Name: "two", Links: []netspec.Link{b}})
	report, err := h.Apply(t.Context(), want)
	if err == nil || !strings.HasPrefix(err.Error(), "apply rt: load table ip seikan_sg: nft -f -: exit status 1: ") {
		t.Errorf("Apply: got error %v, want nft's for rt alone", err)
	}
	if got, want := fmt.Sprint(report.Pending), "[client: link eth0 server: link eth0 client: route default via 10.0.1.1 dev eth0 server: route default via 10.0.2.1 dev eth0]"; got != want {
		t.Errorf("Pending: got %s, want %s", got, want)
	}
	// Without its filter the router must not be reachable.
	if got := run(t, h, "rt", "ip", "-br", "link"); strings.Contains(got, "to-client") {
		t.Errorf("links of the router: got %s, want lo alone", got)
	}
	if got := run(t, h, "one", "ip", "-br", "addr"); !strings.Contains(got, "10.0.0.1/24") {
		t.Errorf("addresses of the others: got %q, want 10.0.0.1/24", got)
	}

	want.Namespaces[0].Tables = routed().Namespaces[0].Tables
	apply(t, h, want)
	wantKernel(t, h, want)
}

func TestAddressChangesItsLength(t *testing.T) {
	h := newHost(t)
	for _, a := range []string{"fd00:1::1/64", "fd00:1::1/48", "10.1.0.1/24", "10.1.0.1/16"} {
		want := netspec.Spec{Namespaces: []netspec.Namespace{{
			Name:  "x",
			Links: []netspec.Link{{Name: "br0", Kind: netspec.Bridge, Addrs: []netip.Prefix{prefix(a)}}},
		}}}
		apply(t, h, want)
		wantKernel(t, h, want)
	}
}

func TestGatewayMayStandBehindAHostRoute(t *testing.T) {
	h := newHost(t)
	want := netspec.Spec{Namespaces: []netspec.Namespace{{
		Name:  "x",
		Links: []netspec.Link{{Name: "br0", Kind: netspec.Bridge}},
		Routes: []netspec.Route{
			{Dst: prefix("0.0.0.0/0"), Via: addr("169.254.1.1"), Dev: "br0"},
			{Dst: prefix("169.254.1.1/32"), Dev: "br0"},
		},
	}}}
	apply(t, h, want)
	wantKernel(t, h, want)
}

func TestDirIsSharedAsIPNetnsShares(t *testing.T) {
	h := netapply.New(netapply.Options{Dir: "/run/elsewhere", Owner: "other"})
	defer h.Close()
	want := netspec.Spec{Namespaces: []netspec.Namespace{{Name: "x"}}}
	apply(t, h, want)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	shared := 0
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " /run/elsewhere ") && strings.Contains(line, " shared:") {
			shared++
		}
	}
	if shared != 1 {
		t.Errorf("shared mounts at the directory: got %d, want 1, in\n%s", shared, mounts)
	}
	if got := h.Path("x"); got != "/run/elsewhere/x" {
		t.Errorf("Path: got %s, want /run/elsewhere/x", got)
	}
	apply(t, h, netspec.Spec{})
	if _, err := os.Stat(h.Path("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("namespace file at the end: got %v, want it gone", err)
	}
}

func TestMissingNftSaysWhatToInstall(t *testing.T) {
	h := newHost(t)
	t.Setenv("PATH", "/nonexistent")
	broken := netapply.New(netapply.Options{Nft: "/nonexistent/nft"})
	defer broken.Close()
	_, err := broken.Apply(t.Context(), routed())
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "install the package nftables") {
		t.Errorf("Apply: got error %v, want what to install", err)
	}
	apply(t, h, netspec.Spec{})
}

// A countdown is a context that is cancelled when it was asked n times.
type countdown struct {
	context.Context
	n int
}

func (c *countdown) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestInterruptedApplyIsFinishedByTheNext(t *testing.T) {
	specs := []netspec.Spec{routed(), {}, shared("")}
	specs[2].Namespaces[0].Links = specs[2].Namespaces[0].Links[:2]
	for i, want := range specs {
		from := specs[(i+len(specs)-1)%len(specs)]
		interrupted := 0
		for done := false; !done && !t.Failed(); interrupted++ {
			t.Run(fmt.Sprintf("to spec %d after %d steps", i, 3*interrupted), func(t *testing.T) {
				h := newHost(t)
				apply(t, h, from)
				_, err := h.Apply(&countdown{t.Context(), 3 * interrupted}, want)
				h.Close()
				if done = err == nil; !done && !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled Apply: got error %v, want context canceled", err)
				}
				next := newHost(t) // as after a crash: nothing in memory
				apply(t, next, want)
				wantKernel(t, next, want)
			})
		}
		if interrupted < 5 {
			t.Errorf("spec %d: got %d interruptions, want more: nothing was tested", i, interrupted)
		}
	}
}
