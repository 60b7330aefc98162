package intake

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
	"seikan/internal/ipsec/ike/suite"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is one of package awsconfig's files.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../awsconfig/testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func nets(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func taken(t *testing.T, in []byte, o Options) Result {
	t.Helper()
	r, err := Parse(in, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestImportedFilesMeanWhatAWSsSay(t *testing.T) {
	vpc := Options{Routes: nets("10.0.0.0/16"), Advertise: nets("192.168.1.0/24")}
	all := vpc
	all.AllAlgorithms = true
	office := Options{Advertise: nets("192.168.1.0/24", "192.168.2.0/24")}
	withDefault := Options{Advertise: nets("0.0.0.0/0"), AcceptDefault: true}
	for _, tt := range []struct {
		name, from string
		options    Options
	}{
		{"static.xml", "static.xml", vpc},
		{"static.txt", "static.txt", vpc},
		{"static.json", "static.json", Options{Advertise: nets("192.168.1.0/24")}},
		{"all-algorithms.xml", "static.xml", all},
		{"bgp.xml", "bgp.xml", office},
		{"inside-ipv6.json", "inside-ipv6.json", Options{Advertise: nets("2001:db8:1::/48")}},
		{"source-nat.json", "bgp.json", Options{SourceNAT: true}},
		{"bgp.txt", "bgp.txt", office},
		{"bgp.json", "bgp.json", withDefault},
	} {
		r := taken(t, sample(t, tt.from), tt.options)
		b, err := conffile.Annotate(r.File, r.Notes)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		again, err := conffile.Parse(b, t.TempDir())
		if err != nil || !reflect.DeepEqual(again, r.File) {
			t.Errorf("%s: read back: got %+v, %v\nwant %+v", tt.name, again, err, r.File)
		}
		golden := filepath.Join("testdata", tt.name+".yaml")
		if *update {
			if err := os.WriteFile(golden, b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, _ := os.ReadFile(golden); string(b) != string(want) {
			t.Errorf("%s differs; got\n%s", golden, b)
		}
	}
}

func TestXMLAndTextMeanTheSame(t *testing.T) {
	for kind, o := range map[string]Options{"static": {Routes: nets("10.0.0.0/16")}, "bgp": {Advertise: nets("192.168.1.0/24")}} {
		xml, text := taken(t, sample(t, kind+".xml"), o), taken(t, sample(t, kind+".txt"), o)
		if !reflect.DeepEqual(xml.File, text.File) {
			t.Errorf("%s: got %+v of the text, want %+v as of the XML", kind, text.File, xml.File)
		}
	}
}

func TestBGPIsWithBothTunnelsAndPrefersNone(t *testing.T) {
	for _, name := range []string{"bgp.xml", "bgp.txt", "bgp.json"} {
		in := strings.ReplaceAll(string(sample(t, name)), "<hold_time>30", "<hold_time>90")
		in = strings.ReplaceAll(in, "Neighbor Hold Time                    : 30", "Neighbor Hold Time                    : 90")
		r := taken(t, []byte(in), Options{Advertise: nets("192.168.1.0/24", "192.168.1.0/24")})
		want := gateway.BGP{ASN: 65000, Announce: nets("192.168.1.0/24")}
		if !reflect.DeepEqual(r.Gateway.BGP, want) {
			t.Errorf("%s: got %+v, want %+v", name, r.Gateway.BGP, want)
		}
		for _, tun := range r.Gateway.Tunnels {
			if want := (gateway.Session{PeerASN: 64512, Hold: 90 * time.Second, MaxPrefixes: 5000}); tun.BGP != want || len(tun.Routes) > 0 {
				t.Errorf("%s: %s: got %+v and routes %v, want %+v and none", name, tun.ID, tun.BGP, tun.Routes, want)
			}
		}
	}
}

func TestNoMoreIsAnnouncedThanAWSTakes(t *testing.T) {
	var o Options
	for i := range 101 {
		o.Advertise = append(o.Advertise, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i), 0}), 24))
	}
	if _, err := Parse(sample(t, "bgp.xml"), t.TempDir(), o); err == nil || !strings.Contains(err.Error(), "it announces 101 networks, and AWS ends the session over more than 100; summarise them") {
		t.Errorf("a virtual private gateway: got %v", err)
	}
	if _, err := Parse(sample(t, "bgp.json"), t.TempDir(), o); err != nil {
		t.Errorf("a transit gateway: got %v", err)
	}
}

