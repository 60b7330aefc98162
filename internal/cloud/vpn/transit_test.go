package vpn

import (
	"fmt"
	"strings"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// A hub is a cloud with a transit gateway and two VPCs with subnets.
type hub struct {
	*cloud
	gateway resource.TransitGateway
}

func newHub(t *testing.T, in CreateTransitGatewayInput) *hub {
	t.Helper()
	h := &hub{cloud: newCloud(t)}
	h.do(func(tx *store.Tx) (err error) {
		for i, vpc := range []resource.VPCID{"vpc-1", "vpc-2"} {
			for _, zone := range []string{"a", "b"} {
				id := resource.SubnetID(fmt.Sprintf("subnet-%d%s", i+1, zone))
				store.Subnets.Put(tx, id, resource.Subnet{ID: id, OwnerID: alice, VPCID: vpc, Zone: "us-east-1" + zone})
			}
		}
		store.Subnets.Put(tx, "subnet-1a2", resource.Subnet{ID: "subnet-1a2", OwnerID: alice, VPCID: "vpc-1", Zone: "us-east-1a"})
		h.gateway, err = CreateTransitGateway(tx, alice, in)
		return err
	})
	return h
}

func (h *hub) attach(vpc resource.VPCID, subnets ...resource.SubnetID) (a resource.TransitGatewayAttachment) {
	h.Helper()
	h.do(func(tx *store.Tx) (err error) {
		a, err = CreateTransitGatewayVPCAttachment(tx, alice, CreateTransitGatewayVPCAttachmentInput{TransitGatewayID: h.gateway.ID, VPCID: vpc, SubnetIDs: subnets})
		return err
	})
	return a
}

func (h *hub) table() (t resource.TransitGatewayRouteTable) {
	h.Helper()
	h.do(func(tx *store.Tx) (err error) {
		t, err = CreateTransitGatewayRouteTable(tx, alice, h.gateway.ID, nil)
		return err
	})
	return t
}

// routes prints what a table holds; ids are replaced by names.
func (h *hub) routes(table resource.TransitGatewayRouteTableID, names map[resource.TransitGatewayAttachmentID]string) string {
	h.Helper()
	var out []string
	h.do(func(tx *store.Tx) error {
		list, err := SearchTransitGatewayRoutes(tx, alice, table)
		for _, r := range list {
			line := r.Destination.String() + ">"
			for _, a := range r.Attachments {
				line += names[a]
			}
			if r.Blackhole {
				line += "blackhole"
			}
			if r.Static {
				line += "(static)"
			}
			out = append(out, line)
		}
		return err
	})
	return strings.Join(out, " ")
}

func off() *bool { no := false; return &no }

// The options of default route tables: who is associated where and propagates to
// what, at the beginning (CreateTransitGateway).
func TestDefaultRouteTables(t *testing.T) {
	for _, c := range []struct {
		name string
		in   TransitGatewayOptionsInput
		want string // tables, associated, propagating
	}{
		{"both on", TransitGatewayOptionsInput{}, "1 true true"},
		{"association only", TransitGatewayOptionsInput{DefaultPropagation: off()}, "1 true false"},
		{"propagation only", TransitGatewayOptionsInput{DefaultAssociation: off()}, "1 false true"},
		{"both off", TransitGatewayOptionsInput{DefaultAssociation: off(), DefaultPropagation: off()}, "0 false false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, CreateTransitGatewayInput{Options: c.in})
			a := h.attach("vpc-1", "subnet-1a")
			h.do(func(tx *store.Tx) error {
				tables := store.TransitGatewayRouteTables.List(tx)
				propagates := len(tables) > 0 && len(tables[0].Propagations) > 0
				if got := fmt.Sprint(len(tables), a.RouteTableID != "", propagates); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				return nil
			})
		})
	}
}

