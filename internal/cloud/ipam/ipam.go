// Package ipam gives out the addresses of subnets by making network interfaces.
//
// It is the only writer of the table of interfaces. It stands below cloud/vpc,
// cloud/lb, cloud/endpoint and cloud/dns, which may not call each other and
// all need interfaces: cloud/vpc for users, the others for their services
// (requester-managed interfaces). It does not judge who may ask: its callers
// do.
package ipam

import (
	"fmt"
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// maxGroups is the number of security groups of one interface (pl §4.3).
const maxGroups = 5

// A Request says what interface is wanted. Owner, SubnetID and, for an
// interface that the host shall build, Namespace are needed.
type Request struct {
	Owner     resource.Account
	SubnetID  resource.SubnetID
	PrivateIP netip.Addr                 // zero: the lowest free one
	Groups    []resource.SecurityGroupID // none: the VPC's default group
	// Unguarded makes no groups mean none, as for a load balancer (pl §1.9).
	Unguarded   bool
	Description string
	Type        resource.InterfaceType // zero: InterfacePlain
	// RequesterID names the service that asks, "amazon-elb" or "amazon-aws";
	// the interface is then requester-managed. Empty: a user's interface.
	RequesterID string
	Namespace   string
	// Forwards lets the holder send from addresses that are not the
	// interface's: no source/destination check.
	Forwards   bool
	Attachment resource.Attachment // zero for a service: attached by RequesterID
	Tags       resource.Tags
}

// Create makes an interface with a free address of the subnet. It answers
// InvalidSubnetID.NotFound for a subnet that Owner does not own,
// InvalidGroup.NotFound, InvalidIPAddress.InUse, InvalidParameterValue for an
// address that is reserved or not the subnet's, and
// InsufficientFreeAddressesInSubnet.
func Create(tx *store.Tx, req Request) (resource.NetworkInterface, error) {
	subnet, ok := store.Subnets.Get(tx, req.SubnetID)
	if !ok || subnet.OwnerID != req.Owner {
		return resource.NetworkInterface{}, resource.Errorf(resource.CodeSubnetNotFound, "the subnet %s does not exist", req.SubnetID)
	}
	var groups []resource.SecurityGroupID
	if len(req.Groups) > 0 || !req.Unguarded {
		var err error
		if groups, err = Groups(tx, subnet.VPCID, req.Groups); err != nil {
			return resource.NetworkInterface{}, err
		}
	}
	addr, err := choose(tx, subnet, req.PrivateIP)
	if err != nil {
		return resource.NetworkInterface{}, err
	}
	eni := resource.NetworkInterface{
		ID:              resource.NetworkInterfaceID(tx.NewID("eni")),
		OwnerID:         req.Owner,
		Status:          resource.InterfaceAvailable,
		Description:     req.Description,
		VPCID:           subnet.VPCID,
		SubnetID:        subnet.ID,
		Zone:            subnet.Zone,
		PrivateIP:       addr,
		MAC:             macOf(addr),
		Groups:          groups,
		SourceDestCheck: !req.Forwards,
		Type:            req.Type,
		RequesterID:     req.RequesterID,
		Namespace:       req.Namespace,
		Tags:            req.Tags,
	}
	if eni.Type == "" {
		eni.Type = resource.InterfacePlain
	}
	eni.RequesterManaged = req.RequesterID != ""
	attach(tx, &eni, req)
	store.NetworkInterfaces.Put(tx, eni.ID, eni)
	return eni, nil
}

// attach fills the attachment of an interface that somebody holds.
func attach(tx *store.Tx, eni *resource.NetworkInterface, req Request) {
	a := req.Attachment
	if a == (resource.Attachment{}) && !eni.RequesterManaged {
		return
	}
	if a.InstanceOwnerID == "" {
		a.InstanceOwnerID = req.RequesterID
	}
	if a.ID == "" {
		a.ID = resource.AttachmentID(tx.NewID("eni-attach"))
	}
	a.Status = resource.Attached
	eni.Attachment, eni.Status = a, resource.InterfaceInUse
}

// Delete removes an interface and frees its address. Removing one that is not
// there does nothing.
func Delete(tx *store.Tx, id resource.NetworkInterfaceID) { store.NetworkInterfaces.Delete(tx, id) }

// Update writes an interface back after a change of its groups, attachment,
// namespace or tags. Its address, subnet and id must be those Create gave.
func Update(tx *store.Tx, eni resource.NetworkInterface) {
	store.NetworkInterfaces.Put(tx, eni.ID, eni)
}

// Groups checks the security groups of an interface of vpc and returns them,
// or the VPC's default group for none. Each must be of that VPC
// (InvalidGroup.NotFound), at most five, none twice (InvalidParameterValue).
func Groups(tx *store.Tx, vpc resource.VPCID, ids []resource.SecurityGroupID) ([]resource.SecurityGroupID, error) {
	if len(ids) == 0 {
		row, ok := store.VPCs.Get(tx, vpc)
		if !ok {
			return nil, resource.Errorf(resource.CodeVPCNotFound, "the vpc %s does not exist", vpc)
		}
		return []resource.SecurityGroupID{row.DefaultGroup}, nil
	}
	if len(ids) > maxGroups {
		return nil, resource.Errorf("SecurityGroupsPerInterfaceLimitExceeded", "SecurityGroupId: %d groups, at most %d an interface", len(ids), maxGroups)
	}
	for i, id := range ids {
		if group, ok := store.SecurityGroups.Get(tx, id); !ok || group.VPCID != vpc {
			return nil, resource.Errorf(resource.CodeGroupNotFound, "the security group %s does not exist in %s", id, vpc)
		}
		if slices.Contains(ids[:i], id) {
			return nil, resource.Errorf(resource.CodeInvalidParameterValue, "SecurityGroupId: %s is given twice", id)
		}
	}
	return slices.Clone(ids), nil
}

// Free returns the number of addresses of the subnet that Create can give out.
func Free(tx *store.Tx, subnet resource.Subnet) int {
	return 1<<(32-subnet.CIDR.Bits()) - 5 - len(used(tx, subnet.ID))
}

// used returns the addresses of a subnet that interfaces hold.
func used(tx *store.Tx, subnet resource.SubnetID) map[netip.Addr]resource.NetworkInterfaceID {
	taken := make(map[netip.Addr]resource.NetworkInterfaceID)
	for _, eni := range store.NetworkInterfaces.List(tx) {
		if eni.SubnetID == subnet {
			taken[eni.PrivateIP] = eni.ID
		}
	}
	return taken
}

// choose returns want if it can be had, or the lowest free address when want
// is zero.
func choose(tx *store.Tx, subnet resource.Subnet, want netip.Addr) (netip.Addr, error) {
	taken := used(tx, subnet.ID)
	if want.IsValid() {
		switch {
		case !subnet.CIDR.Contains(want):
			return want, resource.Errorf(resource.CodeInvalidParameterValue, "PrivateIpAddress: %v is not in the subnet's range %v", want, subnet.CIDR)
		case subnet.Reserved(want):
			return want, resource.Errorf(resource.CodeInvalidParameterValue, "PrivateIpAddress: %v is reserved: the first four and the last of %v are", want, subnet.CIDR)
		case taken[want] != "":
			return want, resource.Errorf(resource.CodeIPAddressInUse, "PrivateIpAddress: %v is in use by %s", want, taken[want])
		}
		return want, nil
	}
	for addr := subnet.CIDR.Masked().Addr(); subnet.CIDR.Contains(addr); addr = addr.Next() {
		if taken[addr] == "" && !subnet.Reserved(addr) {
			return addr, nil
		}
	}
	return want, resource.Errorf(resource.CodeNoFreeAddresses, "the subnet %s has no free address", subnet.ID)
}

// macOf makes a locally administered address that is unique within a VPC,
// since the private address is.
func macOf(addr netip.Addr) string {
	a := addr.As4()
	return fmt.Sprintf("02:5e:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3])
}
