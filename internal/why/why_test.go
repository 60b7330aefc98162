package why

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
	now    = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
)

// tunnel is one end of tunnel n, 1 or 2, in order.
func tunnel(n int, customer bool) Tunnel {
	everything := []netip.Prefix{prefix("0.0.0.0/0")}
	t := Tunnel{
		ID: "tunnel-" + string(rune('0'+n)), Up: true, Phase: "established", Initiate: customer, Fragmentation: true, MTU: 1438,
		LocalTS: everything, RemoteTS: everything, PacketsIn: 100, PacketsOut: 100, Drops: map[string]uint64{},
		Dead: Dead{After: time.Second, Action: "restart"},
	}
	inside := prefix("169.254.10.0/30")
	if n == 2 {
		inside = prefix("169.254.11.0/30")
	}
	aws := inside.Addr().Next()
	t.InsideLocal, t.InsideRemote = aws, aws.Next()
	t.Session = &Session{State: "Established", PeerASN: 65000, Received: 1}
	if customer {
		t.InsideLocal, t.InsideRemote, t.NATLocal = t.InsideRemote, t.InsideLocal, true
		t.Session.PeerASN = 64512
	}
	return t
}

// healthy is a way on which everything is in order, seen from both ends.
func healthy() Evidence {
	yes := true
	return Evidence{
		Ask: Ask{Client: "client", From: addr("192.168.1.10"), Destination: "service.example", To: addr("10.0.1.4"), Port: 443}, Now: now,
		Name: &Name{Server: addr("192.168.1.53"), Answers: []netip.Addr{addr("10.0.1.4")}, Forwarded: []netip.Addr{addr("10.0.1.53")}, Private: &yes},
		Host: &Host{Via: addr("192.168.1.2"), Gateway: addr("192.168.1.2")},
		Customer: &Gateway{Name: "cgw", BGP: true, ASN: 65000, Tunnels: []Tunnel{tunnel(1, true), tunnel(2, true)},
			Routes: []Route{{Prefix: prefix("10.0.0.0/16"), Tunnel: "tunnel-1", Learned: true}}, Announces: []netip.Prefix{prefix("192.168.1.0/24")}},
		Cloud: &Gateway{Name: "vgw-1", BGP: true, ASN: 64512, Tunnels: []Tunnel{tunnel(1, false), tunnel(2, false)},
			Routes: []Route{{Prefix: prefix("192.168.1.0/24"), Tunnel: "tunnel-1", Learned: true}}},
		Connection: &Connection{ID: "vpn-1", State: "available", CustomerAddress: addr("198.51.100.2"), CustomerASN: 65000, SiteAddress: addr("198.51.100.2"),
			Insides: [2]netip.Prefix{prefix("169.254.10.0/30"), prefix("169.254.11.0/30")}},
		VPC:      &VPC{ID: "vpc-1", CIDRs: []netip.Prefix{prefix("10.0.0.0/16")}, Attached: true, Gateway: "vgw-1", Table: "rtb-1", Propagates: true, Back: "vgw-1"},
		Endpoint: &Endpoint{ID: "vpce-1", Service: "com.amazonaws.vpce.1", State: "available", Groups: &Groups{Interface: "eni-1", IDs: []string{"sg-1"}, Allowed: true}},
		Balancer: &Balancer{Name: "shop", State: "active", Ports: []uint16{80, 443}, Targets: 2, Healthy: 2},
		Target:   &Target{Name: "web-1", Running: true},
		Trials: []Trial{{What: "TCP to 10.0.1.4 port 443", Answered: true, Saw: "1 ms"},
			{What: "ping with 1,422 octets, not to be fragmented", Large: true, Answered: true, Saw: "1 ms"}},
	}
}

// down takes tunnel n of both ends down; each end says its reason.
func down(e *Evidence, n int, customer, cloud string) {
	for g, reason := range map[*Gateway]string{e.Customer: customer, e.Cloud: cloud} {
		t := &g.Tunnels[n-1]
		t.Up, t.Phase, t.Reason, t.Session = false, "failed", reason, nil
		for i := range g.Routes {
			if g.Routes[i].Tunnel == t.ID {
				g.Routes[i].Tunnel = ""
			}
		}
	}
	e.Trials[0].Answered, e.Trials[1].Answered = false, false
}

