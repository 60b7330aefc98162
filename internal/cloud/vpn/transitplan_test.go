package vpn

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/linux/netspec"
)

// transitSnapshot is a transit gateway with two VPCs, of which the second has no
// route table, a dynamic connection and a static one, in two tables.
func transitSnapshot() Snapshot {
	s := snapshot()
	s.Gateways = nil
	dynamic, static := s.Connections[1], s.Connections[0]
	for _, c := range []*resource.VPNConnection{&dynamic, &static} {
		c.VPNGatewayID, c.TransitGatewayID, c.Routes = "", "tgw-1", nil
		c.Tunnels[1].StartupAction = ""
	}
	dynamic.StaticRoutesOnly = false
	learned := []resource.LearnedRoute{{Prefix: prefix("192.168.1.0/24"), ASPath: []uint32{65000}, MED: 100}, {Prefix: prefix("0.0.0.0/0"), ASPath: []uint32{65000}, MED: 100}}
	for i := range dynamic.Telemetry {
		dynamic.Telemetry[i] = resource.TunnelTelemetry{Status: resource.TunnelUp, Learned: learned[:2-i]}
	}
	static.Telemetry[1].Status = resource.TunnelUp
	s.Connections = []resource.VPNConnection{static, dynamic}
	s.CustomerGateways[0].BGPASN, s.CustomerGateways[1].BGPASN = 65000, 65000
	attachment := func(id, table string) resource.TransitGatewayAttachment {
		return resource.TransitGatewayAttachment{ID: resource.TransitGatewayAttachmentID("tgw-attach-" + id), State: resource.StateAvailable, TransitGatewayID: "tgw-1",
			RouteTableID: resource.TransitGatewayRouteTableID(table)}
	}
	a, b, c, d := attachment("a", "tgw-rtb-in"), attachment("b", ""), attachment("c", "tgw-rtb-out"), attachment("d", "tgw-rtb-out")
	a.Type, a.VPCID, a.Link = resource.AttachVPC, "vpc-1", prefix("240.255.0.0/31")
	b.Type, b.VPCID, b.Link = resource.AttachVPC, "vpc-2", prefix("240.255.0.2/31")
	c.Type, c.VPNConnectionID = resource.AttachVPN, dynamic.ID
	d.Type, d.VPNConnectionID = resource.AttachVPN, static.ID
	s.Transit = []resource.TransitGateway{{ID: "tgw-1", State: resource.StateAvailable, AmazonSideASN: 64512, Options: resource.TransitGatewayOptions{VPNECMP: true}}}
	s.TransitAttachments = []resource.TransitGatewayAttachment{a, b, c, d}
	s.TransitTables = []resource.TransitGatewayRouteTable{
		{ID: "tgw-rtb-in", State: resource.StateAvailable, TransitGatewayID: "tgw-1", Number: 1000, Propagations: []resource.TransitGatewayAttachmentID{c.ID},
			Routes: []resource.TransitGatewayStaticRoute{{Destination: prefix("172.20.0.0/16"), AttachmentID: d.ID}, {Destination: prefix("192.168.66.0/24")}}},
		{ID: "tgw-rtb-out", State: resource.StateAvailable, TransitGatewayID: "tgw-1", Number: 1001, Propagations: []resource.TransitGatewayAttachmentID{a.ID, b.ID, c.ID}},
	}
	return s
}

// kernel prints routes and rules of the transit gateway.
func kernel(p Plan) string {
	var b strings.Builder
	for _, n := range p.Spec.Namespaces {
		if n.Name != "tgw-1" {
			continue
		}
		for _, r := range n.Routes {
			fmt.Fprintln(&b, r)
		}
		for _, r := range n.Rules {
			fmt.Fprintln(&b, r)
		}
	}
	return b.String()
}