// suites lists what a tunnel offers, in words.
func words[T interface {
	String() string
	Weak() bool
}](list []T) (out []string, weak int) {
	for _, s := range list {
		out = append(out, s.String())
		if s.Weak() {
			weak++
		}
	}
	return out, weak
}

func TestWhatIsOfferedDependsOnWhatIsKnown(t *testing.T) {
	o := Options{Routes: nets("10.0.0.0/16")}
	// Of XML it is not known what AWS allows: everything that is not weak.
	xml := taken(t, sample(t, "static.xml"), o).Gateway.Tunnels[0]
	if _, weak := words(xml.IKE); weak > 0 || len(xml.IKE) != 4*3*6 {
		t.Errorf("phase 1 of XML: got %d suites, %d of them weak, want 72 and none", len(xml.IKE), weak)
	}
	if esp, weak := words(xml.ESP); weak > 0 || !strings.HasPrefix(esp[0], "AES256-GCM-16") || len(xml.ESP) != 2*6+2*3*6 {
		t.Errorf("phase 2 of XML: got %d suites, %d of them weak, first %s", len(xml.ESP), weak, esp[0])
	}
	if len(xml.Versions) != 0 {
		t.Errorf("versions: got %v, want the default: both", xml.Versions)
	}
	// All that AWS has by default: 4 ciphers, 4 hashes, 12 groups, and 5 in phase 2.
	o.AllAlgorithms = true
	all := taken(t, sample(t, "static.xml"), o).Gateway.Tunnels[0]
	if len(all.IKE) != 4*4*12 || len(all.ESP) != 2*13+2*4*13 {
		t.Errorf("all: got %d and %d suites", len(all.IKE), len(all.ESP))
	}
	for _, want := range []string{"AES128/SHA1/PRF-SHA1/DH2"} {
		if got, _ := words(all.IKE); !strings.Contains(strings.Join(got, " "), want) {
			t.Errorf("all: %s, which the file states, is not offered: %v", want, got)
		}
	}
	// JSON knows: of a tunnel at its defaults the best, so that AWS cannot choose less.
	j := taken(t, sample(t, "static.json"), Options{}).Gateway.Tunnels
	for _, s := range j[0].ESP {
		if s.Encr != suite.AESGCM16 || s.Group < 19 || s.Group > 21 {
			t.Errorf("phase 2 of JSON offers %v beside AES-GCM with a curve", s)
		}
	}
	if got, _ := words(j[1].IKE); strings.Join(got, " ") != "AES128/SHA1/PRF-SHA1/DH2" || len(j[1].Versions) != 1 || j[1].Versions[0] != 1 {
		t.Errorf("a tunnel that allows nothing else: got %v with IKE versions %v", got, j[1].Versions)
	}
	r := taken(t, withoutBGP(t, "bgp.json"), o0())
	if got, _ := words(r.Gateway.Tunnels[0].IKE); strings.Join(got, " ") != "AES256-GCM-16/PRF-SHA2-384/DH20" || r.Gateway.Tunnels[0].ReplayWindow != 2048 {
		t.Errorf("a tunnel kept to IKEv2: got %v, window %d", got, r.Gateway.Tunnels[0].ReplayWindow)
	}
	if l := r.Gateway.Tunnels[0].Lifetime; l.Phase1.Seconds() != 14400 || l.Phase2.Seconds() != 1800 || l.RekeyMargin.Seconds() != 450 {
		t.Errorf("lifetimes: got %+v, want 4 h, 30 min and 7.5 min", l)
	}
}

func o0() Options { return Options{Routes: nets("10.0.0.0/16")} }

