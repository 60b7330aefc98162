package vpn

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// How long certificates hold: an authority's for ten years, others for 13 months
// as ACM's do.
const (
	authorityLifetime   = 10 * 365 * 24 * time.Hour
	certificateLifetime = 395 * 24 * time.Hour
	// renewBefore is how long before its end the certificate of a cloud's end is
	// replaced, as ACM begins to renew its own; renewAgain is when it is tried again
	// if that fails.
	renewBefore = 60 * 24 * time.Hour
	renewAgain  = time.Hour
)

// maxSubject is the length of a common name (RFC 5280, ub-common-name).
const maxSubject = 64

// CreateCertificateAuthorityInput says what authority is wanted.
type CreateCertificateAuthorityInput struct {
	Subject string // its common name, 1 to 64 bytes
	Region  string // empty means resource.DefaultRegion
}

// CreateCertificateAuthority makes a private authority, whose certificates
// customer gateways can have in the place of pre-shared keys (vpn §3.7). Code:
// InvalidParameterValue.
func CreateCertificateAuthority(tx *store.Tx, who resource.Account, in CreateCertificateAuthorityInput) (resource.CertificateAuthority, error) {
	var none resource.CertificateAuthority
	if err := checkSubject(in.Subject); err != nil {
		return none, err
	}
	tmpl := template(tx, in.Subject, authorityLifetime)
	tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	chain, key, err := sign(tmpl, tmpl, nil)
	if err != nil {
		return none, err
	}
	a := resource.CertificateAuthority{
		ARN:     resource.CertificateAuthorityARN(resource.ARN("acm-pca", cmp.Or(in.Region, resource.DefaultRegion), who, "certificate-authority/"+uuid(tx))),
		OwnerID: who, Certificate: chain, Key: key,
	}
	store.CertificateAuthorities.Put(tx, a.ARN, a)
	return a, nil
}

// IssueCertificate makes a certificate for a customer gateway. Its private key is
// in the answer, in PEM, and is kept nowhere. Codes: InvalidParameterValue,
// ResourceNotFoundException.
func IssueCertificate(tx *store.Tx, who resource.Account, authority resource.CertificateAuthorityARN, subject string) (resource.Certificate, secret.Secret, error) {
	a, err := store.Find(tx, store.CertificateAuthorities, who, authority, codeCertificateNotFound)
	if err == nil {
		err = checkSubject(subject)
	}
	if err != nil {
		return resource.Certificate{}, secret.Secret{}, err
	}
	c, key, err := issue(tx, a, subject)
	if err != nil {
		return resource.Certificate{}, secret.Secret{}, err
	}
	store.Certificates.Put(tx, c.ARN, c)
	return c, key, nil
}

func checkSubject(subject string) error {
	if subject == "" || len(subject) > maxSubject {
		return resource.Errorf(resource.CodeInvalidParameterValue, "Subject: a common name has 1 to %d bytes, and %q has %d", maxSubject, subject, len(subject))
	}
	return nil
}

// issue makes a certificate that is not written yet, and its key.
func issue(tx *store.Tx, a resource.CertificateAuthority, subject string) (resource.Certificate, secret.Secret, error) {
	var none resource.Certificate
	block, _ := pem.Decode(a.Certificate)
	keyBlock, _ := pem.Decode(a.Key.Reveal())
	if block == nil || keyBlock == nil {
		return none, secret.Secret{}, fmt.Errorf("the authority %s has no certificate or no key", a.ARN)
	}
	parent, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return none, secret.Secret{}, fmt.Errorf("the authority %s: %w", a.ARN, err)
	}
	signer, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return none, secret.Secret{}, fmt.Errorf("the key of the authority %s is not one", a.ARN) // the error could show it
	}
	tmpl := template(tx, subject, certificateLifetime)
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	chain, key, err := sign(tmpl, parent, signer)
	if err != nil {
		return none, secret.Secret{}, err
	}
	return resource.Certificate{
		ARN:     resource.CertificateARN(resource.ARN("acm", resource.DefaultRegion, a.OwnerID, "certificate/"+uuid(tx))),
		OwnerID: a.OwnerID, AuthorityARN: a.ARN, Subject: subject, Chain: chain, NotAfter: tmpl.NotAfter,
	}, key, nil
}

func template(tx *store.Tx, subject string, lifetime time.Duration) *x509.Certificate {
	var serial [16]byte
	tx.Random(serial[:])
	serial[0] &= 0x7f // a serial number is positive
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:]), Subject: pkix.Name{CommonName: subject},
		NotBefore: tx.Now().Add(-time.Hour), NotAfter: tx.Now().Add(lifetime), // clocks differ
	}
}

