package lb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/lb/health"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

const (
	alice = cloudtest.Alice
	bob   = cloudtest.Bob
)

// openStore opens a store in which bob has VPC vpc-b with subnets in zones a and
// b, a group and an instance in each zone.
func openStore(t *testing.T) *store.Store {
	t.Helper()
	s := cloudtest.Open(t, store.Config{Now: func() time.Time { return time.Unix(1700000000, 0) }})
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		store.VPCs.Put(tx, "vpc-b", resource.VPC{ID: "vpc-b", OwnerID: bob, Region: "us-east-1",
			CIDR: netip.MustParsePrefix("192.168.1.0/24"), DefaultGroup: "sg-b"})
		store.SecurityGroups.Put(tx, "sg-b", resource.SecurityGroup{ID: "sg-b", OwnerID: bob, VPCID: "vpc-b", Name: "default"})
		for zone, cidr := range map[string]string{"a": "192.168.1.0/25", "b": "192.168.1.128/25"} {
			id := resource.SubnetID("subnet-" + zone)
			store.Subnets.Put(tx, id, resource.Subnet{ID: id, OwnerID: bob, VPCID: "vpc-b", Zone: "us-east-1" + zone, CIDR: netip.MustParsePrefix(cidr)})
		}
		for id, addr := range map[resource.InstanceID]string{"i-1": "192.168.1.20", "i-2": "192.168.1.150"} {
			zone := "us-east-1a"
			if id == "i-2" {
				zone = "us-east-1b"
			}
			store.Instances.Put(tx, id, resource.Instance{ID: id, OwnerID: bob, State: resource.StateRunning, VPCID: "vpc-b",
				Zone: zone, PrivateIP: netip.MustParseAddr(addr)})
		}
		return nil
	})
	return s
}

func lbInput() CreateLoadBalancerInput {
	return CreateLoadBalancerInput{Name: "web", Type: "network", Scheme: resource.SchemeInternal,
		SubnetMappings: []SubnetMapping{{SubnetID: "subnet-b"}, {SubnetID: "subnet-a"}}}
}

func groupInput() CreateTargetGroupInput {
	return CreateTargetGroupInput{Name: "https", Protocol: "TCP", Port: 443, VPCID: "vpc-b",
		HealthCheck: HealthCheckInput{Interval: 5 * time.Second, HealthyThreshold: 2}}
}

// A built is a load balancer with one listener and its group.
type built struct {
	lb       resource.LoadBalancer
	group    resource.TargetGroup
	listener resource.Listener
}

func build(t *testing.T, s *store.Store) built {
	t.Helper()
	var out built
	cloudtest.Do(t, s, func(tx *store.Tx) (err error) {
		if out.lb, err = CreateLoadBalancer(tx, bob, lbInput()); err != nil {
			return err
		}
		if out.group, err = CreateTargetGroup(tx, bob, groupInput()); err != nil {
			return err
		}
		if err = RegisterTargets(tx, bob, out.group.ARN, []TargetDescription{{ID: "i-1"}, {ID: "i-2"}, {ID: "i-1", Port: 8443}}); err != nil {
			return err
		}
		out.listener, err = CreateListener(tx, bob, CreateListenerInput{LoadBalancerARN: out.lb.ARN, Protocol: "TCP", Port: 443, TargetGroupARN: out.group.ARN})
		return err
	})
	return out
}

func TestCreateLoadBalancerMakesANodeInEachZone(t *testing.T) {
	s := openStore(t)
	b := build(t, s).lb
	if want := "arn:aws:elasticloadbalancing:us-east-1:222222222222:loadbalancer/net/web/" + b.Hex; string(b.ARN) != want || len(b.Hex) != 16 {
		t.Errorf("ARN: got %s, want %s", b.ARN, want)
	}
	if want := "web-" + b.Hex + ".elb.us-east-1.amazonaws.com"; b.DNSName != want {
		t.Errorf("DNSName: got %s, want %s", b.DNSName, want)
	}
	if len(b.Nodes) != 2 || b.Nodes[0].Zone != "us-east-1a" || b.Nodes[1].Zone != "us-east-1b" {
		t.Fatalf("Nodes: got %+v, want one in each zone", b.Nodes)
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		eni, _ := store.NetworkInterfaces.Get(tx, b.Nodes[0].NetworkInterfaceID)
		if want := "ELB net/web/" + b.Hex; eni.Description != want || !eni.RequesterManaged || eni.Type != resource.InterfaceLoadBalancer {
			t.Errorf("interface: got %+v, want a requester-managed one, description %q", eni, want)
		}
		if want := "nlb-" + strings.TrimPrefix(string(eni.ID), "eni-"); eni.Namespace != want || b.Nodes[0].Namespace != want {
			t.Errorf("Namespace: got %q and %q, want %q", eni.Namespace, b.Nodes[0].Namespace, want)
		}
		again, err := CreateLoadBalancer(tx, bob, lbInput())
		if err != nil || again.ARN != b.ARN {
			t.Errorf("the same call again: got %s, %v, want %s", again.ARN, err, b.ARN)
		}
		return nil
	})
}

