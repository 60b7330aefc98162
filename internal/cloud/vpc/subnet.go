package vpc

import (
	"slices"

	"net/netip"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// CreateSubnetInput is the request of CreateSubnet.
type CreateSubnetInput struct {
	VPCID            resource.VPCID
	CidrBlock        netip.Prefix
	AvailabilityZone string // empty: the region's zone a
	Tags             resource.Tags
}

// CreateSubnet makes a subnet of a VPC. It answers InvalidSubnet.Range for a
// block that is not inside the VPC's or smaller than /28, InvalidSubnet.Conflict
// for one that overlaps another subnet, and InvalidParameterValue for a zone of
// another region.
func CreateSubnet(tx *store.Tx, who resource.Account, in CreateSubnetInput) (resource.Subnet, error) {
	v, err := store.Find(tx, store.VPCs, who, in.VPCID, resource.CodeVPCNotFound)
	if err != nil {
		return resource.Subnet{}, err
	}
	block := in.CidrBlock.Masked()
	switch {
	case !block.IsValid() || block.Bits() < v.CIDR.Bits() || !v.CIDR.Contains(block.Addr()):
		return resource.Subnet{}, resource.Errorf("InvalidSubnet.Range", "CidrBlock: %v is not inside the VPC's %v", in.CidrBlock, v.CIDR)
	case block.Bits() > narrowestBits:
		return resource.Subnet{}, resource.Errorf("InvalidSubnet.Range", "CidrBlock: %v is smaller than /%d", block, narrowestBits)
	}
	for _, s := range store.Subnets.List(tx) {
		if s.VPCID == v.ID && s.CIDR.Overlaps(block) {
			return resource.Subnet{}, resource.Errorf("InvalidSubnet.Conflict", "CidrBlock: %v overlaps %v of %s", block, s.CIDR, s.ID)
		}
	}
	if in.AvailabilityZone == "" {
		in.AvailabilityZone = v.Region + "a"
	}
	if resource.RegionOf(in.AvailabilityZone) != v.Region {
		return resource.Subnet{}, resource.Errorf(resource.CodeInvalidParameterValue, "AvailabilityZone: %q is not a zone of %s", in.AvailabilityZone, v.Region)
	}
	s := resource.Subnet{
		ID: resource.SubnetID(tx.NewID("subnet")), OwnerID: who, State: resource.StateAvailable,
		VPCID: v.ID, Zone: in.AvailabilityZone, CIDR: block, Tags: in.Tags,
	}
	store.Subnets.Put(tx, s.ID, s)
	return s, nil
}

// DescribeSubnets returns the subnets of ids, or all of who;
// InvalidSubnetID.NotFound.
func DescribeSubnets(tx *store.Tx, who resource.Account, ids ...resource.SubnetID) ([]resource.Subnet, error) {
	return store.Describe(tx, store.Subnets, who, ids, resource.CodeSubnetNotFound)
}

// DeleteSubnet removes a subnet and its route table association. It answers
// DependencyViolation while an interface is in it or an attachment of a transit
// gateway names it.
func DeleteSubnet(tx *store.Tx, who resource.Account, id resource.SubnetID) error {
	if _, err := store.Find(tx, store.Subnets, who, id, resource.CodeSubnetNotFound); err != nil {
		return err
	}
	for _, eni := range store.NetworkInterfaces.List(tx) {
		if eni.SubnetID == id {
			return inUse("subnet", id, eni.ID)
		}
	}
	for _, a := range store.TransitGatewayAttachments.List(tx) {
		if a.Alive() && slices.Contains(a.SubnetIDs, id) {
			return inUse("subnet", id, a.ID)
		}
	}
	if table, at, ok := associationOf(tx, func(a resource.Association) bool { return a.SubnetID == id }); ok {
		removeAssociation(tx, table, at)
	}
	store.Subnets.Delete(tx, id)
	return nil
}
