package awsconfig

import (
	"fmt"
	"strings"
	"testing"
)

// A wrong file is a sample with one change.
type wrong struct {
	name     string
	from     string // a sample
	old, new string // every old becomes new; n counts from 1, 0 is all
	n        int
	want     string
}

func (w wrong) text(t *testing.T) string {
	t.Helper()
	in := string(sample(t, w.from))
	if !strings.Contains(in, w.old) {
		t.Fatalf("%s: %q is not in %s", w.name, w.old, w.from)
	}
	if w.n == 0 {
		return strings.ReplaceAll(in, w.old, w.new)
	}
	at := 0
	for range w.n - 1 {
		at += strings.Index(in[at:], w.old) + len(w.old)
	}
	return in[:at] + strings.Replace(in[at:], w.old, w.new, 1)
}

// between is what stands from the first a to the first b behind it.
func between(s, a, b string) string {
	from := strings.Index(s, a)
	return s[from : from+strings.Index(s[from:], b)+len(b)]
}

func TestWrongFilesAreRefusedWithPlaceValueRuleAndCure(t *testing.T) {
	tunnel := between(string(sample(t, "static.xml")), "  <ipsec_tunnel>", "</ipsec_tunnel>\n")
	section := between(string(sample(t, "static.txt")), "IPSec Tunnel #2", "169.254.11.1\n")
	for _, w := range []wrong{
		{"no tunnel", "static.xml", "ipsec_tunnel", "gone", 0, "line 2: vpn_connection: 0 ipsec_tunnel; a connection has two: download"},
		{"one tunnel", "static.xml", tunnel, "", 1, "line 2: vpn_connection: 1 ipsec_tunnel; a connection has two: download"},
		{"a third tunnel", "static.xml", tunnel, tunnel + tunnel, 1, "vpn_connection: 3 ipsec_tunnel; a connection has two"},
		{"the same tunnel twice", "static.xml", "169.254.11.", "169.254.10.", 0, "line 52: vpn_connection/ipsec_tunnel[2]: the inside addresses 169.254.10.0/30 overlap those of the first tunnel, 169.254.10.0/30; each tunnel has a range of its own: change TunnelInsideCidr"},
		{"the same outside address", "static.xml", "203.0.113.11", "203.0.113.10", 0, "AWS's outside address 203.0.113.10 is that of the first tunnel too"},
		{"key too short", "static.xml", key2, "Short1", 0, "line 79: vpn_connection/ipsec_tunnel[2]/ike/pre_shared_key: 6 characters; a key has 8 to 64 of A–Z a–z 0–9 . _ and does not start with 0: set one at AWS"},
		{"key with a hyphen", "static.xml", key1, "Forbidden-Key_01", 0, "vpn_connection/ipsec_tunnel[1]/ike/pre_shared_key: character 10 is not allowed; a key has 8 to 64"},
		{"key that starts with 0", "bgp.txt", key1, "0" + key1[1:], 0, "line 23: IPSec Tunnel #1, section #1: Pre-Shared Key: starts with 0"},
		{"no key", "static.xml", key1, "", 0, "ipsec_tunnel[1]/ike/pre_shared_key: empty; a connection that authenticates by certificate has no key"},
		{"no key element", "static.xml", "<pre_shared_key>" + key1 + "</pre_shared_key>", "", 0, "ipsec_tunnel[1]/ike/pre_shared_key: empty; a connection that authenticates by certificate has no key"},
		{"no such address", "static.xml", "203.0.113.11", "203.0.113.311", 0, `line 65: vpn_connection/ipsec_tunnel[2]/vpn_gateway/tunnel_outside_address/ip_address: "203.0.113.311" is no IP address`},
		{"no address", "static.xml", "<ip_address>203.0.113.11</ip_address>", "", 0, "line 64: vpn_connection/ipsec_tunnel[2]/vpn_gateway/tunnel_outside_address/ip_address: missing"},
		{"address that is a list", "static.xml", "203.0.113.11", "<b>203.0.113.11</b>", 0, "a single value is expected here"},
		{"the unspecified address", "static.xml", "203.0.113.11", "0.0.0.0", 0, "0.0.0.0 is no address of a gateway"},
		{"other length", "static.xml", "<network_cidr>30", "<network_cidr>31", 1, "network_cidr: 31; an inside range is a /30 for IPv4"},
		{"other mask", "static.xml", "255.255.255.252", "255.255.255.0", 1, `network_mask: "255.255.255.0" is not known here`},
		{"inside elsewhere", "static.xml", "169.254.10.", "192.168.10.", 0, "not in one /30 of 169.254.0.0/16"},
		{"inside reserved", "static.xml", "169.254.10.", "169.254.5.", 0, "the inside range 169.254.5.0/30 is reserved"},
		{"inside swapped", "static.txt", "169.254.10.2/30\n  - Virtual Private Gateway             : 169.254.10.1/30", "169.254.10.1/30\n  - Virtual Private Gateway             : 169.254.10.2/30", 0, "IPSec Tunnel #1, section #4: Next hop: "},
		{"ASN of nobody", "bgp.xml", "<asn>65000", "<asn>0", 1, `bgp/asn: "0" is no whole number of 1 to 4294967295`},
		{"equal ASNs", "bgp.xml", "<asn>65000", "<asn>64512", 0, "both ends have ASN 64512"},
		{"a gateway that is not there", "bgp.xml", "<asn>64512", "<asn>", 0, "line 31: vpn_connection/ipsec_tunnel[1]/vpn_gateway/bgp/asn: empty; the connection is at no gateway, whose number BGP needs"},
		{"AWS's address empty", "static.xml", "203.0.113.11", "", 0, `vpn_gateway/tunnel_outside_address/ip_address: "" is no IP address`},
		{"one customer address empty", "static.xml", "198.51.100.2", "", 1, "the customer gateway's outside address 198.51.100.2 is not that of the first tunnel, invalid IP"},
		{"other ASN", "bgp.xml", "<asn>65000", "<asn>65001", 1, "the ASNs 65000 and 64512 are not those of the first tunnel, 65001 and 64512"},
		{"BGP at one end", "bgp.xml", "<bgp>\n        <asn>65000</asn>\n        <hold_time>30</hold_time>\n      </bgp>", "", 1, "line 7: vpn_connection/ipsec_tunnel[1]/customer_gateway/bgp/asn: missing"},
		{"aggressive mode", "static.xml", "<mode>main", "<mode>aggressive", 1, `ike/mode: "aggressive" is not known here; it is one of: main`},
		{"AH", "static.xml", "<protocol>esp", "<protocol>ah", 1, `ipsec/protocol: "ah" is not known here`},
		{"no name", "static.xml", ` id="vpn-0fedcba9876543210"`, "", 1, "vpn_connection/@id: missing"},
		{"hostile name", "static.xml", "vpn-0fedcba9876543210", "vpn-../../etc", 1, `vpn_connection/@id: "vpn-../../etc" is no name such as vpn-`},
		{"entities", "static.xml", "<vpn_connection id", `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><vpn_connection id`, 1, "line 2: a document type or another directive"},
		{"use of an entity", "static.xml", key1, "&x;", 0, "no well-formed XML within \"vpn_connection/ipsec_tunnel/ike/pre_shared_key\""},
		{"another encoding", "static.xml", `encoding="UTF-8"`, `encoding="EBCDIC"`, 1, "line 1: no well-formed XML before the first element"},
		{"ends that do not fit", "static.xml", "</ike>", "</esp>", 1, `line 35: "</esp>" ends what did not begin`},
		{"two documents", "static.xml", "</vpn_connection>\n", "</vpn_connection>\n<vpn_connection/>", 1, "a second document begins here"},
		{"another document", "static.xml", "vpn_connection", "pfsense", 0, "line 2: this is a pfSense or OPNsense configuration; download the connection's configuration with Vendor: Generic"},
		{"too deep", "static.xml", "<ike>", strings.Repeat("<a>", 50), 1, "line 28: nested deeper than 24 levels"},

		{"text: a tunnel missing", "static.txt", section, "", 1, "1 tunnels begin with a line such as IPSec Tunnel #1; a connection has two"},
		{"text: the second tunnel first", "static.txt", "Tunnel #1", "Tunnel #2", 1, "line 15: IPSec Tunnel #2: tunnels 1 and 2 are expected, in this order"},
		{"text: placeholder", "static.txt", "198.51.100.2", "YOUR_UPLINK_ADDRESS", 1, `line 54: IPSec Tunnel #1, section #3: Outside Customer Gateway: "YOUR_UPLINK_ADDRESS" stands for an address; write the one there`},
		{"text: placeholder of the ASN", "bgp.txt", "65000", "YOUR_BGP_ASN", 1, `section #4: Customer Gateway ASN: "YOUR_BGP_ASN" stands for a number`},
		{"text: certificates", "static.txt", "Pre-Shared Key\n", "Certificate\n", 1, `section #1: Authentication Method: "Certificate" is not known here; it is Pre-Shared Key. Write`},
		{"text: field missing", "static.txt", "  - Virtual Private Gateway             : 203.0.113.11\n", "", 1, "line 73: IPSec Tunnel #2, section #3: Outside Virtual Private Gateway: missing; the file is not whole"},
		{"text: field twice", "static.txt", "  - DPD Retries              : 3\n", "  - DPD Retries              : 3\n  - DPD Retries              : 4\n", 1, `line 43: IPSec Tunnel #1, section 2: "DPD Retries" stands there twice`},
		{"text: other length", "static.txt", "169.254.11.2/30", "169.254.11.2/24", 1, "not in one /30"},
		{"text: no number", "static.txt", "28800 seconds", "8 hours", 1, `section #1: Lifetime: "8 hours" is no whole number of 60 to 86400`},

		{"JSON: algorithm", "bgp.json", `"Value": "AES256-GCM-16"`, `"Value": "ROT13"`, 1, `VpnConnections[1].Options.TunnelOptions[0].Phase1EncryptionAlgorithms[1].Value: "ROT13" is not known here; it is one of: AES128`},
		{"JSON: group", "bgp.json", `"Value": 14`, `"Value": 7`, 1, "Phase1DHGroupNumbers[0].Value: 7 is no group that AWS has"},
		{"JSON: lifetime", "bgp.json", "14400", "5", 1, `TunnelOptions[0].Phase1LifetimeSeconds: "5" is no whole number of 900 to 28800`},
		{"JSON: no number", "bgp.json", "14400", `{"a":1}`, 1, "Phase1LifetimeSeconds: a single value is expected"},
		{"JSON: no list", "bgp.json", `"TunnelOptions": [`, `"TunnelOptions": {}, "x": [`, 2, "TunnelOptions: at most two tunnels are expected"},
		{"JSON: other key", "bgp.json", `"PreSharedKey": "` + key1, `"PreSharedKey": "` + key2, 1, "CustomerGatewayConfiguration: line 94: vpn_connection/ipsec_tunnel[2]/ike/pre_shared_key: not the key of VpnConnections[1].Options.TunnelOptions[0].PreSharedKey"},
		{"JSON: document of another", "bgp.json", `id=\"vpn-0123456789abcdef0`, `id=\"vpn-0123456789abcdef1`, 1, `VpnConnections[1].VpnConnectionId: "vpn-0123456789abcdef0", but the document within is of vpn-0123456789abcdef1`},
		{"JSON: wrong document", "bgp.json", "<mode>main", "<mode>aggressive", 1, "line 16: VpnConnections[1].CustomerGatewayConfiguration: line 40: vpn_connection/ipsec_tunnel[1]/ike/mode: "},
		{"JSON: no document", "bgp.json", "CustomerGatewayConfiguration", "Nothing", 1, "VpnConnections[1].CustomerGatewayConfiguration: missing"},
		{"JSON: being made", "bgp.json", `"State": "available"`, `"State": "pending", "CustomerGatewayConfiguration": null`, 1, `"CustomerGatewayConfiguration" stands twice in one object`},
		{"JSON: static or not", "static.json", `"StaticRoutesOnly": true`, `"StaticRoutesOnly": false`, 1, "Options.StaticRoutesOnly: the document within says otherwise"},
		{"JSON: all deleted", "static.json", `"State": "available",`, `"State": "deleting",`, 1, "VpnConnections: none that is not deleted"},
		{"JSON: something else", "static.json", "VpnConnections", "Vpcs", 1, "there are neither VpnConnections nor a VpnConnectionId; download"},
		{"JSON: not JSON", "static.json", `"Options": {`, `Options: {`, 1, "line 11: no JSON"},
		{"JSON: more", "static.json", "\n}\n", "\n}\n{}", 1, "more than one JSON value"},
		{"JSON: deep", "static.json", `"Tags": [`, `"Tags": ` + strings.Repeat("[", 50), 1, "nested deeper than 24 levels"},
	} {
		_, err := Parse([]byte(w.text(t)), "")
		if err == nil || !strings.Contains(err.Error(), w.want) {
			t.Errorf("%s: got %v\nwant it to say %q", w.name, err, w.want)
			continue
		}
		if s := err.Error(); strings.Contains(s, key1) || strings.Contains(s, key2) || strings.Contains(s, "Forbidden") || strings.Contains(s, "Short1") {
			t.Errorf("%s: the error holds a key: %s", w.name, s)
		}
	}
}

