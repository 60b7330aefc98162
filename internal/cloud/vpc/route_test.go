package vpc_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
)

// putGateway writes the rows of a gateway with one static connection, as
// cloud/vpn would.
func putGateway(tx *store.Tx, v resource.VPCID, up bool, routes ...string) resource.VPNGatewayID {
	g := resource.VPNGateway{
		ID: resource.VPNGatewayID(tx.NewID("vgw")), OwnerID: alice, State: resource.StateAvailable,
		Attachment: resource.VPNGatewayAttachment{VPCID: v, State: resource.Attached},
		Link:       block("240.255.0.0/31"),
	}
	store.VPNGateways.Put(tx, g.ID, g)
	c := resource.VPNConnection{
		ID: resource.VPNConnectionID(tx.NewID("vpn")), OwnerID: alice, State: resource.StateAvailable,
		VPNGatewayID: g.ID, StaticRoutesOnly: true,
	}
	if up {
		c.Telemetry[1].Status = resource.TunnelUp
	}
	for _, dst := range routes {
		c.Routes = append(c.Routes, resource.StaticRoute{Destination: block(dst), State: resource.StateAvailable})
	}
	store.VPNConnections.Put(tx, c.ID, c)
	return g.ID
}

func TestCreateRouteChecksItsDestinationAndTarget(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		other := newNetwork(t, tx, "10.9.0.0/16", "10.9.1.0/24")
		i, foreign := run(t, tx, n.subnet.ID), run(t, tx, other.subnet.ID)
		vgw, detached := putGateway(tx, n.vpc.ID, true), putGateway(tx, "", true)
		store.TransitGateways.Put(tx, "tgw-1", resource.TransitGateway{ID: "tgw-1", OwnerID: alice})
		store.TransitGateways.Put(tx, "tgw-2", resource.TransitGateway{ID: "tgw-2", OwnerID: alice})
		store.TransitGatewayAttachments.Put(tx, "tgw-attach-1", resource.TransitGatewayAttachment{ID: "tgw-attach-1", OwnerID: alice, TransitGatewayID: "tgw-1", VPCID: n.vpc.ID, State: resource.StatePending})
		for _, test := range []struct {
			dst  string
			in   vpc.CreateRouteInput
			code string
		}{
			{"192.168.2.0/24", vpc.CreateRouteInput{TransitGatewayID: "tgw-none"}, "InvalidTransitGatewayID.NotFound"},
			{"192.168.2.0/24", vpc.CreateRouteInput{TransitGatewayID: "tgw-2"}, "InvalidTransitGatewayID.NotFound"},
			{"192.168.2.0/24", vpc.CreateRouteInput{TransitGatewayID: "tgw-1", GatewayID: vgw}, "InvalidParameterCombination"},
			{"192.168.2.0/24", vpc.CreateRouteInput{TransitGatewayID: "tgw-1"}, ""},
			{"192.168.1.0/24", vpc.CreateRouteInput{}, "MissingParameter"},
			{"192.168.1.0/24", vpc.CreateRouteInput{GatewayID: vgw, InstanceID: i.ID}, "InvalidParameterCombination"},
			{"192.168.1.0/24", vpc.CreateRouteInput{GatewayID: "vgw-none"}, "InvalidVpnGatewayID.NotFound"},
			{"192.168.1.0/24", vpc.CreateRouteInput{GatewayID: detached}, "Gateway.NotAttached"},
			{"192.168.1.0/24", vpc.CreateRouteInput{InstanceID: "i-none"}, "InvalidInstanceID.NotFound"},
			{"192.168.1.0/24", vpc.CreateRouteInput{NetworkInterfaceID: "eni-none"}, "InvalidNetworkInterfaceID.NotFound"},
			{"192.168.1.0/24", vpc.CreateRouteInput{InstanceID: foreign.ID}, "InvalidParameterValue"},
			{"192.168.1.7/24", vpc.CreateRouteInput{GatewayID: vgw}, ""},
			{"192.168.1.0/24", vpc.CreateRouteInput{InstanceID: i.ID}, "RouteAlreadyExists"},
			{"0.0.0.0/0", vpc.CreateRouteInput{NetworkInterfaceID: i.NetworkInterfaceID}, ""},
			{"10.0.0.0/8", vpc.CreateRouteInput{InstanceID: i.ID}, ""},
			{"10.0.1.0/24", vpc.CreateRouteInput{InstanceID: i.ID}, ""},
			{"10.0.1.0/24", vpc.CreateRouteInput{InstanceID: i.ID}, "RouteAlreadyExists"},
			{"10.0.1.0/25", vpc.CreateRouteInput{NetworkInterfaceID: i.NetworkInterfaceID}, "InvalidParameterValue: Route destination doesn't match any subnet CIDR blocks."},
			{"10.9.1.0/24", vpc.CreateRouteInput{InstanceID: i.ID}, ""}, // a subnet of another VPC is none of this one's
			{"10.0.2.0/24", vpc.CreateRouteInput{GatewayID: vgw}, "InvalidParameterValue: The destination CIDR block 10.0.2.0/24 is equal to or more specific than one of this VPC's CIDR blocks. This route can target only an interface or an instance."},
			{"10.0.2.0/24", vpc.CreateRouteInput{TransitGatewayID: "tgw-1"}, "InvalidParameterValue: The destination CIDR block 10.0.2.0/24 is equal to or more specific than one of this VPC's CIDR blocks. This route can target only an interface or an instance."},
			{"10.0.0.0/16", vpc.CreateRouteInput{InstanceID: i.ID}, "RouteAlreadyExists"},
			{"169.254.169.0/24", vpc.CreateRouteInput{InstanceID: i.ID}, "InvalidParameterValue"},
			{"fd00::/64", vpc.CreateRouteInput{InstanceID: i.ID}, "InvalidParameterValue"},
		} {
			test.in.RouteTableID, test.in.DestinationCidrBlock = n.vpc.MainRouteTable, block(test.dst)
			err := vpc.CreateRoute(tx, alice, test.in)
			code, words, _ := strings.Cut(test.code, ": ")
			wantCode(t, fmt.Sprintf("%s by %+v", test.dst, test.in), err, code)
			if words != "" && !strings.HasSuffix(err.Error(), words) {
				t.Errorf("%s by %+v: got %v, want AWS's words %q", test.dst, test.in, err, words)
			}
		}
		wantCode(t, "delete local", vpc.DeleteRoute(tx, alice, n.vpc.MainRouteTable, n.vpc.CIDR), "InvalidParameterValue")
		wantCode(t, "delete unknown", vpc.DeleteRoute(tx, alice, n.vpc.MainRouteTable, block("1.2.3.0/24")), "InvalidRoute.NotFound")
		check(t, vpc.DeleteRoute(tx, alice, n.vpc.MainRouteTable, block("192.168.1.0/24")))
	})
}

