package lb

import (
	"net/netip"
	"slices"
	"strings"

	"seikan/internal/cloud/ipam"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Codes of load balancing (pl §2.12).
const (
	codeValidation          = "ValidationError"
	codeLoadBalancerUnknown = "LoadBalancerNotFound"
	codeListenerUnknown     = "ListenerNotFound"
	codeTargetGroupUnknown  = "TargetGroupNotFound"
	codeSubnetUnknown       = "SubnetNotFound"
	codeInvalidSubnet       = "InvalidSubnet"
	codeInvalidGroup        = "InvalidSecurityGroup"
	codeInvalidScheme       = "InvalidScheme"
	codeInvalidConfig       = "InvalidConfigurationRequest"
	codeInvalidTarget       = "InvalidTarget"
	codeDuplicateName       = "DuplicateLoadBalancerName"
	codeDuplicateGroupName  = "DuplicateTargetGroupName"
	codeDuplicateListener   = "DuplicateListener"
	codeTooManyListeners    = "TooManyListeners"
	codeTooManyTargets      = "TooManyTargets"
	codeTooManyGroups       = "TooManyTargetGroups"
	codeAssociationLimit    = "TargetGroupAssociationLimit"
	codeUnsupportedProtocol = "UnsupportedProtocol"
	codeNotPermitted        = "OperationNotPermitted"
	codeInUse               = "ResourceInUse"
)

// canonicalZone is the hosted zone of load balancer names, as in us-east-1
// (pl §2.2). Every region has this one here.
const canonicalZone = "Z26RNL4JYFTOTI"

// A SubnetMapping puts a node into a subnet.
type SubnetMapping struct {
	SubnetID           resource.SubnetID
	PrivateIPv4Address netip.Addr // zero: a free one
}

// CreateLoadBalancerInput says what load balancer is wanted.
type CreateLoadBalancerInput struct {
	Name           string // 1 to 32 letters, digits and hyphens
	Type           string // must be "network": the API's default is "application" (pl §2.1)
	Scheme         resource.LoadBalancerScheme
	SubnetMappings []SubnetMapping // one a zone, all of one VPC
	// SecurityGroups guard the nodes' interfaces; with none, everything passes
	// to the listeners (pl §1.9). What comes from an endpoint meets the groups
	// of the endpoint and of the targets but not these: AWS's
	// EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic is always "off".
	SecurityGroups []resource.SecurityGroupID
	Tags           resource.Tags
}

// CreateLoadBalancer makes a Network Load Balancer with an interface in each
// subnet. The same name with the same settings returns the one that exists
// (pl §2.1). Codes: ValidationError, InvalidScheme, SubnetNotFound,
// InvalidSubnet, InvalidSecurityGroup, InvalidConfigurationRequest,
// DuplicateLoadBalancerName.
func CreateLoadBalancer(tx *store.Tx, who resource.Account, in CreateLoadBalancerInput) (resource.LoadBalancer, error) {
	if err := checkLoadBalancer(in); err != nil {
		return resource.LoadBalancer{}, err
	}
	subnets, err := subnetsOf(tx, who, in.SubnetMappings)
	if err != nil {
		return resource.LoadBalancer{}, err
	}
	for _, b := range store.LoadBalancers.List(tx) {
		if b.OwnerID != who || b.Name != in.Name {
			continue
		}
		if sameSettings(b, in) {
			return b, nil
		}
		return resource.LoadBalancer{}, resource.Errorf(codeDuplicateName, "a load balancer with the name %q exists with other settings", in.Name)
	}
	vpc, ok := store.VPCs.Get(tx, subnets[0].VPCID)
	if !ok {
		return resource.LoadBalancer{}, resource.Errorf(codeInvalidConfig, "the VPC %s of subnet %s does not exist", subnets[0].VPCID, subnets[0].ID)
	}
	id := hex16(tx)
	b := resource.LoadBalancer{
		ARN:                   resource.LoadBalancerARN(arn(vpc.Region, who, "loadbalancer/net/"+in.Name+"/"+id)),
		OwnerID:               who,
		Name:                  in.Name,
		Hex:                   id,
		DNSName:               strings.ToLower(in.Name) + "-" + id + ".elb." + vpc.Region + ".amazonaws.com",
		CanonicalHostedZoneID: canonicalZone,
		Scheme:                in.Scheme,
		State:                 resource.StateActive,
		VPCID:                 vpc.ID,
		Region:                vpc.Region,
		Groups:                slices.Clone(in.SecurityGroups),
		CreatedTime:           tx.Now(),
		Tags:                  in.Tags,
	}
	for i, m := range in.SubnetMappings {
		node, err := createNode(tx, b, subnets[i], m)
		if err != nil {
			return resource.LoadBalancer{}, err
		}
		b.Nodes = append(b.Nodes, node)
	}
	slices.SortFunc(b.Nodes, func(x, y resource.LoadBalancerNode) int { return strings.Compare(x.Zone, y.Zone) })
	store.LoadBalancers.Put(tx, b.ARN, b)
	return b, nil
}

// validName reports whether s can name a load balancer or a target group (pl
// §2.1, §2.4).
func validName(s string) bool {
	for _, c := range []byte(s) {
		if !(c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32 && s[0] != '-' && s[len(s)-1] != '-'
}

func checkLoadBalancer(in CreateLoadBalancerInput) error {
	switch {
	case !validName(in.Name):
		return resource.Errorf(codeValidation, "Name: %q is not 1 to 32 letters, digits and hyphens without a hyphen at either end", in.Name)
	case strings.HasPrefix(in.Name, "internal-"):
		return resource.Errorf(codeValidation, "Name: %q begins with \"internal-\", which is reserved", in.Name)
	case in.Type != "network":
		return resource.Errorf(codeValidation, "Type: %q: only \"network\" is offered (the default is \"application\")", in.Type)
	case in.Scheme != resource.SchemeInternal:
		return resource.Errorf(codeInvalidScheme, "Scheme: %q: only \"internal\" is offered (the default is \"internet-facing\")", in.Scheme)
	case len(in.SubnetMappings) == 0:
		return resource.Errorf(codeValidation, "Subnets: none given: a load balancer has a node in at least one")
	}
	return nil
}

// subnetsOf reads the subnets of the mappings: one VPC, one a zone.
func subnetsOf(tx *store.Tx, who resource.Account, mappings []SubnetMapping) ([]resource.Subnet, error) {
	var out []resource.Subnet
	for _, m := range mappings {
		s, ok := store.Subnets.Get(tx, m.SubnetID)
		if !ok || s.OwnerID != who {
			return nil, resource.Errorf(codeSubnetUnknown, "the subnet %s does not exist", m.SubnetID)
		}
		for _, other := range out {
			if other.VPCID != s.VPCID {
				return nil, resource.Errorf(codeInvalidConfig, "Subnets: %s is of %s and %s of %s: all are of one VPC", other.ID, other.VPCID, s.ID, s.VPCID)
			}
			if other.Zone == s.Zone {
				return nil, resource.Errorf(codeInvalidConfig, "Subnets: %s and %s are both in %s: at most one a zone", other.ID, s.ID, s.Zone)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

func sameSettings(b resource.LoadBalancer, in CreateLoadBalancerInput) bool {
	if b.Scheme != in.Scheme || !slices.Equal(b.Groups, in.SecurityGroups) || len(b.Nodes) != len(in.SubnetMappings) {
		return false
	}
	for _, m := range in.SubnetMappings {
		if !slices.ContainsFunc(b.Nodes, func(n resource.LoadBalancerNode) bool {
			return n.SubnetID == m.SubnetID && (!m.PrivateIPv4Address.IsValid() || n.Address == m.PrivateIPv4Address)
		}) {
			return false
		}
	}
	return true
}

// createNode makes the interface of b in one subnet.
func createNode(tx *store.Tx, b resource.LoadBalancer, s resource.Subnet, m SubnetMapping) (resource.LoadBalancerNode, error) {
	eni, err := ipam.Create(tx, ipam.Request{
		Owner:       b.OwnerID,
		SubnetID:    s.ID,
		PrivateIP:   m.PrivateIPv4Address,
		Groups:      b.Groups,
		Unguarded:   true,
		Description: "ELB net/" + b.Name + "/" + b.Hex,
		Type:        resource.InterfaceLoadBalancer,
		RequesterID: "amazon-elb",
		Attachment:  resource.Attachment{InstanceOwnerID: "amazon-aws", DeviceIndex: 1},
	})
	if err != nil {
		return resource.LoadBalancerNode{}, translate(err)
	}
	eni.Namespace = "nlb-" + strings.TrimPrefix(string(eni.ID), "eni-")
	ipam.Update(tx, eni)
	return resource.LoadBalancerNode{Zone: s.Zone, SubnetID: s.ID, NetworkInterfaceID: eni.ID,
		Address: eni.PrivateIP, Namespace: eni.Namespace}, nil
}

// translate gives an error about an interface the code that this API has for it.
func translate(err error) error {
	switch resource.CodeOf(err) {
	case resource.CodeGroupNotFound, "SecurityGroupsPerInterfaceLimitExceeded":
		return resource.Errorf(codeInvalidGroup, "SecurityGroups: %v", err)
	case resource.CodeNoFreeAddresses, resource.CodeIPAddressInUse, resource.CodeInvalidParameterValue:
		return resource.Errorf(codeInvalidSubnet, "Subnets: %v", err)
	}
	return err
}

// DescribeLoadBalancersInput chooses load balancers; both empty chooses all.
type DescribeLoadBalancersInput struct {
	ARNs  []resource.LoadBalancerARN
	Names []string
}

// DescribeLoadBalancers lists who's load balancers, in order of their ARNs. One
// that is named and does not exist is LoadBalancerNotFound.
func DescribeLoadBalancers(tx *store.Tx, who resource.Account, in DescribeLoadBalancersInput) ([]resource.LoadBalancer, error) {
	var out []resource.LoadBalancer
	foundARN, foundName := make(map[resource.LoadBalancerARN]bool), make(map[string]bool)
	for _, b := range store.LoadBalancers.List(tx) {
		if b.OwnerID != who {
			continue
		}
		all := len(in.ARNs) == 0 && len(in.Names) == 0
		if all || slices.Contains(in.ARNs, b.ARN) || slices.Contains(in.Names, b.Name) {
			foundARN[b.ARN], foundName[b.Name] = true, true
			out = append(out, b)
		}
	}
	for _, a := range in.ARNs {
		if !foundARN[a] {
			return nil, resource.Errorf(codeLoadBalancerUnknown, "load balancer %s does not exist", a)
		}
	}
	for _, n := range in.Names {
		if !foundName[n] {
			return nil, resource.Errorf(codeLoadBalancerUnknown, "load balancer %q does not exist", n)
		}
	}
	return out, nil
}

// DeleteLoadBalancer removes a load balancer, its listeners and its interfaces.
// One that does not exist is no error (pl §2.12). Codes: OperationNotPermitted
// for deletion protection, ResourceInUse while an endpoint service offers it.
func DeleteLoadBalancer(tx *store.Tx, who resource.Account, id resource.LoadBalancerARN) error {
	b, ok := store.LoadBalancers.Get(tx, id)
	if !ok || b.OwnerID != who {
		return nil
	}
	if b.DeletionProtection {
		return resource.Errorf(codeNotPermitted, "load balancer %s cannot be deleted because deletion protection is enabled", id)
	}
	for _, svc := range store.EndpointServices.List(tx) {
		if slices.Contains(svc.LoadBalancers, id) {
			return resource.Errorf(codeInUse, "load balancer %s cannot be deleted because it is currently associated with another service: %s", id, svc.ID)
		}
	}
	for _, l := range store.Listeners.List(tx) {
		if l.LoadBalancerARN == id {
			removeListener(tx, l)
		}
	}
	for _, n := range b.Nodes {
		ipam.Delete(tx, n.NetworkInterfaceID)
	}
	store.LoadBalancers.Delete(tx, id)
	return nil
}

// mine returns a load balancer that who owns.
func mine(tx *store.Tx, who resource.Account, id resource.LoadBalancerARN) (resource.LoadBalancer, error) {
	b, ok := store.LoadBalancers.Get(tx, id)
	if !ok || b.OwnerID != who {
		return b, resource.Errorf(codeLoadBalancerUnknown, "load balancer %s does not exist", id)
	}
	return b, nil
}
