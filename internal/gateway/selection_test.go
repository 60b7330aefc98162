package gateway

import (
	"net/netip"
	"testing"

	"seikan/internal/routing/bgp"
)

// An offered is what one tunnel of a table's line offers.
type offered struct {
	tunnel string
	down   bool
	static string // prefixes of which one is static
	bgp    string
	path   []uint32
	hops   int // 0: as long as path
	med    uint32
	hasMED bool
	origin string
}

// TestSelectionSentenceBySentence goes through what AWS says of the choice
// between routes of a virtual private gateway to one prefix (vpn §4.3). Direct
// Connect, whose routes would be first, there is none; which entry of a VPC's
// route table holds is tested in routing/fib.
func TestSelectionSentenceBySentence(t *testing.T) {
	const net = "192.168.1.0/24"
	path := func(systems ...uint32) []uint32 { return systems }
	for _, c := range []struct {
		sentence string
		offers   []offered
		before   string // the tunnel that carried net
		want     string // the tunnel that carries net; empty for none
	}{
		{"static VPN routes go before BGP VPN routes", []offered{
			{tunnel: "a", bgp: net, path: path(65000)}, {tunnel: "b", static: net}}, "", "b"},
		{"static goes before BGP however good the path and whatever was in use", []offered{
			{tunnel: "a", bgp: net, path: path(65000), med: 1, hasMED: true}, {tunnel: "b", static: net}}, "a", "b"},
		{"of BGP routes the shortest AS_PATH", []offered{
			{tunnel: "a", bgp: net, path: path(65000, 65000)}, {tunnel: "b", bgp: net, path: path(65000)}}, "", "b"},
		{"the length of AS_PATH counts a set for one", []offered{
			{tunnel: "a", bgp: net, path: path(65000, 65001)}, {tunnel: "b", bgp: net, path: path(65000, 65001, 65002), hops: 2}}, "b", "b"},
		{"AS_PATH goes before MED", []offered{
			{tunnel: "a", bgp: net, path: path(65000, 65000), med: 1, hasMED: true}, {tunnel: "b", bgp: net, path: path(65000), med: 900, hasMED: true}}, "", "b"},
		{"the lowest MED if AS_PATHs are equally long and the first AS is equal", []offered{
			{tunnel: "a", bgp: net, path: path(65000, 65001), med: 200, hasMED: true}, {tunnel: "b", bgp: net, path: path(65000, 65002), med: 100, hasMED: true}}, "", "b"},
		{"MED decides over what was in use", []offered{
			{tunnel: "a", bgp: net, path: path(65000), med: 200, hasMED: true}, {tunnel: "b", bgp: net, path: path(65000), med: 100, hasMED: true}}, "a", "b"},
		{"MED says nothing when the first AS differs", []offered{
			{tunnel: "a", bgp: net, path: path(65001), med: 200, hasMED: true}, {tunnel: "b", bgp: net, path: path(65002), med: 100, hasMED: true}}, "", "a"},
		{"a route without a MED counts as one with 100: against 99", []offered{
			{tunnel: "a", bgp: net, path: path(65000)}, {tunnel: "b", bgp: net, path: path(65000), med: 99, hasMED: true}}, "", "b"},
		{"a route without a MED counts as one with 100: against 101", []offered{
			{tunnel: "a", bgp: net, path: path(65000), med: 101, hasMED: true}, {tunnel: "b", bgp: net, path: path(65000)}}, "", "b"},
		{"a MED of 0 that is sent is lower than none", []offered{
			{tunnel: "a", bgp: net, path: path(65000)}, {tunnel: "b", bgp: net, path: path(65000), hasMED: true}}, "", "b"},
		{"origin is not among the attributes", []offered{
			{tunnel: "a", bgp: net, path: path(65000), origin: "incomplete"}, {tunnel: "b", bgp: net, path: path(65000), origin: "IGP"}}, "", "a"},
		{"tunnel health outranks static", []offered{
			{tunnel: "a", static: net, down: true}, {tunnel: "b", bgp: net, path: path(65000)}}, "a", "b"},
		{"tunnel health outranks attributes, though the session still stands", []offered{
			{tunnel: "a", bgp: net, path: path(65000), med: 1, hasMED: true, down: true}, {tunnel: "b", bgp: net, path: path(65000, 65000)}}, "a", "b"},
		{"one egress tunnel is chosen among all connections, and stays", []offered{
			{tunnel: "a", bgp: net, path: path(65000)}, {tunnel: "b", bgp: net, path: path(65000)}, {tunnel: "c", bgp: net, path: path(65000)}}, "b", "b"},
		{"with both tunnels of a static connection up one is picked", []offered{
			{tunnel: "a", static: net}, {tunnel: "b", static: net}}, "", "a"},
		{"the choice may change: it does when the tunnel in use has no offer any more", []offered{
			{tunnel: "a"}, {tunnel: "b", bgp: net, path: path(65000)}}, "a", "b"},
		{"only to prefixes that it knows", []offered{
			{tunnel: "a", bgp: "192.168.0.0/16", path: path(65000)}}, "", ""},
		{"equal prefixes only: a longer one goes its own way", []offered{
			{tunnel: "a", static: "192.168.0.0/16"}, {tunnel: "b", bgp: net, path: path(65000, 65000, 65000)}}, "", "b"},
		{"nothing goes by tunnels that are down", []offered{
			{tunnel: "a", static: net, down: true}, {tunnel: "b", bgp: net, path: path(65000), down: true}}, "a", ""},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			var tunnels []Tunnel
			up, learned, before := map[string]bool{}, map[string][]bgp.Route{}, map[netip.Prefix]pick{}
			for _, o := range c.offers {
				tunnel := Tunnel{ID: o.tunnel}
				if o.static != "" {
					tunnel.Routes = []netip.Prefix{prefix(o.static)}
				}
				tunnels = append(tunnels, tunnel)
				up[o.tunnel] = !o.down
				if o.bgp == "" {
					continue
				}
				r := bgp.Route{Prefix: prefix(o.bgp), ASPath: o.path, Hops: len(o.path), MED: o.med, HasMED: o.hasMED, Origin: o.origin}
				if o.hops > 0 {
					r.Hops = o.hops
				}
				learned[o.tunnel] = append(learned[o.tunnel], r)
			}
			for _, o := range c.offers {
				if o.tunnel == c.before {
					before[prefix(net)] = pick{tunnel: o.tunnel, learned: o.static == ""}
				}
			}
			if got := choose(tunnels, up, learned, before)[prefix(net)].tunnel; got != c.want {
				t.Errorf("%s goes by tunnel %q, want %q", net, got, c.want)
			}
		})
	}
}
