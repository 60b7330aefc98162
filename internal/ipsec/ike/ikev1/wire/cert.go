package wire

import (
	"fmt"

	"seikan/internal/ipsec/ike"
)

// CertX509Signature is the encoding of an X.509 certificate for signatures
// (RFC 2408 section 3.9).
const CertX509Signature = 4

// Cert is the Certificate payload (RFC 2408 section 3.9).
type Cert struct {
	Encoding uint8
	Data     []byte // in DER
}

// CertReq is the Certificate Request payload (RFC 2408 section 3.10).
type CertReq struct {
	Encoding  uint8
	Authority []byte // the distinguished name in DER; empty for any
}

// Kind is KindCert.
func (*Cert) Kind() Kind { return KindCert }

// Kind is KindCertReq.
func (*CertReq) Kind() Kind { return KindCertReq }

func (p *Cert) append(b []byte) []byte    { return append(append(b, p.Encoding), p.Data...) }
func (p *CertReq) append(b []byte) []byte { return append(append(b, p.Encoding), p.Authority...) }

func (p *Cert) parse(b []byte) error {
	if len(b) < 2 {
		return fmt.Errorf("certificate of %d octets: %w", len(b), ike.ErrShort)
	}
	p.Encoding, p.Data = b[0], b[1:]
	return nil
}

func (p *CertReq) parse(b []byte) error {
	if len(b) < 1 {
		return fmt.Errorf("empty certificate request: %w", ike.ErrShort)
	}
	p.Encoding, p.Authority = b[0], b[1:]
	return nil
}
