package endpoint

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

// A ground is an endpoint interface in the kernel, between a consumer and a
// namespace that stands for a load balancer node.
type ground struct {
	t    *testing.T
	host *netapply.Host
	snap Snapshot
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{t: t, host: netapply.New(netapply.Options{}), snap: Snapshot{
		LoadBalancers: []resource.LoadBalancer{{ARN: balancer, Nodes: []resource.LoadBalancerNode{{NetworkInterfaceID: "eni-na", Namespace: "nlb-a"}}}},
		Listeners:     []resource.Listener{{LoadBalancerARN: balancer, Port: 443}},
		Endpoints: []resource.Endpoint{{ID: "vpce-1", State: resource.StateAvailable, Attachments: []resource.EndpointAttachment{
			{Address: netip.MustParseAddr("10.0.1.9"), Namespace: "vpce-a", LoadBalancerARN: balancer, Node: "eni-na", Fabric: 7}}}},
	}}
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
	link := func(peerNS, addr string) []netspec.Link {
		return []netspec.Link{{Name: "eth0", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: peerNS, Link: "eth0"}, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}}
	}
	around := netspec.Spec{Namespaces: []netspec.Namespace{
		{Name: "consumer", Links: link("vpce-a", "10.0.1.5/24")},
		{Name: "vpce-a", Links: link("consumer", "10.0.1.9/24")},
	}}
	if g.snap.Endpoints[0].State == resource.StateAvailable {
		// The provider knows the way to the consumer, and may not go it.
		around.Namespaces = append(around.Namespaces, netspec.Namespace{Name: "nlb-a", Routes: []netspec.Route{
			{Dst: netip.MustParsePrefix("10.0.1.0/24"), Via: endpointAddr(7), Dev: "fab7"}}})
	} else {
		around.Namespaces = append(around.Namespaces, netspec.Namespace{Name: "nlb-a"})
	}
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
			_, _ = conn.Write([]byte(host))
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

func TestTrafficGoesOneWayAndOnlyToListeners(t *testing.T) {
	g := newGround(t)
	g.listen("nlb-a", "240.0.0.29:443")
	g.listen("nlb-a", "240.0.0.29:80")
	g.listen("consumer", "10.0.1.5:9")
	conn, err := g.dial("consumer", "10.0.1.9:443", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if got, want := string(buf[:n]), "240.0.0.30"; err != nil || got != want {
		t.Errorf("the node sees %q, %v, want %q: nothing of the consumer", got, err, want)
	}
	if _, err := g.dial("consumer", "10.0.1.9:80", 200*time.Millisecond); !isTimeout(err) {
		t.Errorf("a port without listener: got %v, want silence", err)
	}
	if _, err := g.dial("consumer", "240.0.0.29:443", 200*time.Millisecond); err == nil {
		t.Error("the fabric, from the consumer: got a connection, want none")
	}
	if _, err := g.dial("nlb-a", "10.0.1.5:9", 200*time.Millisecond); !isTimeout(err) {
		t.Errorf("from the provider to the consumer: got %v, want silence", err)
	}
	if _, err := g.dial("nlb-a", "10.0.1.9:443", 200*time.Millisecond); !isTimeout(err) {
		t.Errorf("from the provider to the endpoint: got %v, want silence", err)
	}
}

func TestARejectedEndpointIsSilent(t *testing.T) {
	g := newGround(t)
	g.listen("nlb-a", "240.0.0.29:443")
	conn, err := g.dial("consumer", "10.0.1.9:443", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	g.snap.Endpoints[0].State = resource.EndpointRejected
	g.apply()
	for _, cut := range MakePlan(g.snap).Cuts {
		if n, err := g.host.FlushConntrack(t.Context(), cut.Namespace, netapply.Flow{Proto: syscall.IPPROTO_TCP}); err != nil || n == 0 {
			t.Errorf("FlushConntrack of %s: got %d, %v, want the connection gone", cut.Namespace, n, err)
		}
	}
	if _, err := g.dial("consumer", "10.0.1.9:443", 200*time.Millisecond); !isTimeout(err) {
		t.Errorf("a rejected endpoint: got %v, want silence", err)
	}

	g.snap.Endpoints[0].State = resource.StateAvailable
	g.apply()
	again, err := g.dial("consumer", "10.0.1.9:443", 5*time.Second)
	if err != nil {
		t.Fatalf("accepted again: got %v, want a connection", err)
	}
	again.Close()
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}
