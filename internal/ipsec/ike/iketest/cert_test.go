package iketest

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
	"strings"
	"time"

	"seikan/internal/ipsec/ike/cert"
)

// revokedSerial is the serial number that every CRL of a script lists.
const revokedSerial = 666

// authority is the CA of that name, the same each time.
func authority(name string) (*x509.Certificate, crypto.Signer, error) {
	seed := [ed25519.SeedSize]byte{}
	copy(seed[:], name)
	key := ed25519.NewKeyFromSeed(seed[:])
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: name + " CA"},
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	c, err := x509.ParseCertificate(der)
	return c, key, err
}

// freshKey makes a key of that kind.
func freshKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "rsa", "rsa-pss":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "ecdsa256":
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

// setAuth gives an end a certificate and whom to trust. The value is a kind of
// key, and then, each after a plus sign, what is wrong: "expired", "revoked",
// "otherca" (issued by a CA that the other end does not know).
func setAuth(c *setup, end int, value string) error {
	words := strings.Split(value, "+")
	key, err := freshKey(words[0])
	if err != nil {
		return err
	}
	name, ca := string(rune('a'+end)), "common"
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(int64(end + 2)), Subject: pkix.Name{Country: []string{"XX"}, Organization: []string{"Example"}, CommonName: name},
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(1000 * time.Hour), DNSNames: []string{name + ".example"},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	for _, wrong := range words[1:] {
		switch wrong {
		case "expired":
			tmpl.NotAfter = start.Add(-time.Minute)
		case "revoked":
			tmpl.SerialNumber = big.NewInt(revokedSerial)
		case "otherca":
			ca = "other"
		default:
			return fmt.Errorf("nothing known that is called %q", wrong)
		}
	}
	if c.Auth.Credential, err = credential(ca, tmpl, key); err != nil {
		return err
	}
	if words[0] == "rsa-pss" {
		c.Auth.Credential = c.Auth.Credential.WithPSS()
	}
	c.Auth.Trust, err = trust("common")
	return err
}

// credential is a certificate that the CA of that name has issued.
func credential(ca string, tmpl *x509.Certificate, key crypto.Signer) (*cert.Credential, error) {
	issuer, signer, err := authority(ca)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return cert.NewCredential(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// trust believes the CA of that name, which has revoked one certificate.
func trust(ca string) (*cert.Trust, error) {
	issuer, signer, err := authority(ca)
	if err != nil {
		return nil, err
	}
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: start.Add(-time.Hour), NextUpdate: start.Add(1000 * time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(revokedSerial), RevocationTime: start.Add(-time.Hour)}},
	}, issuer, signer)
	if err != nil {
		return nil, err
	}
	return cert.NewTrust(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Raw}), cert.Options{CRLs: [][]byte{crl}})
}
