package cloudside

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/reach"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
	"seikan/internal/cloud/vpn"
	"seikan/internal/lab"
	"seikan/internal/why"
)

// A connection has CloudWatch's metrics by tunnel and as a whole, of the counters
// of its own cloud's ends.
func TestAConnectionIsMeasured(t *testing.T) {
	top := overview(t)
	s := &Side{cfg: lab.CloudConfig{Topology: top}, store: cloudtest.Open(t, store.Config{})}
	var err error
	if s.made, err = build(t.Context(), s.store, top, "edge"); err != nil {
		t.Fatal(err)
	}
	id := s.made.connections["corp-vpn"]
	cloudtest.Do(t, s.store, func(tx *store.Tx) error {
		vpn.SetTelemetry(tx, id, 1, vpn.Report{Up: true, BGP: true})
		got := fmt.Sprint(s.metrics(tx, []lab.TunnelStatus{{Connection: "corp-vpn", Number: 2, BytesIn: 700, BytesOut: 80}, {Connection: "another", Number: 1, BytesIn: 9}}))
		want := fmt.Sprintf("[{TunnelState  203.0.113.10 0} {TunnelDataIn  203.0.113.10 0} {TunnelDataOut  203.0.113.10 0} "+
			"{TunnelState  203.0.113.11 1} {TunnelDataIn  203.0.113.11 700} {TunnelDataOut  203.0.113.11 80} "+
			"{TunnelState %[1]s  0.5} {TunnelDataIn %[1]s  700} {TunnelDataOut %[1]s  80}]", id)
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		return nil
	})
}

// TestTheCloudTellsWhatLiesOnTheWay looks at the rows of the overview, without a
// host: the gateway is attached and its tunnels are up because the test says so.
func TestTheCloudTellsWhatLiesOnTheWay(t *testing.T) {
	s := cloudtest.Open(t, store.Config{})
	made, err := build(t.Context(), s, overview(t), "edge")
	if err != nil {
		t.Fatal(err)
	}
	id, consumer := made.connections["corp-vpn"], made.accounts["consumer"]
	ask := why.Ask{Client: "client", From: netip.MustParseAddr("192.168.1.10"), Destination: "service.example", Port: 443}
	look := func(a why.Ask) (e why.Evidence) {
		t.Helper()
		cloudtest.Do(t, s, func(tx *store.Tx) error {
			a.To = orElse(a.To, made.endpoints["shop-endpoint"].Attachments[0].Address)
			e, err = reach.Look(tx, a, id)
			return err
		})
		return e
	}

	e := look(ask)
	if e.VPC == nil || e.VPC.Attached || e.VPC.Back != "" {
		t.Errorf("before the gateway is attached: got %+v", e.VPC)
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		vpn.MarkRealised(tx, func(resource.VPNGateway) bool { return false })
		row, _ := store.VPNConnections.Get(tx, id)
		row.Telemetry[0].Status = resource.TunnelUp
		row.Telemetry[0].Learned = []resource.LearnedRoute{{Prefix: netip.MustParsePrefix("192.168.1.0/24"), ASPath: []uint32{65000}, Origin: "IGP"}}
		store.VPNConnections.Put(tx, id, row)
		return nil
	})
	if e = look(ask); !e.VPC.Attached || e.VPC.Propagates || e.VPC.Back != "" {
		t.Errorf("before propagation: got %+v", e.VPC)
	}
	cloudtest.Do(t, s, func(tx *store.Tx) error {
		return vpc.EnableVGWRoutePropagation(tx, consumer, made.routeTables["vpc-a/main"], made.gateways["vgw-a"])
	})

	e = look(ask)
	if e.VPC.Back != string(made.gateways["vgw-a"]) || !e.VPC.Propagates || e.VPC.Gateway != e.VPC.Back {
		t.Errorf("way back: got %+v, want by %s", e.VPC, made.gateways["vgw-a"])
	}
	if e.Name == nil || e.Name.Private == nil || !*e.Name.Private {
		t.Errorf("zone: got %+v, want that it is associated", e.Name)
	}
	if p := e.Endpoint; p == nil || p.State != "available" || !p.Groups.Allowed || !slices.Equal(p.Groups.IDs, []string{"endpoint"}) {
		t.Errorf("endpoint: got %+v", p)
	}
	if b := e.Balancer; b == nil || b.Name != "shop-nlb" || !slices.Equal(b.Ports, []uint16{21, 80, 443, 1024}) || b.Targets != 2 || b.Healthy != 0 || len(b.Reasons) != 2 {
		t.Errorf("load balancer: got %+v, want two targets that nobody has found healthy", b)
	}
	if c := e.Connection; c.State != "available" || c.CustomerAddress != netip.MustParseAddr("198.51.100.2") {
		t.Errorf("connection: got %+v", c)
	}

	ask.Port = 80
	if e = look(ask); e.Endpoint.Groups.Allowed {
		t.Error("port 80: got allowed, but the group shuts it")
	}
	ask.Destination, ask.To, ask.Port = "10.0.1.20", netip.MustParseAddr("10.0.1.20"), 0
	if e = look(ask); e.Target == nil || e.Target.Name != "app-1" || !e.Target.Groups.Allowed || e.Endpoint != nil || e.Name != nil {
		t.Errorf("ping of an instance: got %+v and %+v", e.Target, e.Endpoint)
	}
	ask.From = netip.MustParseAddr("172.16.0.1")
	if e = look(ask); e.Target.Groups.Allowed || e.VPC.Back != "" {
		t.Errorf("a client of another network: got %+v, %+v, want neither let in nor a way back", e.Target.Groups, e.VPC)
	}
}

func orElse(a, b netip.Addr) netip.Addr {
	if a.IsValid() {
		return a
	}
	return b
}
