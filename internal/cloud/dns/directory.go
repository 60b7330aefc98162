package dns

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/cloud/dns/zone"
	"seikan/internal/cloud/ipam"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Codes of the directory service (pl §3.9).
const (
	codeInvalidParameter = "InvalidParameterException"
	codeDirectoryUnknown = "EntityDoesNotExistException"
	codeDirectoryLimit   = "DirectoryLimitExceededException"
)

// maxDirectories is the quota of an account.
const maxDirectories = 10

// CreateDirectoryInput says what directory is wanted.
type CreateDirectoryInput struct {
	Name      string // fully qualified: "corp.example.com"
	Size      string // "Small" or "Large"; both are the same here
	VPCID     resource.VPCID
	SubnetIDs []resource.SubnetID // two, in different zones
	// Addresses chooses those of the controllers, in the order of SubnetIDs. An
	// extension: AWS gives out free ones, as happens here when it is empty.
	Addresses []netip.Addr
	Tags      resource.Tags
}

// CreateDirectory makes a directory: two DNS forwarders in two subnets, with a
// security group <id>_controllers that lets DNS in from everywhere. Nothing
// else of Active Directory is served. Codes: InvalidParameterException,
// DirectoryLimitExceededException, and those of an interface.
func CreateDirectory(tx *store.Tx, who resource.Account, in CreateDirectoryInput) (resource.Directory, error) {
	subnets, err := checkDirectory(tx, who, in)
	if err != nil {
		return resource.Directory{}, err
	}
	var random [5]byte
	tx.Random(random[:])
	d := resource.Directory{
		ID: resource.DirectoryID("d-" + hex.EncodeToString(random[:])), OwnerID: who, Name: in.Name, Size: in.Size,
		Stage: resource.StageActive, VPCID: in.VPCID, SecurityGroupID: resource.SecurityGroupID(tx.NewID("sg")),
		LaunchTime: tx.Now(), Tags: in.Tags,
	}
	store.SecurityGroups.Put(tx, d.SecurityGroupID, controllersGroup(d))
	for i, s := range subnets {
		req := ipam.Request{
			Owner: who, SubnetID: s.ID, Groups: []resource.SecurityGroupID{d.SecurityGroupID},
			Description: "AWS created network interface for directory " + string(d.ID), RequesterID: "amazon-aws",
		}
		if len(in.Addresses) > 0 {
			req.PrivateIP = in.Addresses[i]
		}
		eni, err := ipam.Create(tx, req)
		if err != nil {
			return resource.Directory{}, err
		}
		eni.Namespace = "ds-" + strings.TrimPrefix(string(eni.ID), "eni-")
		ipam.Update(tx, eni)
		d.Controllers = append(d.Controllers, resource.DirectoryController{Zone: s.Zone, SubnetID: s.ID,
			NetworkInterfaceID: eni.ID, Address: eni.PrivateIP, Namespace: eni.Namespace})
	}
	store.Directories.Put(tx, d.ID, d)
	return d, nil
}

