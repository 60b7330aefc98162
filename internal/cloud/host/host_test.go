package host

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/dns"
	"seikan/internal/cloud/endpoint"
	"seikan/internal/cloud/lb"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/cloud/vpn"
)

// The life of a service, as its consumer sees it, by packets: not before the
// provider accepts, then through both targets, over to the one that is left
// when the other fails, and no more once he rejects.
func TestAServiceFromAcceptanceToRejection(t *testing.T) {
	w := newWorld(t)
	for _, web := range []string{"web1", "web2"} {
		w.Listen(web, w.instances[web].PrivateIP.String()+":80")
	}
	w.healthy(2)
	if addrs, err := w.lookup("client", "10.0.0.2:53", zoneName); err == nil {
		t.Errorf("the name of an endpoint that waits: got %v, want none", addrs)
	}
	w.WantSilence("an endpoint that waits for acceptance", "client", w.serviceAddr())

	w.accept()
	if addrs, err := w.lookup("client", "10.0.0.2:53", zoneName); err != nil || !slices.Equal(addrs, []string{w.endpoint.Attachments[0].Address.String()}) {
		t.Errorf("the name of the endpoint: got %v, %v, want its address", addrs, err)
	}
	seen := map[string]bool{}
	for range 32 { // all of 32 fall on one side once in two thousand million times
		conn, greeting := w.Connect("client", w.serviceAddr())
		seen[greeting] = true
		conn.Close()
	}
	node := w.balancer.Nodes[0].Address.String()
	for _, web := range []string{"web1", "web2"} {
		if want := w.instances[web].PrivateIP.String() + ":80 sees " + node + "\n"; !seen[want] {
			t.Errorf("greetings: got %v, want %q among them", seen, want)
		}
	}

	// A load balancer made without groups lets in instances of its own VPC that
	// are not of the default group.
	w.Connect("web1", node+":80")

	w.targetFails()
	conn, _ := w.Connect("client", w.serviceAddr())
	w.do(func(tx *store.Tx) error {
		failed, err := endpoint.RejectVpcEndpointConnections(tx, bob, w.service.ID, w.endpoint.ID)
		if len(failed) > 0 {
			return failed[0].Err
		}
		return err
	})
	if _, err := conn.Write([]byte("cut")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(cloudtest.Silence)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 9)); err == nil {
		t.Errorf("over a connection of a rejected endpoint: got %d octets, want none", n)
	}
	w.WantSilence("a rejected endpoint", "client", w.serviceAddr())
}

// targetFails ends web2 for its health checks and wants its connections reset
// and new ones to go to web1.
func (w *world) targetFails() {
	w.Helper()
	web2 := w.instances["web2"].PrivateIP.String() + ":80"
	for {
		conn, greeting := w.Connect("client", w.serviceAddr())
		if !strings.HasPrefix(greeting, web2) {
			conn.Close()
			continue
		}
		w.do(func(tx *store.Tx) error { // the group shuts the health check out, and nothing that stands
			return vpc.RevokeSecurityGroupIngress(tx, bob, w.instances["web2"].Groups[0], webRule())
		})
		w.do(func(tx *store.Tx) error { // web1 shares the group: it gets another
			open, err := allow(tx, w.b, "web1 alone", 80)
			if err != nil {
				return err
			}
			return vpc.ModifyNetworkInterfaceGroups(tx, bob, w.instances["web1"].NetworkInterfaceID, []resource.SecurityGroupID{open})
		})
		w.until("connection to the failed target is reset", func() bool {
			if err := conn.SetDeadline(time.Now().Add(cloudtest.Silence)); err != nil {
				w.Fatal(err)
			}
			_, writeErr := conn.Write([]byte("?"))
			_, readErr := conn.Read(make([]byte, 9))
			return cloudtest.IsReset(errors.Join(writeErr, readErr))
		})
		break
	}
	w.healthy(1)
	for range 8 {
		conn, greeting := w.Connect("client", w.serviceAddr())
		if strings.HasPrefix(greeting, web2) {
			w.Errorf("after the failure: got a connection to web2, want web1")
		}
		conn.Close()
	}
}

