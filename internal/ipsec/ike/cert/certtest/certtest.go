// Package certtest makes certificates for tests: authorities, what they issue
// and what they revoke, all in PEM as files hold it.
//
// Keys are fresh each time. Nothing outside tests imports this package.
package certtest

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
	"fmt"
	"math/big"
	"testing"
	"time"
)

// An Authority issues certificates. It is self-signed unless another has made
// it.
type Authority struct {
	t      testing.TB
	cert   *x509.Certificate
	key    crypto.Signer
	serial int64
}

// A Request is what a certificate shall say.
type Request struct {
	Name string   // common name; the organisation is always Example
	Kind string   // rsa (2048 bits), rsa1024, ecdsa256 (the default), ecdsa384, ecdsa521 or ed25519
	DNS  []string // alternative names
	// From and Until bound its life; the zero values mean an hour ago and in a
	// day.
	From, Until time.Time
}

// New is a root authority.
func New(t testing.TB, name string) *Authority {
	t.Helper()
	key := newKey(t, "")
	a := &Authority{t: t, key: key}
	tmpl := a.template(Request{Name: name})
	ca(tmpl)
	a.cert = sign(t, tmpl, tmpl, key.Public(), key)
	return a
}

// Sub is an authority below a.
func (a *Authority) Sub(name string) *Authority {
	a.t.Helper()
	key := newKey(a.t, "")
	tmpl := a.template(Request{Name: name})
	ca(tmpl)
	return &Authority{t: a.t, key: key, cert: sign(a.t, tmpl, a.cert, key.Public(), a.key)}
}

// PEM is a's certificate.
func (a *Authority) PEM() []byte { return inPEM("CERTIFICATE", a.cert.Raw) }

// Issue makes a certificate and its private key.
func (a *Authority) Issue(r Request) (chain, key []byte) {
	a.t.Helper()
	k := newKey(a.t, r.Kind)
	c := sign(a.t, a.template(r), a.cert, k.Public(), a.key)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return inPEM("CERTIFICATE", c.Raw), inPEM("PRIVATE KEY", der)
}

// CRL is a's list of today with these certificates revoked.
func (a *Authority) CRL(revoked ...[]byte) []byte {
	a.t.Helper()
	now := time.Now()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour)}
	for _, text := range revoked {
		block, _ := pem.Decode(text)
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			a.t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: now.Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return inPEM("X509 CRL", der)
}

func (a *Authority) template(r Request) *x509.Certificate {
	a.serial++
	if r.From.IsZero() {
		r.From = time.Now().Add(-time.Hour)
	}
	if r.Until.IsZero() {
		r.Until = time.Now().Add(24 * time.Hour)
	}
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: r.Name},
		NotBefore: r.From, NotAfter: r.Until, DNSNames: r.DNS, KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// ca makes what is to be signed that of an authority.
func ca(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
}

func sign(t testing.TB, tmpl, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newKey(t testing.TB, kind string) crypto.Signer {
	t.Helper()
	key, err := Key(kind)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Key makes a key of a kind as Request has it.
func Key(kind string) (crypto.Signer, error) {
	switch kind {
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa1024":
		return rsa.GenerateKey(rand.Reader, 1024)
	case "ecdsa256", "":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ecdsa384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ecdsa521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("no kind of key %q", kind)
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
