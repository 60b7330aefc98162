package cert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// today is when every test happens.
var today = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const day = 24 * time.Hour

// An issued is a certificate made for a test, with its key.
type issued struct {
	*x509.Certificate
	key crypto.Signer
}

// newKey is a fresh key of the kind that name says.
func newKey(t testing.TB, name string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch name {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "rsa1024":
		key, err = rsa.GenerateKey(rand.Reader, 1024)
	case "rsa4096":
		key, err = rsa.GenerateKey(rand.Reader, 4096)
	case "p224":
		key, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case "p256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		t.Fatalf("no kind of key %q", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate of that name, by issuer or by itself, after change
// has had its way with what it says.
func issue(t testing.TB, issuer *issued, name, keyName string, change func(*x509.Certificate)) issued {
	t.Helper()
	key := newKey(t, keyName)
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Country: []string{"XX"}, Organization: []string{"Example"}, CommonName: name},
		NotBefore: today.Add(-day), NotAfter: today.Add(day),
	}
	if change != nil {
		change(tmpl)
	}
	parent, signer := tmpl, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{c, key}
}

// isCA makes a certificate that of a CA.
func isCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

// inPEM is certificates in PEM.
func inPEM(list ...issued) []byte {
	var out []byte
	for _, c := range list {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// inDER is certificates as a peer sends them.
func inDER(list ...issued) [][]byte {
	var out [][]byte
	for _, c := range list {
		out = append(out, c.Raw)
	}
	return out
}

// subjectOf is the subject as an identity.
func subjectOf(c issued) ike.Identity {
	return ike.Identity{Type: ike.IDDN, Data: string(c.RawSubject)}
}

// credential is ours from c and the intermediates.
func credential(t testing.TB, c issued, between ...issued) *Credential {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := NewCredential(inPEM(append([]issued{c}, between...)...), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// trust believes these.
func trust(t testing.TB, o Options, list ...issued) *Trust {
	t.Helper()
	tr, err := NewTrust(inPEM(list...), o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func TestChainWithAnIntermediateIsVerifiedAndSigns(t *testing.T) {
	root := issue(t, nil, "root", "p256", isCA)
	sub := issue(t, &root, "sub", "p256", isCA)
	leaf := issue(t, &sub, "vpn-1.endpoint-0", "p256", func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses, c.EmailAddresses = []string{"cgw.example"}, []net.IP{{192, 0, 2, 1}}, []string{"cgw@example"}
	})
	tr, ours := trust(t, Options{}, root), credential(t, leaf, sub, root)
	if got := len(ours.Chain()); got != 2 {
		t.Errorf("got %d certificates sent, want leaf and intermediate", got)
	}
	for _, text := range []string{"@cgw.example", "@CGW.example", "192.0.2.1", "cgw@example"} {
		id, err := ike.ParseIdentity(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Verify(today, ours.Chain(), id); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	p, err := tr.Verify(today, ours.Chain(), ours.Identity())
	if err != nil {
		t.Fatal(err)
	}
	sig, err := ours.Sign(Hashes(), []byte("octets"))
	if err != nil {
		t.Fatal(err)
	}
	if name, err := p.Verify(sig.Method, sig.Data, []byte("octets"), true); err != nil || name != "ECDSA-P256" {
		t.Errorf("got %q, %v, want ECDSA-P256", name, err)
	}
	if _, err := p.Verify(sig.Method, sig.Data, []byte("octetz"), true); err == nil {
		t.Error("other octets: got no error")
	}
}
