package vpc_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
)

const (
	alice = cloudtest.Alice
	bob   = cloudtest.Bob
)

// A counting reader makes ids that differ from one another and are the same in
// each run, so that plans can be compared with golden files.
type counting struct{ n uint64 }

func (c *counting) Read(b []byte) (int, error) {
	c.n++
	clear(b)
	var word [8]byte
	binary.BigEndian.PutUint64(word[:], c.n)
	// The last half octet of nine is cut off an id; link names hold the first
	// twelve digits.
	copy(b, word[2:])
	return len(b), nil
}

func open(t *testing.T) *store.Store {
	t.Helper()
	return cloudtest.Open(t, store.Config{Rand: &counting{}})
}

// in runs fn in one transaction, which must succeed.
func in(t *testing.T, s *store.Store, fn func(*store.Tx)) {
	t.Helper()
	cloudtest.Do(t, s, func(tx *store.Tx) error { fn(tx); return nil })
}

// must ends the test at an error and returns the value.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode reports an answer of another code.
func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	if got := resource.CodeOf(err); got != code {
		t.Errorf("%s: got %q (%v), want %q", what, got, err, code)
	}
}

func block(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// A network is a VPC with one subnet.
type network struct {
	vpc    resource.VPC
	subnet resource.Subnet
}

func newNetwork(t *testing.T, tx *store.Tx, cidr, subnet string) network {
	t.Helper()
	v := must[resource.VPC](t)(vpc.CreateVPC(tx, alice, vpc.CreateVPCInput{CidrBlock: block(cidr)}))
	s := must[resource.Subnet](t)(vpc.CreateSubnet(tx, alice, vpc.CreateSubnetInput{VPCID: v.ID, CidrBlock: block(subnet)}))
	return network{v, s}
}

func run(t *testing.T, tx *store.Tx, s resource.SubnetID, groups ...resource.SecurityGroupID) resource.Instance {
	t.Helper()
	return must[resource.Instance](t)(vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: s, SecurityGroupIDs: groups}))
}

func TestCreateVPCHoldsTheRange(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		for cidr, code := range map[string]string{
			"10.0.0.0/16": "", "10.0.0.0/28": "", "10.0.9.9/16": "",
			"10.0.0.0/15": "InvalidVpc.Range", "10.0.0.0/29": "InvalidVpc.Range",
			"169.254.0.0/16": "InvalidVpc.Range", "127.1.0.0/16": "InvalidVpc.Range",
			"240.0.0.0/16": "InvalidVpc.Range", "fd00::/24": "InvalidVpc.Range",
		} {
			v, err := vpc.CreateVPC(tx, alice, vpc.CreateVPCInput{CidrBlock: block(cidr)})
			wantCode(t, cidr, err, code)
			if err == nil && v.CIDR != v.CIDR.Masked() {
				t.Errorf("%s: got the block %v, want host bits clear", cidr, v.CIDR)
			}
		}
		_, err := vpc.CreateVPC(tx, alice, vpc.CreateVPCInput{})
		wantCode(t, "no block", err, "InvalidVpc.Range")
	})
}

func TestANewVPCHasAMainTableAndADefaultGroup(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		v := must[resource.VPC](t)(vpc.CreateVPC(tx, alice, vpc.CreateVPCInput{CidrBlock: block("10.0.0.0/16")}))
		tables := must[[]resource.RouteTable](t)(vpc.DescribeRouteTables(tx, alice))
		if len(tables) != 1 || tables[0].ID != v.MainRouteTable || len(tables[0].Routes) != 1 || tables[0].Routes[0].GatewayID != "local" || !tables[0].Associations[0].Main {
			t.Errorf("route tables: got %+v, want the main one with the local route", tables)
		}
		groups := must[[]resource.SecurityGroup](t)(vpc.DescribeSecurityGroups(tx, alice))
		if len(groups) != 1 || groups[0].Ingress[0].Group != groups[0].ID || groups[0].Egress[0].Protocol != resource.AllProtocols {
			t.Errorf("groups: got %+v, want the default group that trusts itself", groups)
		}
	})
}

