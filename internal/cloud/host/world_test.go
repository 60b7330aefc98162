package host

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/dns"
	"seikan/internal/cloud/endpoint"
	"seikan/internal/cloud/lb"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/cloud/vpn"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
)

const (
	alice = cloudtest.Alice // consumer: VPC A
	bob   = cloudtest.Bob   // provider: VPC B, of the same range
)

// A world is a small cloud built by operations, on a machine of its own, and
// the host that makes it so. Both VPCs are 10.0.0.0/16 with one subnet
// 10.0.1.0/24. In A are the instances client and neighbour, an endpoint and a
// VPN gateway without peer; in B a load balancer, the targets web1 and web2 and
// the instance spy.
type world struct {
	*testing.T
	*cloudtest.Ground
	store  *store.Store
	worker string // the gateways' program
	log    *journal
	stop   func() // ends the host and waits
	host   *Host

	a, b      resource.VPC
	instances map[string]resource.Instance
	balancer  resource.LoadBalancer
	group     resource.TargetGroup
	service   resource.EndpointService
	endpoint  resource.Endpoint
	gateway   resource.VPNGateway
	zone      resource.HostedZone
}

const zoneName = "svc.example.com"

// newWorld returns a world that is as its store wants.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := rows(t)
	w.run()
	w.settle()
	return w
}

// rows returns a world of which only the rows exist yet.
func rows(t *testing.T) *world {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, Ground: cloudtest.NewGround(t), store: cloudtest.Open(t, store.Config{}), instances: map[string]resource.Instance{},
		worker: self, stop: func() {}}
	w.lay("edge", netspec.Link{Name: "lo", Kind: netspec.Loopback,
		Addrs: []netip.Prefix{netip.MustParsePrefix("203.0.113.10/32"), netip.MustParsePrefix("203.0.113.11/32")}})
	for _, step := range []func(*store.Tx) error{w.buildA, w.buildB, w.join} {
		cloudtest.Do(t, w.store, step)
	}
	t.Cleanup(func() { w.stop() })
	return w
}

// lay makes a namespace that is not the host's own, with one link.
func (w *world) lay(name string, link netspec.Link) {
	w.Helper()
	other := netapply.New(netapply.Options{Owner: "other-" + name})
	if _, err := other.Apply(w.Context(), netspec.Spec{Namespaces: []netspec.Namespace{{Name: name, Links: []netspec.Link{link}}}}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if _, err := other.Apply(context.Background(), netspec.Spec{}); err != nil {
			w.Error(err)
		}
		other.Close()
	})
}

// network makes a VPC with one subnet, 10.0.1.0/24.
func network(tx *store.Tx, who resource.Account) (v resource.VPC, s resource.Subnet, err error) {
	if v, err = vpc.CreateVPC(tx, who, vpc.CreateVPCInput{CidrBlock: netip.MustParsePrefix("10.0.0.0/16")}); err != nil {
		return v, s, err
	}
	s, err = vpc.CreateSubnet(tx, who, vpc.CreateSubnetInput{VPCID: v.ID, CidrBlock: netip.MustParsePrefix("10.0.1.0/24")})
	return v, s, err
}

// instance runs one instance in a namespace of its name.
func (w *world) instance(tx *store.Tx, s resource.Subnet, name string, groups ...resource.SecurityGroupID) error {
	i, err := vpc.RunInstance(tx, s.OwnerID, vpc.RunInstanceInput{SubnetID: s.ID, Namespace: name, SecurityGroupIDs: groups})
	w.instances[name] = i
	return err
}

// allow makes a group that lets TCP port in from everywhere.
func allow(tx *store.Tx, v resource.VPC, name string, port int) (resource.SecurityGroupID, error) {
	g, err := vpc.CreateSecurityGroup(tx, v.OwnerID, vpc.CreateSecurityGroupInput{VPCID: v.ID, GroupName: name})
	if err != nil {
		return "", err
	}
	return g.ID, vpc.AuthorizeSecurityGroupIngress(tx, v.OwnerID, g.ID,
		resource.Permission{Protocol: resource.TCP, FromPort: port, ToPort: port, CIDR: netip.MustParsePrefix("0.0.0.0/0")})
}