// checkDirectory checks the input and reads the subnets.
func checkDirectory(tx *store.Tx, who resource.Account, in CreateDirectoryInput) ([]resource.Subnet, error) {
	vpc, ok := store.VPCs.Get(tx, in.VPCID)
	name, err := zone.ParseName(in.Name)
	switch {
	case err != nil || name.Labels() < 2:
		return nil, resource.Errorf(codeInvalidParameter, "Name: %q is not fully qualified, as in corp.example.com", in.Name)
	case in.Size != "Small" && in.Size != "Large":
		return nil, resource.Errorf(codeInvalidParameter, "Size: %q is neither Small nor Large", in.Size)
	case !ok || vpc.OwnerID != who:
		return nil, resource.Errorf(codeInvalidParameter, "VpcId: the VPC %q does not exist", in.VPCID)
	case len(in.SubnetIDs) != 2:
		return nil, resource.Errorf(codeInvalidParameter, "SubnetIds: %d given: two, in different Availability Zones", len(in.SubnetIDs))
	case len(in.Addresses) != 0 && len(in.Addresses) != 2:
		return nil, resource.Errorf(codeInvalidParameter, "Addresses: %d given: none, or one a subnet", len(in.Addresses))
	}
	var out []resource.Subnet
	for _, id := range in.SubnetIDs {
		s, ok := store.Subnets.Get(tx, id)
		if !ok || s.OwnerID != who || s.VPCID != in.VPCID {
			return nil, resource.Errorf(codeInvalidParameter, "SubnetIds: the subnet %s does not exist in %s", id, in.VPCID)
		}
		out = append(out, s)
	}
	if out[0].Zone == out[1].Zone {
		return nil, resource.Errorf(codeInvalidParameter, "SubnetIds: %s and %s are both in %s: they must be in different Availability Zones", out[0].ID, out[1].ID, out[0].Zone)
	}
	count := 0
	for _, d := range store.Directories.List(tx) {
		if d.OwnerID == who {
			count++
		}
	}
	if count >= maxDirectories {
		return nil, resource.Errorf(codeDirectoryLimit, "the account has %d directories, the most it can have", count)
	}
	return out, nil
}

// controllersGroup is the group of a directory's interfaces: they answer DNS
// and may ask.
func controllersGroup(d resource.Directory) resource.SecurityGroup {
	everywhere := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	return resource.SecurityGroup{
		ID: d.SecurityGroupID, OwnerID: d.OwnerID, VPCID: d.VPCID, Name: string(d.ID) + "_controllers",
		Description: "AWS created security group for " + string(d.ID) + " directory controllers",
		Ingress: []resource.Permission{
			{Protocol: resource.TCP, FromPort: 53, ToPort: 53, CIDR: everywhere},
			{Protocol: resource.UDP, FromPort: 53, ToPort: 53, CIDR: everywhere},
		},
		Egress: []resource.Permission{{Protocol: resource.AllProtocols, FromPort: -1, ToPort: -1, CIDR: everywhere}},
	}
}

// DescribeDirectories lists the account's directories, all or those named, in
// order of their ids. Code: EntityDoesNotExistException.
func DescribeDirectories(tx *store.Tx, who resource.Account, ids ...resource.DirectoryID) ([]resource.Directory, error) {
	var out []resource.Directory
	for _, d := range store.Directories.List(tx) {
		if d.OwnerID == who && (len(ids) == 0 || slices.Contains(ids, d.ID)) {
			out = append(out, d)
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(out, func(d resource.Directory) bool { return d.ID == id }) {
			return nil, resource.Errorf(codeDirectoryUnknown, "Directory %s does not exist.", id)
		}
	}
	return out, nil
}

// DeleteDirectory removes a directory, its interfaces and its security group,
// unless somebody uses that group too: then the group stays. Code:
// EntityDoesNotExistException.
func DeleteDirectory(tx *store.Tx, who resource.Account, id resource.DirectoryID) error {
	d, ok := store.Directories.Get(tx, id)
	if !ok || d.OwnerID != who {
		return resource.Errorf(codeDirectoryUnknown, "Directory %s does not exist.", id)
	}
	for _, c := range d.Controllers {
		ipam.Delete(tx, c.NetworkInterfaceID)
	}
	if !groupInUse(tx, d.SecurityGroupID) {
		store.SecurityGroups.Delete(tx, d.SecurityGroupID)
	}
	store.Directories.Delete(tx, id)
	return nil
}

// groupInUse reports whether an interface carries a group or a rule of another
// group names it.
func groupInUse(tx *store.Tx, id resource.SecurityGroupID) bool {
	for _, eni := range store.NetworkInterfaces.List(tx) {
		if slices.Contains(eni.Groups, id) {
			return true
		}
	}
	names := func(p resource.Permission) bool { return p.Group == id }
	for _, g := range store.SecurityGroups.List(tx) {
		if g.ID != id && (slices.ContainsFunc(g.Ingress, names) || slices.ContainsFunc(g.Egress, names)) {
			return true
		}
	}
	return false
}