func TestCreateSubnetHoldsTheRange(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		for _, test := range []struct{ cidr, zone, code string }{
			{"10.0.2.0/24", "us-east-1b", ""},
			{"10.0.3.0/28", "", ""},
			{"10.0.4.0/29", "", "InvalidSubnet.Range"},
			{"10.1.0.0/24", "", "InvalidSubnet.Range"},
			{"10.0.0.0/15", "", "InvalidSubnet.Range"},
			{"10.0.1.128/25", "", "InvalidSubnet.Conflict"},
			{"10.0.0.0/16", "", "InvalidSubnet.Conflict"},
			{"10.0.5.0/24", "eu-west-1a", "InvalidParameterValue"},
			{"10.0.5.0/24", "us-east-1", "InvalidParameterValue"},
		} {
			_, err := vpc.CreateSubnet(tx, alice, vpc.CreateSubnetInput{VPCID: n.vpc.ID, CidrBlock: block(test.cidr), AvailabilityZone: test.zone})
			wantCode(t, test.cidr+" "+test.zone, err, test.code)
		}
	})
}

func TestAForeignAccountSeesNothing(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		i := run(t, tx, n.subnet.ID)
		_, err := vpc.DescribeVPCs(tx, bob, n.vpc.ID)
		wantCode(t, "DescribeVPCs", err, "InvalidVpcID.NotFound")
		if all := must[[]resource.VPC](t)(vpc.DescribeVPCs(tx, bob)); len(all) != 0 {
			t.Errorf("DescribeVPCs of all: got %v, want none", all)
		}
		_, err = vpc.CreateSubnet(tx, bob, vpc.CreateSubnetInput{VPCID: n.vpc.ID, CidrBlock: block("10.0.9.0/24")})
		wantCode(t, "CreateSubnet", err, "InvalidVpcID.NotFound")
		_, err = vpc.RunInstance(tx, bob, vpc.RunInstanceInput{SubnetID: n.subnet.ID})
		wantCode(t, "RunInstance", err, "InvalidSubnetID.NotFound")
		wantCode(t, "TerminateInstance", vpc.TerminateInstance(tx, bob, i.ID), "InvalidInstanceID.NotFound")
		wantCode(t, "DeleteNetworkInterface", vpc.DeleteNetworkInterface(tx, bob, i.NetworkInterfaceID), "InvalidNetworkInterfaceID.NotFound")
		wantCode(t, "Authorize", vpc.AuthorizeSecurityGroupIngress(tx, bob, n.vpc.DefaultGroup), "InvalidGroup.NotFound")
		wantCode(t, "CreateRoute", vpc.CreateRoute(tx, bob, vpc.CreateRouteInput{RouteTableID: n.vpc.MainRouteTable}), "InvalidRouteTableID.NotFound")
		wantCode(t, "DeleteVPC", vpc.DeleteVPC(tx, bob, n.vpc.ID), "InvalidVpcID.NotFound")
	})
}

func TestAddressesAreGivenOutOnceAndNeverReserved(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/28")
		for _, test := range []struct{ addr, code string }{
			{"10.0.1.0", "InvalidParameterValue"}, {"10.0.1.1", "InvalidParameterValue"},
			{"10.0.1.2", "InvalidParameterValue"}, {"10.0.1.3", "InvalidParameterValue"},
			{"10.0.1.15", "InvalidParameterValue"}, {"10.0.2.4", "InvalidParameterValue"},
			{"10.0.1.5", ""}, {"10.0.1.5", "InvalidIPAddress.InUse"},
		} {
			_, err := vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, PrivateIPAddress: netip.MustParseAddr(test.addr)})
			wantCode(t, test.addr, err, test.code)
		}
		for _, want := range []string{"10.0.1.4", "10.0.1.6", "10.0.1.7", "10.0.1.8", "10.0.1.9", "10.0.1.10", "10.0.1.11", "10.0.1.12", "10.0.1.13", "10.0.1.14"} {
			if i := run(t, tx, n.subnet.ID); i.PrivateIP.String() != want {
				t.Errorf("next free address: got %v, want %s", i.PrivateIP, want)
			}
		}
		_, err := vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID})
		wantCode(t, "full subnet", err, "InsufficientFreeAddressesInSubnet")
	})
}

