//go:build e2e

// Package pki makes the certificates that the gateways of a test show each
// other: a root, a CA below it and a leaf for each end, in the files that each
// kind of gateway reads.
//
// Only the tests of e2e call it.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// An Algorithm is of keys and so of signatures.
type Algorithm string

// The algorithms of the tests.
const (
	RSA   Algorithm = "RSA"   // 2048 bits
	ECDSA Algorithm = "ECDSA" // P-256
)

// Files are one end's: PEM but for PKCS12, which has everything that is one's
// own and the chain above it, without a password. Nobody else may read keys.
type Files struct {
	Own, Key string
	Chain    string // own, then the CA below the root
	Middle   string // the CA below the root
	Root     string
	Above    string // the CA below the root, then the root
	PKCS12   string
	Serial   *big.Int // of own
}

// An Authority issues certificates that one chain proves.
type Authority struct {
	t            testing.TB
	algorithm    Algorithm
	dir          string
	middle, root *x509.Certificate
	key          crypto.Signer // of middle
	serial       int64
}

// NewAuthority makes a root and a CA below it.
func NewAuthority(t testing.TB, algorithm Algorithm) *Authority {
	t.Helper()
	a := &Authority{t: t, algorithm: algorithm, dir: t.TempDir()}
	rootKey := a.newKey()
	a.root = a.sign(ca("Test Root"), nil, rootKey.Public(), rootKey)
	a.key = a.newKey()
	a.middle = a.sign(ca("Test Sub CA"), a.root, a.key.Public(), rootKey)
	a.write("root.pem", "CERTIFICATE", a.root.Raw)
	a.write("middle.pem", "CERTIFICATE", a.middle.Raw)
	return a
}

func subject(name string) pkix.Name {
	return pkix.Name{Country: []string{"XX"}, Organization: []string{"Seikan test"}, CommonName: name}
}

func ca(name string) *x509.Certificate {
	return &x509.Certificate{Subject: subject(name), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

func (a *Authority) newKey() crypto.Signer {
	a.t.Helper()
	var key crypto.Signer
	var err error
	if a.algorithm == RSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// sign completes a certificate; a root, which has no issuer, signs itself.
func (a *Authority) sign(c, issuer *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	a.t.Helper()
	a.serial++
	c.SerialNumber = big.NewInt(a.serial)
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if issuer == nil {
		issuer = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, issuer, public, key)
	if err != nil {
		a.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return c
}

func (a *Authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *Authority) write(name, kind string, ders ...[]byte) {
	a.t.Helper()
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})...)
	}
	if err := os.WriteFile(a.path(name), out, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// extIPsecIKE is id-kp-ipsecIKE (RFC 4945 section 5.1.3.12).
var extIPsecIKE = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 17}

// CRL writes the list of the certificates revoked, by their serial numbers, of the
// CA below the root, in the place of an earlier one, and returns its file.
func (a *Authority) CRL(revoked ...*big.Int) string {
	a.t.Helper()
	a.serial++
	list := &x509.RevocationList{Number: big.NewInt(a.serial), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, serial := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.middle, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write("revoked.pem", "X509 CRL", der)
	return a.path("revoked.pem")
}

// Issue makes a key and its certificate, which names name as subject and as
// alternative. Another one of the same name is in the same files.
func (a *Authority) Issue(name string) Files {
	a.t.Helper()
	key := a.newKey()
	leaf := a.sign(&x509.Certificate{Subject: subject(name), DNSNames: []string{name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage:        []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		UnknownExtKeyUsage: []asn1.ObjectIdentifier{extIPsecIKE}}, a.middle, key.Public(), a.key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(name+".pem", "CERTIFICATE", leaf.Raw)
	a.write(name+"-chain.pem", "CERTIFICATE", leaf.Raw, a.middle.Raw)
	a.write(name+".key", "PRIVATE KEY", der)
	a.write(name+"-above.pem", "CERTIFICATE", a.middle.Raw, a.root.Raw)
	f := Files{Own: a.path(name + ".pem"), Key: a.path(name + ".key"), Chain: a.path(name + "-chain.pem"),
		Middle: a.path("middle.pem"), Root: a.path("root.pem"), Above: a.path(name + "-above.pem"), PKCS12: a.path(name + ".p12"), Serial: leaf.SerialNumber}
	out, err := exec.Command("openssl", "pkcs12", "-export", "-in", f.Own, "-inkey", f.Key, "-certfile", f.Above,
		"-name", "own", "-passout", "pass:", "-out", f.PKCS12).CombinedOutput()
	if err != nil {
		a.t.Fatalf("openssl pkcs12: %v: %s", err, out)
	}
	return f
}
