package resource

import "net/netip"

// A NetworkInterface (ENI) is one address of a subnet together with the
// security groups that guard it (pl §4.1).
type NetworkInterface struct {
	ID          NetworkInterfaceID
	OwnerID     Account
	Status      InterfaceStatus
	Description string // requester-managed: as pl §1.2 and §2.2 spell it
	VPCID       VPCID
	SubnetID    SubnetID
	Zone        string
	PrivateIP   netip.Addr
	MAC         string // "02:…", a locally administered address
	Groups      []SecurityGroupID
	// SourceDestCheck drops what the owner sends from an address that is not
	// the interface's own.
	SourceDestCheck bool

	Type InterfaceType
	// RequesterManaged interfaces belong to a service ("amazon-elb",
	// "amazon-aws"): their owner sees them but can neither change nor delete
	// them.
	RequesterManaged bool
	RequesterID      string
	// Attachment says what holds the interface; its zero value is "available".
	Attachment Attachment
	// Namespace is the network namespace in which the interface is eth0. Empty
	// means nobody holds it yet, and then the host builds nothing for it.
	Namespace string
	Tags      Tags
}

// An InterfaceStatus is the status word of an ENI.
type InterfaceStatus string

// Interface states (pl §4.1).
const (
	InterfaceAvailable InterfaceStatus = "available"
	InterfaceInUse     InterfaceStatus = "in-use"
)

// An InterfaceType tells services' interfaces from users' (EC2
// NetworkInterfaceType).
type InterfaceType string

// Interface types.
const (
	InterfacePlain        InterfaceType = "interface"
	InterfaceVPCEndpoint  InterfaceType = "vpc_endpoint"
	InterfaceLoadBalancer InterfaceType = "network_load_balancer"
)

// An Attachment ties an interface to its holder.
type Attachment struct {
	ID                  AttachmentID
	InstanceID          InstanceID // empty for a service's interface
	InstanceOwnerID     string     // an account, or "amazon-elb", "amazon-aws"
	DeviceIndex         int
	Status              AttachmentStatus
	DeleteOnTermination bool
}

// An AttachmentStatus is the state of an attachment: of an ENI to an instance
// and of a VPN gateway to a VPC (vpn §1.6).
type AttachmentStatus string

// Attachment states.
const (
	Attaching AttachmentStatus = "attaching"
	Attached  AttachmentStatus = "attached"
	Detaching AttachmentStatus = "detaching"
	Detached  AttachmentStatus = "detached"
)