func TestTransitGatewaysAreChecked(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{})
	creating := func(in CreateTransitGatewayInput) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := CreateTransitGateway(tx, alice, in)
			return err
		}
	}
	h.refused("InvalidParameterValue", creating(CreateTransitGatewayInput{AmazonSideASN: 65535}), "65535") // §4.1
	h.refused("", creating(CreateTransitGatewayInput{AmazonSideASN: 4200000000}))
	for _, list := range []string{"10.9.0.0/25", "10.9.0.1/24", "fd00::/64", "169.254.0.0/16", "10.9.0.0/24 10.9.0.0/16", "10.1.0.0/24 10.2.0.0/24 10.3.0.0/24 10.4.0.0/24 10.5.0.0/24 10.6.0.0/24"} {
		var in CreateTransitGatewayInput
		for _, p := range strings.Fields(list) {
			in.Options.CIDRs = append(in.Options.CIDRs, prefix(p))
		}
		h.refused("InvalidParameterValue", creating(in), "TransitGatewayCidrBlocks") // §5.1: five
	}
	if h.gateway.AmazonSideASN != 64512 || !h.gateway.Options.VPNECMP || h.gateway.Options.AutoAccept || !h.gateway.Options.DNSSupport {
		t.Errorf("defaults: got %d and %+v, want 64512 and every switch on but AutoAccept", h.gateway.AmazonSideASN, h.gateway.Options)
	}
	modify := func(in ModifyTransitGatewayInput) func(*store.Tx) error {
		in.TransitGatewayID = h.gateway.ID
		return func(tx *store.Tx) error {
			g, err := ModifyTransitGateway(tx, alice, in)
			if err == nil && !g.Options.DNSSupport {
				t.Error("an option that was not named has changed")
			}
			return err
		}
	}
	h.refused("", modify(ModifyTransitGatewayInput{Options: TransitGatewayOptionsInput{VPNECMP: off()}}))
	h.refused("InvalidRouteTableID.NotFound", modify(ModifyTransitGatewayInput{AssociationTable: "tgw-rtb-none"}), "tgw-rtb-none")
	h.do(modify(ModifyTransitGatewayInput{Options: TransitGatewayOptionsInput{DefaultAssociation: off(), DefaultPropagation: off()}}))
	yes := true
	h.refused("InvalidParameterCombination", modify(ModifyTransitGatewayInput{Options: TransitGatewayOptionsInput{DefaultPropagation: &yes}}), "DefaultRouteTablePropagation")
	h.refused("InvalidTransitGatewayID.NotFound", func(tx *store.Tx) error { return DeleteTransitGateway(tx, bob, h.gateway.ID) })
}

func TestVPCAttachmentsAreChecked(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{})
	attaching := func(id resource.TransitGatewayID, vpc resource.VPCID, subnets ...resource.SubnetID) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := CreateTransitGatewayVPCAttachment(tx, alice, CreateTransitGatewayVPCAttachmentInput{TransitGatewayID: id, VPCID: vpc, SubnetIDs: subnets})
			return err
		}
	}
	h.refused("InvalidTransitGatewayID.NotFound", attaching("tgw-none", "vpc-1", "subnet-1a"))
	h.refused("InvalidVpcID.NotFound", attaching(h.gateway.ID, "vpc-b", "subnet-1a"))
	h.refused("MissingParameter", attaching(h.gateway.ID, "vpc-1"), "SubnetIds")
	h.refused("InvalidSubnetID.NotFound", attaching(h.gateway.ID, "vpc-1", "subnet-2a"), "vpc-2")
	h.refused("DuplicateSubnetsInSameZone", attaching(h.gateway.ID, "vpc-1", "subnet-1a", "subnet-1a2"), "us-east-1a")
	a := h.attach("vpc-1", "subnet-1a", "subnet-1b")
	h.refused("DuplicateTransitGatewayAttachment", attaching(h.gateway.ID, "vpc-1", "subnet-1a"), string(a.ID))
	h.refused("IncorrectState", func(tx *store.Tx) error { return DeleteTransitGateway(tx, alice, h.gateway.ID) }, string(a.ID))
	h.do(func(tx *store.Tx) error { return DeleteTransitGatewayVPCAttachment(tx, alice, a.ID) })
	h.realise()
	h.do(func(tx *store.Tx) error { return DeleteTransitGateway(tx, alice, h.gateway.ID) })
	h.realise()
	h.realise() // its tables go with it
	h.do(func(tx *store.Tx) error {
		if n := len(store.TransitGateways.List(tx)) + len(store.TransitGatewayAttachments.List(tx)) + len(store.TransitGatewayRouteTables.List(tx)); n != 0 {
			t.Errorf("rows left: got %d, want none", n)
		}
		return nil
	})
}

