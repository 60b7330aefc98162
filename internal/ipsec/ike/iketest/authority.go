package iketest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"time"

	"seikan/internal/ipsec/ike/cert"
	"seikan/internal/ipsec/ike/cert/certtest"
)

// RevokedSerial is the serial number that the CRL of every Authority lists.
const RevokedSerial = 666

// validity is how long before and after its beginning everything is valid that
// an Authority makes.
const validity = 1000 * time.Hour

// An Authority is a CA for tests. Two of the same name have the same key.
type Authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	now  time.Time
}

// NewAuthority makes the CA "O=Example, CN=name CA", and says when now is.
func NewAuthority(name string, now time.Time) (*Authority, error) {
	seed := [ed25519.SeedSize]byte{}
	copy(seed[:], name)
	a := &Authority{key: ed25519.NewKeyFromSeed(seed[:]), now: now}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: name + " CA"},
		NotBefore: now.Add(-validity), NotAfter: now.Add(validity),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

// Credential makes a certificate "C=XX, O=Example, CN=name", alternative name
// name.example, for a fresh key: "rsa", "rsa-pss", "rsa1024", "ecdsa256", "ecdsa384",
// "ecdsa521" or "ed25519". Change, if not nil, has its way with it before it is
// signed.
func (a *Authority) Credential(name, kind string, change func(*x509.Certificate)) (*cert.Credential, error) {
	key, err := certtest.Key(strings.TrimSuffix(kind, "-pss"))
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serialOf(name), Subject: pkix.Name{Country: []string{"XX"}, Organization: []string{"Example"}, CommonName: name},
		NotBefore: a.now.Add(-validity), NotAfter: a.now.Add(validity), DNSNames: []string{name + ".example"},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c, err := cert.NewCredential(inPEM("CERTIFICATE", der), inPEM("PRIVATE KEY", keyDER))
	if err == nil && kind == "rsa-pss" {
		c = c.WithPSS()
	}
	return c, err
}

// serialOf is the serial number of the certificates called name.
func serialOf(name string) *big.Int {
	serial := int64(0)
	for _, c := range name {
		serial = 256*serial + int64(c)
	}
	return big.NewInt(1000 + serial)
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Trust believes a, which has revoked RevokedSerial.
func (a *Authority) Trust() (*cert.Trust, error) { return a.trust(cert.Options{}, RevokedSerial) }

// Denies is Trust since the certificates called name were revoked, too.
func (a *Authority) Denies(name string) (*cert.Trust, error) {
	return a.trust(cert.Options{}, RevokedSerial, serialOf(name).Int64())
}

// WeakTrust is Trust that takes weak keys, too.
func (a *Authority) WeakTrust() (*cert.Trust, error) {
	return a.trust(cert.Options{WeakKeys: true}, RevokedSerial)
}

func (a *Authority) trust(o cert.Options, revoked ...int64) (*cert.Trust, error) {
	var entries []x509.RevocationListEntry
	for _, serial := range revoked {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: big.NewInt(serial), RevocationTime: a.now.Add(-time.Hour)})
	}
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: a.now.Add(-time.Hour), NextUpdate: a.now.Add(validity),
		RevokedCertificateEntries: entries,
	}, a.cert, a.key)
	if err != nil {
		return nil, err
	}
	o.CRLs = [][]byte{crl}
	return cert.NewTrust(inPEM("CERTIFICATE", a.cert.Raw), o)
}