// bothDown takes both tunnels down.
func bothDown(e *Evidence, customer, cloud string) {
	down(e, 1, customer, cloud)
	down(e, 2, customer, cloud)
}

// static makes the connection one of static routes.
func static(e *Evidence) {
	e.Connection.Static = true
	for _, g := range []*Gateway{e.Customer, e.Cloud} {
		g.BGP = false
		for i := range g.Tunnels {
			g.Tunnels[i].Session = nil
		}
	}
}

// session makes the sessions of both ends something else.
func session(e *Evidence, state, customer, cloud string) {
	for i := range 2 {
		e.Customer.Tunnels[i].Session = &Session{State: state, PeerASN: 64512, LastError: customer}
		e.Cloud.Tunnels[i].Session = &Session{State: state, PeerASN: 65000, LastError: cloud}
	}
	e.Trials[0].Answered = false
}

// through puts a transit gateway in the way, with which all is in order.
func through(e *Evidence) *Transit {
	e.VPC.Transit, e.VPC.Gateway, e.VPC.Back = true, "tgw-1", "tgw-1"
	e.Transit = &Transit{ID: "tgw-1",
		There: Passage{From: "att-vpn", To: "att-vpc", Table: "tgw-rtb-1", Route: prefix("10.0.0.0/16"), Leads: "att-vpc", Propagates: true},
		Back:  Passage{From: "att-vpc", To: "att-vpn", Table: "tgw-rtb-2", Route: prefix("192.168.1.0/24"), Leads: "att-vpn", Propagates: true}}
	return e.Transit
}

func downs(e *Evidence, reason string) {
	e.Customer.Tunnels[0].Downs = []Down{{At: now.Add(-2 * time.Hour), Lasted: time.Minute, Reason: reason}, {At: now.Add(-time.Hour), Lasted: time.Minute, Reason: reason}}
}

// A fault is a change to a healthy way.
type fault struct {
	complaint int
	name      string
	change    func(*Evidence)
	code      string
	setting   string // a part of it
	warning   bool   // it works now
}

