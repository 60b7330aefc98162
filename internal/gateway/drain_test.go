package gateway

import (
	"net/netip"
	"reflect"
	"testing"

	"seikan/internal/routing/bgp"
)

// What is drained carries only what nothing else can, however good its routes
// are (vpn §3.6).
func TestChooseLeavesATunnelThatIsDrained(t *testing.T) {
	vpc := prefix("10.0.0.0/16")
	both := map[string]bool{"1": true, "2": true}
	for _, c := range []struct {
		name     string
		draining [2]bool
		up       map[string]bool
		routes   [2]bool // static
		med      [2]uint32
		want     pick
	}{
		{"the one in use", [2]bool{true, false}, both, [2]bool{true, true}, [2]uint32{}, pick{tunnel: "2"}},
		{"the other one", [2]bool{false, true}, both, [2]bool{true, true}, [2]uint32{}, pick{tunnel: "1"}},
		{"both", [2]bool{true, true}, both, [2]bool{true, true}, [2]uint32{}, pick{tunnel: "1"}},
		{"the only one that is up", [2]bool{true, false}, map[string]bool{"1": true}, [2]bool{true, true}, [2]uint32{}, pick{tunnel: "1"}},
		{"static, beside a learned route", [2]bool{true, false}, both, [2]bool{true, false}, [2]uint32{0, 100}, pick{"2", true}},
		{"with the lower MED", [2]bool{true, false}, both, [2]bool{}, [2]uint32{50, 100}, pick{"2", true}},
	} {
		tunnels, learned := two(), map[string][]bgp.Route{}
		for i := range tunnels {
			tunnels[i].Endpoint.Draining = c.draining[i]
			if !c.routes[i] {
				tunnels[i].Routes = nil
			}
			if c.med[i] > 0 {
				learned[tunnels[i].ID] = []bgp.Route{heard("10.0.0.0/16", 1, c.med[i])}
			}
		}
		got := choose(tunnels, c.up, learned, map[netip.Prefix]pick{vpc: {tunnel: "1"}})
		if want := map[netip.Prefix]pick{vpc: c.want}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", c.name, got, want)
		}
	}
}

func TestADrainedTunnelGoesOnAndAnotherEndpointDoesNot(t *testing.T) {
	was := two()[0]
	drained, replaced := was, was
	drained.Endpoint.Draining = true
	replaced.Endpoint.Generation = 1
	if !was.sameSession(drained) || was.sameSession(replaced) {
		t.Errorf("same session: got %v drained and %v replaced, want true and false", was.sameSession(drained), was.sameSession(replaced))
	}
}
