//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A complaint is one of what people complain of most (vpn §9, by its number), as
// it is brought about in a lab.
type complaint struct {
	number   int
	name     string
	topology []string // pairs: what of the overview is replaced, and by what
	gateway  []edit   // the same of the customer gateway's file, with which it is started anew
	hurt     func(*testing.T, *runningLab)
	late     func(*testing.T, *runningLab) // as hurt, once that gateway runs
	again    func(*testing.T, *runningLab) // as hurt, before each question
	ask      string                        // "service.example:443" when empty
	code     string                        // of the finding: the fault, or a warning where there is none
	setting  string                        // a part of it
}

// An edit replaces what a regular expression matches; it must match.
type edit struct{ match, by string }

// nft loads rules into a host's own table, hooked where what it forwards or
// receives comes by.
func nft(host, rules string) func(*testing.T, *runningLab) {
	return func(t *testing.T, l *runningLab) {
		t.Helper()
		script := "add table inet why; add chain inet why f { type filter hook prerouting priority -300; }; add rule inet why f " + rules
		if s := l.exec(host, "nft", script); s.code != 0 {
			t.Fatalf("nft on %s: %v", host, s)
		}
	}
}

// run runs commands on a host; each must succeed.
func (l *runningLab) run(t *testing.T, host string, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if s := l.exec(host, "sh", "-c", c); s.code != 0 {
			t.Fatalf("%s: %s: %v", host, c, s)
		}
	}
}

// someTunnelDown is an error while the customer's end of all tunnels is up.
func (l *runningLab) someTunnelDown() error {
	if l.tunnelsUp() == nil {
		return errors.New("both are up")
	}
	return nil
}

// awaitTraffic waits until traffic passes.
func awaitTraffic(t *testing.T, l *runningLab) {
	t.Helper()
	l.t = t
	l.awaitUp()
	until(t, "traffic", patience, l.reach)
}

