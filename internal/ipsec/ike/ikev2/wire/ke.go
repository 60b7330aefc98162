package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// KE is the Key Exchange payload (RFC 7296 section 3.4).
type KE struct {
	Group  uint16
	Public []byte
}

// Kind is KindKE.
func (*KE) Kind() Kind { return KindKE }

func (p *KE) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, p.Group)
	b = append(b, 0, 0) // reserved
	return append(b, p.Public...)
}

func (p *KE) parse(b []byte) error {
	if len(b) <= 4 {
		return fmt.Errorf("KE of %d octets: %w", len(b), ike.ErrShort)
	}
	p.Group, p.Public = binary.BigEndian.Uint16(b), b[4:]
	return nil
}
