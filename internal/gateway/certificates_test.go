package gateway

import (
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike/cert/certtest"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

// certified is waiting's first tunnel with certificates instead of a key.
func certified(t *testing.T, ca *certtest.Authority, name string) Tunnel {
	t.Helper()
	return withCertificate(t, waiting().Tunnels[0], ca, certtest.Request{Name: name})
}

func TestCertificatesAreCheckedBeforeTheyAreUsed(t *testing.T) {
	ca := certtest.New(t, "CA")
	_, otherKey := ca.Issue(certtest.Request{Name: "other"})
	weakKey := func(u *Tunnel) {
		own, key := ca.Issue(certtest.Request{Name: "gateway", Kind: "rsa1024"})
		u.Certificates.Own, u.Certificates.Key = own, secret.New(key)
	}
	for _, tt := range []struct {
		name   string
		change func(*Tunnel)
		want   string // of the error; empty for none
	}{
		{"as they should be", func(*Tunnel) {}, ""},
		{"with a list of revocations", func(t *Tunnel) { t.Certificates.CRL = ca.CRL() }, ""},
		{"a weak key", func(t *Tunnel) { weakKey(t) }, "Certificates.Own, Key: its RSA key has 1024 bits, which is weak; have a certificate for a key of 2048 at least, or allow weak keys (WeakKeys)"},
		{"a weak key, allowed", func(t *Tunnel) { weakKey(t); t.Certificates.WeakKeys = true }, ""},
		{"key of another", func(t *Tunnel) { t.Certificates.Key = secret.New(otherKey) }, "Certificates.Own, Key: certificate and key: "},
		{"a name that it does not give us", func(t *Tunnel) { t.Outside.LocalID = "gateway.example" }, "@gateway.example is not in our certificate"},
		{"no key", func(t *Tunnel) { t.Certificates.Key = secret.Secret{} }, "come together"},
		{"no CA", func(t *Tunnel) { t.Certificates.CA = nil }, "Certificates.CA: empty; say whose"},
		{"CA that is none", func(t *Tunnel) { t.Certificates.CA = t.Certificates.Own }, "Certificates.CA, CRL, OCSP: CA certificate 1, "},
		{"list that is none", func(t *Tunnel) { t.Certificates.CRL = []byte("no list") }, "CRL 1: "},
		{"OCSP response that is none", func(t *Tunnel) { t.Certificates.OCSP = []byte("none") }, "OCSP response 1: "},
		{"a key as well", func(t *Tunnel) { t.PSK = secret.FromString("ExampleKey_0123456789") }, "PSK and Certificates are both given"},
		{"revocations alone", func(t *Tunnel) {
			t.Certificates, t.PSK = Certificates{CRL: ca.CRL()}, secret.FromString("ExampleKey_0123456789")
		}, "of no use without certificates"},
	} {
		tunnel := certified(t, ca, "gateway")
		tt.change(&tunnel)
		_, err := New(Config{Name: "test", Tunnels: []Tunnel{tunnel}}, Options{})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

func TestPeerFromAnywhereNeedsACertificateAndIsWaitedFor(t *testing.T) {
	ca := certtest.New(t, "CA")
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"as it should be", func(*Config) {}, ""},
		{"a key", func(c *Config) {
			c.Tunnels[0].Certificates, c.Tunnels[0].PSK = Certificates{}, secret.FromString("ExampleKey_0123456789")
		}, "only a peer with certificates may come from any address"},
		{"we start", func(c *Config) { c.Tunnels[0].Initiate = true }, "wait for it (startup action add)"},
		{"we start again", func(c *Config) { c.Tunnels[0].Liveness.Action = policy.Restart }, "use clear or none"},
		{"no address of ours", func(c *Config) { c.Tunnels[0].Outside.Local = netip.Addr{} }, "Outside.Local: missing"},
		{"everything behind it", func(c *Config) { c.Tunnels[0].Routes = []netip.Prefix{prefix("0.0.0.0/0")} }, "its packets would chase themselves"},
		{"two of them", func(c *Config) {
			second := c.Tunnels[0]
			second.ID, second.Interface = "2", "tun2"
			c.Tunnels = append(c.Tunnels, second)
		}, "IKE tells tunnels apart"},
		{"two at two addresses", func(c *Config) {
			second := c.Tunnels[0]
			second.ID, second.Interface, second.Outside.Local = "2", "tun2", netip.MustParseAddr("127.0.0.2")
			c.Tunnels = append(c.Tunnels, second)
		}, ""},
	} {
		cfg := Config{Name: "test", Tunnels: []Tunnel{certified(t, ca, "gateway")}}
		cfg.Tunnels[0].Outside.Remote = netip.Addr{}
		tt.change(&cfg)
		_, err := New(cfg, Options{})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

// TestOtherCertificatesAreOfTheSameSession is about Set with the same options whose
// files hold something else now, and about what a killed gateway finds then.
func TestOtherCertificatesAreOfTheSameSession(t *testing.T) {
	ca := certtest.New(t, "CA")
	peer, _ := ca.Issue(certtest.Request{Name: "peer"})
	before := certified(t, ca, "gateway")
	before.Certificates.CRL = ca.CRL()
	for name, tt := range map[string]struct {
		change func(*Tunnel)
		same   bool
	}{
		"nothing":          {func(*Tunnel) {}, true},
		"a peer revoked":   {func(t *Tunnel) { t.Certificates.CRL = ca.CRL(peer) }, true},
		"no list any more": {func(t *Tunnel) { t.Certificates.CRL = nil }, true},
		"another CA":       {func(u *Tunnel) { u.Certificates.CA = certtest.New(t, "CA").PEM() }, true},
		"renewed":          {func(u *Tunnel) { u.Certificates = certified(t, ca, "gateway").Certificates }, true},
		"a key instead": {func(t *Tunnel) {
			t.Certificates, t.PSK = Certificates{}, secret.FromString("ExampleKey_0123456789")
		}, false},
		"another peer": {func(t *Tunnel) { t.Outside.RemoteID = "O=Example, CN=peer" }, false},
	} {
		after := before
		tt.change(&after)
		first, err := before.digest()
		second, err2 := after.digest()
		if got := after.sameSession(before); got != tt.same || err != nil || err2 != nil || (first == second) != tt.same {
			t.Errorf("%s: the same session: got %v, kept state fits: %v, want %v", name, got, first == second, tt.same)
		}
	}
}
