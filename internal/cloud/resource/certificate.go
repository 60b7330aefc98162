package resource

import (
	"time"

	"seikan/internal/secret"
)

// Names of private certificates and of who signs them.
type (
	CertificateAuthorityARN string // arn:aws:acm-pca:…:certificate-authority/…
	CertificateARN          string // arn:aws:acm:…:certificate/…
)

// A CertificateAuthority signs the certificates of an account's customer gateways
// and those of the cloud's ends of their tunnels (vpn §3.7).
type CertificateAuthority struct {
	ARN         CertificateAuthorityARN
	OwnerID     Account
	Certificate []byte // PEM
	// Key never passes through plain JSON: the store asks for it by VisitSecrets.
	Key secret.Secret `json:"-"`
}

// Owner is OwnerID.
func (a CertificateAuthority) Owner() Account { return a.OwnerID }

// VisitSecrets shows the authority's private key.
func (a *CertificateAuthority) VisitSecrets(visit func(name string, s *secret.Secret)) {
	visit("key", &a.Key)
}

// A Certificate is one that a CertificateAuthority of the account has signed.
type Certificate struct {
	ARN          CertificateARN
	OwnerID      Account
	AuthorityARN CertificateAuthorityARN
	Subject      string // its common name
	Chain        []byte // PEM
	NotAfter     time.Time
	// TunnelID names the tunnel whose cloud's end has it, such as "vpn-…/1", and
	// Key is its private key then. Otherwise a customer gateway has it, which
	// keeps the key to itself.
	TunnelID string
	Key      secret.Secret `json:"-"`
}

// Owner is OwnerID.
func (c Certificate) Owner() Account { return c.OwnerID }

// VisitSecrets shows the certificate's private key.
func (c *Certificate) VisitSecrets(visit func(name string, s *secret.Secret)) { visit("key", &c.Key) }