func TestOneOfSeveralConnectionsIsAskedFor(t *testing.T) {
	one := strings.TrimSpace(string(sample(t, "inside-ipv6.json")))
	two := strings.ReplaceAll(one, "vpn-0123456789abcdef0", "vpn-0fedcba9876543210")
	both := fmt.Sprintf(`{"VpnConnections":[%s,%s]}`, one, two)
	for id, want := range map[string]string{
		"":       `VpnConnections: 2 connections: name one by --connection, of "vpn-0123456789abcdef0", "vpn-0fedcba9876543210"`,
		"vpn-12": `VpnConnections: "vpn-12" is not there once; there are "vpn-0123456789abcdef0", "vpn-0fedcba9876543210"`,
	} {
		if _, err := Parse([]byte(both), id); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", id, err, want)
		}
	}
	if _, err := Parse(sample(t, "bgp.xml"), "vpn-12"); err == nil || !strings.Contains(err.Error(), `of connection "vpn-0123456789abcdef0", not of "vpn-12"`) {
		t.Errorf("got %v, want a refusal", err)
	}
	pending := strings.Replace(strings.Replace(one, "available", "pending", 1), "CustomerGatewayConfiguration", "Nothing", 1)
	if _, err := Parse([]byte(pending), ""); err == nil || !strings.Contains(err.Error(), "State: pending; wait until") {
		t.Errorf("got %v, want to be told to wait", err)
	}
}

