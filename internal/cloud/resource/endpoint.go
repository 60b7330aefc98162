package resource

import (
	"net/netip"
	"time"
)

// Ids of PrivateLink (pl §1).
type (
	EndpointID          string // vpce-…
	EndpointServiceID   string // vpce-svc-…
	ServicePermissionID string // vpce-svc-perm-…
)

// EndpointInterface is the only endpoint type offered here (pl §1.1).
const EndpointInterface = "Interface"

// States of an endpoint, as they stand on the wire: lower camel (pl §1.3).
// StatePending and StateAvailable belong to them too.
const (
	EndpointPendingAcceptance State = "pendingAcceptance"
	EndpointRejected          State = "rejected"
)

// ServiceAvailable is the state of an endpoint service, PascalCase on the wire
// (pl §1.3).
const ServiceAvailable State = "Available"

// An EndpointService offers a Network Load Balancer to other accounts.
type EndpointService struct {
	ID                 EndpointServiceID
	OwnerID            Account
	Name               string // com.amazonaws.vpce.<region>.vpce-svc-<17 hex>
	BaseDNSName        string // vpce-svc-<17 hex>.<region>.vpce.amazonaws.com
	Region             string
	State              State
	AcceptanceRequired bool
	LoadBalancers      []LoadBalancerARN
	Zones              []string // where its load balancers have nodes, sorted
	Permissions        []ServicePermission
	CreatedTime        time.Time
	Tags               Tags
}

// A ServicePermission lets a principal see the service and make endpoints.
type ServicePermission struct {
	ID        ServicePermissionID
	Principal string // arn:aws:iam::<account>:root, …:user/<name>, …:role/<name>, or *
	Type      string // "Account", "User", "Role" or "All"
}

// An Endpoint is an interface endpoint: addresses in the consumer's VPC behind
// which a service stands.
type Endpoint struct {
	ID           EndpointID
	OwnerID      Account
	Type         string // "Interface"
	VPCID        VPCID
	ServiceID    EndpointServiceID
	ServiceName  string
	ServiceOwner Account
	State        State
	Groups       []SecurityGroupID
	Attachments  []EndpointAttachment // one a subnet, sorted by zone
	DNSEntries   []DNSEntry           // regional first, then zonal (pl §1.6)
	CreatedTime  time.Time
	ClientToken  string
	Tags         Tags
}

// An EndpointAttachment is an endpoint's interface in one zone, and its way to
// the load balancer node that it was given for life (pl §1.4).
type EndpointAttachment struct {
	Zone               string
	SubnetID           SubnetID
	NetworkInterfaceID NetworkInterfaceID
	Address            netip.Addr
	Namespace          string
	LoadBalancerARN    LoadBalancerARN
	Node               NetworkInterfaceID // of the load balancer
	// Fabric numbers the link between the two namespaces; it gives the
	// link's name and its two addresses.
	Fabric uint32
}

// A DNSEntry is one name of an endpoint.
type DNSEntry struct {
	Name         string // no final dot
	HostedZoneID string
	Zone         string // the zone whose interface alone answers; empty: all of them
}
