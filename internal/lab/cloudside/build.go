package cloudside

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"seikan/internal/cloud/endpoint"
	"seikan/internal/cloud/lb"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/gateway"
	"seikan/internal/lab/topology"
)

// region is where a lab's cloud lies; zones are its letters.
const region = resource.DefaultRegion

// ids are what the cloud made of the topology's names.
type ids struct {
	accounts    map[string]resource.Account
	vpcs        map[string]resource.VPC
	subnets     map[string]resource.Subnet // by VPC and name: "vpc-a/a-1"
	routeTables map[string]resource.RouteTableID
	groups      map[string]resource.SecurityGroupID
	instances   map[string]resource.Instance
	gateways    map[string]resource.VPNGatewayID
	transits    map[string]resource.TransitGateway
	attachments map[string]resource.TransitGatewayAttachmentID // by transit gateway and what is attached: "tgw-1/vpc-a"
	balancers   map[string]resource.LoadBalancer
	listeners   []listener
	services    map[string]resource.EndpointService
	endpoints   map[string]resource.Endpoint
	zones       map[string]resource.HostedZoneID
	directories map[string]resource.DirectoryID
	connections map[string]resource.VPNConnectionID
	devices     map[string]gateway.Certificates // of customer gateways, by connection; they know no other copy of their keys
}

// A listener ties a port of a load balancer to its target group.
type listener struct {
	balancer string
	port     uint16
	group    resource.TargetGroupARN
}

func newIDs() *ids {
	return &ids{
		accounts: map[string]resource.Account{}, vpcs: map[string]resource.VPC{}, subnets: map[string]resource.Subnet{}, routeTables: map[string]resource.RouteTableID{},
		groups: map[string]resource.SecurityGroupID{}, instances: map[string]resource.Instance{},
		transits: map[string]resource.TransitGateway{}, attachments: map[string]resource.TransitGatewayAttachmentID{},
		gateways: map[string]resource.VPNGatewayID{}, balancers: map[string]resource.LoadBalancer{},
		services: map[string]resource.EndpointService{}, endpoints: map[string]resource.Endpoint{},
		zones: map[string]resource.HostedZoneID{}, directories: map[string]resource.DirectoryID{},
		connections: map[string]resource.VPNConnectionID{}, devices: map[string]gateway.Certificates{},
	}
}

// A builder carries a topology out, by the same operations that a user's API
// calls run, each as the account that owns the thing.
type builder struct {
	*ids
	t    *topology.Topology
	edge string // the namespace of the outside addresses
	tx   *store.Tx
}

// build makes everything that t names. It is one transaction: all of it or
// nothing. What must first be true on the machine is left to join.
func build(ctx context.Context, s *store.Store, t *topology.Topology, edge string) (*ids, error) {
	var made *ids
	err := s.Update(ctx, func(tx *store.Tx) error {
		made = newIDs()
		b := &builder{ids: made, t: t, edge: edge, tx: tx}
		for _, a := range t.Cloud.Accounts {
			b.accounts[a.Name] = resource.Account(a.ID)
		}
		store.OutsidePools.Put(tx, "edge", resource.OutsidePool{Name: "edge", Namespace: edge, Addresses: slices.Concat(t.Cloud.Edge.Addresses, t.Cloud.Edge.Addresses6)})
		return b.steps(
			each("cloud.vpcs", t.Cloud.VPCs, b.vpc),
			each("cloud.load_balancers", t.Cloud.LoadBalancers, b.loadBalancer),
			each("cloud.endpoint_services", t.Cloud.EndpointServices, b.service),
			each("cloud.endpoints", t.Cloud.Endpoints, b.endpoint),
			each("cloud.zones", t.Cloud.Zones, b.zone),
			each("cloud.directories", t.Cloud.Directories, b.directory),
			each("cloud.transit_gateways", t.Cloud.TransitGateways, b.transitGateway),
			each("vpn", t.VPN, b.connection),
			each("cloud.transit_gateways", t.Cloud.TransitGateways, b.transitTables),
			each("cloud.vpcs", t.Cloud.VPCs, b.routesToTransit),
		)
	})
	return made, err
}