func TestATableHoldsFiftyStaticRoutes(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		i := run(t, tx, n.subnet.ID)
		for number := range 51 {
			err := vpc.CreateRoute(tx, alice, vpc.CreateRouteInput{
				RouteTableID: n.vpc.MainRouteTable, InstanceID: i.ID,
				DestinationCidrBlock: netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(number), 0}), 24),
			})
			code := ""
			if number == 50 {
				code = "RouteLimitExceeded"
			}
			wantCode(t, fmt.Sprintf("route %d", number+1), err, code)
		}
	})
}

// routes prints the routes of a table as they are described.
func routes(t *testing.T, tx *store.Tx, id resource.RouteTableID) string {
	t.Helper()
	var lines []string
	for _, r := range must[[]resource.RouteTable](t)(vpc.DescribeRouteTables(tx, alice, id))[0].Routes {
		target, _, _ := strings.Cut(r.GatewayID+string(r.NetworkInterfaceID), "-")
		lines = append(lines, fmt.Sprintf("%v %s %s %s", r.Destination, target, r.State, r.Origin))
	}
	return strings.Join(lines, "\n")
}

func TestPropagatedRoutesHoldWhileATunnelIsUp(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		i := run(t, tx, n.subnet.ID)
		main := n.vpc.MainRouteTable
		vgw := putGateway(tx, n.vpc.ID, true, "192.168.1.0/24", "192.168.2.0/24", "10.0.1.0/24")
		detached := putGateway(tx, "", true)
		wantCode(t, "enable a detached gateway", vpc.EnableVGWRoutePropagation(tx, alice, main, detached), "Gateway.NotAttached")
		check(t, vpc.EnableVGWRoutePropagation(tx, alice, main, vgw))
		check(t, vpc.EnableVGWRoutePropagation(tx, alice, main, vgw)) // once more changes nothing
		check(t, vpc.CreateRoute(tx, alice, vpc.CreateRouteInput{RouteTableID: main, DestinationCidrBlock: block("192.168.2.0/24"), InstanceID: i.ID}))
		// 10.0.1.0/24 is inside the VPC, and static beats propagated.
		const up = `10.0.0.0/16 local active CreateRouteTable
192.168.1.0/24 vgw active EnableVgwRoutePropagation
192.168.2.0/24 eni active CreateRoute`
		if got := routes(t, tx, main); got != up {
			t.Errorf("tunnel up: got\n%s\nwant\n%s", got, up)
		}
		for _, c := range store.VPNConnections.List(tx) {
			c.Telemetry = [2]resource.TunnelTelemetry{}
			store.VPNConnections.Put(tx, c.ID, c)
		}
		check(t, vpc.TerminateInstance(tx, alice, i.ID))
		const down = `10.0.0.0/16 local active CreateRouteTable
192.168.2.0/24 eni blackhole CreateRoute`
		if got := routes(t, tx, main); got != down {
			t.Errorf("tunnel down, instance gone: got\n%s\nwant\n%s", got, down)
		}
		check(t, vpc.DisableVGWRoutePropagation(tx, alice, main, vgw))
		if tables := must[[]resource.RouteTable](t)(vpc.DescribeRouteTables(tx, alice, main)); len(tables[0].PropagatingVGWs) != 0 {
			t.Errorf("after disabling: got %v, want none", tables[0].PropagatingVGWs)
		}
	})
}

