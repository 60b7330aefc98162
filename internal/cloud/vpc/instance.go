package vpc

import (
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/cloud/ipam"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/linux/netspec"
)

// RunInstanceInput is the request of RunInstance.
type RunInstanceInput struct {
	SubnetID         resource.SubnetID
	PrivateIPAddress netip.Addr                 // zero: the lowest free one
	SecurityGroupIDs []resource.SecurityGroupID // none: the default group
	// Namespace is the network namespace that stands for the machine, such as
	// one that the lab made; empty names it by the instance's id. No API lets
	// its callers choose it.
	Namespace string
	// NoSourceDestCheck lets the instance forward what is not its own.
	NoSourceDestCheck bool
	Tags              resource.Tags
}

// RunInstance makes one instance with one interface, eth0, which goes when the
// instance does. It answers as ipam.Create, and InvalidParameterValue for a
// Namespace that is no name, is taken, or is one of the cloud's own.
func RunInstance(tx *store.Tx, who resource.Account, in RunInstanceInput) (resource.Instance, error) {
	id := resource.InstanceID(tx.NewID("i"))
	if in.Namespace == "" {
		in.Namespace = string(id)
	} else if err := checkNamespace(tx, in.Namespace); err != nil {
		return resource.Instance{}, err
	}
	eni, err := ipam.Create(tx, ipam.Request{
		Owner: who, SubnetID: in.SubnetID, PrivateIP: in.PrivateIPAddress, Groups: in.SecurityGroupIDs,
		Namespace: in.Namespace, Forwards: in.NoSourceDestCheck, Tags: in.Tags,
		Attachment: resource.Attachment{InstanceID: id, InstanceOwnerID: string(who), DeleteOnTermination: true},
	})
	if err != nil {
		return resource.Instance{}, err
	}
	i := resource.Instance{
		ID: id, OwnerID: who, State: resource.StateRunning,
		VPCID: eni.VPCID, SubnetID: eni.SubnetID, Zone: eni.Zone,
		NetworkInterfaceID: eni.ID, PrivateIP: eni.PrivateIP, Groups: eni.Groups,
		Namespace: in.Namespace, LaunchTime: tx.Now(), Tags: in.Tags,
	}
	store.Instances.Put(tx, id, i)
	return i, nil
}

// checkNamespace keeps an instance out of the namespaces that the cloud makes,
// and of those that other interfaces or the outside addresses have: it would
// be root there.
func checkNamespace(tx *store.Tx, name string) error {
	refuse := func(rule string) error {
		return resource.Errorf(resource.CodeInvalidParameterValue, "Namespace: %q %s", name, rule)
	}
	if err := (netspec.Spec{Namespaces: []netspec.Namespace{{Name: name}}}).Validate(); err != nil {
		return refuse("is no name of a namespace")
	}
	for _, prefix := range []string{"vpc-", "vgw-", "nlb-", "vpce-", "ds-", "i-"} {
		if strings.HasPrefix(name, prefix) {
			return refuse("begins with " + prefix + " like the cloud's own")
		}
	}
	for _, eni := range store.NetworkInterfaces.List(tx) {
		if eni.Namespace == name {
			return refuse("is that of " + string(eni.ID))
		}
	}
	for _, pool := range store.OutsidePools.List(tx) {
		if pool.Namespace == name {
			return refuse("is that of the outside addresses")
		}
	}
	return nil
}

// DescribeInstances returns the instances of ids, or all of who;
// InvalidInstanceID.NotFound.
func DescribeInstances(tx *store.Tx, who resource.Account, ids ...resource.InstanceID) ([]resource.Instance, error) {
	return store.Describe(tx, store.Instances, who, ids, resource.CodeInstanceNotFound)
}

// TerminateInstance removes an instance and its interface at once. Routes to
// it become blackholes.
func TerminateInstance(tx *store.Tx, who resource.Account, id resource.InstanceID) error {
	i, err := store.Find(tx, store.Instances, who, id, resource.CodeInstanceNotFound)
	if err != nil {
		return err
	}
	ipam.Delete(tx, i.NetworkInterfaceID)
	store.Instances.Delete(tx, id)
	return nil
}

// CreateNetworkInterfaceInput is the request of CreateNetworkInterface.
type CreateNetworkInterfaceInput struct {
	SubnetID         resource.SubnetID
	PrivateIPAddress netip.Addr // zero: the lowest free one
	Groups           []resource.SecurityGroupID
	Description      string
	Tags             resource.Tags
}

// CreateNetworkInterface reserves an address: an interface that nobody holds.
// It answers as ipam.Create.
func CreateNetworkInterface(tx *store.Tx, who resource.Account, in CreateNetworkInterfaceInput) (resource.NetworkInterface, error) {
	return ipam.Create(tx, ipam.Request{
		Owner: who, SubnetID: in.SubnetID, PrivateIP: in.PrivateIPAddress, Groups: in.Groups,
		Description: in.Description, Tags: in.Tags,
	})
}

// DescribeNetworkInterfaces returns the interfaces of ids, or all of who,
// services' among them; InvalidNetworkInterfaceID.NotFound.
func DescribeNetworkInterfaces(tx *store.Tx, who resource.Account, ids ...resource.NetworkInterfaceID) ([]resource.NetworkInterface, error) {
	return store.Describe(tx, store.NetworkInterfaces, who, ids, resource.CodeInterfaceNotFound)
}

// ModifyNetworkInterfaceGroups replaces the security groups of a user's
// interface. It answers OperationNotPermitted for a service's and as
// ipam.Groups.
func ModifyNetworkInterfaceGroups(tx *store.Tx, who resource.Account, id resource.NetworkInterfaceID, groups []resource.SecurityGroupID) error {
	eni, err := userInterface(tx, who, id)
	if err != nil {
		return err
	}
	if eni.Groups, err = ipam.Groups(tx, eni.VPCID, groups); err != nil {
		return err
	}
	ipam.Update(tx, eni)
	if i, ok := store.Instances.Get(tx, eni.Attachment.InstanceID); ok {
		i.Groups = slices.Clone(eni.Groups)
		store.Instances.Put(tx, i.ID, i)
	}
	return nil
}

// DeleteNetworkInterface frees the address of an interface that nobody holds.
// It answers InvalidNetworkInterface.InUse, and OperationNotPermitted for a
// service's interface.
func DeleteNetworkInterface(tx *store.Tx, who resource.Account, id resource.NetworkInterfaceID) error {
	eni, err := userInterface(tx, who, id)
	if err != nil {
		return err
	}
	if eni.Status == resource.InterfaceInUse {
		return resource.Errorf("InvalidNetworkInterface.InUse", "the interface %s is attached to %s", id, eni.Attachment.InstanceID)
	}
	ipam.Delete(tx, id)
	return nil
}

// userInterface finds an interface that its owner may change.
func userInterface(tx *store.Tx, who resource.Account, id resource.NetworkInterfaceID) (resource.NetworkInterface, error) {
	eni, err := store.Find(tx, store.NetworkInterfaces, who, id, resource.CodeInterfaceNotFound)
	if err == nil && eni.RequesterManaged {
		return eni, resource.Errorf(resource.CodeOperationNotPermitted, "the interface %s is managed by %s (%s)", id, eni.RequesterID, eni.Description)
	}
	return eni, err
}
