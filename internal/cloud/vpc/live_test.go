package vpc_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

// wantPing tries echo requests from a namespace. An answer that must come has
// seconds, since a new link loses what is sent before it is quite up; one that
// must not come has one.
func wantPing(t *testing.T, what string, h *netapply.Host, from string, to netip.Addr, want bool) {
	t.Helper()
	args := []string{"-c1", "-W1", to.String()}
	if want {
		args = []string{"-c1", "-i0.3", "-w5", to.String()}
	}
	out, err := h.CommandIn(t.Context(), from, "ping", args...)
	if got := strings.Contains(string(out), " 1 received"); got != want {
		t.Errorf("ping %s: got %v, want %v (%v)\n%s", what, got, want, err, out)
	}
}

// connects reports whether a TCP connection from a namespace to addr opens.
func connects(t *testing.T, h *netapply.Host, from string, to netip.AddrPort) bool {
	t.Helper()
	var conn net.Conn
	err := h.In(from, func() (err error) {
		d := net.Dialer{Timeout: time.Second}
		conn, err = d.DialContext(t.Context(), "tcp4", to.String())
		return err
	})
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// listen serves TCP on port in a namespace until the test ends.
func listen(t *testing.T, h *netapply.Host, ns string, port int) {
	t.Helper()
	var ln net.Listener
	check(t, h.In(ns, func() (err error) {
		ln, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	}))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
}

// A machine is a store and a network whose namespaces follow it.
type machine struct {
	*store.Store
	*netapply.Host
}

func newMachine(t *testing.T) machine {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), NoSync: true})
	check(t, err)
	h := netapply.New(netapply.Options{})
	t.Cleanup(func() {
		if _, err := h.Apply(context.Background(), netspec.Spec{}); err != nil {
			t.Errorf("Apply of nothing: %v", err)
		}
		h.Close()
		s.Close()
	})
	return machine{s, h}
}

// apply makes the plan of the store, and more besides, true.
func (m machine) apply(t *testing.T, more ...netspec.Spec) {
	t.Helper()
	var plan vpc.Plan
	in(t, m.Store, func(tx *store.Tx) { plan = must[vpc.Plan](t)(vpc.MakePlan(vpc.Load(tx))) })
	spec := must[netspec.Spec](t)(netspec.Merge(append(more, plan.Spec)...))
	if _, err := m.Apply(t.Context(), spec); err != nil {
		t.Fatalf("Apply: %v", err)
	}
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
	listen(t, m.Host, "server", 80)
	listen(t, m.Host, "server", 81)
	port := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(server.PrivateIP, p) }
	wantPing(t, "the subnet's router", m.Host, "client", resource.RouterAddress(n.subnet.CIDR), true)
	wantPing(t, "the resolver", m.Host, "client", resource.ResolverAddress(n.vpc.CIDR), false)
	wantPing(t, "the server, which allows TCP 80", m.Host, "client", server.PrivateIP, false)
	want(t, "connect to port 80", connects(t, m.Host, "client", port(80)), true)
	want(t, "connect to port 81", connects(t, m.Host, "client", port(81)), false)

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
	wantPing(t, "the server once it allows it", m.Host, "client", server.PrivateIP, true)
	wantPing(t, "from a group without egress", m.Host, "server", client.PrivateIP, false)

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
	wantPing(t, "the server from the site, no rule", m.Host, "gateway", server.PrivateIP, false)
	wantPing(t, "the site from the server", m.Host, "server", site, true)
	wantPing(t, "the router from the site", m.Host, "gateway", resource.RouterAddress(n.subnet.CIDR), false)

	in(t, m.Store, func(tx *store.Tx) {
		check(t, vpc.AuthorizeSecurityGroupIngress(tx, alice, n.vpc.DefaultGroup, resource.Permission{Protocol: resource.ICMP, FromPort: 8, ToPort: -1, CIDR: block("192.168.1.0/24")}))
	})
	m.apply(t, gateway)
	wantPing(t, "the server from the site once it allows it", m.Host, "gateway", server.PrivateIP, true)

	in(t, m.Store, func(tx *store.Tx) {
		for _, c := range store.VPNConnections.List(tx) {
			c.Telemetry = [2]resource.TunnelTelemetry{}
			store.VPNConnections.Put(tx, c.ID, c)
		}
	})
	m.apply(t, gateway)
	wantPing(t, "the site with all tunnels down", m.Host, "server", site, false)
}