func TestOperationsRefuse(t *testing.T) {
	s := openStore(t)
	have := build(t, s)
	lb := func(edit func(*CreateLoadBalancerInput)) func(*store.Tx) error {
		in := lbInput()
		edit(&in)
		return func(tx *store.Tx) error { _, err := CreateLoadBalancer(tx, bob, in); return err }
	}
	group := func(edit func(*CreateTargetGroupInput)) func(*store.Tx) error {
		in := groupInput()
		in.Name = "other"
		edit(&in)
		return func(tx *store.Tx) error { _, err := CreateTargetGroup(tx, bob, in); return err }
	}
	check := func(c HealthCheckInput) func(*store.Tx) error {
		return group(func(in *CreateTargetGroupInput) { in.HealthCheck = c })
	}
	listener := func(who resource.Account, edit func(*CreateListenerInput)) func(*store.Tx) error {
		in := CreateListenerInput{LoadBalancerARN: have.lb.ARN, Protocol: "TCP", Port: 80, TargetGroupARN: have.group.ARN}
		edit(&in)
		return func(tx *store.Tx) error { _, err := CreateListener(tx, who, in); return err }
	}
	register := func(d TargetDescription) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			return RegisterTargets(tx, bob, have.group.ARN, []TargetDescription{d})
		}
	}
	registerIP := func(d TargetDescription) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			in := groupInput()
			in.Name, in.TargetType = "ips", resource.TargetIP
			g, err := CreateTargetGroup(tx, bob, in)
			if err != nil {
				return err
			}
			return RegisterTargets(tx, bob, g.ARN, []TargetDescription{d})
		}
	}
	for _, c := range []struct {
		name string
		fn   func(*store.Tx) error
		want string
	}{
		{"a name with an underscore", lb(func(in *CreateLoadBalancerInput) { in.Name = "a_b" }), "ValidationError"},
		{"a name that ends in a hyphen", lb(func(in *CreateLoadBalancerInput) { in.Name = "a-" }), "ValidationError"},
		{"a reserved name", lb(func(in *CreateLoadBalancerInput) { in.Name = "internal-a" }), "ValidationError"},
		{"an application load balancer", lb(func(in *CreateLoadBalancerInput) { in.Type = "" }), "ValidationError"},
		{"internet-facing", lb(func(in *CreateLoadBalancerInput) { in.Scheme = "" }), "InvalidScheme"},
		{"the name again, other settings", lb(func(in *CreateLoadBalancerInput) { in.SubnetMappings = in.SubnetMappings[:1] }), "DuplicateLoadBalancerName"},
		{"an unknown subnet", lb(func(in *CreateLoadBalancerInput) { in.SubnetMappings[0].SubnetID = "subnet-x" }), "SubnetNotFound"},
		{"one zone twice", lb(func(in *CreateLoadBalancerInput) { in.SubnetMappings[0].SubnetID = "subnet-a" }), "InvalidConfigurationRequest"},
		{"a foreign group", lb(func(in *CreateLoadBalancerInput) {
			in.Name, in.SecurityGroups = "x", []resource.SecurityGroupID{"sg-x"}
		}), "InvalidSecurityGroup"},
		{"a reserved address", lb(func(in *CreateLoadBalancerInput) {
			in.Name, in.SubnetMappings[1].PrivateIPv4Address = "x", netip.MustParseAddr("192.168.1.2")
		}), "InvalidSubnet"},
		{"another account's subnets", func(tx *store.Tx) error { _, err := CreateLoadBalancer(tx, alice, lbInput()); return err }, "SubnetNotFound"},

		{"UDP", group(func(in *CreateTargetGroupInput) { in.Protocol = "UDP" }), "UnsupportedProtocol"},
		{"no port", group(func(in *CreateTargetGroupInput) { in.Port = 0 }), "ValidationError"},
		{"a foreign VPC", group(func(in *CreateTargetGroupInput) { in.VPCID = "vpc-x" }), "ValidationError"},
		{"the group's name again, other settings", group(func(in *CreateTargetGroupInput) { in.Name, in.Port = "https", 80 }), "DuplicateTargetGroupName"},
		{"interval below 5 s", check(HealthCheckInput{Interval: 4 * time.Second}), "ValidationError"},
		{"interval of a half second", check(HealthCheckInput{Interval: 5500 * time.Millisecond}), "ValidationError"},
		{"timeout above the interval", check(HealthCheckInput{Interval: 5 * time.Second, Timeout: 6 * time.Second}), "ValidationError"},
		{"threshold of 11", check(HealthCheckInput{HealthyThreshold: 11}), "ValidationError"},
		{"threshold of 1", check(HealthCheckInput{UnhealthyThreshold: 1}), "ValidationError"},
		{"health port 0", check(HealthCheckInput{Port: "0"}), "ValidationError"},
		{"health port 65536", check(HealthCheckInput{Port: "65536"}), "ValidationError"},
		{"a path for TCP", check(HealthCheckInput{Path: "/"}), "ValidationError"},
		{"a path with a line end", check(HealthCheckInput{Protocol: "HTTP", Path: "/\r\nX: y"}), "ValidationError"},
		{"a matcher of 100", check(HealthCheckInput{Protocol: "HTTP", Matcher: "100"}), "ValidationError"},

		{"the port again", listener(bob, func(in *CreateListenerInput) { in.Port = 443 }), "DuplicateListener"},
		{"a TLS listener", listener(bob, func(in *CreateListenerInput) { in.Protocol = "TLS" }), "UnsupportedProtocol"},
		{"listener port 65536", listener(bob, func(in *CreateListenerInput) { in.Port = 65536 }), "ValidationError"},
		{"an unknown group", listener(bob, func(in *CreateListenerInput) { in.TargetGroupARN = "x" }), "TargetGroupNotFound"},
		{"another account's load balancer", listener(alice, func(*CreateListenerInput) {}), "LoadBalancerNotFound"},

		{"an unknown instance", register(TargetDescription{ID: "i-9"}), "InvalidTarget"},
		{"an address in an instance group", register(TargetDescription{ID: "192.168.1.20"}), "InvalidTarget"},
		{"a public address", registerIP(TargetDescription{ID: "192.0.2.1", Zone: "all"}), "InvalidTarget"},
		{"an address outside without zone all", registerIP(TargetDescription{ID: "10.9.0.1"}), "InvalidTarget"},
		{"an address with the wrong zone", registerIP(TargetDescription{ID: "192.168.1.20", Zone: "us-east-1b"}), "InvalidTarget"},

		{"deregister what is not registered", func(tx *store.Tx) error {
			return DeregisterTargets(tx, bob, have.group.ARN, []TargetDescription{{ID: "i-1", Port: 1}})
		}, "InvalidTarget"},
		{"delete a group in use", func(tx *store.Tx) error { return DeleteTargetGroup(tx, bob, have.group.ARN) }, "ResourceInUse"},
		{"delete a protected load balancer", func(tx *store.Tx) error {
			if _, err := ModifyLoadBalancerAttributes(tx, bob, have.lb.ARN, map[string]string{AttributeDeletionProtection: "true"}); err != nil {
				return err
			}
			return DeleteLoadBalancer(tx, bob, have.lb.ARN)
		}, "OperationNotPermitted"},
		{"delete an offered load balancer", func(tx *store.Tx) error {
			store.EndpointServices.Put(tx, "vpce-svc-1", resource.EndpointService{LoadBalancers: []resource.LoadBalancerARN{have.lb.ARN}})
			return DeleteLoadBalancer(tx, bob, have.lb.ARN)
		}, "ResourceInUse"},
		{"describe another account's load balancer", func(tx *store.Tx) error {
			_, err := DescribeLoadBalancers(tx, alice, DescribeLoadBalancersInput{ARNs: []resource.LoadBalancerARN{have.lb.ARN}})
			return err
		}, "LoadBalancerNotFound"},
		{"describe another account's health", func(tx *store.Tx) error { _, err := DescribeTargetHealth(tx, alice, have.group.ARN); return err }, "TargetGroupNotFound"},
		{"delete another account's listener", func(tx *store.Tx) error { return DeleteListener(tx, alice, have.listener.ARN) }, "ListenerNotFound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := cloudtest.Code(t, s, c.fn); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestUnknownAttributesFailWithTheTextThatClientsMatch(t *testing.T) {
	s := openStore(t)
	have := build(t, s)
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		_, err := ModifyLoadBalancerAttributes(tx, bob, have.lb.ARN, map[string]string{"zonal_shift.config.enabled": "true"})
		if want := "attribute key 'zonal_shift.config.enabled' is not supported"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		return nil
	})
}

