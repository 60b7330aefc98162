package cert

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// until makes a certificate end so long after today; from lets it begin.
func until(d time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotAfter = today.Add(d) }
}

// withUsage gives a certificate extended key usages.
func withUsage(known []x509.ExtKeyUsage, unknown ...asn1.ObjectIdentifier) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage, c.UnknownExtKeyUsage = known, unknown }
}

// A house is the CAs that most tests need.
type house struct{ root, sub, other issued }

func newHouse(t testing.TB) house {
	root := issue(t, nil, "root", "p256", isCA)
	return house{root, issue(t, &root, "sub", "p256", isCA), issue(t, nil, "other root", "p256", isCA)}
}

// A chainCase is a chain as the peer sends it, and a part of the error, empty
// for none.
type chainCase struct {
	name  string
	trust *Trust
	chain []issued
	want  string
}

func (c chainCase) check(t *testing.T) {
	t.Helper()
	_, err := c.trust.Verify(today, inDER(c.chain...), subjectOf(c.chain[0]))
	switch {
	case c.want == "" && err != nil:
		t.Errorf("%s: got %v, want none", c.name, err)
	case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
		t.Errorf("%s: got %v, want …%s…", c.name, err, c.want)
	}
}

func TestChains(t *testing.T) {
	h := newHouse(t)
	tr := trust(t, Options{}, h.root)
	leaf := func(change func(*x509.Certificate)) issued { return issue(t, &h.sub, "leaf", "p256", change) }
	good := leaf(nil)
	old := issue(t, &h.root, "old sub", "p256", func(c *x509.Certificate) { isCA(c); until(-time.Hour)(c) })
	oldRoot := issue(t, nil, "old root", "p256", func(c *x509.Certificate) { isCA(c); until(-time.Hour)(c) })
	short := issue(t, &h.root, "short", "p256", func(c *x509.Certificate) { isCA(c); c.MaxPathLenZero = true })
	below := issue(t, &short, "below", "p256", isCA)
	noCA := issue(t, &h.root, "no CA", "p256", nil)
	noSign := issue(t, &h.root, "no signer", "p256", func(c *x509.Certificate) { isCA(c); c.KeyUsage = x509.KeyUsageCRLSign })
	namesake := issue(t, nil, "root", "p256", isCA)
	weakCA := issue(t, &h.root, "weak sub", "rsa1024", isCA)
	forUse := func(u x509.ExtKeyUsage) func(*x509.Certificate) {
		return func(c *x509.Certificate) { isCA(c); withUsage([]x509.ExtKeyUsage{u})(c) }
	}
	codeCA := issue(t, &h.root, "code CA", "p256", forUse(x509.ExtKeyUsageCodeSigning))
	tlsCA := issue(t, &h.root, "TLS CA", "p256", forUse(x509.ExtKeyUsageServerAuth))
	codeRoot := issue(t, nil, "code root", "p256", forUse(x509.ExtKeyUsageCodeSigning))
	rsaRoot := issue(t, nil, "rsa root", "rsa", isCA)
	sha1 := issue(t, &rsaRoot, "x", "p256", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA })
	for _, c := range []chainCase{
		{"signed with SHA-1", trust(t, Options{}, rsaRoot), []issued{sha1}, "insecure algorithm SHA1-RSA"},
		{"with its intermediate", tr, []issued{good, h.sub}, ""},
		{"with everything, in any order", tr, []issued{good, h.root, h.other, h.sub}, ""},
		{"intermediate missing", tr, []issued{good}, `was issued by "C=XX, O=Example, CN=sub", which we do not know`},
		{"intermediate known to us", trust(t, Options{}, h.root, h.sub), []issued{good}, ""},
		{"only the intermediate believed", trust(t, Options{}, h.sub), []issued{good}, ""},
		{"another CA", trust(t, Options{}, h.other), []issued{good, h.sub, h.root}, `ends in "C=XX, O=Example, CN=root", which we do not believe`},
		{"CA of the same name", trust(t, Options{}, namesake), []issued{good, h.sub}, "but not by the one of that name that we know"},
		{"self-signed", tr, []issued{issue(t, nil, "self", "p256", nil)}, `ends in "C=XX, O=Example, CN=self"`},
		{"expired", tr, []issued{leaf(until(-time.Hour)), h.sub}, "expired at 2026-01-02T02:04:05Z, it is 2026-01-02T03:04:05Z now"},
		{"not yet valid", tr, []issued{leaf(func(c *x509.Certificate) { c.NotBefore = today.Add(time.Hour) }), h.sub}, "is not valid before 2026-01-02T04:04:05Z"},
		{"intermediate expired", tr, []issued{issue(t, &old, "x", "p256", nil), old}, `certificate "C=XX, O=Example, CN=old sub" expired`},
		{"root expired", trust(t, Options{}, oldRoot), []issued{issue(t, &oldRoot, "x", "p256", nil)}, `certificate "C=XX, O=Example, CN=old root" expired`},
		{"longer than the path may be", tr, []issued{issue(t, &below, "x", "p256", nil), below, short}, "too many intermediates"},
		{"issued by no CA", tr, []issued{issue(t, &noCA, "x", "p256", nil), noCA}, "cannot sign"},
		{"issued by a CA that may not sign certificates", tr, []issued{issue(t, &noSign, "x", "p256", nil), noSign}, "cannot sign"},
		{"key usage for signatures", tr, []issued{leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), h.sub}, ""},
		{"key usage for non-repudiation", tr, []issued{leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }), h.sub}, ""},
		{"key usage for encryption", tr, []issued{leaf(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }), h.sub}, "does not allow digital signatures"},
		{"for TLS servers", tr, []issued{leaf(withUsage([]x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth})), h.sub}, ""},
		{"for TLS clients", tr, []issued{leaf(withUsage([]x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})), h.sub}, ""},
		{"for anything", tr, []issued{leaf(withUsage([]x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageAny})), h.sub}, ""},
		{"for IKE", tr, []issued{leaf(withUsage(nil, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 17})), h.sub}, ""},
		{"for code only", tr, []issued{leaf(withUsage([]x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning})), h.sub}, "extended key usage is not for IKE"},
		{"for code only, says its CA", tr, []issued{issue(t, &codeCA, "x", "p256", nil), codeCA}, `CN=code CA" has an extended key usage that is not for IKE`},
		{"for TLS, says its CA", tr, []issued{issue(t, &tlsCA, "x", "p256", nil), tlsCA}, ""},
		{"for code only, says a root that we were given", trust(t, Options{}, codeRoot), []issued{issue(t, &codeRoot, "x", "p256", nil)}, ""},
		{"weak key", tr, []issued{issue(t, &h.sub, "x", "rsa1024", nil), h.sub}, "has 1024 bits, we take 2048 to 8192"},
		{"weak key, allowed", trust(t, Options{WeakKeys: true}, h.root), []issued{issue(t, &h.sub, "x", "rsa1024", nil), h.sub}, ""},
		{"weak intermediate", tr, []issued{issue(t, &weakCA, "x", "p256", nil), weakCA}, "has 1024 bits"},
		{"unknown curve", tr, []issued{issue(t, &h.sub, "x", "p224", nil), h.sub}, "its curve is P-224"},
	} {
		c.check(t)
	}
}

