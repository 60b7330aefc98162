package wire

import (
	"fmt"

	"seikan/internal/ipsec/ike"
)

// CertX509Signature is the encoding of one X.509 certificate in DER, and the
// only one that the machine sends or takes (RFC 7296 section 3.6).
const CertX509Signature = 4

// Cert is the Certificate payload (RFC 7296 section 3.6).
type Cert struct {
	Encoding uint8
	Data     []byte
}

// Kind is KindCert.
func (*Cert) Kind() Kind { return KindCert }

func (p *Cert) append(b []byte) []byte { return append(append(b, p.Encoding), p.Data...) }

func (p *Cert) parse(b []byte) error {
	if len(b) < 2 {
		return fmt.Errorf("CERT of %d octets: %w", len(b), ike.ErrShort)
	}
	p.Encoding, p.Data = b[0], b[1:]
	return nil
}

// CertReq is the Certificate Request payload (RFC 7296 section 3.7).
type CertReq struct {
	Encoding    uint8
	Authorities []byte // for X.509 hashes of 20 octets, one after the other
}

// Kind is KindCertReq.
func (*CertReq) Kind() Kind { return KindCertReq }

func (p *CertReq) append(b []byte) []byte { return append(append(b, p.Encoding), p.Authorities...) }

func (p *CertReq) parse(b []byte) error {
	if len(b) < 1 {
		return fmt.Errorf("empty CERTREQ: %w", ike.ErrShort)
	}
	p.Encoding, p.Authorities = b[0], b[1:]
	return nil
}
