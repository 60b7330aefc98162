// Package vpc is the private networks of the cloud: VPCs, subnets, route
// tables, security groups, interfaces and instances (pl §4.1 to §4.3).
//
// Its operations check a request and change rows of a store transaction; MakePlan
// turns rows into what a host's network shall be. Nothing here touches a
// kernel, waits or starts anything, and no other feature is called: gateways
// and services are seen as rows. Network ACLs are named but not enforced. The
// API, the lab and the host use it.
package vpc

import (
	"net/netip"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Sizes of a VPC and of a subnet, in bits of the prefix (pl §4.1).
const (
	widestBlock   = 16
	narrowestBits = 28
)

// firstTable is the kernel's routing table of a VPC's first route table.
const firstTable = 1000

// CreateVPCInput is the request of CreateVPC.
type CreateVPCInput struct {
	CidrBlock netip.Prefix // /16 to /28; host bits are cleared
	Region    string       // empty: resource.DefaultRegion
	Tags      resource.Tags
}

// CreateVPC makes a VPC with what each has from the start: a main route table
// with the local route, a default security group whose members reach each
// other, and a default network ACL. It answers InvalidVpc.Range.
func CreateVPC(tx *store.Tx, who resource.Account, in CreateVPCInput) (resource.VPC, error) {
	block := in.CidrBlock.Masked()
	if !block.IsValid() || !block.Addr().Is4() || block.Bits() < widestBlock || block.Bits() > narrowestBits {
		return resource.VPC{}, resource.Errorf("InvalidVpc.Range", "CidrBlock: %v is not an IPv4 block of /%d to /%d", in.CidrBlock, widestBlock, narrowestBits)
	}
	if forbidden(block) {
		return resource.VPC{}, resource.Errorf("InvalidVpc.Range", "CidrBlock: %v is not a range of hosts' addresses", block)
	}
	if in.Region == "" {
		in.Region = resource.DefaultRegion
	}
	v := resource.VPC{
		ID:               resource.VPCID(tx.NewID("vpc")),
		OwnerID:          who,
		State:            resource.StateAvailable,
		Region:           in.Region,
		CIDR:             block,
		MainRouteTable:   resource.RouteTableID(tx.NewID("rtb")),
		DefaultGroup:     resource.SecurityGroupID(tx.NewID("sg")),
		DefaultACL:       resource.NetworkACLID(tx.NewID("acl")),
		EnableDNSSupport: true,
		Tags:             in.Tags,
	}
	store.VPCs.Put(tx, v.ID, v)
	store.RouteTables.Put(tx, v.MainRouteTable, resource.RouteTable{
		ID: v.MainRouteTable, OwnerID: who, VPCID: v.ID, Number: firstTable,
		Routes:       []resource.Route{localRoute(block)},
		Associations: []resource.Association{{ID: resource.AssociationID(tx.NewID("rtbassoc")), Main: true}},
	})
	store.SecurityGroups.Put(tx, v.DefaultGroup, resource.SecurityGroup{
		ID: v.DefaultGroup, OwnerID: who, VPCID: v.ID, Name: defaultGroup, Description: "default VPC security group",
		Ingress: []resource.Permission{{Protocol: resource.AllProtocols, FromPort: -1, ToPort: -1, Group: v.DefaultGroup}},
		Egress:  []resource.Permission{allEgress()},
	})
	return v, nil
}

// forbidden reports a block that no host can have: this network, loopback,
// link-local, multicast and class E, where the cloud keeps its own links.
func forbidden(block netip.Prefix) bool {
	for _, text := range []string{"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"} {
		if netip.MustParsePrefix(text).Overlaps(block) {
			return true
		}
	}
	return false
}

// DescribeVPCs returns the VPCs of ids, or all of who; InvalidVpcID.NotFound.
func DescribeVPCs(tx *store.Tx, who resource.Account, ids ...resource.VPCID) ([]resource.VPC, error) {
	return store.Describe(tx, store.VPCs, who, ids, resource.CodeVPCNotFound)
}

// DeleteVPC removes a VPC with its main route table and default group. It
// answers DependencyViolation while anything else is in it.
func DeleteVPC(tx *store.Tx, who resource.Account, id resource.VPCID) error {
	v, err := store.Find(tx, store.VPCs, who, id, resource.CodeVPCNotFound)
	if err != nil {
		return err
	}
	for _, s := range store.Subnets.List(tx) {
		if s.VPCID == id {
			return inUse("vpc", id, s.ID)
		}
	}
	for _, g := range store.SecurityGroups.List(tx) {
		if g.VPCID == id && g.ID != v.DefaultGroup {
			return inUse("vpc", id, g.ID)
		}
	}
	for _, t := range store.RouteTables.List(tx) {
		if t.VPCID == id && t.ID != v.MainRouteTable {
			return inUse("vpc", id, t.ID)
		}
	}
	for _, g := range store.VPNGateways.List(tx) {
		if g.Attachment.VPCID == id && g.Attachment.State != resource.Detached {
			return inUse("vpc", id, g.ID)
		}
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.VPCID == id {
			return inUse("vpc", id, a.ID)
		}
	}
	store.RouteTables.Delete(tx, v.MainRouteTable)
	store.SecurityGroups.Delete(tx, v.DefaultGroup)
	store.VPCs.Delete(tx, id)
	return nil
}

// inUse is the answer to deleting what something else needs.
func inUse[K, U ~string](noun string, id K, by U) error {
	return resource.Errorf(resource.CodeDependencyViolation, "the %s %s is still used by %s: delete that first", noun, string(id), string(by))
}
