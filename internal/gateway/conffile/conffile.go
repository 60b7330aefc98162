// Package conffile reads the YAML file of a customer gateway into a
// gateway.Config.
//
// It is strict: an unknown key, a value outside its range or a missing field
// is an error that names the line, the field, the value, the rule and the
// cure. It reads the file, and those that it names for keys and certificates; it
// starts nothing. The command line is its only caller.
package conffile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"seikan/internal/gateway"
	"seikan/internal/secret"
)

// defaultFuzz is AWS's RekeyFuzzPercentage (vpn §2.1).
const defaultFuzz = 100

// maxSize bounds the file; a gateway with hundreds of tunnels stays far below.
const maxSize = 1 << 20

// A File is what Read returns: the gateway's configuration, and where its
// control socket and its state directory shall be (empty: none).
type File struct {
	Gateway gateway.Config
	Control string
	State   string
	Metrics string // where measurements are shown, on loopback or a Unix socket; empty: nowhere
}

// Read reads the file at path. Files that it names are looked up beside it.
func Read(path string) (File, error) {
	f, err := os.Open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return File{}, err
	}
	if len(b) > maxSize {
		return File{}, fmt.Errorf("%s: larger than %d bytes", path, maxSize)
	}
	out, err := Parse(b, filepath.Dir(path))
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// Parse reads YAML text; dir is where names of files in it are looked up.
func Parse(b []byte, dir string) (File, error) {
	var raw rawFile
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&raw); err != nil {
		if errors.Is(err, io.EOF) {
			return File{}, errors.New("the file is empty; `seikan gateway example` prints one to start from")
		}
		return File{}, unknownKeys(err)
	}
	// A second document would be read by nobody.
	if err := dec.Decode(new(rawFile)); !errors.Is(err, io.EOF) {
		return File{}, errors.New("more than one YAML document: a file holds one gateway; remove what follows ---")
	}
	out := File{Control: raw.Control, State: raw.State, Metrics: raw.Metrics, Gateway: gateway.Config{Name: raw.Name, Forward: !raw.NoForward}}
	if out.Metrics != "" && !metricsAddress.MatchString(out.Metrics) {
		return File{}, fmt.Errorf("metrics %q: a loopback address with a port is wanted, such as 127.0.0.1:9469, or unix:/run/seikan/metrics", out.Metrics)
	}
	if out.State != "" && !filepath.IsAbs(out.State) {
		out.State = filepath.Join(dir, out.State)
	}
	routes, err := prefixes(raw.Routes)
	if err != nil {
		return File{}, err
	}
	if out.Gateway.BGP, err = raw.BGP.parse(); err != nil {
		return File{}, err
	}
	if len(raw.Tunnels) == 0 {
		return File{}, errors.New("tunnels: none is given; an AWS connection has two")
	}
	for i, rt := range raw.Tunnels {
		t, err := rt.parse(i, directory(dir))
		if err != nil {
			return File{}, err
		}
		if t.Routes == nil {
			t.Routes = ofFamily(routes, t.Inside)
		}
		if id := rt.routerID(t); !out.Gateway.BGP.RouterID.IsValid() && id.IsValid() {
			out.Gateway.BGP.RouterID = id
		}
		for _, other := range out.Gateway.Tunnels {
			if t.Inside.IsValid() && t.Inside.Overlaps(other.Inside) {
				return File{}, fmt.Errorf("tunnel %s: inside_cidr %v overlaps that of tunnel %s, %v; each tunnel has a range of its own", t.ID, t.Inside.Masked(), other.ID, other.Inside.Masked())
			}
		}
		out.Gateway.Tunnels = append(out.Gateway.Tunnels, t)
	}
	if err := carriedByNone(raw.Routes, routes, out.Gateway.Tunnels); err != nil {
		return File{}, err
	}
	return out, errors.Join(inKeys(out.Gateway.Validate()), inKeys(out.Gateway.ValidatePaths()))
}

// metricsAddress is patternMetrics.
var metricsAddress = regexp.MustCompile(patternMetrics)

// carriedByNone refuses a route of all tunnels that no tunnel's family is that of.
func carriedByNone(in []text, routes []netip.Prefix, tunnels []gateway.Tunnel) error {
	for i, p := range routes {
		if !slices.ContainsFunc(tunnels, func(t gateway.Tunnel) bool { return t.Inside.Addr().Is6() == p.Addr().Is6() }) {
			return in[i].errorf("routes", "no tunnel carries the family of %v; a tunnel with inside_ipv6_cidr carries IPv6, any other IPv4", p)
		}
	}
	return nil
}

// ofFamily are the prefixes of the family of a tunnel with an inside address.
func ofFamily(list []netip.Prefix, inside netip.Prefix) (out []netip.Prefix) {
	for _, p := range list {
		if p.Addr().Is6() == inside.Addr().Is6() {
			out = append(out, p)
		}
	}
	return out
}

