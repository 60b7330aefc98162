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
)

// ping sends one echo request from a namespace and reports whether the answer
// came.
func ping(t *testing.T, h *netapply.Host, from string, to netip.Addr) bool {
	t.Helper()
	out, err := h.CommandIn(t.Context(), from, "ping", "-c1", "-W2", to.String())
	if err != nil && !strings.Contains(string(out), "0 received") {
		t.Fatalf("ping in %s: %v\n%s", from, err, out)
	}
	return err == nil
}

// connects reports whether a TCP connection from a namespace to addr opens.
func connects(t *testing.T, h *netapply.Host, from string, to netip.AddrPort) bool {
	t.Helper()
	var conn net.Conn
	err := h.In(from, func() (err error) {
		d := net.Dialer{Timeout: 2 * time.Second}
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

// TestThePlanHoldsInTheKernel builds two instances of one subnet and tries what
// their groups allow and what they do not.
func TestThePlanHoldsInTheKernel(t *testing.T) {
	s, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), NoSync: true})
	check(t, err)
	t.Cleanup(func() { s.Close() })
	h := netapply.New(netapply.Options{})
	apply := func() {
		var plan vpc.Plan
		in(t, s, func(tx *store.Tx) { plan = must[vpc.Plan](t)(vpc.MakePlan(vpc.Load(tx))) })
		if _, err := h.Apply(t.Context(), plan.Spec); err != nil {
			t.Fatalf("Apply: %v", err)
		}
	}
	t.Cleanup(func() {
		if _, err := h.Apply(context.Background(), vpc.Plan{}.Spec); err != nil {
			t.Errorf("Apply of nothing: %v", err)
		}
		h.Close()
	})

	var n network
	var web resource.SecurityGroup
	var server resource.Instance
	in(t, s, func(tx *store.Tx) {
		n = newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		web = must[resource.SecurityGroup](t)(vpc.CreateSecurityGroup(tx, alice, vpc.CreateSecurityGroupInput{VPCID: n.vpc.ID, GroupName: "web"}))
		check(t, vpc.AuthorizeSecurityGroupIngress(tx, alice, web.ID, resource.Permission{Protocol: resource.TCP, FromPort: 80, ToPort: 80, Group: n.vpc.DefaultGroup}))
		server = must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: "server", SecurityGroupIDs: []resource.SecurityGroupID{web.ID}}))
		must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: "client"}))
	})
	apply()
	listen(t, h, "server", 80)
	listen(t, h, "server", 81)

	want := func(what string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	port := func(p uint16) netip.AddrPort { return netip.AddrPortFrom(server.PrivateIP, p) }
	want("ping the subnet's router", ping(t, h, "client", resource.RouterAddress(n.subnet.CIDR)), true)
	want("ping the resolver", ping(t, h, "client", resource.ResolverAddress(n.vpc.CIDR)), false)
	want("ping the server, which allows TCP 80", ping(t, h, "client", server.PrivateIP), false)
	want("connect to port 80", connects(t, h, "client", port(80)), true)
	want("connect to port 81", connects(t, h, "client", port(81)), false)

	in(t, s, func(tx *store.Tx) {
		check(t, vpc.AuthorizeSecurityGroupIngress(tx, alice, web.ID, resource.Permission{Protocol: resource.ICMP, FromPort: 8, ToPort: -1, CIDR: n.subnet.CIDR}))
		check(t, vpc.RevokeSecurityGroupEgress(tx, alice, web.ID, resource.Permission{Protocol: resource.AllProtocols, CIDR: block("0.0.0.0/0")}))
	})
	apply()
	want("ping the server once it allows it", ping(t, h, "client", server.PrivateIP), true)
	client := netip.MustParseAddr("10.0.1.5")
	want("ping from a group without egress", ping(t, h, "server", client), false)

	out, err := h.CommandIn(t.Context(), "client", "ip", "addr", "replace", "10.0.1.77/24", "dev", "eth0")
	if err != nil {
		t.Fatalf("ip: %v\n%s", err, out)
	}
	out, _ = h.CommandIn(t.Context(), "client", "ping", "-c1", "-W2", "-I", "10.0.1.77", server.PrivateIP.String())
	want("ping from an address not its own", strings.Contains(string(out), "1 received"), false)
}
