package conffile

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
)

// dynamic is minimal with BGP instead of static routes.
func dynamic() string {
	return strings.NewReplacer(
		"routes: [10.0.0.0/16]\n", "bgp:\n  asn: 65000\n  announce: [192.168.1.0/24]\n",
		"    inside_cidr: 169.254.10.0/30\n", "    inside_cidr: 169.254.10.0/30\n    bgp: {peer_asn: 64512}\n",
		"    inside_address: 169.254.11.2/30\n", "    inside_address: 169.254.11.2/30\n    bgp: {peer_asn: 4200000001, hold_time: 9s, keepalive: 3s, max_prefixes: 0, med: 200, prepend: 2, bfd: {interval: 300ms}}\n",
	).Replace(minimal)
}

func TestBGPMeansWhatItSays(t *testing.T) {
	f, err := Parse([]byte(dynamic()), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	want := gateway.BGP{ASN: 65000, Announce: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24")}}
	if !reflect.DeepEqual(f.Gateway.BGP, want) {
		t.Errorf("got %+v, want %+v", f.Gateway.BGP, want)
	}
	if got, want := f.Gateway.Tunnels[0].BGP, (gateway.Session{PeerASN: 64512, MaxPrefixes: 5000}); got != want {
		t.Errorf("tunnel 1: got %+v, want %+v", got, want)
	}
	if got, want := f.Gateway.Tunnels[1].BGP, (gateway.Session{PeerASN: 4200000001, Hold: 9 * time.Second, Keepalive: 3 * time.Second, MED: 200, Prepend: 2, BFD: gateway.BFD{Interval: 300 * time.Millisecond, Multiplier: 3}}); got != want {
		t.Errorf("tunnel 2: got %+v, want %+v", got, want)
	}
	b, err := Format(f)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(b, t.TempDir())
	if err != nil || !reflect.DeepEqual(again, f) {
		t.Errorf("got %+v, %v from\n%s\nwant %+v", again, err, b, f)
	}
}

func TestBGPErrorsNameLineFieldValueAndRule(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"asn: 65000", "asn: 0", `line 4: bgp.asn: "0" is not an autonomous system number, 1 to 4294967295`},
		{"asn: 65000", "asn: 4294967296", `"4294967296" is not an autonomous system number`},
		{"asn: 65000", "as: 65000", "no option is called as here"},
		{"  asn: 65000\n", "", "bgp.asn: missing, though tunnel tunnel-1 has a BGP session"},
		{"asn: 65000", "asn: 64512", "tunnel-1: bgp.peer_asn 64512 is our own"},
		{"peer_asn: 64512", "med: 3", "bgp.peer_asn: missing"},
		{"peer_asn: 64512", "peer_asn: amazon", `bgp.peer_asn: "amazon" is not an autonomous system number`},
		{"hold_time: 9s", "hold_time: 2s", "bgp.hold_time 2s: whole seconds from 3s"},
		{"hold_time: 9s", "hold_time: nine", `bgp.hold_time: "nine" is not a duration`},
		{"keepalive: 3s", "keepalive: 4s", "bgp.keepalive 4s: whole seconds, at most a third of bgp.hold_time 9s"},
		{"prepend: 2", "prepend: 11", "bgp.prepend 11: 0 to 10 times"},
		{"interval: 300ms", "interval: 1ms", "bgp.bfd.interval 1ms: 50ms to 1m0s"},
		{"interval: 300ms", "interval: fast", `bgp.bfd.interval: "fast" is not a duration`},
		{"interval: 300ms", "multiplier: 3", "bgp.bfd.interval: missing; it is how often each end is heard"},
		{"interval: 300ms", "interval: 300ms, multiplier: 1", "bgp.bfd.multiplier 1: 2 to 50"},
		{"    inside_cidr: 169.254.10.0/30\n    bgp: {peer_asn: 64512}\n", "    source_nat: true\n", "source_nat: the tunnel has no inside address to translate to; give inside_cidr"},
		{"max_prefixes: 0", "max_prefixes: -1", "bgp.max_prefixes -1"},
		{"med: 200", "med: high", `bgp.med: "high" is not 0 to 4294967295`},
		{"192.168.1.0/24", "192.168.1.0/33", `bgp.announce: "192.168.1.0/33" is not a prefix`},
		{"[192.168.1.0/24]", "[192.168.1.0/24, 192.168.1.0/24]", "bgp.announce 192.168.1.0/24 stands there twice"},
		{"    inside_cidr: 169.254.10.0/30\n", "", "BGP needs the two inside addresses of a /30"},
		{"    bgp: {peer_asn: 64512}\n", "    bgp: {peer_asn: 64512}\n    remote_cidr: 10.0.0.0/16\n", "remote_cidr 10.0.0.0/16 keep out of the tunnel"},
		{"announce:", "router_id: 0.0.0.0\n  announce:", "bgp.router_id 0.0.0.0: an IPv4 address other than 0.0.0.0"},
	} {
		in := strings.Replace(dynamic(), tt.old, tt.new, 1)
		if in == dynamic() {
			t.Fatalf("the case changes nothing: %q is not in the file", tt.old)
		}
		if _, err := Parse([]byte(in), folder(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want it to say %q", tt.new, err, tt.want)
		}
	}
	alone := strings.Replace(minimal, "name: office\n", "name: office\nbgp: {asn: 65000}\n", 1)
	if _, err := Parse([]byte(alone), folder(t)); err == nil || !strings.Contains(err.Error(), "bgp.asn is given, but no tunnel has a BGP session") {
		t.Errorf("an ASN alone: got %v", err)
	}
}

func TestAnAnnouncedDefaultRouteIsWarnedOf(t *testing.T) {
	f, err := Parse([]byte(strings.Replace(dynamic(), "192.168.1.0/24", "0.0.0.0/0", 1)), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Gateway.Warnings(); len(got) != 1 || !strings.Contains(got[0], "0.0.0.0/0") {
		t.Errorf("got %q, want a warning of 0.0.0.0/0", got)
	}
}

func TestATunnelForIPv6(t *testing.T) {
	in := strings.NewReplacer(
		"announce: [192.168.1.0/24]", `announce: [192.168.1.0/24, "2001:db8:1::/48"]`,
		"    inside_cidr: 169.254.10.0/30\n", "    inside_cidr: 169.254.10.0/30\n    inside_ipv6_cidr: fd00:a:b:c::/126\n",
	).Replace(dynamic())
	f, err := Parse([]byte(in), folder(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Gateway.Tunnels[0].Inside; got != netip.MustParsePrefix("fd00:a:b:c::2/126") {
		t.Errorf("inside: got %v, want the second address of the /126", got)
	}
	if got := f.Gateway.BGP.RouterID; got != netip.MustParseAddr("169.254.10.2") {
		t.Errorf("router ID: got %v, want that of inside_cidr", got)
	}
	if b, err := Format(f); err != nil {
		t.Error(err)
	} else if again, err := Parse(b, t.TempDir()); err != nil || !reflect.DeepEqual(again, f) {
		t.Errorf("got %+v, %v from\n%s", again, err, b)
	}
	static := strings.Replace(minimal, "    inside_cidr: 169.254.10.0/30\n", "    inside_ipv6_cidr: fd00:a:b:c::/126\n", 1)
	both := strings.Replace(static, "routes: [10.0.0.0/16]", `routes: [10.0.0.0/16, "2001:db8::/32"]`, 1)
	if f, err = Parse([]byte(both), folder(t)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"2001:db8::/32", "10.0.0.0/16"} {
		if got := f.Gateway.Tunnels[i].Routes; len(got) != 1 || got[0].String() != want {
			t.Errorf("tunnel %d: got routes %v, want %s", i+1, got, want)
		}
	}
	for _, tt := range []struct{ in, old, new, want string }{
		{static, "fd00:a:b:c::/126", "fe80::/126", `inside_ipv6_cidr: "fe80::/126" is not a /126 of fd00::/8`},
		{static, "fd00:a:b:c::/126", "fd00::/64", `inside_ipv6_cidr: "fd00::/64" is not a /126`},
		{minimal, "10.0.0.0/16", "2001:db8::/32", "line 3: routes: no tunnel carries the family of 2001:db8::/32"},
		{in, `, "2001:db8:1::/48"`, "", ""},
		{dynamic(), "[192.168.1.0/24]", `["2001:db8:1::/48"]`, "bgp.announce 2001:db8:1::/48: no session is of its family"},
		{static, "    inside_ipv6_cidr: fd00:a:b:c::/126\n", "    inside_ipv6_cidr: fd00:a:b:c::/126\n    routes: [10.0.0.0/16]\n", "routes 10.0.0.0/16: the tunnel carries IPv6"},
		{static, "    inside_ipv6_cidr: fd00:a:b:c::/126\n", "    inside_ipv6_cidr: fd00:a:b:c::/126\n    local_cidr: 192.168.1.0/24\n", "local_cidr 192.168.1.0/24 and remote_cidr ::/0: the tunnel carries IPv6"},
	} {
		text := strings.Replace(tt.in, tt.old, tt.new, 1)
		if text == tt.in {
			t.Fatalf("the case changes nothing: %q is not in the file", tt.old)
		}
		_, err := Parse([]byte(text), folder(t))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want it to say %q", tt.new, err, tt.want)
		}
	}
}
