package vpc_test

import (
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/linux/netspec"
)

// Two transit gateways at one VPC: a route to either, one of which has no subnet
// in the zone of the instance, and none to one that is about to go.
func TestPlanOfAVPCAtTransitGateways(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		b := must[resource.Subnet](t)(vpc.CreateSubnet(tx, alice, vpc.CreateSubnetInput{VPCID: n.vpc.ID, CidrBlock: block("10.0.2.0/24"), AvailabilityZone: "us-east-1b"}))
		must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: "server", PrivateIPAddress: netip.MustParseAddr("10.0.1.20")}))
		for i, s := range []resource.SubnetID{n.subnet.ID, b.ID, n.subnet.ID} {
			digit := string(rune('1' + i))
			g := resource.TransitGateway{ID: resource.TransitGatewayID("tgw-" + digit), OwnerID: alice}
			store.TransitGateways.Put(tx, g.ID, g)
			a := resource.TransitGatewayAttachment{ID: resource.TransitGatewayAttachmentID("tgw-attach-" + digit), OwnerID: alice, Type: resource.AttachVPC, VPCID: n.vpc.ID, TransitGatewayID: g.ID,
				SubnetIDs: []resource.SubnetID{s}, State: resource.StateAvailable, Link: netip.PrefixFrom(netip.AddrFrom4([4]byte{240, 255, 0, byte(2 * i)}), 31)}
			store.TransitGatewayAttachments.Put(tx, a.ID, a)
			check(t, vpc.CreateRoute(tx, alice, vpc.CreateRouteInput{RouteTableID: n.vpc.MainRouteTable, DestinationCidrBlock: block("192.168." + digit + ".0/24"), TransitGatewayID: g.ID}))
			if i == 2 {
				a.State = resource.StateDeleting
				store.TransitGatewayAttachments.Put(tx, a.ID, a)
			}
		}
		plan := must[vpc.Plan](t)(vpc.MakePlan(vpc.Load(tx)))
		// The links are in cloud/vpn's plan.
		if err := plan.Spec.Validate(); err != nil && !strings.Contains(err.Error(), "tgw1") {
			t.Errorf("Validate: %v", err)
		}
		cloudtest.Golden(t, "transit.txt", netspec.Spec{Namespaces: plan.Spec.Namespaces[len(plan.Spec.Namespaces)-1:]}.String())
	})
}
