package walk

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"seikan/internal/lab"
	"seikan/internal/lab/topology"
)

func overview(t *testing.T) *topology.Topology {
	t.Helper()
	topo, err := topology.ReadFile("../../../lab/system-overview.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func TestStepsAreToldWithTheirVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tell := NewTeller(&out, Style{})
		began := time.Now()
		steps := []Step{
			{"One that holds", func(_ context.Context, _ lab.World, tell *Teller) error {
				tell.Show("name", "%d", 7)
				time.Sleep(1500 * time.Millisecond)
				return nil
			}},
			{"One that takes its time", func(ctx context.Context, _ lab.World, tell *Teller) error {
				n := 0
				return await(ctx, tell, wait{what: "the third look", limit: time.Minute, every: 2500 * time.Millisecond, look: func() (bool, string, error) {
					n++
					return n == 3, "not yet", nil
				}})
			}},
			{"One that does not hold", func(ctx context.Context, _ lab.World, tell *Teller) error {
				return lookAt(await(ctx, tell, wait{what: "nothing", limit: time.Second, every: time.Hour, look: func() (bool, string, error) { return false, "nothing", nil }}), "the log")
			}},
			{"One that is not reached", func(context.Context, lab.World, *Teller) error { panic("reached") }},
		}
		verdicts, err := Run(t.Context(), nil, steps, tell, began)
		if !errors.Is(err, ErrNotHeld) || len(verdicts) != 3 || verdicts[2].Held || !verdicts[1].Held {
			t.Errorf("got %+v, %v, want two that hold, one that does not, and %v", verdicts, err, ErrNotHeld)
		}
		const want = `
1  One that holds
   name          7
   ✓ holds  1.5 s

2  One that takes its time
   … the third look, 2s
   … the third look, 4s
   ✓ holds  5.0 s

3  One that does not hold
   ✗ expected  nothing within 1s
     saw       nothing
     look at   the log

   ✓ 1  One that holds                                                1.5 s
   ✓ 2  One that takes its time                                       5.0 s
   ✗ 3  One that does not hold                                        1.0 s
   2 of 4 steps held, 7.5 s in all
`
		if out.String() != want {
			t.Errorf("got\n%s\nwant\n%s", out.String(), want)
		}
	})
}

func TestTerminalGetsASpinnerThatGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		tell := NewTeller(&out, Style{Terminal: true, Colour: true})
		done := tell.Waiting("something")
		time.Sleep(time.Second)
		done()
		tell.Show("a", "b")
		const clearLine = "\r\x1b[K"
		got := out.String()
		if strings.Count(got, "something") < 5 || strings.Contains(got, "\n   …") {
			t.Errorf("got %q, want a spinner", got)
		}
		if !strings.HasSuffix(got, clearLine+"   \x1b[2ma\x1b[0m             b\n") {
			t.Errorf("got %q, want the spinner's line cleared before the next", got)
		}
	})
}

func TestInterruptedWalkSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	step := Step{"Interrupted", func(ctx context.Context, _ lab.World, tell *Teller) error {
		cancel()
		return await(ctx, tell, wait{what: "for ever", limit: time.Hour, every: time.Hour, look: func() (bool, string, error) { return false, "", nil }})
	}}
	if _, err := Run(ctx, nil, []Step{step}, NewTeller(new(bytes.Buffer), Style{}), time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestPictureIsFoundInTheSystemOverview(t *testing.T) {
	steps, err := SystemOverview(overview(t), "ca.pem")
	if err != nil || len(steps) != 7 {
		t.Fatalf("got %d steps, %v, want 7", len(steps), err)
	}
	p := &picture{}
	for _, find := range []func(*topology.Topology) error{p.findSite, p.findNames, p.findService, p.findServers, p.findShut} {
		if err := find(overview(t)); err != nil {
			t.Fatal(err)
		}
	}
	if p.shut != 80 || p.client.Name != "client" || p.app.Name != "app-1" || p.provider.Name != "vpc-b" || p.zone.Name != "service.example" || p.ftp.Name != "ftp-1" {
		t.Errorf("got %+v, want port 80 shut, client, app-1, vpc-b, service.example and ftp-1", p)
	}
}

func TestTheWalkIsThatOfWhatTheTopologyHolds(t *testing.T) {
	for name, want := range map[string]string{
		"system-overview": "From the client to the private service", "static": "From the client to the instance", "roaming": "The address changes during a download",
	} {
		topo, err := topology.ReadFile("../../../lab/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		steps, err := Through(topo, "ca.pem")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(steps, func(s Step) bool { return s.Title == want }) {
			t.Errorf("%s: got %d steps without %q", name, len(steps), want)
		}
		topo.VPN = nil
		topo.Cloud.Endpoints = nil
		if _, err := Through(topo, ""); err == nil || !strings.Contains(err.Error(), "no VPN connection") {
			t.Errorf("%s without a VPN connection: got %v, want that said", name, err)
		}
	}
}

func TestARouterMovesToAnAddressThatIsFree(t *testing.T) {
	a := netip.MustParseAddr
	topo := &topology.Topology{Internet: []topology.Link{{Name: "up", Subnet: netip.MustParsePrefix("198.51.100.0/29"), Router: a("198.51.100.3")}}}
	for outside, want := range map[string]string{"198.51.100.1": "198.51.100.2", "198.51.100.2": "198.51.100.4", "198.51.100.6": "invalid IP"} {
		p := &picture{router: topology.Host{Name: "router", Uplink: "up", Outside: a(outside)}}
		got, err := p.freeAddress(topo)
		if got.String() != want || (err != nil) != !got.IsValid() {
			t.Errorf("from %s: got %v, %v, want %s", outside, got, err, want)
		}
	}
}

func TestOtherTopologiesAreToldWhatTheyLack(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("..", "..", "..", "lab", "system-overview.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, replacement, want string }{
		{"ports: 443, cidrs: [192.168.1.0/24, 10.0.0.0/16]", "cidrs: [0.0.0.0/0]", "every port"},
		{`{name: "@", alias: shop-endpoint}`, `{name: www, alias: shop-endpoint}`, "apex"},
		{"service: ftp, passive_port: 1024,", "service: none,", "FTP"},
		{", resolver: dns}", "}", "DNS server"},
	} {
		topo, err := topology.Parse("t.yaml", bytes.Replace(good, []byte(c.old), []byte(c.replacement), 1))
		if err != nil {
			t.Fatalf("%s: %v", c.replacement, err)
		}
		if _, err := SystemOverview(topo, ""); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "lab up") {
			t.Errorf("%s: got %v, want an error with %q", c.replacement, err, c.want)
		}
	}
}

func TestNoTunnelCarriesWhenNoneIsUp(t *testing.T) {
	p := &picture{vpn: topology.Connection{Name: "vpn"}}
	st := lab.Status{CloudStatus: lab.CloudStatus{Tunnels: []lab.TunnelStatus{
		{Connection: "vpn", Number: 1, End: "customer", Up: true}, {Connection: "vpn", Number: 2, End: "customer", Detail: "connecting"},
		{Connection: "other", Number: 1, End: "customer", Up: true, Carries: true},
	}}}
	if got, ok := p.carrier(st); ok {
		t.Errorf("got carrier %+v, want none", got)
	}
	up, seen := p.tunnelsUp(st)
	if want := "tunnel 1 (customer) up, tunnel 2 (customer) down connecting"; up != 1 || seen != want {
		t.Errorf("got %d, %q, want 1, %q", up, seen, want)
	}
	st.Tunnels[1].Up, st.Tunnels[1].Carries = true, true
	if got, ok := p.carrier(st); !ok || got.Number != 2 {
		t.Errorf("got %+v, %v, want tunnel 2", got, ok)
	}
}

func TestTunnelMustSpeakAVersionThatTheTopologyAllows(t *testing.T) {
	p := &picture{vpn: topology.Connection{Tunnels: [2]topology.Tunnel{{}, {Algorithms: topology.Algorithms{IKEVersions: []string{"ikev1"}}}}}}
	for _, c := range []struct {
		tunnel lab.TunnelStatus
		want   string // of the error
	}{
		{lab.TunnelStatus{Number: 1, IKE: "ikev2"}, ""},
		{lab.TunnelStatus{Number: 2, IKE: "ikev1"}, ""},
		{lab.TunnelStatus{Number: 2, IKE: "ikev2"}, "tunnel 2 to speak ikev1"},
	} {
		err := p.wantedVersion(c.tunnel)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v, want an error with %q", c.tunnel, err, c.want)
		}
	}
}

// How long traffic may be away depends on what notices.
func TestTheGapDependsOnWhatWatchesATunnel(t *testing.T) {
	quick := topology.Liveness{Interval: 250 * time.Millisecond, Timeout: 750 * time.Millisecond}
	for want, tunnels := range map[time.Duration][]topology.Tunnel{
		slowGap: {{}, {BFD: topology.BFD{Interval: time.Second, Multiplier: 3}}},
		fastGap: {{Liveness: quick}},
		bfdGap:  {{BFD: topology.BFD{Interval: 250 * time.Millisecond, Multiplier: 3}}, {Liveness: quick, BFD: topology.BFD{Interval: 250 * time.Millisecond, Multiplier: 3}}},
	} {
		for _, tn := range tunnels {
			if got := gapOf(tn); got != want {
				t.Errorf("%+v, %+v: got %v, want %v", tn.Liveness, tn.BFD, got, want)
			}
		}
	}
}
