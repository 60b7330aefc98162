// Package cert is certificates as IKE uses them: our own with its key, and
// which of the peer's are accepted.
//
// It reads no file, no clock and no network: PEM text, time and what was
// fetched are arguments. The machines of ikev1 and ikev2 call it, package
// gateway makes its values.
package cert

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// A Credential is our certificate, the intermediate ones that lead to a root
// that the peer knows, and the private key. It prints as its subject.
type Credential struct {
	chain []*x509.Certificate // leaf first
	key   crypto.Signer
}

// NewCredential reads PEM: the leaf, then intermediates, and the leaf's
// private key (PKCS #1, SEC 1 or PKCS #8; RSA, ECDSA or Ed25519).
func NewCredential(chainPEM, keyPEM []byte) (*Credential, error) {
	pair, err := tls.X509KeyPair(chainPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("certificate and key: %w", err)
	}
	c := &Credential{}
	for i, der := range pair.Certificate {
		one, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
		c.chain = append(c.chain, one)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("private key: it cannot sign")
	}
	c.key = key
	return c, nil
}

// Identity is the subject's distinguished name, ID_DER_ASN1_DN.
func (c *Credential) Identity() ike.Identity {
	return ike.Identity{Type: ike.IDDN, Data: string(c.chain[0].RawSubject)}
}

// String is the subject; the key never prints.
func (c *Credential) String() string { return c.chain[0].Subject.String() }

// Equal reports whether both are the same certificates, for configurations.
func (c *Credential) Equal(d *Credential) bool {
	if c == nil || d == nil {
		return c == d
	}
	if len(c.chain) != len(d.chain) {
		return false
	}
	for i := range c.chain {
		if !bytes.Equal(c.chain[i].Raw, d.chain[i].Raw) {
			return false
		}
	}
	return true
}

// A Trust is whose certificates are accepted.
type Trust struct {
	roots *x509.CertPool
}
