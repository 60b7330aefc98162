package lb

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// A ground is a node in the kernel: eth0 leads to two targets, fab0 to a client
// that stands for an endpoint.
type ground struct {
	*cloudtest.Ground
	snap Snapshot
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{Ground: cloudtest.NewGround(t), snap: snapshot()}
	g.snap.LoadBalancers[0].Nodes = g.snap.LoadBalancers[0].Nodes[:1]
	g.snap.Listeners = g.snap.Listeners[:1]
	g.apply()
	return g
}

// apply makes the kernel match the plan of the rows as they are now.
func (g *ground) apply() {
	link := func(name, peerNS, peer, addr string) netspec.Link {
		return netspec.Link{Name: name, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: peerNS, Link: peer}, Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}}
	}
	targets := link("eth0", "nlb-a", "eth0", "192.168.1.20/24")
	targets.Addrs = append(targets.Addrs, netip.MustParsePrefix("192.168.1.21/24"))
	g.Lay(MakePlan(g.snap).Spec, netspec.Spec{Namespaces: []netspec.Namespace{
		{Name: "nlb-a", Links: []netspec.Link{link("eth0", "targets", "eth0", "192.168.1.10/24"), link("fab0", "client", "fab0", "240.0.0.1/30")}},
		{Name: "targets", Links: []netspec.Link{targets}, Routes: []netspec.Route{
			{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.168.1.10"), Dev: "eth0"}}},
		{Name: "client", Links: []netspec.Link{link("fab0", "nlb-a", "fab0", "240.0.0.2/30")}},
	}})
}

func TestANodeBalancesTranslatesAndGuards(t *testing.T) {
	g := newGround(t)
	g.Listen("targets", "192.168.1.20:443")
	g.Listen("targets", "192.168.1.21:8443")
	g.Listen("client", "240.0.0.2:9")

	seen := make(map[string]int)
	for range 64 {
		conn, greeting := g.Connect("client", "240.0.0.1:443")
		seen[greeting]++
		conn.Close()
	}
	first, second := "192.168.1.20:443 sees 192.168.1.10\n", "192.168.1.21:8443 sees 192.168.1.10\n"
	// 64 fair coins fall 10 to 54 in all but one of ten million cases.
	if seen[first] < 10 || seen[second] < 10 || seen[first]+seen[second] != 64 {
		t.Errorf("64 connections: got %v, want both targets, each seeing the node", seen)
	}
	g.WantSilence("a port without listener", "client", "240.0.0.1:444")
	g.WantSilence("from the provider to the endpoint", "targets", "240.0.0.2:9")
	g.WantSilence("a target to the node itself", "targets", "192.168.1.10:22")
}

func TestConnectionsOfAFailedTargetAreReset(t *testing.T) {
	g := newGround(t)
	g.Listen("targets", "192.168.1.20:443")
	g.Listen("targets", "192.168.1.21:8443")
	g.snap.Health[1].State = resource.HealthUnhealthy
	g.apply()
	conn, got := g.Connect("client", "240.0.0.1:443")
	if want := "192.168.1.20:443 sees 192.168.1.10\n"; got != want {
		t.Errorf("got %q, want %q: the other target has failed", got, want)
	}

	g.snap.Health[0].State, g.snap.Health[1].State = resource.HealthUnhealthy, resource.HealthHealthy
	g.apply()
	cuts := MakePlan(g.snap).Cuts
	if len(cuts) != 1 {
		t.Fatalf("cuts: got %v, want one", cuts)
	}
	n, err := g.FlushConntrack(t.Context(), cuts[0].Namespace, netapply.Flow{Proto: syscall.IPPROTO_TCP, ReplySrc: cuts[0].Target})
	if err != nil || n != 1 {
		t.Errorf("FlushConntrack: got %d, %v, want 1", n, err)
	}
	if _, err := conn.Write([]byte("still there?")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(cloudtest.Soon)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !cloudtest.IsReset(err) {
		t.Errorf("got %v, want the connection reset", err)
	}
	if _, got := g.Connect("client", "240.0.0.1:443"); got != "192.168.1.21:8443 sees 192.168.1.10\n" {
		t.Errorf("a new connection: got %q, want the target that recovered", got)
	}
}