// Association and propagation, static routes and blackholes, as tables hold them
// (vpn §4.3).
func TestRouteTablesOfATransitGateway(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{})
	one, two, table := h.attach("vpc-1", "subnet-1a"), h.attach("vpc-2", "subnet-2a"), h.table()
	names := map[resource.TransitGatewayAttachmentID]string{one.ID: "one", two.ID: "two"}
	want := func(when string, id resource.TransitGatewayRouteTableID, what string) {
		t.Helper()
		if got := h.routes(id, names); got != what {
			t.Errorf("%s: got %s, want %s", when, got, what)
		}
	}
	want("the default one", h.gateway.PropagationTable, "10.0.0.0/16>one 10.1.0.0/16>two")
	want("another", table.ID, "")
	propagating := func(id resource.TransitGatewayAttachmentID) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			return EnableTransitGatewayRouteTablePropagation(tx, alice, table.ID, id)
		}
	}
	h.do(propagating(two.ID))
	h.refused("TransitGatewayRouteTablePropagation.Duplicate", propagating(two.ID))
	want("propagated", table.ID, "10.1.0.0/16>two")
	route := func(cidr string, to resource.TransitGatewayAttachmentID, do func(*store.Tx, resource.Account, TransitGatewayRouteInput) error) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			return do(tx, alice, TransitGatewayRouteInput{RouteTableID: table.ID, Destination: prefix(cidr), AttachmentID: to, Blackhole: to == ""})
		}
	}
	h.do(route("10.1.0.0/16", one.ID, CreateTransitGatewayRoute)) // static before propagated
	h.do(route("10.1.7.9/24", "", CreateTransitGatewayRoute))
	want("static", table.ID, "10.1.0.0/16>one(static) 10.1.7.0/24>blackhole(static)")
	h.refused("RouteAlreadyExists", route("10.1.0.0/16", two.ID, CreateTransitGatewayRoute))
	h.refused("InvalidRoute.NotFound", route("10.2.0.0/16", two.ID, ReplaceTransitGatewayRoute))
	h.refused("InvalidParameterValue", route("ff02::/16", two.ID, CreateTransitGatewayRoute))
	h.refused("InvalidTransitGatewayAttachmentID.NotFound", route("10.2.0.0/16", "tgw-attach-none", CreateTransitGatewayRoute))
	h.refused("MissingParameter", func(tx *store.Tx) error {
		return CreateTransitGatewayRoute(tx, alice, TransitGatewayRouteInput{RouteTableID: table.ID, Destination: prefix("10.2.0.0/16")})
	}, "TransitGatewayAttachmentId")
	h.refused("InvalidParameterCombination", func(tx *store.Tx) error {
		return CreateTransitGatewayRoute(tx, alice, TransitGatewayRouteInput{RouteTableID: table.ID, Destination: prefix("10.2.0.0/16"), AttachmentID: one.ID, Blackhole: true})
	}, "Blackhole")
	h.do(route("10.1.7.0/24", two.ID, ReplaceTransitGatewayRoute))
	h.do(func(tx *store.Tx) error {
		return DeleteTransitGatewayRoute(tx, alice, table.ID, prefix("10.1.0.0/16"))
	})
	want("replaced and deleted", table.ID, "10.1.0.0/16>two 10.1.7.0/24>two(static)")
	h.do(func(tx *store.Tx) error { return DeleteTransitGatewayVPCAttachment(tx, alice, two.ID) })
	want("its attachment is going", table.ID, "10.1.7.0/24>blackhole(static)")

	associating := func(do func(*store.Tx, resource.Account, resource.TransitGatewayRouteTableID, resource.TransitGatewayAttachmentID) error) func(*store.Tx) error {
		return func(tx *store.Tx) error { return do(tx, alice, table.ID, one.ID) }
	}
	h.refused("Resource.AlreadyAssociated", associating(AssociateTransitGatewayRouteTable), string(one.ID))
	h.refused("InvalidAssociation.NotFound", associating(DisassociateTransitGatewayRouteTable))
	h.refused("TransitGatewayRouteTablePropagation.NotFound", associating(DisableTransitGatewayRouteTablePropagation))
	h.do(func(tx *store.Tx) error {
		return DisassociateTransitGatewayRouteTable(tx, alice, h.gateway.AssociationTable, one.ID)
	})
	h.do(associating(AssociateTransitGatewayRouteTable))
	h.refused("IncorrectState", func(tx *store.Tx) error { return DeleteTransitGatewayRouteTable(tx, alice, table.ID) }, string(one.ID))
	h.refused("IncorrectState", func(tx *store.Tx) error {
		return DeleteTransitGatewayRouteTable(tx, alice, h.gateway.PropagationTable)
	}, "default")
	h.refused("InvalidRoute.NotFound", func(tx *store.Tx) error {
		return DeleteTransitGatewayRoute(tx, alice, table.ID, prefix("10.99.0.0/16"))
	})
}