var complaints = []complaint{
	{number: 1, name: "the other end deletes what it should renew", code: "rekey", setting: "same lifetimes",
		topology: []string{"        liveness: {interval: 250ms, timeout: 750ms}\n", ""}, hurt: func(t *testing.T, l *runningLab) {
			awaitTraffic(t, l)
			find(t, "gateway").end(t, syscall.SIGTERM) // it says goodbye
			l.gateway(t, l.file("gateways", "cgw", "gateway.yaml"))
			awaitTraffic(t, l)
		}},
	{number: 1, name: "renewals are not answered, at every lifetime", code: "rekey", setting: "same lifetimes",
		gateway: []edit{{`lifetime: 1h\S*`, "lifetime: 30s"}, {`lifetime: 8h\S*`, "lifetime: 10m"}, {`margin: \S+`, "margin: 5s"}},
		late: func(t *testing.T, l *runningLab) {
			awaitTraffic(t, l)
			// A message of IKE, behind its marker, whose exchange is CREATE_CHILD_SA.
			nft("router", "udp dport 4500 @th,64,32 0 @th,240,8 36 drop")(t, l)
			until(t, "a lifetime's end", 4*patience, l.someTunnelDown)
			l.run(t, "router", "nft delete table inet why")
			awaitTraffic(t, l)
		}},
	{number: 2, name: "the path was dead for a while", code: "idle", setting: "DPD every 10 s", hurt: func(t *testing.T, l *runningLab) {
		awaitTraffic(t, l)
		nft("router", "udp dport 4500 drop")(t, l)
		until(t, "no tunnel", patience, l.tunnelsDown)
		l.run(t, "router", "nft delete table inet why")
		awaitTraffic(t, l)
	}},
	{number: 3, name: "both ends wait", code: "nobody-begins", setting: "StartupAction start", gateway: []edit{{"startup_action: start", "startup_action: add"}}},
	{number: 4, name: "one tunnel is never configured", code: "one-tunnel", setting: "configure the second", gateway: []edit{{`(?s)  - name: tunnel-2.*`, ""}}},
	{number: 4, name: "one tunnel is down", code: "one-tunnel", setting: "PreSharedKey", gateway: []edit{{`(?s)(tunnel-2.*?pre_shared_key: )\S+`, "${1}Another.Key_than_the.Peers"}}},
	{number: 5, name: "one network only", code: "narrow", setting: "route-based", topology: static, gateway: []edit{{"(?m)^    interface:", "    local_cidr: 192.168.1.128/25\n    interface:"}}},
	{number: 6, name: "no DH group in common", code: "proposal", setting: "Phase1DHGroupNumbers", gateway: []edit{{`dh_groups: \[\d+\]`, "dh_groups: [21]"}}},
	{number: 7, name: "UDP is blocked", code: "no-answer", setting: "UDP 500", gateway: []edit{{"name: corp-vpn", "name: corp-vpn"}}, hurt: nft("router", "udp dport { 500, 4500 } drop")},
	{number: 7, name: "the private address as identity", code: "identity", setting: "local identity", gateway: []edit{{"local_id: .*", "local_id: 192.168.1.2"}}},
	{number: 8, name: "another key", code: "psk", setting: "PreSharedKey", gateway: []edit{{`pre_shared_key: \S+`, "pre_shared_key: Another.Key_than_the.Peers"}}},
	{number: 9, name: "other networks", code: "selectors", setting: "the same pair",
		topology: slices.Concat(static, []string{"    customer_gateway: cgw\n", "    customer_gateway: cgw\n    LocalIpv4NetworkCidr: 192.168.0.0/16\n"}),
		gateway:  []edit{{`local_cidr: \S+`, "local_cidr: 172.16.0.0/12"}}},
	{number: 10, name: "renewals are too long for the path", code: "rekey-fragments", setting: "offer fewer algorithms", gateway: []edit{{"(?m)^    interface:", "    fragmentation: false\n    interface:"}},
		late: func(t *testing.T, l *runningLab) {
			awaitTraffic(t, l)
			// Probes pass, which are short, and a renewal does not.
			nft("router", "udp dport 4500 @th,64,32 0 meta length > 150 drop")(t, l)
			if s := l.exec("cgw", seikan(t), "gateway", "rekey", "tunnel-1", "--control", "/run/gw-cgw.sock"); s.code != 0 {
				t.Fatalf("rekey: %v", s)
			}
			until(t, "the renewal to fail", 3*patience, l.someTunnelDown)
			l.run(t, "router", "nft delete table inet why")
		}},
	{number: 11, name: "large packets vanish", code: "mtu", setting: "clamp the MSS", ask: appAddress, hurt: func(t *testing.T, l *runningLab) {
		awaitTraffic(t, l)
		nft("router", "udp dport 4500 meta length > 1200 drop")(t, l)
	}},
	{number: 12, name: "answers by the other tunnel", code: "one-way", setting: "rp_filter", gateway: []edit{{`(?s)(tunnel-1.*?bgp:\n)`, "${1}      prepend: 3\n"}},
		// The customer gateway stays with the tunnel that it has, which is the first.
		hurt: nft("router", "ip daddr 203.0.113.11 drop"),
		late: func(t *testing.T, l *runningLab) {
			until(t, "traffic by tunnel 1", patience, l.reach)
			l.run(t, "router", "nft delete table inet why")
		},
		// The gateway keeps it at 2, whenever it looks.
		again: func(t *testing.T, l *runningLab) {
			l.run(t, "cgw", "sysctl -qw net.ipv4.conf.tun1.rp_filter=1 net.ipv4.conf.tun2.rp_filter=1 || true")
		}},
	{number: 13, name: "slow failover", code: "slow-failover", setting: "BFD", topology: []string{"        liveness: {interval: 250ms, timeout: 750ms}\n", ""}},
	{number: 14, name: "101 prefixes", code: "prefix-limit", setting: "aggregates", gateway: []edit{{`announce: \[192.168.1.0/24\]`, "announce: [" + manyPrefixes() + "]"}},
		late: func(t *testing.T, l *runningLab) {
			until(t, "AWS's log to say so", 2*patience, func() error {
				const want = `"type":"BGPStatus","status":"DOWN","message":{"details":"`
				s := l.do("logs", "corp-vpn/1", "--log", "bgp")
				for line := range strings.Lines(s.out) {
					if strings.Contains(line, want) && strings.Contains(line, "sent 6/1 (Cease/Maximum Number of Prefixes Reached)") {
						return nil
					}
				}
				return fmt.Errorf("got %v, want %s and 6/1", s, want)
			})
		}},
	{number: 14, name: "another ASN", code: "asn", setting: "65000", gateway: []edit{{`  asn: "?65000"?`, "  asn: 65001"}}},
	{number: 14, name: "TCP 179 is filtered", code: "bgp-tcp", setting: "TCP 179", hurt: nft("cgw", "tcp dport 179 drop; add rule inet why f tcp sport 179 drop"), gateway: []edit{{"name: corp-vpn", "name: corp-vpn"}}},
	{number: 15, name: "no propagation", code: "propagation-off", setting: "EnableVgwRoutePropagation", topology: []string{"propagate: true", "propagate: false"}},
	{number: 15, name: "a security group", code: "security-group", setting: "AuthorizeSecurityGroupIngress", ask: "service.example:80"},
	// AWS's end must find no death but the one that is meant, however busy the machine:
	// a gateway is started anew within 15 s, and with IKEv2, by which new SAs are there
	// before the old ones go.
	{number: 16, name: "AWS chooses the other tunnel", code: "steering", setting: "use BGP",
		topology: slices.Concat(static, []string{"liveness: {interval: 250ms, timeout: 750ms}", "liveness: {interval: 1s, timeout: 15s}", "IKEVersions: [ikev1]", "IKEVersions: [ikev2]"}),
		hurt: func(t *testing.T, l *runningLab) {
			awaitTraffic(t, l)
			nft("router", "ip daddr 203.0.113.10 drop")(t, l)
			until(t, "tunnel 2 to carry both ways", 2*patience, func() error { return l.carries(2) })
			l.run(t, "router", "nft delete table inet why")
			awaitTraffic(t, l)
			find(t, "gateway").end(t, syscall.SIGKILL)
			// The new one meets tunnel 1 first, and keeps to it: how IKE is begun with
			// the other does not pass.
			nft("router", "ip daddr 203.0.113.11 udp dport 500 drop")(t, l)
			l.gateway(t, l.file("gateways", "cgw", "gateway.yaml"))
			until(t, "each end to send over another tunnel", patience, func() error { return errors.Join(l.sends("customer", 1), l.sends("cloud", 2)) })
			l.run(t, "router", "nft delete table inet why")
			awaitTraffic(t, l)
		}},
	{number: 17, name: "the site's address changed", code: "customer-address", setting: "by certificate", gateway: []edit{{"name: corp-vpn", "name: corp-vpn"}}, hurt: func(t *testing.T, l *runningLab) {
		if s := l.do("move", "router", "198.51.100.77"); s.code != 0 {
			t.Fatalf("lab move: %v", s)
		}
	}},
	{number: 18, name: "the tunnels' inside addresses are swapped", code: "inside-swapped", setting: "of its own outside address",
		gateway: []edit{{`169\.254\.10\.2/30`, "SWAP"}, {`169\.254\.11\.2/30`, "169.254.10.2/30"}, {"SWAP", "169.254.11.2/30"}}},
	{number: 19, name: "a router on the way marks what is too much for it", code: "congestion", setting: "ECMP", ask: appAddress,
		// It marks what comes faster, and what does not listen to marks is dropped at the
		// tunnel's end (RFC 6040).
		hurt: func(t *testing.T, l *runningLab) {
			awaitTraffic(t, l)
			nft("router", "udp dport 4500 limit rate over 100/second burst 20 packets ip ecn set ce")(t, l)
		},
		again: func(t *testing.T, l *runningLab) {
			l.exec("client", "ping", "-q", "-i", "0.002", "-c", "1000", "-W", "1", appAddress)
		}},
	{number: 20, name: "AWS rebuilds an endpoint", code: "replaced", setting: "both tunnels up", hurt: func(t *testing.T, l *runningLab) {
		awaitTraffic(t, l)
		if s := l.do("replace", "203.0.113.11"); s.code != 0 {
			t.Fatalf("lab replace: %v", s)
		}
	}},
}

