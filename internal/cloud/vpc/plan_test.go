package vpc_test

import (
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/ipam"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/nettest"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// golden compares the plan of what is in the store with testdata/<name>.txt.
func golden(t *testing.T, tx *store.Tx, name string) {
	t.Helper()
	plan, err := vpc.MakePlan(vpc.Load(tx))
	if err != nil {
		t.Fatalf("MakePlan: %v", err)
	}
	if err := plan.Spec.Validate(); err != nil && !strings.Contains(err.Error(), resource.VPNGatewayLink) {
		t.Errorf("Validate: %v", err) // the gateway's link is in cloud/vpn's plan
	}
	cloudtest.Golden(t, name+".txt", plan.Spec.String())
}

func TestPlanOfAnEmptyVPC(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		golden(t, tx, "empty")
	})
}

// Two subnets, one with a table of its own that leads to an appliance and to
// the VPN gateway, and groups that name a CIDR, each other and everything.
func TestPlanOfAPeopledVPC(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		b := must[resource.Subnet](t)(vpc.CreateSubnet(tx, alice, vpc.CreateSubnetInput{VPCID: n.vpc.ID, CidrBlock: block("10.0.2.0/24"), AvailabilityZone: "us-east-1b"}))
		web := must[resource.SecurityGroup](t)(vpc.CreateSecurityGroup(tx, alice, vpc.CreateSecurityGroupInput{VPCID: n.vpc.ID, GroupName: "web"}))
		check(t, vpc.AuthorizeSecurityGroupIngress(tx, alice, web.ID,
			ssh("192.168.1.10/32"),
			resource.Permission{Protocol: resource.UDP, FromPort: 1024, ToPort: 65535, Group: n.vpc.DefaultGroup},
			resource.Permission{Protocol: resource.ICMP, FromPort: 8, ToPort: -1, CIDR: block("192.168.1.0/24")},
			resource.Permission{Protocol: resource.ICMP, FromPort: -1, ToPort: -1, CIDR: block("0.0.0.0/0")},
			resource.Permission{Protocol: resource.ICMP, FromPort: 3, ToPort: 4, CIDR: block("0.0.0.0/0")},
		))
		table := must[resource.RouteTable](t)(vpc.CreateRouteTable(tx, alice, n.vpc.ID, nil))
		must[resource.Association](t)(vpc.AssociateRouteTable(tx, alice, table.ID, b.ID))
		vgw := putGateway(tx, n.vpc.ID, true, "192.168.1.0/24", "10.0.2.0/24")
		check(t, vpc.EnableVGWRoutePropagation(tx, alice, table.ID, vgw))
		appliance := must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: "appliance", NoSourceDestCheck: true}))
		gone := run(t, tx, n.subnet.ID)
		for dst, i := range map[string]resource.InstanceID{"0.0.0.0/0": appliance.ID, "172.20.0.0/16": gone.ID} {
			check(t, vpc.CreateRoute(tx, alice, vpc.CreateRouteInput{RouteTableID: table.ID, DestinationCidrBlock: block(dst), InstanceID: i}))
		}
		check(t, vpc.TerminateInstance(tx, alice, gone.ID))
		must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{
			SubnetID: b.ID, Namespace: "web", PrivateIPAddress: netip.MustParseAddr("10.0.2.20"),
			SecurityGroupIDs: []resource.SecurityGroupID{web.ID, n.vpc.DefaultGroup},
		}))
		// Reserved but held by nobody: no link.
		must[resource.NetworkInterface](t)(vpc.CreateNetworkInterface(tx, alice, vpc.CreateNetworkInterfaceInput{SubnetID: b.ID}))
		golden(t, tx, "peopled")
	})
}

// Two VPCs of the same range share nothing.
func TestPlansOfEqualRangesDoNotMeet(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		for _, name := range []string{"left", "right"} {
			n := newNetwork(t, tx, "192.168.1.0/24", "192.168.1.0/25")
			must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: name}))
		}
		golden(t, tx, "equal-ranges")
	})
}

func TestMakePlanRefusesRowsThatContradict(t *testing.T) {
	for name, spoil := range map[string]func(*vpc.Snapshot){
		"two interfaces in one namespace": func(s *vpc.Snapshot) { s.Interfaces[1].Namespace = s.Interfaces[0].Namespace },
		"two interfaces of one link name": func(s *vpc.Snapshot) { s.Interfaces[1].ID = s.Interfaces[0].ID + "0" },
		"an interface in the router":      func(s *vpc.Snapshot) { s.Interfaces[0].Namespace = string(s.VPCs[0].ID) },
		"an interface without a subnet":   func(s *vpc.Snapshot) { s.Subnets = nil },
		"a subnet without a table":        func(s *vpc.Snapshot) { s.RouteTables = nil },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, open(t), func(tx *store.Tx) {
				n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
				for range 2 {
					must[resource.NetworkInterface](t)(ipam.Create(tx, ipam.Request{Owner: alice, SubnetID: n.subnet.ID, Namespace: tx.NewID("n")}))
				}
				s := vpc.Load(tx)
				if _, err := vpc.MakePlan(s); err != nil {
					t.Fatalf("sound rows: %v", err)
				}
				spoil(&s)
				if plan, err := vpc.MakePlan(s); err == nil {
					t.Errorf("MakePlan: got\n%s\nwant an error", plan.Spec)
				}
			})
		})
	}
}
