package cert

import (
	"bytes"
	"crypto/sha1" // only as the name of a key, RFC 7296 section 3.7
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// A Trust is whose certificates are accepted, and which of those no longer
// are. It is safe for use by many goroutines, and never changes.
type Trust struct {
	cas     []*x509.Certificate // all that were given
	anchors []*x509.Certificate // those of them that are believed by themselves
	crls    []*revocations
	ocsp    [][]byte
	weak    bool
	digest  [sha256.Size]byte
}

// Options are what NewTrust takes besides certificates. The zero value knows
// of no revocations.
type Options struct {
	// CRLs are certificate revocation lists, each PEM or DER (RFC 5280 section
	// 5). OCSP are responses in DER (RFC 6960).
	//
	// Where one covers a certificate of a chain it must be of today: a list or
	// response past its next update refuses the certificate, since what was
	// revoked after it is not known. Certificates that none covers are
	// accepted.
	CRLs, OCSP [][]byte
	// WeakKeys accepts RSA keys of 1024 to 2047 bits, in every certificate.
	WeakKeys bool
}

// Limits on what NewTrust takes, since a machine holds all of it and each CA
// costs 20 octets of a CERTREQ.
const (
	maxCAs  = 64
	maxCRLs = 64
	maxOCSP = 1024
)

// NewTrust reads the certificates of CAs in PEM. Those that are self-signed,
// and those whose issuer is not among them, are believed; the others help to
// find the way there. The error says which one is wrong and why.
func NewTrust(caPEM []byte, o Options) (*Trust, error) {
	t := &Trust{weak: o.WeakKeys, ocsp: o.OCSP}
	for block, rest := pem.Decode(caPEM); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("CA certificates: a PEM block %q, want CERTIFICATE only", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("CA certificate %d: %w", len(t.cas)+1, err)
		}
		if err := t.usableCA(c); err != nil {
			return nil, fmt.Errorf("CA certificate %d, %s: %w", len(t.cas)+1, subject(c), err)
		}
		t.cas = append(t.cas, c)
	}
	switch {
	case len(t.cas) == 0:
		return nil, errors.New("CA certificates: none found; want PEM blocks CERTIFICATE")
	case len(t.cas) > maxCAs:
		return nil, fmt.Errorf("CA certificates: %d, want at most %d", len(t.cas), maxCAs)
	case len(o.CRLs) > maxCRLs || len(o.OCSP) > maxOCSP:
		return nil, fmt.Errorf("revocations: %d CRLs and %d OCSP responses, want at most %d and %d", len(o.CRLs), len(o.OCSP), maxCRLs, maxOCSP)
	}
	for _, c := range t.cas {
		if t.issuerOf(c) == nil {
			t.anchors = append(t.anchors, c)
		}
	}
	err := t.readRevocations(o)
	t.digest = t.sum()
	return t, err
}

// usableCA reports why c cannot be a CA.
func (t *Trust) usableCA(c *x509.Certificate) error {
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return errors.New("it is not a CA: basic constraints do not say so")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("its key usage does not allow it to sign certificates")
	}
	return t.keySize(c)
}

// issuerOf is the other CA given that has issued c, or nil.
func (t *Trust) issuerOf(c *x509.Certificate) *x509.Certificate {
	if selfIssued(c) {
		return nil
	}
	for _, ca := range t.cas {
		if bytes.Equal(ca.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(ca) == nil {
			return ca
		}
	}
	return nil
}

// KeyHashLen is how many octets has the SHA-1 of a CA's SubjectPublicKeyInfo,
// by which a CERTREQ of IKEv2 names it (RFC 7296 section 3.7).
const KeyHashLen = sha1.Size

// KeyHashes are the hashes of the keys of the CAs that are believed, one after
// the other: the certification authority of a CERTREQ of IKEv2.
func (t *Trust) KeyHashes() []byte {
	var out []byte
	for _, c := range t.anchors {
		sum := sha1.Sum(c.RawSubjectPublicKeyInfo)
		out = append(out, sum[:]...)
	}
	return out
}

// Subjects are the distinguished names in DER of the CAs that are believed:
// the certification authorities of the CERTREQs of IKEv1, one each (RFC 2408
// section 3.10).
func (t *Trust) Subjects() [][]byte {
	var out [][]byte
	for _, c := range t.anchors {
		out = append(out, c.RawSubject)
	}
	return out
}

// Digest stands for all that decides whom t accepts: certificates, revocations
// and options.
func (t *Trust) Digest() [sha256.Size]byte { return t.digest }

// sum makes the digest, once: lists may be long.
func (t *Trust) sum() [sha256.Size]byte {
	h := sha256.New()
	part := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(b))))
		h.Write(b)
	}
	fmt.Fprintf(h, "%d %d %d %t ", len(t.cas), len(t.crls), len(t.ocsp), t.weak)
	for _, c := range t.cas {
		part(c.Raw)
	}
	for _, r := range t.crls {
		part(r.list.Raw)
	}
	for _, der := range t.ocsp {
		part(der)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// String is the names of the CAs that are believed.
func (t *Trust) String() string {
	var out []string
	for _, c := range t.anchors {
		out = append(out, fmt.Sprintf("%q", subject(c)))
	}
	return strings.Join(out, ", ")
}
