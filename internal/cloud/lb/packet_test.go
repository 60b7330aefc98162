package lb

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// A ground is a node in the kernel: eth0 leads to two targets, fab0 to a client
// that stands for an endpoint.
type ground struct {
	t    *testing.T
	host *netapply.Host
	snap Snapshot
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{t: t, host: netapply.New(netapply.Options{}), snap: snapshot()}
	g.snap.LoadBalancers[0].Nodes = g.snap.LoadBalancers[0].Nodes[:1]
	g.snap.Listeners = g.snap.Listeners[:1]
	g.apply()
	t.Cleanup(func() {
		if _, err := g.host.Apply(context.Background(), netspec.Spec{}); err != nil {
			t.Error(err)
		}
		if err := g.host.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// apply makes the kernel match the plan of the rows as they are now.
func (g *ground) apply() {
	g.t.Helper()
	link := func(name, peerNS, peer, addr string) netspec.Link {
		return netspec.Link{Name: name, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: peerNS, Link: peer}, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	targets := link("eth0", "nlb-a", "eth0", "192.168.1.20/24")
	targets.Addrs = append(targets.Addrs, netip.MustParsePrefix("192.168.1.21/24"))
	around := netspec.Spec{Namespaces: []netspec.Namespace{
		{Name: "nlb-a", Links: []netspec.Link{link("eth0", "targets", "eth0", "192.168.1.10/24"), link("fab0", "client", "fab0", "240.0.0.1/30")}},
		{Name: "targets", Links: []netspec.Link{targets}, Routes: []netspec.Route{
			{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.168.1.10"), Dev: "eth0"}}},
		{Name: "client", Links: []netspec.Link{link("fab0", "nlb-a", "fab0", "240.0.0.2/30")}},
	}}
	spec, err := netspec.Merge(MakePlan(g.snap).Spec, around)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := g.host.Apply(g.t.Context(), spec); err != nil {
		g.t.Fatal(err)
	}
}

// listen answers each connection to addr in a namespace with the address of the
// peer that it sees, and holds it open until the test ends.
func (g *ground) listen(ns, addr string) {
	g.t.Helper()
	var ln net.Listener
	if err := g.host.In(ns, func() (err error) {
		ln, err = net.Listen("tcp", addr)
		return err
	}); err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { conn.Close() })
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = conn.Write([]byte(addr + " sees " + host + "\n"))
		}
	}()
	g.t.Cleanup(func() {
		cancel()
		ln.Close()
		<-done
	})
}

// dial connects from a namespace.
func (g *ground) dial(ns, addr string, timeout time.Duration) (net.Conn, error) {
	var conn net.Conn
	err := g.host.In(ns, func() (err error) {
		conn, err = net.DialTimeout("tcp", addr, timeout)
		return err
	})
	return conn, err
}

// read reads one line of conn.
func (g *ground) read(conn net.Conn) string {
	g.t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(buf[:n])
}

func TestANodeBalancesTranslatesAndGuards(t *testing.T) {
	g := newGround(t)
	g.listen("targets", "192.168.1.20:443")
	g.listen("targets", "192.168.1.21:8443")
	g.listen("client", "240.0.0.2:9")

	seen := make(map[string]int)
	for range 64 {
		conn, err := g.dial("client", "240.0.0.1:443", 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		seen[g.read(conn)]++
		conn.Close()
	}
	first, second := "192.168.1.20:443 sees 192.168.1.10\n", "192.168.1.21:8443 sees 192.168.1.10\n"
	// 64 fair coins fall 10 to 54 in all but one of ten million cases.
	if seen[first] < 10 || seen[second] < 10 || seen[first]+seen[second] != 64 {
		t.Errorf("64 connections: got %v, want both targets, each seeing the node", seen)
	}
	if _, err := g.dial("client", "240.0.0.1:444", 200*time.Millisecond); !isTimeout(err) {
		t.Errorf("a port without listener: got %v, want silence", err)
	}
	if _, err := g.dial("targets", "240.0.0.2:9", 200*time.Millisecond); !isTimeout(err) {
		t.Errorf("from the provider to the endpoint: got %v, want silence", err)
	}
	if _, err := g.dial("targets", "192.168.1.10:22", 200*time.Millisecond); !isTimeout(err) {
		t.Errorf("a target to the node itself: got %v, want silence", err)
	}
}

func TestConnectionsOfAFailedTargetAreReset(t *testing.T) {
	g := newGround(t)
	g.listen("targets", "192.168.1.20:443")
	g.listen("targets", "192.168.1.21:8443")
	g.snap.Health[1].State = resource.HealthUnhealthy
	g.apply()
	conn, err := g.dial("client", "240.0.0.1:443", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got, want := g.read(conn), "192.168.1.20:443 sees 192.168.1.10\n"; got != want {
		t.Errorf("got %q, want %q: the other target has failed", got, want)
	}

	g.snap.Health[0].State, g.snap.Health[1].State = resource.HealthUnhealthy, resource.HealthHealthy
	g.apply()
	cuts := MakePlan(g.snap).Cuts
	if len(cuts) != 1 {
		t.Fatalf("cuts: got %v, want one", cuts)
	}
	n, err := g.host.FlushConntrack(t.Context(), cuts[0].Namespace, netapply.Flow{Proto: syscall.IPPROTO_TCP, ReplySrc: cuts[0].Target})
	if err != nil || n != 1 {
		t.Errorf("FlushConntrack: got %d, %v, want 1", n, err)
	}
	if _, err := conn.Write([]byte("still there?")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want the connection reset", err)
	}
	again, err := g.dial("client", "240.0.0.1:443", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if got, want := g.read(again), "192.168.1.21:8443 sees 192.168.1.10\n"; got != want {
		t.Errorf("a new connection: got %q, want %q", got, want)
	}
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
