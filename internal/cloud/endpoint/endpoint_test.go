package endpoint

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

const (
	alice = cloudtest.Alice
	bob   = cloudtest.Bob
	carol = cloudtest.Carol

	balancer = resource.LoadBalancerARN("arn:aws:elasticloadbalancing:us-east-1:222222222222:loadbalancer/net/web/0123456789abcdef")
)

// openStore opens a store in which alice has VPC vpc-a with subnets in zones a,
// b and (twice) c, and bob a load balancer with nodes in zones a and b.
func openStore(t *testing.T) *store.Store {
	t.Helper()
	s := cloudtest.Open(t, store.Config{})
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		store.VPCs.Put(tx, "vpc-a", resource.VPC{ID: "vpc-a", OwnerID: alice, Region: "us-east-1",
			CIDR: netip.MustParsePrefix("10.0.0.0/16"), DefaultGroup: "sg-a"})
		store.SecurityGroups.Put(tx, "sg-a", resource.SecurityGroup{ID: "sg-a", OwnerID: alice, VPCID: "vpc-a", Name: "default"})
		for id, cidr := range map[resource.SubnetID]string{"a": "10.0.1.0/24", "b": "10.0.2.0/24", "c": "10.0.3.0/24", "c2": "10.0.4.0/24"} {
			store.Subnets.Put(tx, id, resource.Subnet{ID: id, OwnerID: alice, VPCID: "vpc-a", Zone: "us-east-1" + string(id)[:1], CIDR: netip.MustParsePrefix(cidr)})
		}
		store.LoadBalancers.Put(tx, balancer, resource.LoadBalancer{ARN: balancer, OwnerID: bob, Region: "us-east-1", State: resource.StateActive,
			Nodes: []resource.LoadBalancerNode{
				{Zone: "us-east-1a", NetworkInterfaceID: "eni-na", Address: netip.MustParseAddr("192.168.1.10"), Namespace: "nlb-a"},
				{Zone: "us-east-1b", NetworkInterfaceID: "eni-nb", Address: netip.MustParseAddr("192.168.1.140"), Namespace: "nlb-b"},
			}})
		for port, id := range map[uint16]resource.ListenerARN{443: "l443", 21: "l21"} {
			store.Listeners.Put(tx, id, resource.Listener{ARN: id, OwnerID: bob, LoadBalancerARN: balancer, Protocol: "TCP", Port: port})
		}
		return nil
	})
	return s
}

// offer makes bob's service, which alice may use.
func offer(t *testing.T, s *store.Store) resource.EndpointService {
	t.Helper()
	var svc resource.EndpointService
	cloudtest.Do(t, s, func(tx *store.Tx) (err error) {
		svc, err = CreateVpcEndpointServiceConfiguration(tx, bob, CreateServiceInput{LoadBalancerARNs: []resource.LoadBalancerARN{balancer}})
		if err != nil {
			return err
		}
		_, err = ModifyVpcEndpointServicePermissions(tx, bob, svc.ID, []string{"arn:aws:iam::111111111111:root"}, nil)
		return err
	})
	return svc
}

func input(svc resource.EndpointService) CreateVpcEndpointInput {
	return CreateVpcEndpointInput{Type: "Interface", VPCID: "vpc-a", ServiceName: svc.Name, SubnetIDs: []resource.SubnetID{"b", "a"}}
}

func connect(t *testing.T, s *store.Store, svc resource.EndpointService) resource.Endpoint {
	t.Helper()
	var ep resource.Endpoint
	cloudtest.Do(t, s, func(tx *store.Tx) (err error) {
		ep, err = CreateVpcEndpoint(tx, alice, input(svc))
		return err
	})
	return ep
}

