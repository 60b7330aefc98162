//go:build e2e

package world

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os/exec"
	"strings"
	"testing"
	"time"

	"seikan/internal/linux/netapply"
)

// Addresses of the world. The NAT router masquerades the customer gateway, and
// nothing outside has a route to it or to the two sites.
const (
	Client       = "10.10.1.2"
	CustomerSite = "10.10.1.0/24"
	Customer     = "192.168.50.2" // the customer gateway, behind the NAT
	NAT          = "198.51.100.2" // what the internet sees of it
	Responder    = "203.0.113.10" // the other gateway
	Server       = "10.20.1.2"    // behind it
	ServerSite   = "10.20.1.0/24" //
	InsideFirst  = "169.254.10.1" // the responder's address in the tunnel
	InsideSecond = "169.254.10.2" // the customer gateway's
	InsideBits   = "/30"          //
)

// links are the cables: namespace, link, address at either end.
var links = [][6]string{
	{"client", "eth0", Client + "/24", "cgw", "lan0", "10.10.1.1/24"},
	{"cgw", "wan0", Customer + "/24", "nat", "in0", "192.168.50.1/24"},
	{"nat", "out0", NAT + "/24", "inet", "a0", "198.51.100.1/24"},
	{"inet", "b0", "203.0.113.1/24", "resp", "wan0", Responder + "/24"},
	{"resp", "lan0", "10.20.1.1/24", "server", "eth0", Server + "/24"},
}

// routes are the default routes.
var routes = map[string]string{
	"client": "10.10.1.1", "cgw": "192.168.50.1", "nat": "198.51.100.1", "resp": "203.0.113.1", "server": "10.20.1.1",
}

// rules are the nftables of the NAT router and of the internet, which counts
// what it sees: clear must stay 0.
var rules = map[string]string{
	"nat": `
		table ip nat {
			chain post {
				type nat hook postrouting priority 100
				oifname "out0" masquerade
			}
		}`,
	"inet": `
		table ip watch {
			counter ike { }
			counter natt { }
			counter plain { }
			counter clear { }
			counter moved { }
			chain pass {
				type filter hook forward priority 0
				ip frag-off & 0x1fff != 0 accept # the first piece has been counted
				udp dport 500 counter name ike accept
				udp sport 500 counter name ike accept
				udp sport 20001 counter name moved
				udp dport 4500 counter name natt accept
				udp sport 4500 counter name natt accept
				meta l4proto esp counter name plain accept
				icmp type destination-unreachable icmp code port-unreachable accept # no IKE daemon runs there
				counter name clear
			}
		}
		table ip cut {
			chain everything {
				type filter hook forward priority -10
			}
		}`,
}

// ErrNoSA is what an end says that has no security association at all.
var ErrNoSA = errors.New("no SA is established")

// World is one test's network. Its namespaces have names of their own, so that
// tests may run beside each other; the methods take the names of the picture.
type World struct {
	t      testing.TB
	prefix string
}

// New lays a world and takes it away when the test ends. Processes in it must
// have ended before; their cleanups, registered later, run earlier.
func New(t testing.TB) *World {
	t.Helper()
	of := fnv.New32a()
	of.Write([]byte(t.Name()))
	w := &World{t: t, prefix: fmt.Sprintf("%08x-", of.Sum32())}
	for _, ns := range []string{"client", "cgw", "nat", "inet", "resp", "server"} {
		ns = w.prefix + ns
		w.host("ip", "netns", "add", ns)
		t.Cleanup(func() { w.host("ip", "netns", "del", ns) })
		w.host("ip", "-n", ns, "link", "set", "lo", "up")
	}
	for _, l := range links {
		w.host("ip", "-n", w.prefix+l[0], "link", "add", l[1], "type", "veth", "peer", "name", l[4], "netns", w.prefix+l[3])
		for _, end := range [][]string{l[:3], l[3:]} {
			w.host("ip", "-n", w.prefix+end[0], "address", "add", end[2], "dev", end[1])
			w.host("ip", "-n", w.prefix+end[0], "link", "set", end[1], "up")
		}
	}
	for ns, via := range routes {
		w.host("ip", "-n", w.prefix+ns, "route", "add", "default", "via", via)
	}
	for _, ns := range []string{"cgw", "nat", "inet", "resp"} {
		w.Exec(ns, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	}
	for ns, text := range rules {
		w.Nft(ns, text)
	}
	return w
}

// host runs a command where the test runs; it must succeed.
func (w *World) host(args ...string) string {
	w.t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Command is a command in a namespace.
func (w *World) Command(ns string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", w.prefix + ns}, args...)...)
}

// Exec runs a command in a namespace; it must succeed. It returns what was
// printed.
func (w *World) Exec(ns string, args ...string) string {
	w.t.Helper()
	out, err := w.Command(ns, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s: %s: %v\n%s", ns, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Nft runs a batch of nft in a namespace; it must succeed.
func (w *World) Nft(ns, batch string) {
	w.t.Helper()
	cmd := w.Command(ns, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(batch)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("%s: nft: %v\n%s", ns, err, out)
	}
}

// Cut lets nothing cross the internet until Mend.
func (w *World) Cut() { w.Nft("inet", "add rule ip cut everything drop\n") }

// Mend undoes Cut.
func (w *World) Mend() { w.Nft("inet", "flush chain ip cut everything\n") }

// Rebind makes the NAT forget its mappings and give UDP 4500 another port. Only
// the table of connections is emptied and a rule put before the others.
func (w *World) Rebind() {
	w.Nft("nat", "insert rule ip nat post oifname out0 udp sport 4500 masquerade to :20001\n")
	w.Exec("nat", "conntrack", "-F")
}

// WithoutNAT lets the router route only, and the internet know the customer
// gateway.
func (w *World) WithoutNAT() {
	w.Nft("nat", "delete table ip nat\n")
	for ns, via := range map[string]string{"inet": NAT, "resp": "203.0.113.1"} {
		w.Exec(ns, "ip", "route", "replace", Customer+"/32", "via", via)
	}
}

// Seen returns how many packets and octets of one kind crossed the internet:
// "ike", "natt", "plain" (ESP without UDP), "moved" (part of natt: from the port that Rebind chose) or
// "clear".
func (w *World) Seen(kind string) (packets, octets int64) {
	w.t.Helper()
	out := w.Exec("inet", "nft", "list", "counter", "ip", "watch", kind)
	_, numbers, _ := strings.Cut(out, "packets ")
	if _, err := fmt.Sscanf(numbers, "%d bytes %d", &packets, &octets); err != nil {
		w.t.Fatalf("counter %s: %v in %q", kind, err, out)
	}
	return packets, octets
}

// In runs f on a thread that is in a namespace, so that the sockets it opens
// are that namespace's.
func (w *World) In(ns string, f func() error) error {
	return netapply.InNamespace(w.prefix+ns, f)
}

// Until asks again every 50 ms until check returns nil, and fails the test
// with its last error after limit. It returns how long it took.
func (w *World) Until(what string, limit time.Duration, check func() error) time.Duration {
	w.t.Helper()
	start := time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			w.t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		<-tick.C
	}
}
