//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// The system overview's VPCs.
const (
	vpcA = "10.0.0.0/16"
	vpcB = "192.168.1.0/24"
)

// ip is an address that the tests name.
func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

func ips(all ...string) (out []netip.Addr) {
	for _, s := range all {
		out = append(out, ip(s))
	}
	return out
}

// The system overview's machines.
func app() netip.Addr       { return ip(appAddress) }
func client() netip.Addr    { return ip("192.168.1.10") }
func web1() netip.Addr      { return ip("192.168.1.21") }
func ftp1() netip.Addr      { return ip("192.168.1.31") }
func resolver() netip.Addr  { return ip("10.0.0.2") } // VPC A's
func directory() netip.Addr { return ip("10.0.1.53") }

// TestLabEnforces sends by hand what must not arrive, and beside it what must,
// so that a world in which nothing arrives does not pass.
func TestLabEnforces(t *testing.T) {
	l := labUp(t, "enforce")
	l.awaitUp()
	for _, rule := range []struct {
		name string
		test func(*testing.T, *runningLab)
	}{
		{"an instance cannot send from another's address", noSpoofing},
		{"the resolver answers in its VPC only", noResolverFromOutside},
		{"a closed port is silent", closedPortsAreSilent},
		{"the provider reaches nothing of the consumer", providerReachesNothing},
		{"the site reaches nothing of the provider", siteReachesNothing},
		{"the tunnel carries no address of the VPC inwards", noSpoofingThroughTunnel},
		{"without tunnels nothing is sent in clear", nothingClearWithoutTunnels},
	} {
		t.Run(rule.name, func(t *testing.T) {
			inner := *l
			inner.t = t
			rule.test(t, &inner)
		})
	}
}

// noSpoofing lets instances claim addresses of their neighbours, of the site,
// of nobody and of the cloud's own. The receivers' groups would let them in.
func noSpoofing(t *testing.T, l *runningLab) {
	const mark = "seikan-e2e-spoofed"
	vpnSide := l.watch(append(l.namespaces("vgw-"), "client")...)
	var forgeries []forged
	for _, src := range ips("10.0.2.99", "10.0.1.53", "10.0.1.4", "10.0.1.1", "10.0.0.2", "192.168.1.77", "203.0.113.10", "240.0.0.1", "169.254.10.2", "127.0.0.1") {
		forgeries = append(forgeries, everyWay(src, "eth0", client())...)
	}
	l.forge("app-1", mark, allowed{forged{unix.IPPROTO_UDP, app(), client(), 9, "eth0"}, "client"}, forgeries...)
	unseen(t, mark, vpnSide)

	neighbour := l.watch("ftp-1")
	forgeries = nil
	for _, src := range append(l.addresses(l.namespaces("nlb-")...), ips("192.168.1.141", "192.168.1.10", "192.168.1.1", "192.168.1.2")...) {
		forgeries = append(forgeries, everyWay(src, "eth0", ftp1())...)
	}
	l.forge("web-1", mark, providers(), forgeries...)
	unseen(t, mark, neighbour)
}

// providers is what one instance of the provider may send to another.
func providers() allowed {
	return allowed{forged{unix.IPPROTO_TCP, web1(), ftp1(), 21, ""}, "ftp-1"}
}

// sites is what the site may send through a tunnel.
func sites(tunnel string) allowed {
	return allowed{forged{unix.IPPROTO_ICMP, client(), app(), 0, tunnel}, "app-1"}
}