func TestVerifyNeverAsksTheClock(t *testing.T) {
	h := newHouse(t)
	leaf := issue(t, &h.root, "leaf", "p256", nil)
	if _, err := trust(t, Options{}, h.root).Verify(time.Time{}, inDER(leaf), subjectOf(leaf)); err == nil || !strings.Contains(err.Error(), "no time") {
		t.Errorf("got %v, want an error about the time", err)
	}
}

func TestIdentityMustBeInTheCertificate(t *testing.T) {
	h := newHouse(t)
	leaf := issue(t, &h.root, "vpn-1.endpoint-0", "p256", func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses = []string{"cgw.example"}, []string{"Ops@Example.com"}
		c.IPAddresses = []net.IP{{192, 0, 2, 1}, net.ParseIP("2001:db8::1")}
	})
	tr := trust(t, Options{}, h.root)
	for text, ok := range map[string]bool{
		"C=XX, O=Example, CN=vpn-1.endpoint-0": true, "CN=vpn-1.endpoint-0": false, "C=XX, O=Example, CN=vpn-1.endpoint-1": false,
		"@cgw.example": true, "@CGW.Example": true, "@x.example": false, "@vpn-1.endpoint-0": false,
		"Ops@example.com": true, "ops@example.com": false, "192.0.2.1": true, "192.0.2.2": false, "2001:db8::1": true,
		"keyid:cgw.example": false,
	} {
		id, err := ike.ParseIdentity(text)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tr.Verify(today, inDER(leaf), id)
		if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "does not belong to "+id.String()) {
			t.Errorf("%s: got %v, want accepted %v", text, err, ok)
		}
		if err := credential(t, leaf).Owns(id); ok != (err == nil) {
			t.Errorf("%s, of our own: got %v, want accepted %v", text, err, ok)
		}
	}
}