func TestOtherVendorsConfigurationsAreNamed(t *testing.T) {
	const get = "; download the connection's configuration with Vendor: Generic, or save what `aws ec2 describe-vpn-connections` prints"
	for vendor, in := range map[string]string{
		"Cisco IOS":                "! Amazon Web Services\n! IPSec Tunnel #1\n! - Pre-Shared Key : x\ncrypto isakmp policy 200\n  encryption aes 128\n",
		"Cisco ASA":                "! IPSec Tunnel #1\r\ncrypto ikev1 policy 200\r\n  authentication pre-share\r\ncrypto isakmp x\r\n",
		"Juniper":                  "# IPSec Tunnel #1\nedit security ike\nset proposal ike-prop-vpn-1 authentication-method pre-shared-keys\n",
		"Juniper ScreenOS":         "# x\nset ike p1-proposal ike-prop-vpn preshare group2 esp aes128 sha-1 second 28800\n",
		"FortiGate":                "! Amazon Web Services\nconfig vpn ipsec phase1-interface\n edit vpn-0-0\n",
		"Palo Alto":                "# x\n edit network ike crypto-profiles ike-crypto-profiles vpn-0\n",
		"VyOS":                     "set vpn ipsec ike-group AWS lifetime '28800'\n",
		"Yamaha":                   "# x\n tunnel select 1\n   ipsec ike encryption 1 aes-cbc\n",
		"MikroTik":                 "# x\n/ip ipsec proposal\n",
		"strongSwan":               "# IPSEC Tunnel #1\n# - Pre-Shared Key : x\nconn Tunnel1\n\tauto=start\n\tleft=%defaultroute\n",
		"libreswan or Openswan":    "conn Tunnel1\n\tauthby=secret\n\tphase2alg=aes128-sha1;modp1024\n",
		"Windows":                  "netsh advfirewall consec add rule Name=\"vgw\" ^\n",
		"pfSense or OPNsense":      "! This configuration consists of two tunnels. pfSense 2.2.5+\n",
		"Check Point":              "! Check Point Security Gateway Gaia R77.10\n",
		"SonicWall":                "This is for SonicWALL, SonicOS 6.5\n",
		"WireGuard":                "[Interface]\nPrivateKey = x\n",
		"AWS Client VPN (OpenVPN)": "client\ndev tun\nremote cvpn-endpoint-0.prod.clientvpn.eu-west-1.amazonaws.com 443\n",
	} {
		want := "this is a " + vendor + " configuration" + get
		if _, _, err := Recognise([]byte(in)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", vendor, err, want)
		}
	}
	for name, in := range map[string]string{
		"ours":  "# after set vpn ipsec, and pfSense\nname: office\ntunnels: []\n",
		"empty": "\n",
		"any":   "hello\n",
	} {
		if _, format, err := Recognise([]byte(in)); err != nil || format != Other {
			t.Errorf("%s: got %v, %v, want nothing of AWS's", name, format, err)
		}
		if _, err := Parse([]byte(in), ""); err == nil || !strings.Contains(err.Error(), "no file of AWS's; download") {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

func TestFilesBeyondTheBoundsAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ in, want string }{
		"large":         {strings.Repeat(" ", MaxSize+1), "larger than 4194304 bytes"},
		"binary":        {"<vpn\x00_connection>", "no text in UTF-8"},
		"not UTF-8":     {"<vpn_connection>\xff", "no text in UTF-8"},
		"many elements": {"<vpn_connection>" + strings.Repeat("<a/>", maxNodes+1), "more elements than any connection has"},
		"many values":   {"[" + strings.Repeat("0,", maxNodes+1), "more elements than any connection has"},
		"long names":    {"<" + strings.Repeat("a", 1<<20) + ">" + strings.Repeat("<b>", 10), "it is not whole"},
	} {
		_, err := Parse([]byte(tt.in), "")
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1000 {
			t.Errorf("%s: got %.200v, want it to say %q", name, err, tt.want)
		}
	}
}