// static makes the overview one of static routes.
var static = []string{"    bgp: {asn: 65000, announce: [192.168.1.0/24]}\n", "    routes: [192.168.1.0/24]\n"}

// manyPrefixes are 101, one more than AWS takes.
func manyPrefixes() string {
	var all []string
	for i := range 101 {
		all = append(all, fmt.Sprintf("172.20.%d.0/24", i))
	}
	return strings.Join(all, ", ")
}

// TestWhyNamesWhatPeopleComplainOf brings each complaint about in a lab, and
// asks why.
func TestWhyNamesWhatPeopleComplainOf(t *testing.T) {
	dir := scratch(t)
	for number := 1; number <= 20; number++ { // vpn §9 has as many
		if !slices.ContainsFunc(complaints, func(c complaint) bool { return c.number == number }) {
			t.Errorf("complaint %d is not brought about", number)
		}
	}
	for _, c := range complaints {
		t.Run(fmt.Sprintf("%d %s", c.number, c.name), func(t *testing.T) {
			l := labUp(t, "why", variant(t, dir, c.topology...))
			if len(c.gateway) > 0 {
				find(t, "gateway").end(t, syscall.SIGKILL)
			}
			if c.hurt != nil {
				c.hurt(t, l)
			}
			if len(c.gateway) > 0 {
				l.gateway(t, l.changedGateway(t, c.gateway))
			}
			if c.late != nil {
				c.late(t, l)
			}
			ask := c.ask
			if ask == "" {
				ask = "service.example:443"
			}
			var last string
			until(t, "why names it", 2*patience, func() error {
				if c.again != nil {
					c.again(t, l)
				}
				found, err := l.why(ask)
				if err != nil {
					return err
				}
				for _, f := range found {
					if f.Code == c.code && strings.Contains(f.Setting, c.setting) {
						last = f.Hop + ": " + f.What + "; " + f.Setting
						return nil
					}
				}
				return fmt.Errorf("got %+v, want %s and a setting with %q", found, c.code, c.setting)
			})
			t.Log(last)
		})
	}
}