func TestALoadBalancerHasAtMostFiftyListeners(t *testing.T) {
	s := openStore(t)
	have := build(t, s)
	got := cloudtest.Code(t, s, func(tx *store.Tx) error {
		for port := 1; port <= 49; port++ {
			in := CreateListenerInput{LoadBalancerARN: have.lb.ARN, Protocol: "TCP", Port: port, TargetGroupARN: have.group.ARN}
			if _, err := CreateListener(tx, bob, in); err != nil {
				t.Fatalf("listener %d: %v", port+1, err)
			}
		}
		_, err := CreateListener(tx, bob, CreateListenerInput{LoadBalancerARN: have.lb.ARN, Protocol: "TCP", Port: 50, TargetGroupARN: have.group.ARN})
		return err
	})
	if got != "TooManyListeners" {
		t.Errorf("listener 51: got %q, want TooManyListeners", got)
	}
}

func TestDeletingEverythingLeavesNothing(t *testing.T) {
	s := openStore(t)
	have := build(t, s)
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		RecordHealth(tx, MakePlan(Load(tx)).Probes[0].Key, health.Status{State: resource.HealthHealthy})
		for range 2 { // the second time nothing is there, and that is no error
			if err := DeleteLoadBalancer(tx, bob, have.lb.ARN); err != nil {
				return err
			}
			if err := DeleteTargetGroup(tx, bob, have.group.ARN); err != nil {
				return err
			}
		}
		left := Load(tx)
		if n := len(left.LoadBalancers) + len(left.Listeners) + len(left.TargetGroups) + len(left.Health) + len(store.NetworkInterfaces.List(tx)); n != 0 {
			t.Errorf("left over: got %+v, want nothing", left)
		}
		return nil
	})
}