func (b *builder) steps(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// each runs do on every item; an error says which one.
func each[T any](path string, items []T, do func(T) error) func() error {
	return func() error {
		for i, item := range items {
			if err := do(item); err != nil {
				return fmt.Errorf("%s[%d]: %w", path, i, err)
			}
		}
		return nil
	}
}

func named(name string) resource.Tags { return resource.Tags{"Name": name} }

func (b *builder) owner(vpcName string) resource.Account { return b.vpcs[vpcName].OwnerID }

func (b *builder) vpc(v topology.VPC) error {
	who := b.accounts[v.Account]
	made, err := vpc.CreateVPC(b.tx, who, vpc.CreateVPCInput{CidrBlock: v.CIDR, Region: region, Tags: named(v.Name)})
	if err != nil {
		return err
	}
	b.vpcs[v.Name] = made
	for _, t := range v.RouteTables {
		table, err := vpc.CreateRouteTable(b.tx, who, made.ID, named(t.Name))
		if err != nil {
			return err
		}
		b.routeTables[v.Name+"/"+t.Name] = table.ID
	}
	return b.steps(
		each("subnets", v.Subnets, func(s topology.Subnet) error { return b.subnet(v, s) }),
		func() error { return b.securityGroups(v) },
		each("instances", v.Instances, func(i topology.Instance) error { return b.instance(v, i) }),
		func() error { return b.vpnGateway(v) },
	)
}

func (b *builder) subnet(v topology.VPC, s topology.Subnet) error {
	made, err := vpc.CreateSubnet(b.tx, b.owner(v.Name), vpc.CreateSubnetInput{
		VPCID: b.vpcs[v.Name].ID, CidrBlock: s.CIDR, AvailabilityZone: region + s.Zone, Tags: named(s.Name),
	})
	if err != nil {
		return err
	}
	b.subnets[v.Name+"/"+s.Name] = made
	if s.RouteTable == "" {
		return nil
	}
	_, err = vpc.AssociateRouteTable(b.tx, b.owner(v.Name), b.routeTables[v.Name+"/"+s.RouteTable], made.ID)
	return err
}

// securityGroups makes the groups before the rules, which may name any group.
func (b *builder) securityGroups(v topology.VPC) error {
	for _, g := range v.SecurityGroups {
		made, err := vpc.CreateSecurityGroup(b.tx, b.owner(v.Name), vpc.CreateSecurityGroupInput{
			VPCID: b.vpcs[v.Name].ID, GroupName: g.Name, Description: "from the lab's topology", Tags: named(g.Name),
		})
		if err != nil {
			return err
		}
		b.groups[v.Name+"/"+g.Name] = made.ID
	}
	for _, g := range v.SecurityGroups {
		rules := b.permissions(v, g.Ingress)
		if len(rules) == 0 {
			continue
		}
		if err := vpc.AuthorizeSecurityGroupIngress(b.tx, b.owner(v.Name), b.groups[v.Name+"/"+g.Name], rules...); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) permissions(v topology.VPC, rules []topology.GroupRule) (out []resource.Permission) {
	for _, r := range rules {
		p := resource.Permission{Protocol: resource.Protocol(r.Protocol), FromPort: int(r.From), ToPort: int(r.To)}
		switch r.Protocol {
		case "all":
			p.Protocol, p.FromPort, p.ToPort = resource.AllProtocols, -1, -1
		case "icmp":
			p.FromPort, p.ToPort = -1, -1
		}
		for _, c := range r.CIDRs {
			p.CIDR = c
			out = append(out, p)
		}
		for _, g := range r.Groups {
			q := p
			q.CIDR, q.Group = netip.Prefix{}, b.groups[v.Name+"/"+g]
			out = append(out, q)
		}
	}
	return out
}

func (b *builder) groupIDs(vpcName string, names []string) (out []resource.SecurityGroupID) {
	for _, n := range names {
		out = append(out, b.groups[vpcName+"/"+n])
	}
	return out
}

func (b *builder) subnetIDs(vpcName string, names []string) (out []resource.SubnetID) {
	for _, n := range names {
		out = append(out, b.subnets[vpcName+"/"+n].ID)
	}
	return out
}

// instance makes a machine whose namespace is called as the topology calls it.
func (b *builder) instance(v topology.VPC, i topology.Instance) error {
	made, err := vpc.RunInstance(b.tx, b.owner(v.Name), vpc.RunInstanceInput{
		SubnetID: b.subnets[v.Name+"/"+i.Subnet].ID, PrivateIPAddress: i.Address,
		SecurityGroupIDs: b.groupIDs(v.Name, i.SecurityGroups), Namespace: i.Name, Tags: named(i.Name),
	})
	b.instances[i.Name] = made
	return err
}

func (b *builder) loadBalancer(l topology.LoadBalancer) error {
	in := lb.CreateLoadBalancerInput{Name: l.Name, Type: "network", Scheme: resource.SchemeInternal, Tags: named(l.Name)}
	for _, s := range b.subnetIDs(l.VPC, l.Subnets) {
		in.SubnetMappings = append(in.SubnetMappings, lb.SubnetMapping{SubnetID: s})
	}
	who := b.owner(l.VPC)
	made, err := lb.CreateLoadBalancer(b.tx, who, in)
	if err != nil {
		return err
	}
	b.balancers[l.Name] = made
	if l.CrossZone {
		if _, err := lb.ModifyLoadBalancerAttributes(b.tx, who, made.ARN, map[string]string{"load_balancing.cross_zone.enabled": "true"}); err != nil {
			return err
		}
	}
	return b.steps(each("listeners", l.Listeners, func(x topology.Listener) error { return b.listener(l, x) }))
}

func (b *builder) listener(l topology.LoadBalancer, x topology.Listener) error {
	who := b.owner(l.VPC)
	port := x.TargetPort
	if port == 0 {
		port = x.Port
	}
	group, err := lb.CreateTargetGroup(b.tx, who, lb.CreateTargetGroupInput{
		Name: fmt.Sprintf("%s-%d", l.Name, x.Port), Protocol: "TCP", Port: int(port), VPCID: b.vpcs[l.VPC].ID,
		HealthCheck: healthCheck(x.Health),
	})
	if err != nil {
		return err
	}
	var targets []lb.TargetDescription
	for _, name := range x.Targets {
		targets = append(targets, lb.TargetDescription{ID: string(b.instances[name].ID)})
	}
	if err := lb.RegisterTargets(b.tx, who, group.ARN, targets); err != nil {
		return err
	}
	b.listeners = append(b.listeners, listener{l.Name, x.Port, group.ARN})
	_, err = lb.CreateListener(b.tx, who, lb.CreateListenerInput{
		LoadBalancerARN: b.balancers[l.Name].ARN, Protocol: "TCP", Port: int(x.Port), TargetGroupARN: group.ARN,
	})
	return err
}

func healthCheck(h topology.Health) lb.HealthCheckInput {
	in := lb.HealthCheckInput{Protocol: "TCP", Interval: h.Interval, HealthyThreshold: h.Healthy, UnhealthyThreshold: h.Unhealthy}
	if h.Port != 0 {
		in.Port = strconv.Itoa(int(h.Port))
	}
	return in
}

func (b *builder) service(s topology.EndpointService) error {
	balancer := b.balancers[s.LoadBalancer]
	made, err := endpoint.CreateVpcEndpointServiceConfiguration(b.tx, balancer.OwnerID, endpoint.CreateServiceInput{
		LoadBalancerARNs: []resource.LoadBalancerARN{balancer.ARN}, AcceptanceRequired: &s.AcceptanceRequired, Tags: named(s.Name),
	})
	if err != nil {
		return err
	}
	b.services[s.Name] = made
	var principals []string
	for _, a := range s.AllowedAccounts {
		principals = append(principals, "arn:aws:iam::"+string(b.accounts[a])+":root")
	}
	if len(principals) == 0 {
		return nil
	}
	_, err = endpoint.ModifyVpcEndpointServicePermissions(b.tx, balancer.OwnerID, made.ID, principals, nil)
	return err
}

// endpoint asks for the connection as the consumer and accepts it as the
// provider.
func (b *builder) endpoint(e topology.Endpoint) error {
	service := b.services[e.Service]
	made, err := endpoint.CreateVpcEndpoint(b.tx, b.owner(e.VPC), endpoint.CreateVpcEndpointInput{
		Type: "Interface", VPCID: b.vpcs[e.VPC].ID, ServiceName: service.Name, SubnetIDs: b.subnetIDs(e.VPC, e.Subnets),
		SecurityGroupIDs: b.groupIDs(e.VPC, e.SecurityGroups), Tags: named(e.Name),
	})
	if err != nil {
		return err
	}
	b.endpoints[e.Name] = made
	if !e.Accept || made.State != resource.EndpointPendingAcceptance {
		return nil
	}
	failed, err := endpoint.AcceptVpcEndpointConnections(b.tx, service.OwnerID, service.ID, made.ID)
	if err == nil && len(failed) > 0 {
		err = failed[0].Err
	}
	return err
}
