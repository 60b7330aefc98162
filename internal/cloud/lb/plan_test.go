package lb

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/cloud/cloudtest"
	"seikan/internal/cloud/resource"
)

// snapshot is a load balancer in two zones: port 443 to two targets in zone a
// and one in zone b, ports 21 and 50000 to the one of zone b, whose health is
// probed on port 21.
func snapshot() Snapshot {
	check := resource.HealthCheck{Protocol: "TCP", Interval: 10 * time.Second, Timeout: 5 * time.Second, HealthyThreshold: 2, UnhealthyThreshold: 2}
	ftp := check
	ftp.Port = 21
	target := func(id, addr, zone string, port uint16) resource.Target {
		return resource.Target{ID: id, Address: netip.MustParseAddr(addr), Zone: zone, Port: port}
	}
	listener := func(port uint16, group resource.TargetGroupARN) resource.Listener {
		return resource.Listener{ARN: resource.ListenerARN(fmt.Sprint("l", port)), LoadBalancerARN: "lb", Protocol: "TCP", Port: port, TargetGroupARN: group}
	}
	return Snapshot{
		LoadBalancers: []resource.LoadBalancer{{ARN: "lb", State: resource.StateActive, Nodes: []resource.LoadBalancerNode{
			{Zone: "a", NetworkInterfaceID: "eni-a", Address: netip.MustParseAddr("192.168.1.10"), Namespace: "nlb-a"},
			{Zone: "b", NetworkInterfaceID: "eni-b", Address: netip.MustParseAddr("192.168.1.140"), Namespace: "nlb-b"},
		}}},
		Listeners: []resource.Listener{listener(443, "web"), listener(50000, "data"), listener(21, "ftp")},
		TargetGroups: []resource.TargetGroup{
			{ARN: "web", Name: "web", LoadBalancer: "lb", HealthCheck: check, TerminateUnhealthy: true, Targets: []resource.Target{
				target("i-1", "192.168.1.20", "a", 443), target("i-2", "192.168.1.21", "a", 8443), target("i-3", "192.168.1.150", "b", 443)}},
			{ARN: "ftp", Name: "ftp", LoadBalancer: "lb", HealthCheck: check, TerminateUnhealthy: true, Targets: []resource.Target{target("i-3", "192.168.1.150", "b", 21)}},
			{ARN: "data", Name: "data", LoadBalancer: "lb", HealthCheck: ftp, TerminateUnhealthy: true, Targets: []resource.Target{target("i-3", "192.168.1.150", "b", 50000)}},
		},
		Health: []resource.TargetHealth{healthOf("web", "i-1", 443, "eni-a", resource.HealthHealthy), healthOf("web", "i-2", 8443, "eni-a", resource.HealthHealthy)},
	}
}

func healthOf(group resource.TargetGroupARN, id string, port uint16, node resource.NetworkInterfaceID, state resource.HealthState) resource.TargetHealth {
	return resource.TargetHealth{TargetGroupARN: group, TargetID: id, Port: port, Node: node, State: state}
}

func TestPlanReadsLikeNft(t *testing.T) {
	p := MakePlan(snapshot())
	if err := p.Spec.Validate(); err != nil {
		t.Error(err)
	}
	cloudtest.Golden(t, "plan.txt", p.Spec.String()+probes(p))
}

func probes(p Plan) string {
	var b strings.Builder
	for _, w := range p.Probes {
		fmt.Fprintf(&b, "probe %s: %s %s -> %s every %v, timeout %v, now %s\n", w.Namespace, w.Protocol, w.Source, w.Target, w.Interval, w.Timeout, w.Last.State)
	}
	return b.String()
}

// rules are those of chain balance in one namespace.
func rules(p Plan, namespace string) string {
	for _, n := range p.Spec.Namespaces {
		if n.Name != namespace {
			continue
		}
		for _, c := range n.Tables[0].Chains {
			if c.Name == "balance" {
				var out []string
				for _, r := range c.Rules {
					out = append(out, r.Text)
				}
				return strings.Join(out, "\n")
			}
		}
	}
	return ""
}

func TestOnlyHealthyTargetsOfTheZoneAreChosen(t *testing.T) {
	const hash = "tcp dport 443 dnat ip to jhash ip saddr . tcp sport . tcp sequence . ip daddr . tcp dport mod "
	for _, c := range []struct {
		name string
		edit func(*Snapshot)
		want string // the first rule of node a
		cuts []string
	}{
		{"two healthy", func(*Snapshot) {}, hash + "2 map { 0 : 192.168.1.20 . 443, 1 : 192.168.1.21 . 8443 }", nil},
		{"one failed", func(s *Snapshot) { s.Health[1].State = resource.HealthUnhealthy }, "tcp dport 443 dnat ip to 192.168.1.20:443", []string{"nlb-a 192.168.1.21:8443"}},
		{"one not yet known", func(s *Snapshot) { s.Health = s.Health[:1] }, "tcp dport 443 dnat ip to 192.168.1.20:443", nil},
		{"all failed: fail open", func(s *Snapshot) {
			s.Health[0].State, s.Health[1].State = resource.HealthUnhealthy, resource.HealthUnhealthy
		}, hash + "2 map { 0 : 192.168.1.20 . 443, 1 : 192.168.1.21 . 8443 }", nil},
		{"cross-zone", func(s *Snapshot) {
			s.LoadBalancers[0].CrossZone = true
			s.Health = append(s.Health, healthOf("web", "i-3", 443, "eni-a", resource.HealthHealthy))
		}, hash + "3 map { 0 : 192.168.1.20 . 443, 1 : 192.168.1.21 . 8443, 2 : 192.168.1.150 . 443 }", nil},
		{"a target of zone all", func(s *Snapshot) {
			s.TargetGroups[0].Targets = s.TargetGroups[0].Targets[2:]
			s.TargetGroups[0].Targets[0].Zone = resource.ZoneAll
		}, "tcp dport 443 dnat ip to 192.168.1.150:443", nil},
		{"no target in the zone", func(s *Snapshot) { s.TargetGroups[0].Targets = s.TargetGroups[0].Targets[2:] }, "", nil},
		{"connections of failed targets are kept", func(s *Snapshot) {
			s.Health[1].State = resource.HealthUnhealthy
			s.TargetGroups[0].TerminateUnhealthy = false
		}, "tcp dport 443 dnat ip to 192.168.1.20:443", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := snapshot()
			s.Listeners = s.Listeners[:1]
			c.edit(&s)
			p := MakePlan(s)
			if got := rules(p, "nlb-a"); got != c.want {
				t.Errorf("rules: got %q, want %q", got, c.want)
			}
			var cuts []string
			for _, cut := range p.Cuts {
				cuts = append(cuts, cut.Namespace+" "+cut.Target.String())
			}
			if !slices.Equal(cuts, c.cuts) {
				t.Errorf("cuts: got %q, want %q", cuts, c.cuts)
			}
		})
	}
}

func TestAGroupOfSeveralListenersIsProbedOnce(t *testing.T) {
	s := snapshot()
	s.Listeners = append(s.Listeners[:1], resource.Listener{ARN: "l80", LoadBalancerARN: "lb", Port: 80, TargetGroupARN: "web"})
	if got := len(MakePlan(s).Probes); got != 3 {
		t.Errorf("probes: got %d, want 3", got)
	}
}