// The order of paths to one destination, and which of them share its flows: a
// line for each sentence of vpn §4.3.
func TestSelectionInATransitGateway(t *testing.T) {
	vpc := transitPath{AttachmentID: "vpc", Type: resource.AttachVPC}
	tunnel := func(attachment, name string, med uint32, path ...uint32) transitPath {
		return transitPath{AttachmentID: resource.TransitGatewayAttachmentID(attachment), Type: resource.AttachVPN, Tunnel: name, ASPath: path, MED: med, Dynamic: true}
	}
	static := func(p transitPath) transitPath { p.Dynamic = false; return p }
	draining := func(p transitPath) transitPath { p.Draining = true; return p }
	for _, c := range []struct {
		name  string
		paths []transitPath
		ecmp  bool
		want  string
	}{
		{"one path", []transitPath{tunnel("a", "a/1", 100, 65000)}, true, "[a] [a/1]"},
		{"a VPC before a VPN", []transitPath{tunnel("a", "a/1", 100, 65000), vpc}, true, "[vpc] []"},
		{"the shorter AS path", []transitPath{tunnel("a", "a/1", 0, 65000, 65000), tunnel("b", "b/1", 100, 65001)}, true, "[b] [b/1]"},
		{"the lower MED", []transitPath{tunnel("a", "a/1", 100, 65000), tunnel("a", "a/2", 50, 65000)}, true, "[a] [a/2]"},
		{"ECMP over the tunnels of one connection", []transitPath{tunnel("a", "a/1", 100, 65000), tunnel("a", "a/2", 100, 65000)}, true, "[a] [a/1 a/2]"},
		{"ECMP over connections", []transitPath{tunnel("b", "b/2", 100, 65000), tunnel("a", "a/1", 100, 65000), tunnel("b", "b/1", 100, 65000)}, true, "[a b] [a/1 b/1 b/2]"},
		{"ECMP switched off", []transitPath{tunnel("b", "b/1", 100, 65000), tunnel("a", "a/1", 100, 65000)}, false, "[a] [a/1]"},
		{"a tunnel whose end is being replaced only where there is no other", []transitPath{draining(tunnel("a", "a/1", 50, 65000)), tunnel("a", "a/2", 100, 65000)}, true, "[a] [a/2]"},
		{"both ends are being replaced", []transitPath{draining(tunnel("a", "a/1", 100, 65000)), draining(tunnel("a", "a/2", 100, 65000))}, true, "[a] [a/1 a/2]"},
		{"MED between paths that are equally long", []transitPath{tunnel("a", "a/1", 0, 65000, 65000), tunnel("b", "b/1", 900, 65001)}, true, "[b] [b/1]"},
		{"no multipath of other AS paths", []transitPath{tunnel("a", "a/1", 100, 65000), tunnel("b", "b/1", 100, 65001)}, true, "[a] [a/1]"},
		{"static VPN is not spread", []transitPath{static(tunnel("a", "a/1", 100)), static(tunnel("a", "a/2", 100))}, true, "[a] [a/1]"},
	} {
		for i := range c.paths {
			c.paths[i].Destination = prefix("192.168.0.0/16")
		}
		got := selectRoutes(nil, c.paths, c.ecmp)
		if len(got) != 1 || fmt.Sprint(got[0].Attachments, got[0].Tunnels) != c.want {
			t.Errorf("%s: got %+v, want one line by %s", c.name, got, c.want)
		}
		// A static route goes before whatever is propagated, a blackhole, too; a
		// longer prefix goes its own way.
		routes := []resource.TransitGatewayStaticRoute{{Destination: prefix("192.168.0.0/16")}, {Destination: prefix("192.168.1.0/24"), AttachmentID: "s"}}
		lines := selectRoutes(routes, c.paths, c.ecmp)
		if len(lines) != 2 || !lines[0].Blackhole || len(lines[0].Tunnels) != 0 || fmt.Sprint(lines[1].Attachments) != "[s]" {
			t.Errorf("%s, beside static routes: got %+v, want these alone", c.name, lines)
		}
		if got := selectRoutes(routes[1:], c.paths, c.ecmp); len(got) != 2 || fmt.Sprint(got[0].Attachments, got[0].Tunnels) != c.want {
			t.Errorf("%s, beside a static route to a part: got %+v, want %s unchanged", c.name, got, c.want)
		}
	}
}

