package endpoint

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// A ground is an endpoint interface in the kernel, between a consumer and a
// namespace that stands for a load balancer node.
type ground struct {
	*cloudtest.Ground
	snap  Snapshot
	limit int // of connections, in the place of maxConnections; 0 leaves it
}

func newGround(t *testing.T) *ground {
	t.Helper()
	g := &ground{Ground: cloudtest.NewGround(t), snap: Snapshot{
		LoadBalancers: []resource.LoadBalancer{{ARN: balancer, Nodes: []resource.LoadBalancerNode{{NetworkInterfaceID: "eni-na", Namespace: "nlb-a"}}}},
		Listeners:     []resource.Listener{{LoadBalancerARN: balancer, Port: 443}},
		Endpoints: []resource.Endpoint{{ID: "vpce-1", State: resource.StateAvailable, Attachments: []resource.EndpointAttachment{
			{Address: netip.MustParseAddr("10.0.1.9"), Namespace: "vpce-a", LoadBalancerARN: balancer, Node: "eni-na", Fabric: 7}}}},
	}}
	g.apply()
	return g
}

// apply makes the kernel match the plan of the rows as they are now.
func (g *ground) apply() {
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
	plan := MakePlan(g.snap).Spec
	if g.limit > 0 {
		lower(plan, fmt.Sprintf("ct count over %d", maxConnections), fmt.Sprintf("ct count over %d", g.limit))
	}
	g.Lay(plan, around)
}

// lower replaces a part of the rules of spec.
func lower(spec netspec.Spec, old, with string) {
	for _, ns := range spec.Namespaces {
		for _, table := range ns.Tables {
			for _, chain := range table.Chains {
				for i, r := range chain.Rules {
					chain.Rules[i].Text = strings.Replace(r.Text, old, with, 1)
				}
			}
		}
	}
}

func TestTrafficGoesOneWayAndOnlyToListeners(t *testing.T) {
	g := newGround(t)
	g.Listen("nlb-a", "240.0.0.29:443")
	g.Listen("nlb-a", "240.0.0.29:80")
	g.Listen("consumer", "10.0.1.5:9")
	if _, got := g.Connect("consumer", "10.0.1.9:443"); got != "240.0.0.29:443 sees 240.0.0.30\n" {
		t.Errorf("got %q, want the node to see 240.0.0.30: nothing of the consumer", got)
	}
	g.WantSilence("a port without listener", "consumer", "10.0.1.9:80")
	if _, err := g.Dial("consumer", "240.0.0.29:443", cloudtest.Silence); err == nil {
		t.Error("the fabric, from the consumer: got a connection, want none")
	}
	g.WantSilence("from the provider to the consumer", "nlb-a", "10.0.1.5:9")
	g.WantSilence("from the provider to the endpoint", "nlb-a", "10.0.1.9:443")
}

func TestARejectedEndpointIsSilent(t *testing.T) {
	g := newGround(t)
	g.Listen("nlb-a", "240.0.0.29:443")
	g.Connect("consumer", "10.0.1.9:443")
	g.snap.Endpoints[0].State = resource.EndpointRejected
	g.apply()
	for _, cut := range MakePlan(g.snap).Cuts {
		if n, err := g.FlushConntrack(t.Context(), cut.Namespace, netapply.Flow{Proto: syscall.IPPROTO_TCP}); err != nil || n == 0 {
			t.Errorf("FlushConntrack of %s: got %d, %v, want the connection gone", cut.Namespace, n, err)
		}
	}
	g.WantSilence("a rejected endpoint", "consumer", "10.0.1.9:443")

	g.snap.Endpoints[0].State = resource.StateAvailable
	g.apply()
	g.Connect("consumer", "10.0.1.9:443")
}

func TestOneConsumerCannotFillTheNode(t *testing.T) {
	const few = 3
	g := newGround(t)
	g.Listen("nlb-a", "240.0.0.29:443")
	// The plan's own rule with a number that a test can reach.
	g.limit = few
	g.apply()
	for range few {
		g.Connect("consumer", "10.0.1.9:443")
	}
	g.WantSilence("the connection above the limit", "consumer", "10.0.1.9:443")
}
