package gateway

import (
	"net/netip"
	"reflect"
	"testing"

	"seikan/internal/linux/netspec"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// two is a gateway with two tunnels to the same networks.
func two() []Tunnel {
	routes := []netip.Prefix{prefix("10.0.0.0/16")}
	return []Tunnel{{ID: "1", Interface: "tun1", Routes: routes}, {ID: "2", Interface: "tun2", Routes: routes}}
}

func TestChooseStaysWithALiveTunnel(t *testing.T) {
	vpc := prefix("10.0.0.0/16")
	tests := []struct {
		name   string
		up     map[string]bool
		before map[netip.Prefix]pick
		want   map[netip.Prefix]pick
	}{
		{"first of two", map[string]bool{"1": true, "2": true}, nil, map[netip.Prefix]pick{vpc: {tunnel: "1"}}},
		{"only the second is up", map[string]bool{"2": true}, nil, map[netip.Prefix]pick{vpc: {tunnel: "2"}}},
		{"first comes back, second stays", map[string]bool{"1": true, "2": true}, map[netip.Prefix]pick{vpc: {tunnel: "2"}}, map[netip.Prefix]pick{vpc: {tunnel: "2"}}},
		{"the one in use fails", map[string]bool{"1": true}, map[netip.Prefix]pick{vpc: {tunnel: "2"}}, map[netip.Prefix]pick{vpc: {tunnel: "1"}}},
		{"none is up", nil, map[netip.Prefix]pick{vpc: {tunnel: "2"}}, map[netip.Prefix]pick{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := choose(two(), tt.up, nil, tt.before); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestPrefixIsUnreachableBehindItsTunnelRoute(t *testing.T) {
	cfg := Config{Tunnels: two()}
	vpc := prefix("10.0.0.0/16")
	for name, chosen := range map[string]map[netip.Prefix]pick{"down": {}, "up": {vpc: {tunnel: "2"}}} {
		t.Run(name, func(t *testing.T) {
			var stop, via *netspec.Route
			for _, r := range spec(cfg, chosen, nil, nil).Namespaces[0].Routes {
				if r.Type == netspec.Unreachable {
					stop = &r
				} else {
					via = &r
				}
			}
			if stop == nil || stop.Dst != vpc || stop.Metric != backstop {
				t.Errorf("got backstop %+v, want unreachable %v metric %d", stop, vpc, uint32(backstop))
			}
			if up := chosen[vpc].tunnel != ""; up != (via != nil) {
				t.Errorf("got tunnel route %+v with chosen %v", via, chosen)
			}
			if via != nil && (via.Dev != "tun2" || via.Metric >= backstop) {
				t.Errorf("got %+v, want dev tun2 before the backstop", via)
			}
		})
	}
}