// faults are what people complain of most (vpn §9, by its numbers; 0 is not
// among them), as evidence, and what is to be found in it.
var faults = []fault{
	{1, "flaps at every lifetime", func(e *Evidence) { downs(e, "peer deleted the IKE SA") }, "rekey", "same lifetimes", true},
	{2, "drops when idle", func(e *Evidence) { downs(e, "peer 203.0.113.10 is dead: no answer for 20s") }, "idle", "DPD every 10 s", true},
	{2, "is silent now", func(e *Evidence) { bothDown(e, "peer 203.0.113.10 is dead: no answer for 20s", "") }, "silent", "keep the NAT's mapping", false},
	{3, "never returns after maintenance", func(e *Evidence) {
		bothDown(e, "", "")
		e.Customer.Tunnels[0].Initiate, e.Customer.Tunnels[1].Initiate = false, false
	}, "nobody-begins", "StartupAction start", false},
	{4, "only one tunnel configured", func(e *Evidence) { e.Customer.Tunnels = e.Customer.Tunnels[:1] }, "one-tunnel", "configure the second", true},
	{4, "only one tunnel up", func(e *Evidence) {
		down(e, 2, "no answer from 203.0.113.11 to main mode: check the peer's address", "")
		e.Trials[0].Answered, e.Trials[1].Answered = true, true
	}, "one-tunnel", "check the peer's address", true},
	{5, "one subnet at a time", func(e *Evidence) {
		for i := range 2 {
			e.Customer.Tunnels[i].LocalTS = []netip.Prefix{prefix("192.168.2.0/24")}
		}
		e.Trials[0].Answered = false
	}, "narrow", "one SA a tunnel", false},
	{6, "sample does not connect", func(e *Evidence) {
		bothDown(e, "peer accepts none of the IKE algorithms that we offer (AES128/SHA1/DH2): make Phase1DHGroupNumbers overlap",
			"peer offers IKE AES128/SHA1/DH2; we allow AES256/SHA2-256/DH14: no DH group in common; add DH2 to Phase1DHGroupNumbers")
	}, "proposal", "add DH2 to Phase1DHGroupNumbers", false},
	{7, "UDP 4500 blocked", func(e *Evidence) {
		bothDown(e, "no answer from 203.0.113.10 to our proof of identity (main mode message 5): see whether UDP 4500 passes", "")
	}, "no-answer", "UDP 500 and 4500", false},
	{7, "identity behind NAT", func(e *Evidence) {
		bothDown(e, "peer does not believe that we are 192.168.1.2", "peer says it is 192.168.1.2, we expect 198.51.100.2: set the peer's local identity, or our remote identity, so that they are the same")
	}, "identity", "set the peer's local identity", false},
	{8, "another key", func(e *Evidence) {
		bothDown(e, "peer refuses: its pre-shared key is another than ours, or it does not know us as 203.0.113.10: set PreSharedKey to the same text at both ends, or our local identity to what it expects", "peer 198.51.100.2 has another pre-shared key than we: set PreSharedKey to the same text at both ends")
	}, "psk", "set PreSharedKey", false},
	{8, "certificate", func(e *Evidence) {
		bothDown(e, "", "peer's certificate expired at 2026-01-01: renew it, or set the clock")
	}, "certificate", "renew it", false},
	{9, "TS_UNACCEPTABLE", func(e *Evidence) {
		bothDown(e, "peer refuses traffic between our 192.168.1.0/24 and its 10.0.0.0/8", "peer wants traffic between its 192.168.1.0/24 and our 10.0.0.0/8; we allow its 0.0.0.0/0: make LocalIpv4NetworkCidr and RemoteIpv4NetworkCidr the same pair at both ends")
	}, "selectors", "the same pair", false},
	{10, "renewal by AWS fails", func(e *Evidence) {
		downs(e, "peer 203.0.113.10 is dead: no answer for 20s to our renewal of keys")
		e.Customer.Tunnels[0].Fragmentation = false
	}, "rekey-fragments", "offer fewer algorithms", true},
	{11, "large transfers hang", func(e *Evidence) { e.Trials[1].Answered, e.Trials[1].Saw = false, "no answer in 2 s" }, "mtu", "clamp the MSS", false},
	{12, "one-way", func(e *Evidence) {
		e.Cloud.Routes[0].Tunnel, e.Customer.StrictReverse = "tunnel-2", true
		e.Trials[0].Answered = false
	}, "one-way", "rp_filter", false},
	{13, "failover takes long", func(e *Evidence) {
		e.Customer.Tunnels[0].Dead.After, e.Customer.Tunnels[1].Dead.After = 30*time.Second, 30*time.Second
	}, "slow-failover", "BFD", true},
	{14, "too many prefixes", func(e *Evidence) {
		session(e, "Idle", "received 6/1 (Cease/Maximum Number of Prefixes Reached)", "")
	}, "prefix-limit", "at most 100 prefixes", false},
	{14, "too many prefixes for a transit gateway", func(e *Evidence) {
		through(e)
		session(e, "Idle", "received 6/1 (Cease/Maximum Number of Prefixes Reached)", "")
	}, "prefix-limit", "at most 1,000 prefixes", false},
	{14, "ASN", func(e *Evidence) { session(e, "Active", "received 2/2 (Bad Peer AS)", "") }, "asn", "65000 and 64512", false},
	{14, "equal ASNs", func(e *Evidence) {
		session(e, "Active", "", "")
		e.Customer.ASN, e.Connection.CustomerASN = 64512, 64512
	}, "asn", "of its own", false},
	{14, "TCP 179", func(e *Evidence) { session(e, "Active", "", "") }, "bgp-tcp", "TCP 179", false},
	{15, "propagation off", func(e *Evidence) { e.VPC.Propagates, e.VPC.Back = false, "" }, "propagation-off", "EnableVgwRoutePropagation", false},
	{15, "security group", func(e *Evidence) { e.Endpoint.Groups.Allowed = false }, "security-group", "AuthorizeSecurityGroupIngress", false},
	{15, "not attached", func(e *Evidence) { e.VPC.Attached = false }, "not-attached", "AttachVpnGateway", false},
	{15, "no association", func(e *Evidence) { through(e).There.Table = "" }, "not-associated", "AssociateTransitGatewayRouteTable of att-vpn", false},
	{15, "no propagation", func(e *Evidence) {
		t := through(e)
		t.Back.Route, t.Back.Leads, t.Back.Propagates = netip.Prefix{}, "", false
	}, "tgw-propagation-off", "EnableTransitGatewayRouteTablePropagation of att-vpn", false},
	{15, "no propagation of the VPC, so that nothing is announced", func(e *Evidence) {
		t := through(e)
		t.There.Route, t.There.Leads, t.There.Propagates, e.Customer.Routes = netip.Prefix{}, "", false, nil
	}, "tgw-propagation-off", "EnableTransitGatewayRouteTablePropagation of att-vpc", false},
	{15, "propagates, and nothing is announced", func(e *Evidence) {
		t := through(e)
		t.Back.Route, t.Back.Leads = netip.Prefix{}, ""
	}, "tgw-no-route", "announce", false},
	{15, "nothing attached has the address", func(e *Evidence) {
		t := through(e)
		t.There.Route, t.There.Leads, t.There.To = netip.Prefix{}, "", ""
	}, "tgw-no-route", "CreateTransitGatewayVpcAttachment", false},
	{15, "a blackhole", func(e *Evidence) { through(e).There.Leads = "" }, "tgw-blackhole", "DeleteTransitGatewayRoute", false},
	{15, "leads elsewhere", func(e *Evidence) { through(e).There.Leads = "att-other" }, "tgw-elsewhere", "more specific", false},
	{15, "no tunnel up for a transit gateway", func(e *Evidence) { through(e).Back.Down = true }, "no-tunnel-up", "bring a tunnel", false},
	{15, "no subnet in the zone", func(e *Evidence) { through(e).Zone = "us-east-1b" }, "tgw-zone", "ModifyTransitGatewayVpcAttachment", false},
	{12, "flows come back by either tunnel, and a strict host", func(e *Evidence) {
		through(e)
		e.Cloud.Routes = append(e.Cloud.Routes, Route{Prefix: prefix("192.168.1.0/24"), Tunnel: "tunnel-2", Learned: true})
		e.Customer.StrictReverse = true
	}, "one-way", "rp_filter", false},
	{15, "no VPC attachment", func(e *Evidence) { through(e).Back.From, e.VPC.Attached = "", false }, "not-attached", "CreateTransitGatewayVpcAttachment", false},
	{15, "no route of the VPC to the transit gateway", func(e *Evidence) { through(e); e.VPC.Back, e.VPC.Propagates = "", false }, "no-vpc-route", "CreateRoute", false},
	{16, "cannot steer", func(e *Evidence) {
		static(e)
		e.Cloud.Routes[0].Tunnel = "tunnel-2"
	}, "steering", "use BGP", true},
	{17, "dynamic address", func(e *Evidence) {
		bothDown(e, "no answer from 203.0.113.10", "")
		e.Connection.SiteAddress, e.Cloud.Strangers = addr("198.51.100.77"), 12
	}, "customer-address", "by certificate", false},
	{18, "tunnels swapped", func(e *Evidence) {
		session(e, "Active", "", "")
		a, b := &e.Customer.Tunnels[0], &e.Customer.Tunnels[1]
		a.InsideLocal, b.InsideLocal = b.InsideLocal, a.InsideLocal
		a.InsideRemote, b.InsideRemote = b.InsideRemote, a.InsideRemote
	}, "inside-swapped", "inside addresses of its own outside address", false},
	{19, "throughput", func(e *Evidence) { e.Customer.Tunnels[0].Drops["congestion"] = 900 }, "congestion", "ECMP", true},
	{20, "modified", func(e *Evidence) { e.Connection.State = "modifying" }, "modifying", "one tunnel's options at a time", false},
	{20, "replaced", func(e *Evidence) { e.Connection.Replaced = 2 }, "replaced", "both tunnels up", true},

	{0, "no route on the client", func(e *Evidence) { e.Host.Via = netip.Addr{} }, "client-route", "192.168.1.2", false},
	{0, "client's route elsewhere", func(e *Evidence) { e.Host.Via = addr("192.168.1.1") }, "client-route", "192.168.1.2", false},
	{0, "no forwarder", func(e *Evidence) { e.Name.Error, e.Name.Answers, e.Name.Forwarded = "NXDOMAIN", nil, nil }, "not-forwarded", "conditional forwarder", false},
	{0, "forwarder's target does not answer", func(e *Evidence) {
		e.Name.Error, e.Name.Answers = "no answer from 192.168.1.53", nil
		e.Ask.To, e.Ask.Port, e.Endpoint, e.Balancer = addr("10.0.1.53"), 53, nil, nil
	}, "no-name", "10.0.1.53", false},
	{0, "no name, for no tunnel is up", func(e *Evidence) {
		e.Name.Error, e.Name.Answers = "no answer from 192.168.1.53", nil
		bothDown(e, "", "peer 198.51.100.2 has another pre-shared key than we: set PreSharedKey to the same text at both ends")
	}, "psk", "set PreSharedKey", false},
	{0, "public name", func(e *Evidence) { e.Ask.To, e.Name.Answers = addr("52.1.2.3"), []netip.Addr{addr("52.1.2.3")} }, "public-name", "private DNS", false},
	{0, "zone", func(e *Evidence) { e.Name.Private = new(bool) }, "zone-not-associated", "AssociateVPCWithHostedZone", false},
	{0, "gateway stopped", func(e *Evidence) { e.Customer = &Gateway{Name: "cgw", Error: "no such file or directory"} }, "gateway-stopped", "start it", false},
	{0, "no tunnels", func(e *Evidence) { e.Customer.Tunnels = nil }, "no-tunnel", "configuration", false},
	{0, "strange reason", func(e *Evidence) { bothDown(e, "peer answers with a poem", "") }, "ike", "log of both", false},
	{0, "no BGP at the customer", func(e *Evidence) { e.Customer.BGP = false }, "bgp-missing", "configure BGP", false},
	{0, "no session", func(e *Evidence) { e.Customer.Tunnels[0].Session, e.Customer.Tunnels[1].Session = nil, nil }, "bgp-missing", "BGP peer", false},
	{0, "static route missing at the customer", func(e *Evidence) { static(e); e.Customer.Routes = nil }, "no-route", "routes of its tunnels", false},
	{0, "nothing announced by AWS", func(e *Evidence) { e.Customer.Routes = nil }, "not-announced", "attach the VPN gateway", false},
	{0, "default route of AWS refused", func(e *Evidence) {
		e.Customer.Routes = []Route{{Prefix: prefix("0.0.0.0/0"), Refused: "a default route is used only when asked for", Learned: true}}
	}, "refused-route", "default_route", false},
	{0, "route without a tunnel", func(e *Evidence) { e.Customer.Routes[0].Tunnel = "" }, "no-tunnel-up", "tunnels", false},
	{0, "static route missing in AWS", func(e *Evidence) { static(e); e.Cloud.Routes = nil }, "no-static-route", "CreateVpnConnectionRoute", false},
	{0, "client's network not announced", func(e *Evidence) { e.Cloud.Routes = nil }, "not-advertised", "--advertise", false},
	{0, "client's network refused", func(e *Evidence) {
		e.Cloud.Routes = []Route{{Prefix: prefix("192.168.1.0/24"), Refused: "within the VPC's own range"}}
	}, "refused-route", "does not overlap", false},
	{0, "no tunnel for the way back", func(e *Evidence) { e.Cloud.Routes[0].Tunnel = "" }, "no-tunnel-up", "bring a tunnel", false},
	{0, "cloud's gateway dead", func(e *Evidence) { e.Cloud.Error = "its worker has ended" }, "cloud-gateway", "log of the cloud", false},
	{0, "deleted connection", func(e *Evidence) { e.Connection.State = "deleted" }, "connection-state", "make another", false},
	{0, "outside the VPC", func(e *Evidence) {
		e.Ask.Destination, e.Ask.To, e.Name = "10.9.0.1", addr("10.9.0.1"), nil
		e.Customer.Routes[0].Prefix = prefix("10.0.0.0/8")
	}, "not-in-vpc", "address of the VPC", false},
	{0, "more specific route in the VPC", func(e *Evidence) { e.VPC.Back = "eni-9" }, "route-elsewhere", "more specific", false},
	{0, "propagated, but nothing there", func(e *Evidence) { e.VPC.Back = "" }, "not-propagated", "announce", false},
	{0, "endpoint waits", func(e *Evidence) { e.Endpoint.State = "pendingAcceptance" }, "endpoint-pending", "accept it", false},
	{0, "endpoint rejected", func(e *Evidence) { e.Endpoint.State = "rejected" }, "endpoint-state", "another endpoint", false},
	{0, "no listener", func(e *Evidence) { e.Ask.Port = 8443 }, "no-listener", "CreateListener", false},
	{0, "ping an endpoint", func(e *Evidence) { e.Ask.Port = 0 }, "no-ping", "a port", false},
	{0, "no healthy target", func(e *Evidence) { e.Balancer.Healthy = 0 }, "no-healthy-target", "start the service", false},
	{0, "target stopped", func(e *Evidence) { e.Target.Running = false }, "target-stopped", "start its service", false},
	{0, "refused", func(e *Evidence) { e.Trials[0].Answered, e.Trials[0].Saw = false, "connection refused" }, "refused", "listens on", false},
	{0, "default route announced", func(e *Evidence) {
		e.Cloud.Routes = append(e.Cloud.Routes, Route{Prefix: prefix("0.0.0.0/0"), Tunnel: "tunnel-1", Learned: true})
	}, "default-route", "own networks only", true},
	{0, "flaps for a reason of its own", func(e *Evidence) { downs(e, "peer answers with a poem") }, "flap", "log of both", true},
}

