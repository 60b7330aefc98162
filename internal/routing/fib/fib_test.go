package fib_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"seikan/internal/routing/fib"
)

func route(dst string, origin fib.Origin, target string) fib.Route {
	return fib.Route{Destination: netip.MustParsePrefix(dst), Origin: origin, Target: target}
}

func gone(r fib.Route) fib.Route {
	r.Blackhole = true
	return r
}

func TestPrecedence(t *testing.T) {
	local := route("10.0.0.0/16", fib.Local, "local")
	for _, test := range []struct {
		name   string
		routes []fib.Route
		addr   string
		want   string // target, "drop" for a blackhole, "" for none
	}{
		{"longest prefix wins", []fib.Route{route("0.0.0.0/0", fib.Static, "a"), route("192.168.0.0/16", fib.Static, "b"), route("192.168.1.0/24", fib.Static, "c")}, "192.168.1.9", "c"},
		{"longest prefix wins over origin", []fib.Route{route("192.168.0.0/16", fib.Static, "a"), route("192.168.1.0/24", fib.Propagated, "b")}, "192.168.1.9", "b"},
		{"static beats propagated", []fib.Route{route("192.168.1.0/24", fib.Propagated, "b"), route("192.168.1.0/24", fib.Static, "a")}, "192.168.1.9", "a"},
		{"local beats propagated", []fib.Route{local, route("10.0.0.0/16", fib.Propagated, "b")}, "10.0.1.1", "local"},
		{"local beats more specific propagated", []fib.Route{local, route("10.0.1.0/24", fib.Propagated, "b")}, "10.0.1.1", "local"},
		{"static may be more specific than local", []fib.Route{local, route("10.0.1.0/24", fib.Static, "eni")}, "10.0.1.1", "eni"},
		{"propagated wider than local holds outside it", []fib.Route{local, route("10.0.0.0/8", fib.Propagated, "b")}, "10.1.0.1", "b"},
		{"a lost static target hides propagated", []fib.Route{gone(route("192.168.1.0/24", fib.Static, "a")), route("192.168.1.0/24", fib.Propagated, "b")}, "192.168.1.9", "drop"},
		{"equal routes: the smaller target", []fib.Route{route("192.168.1.0/24", fib.Propagated, "vgw-2"), route("192.168.1.0/24", fib.Propagated, "vgw-1")}, "192.168.1.9", "vgw-1"},
		{"equal routes: one that leads somewhere", []fib.Route{gone(route("192.168.1.0/24", fib.Static, "a")), route("192.168.1.0/24", fib.Static, "b")}, "192.168.1.9", "b"},
		{"host bits do not matter", []fib.Route{route("192.168.1.77/24", fib.Static, "a")}, "192.168.1.9", "a"},
		{"nothing matches", []fib.Route{local}, "192.168.1.9", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, ok := fib.New(test.routes).Lookup(netip.MustParseAddr(test.addr))
			if answer := describe(got, ok); answer != test.want {
				t.Errorf("Lookup(%s): got %q, want %q", test.addr, answer, test.want)
			}
		})
	}
}

func describe(r fib.Route, ok bool) string {
	switch {
	case !ok:
		return ""
	case r.Blackhole:
		return "drop"
	}
	return r.Target
}

// naive answers a lookup by going through all routes with the rules as the
// user guide states them, one after another.
func naive(routes []fib.Route, addr netip.Addr) string {
	catches := slices.DeleteFunc(slices.Clone(routes), func(r fib.Route) bool { return !r.Destination.Contains(addr) })
	for _, local := range catches {
		if local.Origin != fib.Local {
			continue
		}
		catches = slices.DeleteFunc(slices.Clone(catches), func(r fib.Route) bool {
			return r.Origin == fib.Propagated && r.Destination.Bits() >= local.Destination.Bits()
		})
	}
	longest := -1
	for _, r := range catches {
		longest = max(longest, r.Destination.Bits())
	}
	answers := map[string]string{} // by rank; the least wins
	least := "~"
	for _, r := range catches {
		if r.Destination.Bits() != longest {
			continue
		}
		rank := fmt.Sprintf("%d %v %s", r.Origin, r.Blackhole, r.Target)
		answers[rank] = describe(r, true)
		least = min(least, rank)
	}
	return answers[least]
}

func TestLookupAgreesWithTheNaiveModel(t *testing.T) {
	addrs := rapid.Custom(func(t *rapid.T) netip.Addr {
		// Few values a byte, so that prefixes nest and meet.
		return netip.AddrFrom4([4]byte{10, byte(rapid.IntRange(0, 1).Draw(t, "b")), byte(rapid.IntRange(0, 3).Draw(t, "c")), byte(rapid.IntRange(0, 255).Draw(t, "d"))})
	})
	routes := rapid.Custom(func(t *rapid.T) fib.Route {
		bits := rapid.SampledFrom([]int{0, 8, 15, 16, 22, 23, 24, 25, 31, 32}).Draw(t, "bits")
		return fib.Route{
			Destination: netip.PrefixFrom(addrs.Draw(t, "dst"), bits).Masked(),
			Origin:      fib.Origin(rapid.IntRange(0, 2).Draw(t, "origin")),
			Target:      rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "target"),
			Blackhole:   rapid.Bool().Draw(t, "blackhole"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		offered := rapid.SliceOfN(routes, 0, 12).Draw(t, "routes")
		table := fib.New(offered)
		addr := addrs.Draw(t, "addr")
		got, ok := table.Lookup(addr)
		if want := naive(offered, addr); describe(got, ok) != want {
			t.Fatalf("Lookup(%v): got %q, want %q", addr, describe(got, ok), want)
		}
		shuffled := rapid.Permutation(offered).Draw(t, "shuffled")
		if again := fib.New(shuffled).Routes(); !slices.Equal(again, table.Routes()) {
			t.Fatalf("order matters: got %v, want %v", again, table.Routes())
		}
	})
}

func TestOriginsHaveNames(t *testing.T) {
	var names []string
	for o := fib.Local; o <= fib.Propagated+1; o++ {
		names = append(names, o.String())
	}
	if got, want := strings.Join(names, " "), "local static propagated origin?"; got != want {
		t.Errorf("names: got %q, want %q", got, want)
	}
}
