//go:build e2e

package world

import "strings"

// The second way to the responder's side: another outside address, and for
// peers that are a program each another gateway, resp2, which leads to the same
// server.
const (
	Responder2    = "203.0.113.11" // an address of resp, or of resp2
	InsideFirst2  = "169.254.11.1" // the address of that end in the second tunnel
	InsideSecond2 = "169.254.11.2" // the customer gateway's
)

// SecondAddress gives resp a second outside address.
func (w *World) SecondAddress() {
	w.Exec("resp", "ip", "address", "add", Responder2+"/24", "dev", "wan0")
}

// SecondGateway lays resp2, as AWS has two endpoints. Each has its own way to the
// server, and what resp does not know a route to it hands to resp2.
func (w *World) SecondGateway() {
	w.t.Helper()
	ns := w.prefix + "resp2"
	w.host("ip", "netns", "add", ns)
	w.t.Cleanup(func() { w.host("ip", "netns", "del", ns) })
	w.host("ip", "-n", ns, "link", "set", "lo", "up")
	for _, l := range [][6]string{
		{"inet", "c0", "", "resp2", "wan0", Responder2 + "/32"},
		{"resp", "side0", "10.20.9.1/30", "resp2", "side0", "10.20.9.2/30"},
	} {
		w.host("ip", "-n", w.prefix+l[0], "link", "add", l[1], "type", "veth", "peer", "name", l[4], "netns", w.prefix+l[3])
		for _, end := range [][]string{l[:3], l[3:]} {
			if end[2] != "" {
				w.host("ip", "-n", w.prefix+end[0], "address", "add", end[2], "dev", end[1])
			}
			w.host("ip", "-n", w.prefix+end[0], "link", "set", end[1], "up")
		}
	}
	for _, line := range []string{
		"inet ip route add " + Responder2 + "/32 dev c0",
		"resp2 ip route add 203.0.113.1 dev wan0",
		"resp2 ip route add default via 203.0.113.1",
		"resp2 ip route add " + ServerSite + " via 10.20.9.1",
		"resp2 sysctl -qw net.ipv4.ip_forward=1",
		// Behind what BGP says, whose metric is 20.
		"resp ip route add " + CustomerSite + " via 10.20.9.2 metric 200",
	} {
		words := strings.Fields(line)
		w.Exec(words[0], words[1:]...)
	}
}

// CutTo lets nothing to or from an outside address of the responder's side cross
// the internet until Mend.
func (w *World) CutTo(address string) {
	w.Nft("inet", "add rule ip cut everything ip saddr "+address+" drop\nadd rule ip cut everything ip daddr "+address+" drop\n")
}
