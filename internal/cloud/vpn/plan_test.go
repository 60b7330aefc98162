package vpn

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
	"seikan/internal/secret"
)

// snapshot is an attached gateway with two connections, the first of which came
// second and starts IKE in its tunnel 2, and a gateway that is alone.
func snapshot() Snapshot {
	options := func(outside, inside string) resource.TunnelOptions {
		o, err := TunnelOptionsInput{InsideCIDR: prefix(inside), PreSharedKey: secret.FromString("key.of." + strings.ReplaceAll(inside, "/", "_"))}.complete(1)
		if err != nil {
			panic(err) // the fixture is wrong
		}
		o.OutsideIP = netip.MustParseAddr(outside)
		return o
	}
	route := func(cidr string) resource.StaticRoute {
		return resource.StaticRoute{Destination: prefix(cidr), State: resource.StateAvailable}
	}
	all := prefix("0.0.0.0/0")
	first := resource.VPNConnection{ID: "vpn-b", State: resource.StateAvailable, CustomerGatewayID: "cgw-1", VPNGatewayID: "vgw-1", StaticRoutesOnly: true,
		LocalCIDR: all, RemoteCIDR: all, Routes: []resource.StaticRoute{route("10.0.7.0/24"), route("192.168.1.0/24")},
		Tunnels: [2]resource.TunnelOptions{options("203.0.113.10", "169.254.10.0/30"), options("203.0.113.11", "169.254.11.0/30")}}
	second := resource.VPNConnection{ID: "vpn-a", State: resource.StatePending, CustomerGatewayID: "cgw-2", VPNGatewayID: "vgw-1", StaticRoutesOnly: true, Slot: 1,
		LocalCIDR: prefix("172.20.0.0/16"), RemoteCIDR: prefix("10.0.0.0/16"), Routes: []resource.StaticRoute{route("172.20.0.0/16")},
		Tunnels: [2]resource.TunnelOptions{options("203.0.113.12", "169.254.12.0/30"), options("203.0.113.13", "169.254.13.0/30")}}
	second.Tunnels[1].StartupAction = "start"
	second.Tunnels[1].LivenessInterval, second.Tunnels[1].LivenessTimeout = 300*time.Millisecond, 900*time.Millisecond
	return Snapshot{
		VPCs: []resource.VPC{{ID: "vpc-1", CIDR: prefix("10.0.0.0/16")}, {ID: "vpc-2", CIDR: prefix("10.1.0.0/16")}},
		CustomerGateways: []resource.CustomerGateway{{ID: "cgw-1", IPAddress: netip.MustParseAddr("198.51.100.2")},
			{ID: "cgw-2", IPAddress: netip.MustParseAddr("198.51.100.3")}},
		Gateways: []resource.VPNGateway{
			{ID: "vgw-2", State: resource.StatePending, Link: prefix("240.255.0.2/31")},
			{ID: "vgw-1", State: resource.StateAvailable, Link: prefix("240.255.0.0/31"),
				Attachment: resource.VPNGatewayAttachment{VPCID: "vpc-1", State: resource.Attached}, Tags: resource.Tags{"Name": "office"}},
		},
		Connections: []resource.VPNConnection{second, first},
		Pools: []resource.OutsidePool{{Name: "edge", Namespace: "edge", Addresses: []netip.Addr{
			netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.11"), netip.MustParseAddr("203.0.113.12"), netip.MustParseAddr("203.0.113.13")}}},
	}
}

// describe prints what workers are told, but for the keys.
func describe(workers []Worker) string {
	var b strings.Builder
	for _, w := range workers {
		fmt.Fprintf(&b, "worker %s %q in %s, outside in %s\n", w.GatewayID, w.Name, w.Namespace, w.OutsideNamespace)
		if w.BGP.ASN != 0 {
			fmt.Fprintf(&b, "  BGP as %d, announces %v\n", w.BGP.ASN, w.BGP.Announce)
		}
		for _, t := range w.Tunnels {
			fmt.Fprintf(&b, "  %s %s: %v -> %v inside %v initiate %v\n", t.ID, t.Interface, t.Outside, t.Peer, t.Inside, t.Initiate)
			fmt.Fprintf(&b, "    selectors %v -> %v routes %v\n", t.LocalTS, t.RemoteTS, t.Routes)
			fmt.Fprintf(&b, "    lifetimes %v %v margin %v fuzz %d%% window %d\n", t.Lifetime.Phase1, t.Lifetime.Phase2, t.Lifetime.RekeyMargin, t.Lifetime.RekeyFuzz, t.ReplayWindow)
			fmt.Fprintf(&b, "    liveness %v %v then %s\n", t.Liveness.Interval, t.Liveness.Timeout, t.Liveness.Action)
			fmt.Fprintf(&b, "    %v\n", t.Algorithms)
			if t.BGP != (WorkerSession{}) {
				fmt.Fprintf(&b, "    BGP with %d, hold %v, keepalive %v, at most %d prefixes\n", t.BGP.PeerASN, t.BGP.Hold, t.BGP.Keepalive, t.BGP.MaxPrefixes)
				if t.BGP.BFD != (resource.BFD{}) {
					fmt.Fprintf(&b, "    BFD every %v, %d times\n", t.BGP.BFD.Interval, t.BGP.BFD.Multiplier)
				}
			}
		}
	}
	return b.String()
}

func TestThePlanOfTwoGateways(t *testing.T) {
	p := MakePlan(snapshot())
	if err := p.Spec.Validate(); err != nil {
		t.Error(err)
	}
	cloudtest.Golden(t, "plan.txt", p.Spec.String()+describe(p.Workers))
}

// dynamic makes the second connection of a snapshot one with BGP.
func dynamic(s Snapshot) Snapshot {
	c := &s.Connections[0]
	c.StaticRoutesOnly, c.Routes = false, nil
	c.Tunnels[1].BFD = resource.BFD{Interval: 250 * time.Millisecond, Multiplier: 3}
	c.LocalCIDR, c.RemoteCIDR = prefix("0.0.0.0/0"), prefix("0.0.0.0/0")
	s.CustomerGateways[1].BGPASN, s.Gateways[1].AmazonSideASN = 65010, 64512
	return s
}

func TestADynamicConnectionSpeaksBGP(t *testing.T) {
	cloudtest.Golden(t, "dynamic.txt", describe(MakePlan(dynamic(snapshot())).Workers))
}

func TestWhatAGatewayAnnouncesAndToWhom(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Snapshot)
		want string // the gateway's number, what it announces, the peers' numbers
	}{
		{"one of two connections is dynamic", func(*Snapshot) {}, "64512 [10.0.0.0/16] 0 0 65010 65010"},
		{"the gateway is detached", func(s *Snapshot) { s.Gateways[1].Attachment.State = resource.Detached }, "64512 [] 0 0 65010 65010"},
		{"selectors leave no way for the inside addresses", func(s *Snapshot) { s.Connections[0].LocalCIDR = prefix("192.168.0.0/16") }, "0 [] 0 0 0 0"},
		{"it is on its way out", func(s *Snapshot) { s.Connections[0].State = resource.StateDeleting }, "0 [] 0 0"},
	} {
		s := dynamic(snapshot())
		c.edit(&s)
		w := MakePlan(s).Workers[0]
		got := fmt.Sprint(w.BGP.ASN, " ", w.BGP.Announce)
		for _, t := range w.Tunnels {
			got += fmt.Sprint(" ", t.BGP.PeerASN)
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAWorkerHasTheKeysOfItsTunnels(t *testing.T) {
	var got []string
	for _, tun := range MakePlan(snapshot()).Workers[0].Tunnels {
		got = append(got, string(tun.Auth.PSK.Reveal()))
	}
	if want := "key.of.169.254.10.0_30 key.of.169.254.11.0_30 key.of.169.254.12.0_30 key.of.169.254.13.0_30"; strings.Join(got, " ") != want {
		t.Errorf("keys: got %v, want %s", got, want)
	}
}

func TestThePlanDoesNotDependOnTheOrderOfRows(t *testing.T) {
	s := snapshot()
	want := MakePlan(s)
	s.Gateways[0], s.Gateways[1] = s.Gateways[1], s.Gateways[0]
	s.Connections[0], s.Connections[1] = s.Connections[1], s.Connections[0]
	got := MakePlan(s)
	if got.Spec.String() != want.Spec.String() || describe(got.Workers) != describe(want.Workers) {
		t.Errorf("got\n%s%s\nwant\n%s%s", got.Spec, describe(got.Workers), want.Spec, describe(want.Workers))
	}
}

func TestWhatIsOnItsWayOutIsNotPlanned(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Snapshot)
		want string // namespaces with their links, then tunnels
	}{
		{"all", func(*Snapshot) {}, "vgw-1:vpc0 vgw-2 vpc-1:vgw tun1 tun2 tun3 tun4"},
		{"attaching", func(s *Snapshot) { s.Gateways[1].Attachment.State = resource.Attaching }, "vgw-1:vpc0 vgw-2 vpc-1:vgw tun1 tun2 tun3 tun4"},
		{"detaching", func(s *Snapshot) { s.Gateways[1].Attachment.State = resource.Detaching }, "vgw-1 vgw-2 tun1 tun2 tun3 tun4"},
		{"the VPC is gone", func(s *Snapshot) { s.VPCs = nil }, "vgw-1 vgw-2 tun1 tun2 tun3 tun4"},
		{"a connection deleting: the other keeps its names", func(s *Snapshot) { s.Connections[1].State = resource.StateDeleting }, "vgw-1:vpc0 vgw-2 vpc-1:vgw tun3 tun4"},
		{"both connections deleted", func(s *Snapshot) {
			s.Connections[0].State, s.Connections[1].State = resource.StateDeleted, resource.StateDeleted
		}, "vgw-1:vpc0 vgw-2 vpc-1:vgw"},
		{"a gateway deleting", func(s *Snapshot) { s.Gateways[0].State = resource.StateDeleting }, "vgw-1:vpc0 vpc-1:vgw tun1 tun2 tun3 tun4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot()
			c.edit(&s)
			p := MakePlan(s)
			var got []string
			for _, n := range p.Spec.Namespaces {
				name := n.Name
				for _, l := range n.Links {
					name += ":" + l.Name
				}
				got = append(got, name)
			}
			for _, w := range p.Workers {
				for _, tun := range w.Tunnels {
					got = append(got, tun.Interface)
				}
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
		})
	}
}