// A finding is what the tests need of `seikan why --json`.
type finding struct{ Code, Hop, What, Setting string }

// why asks from the client. It returns the fault alone, or the warnings where
// nothing is at fault.
func (l *runningLab) why(destination string) ([]finding, error) {
	s := command(l.t, time.Minute, seikan(l.t), "why", "--name", l.name, "client", destination, "--json")
	var v struct {
		Fault    *finding
		Warnings []finding
	}
	if err := json.Unmarshal([]byte(s.out), &v); err != nil {
		return nil, fmt.Errorf("seikan why: %v", s)
	}
	if v.Fault != nil {
		return []finding{*v.Fault}, nil
	}
	return v.Warnings, nil
}

// changedGateway writes the customer gateway's file with the changes made, and
// returns the copy.
func (l *runningLab) changedGateway(t *testing.T, change []edit) string {
	t.Helper()
	text, err := os.ReadFile(l.file("gateways", "cgw", "gateway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range change {
		re := regexp.MustCompile(e.match)
		if !re.Match(text) {
			t.Fatalf("the customer gateway's file has nothing that matches %q", e.match)
		}
		text = re.ReplaceAll(text, []byte(e.by))
	}
	file := l.file("gateways", "cgw", "changed.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestTheEndOfATunnelIsReplacedWithoutLoss has the cloud replace both ends, one
// after the other, under a stream of pings.
func TestTheEndOfATunnelIsReplacedWithoutLoss(t *testing.T) {
	l := labUp(t, "replace")
	l.awaitUp()
	until(t, "traffic", patience, l.reach)
	for _, outside := range []string{"203.0.113.10", "203.0.113.11"} {
		stream := make(chan said, 1)
		go func() { stream <- l.exec("client", "ping", "-q", "-i", "0.01", "-c", "1500", "-W", "2", appAddress) }()
		l.replaceEnd(outside)
		if s := <-stream; s.code != 0 || !strings.Contains(s.out, "1500 received, 0% packet loss") {
			t.Errorf("while the end at %s was replaced: got %v, want none of 1500 lost", outside, s)
		}
	}
}

// replaceEnd has the cloud replace an end, and waits until it is back.
func (l *runningLab) replaceEnd(outside string) {
	l.t.Helper()
	if s := l.do("replace", outside); s.code != 0 {
		l.t.Fatalf("lab replace: %v", s)
	}
	until(l.t, "the tunnel to be replaced and back", 2*patience, func() error {
		found, err := l.why(appAddress)
		for _, f := range found {
			if f.Code == "replaced" {
				return errors.New(f.What)
			}
		}
		return err
	})
}

// TestWhyOnAGatewayAlone asks where there is no lab to be seen: on the customer
// gateway's own host.
func TestWhyOnAGatewayAlone(t *testing.T) {
	l := labUp(t, "alone")
	l.awaitUp()
	until(t, "traffic", patience, l.reach)
	ask := func(destination string) said {
		return l.exec("cgw", seikan(t), "why", "--control", "/run/gw-cgw.sock", "192.168.1.10", destination)
	}
	if s := ask(appAddress + ":443"); s.code != 0 || !strings.Contains(s.out, "as far as can be seen") || !strings.Contains(s.out, "10.0.0.0/16 by tunnel-") {
		t.Errorf("an address behind AWS: got %v, want no fault and the route", s)
	}
	if s := ask("172.31.0.1:443"); s.code != 1 || !strings.Contains(s.out, "nobody announces a route to 172.31.0.1") {
		t.Errorf("an address that nobody announces: got %v", s)
	}
	if s := l.exec("cgw", seikan(t), "why", "--control", "/run/gw-cgw.sock", "client", appAddress); s.code != 2 || !strings.Contains(s.err, "give an address of the site") {
		t.Errorf("a name where none is known: got %v, want exit code 2", s)
	}
}