// What a host has not built stays pending: the transit gateway with all that is
// at it, or the VPC's attachment alone.
func TestWhatNoHostHasBuiltStaysPending(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{})
	in := h.pair().input()
	in.VPNGatewayID, in.TransitGatewayID = "", h.gateway.ID
	row := h.connect(in)
	h.do(func(tx *store.Tx) error {
		MarkRealised(tx, func(resource.VPNGateway) bool { return false })
		MarkTransitRealised(tx, func(space string) bool { return space == string(h.gateway.ID) })
		c, _ := store.VPNConnections.Get(tx, row.ID)
		g, _ := store.TransitGateways.Get(tx, h.gateway.ID)
		if a := store.TransitGatewayAttachments.List(tx)[0]; c.State != resource.StatePending || g.State != resource.StatePending || a.State != resource.StatePending || c.AssociationState() != "associating" {
			t.Errorf("got connection %s (%s), gateway %s, attachment %s, want all pending", c.State, c.AssociationState(), g.State, a.State)
		}
		return nil
	})
}

// What customer gateways announce over VPN attachments is propagated, by both
// tunnels where ECMP is on (vpn §4.3, §4.4).
func TestLearnedRoutesArePropagatedToATransitTable(t *testing.T) {
	for _, ecmp := range []*bool{nil, off()} {
		h := newHub(t, CreateTransitGatewayInput{Options: TransitGatewayOptionsInput{VPNECMP: ecmp}})
		in := h.pair().input()
		in.VPNGatewayID, in.TransitGatewayID, in.StaticRoutesOnly = "", h.gateway.ID, false
		row := h.available(in)
		learned := []resource.LearnedRoute{{Prefix: prefix("192.168.1.0/24"), ASPath: []uint32{65000}, MED: 100}}
		for i := range row.Tunnels {
			h.report(row.ID, i, Report{Up: true, BGP: true, Learned: learned})
		}
		want := 2
		if ecmp != nil {
			want = 1
		}
		h.do(func(tx *store.Tx) error {
			got, err := SearchTransitGatewayRoutes(tx, alice, h.gateway.PropagationTable)
			if err != nil || len(got) != 1 || got[0].Destination != prefix("192.168.1.0/24") || len(got[0].Tunnels) != want {
				t.Errorf("got %+v, %v, want 192.168.1.0/24 by %d tunnels", got, err, want)
			}
			return nil
		})
	}
}

// A connection at a transit gateway has an attachment for as long as it is there;
// any number may join the same two gateways (vpn §1.1, §4.3).
func TestAConnectionIsAnAttachmentOfItsTransitGateway(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{})
	in := h.pair().input()
	in.VPNGatewayID, in.TransitGatewayID, in.StaticRoutesOnly = "", h.gateway.ID, false
	in.Options.Bandwidth = "large"
	one := h.connect(in)
	two := h.connect(in)
	if one.ID == two.ID || one.Slot == two.Slot {
		t.Errorf("got %s in slot %d and %s in slot %d, want two connections", one.ID, one.Slot, two.ID, two.Slot)
	}
	h.realise()
	attachments := func() (out []string) {
		h.do(func(tx *store.Tx) error {
			list, err := DescribeTransitGatewayAttachments(tx, alice, nil)
			for _, a := range list {
				out = append(out, fmt.Sprint(a.Type, " ", a.State, " ", a.RouteTableID == h.gateway.AssociationTable))
			}
			return err
		})
		return out
	}
	if got, want := fmt.Sprint(attachments()), "[vpn available true vpn available true]"; got != want {
		t.Errorf("attachments: got %s, want %s", got, want)
	}
	h.refused("InvalidVpnConnection.InvalidType", routing(one.ID, "192.168.1.0/24"), "transit gateway route") // §4.3
	h.refused("IncorrectState", func(tx *store.Tx) error {
		return DeleteTransitGatewayVPCAttachment(tx, alice, store.TransitGatewayAttachments.List(tx)[0].ID)
	}, "VPN connection")
	h.refused("InvalidParameterCombination", func(tx *store.Tx) error {
		gateway, err := CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: "ipsec.1"})
		if err != nil {
			return err
		}
		_, err = ModifyVPNConnection(tx, alice, ModifyVPNConnectionInput{ID: one.ID, VPNGatewayID: gateway.ID})
		return err
	}, "large tunnels")
	h.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, one.ID) })
	h.realise()
	if got, want := fmt.Sprint(attachments()), "[vpn available true]"; got != want {
		t.Errorf("after a deletion: got %s, want %s", got, want)
	}
}
