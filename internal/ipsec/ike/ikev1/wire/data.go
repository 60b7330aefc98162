package wire

import (
	"fmt"

	"seikan/internal/ipsec/ike"
)

// The payloads that are one string of octets.
type (
	// KE is the Key Exchange payload (RFC 2408 section 3.7); its group is that
	// of the SA.
	KE struct{ Public []byte }
	// Hash is the Hash payload (section 3.11).
	Hash struct{ Data []byte }
	// Sig is the Signature payload (section 3.12).
	Sig struct{ Data []byte }
	// Nonce is the Nonce payload (section 3.13).
	Nonce struct{ Data []byte }
	// VendorID is the Vendor ID payload (section 3.16).
	VendorID struct{ Data []byte }
	// NATD is the NAT-D payload: the hash of an address and port (RFC 3947
	// section 3.2).
	NATD struct{ Hash []byte }
	// Raw is a payload that this package gives no meaning to.
	Raw struct {
		Type Kind
		Data []byte
	}
)

// Kind is KindKE.
func (*KE) Kind() Kind { return KindKE }

// Kind is KindHash.
func (*Hash) Kind() Kind { return KindHash }

// Kind is KindSig.
func (*Sig) Kind() Kind { return KindSig }

// Kind is KindNonce.
func (*Nonce) Kind() Kind { return KindNonce }

// Kind is KindVendorID.
func (*VendorID) Kind() Kind { return KindVendorID }

// Kind is KindNATD.
func (*NATD) Kind() Kind { return KindNATD }

// Kind is the type that the peer gave.
func (p *Raw) Kind() Kind { return p.Type }

func (p *KE) append(b []byte) []byte       { return append(b, p.Public...) }
func (p *Hash) append(b []byte) []byte     { return append(b, p.Data...) }
func (p *Sig) append(b []byte) []byte      { return append(b, p.Data...) }
func (p *Nonce) append(b []byte) []byte    { return append(b, p.Data...) }
func (p *VendorID) append(b []byte) []byte { return append(b, p.Data...) }
func (p *NATD) append(b []byte) []byte     { return append(b, p.Hash...) }
func (p *Raw) append(b []byte) []byte      { return append(b, p.Data...) }

func (p *KE) parse(b []byte) error   { return some(&p.Public, b, "KE") }
func (p *Hash) parse(b []byte) error { return some(&p.Data, b, "HASH") }
func (p *Sig) parse(b []byte) error  { return some(&p.Data, b, "SIG") }
func (p *NATD) parse(b []byte) error { return some(&p.Hash, b, "NAT-D") }

func (p *VendorID) parse(b []byte) error {
	p.Data = b
	return nil
}

func (p *Raw) parse(b []byte) error {
	p.Data = b
	return nil
}

func (p *Nonce) parse(b []byte) error {
	// "The length of nonce payload MUST be between 8 and 256 bytes inclusive."
	// https://www.rfc-editor.org/rfc/rfc2409#section-5
	if len(b) < 8 || len(b) > 256 {
		return fmt.Errorf("nonce of %d octets, want 8 to 256: %w", len(b), ErrMalformed)
	}
	p.Data = b
	return nil
}

// some takes b unless it is empty.
func some(field *[]byte, b []byte, name string) error {
	if len(b) == 0 {
		return fmt.Errorf("empty %s: %w", name, ike.ErrShort)
	}
	*field = b
	return nil
}
