// Package endpoint is PrivateLink: endpoint services, interface endpoints, and
// the pure plan of the path between an endpoint and a load balancer's node (pl
// §1).
//
// An endpoint's interface is a network namespace; a link of the fabric joins it
// to the namespace of one load balancer node. Addresses are translated on both
// sides, so neither VPC learns anything of the other's and both may have the
// same range. There is a path only while the endpoint is available. Operations
// change rows and nothing else; MakePlan reads rows and nothing else. Gateway
// endpoints, endpoint policies, private DNS names and notifications do not
// exist here. internal/cloud/host, the API front and the lab call it; it never
// calls another feature.
package endpoint

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"

	"seikan/internal/cloud/ipam"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Codes of PrivateLink (pl §1.14).
const (
	codeEndpointUnknown     = "InvalidVpcEndpointId.NotFound"
	codeEndpointMalformed   = "InvalidVpcEndpointId.Malformed"
	codeEndpointUnknownItem = "InvalidVpcEndpoint.NotFound" // within an unsuccessful set
	codeServiceUnknown      = "InvalidVpcEndpointServiceId.NotFound"
	codeServiceName         = "InvalidServiceName"
	codeEndpointType        = "InvalidVpcEndpointType"
	codeEndpointLimit       = "VpcEndpointLimitExceeded"
	codeConnected           = "ExistingVpcEndpointConnections"
	codeBalancerUnknown     = "InvalidNetworkLoadBalancerArn.NotFound"
	codeSameZone            = "DuplicateSubnetsInSameZone"
	codePrincipal           = "UnknownPrincipalType.Unsupported"
	codeInvalidState        = "InvalidState"
	codeIdempotency         = "IdempotentParameterMismatch"
)

const (
	// endpointsZone is the hosted zone of endpoint names, as in us-east-1 (pl
	// §1.6). Every region has this one here.
	endpointsZone = "Z7HUB22UULQXV"
	// maxEndpoints is the quota of a VPC (pl §1.2).
	maxEndpoints = 50
)

// CreateVpcEndpointInput says what endpoint is wanted.
type CreateVpcEndpointInput struct {
	Type        string // must be "Interface": the API's default is "Gateway" (pl §1.1)
	VPCID       resource.VPCID
	ServiceName string
	SubnetIDs   []resource.SubnetID
	// SecurityGroupIDs guard the endpoint's interfaces; none is the VPC's default
	// group. They must let consumers in on the service's ports (pl §1.2).
	SecurityGroupIDs []resource.SecurityGroupID
	ClientToken      string
	Tags             resource.Tags
}

// CreateVpcEndpoint makes an endpoint with an interface in each subnet. It
// begins in pendingAcceptance, or available when the service wants no
// acceptance. The same ClientToken returns the endpoint it made. Codes:
// InvalidVpcEndpointType, InvalidVpcID.NotFound, InvalidServiceName for a
// service that does not exist or that the account may not see,
// MissingParameter, InvalidSubnetID.NotFound, DuplicateSubnetsInSameZone,
// InvalidGroup.NotFound, InsufficientFreeAddressesInSubnet,
// VpcEndpointLimitExceeded, IdempotentParameterMismatch.
func CreateVpcEndpoint(tx *store.Tx, who resource.Account, in CreateVpcEndpointInput) (resource.Endpoint, error) {
	if in.Type != resource.EndpointInterface {
		return resource.Endpoint{}, resource.Errorf(codeEndpointType, "VpcEndpointType: %q: only Interface is offered (the default is Gateway)", in.Type)
	}
	vpc, ok := store.VPCs.Get(tx, in.VPCID)
	if !ok || vpc.OwnerID != who {
		return resource.Endpoint{}, resource.Errorf(resource.CodeVPCNotFound, "the vpc %s does not exist", in.VPCID)
	}
	if old, err := sameToken(tx, who, in); err != nil || old.ID != "" {
		return old, err
	}
	svc, err := offered(tx, who, in.ServiceName)
	if err != nil {
		return resource.Endpoint{}, err
	}
	subnets, err := subnetsOf(tx, who, in)
	if err != nil {
		return resource.Endpoint{}, err
	}
	if n := countIn(tx, in.VPCID); n >= maxEndpoints {
		return resource.Endpoint{}, resource.Errorf(codeEndpointLimit, "%s has %d interface endpoints, the most it can have", in.VPCID, n)
	}
	groups, err := ipam.Groups(tx, in.VPCID, in.SecurityGroupIDs)
	if err != nil {
		return resource.Endpoint{}, err
	}
	ep := resource.Endpoint{
		ID: resource.EndpointID(tx.NewID("vpce")), OwnerID: who, Type: in.Type, VPCID: in.VPCID,
		ServiceID: svc.ID, ServiceName: svc.Name, ServiceOwner: svc.OwnerID,
		State: resource.EndpointPendingAcceptance, Groups: groups, CreatedTime: tx.Now(), ClientToken: in.ClientToken, Tags: in.Tags,
	}
	if !svc.AcceptanceRequired {
		ep.State = resource.StateAvailable
	}
	taken := fabricInUse(tx)
	for _, s := range subnets {
		a, err := attach(tx, ep, s, svc)
		if err != nil {
			return resource.Endpoint{}, err
		}
		a.Fabric = lowestFree(taken)
		taken[a.Fabric] = true
		ep.Attachments = append(ep.Attachments, a)
	}
	slices.SortFunc(ep.Attachments, func(a, b resource.EndpointAttachment) int { return strings.Compare(a.Zone, b.Zone) })
	ep.DNSEntries = names(tx, ep, svc)
	store.Endpoints.Put(tx, ep.ID, ep)
	return ep, nil
}

