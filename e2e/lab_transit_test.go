//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// transitFile is the topology with a transit gateway.
const transitFile = "../lab/transit.yaml"

// transitVariant writes transitFile with the pairs of change replaced.
func transitVariant(t testing.TB, dir string, change ...string) string {
	t.Helper()
	text, err := os.ReadFile(transitFile)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(change); i += 2 {
		if !strings.Contains(string(text), change[i]) {
			t.Fatalf("%s does not hold %q", transitFile, change[i])
		}
	}
	file := filepath.Join(dir, "transit.yaml")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(change...).Replace(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// transitTables are the route tables of transitFile.
func transitTables(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(transitFile)
	if err != nil {
		t.Fatal(err)
	}
	from := strings.Index(string(text), "      # What comes from an attachment")
	to := strings.Index(string(text), "  vpcs:\n    - name: vpc-a")
	if from < 0 || to < from {
		t.Fatalf("%s has no route tables of its own", transitFile)
	}
	return string(text[from:to])
}

// pinging is one ping.
func (l *runningLab) pinging(from, to string) func() error {
	return func() error {
		if s := l.exec(from, "ping", "-q", "-c", "1", "-W", "0.5", to); s.code != 0 {
			return errors.New(s.String())
		}
		return nil
	}
}

// sent is how many octets the cloud's ends of a connection's two tunnels have sent,
// by number.
func (l *runningLab) sent(connection string) (out [2]uint64) {
	l.t.Helper()
	s := l.do("status", "--json")
	var st struct {
		Tunnels []struct {
			Number     int
			Connection string
			End        string
			BytesOut   uint64 `json:"bytes_out"`
		}
	}
	if err := json.Unmarshal([]byte(s.out), &st); err != nil {
		l.t.Fatalf("lab status: %v, %v", s, err)
	}
	for _, tn := range st.Tunnels {
		if tn.End == "cloud" && tn.Connection == connection {
			out[tn.Number-1] = tn.BytesOut
		}
	}
	return out
}

// TestTransitGateway joins a site behind NAT and two VPCs by a transit gateway
// with route tables of its own: packets both ways, none where no table leads,
// flows over both tunnels at once, and over the one that is left.
func TestTransitGateway(t *testing.T) {
	file := transitVariant(t, scratch(t))
	l := labUp(t, "transit", file)
	until(t, "both tunnels at both ends", patience, l.tunnelsUp)
	for _, way := range [][2]string{{"client", "10.1.1.20"}, {"client", "10.2.1.20"}, {"app-a", "192.168.1.10"}, {"app-b", "192.168.1.10"}} {
		until(t, way[0]+" to reach "+way[1], patience, l.pinging(way[0], way[1]))
	}
	for _, app := range []string{"10.1.1.20", "10.2.1.20"} {
		if s := l.exec("client", "curl", "-sk", "--max-time", "5", "https://"+app+"/"); s.code != 0 || s.out == "" {
			t.Errorf("curl https://%s/: got %v, want its page", app, s)
		}
	}
	// What is too large for the tunnel is cut before it is sealed; who forbids that is
	// told how large it may be (vpn §3.5).
	if s := l.exec("app-a", "ping", "-q", "-c", "3", "-W", "1", "-s", "4000", "192.168.1.10"); s.code != 0 || !strings.Contains(s.out, "3 received") {
		t.Errorf("large pings: got %v, want three answers", s)
	}
	if s := l.exec("app-a", "ping", "-c", "1", "-W", "1", "-M", "do", "-s", "1472", "192.168.1.10"); !strings.Contains(s.out, "Frag needed") && !strings.Contains(s.out, "Message too long") && !strings.Contains(s.err, "Message too long") {
		t.Errorf("a ping that may not be cut: got %v, want to be told that it is too large", s)
	}
	t.Run("isolation", func(t *testing.T) { inner := *l; inner.t = t; transitIsolates(t, &inner) })
	t.Run("source check", func(t *testing.T) { inner := *l; inner.t = t; transitChecksSources(t, &inner) })
	t.Run("ecmp", func(t *testing.T) { inner := *l; inner.t = t; transitSpreads(t, &inner) })
	t.Run("replacement", func(t *testing.T) { inner := *l; inner.t = t; transitReplaces(t, &inner) })
	t.Run("failover", func(t *testing.T) { inner := *l; inner.t = t; transitFailsOver(t, &inner) })
	t.Run("no control plane", func(t *testing.T) { inner := *l; inner.t = t; transitNeedsNoControlPlane(t, &inner) })
	t.Run("another worker", func(t *testing.T) { inner := *l; inner.t = t; transitGoesOn(t, &inner) })
}

// transitReplaces has the cloud replace both ends, one after the other, under
// pings that take either tunnel: none is lost (vpn §3.6).
func transitReplaces(t *testing.T, l *runningLab) {
	for _, outside := range []string{"203.0.113.10", "203.0.113.11"} {
		stream := make(chan said, 1)
		go func() { stream <- l.exec("client", "ping", "-q", "-i", "0.01", "-c", "1500", "-W", "2", "10.1.1.20") }()
		if s := l.do("replace", outside); s.code != 0 {
			t.Fatalf("lab replace: %v", s)
		}
		until(t, "the tunnel to be replaced and back", 2*patience, func() error {
			found, err := l.why("10.1.1.20")
			for _, f := range found {
				if f.Code == "replaced" {
					return errors.New(f.What)
				}
			}
			return err
		})
		if s := <-stream; s.code != 0 || !strings.Contains(s.out, "1500 received, 0% packet loss") {
			t.Errorf("while the end at %s was replaced: got %v, want none of 1500 lost", outside, s)
		}
	}
}

// transitNeedsNoControlPlane stops the process that is the control plane and cuts a
// tunnel: its worker alone has flows take the other one.
func transitNeedsNoControlPlane(t *testing.T, l *runningLab) {
	until(t, "flows by both tunnels", patience, func() error {
		if grown := l.spread(); min(grown[0], grown[1]) < 1000 {
			return fmt.Errorf("got %v octets", grown)
		}
		return nil
	})
	plane := find(t, "lab-supervise")
	plane.signal(t, syscall.SIGSTOP)
	defer plane.signal(t, syscall.SIGCONT)
	nft("router", "ip daddr 203.0.113.10 drop")(t, l)
	defer l.run(t, "router", "nft delete table inet why")
	began := time.Now()
	const flows = 30
	until(t, "all flows by the other tunnel", patience, func() error {
		lost := 0
		for range flows {
			if s := l.exec("client", "curl", "-sk", "--max-time", "0.5", "-o", "/dev/null", "https://10.1.1.20/"); s.code != 0 {
				lost++
			}
		}
		if lost > 0 {
			return fmt.Errorf("%d of %d flows are lost", lost, flows)
		}
		return nil
	})
	t.Logf("all of %d flows pass %v after the cut", flows, time.Since(began).Round(100*time.Millisecond))
}

// transitGoesOn kills the transit gateway's worker, with its TUNs and so with the
// routes over them: another one goes on, and the routes are laid again.
func transitGoesOn(t *testing.T, l *runningLab) {
	find(t, "gateway-worker").end(t, syscall.SIGKILL)
	began := time.Now()
	until(t, "traffic by another worker", patience, l.pinging("app-a", "192.168.1.10"))
	took := time.Since(began)
	t.Logf("after %v", took.Round(10*time.Millisecond))
	if took > 3*time.Second {
		t.Errorf("traffic came after %v, want it before the BGP sessions are there again", took)
	}
	until(t, "both tunnels", patience, l.tunnelsUp)
	until(t, "flows by both tunnels", patience, func() error {
		if grown := l.spread(); min(grown[0], grown[1]) < 1000 {
			return fmt.Errorf("got %v octets", grown)
		}
		return nil
	})
}

// TestSitesMeetAtATransitGateway joins two sites and a VPC: each is told of the
// others, with the path of the other site.
func TestSitesMeetAtATransitGateway(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "cloudhub.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	hub := "  transit_gateways:\n    - {name: hub, account: consumer, vpcs: [{vpc: vpc-a, subnets: [a-1]}]}\n  vpcs:\n"
	file := filepath.Join(scratch(t), "hub.yaml")
	edited := strings.NewReplacer("  vpcs:\n", hub, "      vpn_gateway: vgw-a\n", "", "    vpn_gateway: vgw-a\n", "    transit_gateway: hub\n", ", propagate: true", "").Replace(string(text))
	if err := os.WriteFile(file, []byte(edited), 0o644); err != nil {
		t.Fatal(err)
	}
	l := labUp(t, "transit-hub", file)
	until(t, "site one to reach site two", 2*patience, l.pinging("client-one", "192.168.2.10"))
	until(t, "site two to reach site one", patience, l.pinging("client-two", "192.168.1.10"))
	until(t, "either site to be told of the other and of the VPC", patience, func() error {
		st, err := l.status()
		for _, tn := range st.Tunnels {
			want := map[string]string{"vpn-one": "[10.0.0.0/16 192.168.2.0/24]", "vpn-two": "[10.0.0.0/16 192.168.1.0/24]"}[tn.Connection]
			if tn.End == "customer" && (tn.BGP == nil || fmt.Sprint(tn.BGP.Learned) != want) {
				err = errors.Join(err, fmt.Errorf("%s has %+v, want %s", tn.Connection, tn.BGP, want))
			}
		}
		return err
	})
	for _, outside := range []string{"203.0.113.12", "203.0.113.13"} {
		if s := l.do("cut", outside); s.code != 0 {
			t.Fatalf("lab cut: %v", s)
		}
		reached := l.pinging("client-one", "192.168.2.10")
		if outside == "203.0.113.12" {
			until(t, "site one to reach site two by the other tunnel", patience, reached)
			continue
		}
		until(t, "site one to be told that site two is gone", patience, func() error {
			st, err := l.status()
			for _, tn := range st.Tunnels {
				if tn.End == "customer" && tn.Connection == "vpn-one" && (tn.BGP == nil || fmt.Sprint(tn.BGP.Learned) != "[10.0.0.0/16]") {
					err = errors.Join(err, fmt.Errorf("it has %+v", tn.BGP))
				}
			}
			return err
		})
		if reached() == nil {
			t.Error("site one reaches site two, of which both tunnels are cut")
		}
	}
}

// transitIsolates wants the VPCs not to reach each other, whose table has no route
// to either; the packets get as far as the transit gateway.
func transitIsolates(t *testing.T, l *runningLab) {
	for _, way := range [][2]string{{"app-a", "10.2.1.20"}, {"app-b", "10.1.1.20"}} {
		if s := l.exec(way[0], "ping", "-q", "-c", "20", "-i", "0.01", "-W", "0.5", way[1]); !strings.Contains(s.out, " 0 received") {
			t.Errorf("%s to %s: got %v, want nothing received", way[0], way[1], s)
		}
	}
	if s := l.exec("app-a", "ping", "-q", "-c", "20", "-i", "0.01", "-W", "0.5", "192.168.66.1"); !strings.Contains(s.out, " 0 received") {
		t.Errorf("into the blackhole: got %v, want nothing received", s)
	}
}

// transitChecksSources pings an instance from the site as if from its own VPC, by
// whose addresses security groups know their members: nothing arrives. The other
// VPC's addresses are as good as any.
func transitChecksSources(t *testing.T, l *runningLab) {
	echos := func() (n int) {
		s := l.exec("app-a", "sh", "-c", `awk '/^Icmp:/ {if (!col) {for (i = 1; i <= NF; i++) if ($i == "InEchos") col = i} else print $col}' /proc/net/snmp`)
		if _, err := fmt.Sscan(s.out, &n); err != nil {
			t.Fatalf("pings received: %v, %v", s, err)
		}
		return n
	}
	for source, want := range map[string]int{"10.1.1.99": 0, "10.2.1.99": 5} {
		before := echos()
		l.exec("cgw", "sh", "-c", fmt.Sprintf("ip addr add %[1]s/32 dev lo; ping -q -c 5 -i 0.05 -W 0.3 -I %[1]s 10.1.1.20; ip addr del %[1]s/32 dev lo", source))
		if got := echos() - before; got != want {
			t.Errorf("of five pings from %s: got %d at app-a, want %d", source, got, want)
		}
	}
}

// transitSpreads wants many flows to leave by both tunnels.
func transitSpreads(t *testing.T, l *runningLab) {
	grown := l.spread()
	// All of 64 flows fall on one side, or nearly, once in a thousand million times.
	if total := grown[0] + grown[1]; min(grown[0], grown[1]) < total/8 {
		t.Errorf("by each tunnel: got %v octets, want an eighth of them at least by either", grown)
	}
}

// spread opens 64 connections one after the other and returns the octets that the
// cloud's ends of the two tunnels have sent for them.
func (l *runningLab) spread() (grown [2]uint64) {
	t := l.t
	t.Helper()
	before := l.sent("corp-vpn")
	const flows = 64
	if s := l.exec("client", "sh", "-c", fmt.Sprintf("for i in $(seq %d); do curl -sk -o /dev/null --max-time 5 https://10.1.1.20/ || exit 1; done", flows)); s.code != 0 {
		t.Fatalf("%d pages: %v", flows, s)
	}
	after := l.sent("corp-vpn")
	for i := range grown {
		grown[i] = after[i] - before[i]
	}
	t.Logf("%d flows: %d octets by tunnel 1 and %d by tunnel 2", flows, grown[0], grown[1])
	return grown
}

// transitFailsOver cuts one tunnel and wants flows to go on over the other, and
// over both again when it is mended.
func transitFailsOver(t *testing.T, l *runningLab) {
	for _, outside := range []string{"203.0.113.10", "203.0.113.11"} {
		if s := l.do("cut", outside); s.code != 0 {
			t.Fatalf("lab cut: %v", s)
		}
		began := time.Now()
		until(t, "all pages over the tunnel that is left", patience, func() error {
			for range 8 { // flows fall on either tunnel
				if s := l.exec("client", "curl", "-sk", "-o", "/dev/null", "--connect-timeout", "0.5", "https://10.1.1.20/"); s.code != 0 {
					return errors.New(s.String())
				}
			}
			return nil
		})
		t.Logf("%s cut: eight pages in a row came after %v", outside, time.Since(began).Round(10*time.Millisecond))
		if s := l.do("mend", outside); s.code != 0 {
			t.Fatalf("lab mend: %v", s)
		}
		until(t, "both tunnels again", 3*patience, l.tunnelsUp)
		until(t, "both sessions again", 3*patience, func() error {
			st, err := l.status()
			for _, tn := range st.Tunnels {
				if tn.End == "cloud" && !tn.Carries {
					err = errors.Join(err, fmt.Errorf("tunnel %d carries nothing", tn.Number))
				}
			}
			return err
		})
	}
}

// TestTransitGatewayWithOneTable proves what TestTransitGateway finds: with the
// default table, everybody reaches everybody, and static routes keep to one tunnel.
func TestTransitGatewayWithOneTable(t *testing.T) {
	file := transitVariant(t, scratch(t), transitTables(t), "", "bgp: {asn: 65000, announce: [192.168.1.0/24]}", "routes: [192.168.1.0/24]")
	l := labUp(t, "transit-open", file)
	until(t, "both tunnels at both ends", patience, l.tunnelsUp)
	for _, way := range [][2]string{{"client", "10.1.1.20"}, {"app-b", "192.168.1.10"}, {"app-a", "10.2.1.20"}, {"app-b", "10.1.1.20"}} {
		until(t, way[0]+" to reach "+way[1], patience, l.pinging(way[0], way[1]))
	}
	if grown := l.spread(); min(grown[0], grown[1]) != 0 || grown[0]+grown[1] == 0 {
		t.Errorf("by each tunnel: got %v octets, want all by one", grown)
	}
}

// TestWhyThroughATransitGateway takes things away from a transit gateway, and why
// names each.
func TestWhyThroughATransitGateway(t *testing.T) {
	dir := scratch(t)
	for _, fault := range []struct{ name, from, to, code string }{
		{"tgw-a", "propagations: [vpc-a, vpc-b]}", "propagations: [vpc-b]}", "tgw-propagation-off"},
		{"tgw-b", "propagations: [corp-vpn]", "propagations: []", "tgw-propagation-off"},
		{"tgw-c", "associations: [corp-vpn], ", "", "not-associated"},
		{"tgw-d", "192.168.66.0/24, blackhole", "192.168.1.0/25, blackhole", "tgw-blackhole"},
		{"tgw-e", "            - {to: 192.168.0.0/16, transit_gateway: hub}\n", "", "no-vpc-route"},
		{"tgw-f", "announce: [192.168.1.0/24]", "announce: [192.168.1.0/24, 0.0.0.0/0]", "default-route"},
	} {
		t.Run(fault.code, func(t *testing.T) {
			l := labUp(t, fault.name, transitVariant(t, dir, fault.from, fault.to))
			until(t, "both tunnels at both ends", patience, l.tunnelsUp)
			until(t, "why to name it", patience, func() error {
				found, err := l.why("app-a:443")
				if err == nil && (len(found) == 0 || found[0].Code != fault.code) {
					err = fmt.Errorf("got %+v, want %s", found, fault.code)
				}
				return err
			})
		})
	}
}

// TestTransitGatewayTakesAThousandPrefixes announces as many, which are used, and
// one more, which ends the sessions with Cease 6/1 (vpn §4.5).
func TestTransitGatewayTakesAThousandPrefixes(t *testing.T) {
	dir := scratch(t)
	announce := []string{"192.168.1.0/24"}
	for n := range 999 {
		announce = append(announce, fmt.Sprintf("172.16.%d.%d/32", n/250, n%250))
	}
	with := func(list []string) string {
		return transitVariant(t, dir, "announce: [192.168.1.0/24]", "announce: ["+strings.Join(list, ", ")+"]")
	}
	t.Run("1000", func(t *testing.T) {
		l := labUp(t, "transit-many", with(announce))
		until(t, "a thousand by both tunnels", patience, func() error {
			if s := l.do("status", "--json"); strings.Count(s.out, "UP 1000 BGP ROUTES") != 2 {
				return errors.New(s.String())
			}
			return nil
		})
		until(t, "traffic", patience, l.pinging("app-b", "192.168.1.10"))
	})
	t.Run("1001", func(t *testing.T) {
		l := labUp(t, "transit-more", with(append(announce, "172.17.0.0/16")))
		until(t, "why to name the limit", patience, func() error {
			found, err := l.why("app-a:443") // which knows it by its 6/1
			if err == nil && (len(found) == 0 || found[0].Code != "prefix-limit" || !strings.Contains(found[0].What, "1,000")) {
				err = fmt.Errorf("got %+v, want prefix-limit, of 1,000", found)
			}
			return err
		})
	})
}
