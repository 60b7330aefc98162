package vpc_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/linux/netspec"
)

// wantPing tries echo requests from a namespace. An answer that must come has
// seconds, since a new link loses what is sent before it is quite up; one that
// must not come has one.
func wantPing(t *testing.T, what string, h *cloudtest.Ground, from string, to netip.Addr, want bool) {
	t.Helper()
	args := []string{"-c1", "-W1", to.String()}
	if want {
		args = []string{"-c1", "-i0.3", "-w5", to.String()}
	}
	out, err := h.CommandIn(t.Context(), from, "ping", args...)
	// A slow answer comes after further requests, and is followed by theirs.
	if got := strings.Contains(string(out), " received") && !strings.Contains(string(out), " 0 received"); got != want {
		t.Errorf("ping %s: got %v, want %v (%v)\n%s", what, got, want, err, out)
	}
}

// connects reports whether a TCP connection from a namespace to addr opens.
func connects(g *cloudtest.Ground, from string, to netip.AddrPort) bool {
	conn, err := g.Dial(from, to.String(), time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// A machine is a store and a network whose namespaces follow it.
type machine struct {
	*store.Store
	*cloudtest.Ground
}

func newMachine(t *testing.T) machine {
	t.Helper()
	return machine{cloudtest.Open(t, store.Config{}), cloudtest.NewGround(t)}
}

// apply makes the plan of the store, and more besides, true.
func (m machine) apply(t *testing.T, more ...netspec.Spec) {
	t.Helper()
	var plan vpc.Plan
	in(t, m.Store, func(tx *store.Tx) { plan = must[vpc.Plan](t)(vpc.MakePlan(vpc.Load(tx))) })
	m.Lay(append(more, plan.Spec)...)
}

func want(t *testing.T, what string, got, want bool) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// Two instances of one subnet try what their groups allow and what they do not.
func TestGroupsHoldInTheKernel(t *testing.T) {
	m := newMachine(t)
	var n network
	var web resource.SecurityGroup
	var server, client resource.Instance
	in(t, m.Store, func(tx *store.Tx) {
		n = newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		web = must[resource.SecurityGroup](t)(vpc.CreateSecurityGroup(tx, alice, vpc.CreateSecurityGroupInput{VPCID: n.vpc.ID, GroupName: "web"}))
		check(t, vpc.AuthorizeSecurityGroupIngress(tx, alice, web.ID, resource.Permission{Protocol: resource.TCP, FromPort: 80, ToPort: 80, Group: n.vpc.DefaultGroup}))
		server = must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: "server", SecurityGroupIDs: []resource.SecurityGroupID{web.ID}}))
		client = must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: "client"}))
	})
	m.apply(t)
	m.Listen("server", ":80")
	m.Listen("server", ":81")
	port := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(server.PrivateIP, p) }
	wantPing(t, "the subnet's router", m.Ground, "client", resource.RouterAddress(n.subnet.CIDR), true)
	wantPing(t, "the resolver", m.Ground, "client", resource.ResolverAddress(n.vpc.CIDR), false)
	wantPing(t, "the server, which allows TCP 80", m.Ground, "client", server.PrivateIP, false)
	want(t, "connect to port 80", connects(m.Ground, "client", port(80)), true)
	want(t, "connect to port 81", connects(m.Ground, "client", port(81)), false)

	// The client spoke to its neighbour and never asked for it.
	neighbours, err := m.CommandIn(t.Context(), "client", "ip", "-4", "neigh", "show", "dev", "eth0")
	if got := strings.TrimSpace(string(neighbours)); err != nil || !strings.HasPrefix(got, "10.0.1.1 ") || strings.Contains(got, "\n") {
		t.Errorf("neighbours of the client: got %q, %v, want the router alone", got, err)
	}

	in(t, m.Store, func(tx *store.Tx) {
		check(t, vpc.AuthorizeSecurityGroupIngress(tx, alice, web.ID, resource.Permission{Protocol: resource.ICMP, FromPort: 8, ToPort: -1, CIDR: n.subnet.CIDR}))
		check(t, vpc.RevokeSecurityGroupEgress(tx, alice, web.ID, resource.Permission{Protocol: resource.AllProtocols, CIDR: block("0.0.0.0/0")}))
	})
	m.apply(t)
	wantPing(t, "the server once it allows it", m.Ground, "client", server.PrivateIP, true)
	wantPing(t, "from a group without egress", m.Ground, "server", client.PrivateIP, false)

	const stolen = "10.0.1.77"
	if out, err := m.CommandIn(t.Context(), "client", "ip", "addr", "replace", stolen+"/24", "dev", "eth0"); err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
	out, err := m.CommandIn(t.Context(), "client", "ping", "-c1", "-W1", "-I", stolen, server.PrivateIP.String())
	if !strings.Contains(string(out), " 0 received") {
		t.Errorf("ping from an address not its own: got %v, want no answer\n%s", err, out)
	}
}