// sameToken returns the endpoint that the same request has made before, or the
// zero one.
func sameToken(tx *store.Tx, who resource.Account, in CreateVpcEndpointInput) (resource.Endpoint, error) {
	if in.ClientToken == "" {
		return resource.Endpoint{}, nil
	}
	for _, ep := range store.Endpoints.List(tx) {
		if ep.OwnerID != who || ep.ClientToken != in.ClientToken {
			continue
		}
		var subnets []resource.SubnetID
		for _, a := range ep.Attachments {
			subnets = append(subnets, a.SubnetID)
		}
		want := slices.Sorted(slices.Values(in.SubnetIDs))
		slices.Sort(subnets)
		sameGroups := len(in.SecurityGroupIDs) == 0 || slices.Equal(in.SecurityGroupIDs, ep.Groups)
		if ep.VPCID != in.VPCID || ep.ServiceName != in.ServiceName || !slices.Equal(subnets, want) || !sameGroups {
			return resource.Endpoint{}, resource.Errorf(codeIdempotency, "ClientToken: %q was used with other parameters for %s", in.ClientToken, ep.ID)
		}
		return ep, nil
	}
	return resource.Endpoint{}, nil
}

// subnetsOf reads the endpoint's subnets: of its VPC, at most one a zone.
func subnetsOf(tx *store.Tx, who resource.Account, in CreateVpcEndpointInput) ([]resource.Subnet, error) {
	if len(in.SubnetIDs) == 0 {
		return nil, resource.Errorf(resource.CodeMissingParameter, "SubnetId: none given: an interface endpoint has an interface in at least one")
	}
	var out []resource.Subnet
	for _, id := range in.SubnetIDs {
		s, ok := store.Subnets.Get(tx, id)
		if !ok || s.OwnerID != who || s.VPCID != in.VPCID {
			return nil, resource.Errorf(resource.CodeSubnetNotFound, "the subnet %s does not exist in %s", id, in.VPCID)
		}
		for _, other := range out {
			if other.Zone == s.Zone {
				return nil, resource.Errorf(codeSameZone, "SubnetId: %s and %s are both in %s", other.ID, s.ID, s.Zone)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func countIn(tx *store.Tx, vpc resource.VPCID) int {
	n := 0
	for _, ep := range store.Endpoints.List(tx) {
		if ep.VPCID == vpc {
			n++
		}
	}
	return n
}

// attach makes the endpoint's interface in one subnet and gives it a load
// balancer node for life (pl §1.4).
func attach(tx *store.Tx, ep resource.Endpoint, s resource.Subnet, svc resource.EndpointService) (resource.EndpointAttachment, error) {
	eni, err := ipam.Create(tx, ipam.Request{
		Owner:       ep.OwnerID,
		SubnetID:    s.ID,
		Groups:      ep.Groups,
		Description: "VPC Endpoint Interface " + string(ep.ID),
		Type:        resource.InterfaceVPCEndpoint,
		RequesterID: "amazon-aws",
	})
	if err != nil {
		return resource.EndpointAttachment{}, err
	}
	eni.Namespace = "vpce-" + strings.TrimPrefix(string(eni.ID), "eni-")
	ipam.Update(tx, eni)
	a := resource.EndpointAttachment{Zone: s.Zone, SubnetID: s.ID, NetworkInterfaceID: eni.ID,
		Address: eni.PrivateIP, Namespace: eni.Namespace}
	balancer, node, ok := chooseNode(tx, svc, eni.ID, s.Zone)
	if !ok {
		return a, resource.Errorf(codeServiceName, "the service %s has no load balancer node", svc.Name)
	}
	a.LoadBalancerARN, a.Node = balancer, node
	return a, nil
}

// chooseNode picks one of the service's nodes in zone or, when there is none
// there, of any. Among several it is the interface's id that decides, which is
// random.
func chooseNode(tx *store.Tx, svc resource.EndpointService, eni resource.NetworkInterfaceID, zone string) (resource.LoadBalancerARN, resource.NetworkInterfaceID, bool) {
	type candidate struct {
		balancer resource.LoadBalancerARN
		node     resource.NetworkInterfaceID
	}
	var here, anywhere []candidate
	for _, id := range svc.LoadBalancers {
		b, _ := store.LoadBalancers.Get(tx, id)
		for _, n := range b.Nodes {
			c := candidate{b.ARN, n.NetworkInterfaceID}
			anywhere = append(anywhere, c)
			if n.Zone == zone {
				here = append(here, c)
			}
		}
	}
	list := here
	if len(list) == 0 {
		list = anywhere
	}
	if len(list) == 0 {
		return "", "", false
	}
	c := list[int(eni[len(eni)-1])%len(list)]
	return c.balancer, c.node, true
}

// names are the DNS names of an endpoint: regional first (pl §1.6).
func names(tx *store.Tx, ep resource.Endpoint, svc resource.EndpointService) []resource.DNSEntry {
	var random [4]byte
	tx.Random(random[:])
	stem := string(ep.ID) + "-" + hex.EncodeToString(random[:])
	out := []resource.DNSEntry{{Name: stem + "." + svc.BaseDNSName, HostedZoneID: endpointsZone}}
	for _, a := range ep.Attachments {
		out = append(out, resource.DNSEntry{Name: stem + "-" + a.Zone + "." + svc.BaseDNSName, HostedZoneID: endpointsZone, Zone: a.Zone})
	}
	return out
}

// DescribeVpcEndpoints lists who's endpoints, all or those named, in order of
// their ids. Codes: InvalidVpcEndpointId.NotFound, .Malformed.
func DescribeVpcEndpoints(tx *store.Tx, who resource.Account, ids ...resource.EndpointID) ([]resource.Endpoint, error) {
	var out []resource.Endpoint
	for _, ep := range store.Endpoints.List(tx) {
		if ep.OwnerID == who && (len(ids) == 0 || slices.Contains(ids, ep.ID)) {
			out = append(out, ep)
		}
	}
	for _, id := range ids {
		if !resource.ValidID("vpce", string(id)) {
			return nil, resource.Errorf(codeEndpointMalformed, "the endpoint id %q is not vpce- and 17 hex digits", id)
		}
		if !slices.ContainsFunc(out, func(ep resource.Endpoint) bool { return ep.ID == id }) {
			return nil, resource.Errorf(codeEndpointUnknown, "the endpoint %s does not exist", id)
		}
	}
	return out, nil
}

// An Unsuccessful is one item that a call on several could not do.
type Unsuccessful struct {
	ResourceID string
	Err        error
}

// DeleteVpcEndpoints removes endpoints, whatever their state, with their
// interfaces. An id that is not who's comes back unsuccessful with
// InvalidVpcEndpoint.NotFound; the others are done.
func DeleteVpcEndpoints(tx *store.Tx, who resource.Account, ids ...resource.EndpointID) []Unsuccessful {
	var failed []Unsuccessful
	for _, id := range ids {
		ep, ok := store.Endpoints.Get(tx, id)
		if !ok || ep.OwnerID != who {
			failed = append(failed, Unsuccessful{string(id), resource.Errorf(codeEndpointUnknownItem, "the endpoint %s does not exist", id)})
			continue
		}
		for _, a := range ep.Attachments {
			ipam.Delete(tx, a.NetworkInterfaceID)
		}
		store.Endpoints.Delete(tx, id)
	}
	return failed
}

// AcceptVpcEndpointConnections makes endpoints of a service of who's available:
// those that wait, and those that were rejected. Each other one comes back
// unsuccessful. Code: InvalidVpcEndpointServiceId.NotFound.
func AcceptVpcEndpointConnections(tx *store.Tx, who resource.Account, service resource.EndpointServiceID, ids ...resource.EndpointID) ([]Unsuccessful, error) {
	return decide(tx, who, decision{service, resource.StateAvailable,
		[]resource.State{resource.EndpointPendingAcceptance, resource.EndpointRejected}}, ids)
}

// RejectVpcEndpointConnections refuses endpoints of a service of who's that wait,
// or cuts off those that are available (pl §1.3). The consumer keeps a rejected
// endpoint until he deletes it. Each other one comes back unsuccessful.
func RejectVpcEndpointConnections(tx *store.Tx, who resource.Account, service resource.EndpointServiceID, ids ...resource.EndpointID) ([]Unsuccessful, error) {
	return decide(tx, who, decision{service, resource.EndpointRejected,
		[]resource.State{resource.EndpointPendingAcceptance, resource.StateAvailable}}, ids)
}

// A decision of the provider moves endpoints of a service from any of the
// states from to the state to.
//
//	pendingAcceptance ──accept──▶ available ◀──┐
//	        │                        │      accept
//	        └───────reject───────────┴──▶ rejected
type decision struct {
	service resource.EndpointServiceID
	to      resource.State
	from    []resource.State
}

func decide(tx *store.Tx, who resource.Account, d decision, ids []resource.EndpointID) ([]Unsuccessful, error) {
	svc, err := myService(tx, who, d.service)
	if err != nil {
		return nil, err
	}
	var failed []Unsuccessful
	for _, id := range ids {
		ep, ok := store.Endpoints.Get(tx, id)
		switch {
		case !ok || ep.ServiceID != svc.ID:
			failed = append(failed, Unsuccessful{string(id), resource.Errorf(codeEndpointUnknownItem, "the endpoint %s does not exist", id)})
		case !slices.Contains(d.from, ep.State):
			failed = append(failed, Unsuccessful{string(id), resource.Errorf(codeInvalidState, "the endpoint %s is %s", id, ep.State)})
		default:
			ep.State = d.to
			store.Endpoints.Put(tx, id, ep)
		}
	}
	return failed, nil
}

// A Connection is an endpoint as the provider sees it.
type Connection struct {
	ServiceID     resource.EndpointServiceID
	EndpointID    resource.EndpointID
	EndpointOwner resource.Account
	State         resource.State
	LoadBalancers []resource.LoadBalancerARN
	DNSEntries    []resource.DNSEntry
}

// DescribeVpcEndpointConnections lists the endpoints of who's services, or of
// one of them, by service and endpoint.
func DescribeVpcEndpointConnections(tx *store.Tx, who resource.Account, service resource.EndpointServiceID) []Connection {
	var out []Connection
	for _, ep := range store.Endpoints.List(tx) {
		if ep.ServiceOwner != who || service != "" && ep.ServiceID != service {
			continue
		}
		c := Connection{ServiceID: ep.ServiceID, EndpointID: ep.ID, EndpointOwner: ep.OwnerID, State: ep.State, DNSEntries: ep.DNSEntries}
		for _, a := range ep.Attachments {
			if !slices.Contains(c.LoadBalancers, a.LoadBalancerARN) {
				c.LoadBalancers = append(c.LoadBalancers, a.LoadBalancerARN)
			}
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Connection) int {
		return cmp.Or(cmp.Compare(a.ServiceID, b.ServiceID), cmp.Compare(a.EndpointID, b.EndpointID))
	})
	return out
}