func TestAnEndpointHasInterfacesNodesAndNames(t *testing.T) {
	s := openStore(t)
	svc := offer(t, s)
	ep := connect(t, s, svc)
	if ep.State != resource.EndpointPendingAcceptance {
		t.Errorf("State: got %s, want pendingAcceptance", ep.State)
	}
	if len(ep.Attachments) != 2 {
		t.Fatalf("Attachments: got %d, want 2", len(ep.Attachments))
	}
	a, b := ep.Attachments[0], ep.Attachments[1]
	if a.Zone != "us-east-1a" || a.Node != "eni-na" || b.Zone != "us-east-1b" || b.Node != "eni-nb" || a.Fabric == b.Fabric {
		t.Errorf("Attachments: got %+v, want each zone's own node and a link each", ep.Attachments)
	}
	stem := strings.TrimSuffix(ep.DNSEntries[0].Name, "."+svc.BaseDNSName)
	if !strings.HasPrefix(stem, string(ep.ID)+"-") || len(stem) != len(ep.ID)+9 {
		t.Errorf("regional name: got %s, want %s-<8 random>.%s", ep.DNSEntries[0].Name, ep.ID, svc.BaseDNSName)
	}
	if want := stem + "-us-east-1a." + svc.BaseDNSName; len(ep.DNSEntries) != 3 || ep.DNSEntries[1].Name != want {
		t.Errorf("DNSEntries: got %+v, want %s second of three", ep.DNSEntries, want)
	}
	if want := "com.amazonaws.vpce.us-east-1." + string(svc.ID); svc.Name != want {
		t.Errorf("service name: got %s, want %s", svc.Name, want)
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		eni, _ := store.NetworkInterfaces.Get(tx, a.NetworkInterfaceID)
		if want := "VPC Endpoint Interface " + string(ep.ID); eni.Description != want || !eni.RequesterManaged || eni.Namespace != a.Namespace ||
			!slices.Equal(eni.Groups, []resource.SecurityGroupID{"sg-a"}) {
			t.Errorf("interface: got %+v, want %q, requester-managed, default group", eni, want)
		}
		return nil
	})
}

func TestAZoneWithoutANodeFallsBackToAnother(t *testing.T) {
	s := openStore(t)
	svc := offer(t, s)
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		in := input(svc)
		in.SubnetIDs = []resource.SubnetID{"c"}
		ep, err := CreateVpcEndpoint(tx, alice, in)
		if err != nil {
			return err
		}
		if got := ep.Attachments[0].Node; got != "eni-na" && got != "eni-nb" {
			t.Errorf("Node: got %q, want one of the service's", got)
		}
		return nil
	})
}