// A table of the kernel for each route table, with ECMP, a tunnel that is up for
// a static route, blackholes, also behind what TUNs take along when they go, and an
// end; by the link that packets come in by. Nothing is in the main table.
func TestTheKernelsTablesOfATransitGateway(t *testing.T) {
	p := MakePlan(transitSnapshot())
	const want = `blackhole default table 999
default dev tun1 table 1000
blackhole default metric 65536 table 1000
172.20.0.0/16 dev tun4 table 1000
blackhole 172.20.0.0/16 metric 65536 table 1000
192.168.1.0/24 nexthop dev tun1 nexthop dev tun2 table 1000
blackhole 192.168.1.0/24 metric 65536 table 1000
blackhole 192.168.66.0/24 table 1000
default dev tun1 table 1001
blackhole default metric 65536 table 1001
10.0.0.0/16 via 240.255.0.0 dev vpca table 1001
10.1.0.0/16 via 240.255.0.2 dev vpcb table 1001
192.168.1.0/24 nexthop dev tun1 nexthop dev tun2 table 1001
blackhole 192.168.1.0/24 metric 65536 table 1001
default dev tun1 table 100001
default dev tun2 table 100002
default dev tun3 table 100003
default dev tun4 table 100004
default via 240.255.0.0 dev vpca table 200000
default via 240.255.0.2 dev vpcb table 200002
190: from all iif lo fwmark 0x186a1 lookup 100001
190: from all iif lo fwmark 0x186a2 lookup 100002
190: from all iif lo fwmark 0x186a3 lookup 100003
190: from all iif lo fwmark 0x186a4 lookup 100004
190: from all iif lo fwmark 0x30d40 lookup 200000
190: from all iif lo fwmark 0x30d42 lookup 200002
200: from all iif tun1 lookup 1001
200: from all iif tun2 lookup 1001
200: from all iif tun3 lookup 1001
200: from all iif tun4 lookup 1001
200: from all iif vpca lookup 1000
200: from all iif vpcb lookup 999
`
	if got := kernel(p); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	spec, err := netspec.Merge(p.Spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := spec.Validate(); err != nil {
		t.Errorf("the plan is not valid: %v", err)
	}
	s := transitSnapshot()
	s.Connections[0].Telemetry[1].Status = resource.TunnelDown
	s.Connections[1].Endpoints[0].Returning = true // its tunnel 1 is being replaced
	s.TransitTables[0].State = resource.StateDeleting
	got := kernel(MakePlan(s))
	for _, line := range []string{"192.168.1.0/24 dev tun2 table 1001\n", "default dev tun1 table 1001\n", "200: from all iif vpca lookup 999\n"} {
		if !strings.Contains(got, line) {
			t.Errorf("with tunnels down, draining and a table deleted: got\n%s\nwant %q among it", got, line)
		}
	}
}

// What a customer gateway is told is the table of its attachment, but for what
// leads back to it; one of static routes is told nothing (vpn §4.2).
// A connection with IPv6 inside is looked up in its attachment's table for IPv6; of
// that family flows are spread, too, and nothing goes to VPCs or into tunnels of the other,
// and nothing passes by other links.
func TestATransitGatewayForwardsIPv6BetweenItsTunnels(t *testing.T) {
	s := transitSnapshot()
	c := &s.Connections[1]
	c.Options.InsideIPv6, c.LocalCIDR, c.RemoteCIDR = true, prefix("::/0"), prefix("::/0")
	for i := range c.Tunnels {
		c.Tunnels[i].InsideIPv6CIDR = prefix(fmt.Sprintf("fd00:%d::/126", i+1))
		c.Telemetry[i].Learned = []resource.LearnedRoute{{Prefix: prefix("2001:db8:1::/64"), ASPath: []uint32{65000}, MED: 100}}
	}
	s.TransitTables[1].Routes = []resource.TransitGatewayStaticRoute{
		{Destination: prefix("2001:db8:2::/64"), AttachmentID: "tgw-attach-a"}, {Destination: prefix("2001:db8:3::/64"), AttachmentID: "tgw-attach-d"}, {Destination: prefix("2001:db8:4::/64"), AttachmentID: "tgw-attach-c"}}
	p := MakePlan(s)
	if err := p.Spec.Validate(); err != nil {
		t.Fatal(err)
	}
	got := kernel(p)
	for _, line := range []string{
		"2001:db8:1::/64 nexthop dev tun1 nexthop dev tun2 metric 1024 table 1001", "blackhole 2001:db8:1::/64 metric 65536 table 1001", "::/0 dev tun1 metric 1024 table 100001", "190: from ::/0 iif lo fwmark 0x186a1 lookup 100001", "blackhole 2001:db8:2::/64 metric 1024 table 1001", "blackhole 2001:db8:3::/64 metric 1024 table 1001",
		"2001:db8:4::/64 dev tun1 metric 1024 table 1001", "blackhole ::/0 metric 1024 table 999", "blackhole ::/0 metric 1024 table 1001", "200: from ::/0 iif tun1 lookup 1001", "200: from ::/0 iif tun2 lookup 1001",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("got no %q in\n%s", line, got)
		}
	}
	if strings.Contains(got, "from ::/0 iif tun3") || strings.Contains(got, "from ::/0 iif vpca") {
		t.Errorf("got IPv6 looked up for links that carry none in\n%s", got)
	}
	text := p.Spec.String()
	for _, words := range []string{"iifname @links oifname @links accept", `iifname "tun1" ip6 daddr != fd00:1::1 counter drop`, `iifname "tun3" ip daddr != 169.254.12.1 counter drop`, "net.ipv6.conf.all.forwarding", "net.ipv6.fib_multipath_hash_policy"} {
		if !strings.Contains(text, words) {
			t.Errorf("got no %q in\n%s", words, text)
		}
	}
	if strings.Contains(MakePlan(transitSnapshot()).Spec.String(), "ipv6.conf.all.forwarding") {
		t.Error("IPv6 is forwarded where no tunnel carries it")
	}
}