// noResolverFromOutside asks the VPC's resolver and the directory in turns,
// through the tunnel.
func noResolverFromOutside(t *testing.T, l *runningLab) {
	err := l.in("client", func() error {
		forbidden, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(resolver(), 53)))
		if err != nil {
			return err
		}
		defer forbidden.Close()
		allowed, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(directory(), 53)))
		if err != nil {
			return err
		}
		defer allowed.Close()
		allowed.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 1500)
		for i := range rounds {
			question := new(dns.Msg).SetQuestion("service.example.", dns.TypeA)
			question.Id = uint16(i)
			text, err := question.Pack()
			if err != nil {
				return err
			}
			// A refusal that ICMP brings is as good as silence.
			forbidden.Write(text)
			if _, err := allowed.Write(text); err != nil {
				return err
			}
			n, err := allowed.Read(b)
			var answer dns.Msg
			if err != nil || answer.Unpack(b[:n]) != nil || len(answer.Answer) == 0 {
				t.Errorf("the directory at %v: got %v, %v, want an answer", directory(), answer.String(), err)
			}
		}
		forbidden.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := forbidden.Read(b); err == nil {
			t.Errorf("the resolver at %v: got an answer of %d octets, want none", resolver(), n)
		}
		if conn, err := net.DialTimeout("tcp4", netip.AddrPortFrom(resolver(), 53).String(), time.Second); err == nil {
			conn.Close()
			t.Errorf("the resolver at %v: got a TCP connection, want none", resolver())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// closedPortsAreSilent connects to ports that servers listen at and groups do
// not open: neither a connection nor a refusal may come.
func closedPortsAreSilent(t *testing.T, l *runningLab) {
	endpoints := l.addresses(l.namespaces("vpce-")...)
	endpoints = slices.DeleteFunc(endpoints, func(a netip.Addr) bool { return a.As4()[0] == 240 })
	for _, host := range append(endpoints, app()) {
		for port, open := range map[uint16]bool{443: true, 80: false, 22: false} {
			target := netip.AddrPortFrom(host, port)
			for what, n := range l.connect("client", target) {
				if want := map[bool]string{true: "connected", false: "silent"}[open]; what != want {
					t.Errorf("%d connections from client to %v: got %s, want %s", n, target, what, want)
				}
			}
		}
	}
}

// connect connects as often as rounds says, at once, and counts how that ended.
func (l *runningLab) connect(ns string, to netip.AddrPort) map[string]int {
	l.t.Helper()
	outcomes := make(chan string, rounds)
	for range rounds {
		go func() {
			outcomes <- fmt.Sprint(l.in(ns, func() error {
				conn, err := net.DialTimeout("tcp4", to.String(), 1500*time.Millisecond)
				switch {
				case isTimeout(err):
					return errors.New("silent")
				case err != nil:
					return err
				}
				conn.Close()
				return errors.New("connected")
			}))
		}()
	}
	count := map[string]int{}
	for range rounds {
		count[<-outcomes]++
	}
	return count
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// providerReachesNothing lets an instance of the provider send to every address
// of the endpoint, of the fabric, of VPC A, of the site and of the internet, as
// itself and as a node of the load balancer.
func providerReachesNothing(t *testing.T, l *runningLab) {
	const mark = "seikan-e2e-provider"
	consumer := append(l.namespaces("vpce-", "vgw-", "ds-"), l.routerOf(vpcA), "app-1", "client", "cgw", "dns", "router", "internet", "edge")
	watchers := l.watch(consumer...)
	nodes := l.addresses(l.namespaces("nlb-")...)
	forgeries := everyWay(web1(), "", append(l.addresses(consumer...), nodes...)...)
	for _, node := range nodes {
		forgeries = append(forgeries, everyWay(node, "eth0", l.addresses(l.namespaces("vpce-")...)...)...)
	}
	l.forge("web-1", mark, providers(), forgeries...)
	t.Logf("%d packets, %d times each", len(forgeries), rounds)
	unseen(t, mark, watchers)
}

// siteReachesNothing lets the customer gateway send into its tunnels what names
// the provider's addresses, which are the site's own, and the fabric's.
func siteReachesNothing(t *testing.T, l *runningLab) {
	const mark = "seikan-e2e-site"
	provider := append(l.namespaces("nlb-"), l.routerOf(vpcB), "web-1", "web-2", "ftp-1")
	watchers := l.watch(append(provider, l.namespaces("vpce-")...)...)
	fabric := slices.DeleteFunc(l.addresses(l.namespaces("vpce-", "vgw-")...), func(a netip.Addr) bool { return a.As4()[0] != 240 })
	targets := append(l.addresses(provider...), fabric...)
	for _, tunnel := range []string{"tun1", "tun2"} {
		var forgeries []forged
		for _, src := range ips("192.168.1.10", "169.254.10.2", "240.0.0.1") {
			forgeries = append(forgeries, everyWay(src, tunnel, targets...)...)
		}
		l.forge("cgw", mark, sites(tunnel), forgeries...)
		t.Logf("%s: %d packets, %d times each", tunnel, len(forgeries), rounds)
	}
	unseen(t, mark, watchers)
}

// noSpoofingThroughTunnel lets the site claim addresses of the VPC, which its
// groups trust.
func noSpoofingThroughTunnel(t *testing.T, l *runningLab) {
	const mark = "seikan-e2e-inwards"
	watchers := l.watch(append(l.namespaces("vpce-", "ds-"), "app-1")...)
	targets := append(l.addresses(l.namespaces("ds-")...), ip("10.0.1.4"), ip("10.0.2.4"), app())
	for _, tunnel := range []string{"tun1", "tun2"} {
		var forgeries []forged
		for _, src := range ips("10.0.2.99", "10.0.1.53", "10.0.1.1", "10.0.0.2") {
			forgeries = append(forgeries, everyWay(src, tunnel, targets...)...)
		}
		l.forge("cgw", mark, sites(tunnel), forgeries...)
	}
	unseen(t, mark, watchers)
}

// nothingClearWithoutTunnels cuts both tunnels and goes on sending, from both
// ends and while they come back.
func nothingClearWithoutTunnels(t *testing.T, l *runningLab) {
	const mark = "seikan-e2e-clear"
	watchers := l.watch("router", "internet", "edge")
	for _, address := range []string{"203.0.113.10", "203.0.113.11"} {
		if s := l.do("cut", address); s.code != 0 {
			t.Fatalf("lab cut: %v", s)
		}
	}
	both := func() {
		l.send("client", mark, everyWay(client(), "", app(), directory(), resolver())...)
		l.send("app-1", mark, everyWay(app(), "", client())...)
	}
	until(t, "no tunnel is up", patience, func() error {
		both()
		return l.tunnelsDown()
	})
	for range rounds {
		both()
	}
	for _, address := range []string{"203.0.113.10", "203.0.113.11"} {
		if s := l.do("mend", address); s.code != 0 {
			t.Fatalf("lab mend: %v", s)
		}
	}
	until(t, "both tunnels again", 2*patience, func() error {
		both()
		return l.tunnelsUp()
	})
	unseen(t, mark, watchers)
	// The watchers do see what is clear.
	const proof = "seikan-e2e-allowed"
	l.send("client", proof, forged{unix.IPPROTO_UDP, client(), ip("203.0.113.10"), 9, ""})
	for _, w := range watchers {
		until(t, "a packet to the internet at "+w.ns, 5*time.Second, func() error {
			if w.look(t, proof) == 0 {
				return errors.New("none")
			}
			return nil
		})
	}
}

// routerOf is the namespace of the router of the VPC that has the prefix.
func (l *runningLab) routerOf(vpc string) string {
	l.t.Helper()
	for _, ns := range l.namespaces("vpc-") {
		if slices.ContainsFunc(l.addresses(ns), netip.MustParsePrefix(vpc).Contains) {
			return ns
		}
	}
	l.t.Fatalf("no router of a VPC has an address of %s", vpc)
	return ""
}