func TestOperationsRefuse(t *testing.T) {
	s := openStore(t)
	svc := offer(t, s)
	connect(t, s, svc)
	create := func(who resource.Account, edit func(*CreateVpcEndpointInput)) func(*store.Tx) error {
		in := input(svc)
		edit(&in)
		return func(tx *store.Tx) error { _, err := CreateVpcEndpoint(tx, who, in); return err }
	}
	service := func(who resource.Account, ids ...resource.LoadBalancerARN) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := CreateVpcEndpointServiceConfiguration(tx, who, CreateServiceInput{LoadBalancerARNs: ids})
			return err
		}
	}
	allow := func(principal string) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			_, err := ModifyVpcEndpointServicePermissions(tx, bob, svc.ID, []string{principal}, nil)
			return err
		}
	}
	for _, c := range []struct {
		name string
		fn   func(*store.Tx) error
		want string
	}{
		{"a gateway endpoint", create(alice, func(in *CreateVpcEndpointInput) { in.Type = "" }), "InvalidVpcEndpointType"},
		{"another account's VPC", create(bob, func(*CreateVpcEndpointInput) {}), "InvalidVpcID.NotFound"},
		{"an unknown service", create(alice, func(in *CreateVpcEndpointInput) { in.ServiceName = "x" }), "InvalidServiceName"},
		{"a service that is no longer permitted", func(tx *store.Tx) error {
			if _, err := ModifyVpcEndpointServicePermissions(tx, bob, svc.ID, nil, []string{"arn:aws:iam::111111111111:root"}); err != nil {
				return err
			}
			_, err := CreateVpcEndpoint(tx, alice, input(svc))
			return err
		}, "InvalidServiceName"},
		{"no subnet", create(alice, func(in *CreateVpcEndpointInput) { in.SubnetIDs = nil }), "MissingParameter"},
		{"an unknown subnet", create(alice, func(in *CreateVpcEndpointInput) { in.SubnetIDs[0] = "x" }), "InvalidSubnetID.NotFound"},
		{"one zone twice", create(alice, func(in *CreateVpcEndpointInput) { in.SubnetIDs = []resource.SubnetID{"c", "c2"} }), "DuplicateSubnetsInSameZone"},
		{"an unknown group", create(alice, func(in *CreateVpcEndpointInput) { in.SecurityGroupIDs = []resource.SecurityGroupID{"x"} }), "InvalidGroup.NotFound"},
		{"too many endpoints", func(tx *store.Tx) error {
			in := input(svc)
			in.SubnetIDs = in.SubnetIDs[:1]
			for range maxEndpoints - 1 {
				if _, err := CreateVpcEndpoint(tx, alice, in); err != nil {
					t.Fatal(err)
				}
			}
			_, err := CreateVpcEndpoint(tx, alice, in)
			return err
		}, "VpcEndpointLimitExceeded"},
		{"a token with other parameters", func(tx *store.Tx) error {
			in := input(svc)
			in.ClientToken = "t"
			if _, err := CreateVpcEndpoint(tx, alice, in); err != nil {
				return err
			}
			in.SubnetIDs = in.SubnetIDs[:1]
			_, err := CreateVpcEndpoint(tx, alice, in)
			return err
		}, "IdempotentParameterMismatch"},

		{"a service of nothing", service(bob), "MissingParameter"},
		{"a service of an unknown load balancer", service(bob, "x"), "InvalidNetworkLoadBalancerArn.NotFound"},
		{"a service of another's load balancer", service(alice, balancer), "InvalidNetworkLoadBalancerArn.NotFound"},
		{"a second service of one load balancer", service(bob, balancer), "InvalidParameterValue"},
		{"a principal with a path", allow("arn:aws:iam::111111111111:role/a/b"), "UnknownPrincipalType.Unsupported"},
		{"a principal of eleven digits", allow("arn:aws:iam::11111111111:root"), "UnknownPrincipalType.Unsupported"},
		{"a principal without a name", allow("arn:aws:iam::111111111111:user/"), "UnknownPrincipalType.Unsupported"},
		{"accepting at another's service", func(tx *store.Tx) error { _, err := AcceptVpcEndpointConnections(tx, alice, svc.ID); return err }, "InvalidVpcEndpointServiceId.NotFound"},
		{"deleting a service that is used", func(tx *store.Tx) error {
			return DeleteVpcEndpointServiceConfigurations(tx, bob, svc.ID)[0].Err
		}, "ExistingVpcEndpointConnections"},
		{"describing a malformed id", func(tx *store.Tx) error { _, err := DescribeVpcEndpoints(tx, alice, "vpce-x"); return err }, "InvalidVpcEndpointId.Malformed"},
		{"describing an unknown id", func(tx *store.Tx) error {
			_, err := DescribeVpcEndpoints(tx, alice, "vpce-0123456789abcdef0")
			return err
		}, "InvalidVpcEndpointId.NotFound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := cloudtest.Code(t, s, c.fn); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestPermissionsDecideWhoSeesAService(t *testing.T) {
	s := openStore(t)
	svc := offer(t, s)
	sees := func(tx *store.Tx, who resource.Account) bool {
		list, err := DescribeVpcEndpointServices(tx, who)
		if err != nil {
			t.Fatal(err)
		}
		for _, seen := range list {
			if who != bob && (seen.LoadBalancers != nil || seen.Permissions != nil) {
				t.Errorf("%s sees %+v, want nothing of the provider's side", who, seen)
			}
		}
		return len(list) == 1
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		if !sees(tx, alice) || !sees(tx, bob) || sees(tx, carol) {
			t.Error("with alice permitted: want alice and bob to see it, and carol not")
		}
		added, err := ModifyVpcEndpointServicePermissions(tx, bob, svc.ID, []string{"*"}, nil)
		if err != nil || len(added) != 1 || added[0].Type != "All" || !strings.HasPrefix(string(added[0].ID), "vpce-svc-perm-") {
			t.Errorf("added: got %+v, %v, want one of type All", added, err)
		}
		if !sees(tx, carol) {
			t.Error("with everybody permitted: want carol to see it")
		}
		return nil
	})
}