// routerID is the IPv4 address of a session over IPv6, which needs one for an
// identifier: that of the range that AWS gives such a tunnel, too.
func (rt rawTunnel) routerID(t gateway.Tunnel) netip.Addr {
	if t.BGP.PeerASN == 0 || !t.Inside.Addr().Is6() {
		return netip.Addr{}
	}
	four, _ := customerEnd("inside_cidr", rt.InsideCIDR, 30, "169.254.0.0/16")
	return four.Addr()
}

// rawFile is the file's shape. Field names are the file's keys.
type rawFile struct {
	Name      string      `yaml:"name,omitempty"`
	Control   string      `yaml:"control_socket,omitempty"`
	State     string      `yaml:"state_directory,omitempty"`
	Metrics   string      `yaml:"metrics,omitempty"`
	NoForward bool        `yaml:"no_forwarding,omitempty"`
	Routes    []text      `yaml:"routes,omitempty"`
	BGP       rawBGP      `yaml:"bgp,omitempty"`
	Tunnels   []rawTunnel `yaml:"tunnels,omitempty"`
}

type rawTunnel struct {
	Name         string      `yaml:"name,omitempty"`
	Interface    string      `yaml:"interface,omitempty"`
	Startup      text        `yaml:"startup_action,omitempty"`
	Outside      rawOutside  `yaml:"outside,omitempty"`
	PSK          text        `yaml:"pre_shared_key,omitempty"`
	PSKFile      string      `yaml:"pre_shared_key_file,omitempty"`
	IKEVersions  []text      `yaml:"ike_versions,omitempty,flow"`
	DPDAction    text        `yaml:"dpd_action,omitempty"`
	InsideCIDR   text        `yaml:"inside_cidr,omitempty"`
	Inside       text        `yaml:"inside_address,omitempty"`
	Phase1       rawPhase    `yaml:"phase1,omitempty"`
	Phase2       rawPhase    `yaml:"phase2,omitempty"`
	Rekey        rawRekey    `yaml:"rekey,omitempty"`
	Liveness     rawLiveness `yaml:"liveness,omitempty"`
	ReplayWindow int         `yaml:"replay_window,omitempty"`
	Routes       []text      `yaml:"routes,omitempty"`
	BGP          rawSession  `yaml:"bgp,omitempty"`

	Selectors    rawSelectors    `yaml:",inline"`
	Certificates rawCertificates `yaml:",inline"`
	Extensions   rawExtensions   `yaml:",inline"`
}

// rawSelectors are what the tunnel may carry, and whether with its own address.
type rawSelectors struct {
	Local  text `yaml:"local_cidr,omitempty"`
	Remote text `yaml:"remote_cidr,omitempty"`
	NAT    bool `yaml:"source_nat,omitempty"`
	// Inside6 has the tunnel carry IPv6.
	Inside6 text `yaml:"inside_ipv6_cidr,omitempty"`
}

type rawOutside struct {
	Local      text   `yaml:"local_address,omitempty"`
	Remote     text   `yaml:"remote_address,omitempty"`
	LocalID    string `yaml:"local_id,omitempty"`
	RemoteID   string `yaml:"remote_id,omitempty"`
	ForceEncap bool   `yaml:"force_encapsulation,omitempty"`
}

type rawPhase struct {
	Encryption []text `yaml:"encryption,omitempty"`
	Integrity  []text `yaml:"integrity,omitempty"`
	DHGroups   []int  `yaml:"dh_groups,omitempty,flow"`
	AddKE      []text `yaml:"additional_key_exchanges,omitempty,flow"`
	MustAddKE  bool   `yaml:"additional_key_exchanges_required,omitempty"`
	Lifetime   text   `yaml:"lifetime,omitempty"`
}

type rawRekey struct {
	Margin      text `yaml:"margin,omitempty"`
	FuzzPercent *int `yaml:"fuzz_percent,omitempty"`
}

type rawLiveness struct {
	Interval text `yaml:"interval,omitempty"`
	Timeout  text `yaml:"timeout,omitempty"`
}

func (rt rawTunnel) parse(i int, dir directory) (gateway.Tunnel, error) {
	name := rt.Name
	if name == "" {
		name = fmt.Sprintf("tunnel-%d", i+1)
	}
	t := gateway.Tunnel{ID: name, Interface: rt.Interface, ReplayWindow: rt.ReplayWindow,
		Outside:  gateway.Outside{LocalID: rt.Outside.LocalID, RemoteID: rt.Outside.RemoteID, ForceEncap: rt.Outside.ForceEncap},
		Lifetime: gateway.Lifetime{RekeyFuzz: defaultFuzz},
	}
	if rt.Rekey.FuzzPercent != nil {
		t.Lifetime.RekeyFuzz = *rt.Rekey.FuzzPercent
	}
	if t.Interface == "" {
		t.Interface = fmt.Sprintf("tun%d", i+1)
	}
	steps := []func(*gateway.Tunnel) error{
		rt.startup, rt.outside, func(t *gateway.Tunnel) error { return rt.proof(t, dir) }, rt.versions, rt.dpdAction,
		func(t *gateway.Tunnel) error { return rt.extensions(t, dir) }, rt.inside, rt.suites, rt.times, rt.selectors, rt.session,
	}
	for _, step := range steps {
		if err := step(&t); err != nil {
			return gateway.Tunnel{}, fmt.Errorf("tunnel %s: %w", name, err)
		}
	}
	return t, nil
}