func (w *world) buildA(tx *store.Tx) error {
	v, s, err := network(tx, alice)
	if err != nil {
		return err
	}
	w.a = v
	if err := errors.Join(w.instance(tx, s, "client"), w.instance(tx, s, "neighbour")); err != nil {
		return err
	}
	g, err := vpn.CreateVPNGateway(tx, alice, vpn.CreateVPNGatewayInput{Type: resource.GatewayType})
	if err != nil {
		return err
	}
	w.gateway = g
	if _, err := vpn.AttachVPNGateway(tx, alice, v.ID, g.ID); err != nil {
		return err
	}
	store.OutsidePools.Put(tx, "edge", resource.OutsidePool{Name: "edge", Namespace: "edge",
		Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.11")}})
	device, err := vpn.CreateCustomerGateway(tx, alice, vpn.CreateCustomerGatewayInput{Type: resource.GatewayType, IPAddress: netip.MustParseAddr("198.51.100.2")})
	if err != nil {
		return err
	}
	_, err = vpn.CreateVPNConnection(tx, alice, vpn.CreateVPNConnectionInput{
		Type: resource.GatewayType, CustomerGatewayID: device.ID, VPNGatewayID: g.ID, StaticRoutesOnly: true})
	return err
}

func (w *world) buildB(tx *store.Tx) error {
	v, s, err := network(tx, bob)
	if err != nil {
		return err
	}
	w.b = v
	web, err := allow(tx, v, "web", 80)
	if err != nil {
		return err
	}
	if err := errors.Join(w.instance(tx, s, "web1", web), w.instance(tx, s, "web2", web), w.instance(tx, s, "spy")); err != nil {
		return err
	}
	if w.balancer, err = lb.CreateLoadBalancer(tx, bob, lb.CreateLoadBalancerInput{
		Name: "front", Type: "network", Scheme: resource.SchemeInternal, SubnetMappings: []lb.SubnetMapping{{SubnetID: s.ID}}}); err != nil {
		return err
	}
	if w.group, err = lb.CreateTargetGroup(tx, bob, lb.CreateTargetGroupInput{Name: "web", Protocol: "TCP", Port: 80, VPCID: v.ID}); err != nil {
		return err
	}
	// Faster than any API allows, so that the test need not wait.
	w.group.HealthCheck.Interval, w.group.HealthCheck.Timeout = 100*time.Millisecond, 100*time.Millisecond
	store.TargetGroups.Put(tx, w.group.ARN, w.group)
	if err := lb.RegisterTargets(tx, bob, w.group.ARN, []lb.TargetDescription{
		{ID: string(w.instances["web1"].ID)}, {ID: string(w.instances["web2"].ID)}}); err != nil {
		return err
	}
	_, err = lb.CreateListener(tx, bob, lb.CreateListenerInput{LoadBalancerARN: w.balancer.ARN, Protocol: "TCP", Port: 80, TargetGroupARN: w.group.ARN})
	return err
}

// join offers the service, asks for an endpoint, and gives it a name.
func (w *world) join(tx *store.Tx) (err error) {
	if w.service, err = endpoint.CreateVpcEndpointServiceConfiguration(tx, bob, endpoint.CreateServiceInput{LoadBalancerARNs: []resource.LoadBalancerARN{w.balancer.ARN}}); err != nil {
		return err
	}
	if _, err = endpoint.ModifyVpcEndpointServicePermissions(tx, bob, w.service.ID, []string{"arn:aws:iam::" + string(alice) + ":root"}, nil); err != nil {
		return err
	}
	web, err := allow(tx, w.a, "endpoint", 80)
	if err != nil {
		return err
	}
	if w.endpoint, err = endpoint.CreateVpcEndpoint(tx, alice, endpoint.CreateVpcEndpointInput{
		Type: resource.EndpointInterface, VPCID: w.a.ID, ServiceName: w.service.Name,
		SubnetIDs: []resource.SubnetID{w.instances["client"].SubnetID}, SecurityGroupIDs: []resource.SecurityGroupID{web},
	}); err != nil {
		return err
	}
	if w.zone, err = dns.CreateHostedZone(tx, alice, dns.CreateHostedZoneInput{Name: zoneName, CallerReference: "1", VPCID: w.a.ID}); err != nil {
		return err
	}
	return dns.ChangeResourceRecordSets(tx, alice, w.zone.ID, []dns.Change{{Action: dns.Create, RecordSet: resource.RecordSet{
		Name: zoneName, Type: "A", Alias: &resource.AliasTarget{HostedZoneID: w.endpoint.DNSEntries[0].HostedZoneID, DNSName: w.endpoint.DNSEntries[0].Name}}}})
}

// run starts a host.
func (w *world) run() {
	w.Helper()
	w.log = new(journal)
	w.host = New(Config{Log: slog.New(slog.NewTextHandler(w.log, nil)), Store: w.store, Net: w.Host, Gateway: []string{w.worker, workerArg}, Stderr: io.Discard})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.host.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("Run: got %v, want nil", err)
		}
	})
}

