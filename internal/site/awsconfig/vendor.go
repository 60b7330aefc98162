package awsconfig

import (
	"bytes"
	"regexp"
)

// vendors are recognised by a line that only their configurations have. The
// first that fits counts, so what is particular stands before what is general.
var vendors = []struct {
	name string
	line *regexp.Regexp
}{
	{"FortiGate", regexp.MustCompile(`(?m)^[ \t]*config (vpn ipsec|router bgp|system interface)\b`)},
	{"Cisco ASA", regexp.MustCompile(`(?m)^[ \t]*(crypto ipsec ikev[12] |crypto ikev[12] (policy|enable)|tunnel-group |sla monitor )`)},
	{"Cisco IOS", regexp.MustCompile(`(?m)^[ \t]*crypto (isakmp|keyring|ikev2|ipsec|map) `)},
	{"Juniper", regexp.MustCompile(`(?m)^[ \t]*(set|edit) (security (ike|ipsec|zones|flow)|interfaces st0|routing-options)\b`)},
	{"Juniper ScreenOS", regexp.MustCompile(`(?m)^[ \t]*set (ike (p1-proposal|p2-proposal|gateway)|vpn ".*" (gateway|id)|interface tunnel\.)`)},
	{"Palo Alto", regexp.MustCompile(`(?m)^[ \t]*(set|edit) network (ike|tunnel|virtual-router|interface tunnel)\b`)},
	{"VyOS", regexp.MustCompile(`(?m)^[ \t]*set (vpn ipsec|interfaces vti|protocols bgp)\b`)},
	{"Yamaha", regexp.MustCompile(`(?m)^[ \t]*(ipsec ike (pre-shared-key|encryption|local address|remote address)|tunnel select \d|bgp autonomous-system )`)},
	{"MikroTik", regexp.MustCompile(`(?m)^[ \t]*/(ip|routing) (ipsec|bgp|address|route|firewall)\b`)},
	{"libreswan or Openswan", regexp.MustCompile(`(?m)^[ \t]*(phase2(alg)?|ike_frag|ikev2|auth)\s*=\s*\S`)},
	{"strongSwan", regexp.MustCompile(`(?m)^[ \t]*(conn \S+\s*$|(left|right)(auth|id|subnet)?\s*=|keyexchange\s*=|connections \{|remote_addrs\s*=)`)},
	{"FRR or Quagga", regexp.MustCompile(`(?m)^[ \t]*router bgp \d+`)},
	{"BIRD", regexp.MustCompile(`(?m)^[ \t]*protocol bgp\b`)},
	{"Windows", regexp.MustCompile(`(?mi)^[ \t]*netsh (advfirewall|interface)\b`)},
	{"AWS Client VPN (OpenVPN)", regexp.MustCompile(`(?m)^[ \t]*(remote \S+ \d+|remote-cert-tls|<ca>)\s*$`)},
	{"WireGuard", regexp.MustCompile(`(?m)^\[(Interface|Peer)\]\s*$`)},
	// Those that are configured by hand, after instructions.
	{"Check Point", regexp.MustCompile(`(?i)\bcheck ?point\b.*\b(gaia|R[78]\d)`)},
	{"SonicWall", regexp.MustCompile(`(?i)\bsonic(wall|os)\b`)},
	{"pfSense or OPNsense", regexp.MustCompile(`(?i)\b(pf|opn)sense\b`)},
	{"Sophos", regexp.MustCompile(`(?i)\bsophos\b`)},
	{"Barracuda", regexp.MustCompile(`(?i)\bbarracuda\b`)},
	{"Zyxel", regexp.MustCompile(`(?i)\bzy(xel|wall)\b`)},
	{"Cisco Meraki", regexp.MustCompile(`(?i)\bmeraki\b`)},
	{"WatchGuard", regexp.MustCompile(`(?i)\bwatchguard\b`)},
	{"F5", regexp.MustCompile(`(?i)\bBIG-IP\b`)},
	{"Palo Alto", regexp.MustCompile(`(?i)\bpalo ?alto\b`)},
}

// ours is how our own file begins a line, whatever its comments speak of.
var ours = regexp.MustCompile(`(?m)^(tunnels|routes|name|control_socket|state_directory)\s*:`)

// vendorOf names the vendor of a configuration, or is empty.
func vendorOf(b []byte) string {
	const enough = 64 << 10 // such lines come early
	b = b[:min(len(b), enough)]
	if ours.Match(b) {
		return ""
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	for _, v := range vendors {
		if v.line.Match(b) {
			return v.name
		}
	}
	return ""
}