// withoutBGP is a sample made static.
func withoutBGP(t *testing.T, name string) []byte {
	t.Helper()
	s := string(sample(t, name))
	for strings.Contains(s, "<bgp>") {
		from, to := strings.Index(s, "<bgp>"), strings.Index(s, "</bgp>")+len("</bgp>")
		s = s[:from] + s[to:]
	}
	return []byte(strings.ReplaceAll(s, `"StaticRoutesOnly": false`, `"StaticRoutesOnly": true`))
}

func TestWhatTheFileDoesNotSayIsAskedForInOneLine(t *testing.T) {
	const own = "name: office\ntunnels: []\n"
	for _, tt := range []struct {
		name    string
		in      []byte
		options Options
		want    string
	}{
		{"what lies behind AWS", sample(t, "static.xml"), Options{}, "connection vpn-0fedcba9876543210: it is static, and the file does not say what lies behind AWS; say it with --route"},
		{"what is to be announced", sample(t, "bgp.xml"), Options{}, "say them with --advertise"},
		{"selectors that keep BGP out", []byte(strings.Replace(string(sample(t, "bgp.json")), `"LocalIpv4NetworkCidr": "0.0.0.0/0"`, `"LocalIpv4NetworkCidr": "192.168.0.0/16"`, 1)),
			Options{Advertise: nets("192.168.1.0/24")}, "which LocalIpv4NetworkCidr 192.168.0.0/16 and RemoteIpv4NetworkCidr 0.0.0.0/0 keep out of its tunnels; open both: aws ec2 modify-vpn-connection-options --vpn-connection-id vpn-0123456789abcdef0"},
		{"a default route of a static connection", sample(t, "static.xml"), Options{AcceptDefault: true, Routes: nets("10.0.0.0/16")}, "leave --accept-default out"},
		{"a default route beside our own file", []byte(own), Options{AcceptDefault: true}, "this is Seikan's YAML, which says by itself"},
		{"routes beside BGP", sample(t, "bgp.json"), Options{Routes: nets("10.0.0.0/16")}, "leave --route out"},
		{"a network that AWS has no route to", sample(t, "static.json"), Options{Advertise: nets("192.168.7.0/24")}, "AWS has no route to 192.168.7.0/24 here (it has 192.168.1.0/24); add it: aws ec2 create-vpn-connection-route --vpn-connection-id vpn-0fedcba9876543210 --destination-cidr-block 192.168.7.0/24"},
		{"IPv6 within, and IPv4 to announce", sample(t, "inside-ipv6.json"), Options{Advertise: nets("192.168.1.0/24")}, "field Announce 192.168.1.0/24: no session is of its family"},
		{"IPv6 within, at which addresses", []byte(strings.ReplaceAll(string(sample(t, "inside-ipv6.json")), "TunnelInsideIpv6Cidr", "Other")), Options{Advertise: nets("2001:db8:1::/48")}, "its tunnels carry IPv6, and the file does not say TunnelInsideIpv6Cidr of the one to 203.0.113.10"},
		{"a route that holds the peer", sample(t, "static.xml"), Options{Routes: nets("203.0.0.0/8")}, "holds the peer's own address"},
		{"flags beside our own file", []byte(own), Options{AllAlgorithms: true}, "this is Seikan's YAML, which says by itself"},
		{"a wrong file of ours", []byte(own), Options{}, "tunnels: none is given"},
		{"a wrong file of ours in JSON", []byte(`{"name": "office", "tunnels": []}`), Options{}, "tunnels: none is given"},
		{"another connection", sample(t, "static.xml"), Options{Connection: "vpn-1"}, `not of "vpn-1"`},
	} {
		_, err := Parse(tt.in, t.TempDir(), tt.options)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v\nwant one line that says %q", tt.name, err, tt.want)
		}
	}
}

