package host

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/cloud/vpn"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

// A transit is a cloud of two VPCs at a transit gateway: 10.1.0.0/16 with the
// instances near and far, in zones of which the attachment has only the first,
// and 10.2.0.0/16 with other. All serve TCP 80.
type transit struct {
	*world
	one, two    resource.VPC
	gateway     resource.TransitGateway
	attachments [2]resource.TransitGatewayAttachment
}

// bare returns a world of which nothing exists yet but the edge.
func bare(t *testing.T) *world {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Ground: cloudtest.NewGround(t), store: cloudtest.Open(t, store.Config{}), instances: map[string]resource.Instance{}, worker: self, stop: func() {}}
	w.lay("edge", netspec.Link{Name: "lo", Kind: netspec.Loopback,
		Addrs: []netip.Prefix{netip.MustParsePrefix("203.0.113.10/32"), netip.MustParsePrefix("203.0.113.11/32")}})
	t.Cleanup(func() { w.stop() })
	return w
}

func newTransit(t *testing.T) *transit {
	t.Helper()
	w := &transit{world: bare(t)}
	cloudtest.Do(t, w.store, w.build)
	w.run()
	w.settle()
	for name, i := range w.instances {
		w.Listen(name, i.PrivateIP.String()+":80")
	}
	return w
}

func (w *transit) build(tx *store.Tx) (err error) {
	if w.gateway, err = vpn.CreateTransitGateway(tx, alice, vpn.CreateTransitGatewayInput{}); err != nil {
		return err
	}
	for i, v := range []struct {
		row       *resource.VPC
		cidr      string
		instances map[string]string // by name: the zone
	}{{&w.one, "10.1.0.0/16", map[string]string{"near": "a", "far": "b"}}, {&w.two, "10.2.0.0/16", map[string]string{"other": "a"}}} {
		if *v.row, err = vpc.CreateVPC(tx, alice, vpc.CreateVPCInput{CidrBlock: netip.MustParsePrefix(v.cidr)}); err != nil {
			return err
		}
		web, err := allow(tx, *v.row, "web", 80)
		if err != nil {
			return err
		}
		subnets := map[string]resource.SubnetID{}
		for name, zone := range v.instances {
			cidr := strings.Replace(v.cidr, ".0.0/16", map[string]string{"a": ".1.0/24", "b": ".2.0/24"}[zone], 1)
			s, err := vpc.CreateSubnet(tx, alice, vpc.CreateSubnetInput{VPCID: v.row.ID, CidrBlock: netip.MustParsePrefix(cidr), AvailabilityZone: "us-east-1" + zone})
			if err != nil {
				return err
			}
			subnets[zone] = s.ID
			if err := w.instance(tx, s, name, web); err != nil {
				return err
			}
		}
		if w.attachments[i], err = vpn.CreateTransitGatewayVPCAttachment(tx, alice, vpn.CreateTransitGatewayVPCAttachmentInput{
			TransitGatewayID: w.gateway.ID, VPCID: v.row.ID, SubnetIDs: []resource.SubnetID{subnets["a"]}}); err != nil {
			return err
		}
	}
	return errors.Join(w.route(tx, w.one, "10.2.0.0/16"), w.route(tx, w.two, "10.1.0.0/16"))
}

func (w *transit) route(tx *store.Tx, v resource.VPC, to string) error {
	return vpc.CreateRoute(tx, alice, vpc.CreateRouteInput{RouteTableID: v.MainRouteTable, DestinationCidrBlock: netip.MustParsePrefix(to), TransitGatewayID: w.gateway.ID})
}

func (w *transit) web(name string) string { return w.instances[name].PrivateIP.String() + ":80" }

