package endpoint

import (
	"slices"
	"strings"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// CreateServiceInput says what endpoint service is wanted.
type CreateServiceInput struct {
	LoadBalancerARNs []resource.LoadBalancerARN // at least one, each in no other service
	// AcceptanceRequired makes endpoints wait for the provider; nil is true (pl
	// §1.5).
	AcceptanceRequired *bool
	Tags               resource.Tags
}

// CreateVpcEndpointServiceConfiguration offers load balancers as a service, at
// first to the owner's own account alone. Codes: MissingParameter,
// InvalidNetworkLoadBalancerArn.NotFound, InvalidParameterValue for a load
// balancer that another service offers.
func CreateVpcEndpointServiceConfiguration(tx *store.Tx, who resource.Account, in CreateServiceInput) (resource.EndpointService, error) {
	if len(in.LoadBalancerARNs) == 0 {
		return resource.EndpointService{}, resource.Errorf(resource.CodeMissingParameter, "NetworkLoadBalancerArn: none given")
	}
	svc := resource.EndpointService{
		ID: resource.EndpointServiceID(tx.NewID("vpce-svc")), OwnerID: who, State: resource.ServiceAvailable,
		AcceptanceRequired: in.AcceptanceRequired == nil || *in.AcceptanceRequired,
		CreatedTime:        tx.Now(), Tags: in.Tags,
	}
	for _, id := range in.LoadBalancerARNs {
		b, ok := store.LoadBalancers.Get(tx, id)
		if !ok || b.OwnerID != who {
			return resource.EndpointService{}, resource.Errorf(codeBalancerUnknown, "the network load balancer %s does not exist", id)
		}
		if other := serviceOf(tx, id); other != "" || slices.Contains(svc.LoadBalancers, id) {
			return resource.EndpointService{}, resource.Errorf(resource.CodeInvalidParameterValue, "NetworkLoadBalancerArn: %s is in a service already: at most one", id)
		}
		svc.LoadBalancers = append(svc.LoadBalancers, id)
		svc.Region = b.Region
		for _, n := range b.Nodes {
			if !slices.Contains(svc.Zones, n.Zone) {
				svc.Zones = append(svc.Zones, n.Zone)
			}
		}
	}
	slices.Sort(svc.Zones)
	svc.Name = "com.amazonaws.vpce." + svc.Region + "." + string(svc.ID)
	svc.BaseDNSName = string(svc.ID) + "." + svc.Region + ".vpce.amazonaws.com"
	store.EndpointServices.Put(tx, svc.ID, svc)
	return svc, nil
}

// serviceOf is the service that offers a load balancer, or empty.
func serviceOf(tx *store.Tx, id resource.LoadBalancerARN) resource.EndpointServiceID {
	for _, svc := range store.EndpointServices.List(tx) {
		if slices.Contains(svc.LoadBalancers, id) {
			return svc.ID
		}
	}
	return ""
}

// DescribeVpcEndpointServiceConfigurations lists who's services, all or those
// named, in order of their ids. Code: InvalidVpcEndpointServiceId.NotFound.
func DescribeVpcEndpointServiceConfigurations(tx *store.Tx, who resource.Account, ids ...resource.EndpointServiceID) ([]resource.EndpointService, error) {
	if len(ids) > 0 {
		var out []resource.EndpointService
		for _, id := range ids {
			svc, err := myService(tx, who, id)
			if err != nil {
				return nil, err
			}
			out = append(out, svc)
		}
		return out, nil
	}
	return slices.DeleteFunc(store.EndpointServices.List(tx), func(svc resource.EndpointService) bool { return svc.OwnerID != who }), nil
}

// ModifyVpcEndpointServiceConfiguration changes whether endpoints must be
// accepted; those that wait already go on waiting. Code:
// InvalidVpcEndpointServiceId.NotFound.
func ModifyVpcEndpointServiceConfiguration(tx *store.Tx, who resource.Account, id resource.EndpointServiceID, acceptanceRequired bool) (resource.EndpointService, error) {
	svc, err := myService(tx, who, id)
	if err != nil {
		return svc, err
	}
	svc.AcceptanceRequired = acceptanceRequired
	store.EndpointServices.Put(tx, id, svc)
	return svc, nil
}

// DeleteVpcEndpointServiceConfigurations removes services. One that has
// endpoints that are available or wait comes back unsuccessful with
// ExistingVpcEndpointConnections: reject them first (pl §1.4).
func DeleteVpcEndpointServiceConfigurations(tx *store.Tx, who resource.Account, ids ...resource.EndpointServiceID) []Unsuccessful {
	var failed []Unsuccessful
	for _, id := range ids {
		svc, err := myService(tx, who, id)
		if err == nil {
			err = unconnected(tx, svc)
		}
		if err != nil {
			failed = append(failed, Unsuccessful{string(id), err})
			continue
		}
		store.EndpointServices.Delete(tx, id)
	}
	return failed
}

func unconnected(tx *store.Tx, svc resource.EndpointService) error {
	for _, ep := range store.Endpoints.List(tx) {
		if ep.ServiceID == svc.ID && (ep.State == resource.StateAvailable || ep.State == resource.EndpointPendingAcceptance) {
			return resource.Errorf(codeConnected, "the service %s has endpoint %s, which is %s: reject it first", svc.ID, ep.ID, ep.State)
		}
	}
	return nil
}

// DescribeVpcEndpointServices lists the services that who may make endpoints
// of, all or those of the given names. Code: InvalidServiceName.
func DescribeVpcEndpointServices(tx *store.Tx, who resource.Account, serviceNames ...string) ([]resource.EndpointService, error) {
	if len(serviceNames) > 0 {
		var out []resource.EndpointService
		for _, name := range serviceNames {
			svc, err := offered(tx, who, name)
			if err != nil {
				return nil, err
			}
			out = append(out, consumerView(who, svc))
		}
		return out, nil
	}
	var out []resource.EndpointService
	for _, svc := range store.EndpointServices.List(tx) {
		if permitted(who, svc) {
			out = append(out, consumerView(who, svc))
		}
	}
	return out, nil
}

// consumerView leaves out what only the owner may see.
func consumerView(who resource.Account, svc resource.EndpointService) resource.EndpointService {
	if who != svc.OwnerID {
		svc.LoadBalancers, svc.Permissions, svc.Tags = nil, nil, nil
	}
	return svc
}

// offered returns the service called name if who may see it.
func offered(tx *store.Tx, who resource.Account, name string) (resource.EndpointService, error) {
	for _, svc := range store.EndpointServices.List(tx) {
		if svc.Name == name && permitted(who, svc) {
			return svc, nil
		}
	}
	return resource.EndpointService{}, resource.Errorf(codeServiceName, "the service name %q does not exist", name)
}

// permitted reports whether an account may make endpoints of svc. Its owner may
// without an entry; entries of users and roles admit their account, since
// there are no users and roles here (pl §1.5).
func permitted(who resource.Account, svc resource.EndpointService) bool {
	return who == svc.OwnerID || slices.ContainsFunc(svc.Permissions, func(p resource.ServicePermission) bool {
		return p.Principal == "*" || strings.HasPrefix(p.Principal, "arn:aws:iam::"+string(who)+":")
	})
}

// ModifyVpcEndpointServicePermissions adds and removes principals, in this order,
// and returns those added. Endpoints that exist are not touched (pl §1.5). Codes:
// InvalidVpcEndpointServiceId.NotFound, UnknownPrincipalType.Unsupported.
func ModifyVpcEndpointServicePermissions(tx *store.Tx, who resource.Account, id resource.EndpointServiceID, add, remove []string) ([]resource.ServicePermission, error) {
	svc, err := myService(tx, who, id)
	if err != nil {
		return nil, err
	}
	var added []resource.ServicePermission
	for _, principal := range add {
		kind, err := principalType(principal)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(svc.Permissions, func(p resource.ServicePermission) bool { return p.Principal == principal }) {
			continue
		}
		p := resource.ServicePermission{ID: resource.ServicePermissionID(tx.NewID("vpce-svc-perm")), Principal: principal, Type: kind}
		svc.Permissions, added = append(svc.Permissions, p), append(added, p)
	}
	svc.Permissions = slices.DeleteFunc(svc.Permissions, func(p resource.ServicePermission) bool { return slices.Contains(remove, p.Principal) })
	store.EndpointServices.Put(tx, id, svc)
	return added, nil
}

// DescribeVpcEndpointServicePermissions lists the principals that may use a
// service. Code: InvalidVpcEndpointServiceId.NotFound.
func DescribeVpcEndpointServicePermissions(tx *store.Tx, who resource.Account, id resource.EndpointServiceID) ([]resource.ServicePermission, error) {
	svc, err := myService(tx, who, id)
	return svc.Permissions, err
}

// principalType checks a principal: arn:aws:iam::<account>:root, :user/<name>,
// :role/<name> or *. ARNs with paths are refused (pl §1.5).
func principalType(principal string) (string, error) {
	if principal == "*" {
		return "All", nil
	}
	refused := resource.Errorf(codePrincipal, "principal %q: * or arn:aws:iam::<account>: and root, user/<name> or role/<name> without a path", principal)
	rest, ok := strings.CutPrefix(principal, "arn:aws:iam::")
	account, rest, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 || resource.Account(account).Validate() != nil {
		return "", refused
	}
	if rest == "root" {
		return "Account", nil
	}
	kind, name, _ := strings.Cut(rest, "/")
	if name == "" || strings.Contains(name, "/") {
		return "", refused
	}
	switch kind {
	case "user":
		return "User", nil
	case "role":
		return "Role", nil
	}
	return "", refused
}

// myService returns a service that who owns.
func myService(tx *store.Tx, who resource.Account, id resource.EndpointServiceID) (resource.EndpointService, error) {
	svc, ok := store.EndpointServices.Get(tx, id)
	if !ok || svc.OwnerID != who {
		return resource.EndpointService{}, resource.Errorf(codeServiceUnknown, "the endpoint service %s does not exist", id)
	}
	return svc, nil
}