func TestHealthGoesFromProbeToDescription(t *testing.T) {
	s := openStore(t)
	have := build(t, s)
	states := func(tx *store.Tx) []string {
		list, err := DescribeTargetHealth(tx, bob, have.group.ARN)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, d := range list {
			out = append(out, d.Target.AddrPort().String()+" "+string(d.State)+" "+d.Reason)
		}
		return out
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		want := []string{"192.168.1.20:443 initial Elb.RegistrationInProgress", "192.168.1.20:8443 initial Elb.RegistrationInProgress",
			"192.168.1.150:443 initial Elb.RegistrationInProgress"}
		if got := states(tx); !slices.Equal(got, want) {
			t.Errorf("at first: got %q, want %q", got, want)
		}
		probes := MakePlan(Load(tx)).Probes
		if len(probes) != 3 {
			t.Fatalf("probes: got %d, want 3", len(probes))
		}
		for _, p := range probes {
			if cuts := RecordHealth(tx, p.Key, health.Status{State: resource.HealthHealthy}); cuts != nil {
				t.Errorf("healthy: got cuts %v, want none", cuts)
			}
		}
		cuts := RecordHealth(tx, probes[0].Key, health.Status{State: resource.HealthUnhealthy, Reason: resource.ReasonFailedChecks})
		if want := []Cut{{Namespace: probes[0].Namespace, Target: probes[0].Target}}; !slices.Equal(cuts, want) {
			t.Errorf("just failed: got cuts %v, want %v", cuts, want)
		}
		if cuts := RecordHealth(tx, probes[0].Key, health.Status{State: resource.HealthUnhealthy}); cuts != nil {
			t.Errorf("still failed: got cuts %v, want none", cuts)
		}
		if got := RecordHealth(tx, "no|such:1|key", health.Status{State: resource.HealthUnhealthy}); got != nil {
			t.Errorf("a late result: got %v, want nil", got)
		}
		return nil
	})
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		if err := DeregisterTargets(tx, bob, have.group.ARN, []TargetDescription{{ID: "i-1", Port: 8443}}); err != nil {
			return err
		}
		list, err := DescribeTargetHealth(tx, bob, have.group.ARN, TargetDescription{ID: "i-1", Port: 8443})
		if err != nil || len(list) != 1 || list[0].State != resource.HealthUnused || list[0].Reason != resource.ReasonNotRegistered {
			t.Errorf("after deregistration: got %+v, %v, want unused, Target.NotRegistered", list, err)
		}
		return nil
	})
}