func TestProviderDecisionsMoveStates(t *testing.T) {
	s := openStore(t)
	svc := offer(t, s)
	ep := connect(t, s, svc)
	// Each step is a decision, whether it succeeds and the state after it.
	for i, step := range []struct {
		accept bool
		ok     bool
		want   resource.State
	}{
		{true, true, "available"},
		{true, false, "available"},
		{false, true, "rejected"},
		{false, false, "rejected"},
		{true, true, "available"},
		{false, true, "rejected"},
	} {
		cloudtest.Do(t, s, func(tx *store.Tx) error {
			decide := RejectVpcEndpointConnections
			if step.accept {
				decide = AcceptVpcEndpointConnections
			}
			failed, err := decide(tx, bob, svc.ID, ep.ID)
			if err != nil {
				return err
			}
			if (len(failed) == 0) != step.ok {
				t.Errorf("step %d: got unsuccessful %v, want success %t", i, failed, step.ok)
			}
			list := DescribeVpcEndpointConnections(tx, bob, svc.ID)
			if len(list) != 1 || list[0].State != step.want || list[0].EndpointOwner != alice {
				t.Errorf("step %d: got %+v, want %s of alice", i, list, step.want)
			}
			return nil
		})
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		if failed := DeleteVpcEndpoints(tx, bob, ep.ID); len(failed) != 1 || resource.CodeOf(failed[0].Err) != "InvalidVpcEndpoint.NotFound" {
			t.Errorf("the provider deletes it: got %v, want InvalidVpcEndpoint.NotFound", failed)
		}
		if failed := DeleteVpcEndpoints(tx, alice, ep.ID); failed != nil {
			t.Errorf("the consumer deletes it: got %v, want success", failed)
		}
		if failed := DeleteVpcEndpointServiceConfigurations(tx, bob, svc.ID); failed != nil {
			t.Errorf("the provider deletes the service: got %v, want success", failed)
		}
		if n := len(store.NetworkInterfaces.List(tx)); n != 0 {
			t.Errorf("interfaces left: got %d, want 0", n)
		}
		return nil
	})
}

func TestServicesWithoutAcceptanceConnectAtOnce(t *testing.T) {
	s := openStore(t)
	svc := offer(t, s)
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		_, err := ModifyVpcEndpointServiceConfiguration(tx, bob, svc.ID, false)
		return err
	})
	if ep := connect(t, s, svc); ep.State != resource.StateAvailable {
		t.Errorf("State: got %s, want available", ep.State)
	}
}

func TestTheSameTokenMakesOneEndpoint(t *testing.T) {
	s := openStore(t)
	in := input(offer(t, s))
	in.ClientToken = "once"
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		first, err := CreateVpcEndpoint(tx, alice, in)
		if err != nil {
			return err
		}
		second, err := CreateVpcEndpoint(tx, alice, in)
		if err != nil || second.ID != first.ID {
			t.Errorf("again: got %s, %v, want %s", second.ID, err, first.ID)
		}
		return nil
	})
}

func TestPlanReadsLikeIpAndNft(t *testing.T) {
	attachment := func(zone, addr, node string, fabric uint32) resource.EndpointAttachment {
		return resource.EndpointAttachment{Zone: zone, Address: netip.MustParseAddr(addr), Namespace: "vpce-" + zone,
			LoadBalancerARN: balancer, Node: resource.NetworkInterfaceID(node), Fabric: fabric}
	}
	s := Snapshot{
		LoadBalancers: []resource.LoadBalancer{{ARN: balancer, Nodes: []resource.LoadBalancerNode{{NetworkInterfaceID: "eni-na", Namespace: "nlb-a"}}}},
		Listeners:     []resource.Listener{{LoadBalancerARN: balancer, Port: 443}, {LoadBalancerARN: balancer, Port: 21}, {LoadBalancerARN: "other", Port: 1}},
		Endpoints: []resource.Endpoint{
			{ID: "vpce-1", State: resource.StateAvailable, Attachments: []resource.EndpointAttachment{
				attachment("a", "10.0.1.9", "eni-na", 0), attachment("b", "10.0.2.9", "eni-na", 300)}},
			{ID: "vpce-2", State: resource.EndpointRejected, Attachments: []resource.EndpointAttachment{attachment("c", "10.0.1.10", "eni-na", 1)}},
			{ID: "vpce-3", State: resource.EndpointPendingAcceptance, Attachments: []resource.EndpointAttachment{attachment("d", "10.0.1.11", "eni-na", 2)}},
		},
	}
	p := MakePlan(s)
	if err := p.Spec.Validate(); err != nil {
		t.Error(err)
	}
	if want := []Cut{{"vpce-c"}, {"vpce-d"}}; !slices.Equal(p.Cuts, want) {
		t.Errorf("Cuts: got %v, want %v", p.Cuts, want)
	}
	cloudtest.Golden(t, "plan.txt", p.Spec.String())
}