func TestWhatIsUsedCannotBeDeleted(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		group := must[resource.SecurityGroup](t)(vpc.CreateSecurityGroup(tx, alice, vpc.CreateSecurityGroupInput{VPCID: n.vpc.ID, GroupName: "web"}))
		table := must[resource.RouteTable](t)(vpc.CreateRouteTable(tx, alice, n.vpc.ID, nil))
		a := must[resource.Association](t)(vpc.AssociateRouteTable(tx, alice, table.ID, n.subnet.ID))
		i := run(t, tx, n.subnet.ID, group.ID)
		const used = "DependencyViolation"
		wantCode(t, "VPC", vpc.DeleteVPC(tx, alice, n.vpc.ID), used)
		wantCode(t, "subnet", vpc.DeleteSubnet(tx, alice, n.subnet.ID), used)
		wantCode(t, "group", vpc.DeleteSecurityGroup(tx, alice, group.ID), used)
		wantCode(t, "table", vpc.DeleteRouteTable(tx, alice, table.ID), used)
		wantCode(t, "main table", vpc.DeleteRouteTable(tx, alice, n.vpc.MainRouteTable), used)
		wantCode(t, "interface", vpc.DeleteNetworkInterface(tx, alice, i.NetworkInterfaceID), "InvalidNetworkInterface.InUse")

		check(t, vpc.TerminateInstance(tx, alice, i.ID))
		check(t, vpc.DeleteSecurityGroup(tx, alice, group.ID))
		wantCode(t, "VPC with a subnet", vpc.DeleteVPC(tx, alice, n.vpc.ID), used)
		check(t, vpc.DisassociateRouteTable(tx, alice, a.ID))
		check(t, vpc.DeleteRouteTable(tx, alice, table.ID))
		joined := resource.TransitGatewayAttachment{ID: "tgw-attach-1", VPCID: n.vpc.ID, SubnetIDs: []resource.SubnetID{n.subnet.ID}, State: resource.StateAvailable}
		store.TransitGatewayAttachments.Put(tx, joined.ID, joined)
		wantCode(t, "subnet of an attachment", vpc.DeleteSubnet(tx, alice, n.subnet.ID), used)
		joined.State = resource.StateDeleting
		store.TransitGatewayAttachments.Put(tx, joined.ID, joined)
		check(t, vpc.DeleteSubnet(tx, alice, n.subnet.ID))
		wantCode(t, "VPC whose link is still there", vpc.DeleteVPC(tx, alice, n.vpc.ID), used)
		store.TransitGatewayAttachments.Delete(tx, joined.ID)
		check(t, vpc.DeleteVPC(tx, alice, n.vpc.ID))
		if rows := len(store.RouteTables.List(tx)) + len(store.SecurityGroups.List(tx)) + len(store.NetworkInterfaces.List(tx)); rows != 0 {
			t.Errorf("rows left after all is deleted: got %d, want 0", rows)
		}
	})
}

func TestAnInstanceTakesNobodysNamespace(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		store.OutsidePools.Put(tx, "edge", resource.OutsidePool{Name: "edge", Namespace: "edge"})
		runIn := func(name string) error {
			_, err := vpc.RunInstance(tx, alice, vpc.RunInstanceInput{SubnetID: n.subnet.ID, Namespace: name})
			return err
		}
		check(t, runIn("web"))
		for _, name := range []string{"web", "edge", string(n.vpc.ID), "vgw-1", "nlb-1", "vpce-1", "ds-1", "a/b", ".."} {
			wantCode(t, "in namespace "+name, runIn(name), resource.CodeInvalidParameterValue)
		}
	})
}
