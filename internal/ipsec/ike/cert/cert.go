// Package cert is certificates as IKE uses them: our own with its key, whose
// of the peer's are accepted, and the signatures that prove them in both
// versions.
//
// It reads no file, no clock and no network: PEM text, time, revocation lists
// and OCSP responses are arguments. It decides about a chain and a signature,
// never about a peer: that the identity is the wanted one is the caller's to
// check. The machines of ikev1 and ikev2 call it, packages policy and gateway
// make its values.
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
	pss   bool
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
	if _, err := keyKind(key.Public()); err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	c.key = key
	return c, nil
}

// WithPSS is c with RSA signatures in IKEv2 by RSASSA-PSS rather than PKCS #1
// v1.5, towards peers that announce RFC 7427. It changes nothing for other
// keys, nor in IKEv1.
func (c *Credential) WithPSS() *Credential {
	d := *c
	d.pss = true
	return &d
}

// Identity is the subject's distinguished name, ID_DER_ASN1_DN.
func (c *Credential) Identity() ike.Identity {
	return ike.Identity{Type: ike.IDDN, Data: string(c.chain[0].RawSubject)}
}

// Owns reports whether id is the subject or one of the alternative names of
// our certificate, so that a peer can believe us. The error says what names
// there are.
func (c *Credential) Owns(id ike.Identity) error { return owns(c.chain[0], id) }

// Chain is our certificates in DER, leaf first, as CERT payloads carry them:
// the leaf and the intermediates, without a root, which the peer has or does
// not believe (RFC 7296 section 3.6). The peer's CERTREQ need not be looked
// at: there is one chain, and a peer that does not know its root refuses it.
func (c *Credential) Chain() [][]byte {
	var out [][]byte
	for i, one := range c.chain {
		if i > 0 && selfIssued(one) {
			break
		}
		out = append(out, one.Raw)
	}
	return out
}

// String is the subject; the key never prints.
func (c *Credential) String() string { return c.Identity().String() }

// selfIssued reports whether c names itself as its issuer, as roots do.
func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// subject is the name of c for messages.
func subject(c *x509.Certificate) string { return dn(c.RawSubject) }

// dn is a distinguished name in DER for messages.
func dn(der []byte) string { return ike.Identity{Type: ike.IDDN, Data: string(der)}.String() }