// A site behind the VPN gateway reaches what groups let it, by the propagated
// route, and neither the router nor the resolver.
func TestTheGatewaysLinkHoldsInTheKernel(t *testing.T) {
	m := newMachine(t)
	site := netip.MustParseAddr("192.168.1.10")
	var n network
	var server resource.Instance
	in(t, m.Store, func(tx *store.Tx) {
		n = newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		server = must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: "server"}))
		check(t, vpc.EnableVGWRoutePropagation(tx, alice, n.vpc.MainRouteTable, putGateway(tx, n.vpc.ID, true, "192.168.1.0/24")))
	})
	// As cloud/vpn plans it, with the site's address where the tunnels would be.
	gateway := netspec.Spec{Namespaces: []netspec.Namespace{{
		Name: "gateway",
		Links: []netspec.Link{
			{Name: "lo", Kind: netspec.Loopback, Addrs: []netip.Prefix{netip.PrefixFrom(site, 32)}},
			{Name: "vpc0", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: string(n.vpc.ID), Link: resource.VPNGatewayLink}, Addrs: []netip.Prefix{block("240.255.0.1/31")}},
		},
		Routes: []netspec.Route{{Dst: n.vpc.CIDR, Via: netip.MustParseAddr("240.255.0.0"), Dev: "vpc0", Src: site}},
	}, {
		Name: string(n.vpc.ID),
		Links: []netspec.Link{
			{Name: resource.VPNGatewayLink, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "gateway", Link: "vpc0"}, Addrs: []netip.Prefix{block("240.255.0.0/31")}},
		},
	}}}
	m.apply(t, gateway)
	wantPing(t, "the server from the site, no rule", m.Ground, "gateway", server.PrivateIP, false)
	wantPing(t, "the site from the server", m.Ground, "server", site, true)
	wantPing(t, "the router from the site", m.Ground, "gateway", resource.RouterAddress(n.subnet.CIDR), false)

	in(t, m.Store, func(tx *store.Tx) {
		check(t, vpc.AuthorizeSecurityGroupIngress(tx, alice, n.vpc.DefaultGroup, resource.Permission{Protocol: resource.ICMP, FromPort: 8, ToPort: -1, CIDR: block("192.168.1.0/24")}))
	})
	m.apply(t, gateway)
	wantPing(t, "the server from the site once it allows it", m.Ground, "gateway", server.PrivateIP, true)

	in(t, m.Store, func(tx *store.Tx) {
		for _, c := range store.VPNConnections.List(tx) {
			c.Telemetry = [2]resource.TunnelTelemetry{}
			store.VPNConnections.Put(tx, c.ID, c)
		}
	})
	m.apply(t, gateway)
	wantPing(t, "the site with all tunnels down", m.Ground, "server", site, false)
}

// A route table may lead what goes to another subnet by an appliance (pl §4.2), there and
// not back, past which nothing gets while it is there, and straight on again without it.
func TestASubnetIsReachedByItsAppliance(t *testing.T) {
	m := newMachine(t)
	var n network
	var server resource.Instance
	var table resource.RouteTable
	var back resource.Subnet
	in(t, m.Store, func(tx *store.Tx) {
		n = newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		subnet := func(cidr string) resource.Subnet {
			return must[resource.Subnet](t)(vpc.CreateSubnet(tx, alice, vpc.CreateSubnetInput{VPCID: n.vpc.ID, CidrBlock: block(cidr)}))
		}
		middle := subnet("10.0.2.0/24")
		back = subnet("10.0.3.0/24")
		must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: "client"}))
		appliance := must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: middle.ID, Namespace: "appliance", NoSourceDestCheck: true}))
		server = must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: back.ID, Namespace: "server"}))
		table = must[resource.RouteTable](t)(vpc.CreateRouteTable(tx, alice, n.vpc.ID, nil))
		must[resource.Association](t)(vpc.AssociateRouteTable(tx, alice, table.ID, n.subnet.ID))
		check(t, vpc.CreateRoute(tx, alice, vpc.CreateRouteInput{RouteTableID: table.ID, DestinationCidrBlock: back.CIDR, InstanceID: appliance.ID}))
	})
	m.apply(t)
	forward := func(value string) {
		t.Helper()
		if out, err := m.CommandIn(t.Context(), "appliance", "sysctl", "-qw", "net.ipv4.ip_forward="+value); err != nil {
			t.Fatalf("sysctl: %v\n%s", err, out)
		}
	}
	forward("0")
	wantPing(t, "by an appliance that does not forward", m.Ground, "client", server.PrivateIP, false)
	forward("1")
	wantPing(t, "by one that does", m.Ground, "client", server.PrivateIP, true)

	forward("0")
	in(t, m.Store, func(tx *store.Tx) { check(t, vpc.DeleteRoute(tx, alice, table.ID, back.CIDR)) })
	m.apply(t)
	wantPing(t, "without the route", m.Ground, "client", server.PrivateIP, true)
}