func TestALoadBalancerWithoutGroupsHasNone(t *testing.T) {
	s := openStore(t)
	b := build(t, s).lb
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		if eni, _ := store.NetworkInterfaces.Get(tx, b.Nodes[0].NetworkInterfaceID); len(eni.Groups) != 0 || len(b.Groups) != 0 {
			t.Errorf("groups: got %v and %v, want none: AWS applies none either", eni.Groups, b.Groups)
		}
		in := lbInput()
		in.Name, in.SecurityGroups = "guarded", []resource.SecurityGroupID{"sg-b"}
		guarded, err := CreateLoadBalancer(tx, bob, in)
		if err != nil {
			return err
		}
		if eni, _ := store.NetworkInterfaces.Get(tx, guarded.Nodes[0].NetworkInterfaceID); !slices.Equal(eni.Groups, in.SecurityGroups) {
			t.Errorf("groups: got %v, want %v", eni.Groups, in.SecurityGroups)
		}
		return nil
	})
}

// An instance that ends is a target no longer: its address may be another's
// tomorrow.
func TestTargetsGoWithTheirInstances(t *testing.T) {
	s := openStore(t)
	have := build(t, s)
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		p := MakePlan(Load(tx))
		RecordHealth(tx, p.Probes[0].Key, health.Status{State: resource.HealthHealthy})
		if Tidy(tx); len(store.TargetHealths.List(tx)) != 1 {
			t.Error("Tidy with nothing to tidy: got the health of a target gone, want it kept")
		}
		for _, i := range store.Instances.List(tx) {
			store.Instances.Delete(tx, i.ID)
		}
		Tidy(tx)
		g, _ := store.TargetGroups.Get(tx, have.group.ARN)
		if rows := store.TargetHealths.List(tx); len(g.Targets) != 0 || len(rows) != 0 {
			t.Errorf("got targets %v and health %v, want none", g.Targets, rows)
		}
		return nil
	})
}

func TestQuotasOfTargetsHold(t *testing.T) {
	s := openStore(t)
	have := build(t, s)
	full := func(g resource.TargetGroup, n int) resource.TargetGroup {
		g.Targets = nil
		for i := range n {
			g.Targets = append(g.Targets, resource.Target{ID: "i-1", Port: uint16(i + 1), Zone: "us-east-1a"})
		}
		return g
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		g := have.group
		for i := range maxBalancerTargets / maxTargets {
			g.ARN, g.Name, g.LoadBalancer = resource.TargetGroupARN(fmt.Sprint("full-", i)), fmt.Sprint("full-", i), have.lb.ARN
			store.TargetGroups.Put(tx, g.ARN, full(g, maxTargets))
		}
		g.ARN, g.Name, g.LoadBalancer = "spare", "spare", ""
		store.TargetGroups.Put(tx, g.ARN, full(g, 1))
		return nil
	})
	if got := cloudtest.Code(t, s, func(tx *store.Tx) error {
		return RegisterTargets(tx, bob, "full-0", []TargetDescription{{ID: "i-1", Port: 2000}})
	}); got != "TooManyTargets" {
		t.Errorf("target 1001 of a group: got %q, want TooManyTargets", got)
	}
	if got := cloudtest.Code(t, s, func(tx *store.Tx) error {
		_, err := CreateListener(tx, bob, CreateListenerInput{LoadBalancerARN: have.lb.ARN, Protocol: "TCP", Port: 80, TargetGroupARN: "spare"})
		return err
	}); got != "TooManyTargets" {
		t.Errorf("a group that makes it more than 3000 targets: got %q, want TooManyTargets", got)
	}
}