func TestEachFaultIsNamedWithItsSetting(t *testing.T) {
	for _, tt := range faults {
		e := healthy()
		tt.change(&e)
		v := Explain(e)
		var got *Finding
		switch {
		case !tt.warning:
			got = v.Fault
		case v.Fault != nil:
			t.Errorf("%d, %s: got the fault %v, want only a warning", tt.complaint, tt.name, v.Fault)
		case len(v.Warnings) > 0:
			got = &v.Warnings[0]
		}
		if got == nil || got.Code != tt.code {
			t.Errorf("%d, %s: got %v, want %s", tt.complaint, tt.name, got, tt.code)
			continue
		}
		if !strings.Contains(got.Setting, tt.setting) {
			t.Errorf("%d, %s: the setting is %q, want it to say %q", tt.complaint, tt.name, got.Setting, tt.setting)
		}
		if line := v.Line(); !strings.Contains(line, got.What) || !strings.Contains(line, got.Setting) || strings.Contains(line, "\n") {
			t.Errorf("%d, %s: the line %q lacks %q or %q", tt.complaint, tt.name, line, got.What, got.Setting)
		}
	}
}

func TestEveryComplaintAndEveryCodeHasACase(t *testing.T) {
	for n := 1; n <= 20; n++ {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.complaint == n }) {
			t.Errorf("complaint %d has no case", n)
		}
	}
	seen := map[string]bool{}
	for _, f := range faults {
		seen[f.code] = true
	}
	for _, c := range Codes() {
		if !seen[c] {
			t.Errorf("code %s has no case", c)
		}
		delete(seen, c)
	}
	for c := range seen {
		t.Errorf("code %s is not among Codes", c)
	}
}