// An address in IPv6's notation of IPv4 is not held against a CA's constraints
// on IPv4 addresses.
func TestConstraintsOnAddressesCannotBeWrittenAround(t *testing.T) {
	h := newHouse(t)
	_, shut, err := net.ParseCIDR("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	sub := issue(t, &h.root, "elsewhere", "p256", func(c *x509.Certificate) {
		isCA(c)
		c.ExcludedIPRanges, c.PermittedDNSDomainsCritical = []*net.IPNet{shut}, true
	})
	for _, address := range [][]byte{{192, 0, 2, 1}, net.ParseIP("192.0.2.1").To16()} {
		names, err := asn1.Marshal([]asn1.RawValue{{Class: asn1.ClassContextSpecific, Tag: 7, Bytes: address}})
		if err != nil {
			t.Fatal(err)
		}
		leaf := issue(t, &sub, "x", "p256", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: names}}
		})
		id := ike.IdentityOf(netip.MustParseAddr("192.0.2.1"))
		if _, err := trust(t, Options{}, h.root).Verify(today, inDER(leaf, sub), id); err == nil {
			t.Errorf("address %x: got no error, want one", address)
		}
	}
}

func TestChainsOfPeersAreBounded(t *testing.T) {
	h := newHouse(t)
	leaf := issue(t, &h.root, "leaf", "p256", nil)
	tr := trust(t, Options{}, h.root)
	long := []issued{leaf}
	for len(long) < maxChain {
		long = append(long, h.other)
	}
	if _, err := tr.Verify(today, inDER(long...), subjectOf(leaf)); err != nil {
		t.Errorf("%d certificates: got %v, want none", len(long), err)
	}
	if _, err := tr.Verify(today, inDER(append(long, h.other)...), subjectOf(leaf)); err == nil {
		t.Errorf("%d certificates: got no error", maxChain+1)
	}
	if _, err := tr.Verify(today, append(inDER(leaf), make([]byte, maxChainSize)), subjectOf(leaf)); err == nil || !strings.Contains(err.Error(), "32768") {
		t.Errorf("too many octets: got %v", err)
	}
	if _, err := tr.Verify(today, nil, subjectOf(leaf)); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("no certificates: got %v", err)
	}
}

func TestCAsAreNamedByTheHashOfTheirKey(t *testing.T) {
	h := newHouse(t)
	tr := trust(t, Options{}, h.root, h.sub, h.other)
	var want []byte
	for _, c := range []issued{h.root, h.other} { // the intermediate is not believed by itself
		sum := sha1.Sum(c.RawSubjectPublicKeyInfo)
		want = append(want, sum[:]...)
	}
	if got := tr.KeyHashes(); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got := tr.Subjects(); len(got) != 2 || !bytes.Equal(got[0], h.root.RawSubject) || !bytes.Equal(got[1], h.other.RawSubject) {
		t.Errorf("got %q, want the subjects of the roots", got)
	}
}

func TestWhatCannotBeTrustedIsRefusedInWords(t *testing.T) {
	h := newHouse(t)
	crl := list(t, h.other, today, today.Add(day))
	forged := bytes.Clone(list(t, h.root, today, today.Add(day)))
	forged[len(forged)-1] ^= 1
	for _, c := range []struct {
		name string
		pem  []byte
		o    Options
		want string
	}{
		{"nothing", nil, Options{}, "none found"},
		{"no CA", inPEM(issue(t, nil, "x", "p256", nil)), Options{}, "it is not a CA"},
		{"weak CA", inPEM(issue(t, nil, "x", "rsa1024", isCA)), Options{}, "has 1024 bits"},
		{"garbage", []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), Options{}, "CA certificate 1"},
		{"a key", []byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"), Options{}, "want CERTIFICATE only"},
		{"many", bytes.Repeat(inPEM(h.root), maxCAs+1), Options{}, "want at most 64"},
		{"a list that is none", inPEM(h.root), Options{CRLs: [][]byte{{1}}}, "CRL 1"},
		{"a forged list", inPEM(h.root), Options{CRLs: [][]byte{crl, forged}}, "CRL 2, of"},
		{"a response that is none", inPEM(h.root), Options{OCSP: [][]byte{{1}}}, "OCSP response 1"},
	} {
		if _, err := NewTrust(c.pem, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", c.name, err, c.want)
		}
	}
}

// list is a CRL of issuer, in DER, of these certificates.
func list(t testing.TB, issuer issued, this, next time.Time, revoked ...issued) []byte {
	t.Helper()
	tmpl := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: this, NextUpdate: next}
	for _, c := range revoked {
		tmpl.RevokedCertificateEntries = append(tmpl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: this})
	}
	der, err := x509.CreateRevocationList(rand.Reader, tmpl, issuer.Certificate, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func FuzzChain(f *testing.F) {
	root := issue(f, nil, "root", "p256", isCA)
	leaf := issue(f, &root, "leaf", "p256", nil)
	tr := trust(f, Options{CRLs: [][]byte{list(f, root, today, today.Add(day))}}, root)
	f.Add(leaf.Raw, root.Raw)
	f.Add([]byte{0x30, 0}, []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		p, err := tr.Verify(today, [][]byte{first, second}, subjectOf(leaf))
		if err == nil && !bytes.Equal(p.leaf.Raw, leaf.Raw) {
			t.Fatalf("accepted %x", first)
		}
	})
}
