// Package fib decides which routes of a VPC route table hold: longest prefix,
// then precedence (vpn §4.3, pl §4.2).
//
// It is pure: routes in, forwarding entries out. It knows nothing of the kernel
// and nothing of what a target is. The planners of the cloud use it.
package fib

import (
	"cmp"
	"net/netip"
	"slices"
)

// An Origin is where a route comes from, the better the smaller.
type Origin int

// Origins in order of preference. Local beats even more specific routes of
// Propagated, but not those of Static.
const (
	Local      Origin = iota // the network's own block
	Static                   // written by somebody
	Propagated               // learned from a gateway
)

// String is the word that a plan shows.
func (o Origin) String() string {
	switch o {
	case Local:
		return "local"
	case Static:
		return "static"
	case Propagated:
		return "propagated"
	}
	return "origin?"
}

// A Route offers to carry what is sent to Destination.
type Route struct {
	Destination netip.Prefix // host bits are ignored
	Origin      Origin
	Target      string // the caller's name of what it leads to
	// Blackhole says that the target is gone. The route still holds and drops
	// what it catches: a route with a lost target hides the routes it beats.
	Blackhole bool
}

// A Table is the routes that hold, at most one a destination.
type Table struct{ routes []Route }

// New selects among routes. For one destination the better origin wins, then
// a route that is no blackhole, then the smaller Target, so that the choice
// does not depend on the order of routes. Propagated routes inside a local
// route's destination never hold.
func New(routes []Route) Table {
	sorted := make([]Route, 0, len(routes))
	for _, r := range routes {
		r.Destination = r.Destination.Masked()
		if r.Destination.IsValid() && !(r.Origin == Propagated && insideLocal(routes, r.Destination)) {
			sorted = append(sorted, r)
		}
	}
	slices.SortFunc(sorted, compare)
	sorted = slices.CompactFunc(sorted, func(a, b Route) bool { return a.Destination == b.Destination })
	return Table{sorted}
}

// compare orders by destination as routing tables are read, then by
// preference.
func compare(a, b Route) int {
	return cmp.Or(
		a.Destination.Addr().Compare(b.Destination.Addr()),
		cmp.Compare(a.Destination.Bits(), b.Destination.Bits()),
		cmp.Compare(a.Origin, b.Origin),
		compareBool(a.Blackhole, b.Blackhole),
		cmp.Compare(a.Target, b.Target),
	)
}

// compareBool puts false first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// insideLocal reports whether a local route covers all of dst.
func insideLocal(routes []Route, dst netip.Prefix) bool {
	return slices.ContainsFunc(routes, func(r Route) bool {
		return r.Origin == Local && r.Destination.Bits() <= dst.Bits() && r.Destination.Contains(dst.Addr())
	})
}

// Routes returns the routes that hold, by destination address and then by
// prefix length.
func (t Table) Routes() []Route { return slices.Clone(t.routes) }

// Lookup returns the route that catches addr: the one with the longest prefix.
// It is false when none does.
func (t Table) Lookup(addr netip.Addr) (Route, bool) {
	var best Route
	for _, r := range t.routes {
		if r.Destination.Contains(addr) && (!best.Destination.IsValid() || r.Destination.Bits() > best.Destination.Bits()) {
			best = r
		}
	}
	return best, best.Destination.IsValid()
}