func TestWhatATransitGatewayAnnounces(t *testing.T) {
	p := MakePlan(transitSnapshot())
	if len(p.Workers) != 1 {
		t.Fatalf("workers: got %+v, want one", p.Workers)
	}
	w := p.Workers[0]
	if !w.Transit || w.GatewayID != "tgw-1" || w.BGP.ASN != 64512 || len(w.BGP.Announce) != 0 || w.OutsideNamespace != "edge" {
		t.Errorf("got %+v, want a worker of a transit gateway", w)
	}
	for i, want := range []string{"tgw-rtb-out", "tgw-rtb-out", "", ""} {
		if got := w.Tunnels[i].List; got != want {
			t.Errorf("tunnel %s: got the list %q, want %q", w.Tunnels[i].ID, got, want)
		}
	}
	const want = "map[tgw-rtb-out:[{0.0.0.0/0 [65000] vpn-b/} {10.0.0.0/16 [] } {10.1.0.0/16 [] } {192.168.1.0/24 [65000] vpn-b/}]]"
	if got := fmt.Sprint(w.BGP.Lists); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := w.Tunnels[0].BGP.MaxPrefixes; got != 1000 {
		t.Errorf("prefixes taken: got %d, want 1000", got) // vpn §4.5
	}
}

// Each attachment of a VPC has a link of its own, also beside VPN gateways.
func TestLinksOfTransitGatewaysAreTheirOwn(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{})
	one, two := h.attach("vpc-1", "subnet-1a"), h.attach("vpc-2", "subnet-2a")
	h.do(func(tx *store.Tx) error {
		g, err := CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: resource.GatewayType})
		links := []netip.Prefix{one.Link, two.Link, g.Link}
		slices.SortFunc(links, netip.Prefix.Compare)
		if len(slices.Compact(links)) != 3 || !links[0].IsValid() {
			t.Errorf("got %v, want three links", links)
		}
		return err
	})
	a, b := h.table(), h.table()
	if a.Number == b.Number || a.Number < 1000 || b.Number < 1000 {
		t.Errorf("table numbers: got %d and %d, want two from 1000 on", a.Number, b.Number)
	}
}

// The attachment of a VPC whose router fails stays pending, and nothing else.
func TestAnAttachmentWaitsForItsVPC(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{})
	one, two := h.attach("vpc-1", "subnet-1a"), h.attach("vpc-2", "subnet-2a")
	cloudtest.Do(t, h.store, func(tx *store.Tx) error {
		MarkTransitRealised(tx, func(space string) bool { return space == "vpc-2" })
		first, _ := store.TransitGatewayAttachments.Get(tx, one.ID)
		second, _ := store.TransitGatewayAttachments.Get(tx, two.ID)
		if g, _ := store.TransitGateways.Get(tx, h.gateway.ID); first.State != resource.StateAvailable || second.State != resource.StatePending || g.State != resource.StateAvailable {
			t.Errorf("got %s, %s and %s, want available, pending and available", first.State, second.State, g.State)
		}
		return nil
	})
}

func TestAnAttachmentGetsOtherSubnets(t *testing.T) {
	h := newHub(t, CreateTransitGatewayInput{})
	a := h.attach("vpc-1", "subnet-1a")
	modifying := func(add, remove string) func(*store.Tx) error {
		return func(tx *store.Tx) error {
			in := ModifyTransitGatewayVPCAttachmentInput{AttachmentID: a.ID}
			if add != "" {
				in.AddSubnetIDs = []resource.SubnetID{resource.SubnetID(add)}
			}
			if remove != "" {
				in.RemoveSubnetIDs = []resource.SubnetID{resource.SubnetID(remove)}
			}
			_, err := ModifyTransitGatewayVPCAttachment(tx, alice, in)
			return err
		}
	}
	h.refused("MissingParameter", modifying("", ""), "AddSubnetIds")
	h.refused("MissingParameter", modifying("", "subnet-1a"), "SubnetIds")
	h.refused("InvalidSubnetID.NotFound", modifying("subnet-2a", ""))
	h.refused("InvalidSubnetID.NotFound", modifying("", "subnet-1b"), "RemoveSubnetIds")
	h.refused("DuplicateSubnetsInSameZone", modifying("subnet-1a2", ""))
	h.do(modifying("subnet-1a2", "subnet-1a"))
	h.do(modifying("subnet-1b", ""))
	h.do(func(tx *store.Tx) error {
		if got, _ := store.TransitGatewayAttachments.Get(tx, a.ID); fmt.Sprint(got.SubnetIDs) != "[subnet-1a2 subnet-1b]" {
			t.Errorf("got %v, want subnet-1a2 and subnet-1b", got.SubnetIDs)
		}
		return DeleteTransitGatewayVPCAttachment(tx, alice, a.ID)
	})
	h.refused("IncorrectState", modifying("subnet-1a", ""))
}