// Packets between VPCs by a transit gateway, where its tables and attachments
// lead, and nowhere else.
func TestATransitGatewayJoinsVPCs(t *testing.T) {
	w := newTransit(t)
	table := w.gateway.AssociationTable
	if _, greeting := w.Connect("near", w.web("other")); greeting != w.web("other")+" sees "+w.instances["near"].PrivateIP.String()+"\n" {
		t.Errorf("greeting: got %q, want near's own address in it", greeting)
	}
	w.Connect("other", w.web("near"))
	w.WantSilence("from a zone without a subnet of the attachment", "far", w.web("other"))
	w.WantSilence("to such a zone", "other", w.web("far"))

	w.do(func(tx *store.Tx) error {
		_, err := vpn.ModifyTransitGatewayVPCAttachment(tx, alice, vpn.ModifyTransitGatewayVPCAttachmentInput{
			AttachmentID: w.attachments[0].ID, AddSubnetIDs: []resource.SubnetID{w.instances["far"].SubnetID}})
		return err
	})
	w.Connect("far", w.web("other"))
	w.Connect("other", w.web("far"))

	hole := vpn.TransitGatewayRouteInput{RouteTableID: table, Destination: netip.PrefixFrom(w.instances["other"].PrivateIP, 32), Blackhole: true}
	w.do(func(tx *store.Tx) error { return vpn.CreateTransitGatewayRoute(tx, alice, hole) })
	w.WantSilence("a blackhole", "near", w.web("other"))
	w.do(func(tx *store.Tx) error {
		return vpn.DeleteTransitGatewayRoute(tx, alice, table, hole.Destination)
	})
	w.Connect("near", w.web("other"))

	other := w.attachments[1].ID
	w.do(func(tx *store.Tx) error {
		return vpn.DisassociateTransitGatewayRouteTable(tx, alice, table, other)
	})
	w.WantSilence("answers of an attachment without a table", "near", w.web("other"))
	w.do(func(tx *store.Tx) error { return vpn.AssociateTransitGatewayRouteTable(tx, alice, table, other) })
	w.do(func(tx *store.Tx) error {
		return vpn.DisableTransitGatewayRouteTablePropagation(tx, alice, table, other)
	})
	w.WantSilence("to what does not propagate", "near", w.web("other"))
	w.do(func(tx *store.Tx) error {
		return vpn.EnableTransitGatewayRouteTablePropagation(tx, alice, table, other)
	})
	w.Connect("near", w.web("other"))

	w.do(func(tx *store.Tx) error { return vpn.DeleteTransitGatewayVPCAttachment(tx, alice, other) })
	w.do(func(tx *store.Tx) error {
		if err := vpn.DeleteTransitGatewayVPCAttachment(tx, alice, w.attachments[0].ID); err != nil {
			return err
		}
		tables, err := vpc.DescribeRouteTables(tx, alice, w.two.MainRouteTable)
		if err == nil && tables[0].Routes[0].State != resource.RouteBlackhole {
			t.Errorf("a route to a transit gateway without the VPC: got %+v, want a blackhole", tables[0].Routes)
		}
		return err
	})
	w.WantSilence("with the attachments gone", "near", w.web("other"))
	w.do(func(tx *store.Tx) error { return vpn.DeleteTransitGateway(tx, alice, w.gateway.ID) })
	w.settle()
	if got := w.spaces(); strings.Contains(got, "tgw-") {
		t.Errorf("namespaces: got %s, want none of a transit gateway", got)
	}
}

// A connection that is not associated gets its tunnels when it is moved to a
// gateway, and takes them along to another of the other kind (vpn §3.6).
func TestAConnectionMovesBetweenKindsOfGateway(t *testing.T) {
	w := bare(t)
	var conn resource.VPNConnection
	var single resource.VPNGateway
	var hub resource.TransitGateway
	cloudtest.Do(t, w.store, func(tx *store.Tx) (err error) {
		store.OutsidePools.Put(tx, "edge", resource.OutsidePool{Name: "edge", Namespace: "edge",
			Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.11")}})
		device, err := vpn.CreateCustomerGateway(tx, alice, vpn.CreateCustomerGatewayInput{Type: resource.GatewayType, IPAddress: netip.MustParseAddr("198.51.100.2")})
		if err != nil {
			return err
		}
		if single, err = vpn.CreateVPNGateway(tx, alice, vpn.CreateVPNGatewayInput{Type: resource.GatewayType}); err != nil {
			return err
		}
		if hub, err = vpn.CreateTransitGateway(tx, alice, vpn.CreateTransitGatewayInput{}); err != nil {
			return err
		}
		conn, err = vpn.CreateVPNConnection(tx, alice, vpn.CreateVPNConnectionInput{Type: resource.GatewayType, CustomerGatewayID: device.ID, StaticRoutesOnly: true})
		return err
	})
	w.run()
	w.settle()
	for _, to := range []vpn.ModifyVPNConnectionInput{{TransitGatewayID: hub.ID}, {VPNGatewayID: single.ID}, {TransitGatewayID: hub.ID}} {
		to.ID = conn.ID
		w.do(func(tx *store.Tx) error {
			_, err := vpn.ModifyVPNConnection(tx, alice, to)
			return err
		})
		here, there := string(to.TransitGatewayID)+string(to.VPNGatewayID), string(hub.ID)
		if here == there {
			there = string(single.ID)
		}
		w.until("the tunnels at "+here, func() bool {
			all := w.host.Gateways()
			_, left := all[there]
			return !left && len(all[here].Tunnels) == 2 && all[here].Tunnels[0].ID == vpn.TunnelID(conn.ID, 0) && w.hasTUNs(here)
		})
		cloudtest.Do(t, w.store, func(tx *store.Tx) error {
			row, _ := store.VPNConnections.Get(tx, conn.ID)
			if row.State != resource.StateAvailable || row.AssociationState() != "associated" || row.Tunnels[0].OutsideIP != conn.Tunnels[0].OutsideIP || row.Tunnels[1].InsideCIDR != conn.Tunnels[1].InsideCIDR {
				t.Errorf("at %s: got %s, %s, %+v, want it available, with its addresses", here, row.State, row.AssociationState(), row.Tunnels)
			}
			return nil
		})
	}
}

// hasTUNs reports whether both TUNs are in a gateway's namespace.
func (w *world) hasTUNs(namespace string) bool {
	if _, err := os.Stat(netapply.DefaultDir + "/" + namespace); err != nil {
		return false
	}
	out, err := w.CommandIn(w.Context(), namespace, "ip", "-o", "link")
	return err == nil && strings.Contains(string(out), " tun1:") && strings.Contains(string(out), " tun2:")
}
