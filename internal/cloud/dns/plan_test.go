package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	mdns "github.com/miekg/dns"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/dns/server"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// storedRows makes a zone service.example with aliases at its apex to an
// endpoint and below it to a load balancer, and a directory.
func storedRows(t *testing.T) Snapshot {
	t.Helper()
	st := openStore(t)
	z := createZone(t, st)
	var s Snapshot
	cloudtest.Do(t, st, func(tx *store.Tx) error {
		if _, err := CreateDirectory(tx, alice, directoryInput()); err != nil {
			return err
		}
		err := ChangeResourceRecordSets(tx, alice, z.ID, []Change{
			{Create, aliasSet("service.example", "Z7HUB22UULQXV", "vpce-1.vpce-svc-1.us-east-1.vpce.amazonaws.com")},
			{Create, aliasSet("nlb.service.example", "Z26RNL4JYFTOTI", "web-1.elb.us-east-1.amazonaws.com")},
		})
		s = Load(tx)
		return err
	})
	return s
}

// planned adds to s that endpoint and that load balancer, both of whose nodes
// work, and plans.
func planned(t *testing.T, s Snapshot, edit func(*Snapshot)) Plan {
	t.Helper()
	addr := netip.MustParseAddr
	s.LoadBalancers = []resource.LoadBalancer{{ARN: "lb", DNSName: "web-1.elb.us-east-1.amazonaws.com", Nodes: []resource.LoadBalancerNode{
		{Zone: "us-east-1a", NetworkInterfaceID: "na", Address: addr("192.168.1.10")},
		{Zone: "us-east-1b", NetworkInterfaceID: "nb", Address: addr("192.168.1.140")}}}}
	s.Listeners = []resource.Listener{{LoadBalancerARN: "lb", Port: 443, TargetGroupARN: "g"}}
	s.TargetGroups = []resource.TargetGroup{{ARN: "g", Targets: []resource.Target{{ID: "i", Port: 443, Zone: "us-east-1a"}, {ID: "j", Port: 443, Zone: "us-east-1b"}}}}
	s.Health = []resource.TargetHealth{
		{TargetGroupARN: "g", TargetID: "i", Port: 443, Node: "na", State: resource.HealthHealthy},
		{TargetGroupARN: "g", TargetID: "j", Port: 443, Node: "nb", State: resource.HealthHealthy}}
	s.Endpoints = []resource.Endpoint{{ID: "vpce-1", State: resource.StateAvailable, Attachments: []resource.EndpointAttachment{
		{Zone: "us-east-1a", Address: addr("10.0.1.9"), Node: "na"}, {Zone: "us-east-1b", Address: addr("10.0.2.9"), Node: "nb"}},
		DNSEntries: []resource.DNSEntry{{Name: "vpce-1.vpce-svc-1.us-east-1.vpce.amazonaws.com"},
			{Name: "vpce-1-us-east-1b.vpce-svc-1.us-east-1.vpce.amazonaws.com", Zone: "us-east-1b"}}}}
	if edit != nil {
		edit(&s)
	}
	p, err := MakePlan(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ask asks the resolver of a VPC, and returns rcode and last fields of answers.
func ask(t *testing.T, p Plan, vpc resource.VPCID, name string, qtype uint16) string {
	t.Helper()
	var r server.Resolver
	r.Set(p.Views[vpc])
	reply := r.Answer(t.Context(), new(mdns.Msg).SetQuestion(mdns.Fqdn(name), qtype))
	out := []string{mdns.RcodeToString[reply.Rcode]}
	for _, rr := range reply.Answer {
		f := strings.Fields(rr.String())
		out = append(out, f[len(f)-1])
	}
	return strings.Join(out, " ")
}

func TestServersArePlannedWhereTheyAreWanted(t *testing.T) {
	var got []string
	for _, l := range planned(t, storedRows(t), nil).Listeners {
		got = append(got, strings.ReplaceAll(l.String(), l.Namespace, strings.SplitAfter(l.Namespace, "-")[0]+"…"))
	}
	slices.Sort(got)
	want := []string{
		"forwarder 10.0.1.53:53 in ds-… to 10.0.0.2:53",
		"forwarder 10.0.2.53:53 in ds-… to 10.0.0.2:53",
		"resolver 10.0.0.2:53 in vpc-… of vpc-…",
		"resolver 10.0.0.2:53 in vpc-… of vpc-…",
		"resolver 169.254.169.253:53 in vpc-… of vpc-…",
		"resolver 169.254.169.253:53 in vpc-… of vpc-…",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q: vpc-a2 has no DNS support", got, want)
	}
}

func TestResolversKnowWhatTheirVPCSees(t *testing.T) {
	failed := func(node resource.NetworkInterfaceID) func(*Snapshot) {
		return func(s *Snapshot) {
			for i, h := range s.Health {
				if node == "" || h.Node == node {
					s.Health[i].State = resource.HealthUnhealthy
				}
			}
		}
	}
	rows := storedRows(t)
	for _, c := range []struct {
		name  string
		edit  func(*Snapshot)
		vpc   resource.VPCID
		Qname string
		Qtype uint16
		want  string
	}{
		{"alias to the endpoint", nil, "vpc-a", "service.example", mdns.TypeA, "NOERROR 10.0.1.9 10.0.2.9"},
		{"alias to the load balancer", nil, "vpc-a", "nlb.service.example", mdns.TypeA, "NOERROR 192.168.1.10 192.168.1.140"},
		{"a zone that fails is withdrawn", failed("na"), "vpc-a", "service.example", mdns.TypeA, "NOERROR 10.0.2.9"},
		{"of the load balancer too", failed("na"), "vpc-a", "nlb.service.example", mdns.TypeA, "NOERROR 192.168.1.140"},
		{"all fail: all are answered", failed(""), "vpc-a", "service.example", mdns.TypeA, "NOERROR 10.0.1.9 10.0.2.9"},
		{"a zonal name keeps its address", failed("nb"), "vpc-a", "vpce-1-us-east-1b.vpce-svc-1.us-east-1.vpce.amazonaws.com", mdns.TypeA, "NOERROR 10.0.2.9"},
		{"an endpoint that waits has no address", func(s *Snapshot) { s.Endpoints[0].State = resource.EndpointPendingAcceptance },
			"vpc-a", "service.example", mdns.TypeA, "NOERROR"},
		{"another VPC does not see the zone", nil, "vpc-b", "service.example", mdns.TypeA, "REFUSED"},
		{"but public names", nil, "vpc-b", "us-east-1a.web-1.elb.us-east-1.amazonaws.com", mdns.TypeA, "NOERROR 192.168.1.10"},
		{"own names", nil, "vpc-a", "ip-10-0-1-53.us-east-1.compute.internal", mdns.TypeA, "NOERROR 10.0.1.53"},
		{"own names of the old region", nil, "vpc-a", "ip-10-0-1-53.ec2.internal", mdns.TypeA, "NOERROR 10.0.1.53"},
		{"not of another VPC", nil, "vpc-b", "ip-10-0-1-53.ec2.internal", mdns.TypeA, "NXDOMAIN"},
		{"reverse", nil, "vpc-a", "53.1.0.10.in-addr.arpa", mdns.TypePTR, "NOERROR ip-10-0-1-53.ec2.internal."},
		{"reverse of nobody", nil, "vpc-a", "54.1.0.10.in-addr.arpa", mdns.TypePTR, "NXDOMAIN"},
		{"reverse of a private range", nil, "vpc-a", "1.1.31.172.in-addr.arpa", mdns.TypePTR, "NXDOMAIN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ask(t, planned(t, rows, c.edit), c.vpc, c.Qname, c.Qtype); got != c.want {
				t.Errorf("%s: got %q, want %q", c.Qname, got, c.want)
			}
		})
	}
}

func TestABrokenZoneIsReportedAndTheRestServed(t *testing.T) {
	s := Snapshot{
		VPCs: []resource.VPC{{ID: "vpc-a", Region: "us-east-1", CIDR: netip.MustParsePrefix("10.0.0.0/16"), EnableDNSSupport: true}},
		Zones: []resource.HostedZone{
			{ID: "ZBAD", Name: "bad.example.", VPCs: []resource.VPCID{"vpc-a"}},
			{ID: "ZGOOD", Name: "good.example.", VPCs: []resource.VPCID{"vpc-a"}, Records: []resource.RecordSet{
				set("good.example.", "SOA", 900, "ns. mail. 1 2 3 4 5"), set("good.example.", "A", 60, "10.0.0.1")}},
		},
	}
	p, err := MakePlan(s)
	if err == nil || !strings.Contains(err.Error(), "hosted zone ZBAD") {
		t.Errorf("error: got %v, want one that names ZBAD", err)
	}
	if got, want := ask(t, p, "vpc-a", "good.example", mdns.TypeA), "NOERROR 10.0.0.1"; got != want {
		t.Errorf("good.example: got %q, want %q", got, want)
	}
}