// A host that starts anew takes over what stands: a connection through
// endpoint, load balancer and target does not notice.
func TestARestartInterruptsNothing(t *testing.T) {
	w := newWorld(t)
	for _, web := range []string{"web1", "web2"} {
		w.Listen(web, w.instances[web].PrivateIP.String()+":80")
	}
	w.healthy(2)
	w.accept()
	conn, _ := w.Connect("client", w.serviceAddr())
	before := w.spaces()
	w.stop()
	w.WantEcho(conn, "nobody looks after us")
	if log := w.log.String(); strings.Contains(log, "level=ERROR") {
		t.Errorf("the first host's log: got\n%s\nwant no error, not even at its end", log)
	}
	w.run()
	w.settle()
	w.WantEcho(conn, "still here")
	if after := w.spaces(); after != before {
		t.Errorf("namespaces: got %s, want %s as before", after, before)
	}
	var conns []resource.VPNConnection
	cloudtest.Do(t, w.store, func(tx *store.Tx) error {
		conns = store.VPNConnections.List(tx)
		return nil
	})
	if len(conns) != 1 || conns[0].State != resource.StateAvailable {
		t.Errorf("VPN connections: got %+v, want one that is available", conns)
	}
	w.until("the gateway reports", func() bool { return len(w.host.Gateways()) == 1 })
}

// What is deleted goes from the machine: every namespace, listener and worker.
func TestNothingIsLeftOfWhatIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.accept()
	if got := len(strings.Fields(w.spaces())); got != 10 {
		t.Errorf("namespaces: got %d (%s), want 2 routers, 5 instances, endpoint, node, gateway", got, w.spaces())
	}
	w.do(w.demolish)
	w.do(func(tx *store.Tx) error { // once the gateway is detached
		return errors.Join(vpn.DeleteVPNGateway(tx, alice, w.gateway.ID))
	})
	w.do(func(tx *store.Tx) error {
		for _, s := range store.Subnets.List(tx) {
			if err := vpc.DeleteSubnet(tx, s.OwnerID, s.ID); err != nil {
				return err
			}
		}
		for _, v := range []resource.VPC{w.a, w.b} {
			for _, g := range store.SecurityGroups.List(tx) {
				if g.VPCID == v.ID && g.ID != v.DefaultGroup {
					if err := vpc.DeleteSecurityGroup(tx, v.OwnerID, g.ID); err != nil {
						return err
					}
				}
			}
			if err := vpc.DeleteVPC(tx, v.OwnerID, v.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if got := w.spaces(); got != "" {
		t.Errorf("namespaces: got %s, want none", got)
	}
	if got := w.host.Gateways(); len(got) != 0 {
		t.Errorf("gateways: got %v, want none", got)
	}
}

// demolish deletes what may go at once.
func (w *world) demolish(tx *store.Tx) error {
	if failed := endpoint.DeleteVpcEndpoints(tx, alice, w.endpoint.ID); len(failed) > 0 {
		return failed[0].Err
	}
	if failed := endpoint.DeleteVpcEndpointServiceConfigurations(tx, bob, w.service.ID); len(failed) > 0 {
		return failed[0].Err
	}
	if err := lb.DeleteLoadBalancer(tx, bob, w.balancer.ARN); err != nil {
		return err
	}
	for _, i := range w.instances {
		if err := vpc.TerminateInstance(tx, i.OwnerID, i.ID); err != nil {
			return err
		}
	}
	records, err := dns.ListResourceRecordSets(tx, alice, w.zone.ID)
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Alias == nil {
			continue
		}
		if err := dns.ChangeResourceRecordSets(tx, alice, w.zone.ID, []dns.Change{{Action: dns.Delete, RecordSet: r}}); err != nil {
			return err
		}
	}
	for _, c := range store.VPNConnections.List(tx) {
		if err := vpn.DeleteVPNConnection(tx, alice, c.ID); err != nil {
			return err
		}
	}
	return errors.Join(dns.DeleteHostedZone(tx, alice, w.zone.ID), vpn.DetachVPNGateway(tx, alice, w.a.ID, w.gateway.ID))
}