func (rt rawTunnel) startup(t *gateway.Tunnel) error {
	switch rt.Startup.value {
	case "", "start":
		t.Initiate = true
	case "add":
	default:
		return rt.Startup.errorf("startup_action", "%q is not start (we initiate; the default here) or add (we wait)", rt.Startup.value)
	}
	return nil
}

func (rt rawTunnel) outside(t *gateway.Tunnel) (err error) {
	if t.Outside.Local, err = rt.Outside.Local.addr("outside.local_address", false); err != nil {
		return err
	}
	if rt.Outside.Remote.value == anyAddress {
		return nil
	}
	t.Outside.Remote, err = rt.Outside.Remote.addr("outside.remote_address", true)
	return err
}

// anyAddress stands for a peer whose address is not known before it comes.
const anyAddress = "any"

// pskRule is the rule of vpn §2.1.
var pskRule = regexp.MustCompile(`^[A-Za-z1-9._][A-Za-z0-9._]{7,63}$`)

func (rt rawTunnel) psk(t *gateway.Tunnel, dir directory) error {
	key := rt.PSK.value
	if (key == "") == (rt.PSKFile == "") {
		return errors.New("give either pre_shared_key or pre_shared_key_file, or certificate_file, private_key_file and ca_file")
	}
	if rt.PSKFile != "" {
		b, err := dir.readSecret("pre_shared_key_file", rt.PSKFile)
		if err != nil {
			return err
		}
		key = strings.TrimRight(string(b), "\r\n")
	}
	if !pskRule.MatchString(key) {
		// The key itself is not shown.
		return rt.PSK.errorf("pre_shared_key", "%d characters given; a key has 8 to 64 of A–Z a–z 0–9 . _ and does not start with 0", len(key))
	}
	t.PSK = secret.FromString(key)
	return nil
}

// inside takes our address from inside_address, or as the second usable
// address of inside_ipv6_cidr or inside_cidr, which is the customer's (vpn §2.2).
// A tunnel for IPv6 has both ranges at AWS, and carries IPv6 alone.
func (rt rawTunnel) inside(t *gateway.Tunnel) error {
	if rt.Inside.value != "" {
		p, err := netip.ParsePrefix(rt.Inside.value)
		if err != nil {
			return rt.Inside.errorf("inside_address", "%q is not an address with a prefix length, such as 169.254.10.2/30", rt.Inside.value)
		}
		t.Inside = p
		return nil
	}
	four, err := customerEnd("inside_cidr", rt.InsideCIDR, 30, "169.254.0.0/16")
	if err != nil {
		return err
	}
	six, err := customerEnd("inside_ipv6_cidr", rt.Selectors.Inside6, 126, "fd00::/8")
	if t.Inside = four; six.IsValid() {
		t.Inside = six
	}
	return err
}

// customerEnd is the second usable address of a range of so many bits in all.
func customerEnd(field string, in text, bits int, all string) (netip.Prefix, error) {
	if in.value == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(in.value)
	if err != nil || p.Bits() != bits || !netip.MustParsePrefix(all).Contains(p.Addr()) {
		return netip.Prefix{}, in.errorf(field, "%q is not a /%d of %s", in.value, bits, all)
	}
	return netip.PrefixFrom(p.Masked().Addr().Next().Next(), bits), nil
}

func (rt rawTunnel) times(t *gateway.Tunnel) error {
	for _, f := range []struct {
		name string
		in   text
		out  *time.Duration
	}{
		{"phase1.lifetime", rt.Phase1.Lifetime, &t.Lifetime.Phase1},
		{"phase2.lifetime", rt.Phase2.Lifetime, &t.Lifetime.Phase2},
		{"rekey.margin", rt.Rekey.Margin, &t.Lifetime.RekeyMargin},
		{"liveness.interval", rt.Liveness.Interval, &t.Liveness.Interval},
		{"liveness.timeout", rt.Liveness.Timeout, &t.Liveness.Timeout},
	} {
		d, err := f.in.duration(f.name)
		if err != nil {
			return err
		}
		*f.out = d
	}
	return nil
}

func (rt rawTunnel) selectors(t *gateway.Tunnel) (err error) {
	if t.LocalTS, err = rt.Selectors.Local.prefix("local_cidr"); err != nil {
		return err
	}
	if t.RemoteTS, err = rt.Selectors.Remote.prefix("remote_cidr"); err != nil {
		return err
	}
	t.SourceNAT = rt.Selectors.NAT
	t.Routes, err = prefixes(rt.Routes)
	return err
}
