package wire

import (
	"fmt"

	"seikan/internal/ipsec/ike"
)

// ID is the Identification payload of either side (RFC 7296 section 3.5).
type ID struct {
	Responder bool // IDr rather than IDi
	ike.Identity
	Reserved [3]byte // ignored, but covered by AUTH
}

// Kind is KindIDi or KindIDr.
func (p *ID) Kind() Kind {
	if p.Responder {
		return KindIDr
	}
	return KindIDi
}

func (p *ID) append(b []byte) []byte { return append(b, p.Body()...) }

// Body is the payload without its generic header, which AUTH covers (RFC 7296
// section 2.15).
func (p *ID) Body() []byte {
	return append([]byte{byte(p.Type), p.Reserved[0], p.Reserved[1], p.Reserved[2]}, p.Data...)
}

func (p *ID) parse(b []byte) error {
	if len(b) <= 4 {
		return fmt.Errorf("identity of %d octets: %w", len(b), ike.ErrShort)
	}
	if b[0] == 0 {
		return fmt.Errorf("identity of type 0: %w", ErrMalformed)
	}
	p.Reserved = [3]byte(b[1:4])
	p.Identity = ike.Identity{Type: ike.IDType(b[0]), Data: string(b[4:])}
	return nil
}