// What customer gateways announce enters a table as static routes do, up to the
// table's own quota (vpn §4.3).
func TestLearnedRoutesEnterATableUpToItsQuota(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		main := n.vpc.MainRouteTable
		vgw := putGateway(tx, n.vpc.ID, true)
		check(t, vpc.EnableVGWRoutePropagation(tx, alice, main, vgw))
		learn := func(count int) {
			for _, c := range store.VPNConnections.List(tx) {
				c.Telemetry[1].Learned = nil
				for i := range count {
					c.Telemetry[1].Learned = append(c.Telemetry[1].Learned, resource.LearnedRoute{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i), 0}), 24), ASPath: []uint32{65000}})
				}
				store.VPNConnections.Put(tx, c.ID, c)
			}
		}
		for _, c := range []struct{ learned, want int }{{0, 1}, {1, 2}, {100, 101}, {101, 101}, {2, 3}} {
			learn(c.learned)
			if got := len(must[[]resource.RouteTable](t)(vpc.DescribeRouteTables(tx, alice, main))[0].Routes); got != c.want {
				t.Errorf("with %d learned: got %d routes with the local one, want %d", c.learned, got, c.want)
			}
		}
	})
}

func TestASubnetHasOneTable(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		other := newNetwork(t, tx, "10.9.0.0/16", "10.9.1.0/24")
		first := must[resource.RouteTable](t)(vpc.CreateRouteTable(tx, alice, n.vpc.ID, nil))
		second := must[resource.RouteTable](t)(vpc.CreateRouteTable(tx, alice, n.vpc.ID, nil))
		if first.Number == second.Number || first.Number == 1000 {
			t.Errorf("kernel tables: got %d and %d, want two that differ from 1000", first.Number, second.Number)
		}
		must[resource.Association](t)(vpc.AssociateRouteTable(tx, alice, first.ID, n.subnet.ID))
		_, err := vpc.AssociateRouteTable(tx, alice, second.ID, n.subnet.ID)
		wantCode(t, "second table", err, "Resource.AlreadyAssociated")
		_, err = vpc.AssociateRouteTable(tx, alice, second.ID, other.subnet.ID)
		wantCode(t, "table of another VPC", err, "InvalidParameterValue")
		wantCode(t, "unknown association", vpc.DisassociateRouteTable(tx, alice, "rtbassoc-none"), "InvalidAssociationID.NotFound")
		main := must[[]resource.RouteTable](t)(vpc.DescribeRouteTables(tx, alice, n.vpc.MainRouteTable))[0]
		wantCode(t, "main association", vpc.DisassociateRouteTable(tx, alice, main.Associations[0].ID), "InvalidParameterValue")
	})
}
