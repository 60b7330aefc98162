package wire

import "fmt"

// Nonce is the Nonce payload (RFC 7296 section 3.9).
type Nonce struct{ Data []byte }

// Kind is KindNonce.
func (*Nonce) Kind() Kind { return KindNonce }

func (p *Nonce) append(b []byte) []byte { return append(b, p.Data...) }

func (p *Nonce) parse(b []byte) error {
	// "The size of the Nonce Data MUST be between 16 and 256 octets, inclusive."
	// https://www.rfc-editor.org/rfc/rfc7296#section-3.9
	if len(b) < 16 || len(b) > 256 {
		return fmt.Errorf("nonce of %d octets, want 16 to 256: %w", len(b), ErrMalformed)
	}
	p.Data = b
	return nil
}
