package conffile

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// header stands above every file that Format writes.
const header = `# Customer gateway of a Site-to-Site VPN connection.
# Run: seikan gateway run --config THIS_FILE
# It holds pre-shared keys: keep its mode at 0600.
`

// Format writes f as a file that Read reads back into the same configuration.
// Suites are written as lists of algorithms, so a combination that f lacks but
// its lists allow comes back too. The text holds the pre-shared keys. What would
// need other files beside it is an error.
func Format(f File) ([]byte, error) {
	text, others, err := FormatFiles(f)
	if err == nil && len(others) > 0 {
		return nil, fmt.Errorf("formatting: %w", errFiles)
	}
	return text, err
}

// FormatFiles is Format for a configuration with certificates: others are the
// files that must stand beside the text, by name. Among them are private keys.
// Lists of revoked certificates, and post-quantum pre-shared keys, are an error.
func FormatFiles(f File) (text []byte, others map[string][]byte, err error) {
	raw := rawFile{Name: f.Gateway.Name, Control: f.Control, State: f.State, NoForward: !f.Gateway.Forward, BGP: bgpText(f.Gateway.BGP)}
	others = map[string][]byte{}
	for _, t := range f.Gateway.Tunnels {
		c := t.Certificates
		if len(c.CRL) > 0 || len(c.OCSP) > 0 || !t.Extensions.PPK.IsZero() {
			return nil, nil, fmt.Errorf("formatting tunnel %s: %w", t.ID, errFiles)
		}
		rt := format(t)
		if c.Used() {
			rt.Certificates = rawCertificates{Own: t.ID + ".pem", Key: t.ID + ".key", CA: t.ID + "-ca.pem", PSS: c.PSS, Weak: c.WeakKeys}
			others[rt.Certificates.Own], others[rt.Certificates.Key], others[rt.Certificates.CA] = c.Own, c.Key.Reveal(), c.CA
		}
		raw.Tunnels = append(raw.Tunnels, rt)
	}
	var b bytes.Buffer
	b.WriteString(header)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(raw); err != nil {
		return nil, nil, fmt.Errorf("formatting the configuration: %w", err)
	}
	return b.Bytes(), others, enc.Close()
}

// errFiles is why a configuration has no form in one file.
var errFiles = errors.New("it has certificates or a post-quantum pre-shared key, which stand in files of their own")

func format(t gateway.Tunnel) rawTunnel {
	startup := "add"
	if t.Initiate {
		startup = "start"
	}
	return rawTunnel{
		Name: t.ID, Interface: t.Interface, Startup: plain(startup),
		Outside: rawOutside{
			Local: addr(t.Outside.Local), Remote: addr(t.Outside.Remote),
			LocalID: t.Outside.LocalID, RemoteID: t.Outside.RemoteID, ForceEncap: t.Outside.ForceEncap,
		},
		PSK:         plain(string(t.PSK.Reveal())),
		IKEVersions: versionTexts(t.Versions), DPDAction: actionText(t.Liveness.Action),
		Inside: prefixText(t.Inside),
		Phase1: phase1(t.IKE, t.Lifetime.Phase1), Phase2: phase2(t.ESP, t.Lifetime.Phase2),
		Rekey:        rawRekey{Margin: duration(t.Lifetime.RekeyMargin), FuzzPercent: &t.Lifetime.RekeyFuzz},
		Liveness:     rawLiveness{Interval: duration(t.Liveness.Interval), Timeout: duration(t.Liveness.Timeout)},
		ReplayWindow: t.ReplayWindow,
		Selectors:    rawSelectors{Local: prefixText(t.LocalTS), Remote: prefixText(t.RemoteTS)},
		Routes:       prefixTexts(t.Routes),
		BGP:          sessionText(t.BGP),
		Extensions:   extensions(t.Extensions),
	}
}

// extensions writes what is not a secret.
func extensions(e gateway.Extensions) rawExtensions {
	out := rawExtensions{FragmentSize: e.FragmentSize, Resumption: e.Resumption}
	no := false
	if e.NoFragmentation {
		out.Fragmentation = &no
	}
	if e.NoMOBIKE {
		out.MOBIKE = &no
	}
	return out
}

func versionTexts(list []int) (out []text) {
	for _, v := range list {
		out = append(out, plain(strconv.Itoa(v)))
	}
	return out
}

func actionText(a policy.Action) text {
	for word, action := range dpdActions() {
		if action == a {
			return plain(word)
		}
	}
	return text{}
}

func phase1(list []suite.IKE, lifetime time.Duration) rawPhase {
	p := rawPhase{Lifetime: duration(lifetime), MustAddKE: len(list) > 0} // until a suite is without
	for _, s := range list {
		p.add(s.EncrKey(), s.Integ, s.Group)
		p.addMore(s.AddKE)
		if s.Encr.AEAD() { // its integrity list gives the PRF
			p.addInteg(integOf(s.PRF))
		}
	}
	return p
}

func phase2(list []suite.ESP, lifetime time.Duration) rawPhase {
	p := rawPhase{Lifetime: duration(lifetime), MustAddKE: len(list) > 0} // until a suite is without
	for _, s := range list {
		p.add(s.EncrKey(), s.Integ, s.Group)
		p.addMore(s.AddKE)
	}
	return p
}

// integOf is the integrity algorithm whose hash p uses.
func integOf(p suite.PRF) suite.Integ {
	for _, i := range []suite.Integ{suite.IntegSHA1, suite.IntegSHA256, suite.IntegSHA384, suite.IntegSHA512} {
		if i.PRF() == p {
			return i
		}
	}
	return suite.IntegNone
}

// add lists what one suite uses, each algorithm once.
func (p *rawPhase) add(e suite.EncrKey, i suite.Integ, g suite.Group) {
	if s := plain(e.String()); !slices.Contains(p.Encryption, s) {
		p.Encryption = append(p.Encryption, s)
	}
	p.addInteg(i)
	if !slices.Contains(p.DHGroups, int(g)) {
		p.DHGroups = append(p.DHGroups, int(g))
	}
}

// addMore lists the additional key exchanges of one suite, unless those of
// another are there; all that have some have the same.
func (p *rawPhase) addMore(m suite.MoreKE) {
	if m == (suite.MoreKE{}) {
		p.MustAddKE = false
		return
	}
	p.AddKE = nil
	for _, g := range m.List() {
		p.AddKE = append(p.AddKE, plain(g.String()))
	}
}

func (p *rawPhase) addInteg(i suite.Integ) {
	if s := plain(i.String()); i != suite.IntegNone && !slices.Contains(p.Integrity, s) {
		p.Integrity = append(p.Integrity, s)
	}
}

func plain(s string) text { return text{value: s} }

func addr(a netip.Addr) text {
	if !a.IsValid() {
		return text{}
	}
	return plain(a.String())
}

func prefixText(p netip.Prefix) text {
	if !p.IsValid() {
		return text{}
	}
	return plain(p.String())
}

func prefixTexts(list []netip.Prefix) (out []text) {
	for _, p := range list {
		out = append(out, prefixText(p))
	}
	return out
}

func duration(d time.Duration) text {
	if d == 0 {
		return text{}
	}
	return plain(d.String())
}

// MarshalYAML writes the value alone.
func (t text) MarshalYAML() (any, error) { return t.value, nil }

// IsZero makes omitempty leave an empty value out.
func (t text) IsZero() bool { return t.value == "" }