func TestNothingIsFoundOnTheWayThroughATransitGateway(t *testing.T) {
	e := healthy()
	through(&e)
	e.Cloud.Routes = append(e.Cloud.Routes, Route{Prefix: prefix("192.168.1.0/24"), Tunnel: "tunnel-2", Learned: true})
	v := Explain(e)
	if v.Fault != nil || len(v.Warnings) > 0 {
		t.Fatalf("got %v, %v", v.Fault, v.Warnings)
	}
	if !slices.ContainsFunc(v.Steps, func(s Step) bool { return s.Hop == "both ways" && strings.Contains(s.Saw, "back by 2 tunnels") }) {
		t.Errorf("steps: got %+v, want that flows come back by both tunnels", v.Steps)
	}
	if !slices.ContainsFunc(v.Steps, func(s Step) bool {
		return s.Hop == "transit gateway" && s.State == OK && strings.Contains(s.Saw, "att-vpc")
	}) {
		t.Errorf("steps: got %+v, want the transit gateway among them", v.Steps)
	}
}

func TestNothingIsFoundWhereNothingIsWrong(t *testing.T) {
	v := Explain(healthy())
	if v.Fault != nil || len(v.Warnings) > 0 {
		t.Fatalf("got %v, %v", v.Fault, v.Warnings)
	}
	for _, s := range v.Steps {
		if s.State != OK {
			t.Errorf("%s is %s: %s", s.Hop, s.State, s.Saw)
		}
	}
	if got, want := v.Line(), "service.example (10.0.1.4) port 443 answers; nothing is in the way"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheMostSpecificRouteSaysWhichTunnelCarries(t *testing.T) {
	g := *healthy().Customer
	g.Routes = []Route{{Prefix: prefix("10.0.0.0/8"), Tunnel: "tunnel-1"}, {Prefix: prefix("10.0.1.0/24"), Tunnel: "tunnel-2"}}
	if got, ok := g.Carries(addr("10.0.1.4")); !ok || got.ID != "tunnel-2" {
		t.Errorf("got %s, %v, want tunnel-2", got.ID, ok)
	}
	if got, ok := g.Carries(addr("192.0.2.1")); ok {
		t.Errorf("without a route: got %s, want none", got.ID)
	}
	g.Tunnels[1].Up = false
	if got, ok := g.Carries(addr("10.0.1.4")); ok {
		t.Errorf("of a tunnel that is down: got %s, want none", got.ID)
	}
}

// TestUnseenHopsAreNoFaults leaves out each part of the evidence, and all.
func TestUnseenHopsAreNoFaults(t *testing.T) {
	for name, hide := range map[string]func(*Evidence){
		"name": func(e *Evidence) { e.Name = nil }, "host": func(e *Evidence) { e.Host = nil }, "customer": func(e *Evidence) { e.Customer = nil },
		"cloud": func(e *Evidence) { e.Cloud = nil }, "connection": func(e *Evidence) { e.Connection = nil }, "VPC": func(e *Evidence) { e.VPC = nil },
		"endpoint": func(e *Evidence) { e.Endpoint = nil }, "balancer": func(e *Evidence) { e.Balancer = nil }, "target": func(e *Evidence) { e.Target = nil },
		"trials": func(e *Evidence) { e.Trials = nil },
		"all":    func(e *Evidence) { *e = Evidence{Ask: e.Ask, Now: e.Now} },
	} {
		e := healthy()
		hide(&e)
		if v := Explain(e); v.Fault != nil || len(v.Warnings) > 0 {
			t.Errorf("%s unseen: got %v, %v", name, v.Fault, v.Warnings)
		}
	}
	v := Explain(Evidence{Ask: Ask{Client: "client", Destination: "10.0.1.4", To: addr("10.0.1.4")}})
	if line := v.Line(); !strings.Contains(line, "as far as can be seen") || !strings.Contains(line, "IKE") {
		t.Errorf("got %q, want the unseen hops named", line)
	}
	no := healthy()
	no.Trials[0].Answered = false
	if line := Explain(no).Line(); !strings.Contains(line, "no hop at fault was found") {
		t.Errorf("got %q, want it said that nothing was found", line)
	}
}

func TestNamesAreUnderTheirZone(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		want       bool
	}{
		{"service.example", "service.example.", true},
		{"A.Service.Example.", "service.example", true},
		{"aservice.example", "service.example", false},
		{"example", "service.example", false},
		{"10.0.1.20", "example", false},
	} {
		if got := Under(c.name, c.zone); got != c.want {
			t.Errorf("Under(%q, %q): got %v", c.name, c.zone, got)
		}
	}
}