// sign makes tmpl a certificate with a key of its own, both PEM. Without a signer
// it signs itself.
func sign(tmpl, parent *x509.Certificate, signer *ecdsa.PrivateKey) (chain []byte, key secret.Secret, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, key, fmt.Errorf("new key: %w", err)
	}
	if signer == nil {
		signer = private
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, private.Public(), signer)
	if err != nil {
		return nil, key, fmt.Errorf("new certificate: %w", err)
	}
	text, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		return nil, key, fmt.Errorf("new key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), secret.New(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: text})), nil
}

// uuid is the last part of a certificate's name: a random UUID (RFC 9562).
func uuid(tx *store.Tx) string {
	var b [16]byte
	tx.Random(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// certify gives the cloud's ends of a new connection their certificates, by the
// authority that signed the customer gateway's.
func certify(tx *store.Tx, c *resource.VPNConnection, customer resource.CertificateARN) error {
	theirs, err := store.Find(tx, store.Certificates, c.OwnerID, customer, codeCertificateNotFound)
	if err != nil {
		return err
	}
	a, err := store.Find(tx, store.CertificateAuthorities, c.OwnerID, theirs.AuthorityARN, codeCertificateNotFound)
	if err != nil {
		return err
	}
	for i := range c.Tunnels {
		own, key, err := issue(tx, a, fmt.Sprintf("%s.endpoint-%d", c.ID, i))
		if err != nil {
			return err
		}
		own.TunnelID, own.Key = TunnelID(c.ID, i), key
		store.Certificates.Put(tx, own.ARN, own)
		c.Telemetry[i].CertificateARN = own.ARN
	}
	return nil
}

// renewed is old with another key and certificate, by the same authority and for
// the same subject and tunnel.
func renewed(tx *store.Tx, old resource.Certificate) (resource.Certificate, error) {
	a, err := store.Find(tx, store.CertificateAuthorities, old.OwnerID, old.AuthorityARN, codeCertificateNotFound)
	if err != nil {
		return resource.Certificate{}, err
	}
	own, key, err := issue(tx, a, old.Subject)
	own.TunnelID, own.Key = old.TunnelID, key
	return own, err
}

// renewDue renews the certificates of the cloud's ends that end soon (vpn §3.7).
// Each keeps its name, as one does that ACM renews, and its tunnel goes on: the
// gateway proves itself by the new one from the next time on. It returns when to
// look again, zero for never.
func renewDue(tx *store.Tx) (next time.Time) {
	for _, c := range store.Certificates.List(tx) {
		if c.TunnelID == "" {
			continue // the customer gateway's, whose key only its owner has
		}
		due := c.NotAfter.Add(-renewBefore)
		if !tx.Now().Before(due) {
			own, err := renewed(tx, c)
			if err == nil {
				own.ARN = c.ARN
				store.Certificates.Put(tx, own.ARN, own)
				due = own.NotAfter.Add(-renewBefore)
			} else {
				due = tx.Now().Add(renewAgain)
			}
		}
		if next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return next
}

// uncertify takes the certificates of a connection's ends away.
func uncertify(tx *store.Tx, c resource.VPNConnection) {
	for _, t := range c.Telemetry {
		if t.CertificateARN != "" {
			store.Certificates.Delete(tx, t.CertificateARN)
		}
	}
}

// checkCertified checks a new connection whose customer gateway has a
// certificate.
func checkCertified(c resource.VPNConnection, customer resource.CustomerGateway) error {
	for i, t := range c.Tunnels {
		at := fmt.Sprintf("TunnelOptions.%d.", i+1)
		switch {
		case !t.PreSharedKey.IsZero():
			return resource.Errorf(resource.CodeInvalidParameterCombination, "%sPreSharedKey: the customer gateway %s authenticates by certificate; leave the key out", at, customer.ID)
		case customer.IPAddress.IsValid():
		case t.StartupAction == startupStart:
			return resource.Errorf(resource.CodeInvalidParameterValue, "%sStartupAction: %s needs the address of the customer gateway, and %s has none; use %s", at, startupStart, customer.ID, startupAdd)
		case t.DPDTimeoutAction == actionRestart:
			return resource.Errorf(resource.CodeInvalidParameterValue, "%sDPDTimeoutAction: %s needs the address of the customer gateway, and %s has none; use %s or %s", at, actionRestart, customer.ID, actionClear, actionNone)
		}
	}
	return nil
}