func TestFilesAreReadFromDiskAndFromStandardInput(t *testing.T) {
	o := Options{Routes: nets("10.0.0.0/16")}
	for path, want := range map[string]string{"-": "", "../awsconfig/testdata/static.txt": "", "none.xml": "no such file"} {
		r, err := Read(path, strings.NewReader(string(sample(t, "static.xml"))), o)
		if want == "" && (err != nil || r.Gateway.Name != "vpn-0fedcba9876543210" || r.Ours()) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %+v, %v", path, r, err)
		}
	}
	r, err := Read("-", strings.NewReader(conffile.Example), Options{})
	if err != nil || !r.Ours() {
		t.Errorf("our own example: got %v, %v", r.Kind, err)
	}
	if _, err := Read("-", strings.NewReader("<"), o); err == nil || !strings.HasPrefix(err.Error(), "standard input: line 1: ") {
		t.Errorf("got %v, want the place named", err)
	}
}

func FuzzImport(f *testing.F) {
	for _, name := range []string{"static.xml", "static.txt", "static.json", "bgp.xml", "bgp.txt", "bgp.json"} {
		f.Add(sample(f, name), strings.HasPrefix(name, "bgp"))
	}
	f.Fuzz(func(t *testing.T, in []byte, dynamic bool) {
		o := o0()
		if dynamic {
			o = Options{Advertise: nets("192.168.1.0/24")}
		}
		r, err := Parse(in, t.TempDir(), o)
		if err != nil || r.Ours() {
			return
		}
		b, err := conffile.Annotate(r.File, r.Notes)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := conffile.Parse(b, t.TempDir()); err != nil || !reflect.DeepEqual(again, r.File) {
			t.Fatalf("%s\nread back: got %+v, %v\nwant %+v", b, again, err, r.File)
		}
	})
}

// TestIPv6OutsideIsImported has both ends' outside addresses in IPv6 (vpn §4.7).
func TestIPv6OutsideIsImported(t *testing.T) {
	text := strings.NewReplacer("203.0.113.1", "2001:db8:fc::1", "198.51.100.2", "2001:db8:1::4", `"OutsideIpAddressType": "PublicIpv4"`, `"OutsideIpAddressType": "Ipv6"`).
		Replace(string(sample(t, "bgp.json")))
	r := taken(t, []byte(text), Options{Advertise: nets("192.168.1.0/24")})
	for i, want := range []string{"2001:db8:fc::10", "2001:db8:fc::11"} {
		if o := r.Gateway.Tunnels[i].Outside; o.Remote != netip.MustParseAddr(want) || o.LocalID != "2001:db8:1::4" {
			t.Errorf("tunnel %d: got %+v, want %s, and us by 2001:db8:1::4", i+1, o, want)
		}
	}
	mixed := strings.Replace(text, "2001:db8:1::4", "198.51.100.2", 1)
	if _, err := Parse([]byte(mixed), t.TempDir(), Options{Advertise: nets("192.168.1.0/24")}); err == nil {
		t.Error("one end of IPv4 and one of IPv6: got nothing, want an error")
	}
}

// TestXMLWithIPv6InsideIsImported has no address of IPv4 inside that could be our
// name in BGP.
func TestXMLWithIPv6InsideIsImported(t *testing.T) {
	text := string(sample(t, "bgp.xml"))
	for i, block := range []string{"10", "11"} {
		text = strings.NewReplacer("169.254."+block+".1<", fmt.Sprintf("fd00:%d::1<", i), "169.254."+block+".2<", fmt.Sprintf("fd00:%d::2<", i)).Replace(text)
	}
	text = regexp.MustCompile(`<network_mask>[0-9.]*</network_mask>`).ReplaceAllString(strings.ReplaceAll(text, "<network_cidr>30<", "<network_cidr>126<"), "")
	r := taken(t, []byte(text), Options{Advertise: nets("2001:db8:1::/64")})
	if got := r.Gateway.Tunnels[1].Inside; !got.Addr().Is6() || got.Bits() != 126 || !r.Gateway.BGP.RouterID.Is4() {
		t.Errorf("got the inside address %v and the name %v, want one of IPv6, and a name of IPv4", got, r.Gateway.BGP.RouterID)
	}
}