// A journal keeps what a host logs.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write takes one entry.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

// String is all entries so far.
func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (w *world) settle() {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	if err := w.host.Settle(ctx); err != nil {
		w.Fatalf("Settle: %v\n%s", err, w.log)
	}
}

// do changes the store and waits until the machine follows.
func (w *world) do(fn func(*store.Tx) error) {
	w.Helper()
	cloudtest.Do(w.T, w.store, fn)
	w.settle()
}

// until waits for something that becomes true in its own time.
func (w *world) until(what string, holds func() bool) {
	w.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			w.Fatalf("%s: not in 20 s", what)
		}
		<-tick.C
	}
}

// healthy waits until n targets are healthy and the node knows.
func (w *world) healthy(n int) {
	w.Helper()
	w.until("healthy targets", func() bool {
		got := 0
		cloudtest.Do(w.T, w.store, func(tx *store.Tx) error {
			all, err := lb.DescribeTargetHealth(tx, bob, w.group.ARN)
			for _, h := range all {
				if h.State == resource.HealthHealthy {
					got++
				}
			}
			return err
		})
		return got == n
	})
	w.settle()
}

// accept lets the endpoint in.
func (w *world) accept() {
	w.Helper()
	w.do(func(tx *store.Tx) error {
		failed, err := endpoint.AcceptVpcEndpointConnections(tx, bob, w.service.ID, w.endpoint.ID)
		if len(failed) > 0 {
			return failed[0].Err
		}
		return err
	})
}

// serviceAddr is where the endpoint answers.
func (w *world) serviceAddr() string {
	return netip.AddrPortFrom(w.endpoint.Attachments[0].Address, 80).String()
}

// lookup asks a server for the addresses of a name, from a namespace.
func (w *world) lookup(ns, server, name string) ([]string, error) {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
		err = w.In(ns, func() error {
			conn, err = (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "udp4", server)
			return err
		})
		return conn, err
	}}
	ctx, cancel := context.WithTimeout(w.Context(), 3*time.Second)
	defer cancel()
	return r.LookupHost(ctx, name+".")
}

// spaces are the namespaces that exist, without edge.
func (w *world) spaces() string {
	entries, err := os.ReadDir(netapply.DefaultDir)
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "edge" {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

// webRule is the rule that allow makes for port 80.
func webRule() resource.Permission {
	return resource.Permission{Protocol: resource.TCP, FromPort: 80, ToPort: 80, CIDR: netip.MustParsePrefix("0.0.0.0/0")}
}
