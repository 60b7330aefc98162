package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// Security protocol ids (RFC 7296 section 3.3.1).
const (
	ProtoNone = 0
	ProtoIKE  = 1
	ProtoAH   = 2
	ProtoESP  = 3
)

// maxDeletes bounds the SPIs of one Delete payload.
const maxDeletes = 256

// Delete is the Delete payload (RFC 7296 section 3.11). For ProtoIKE it names
// no SPI: the message itself does.
type Delete struct {
	Protocol uint8
	SPIs     []uint32 // of ESP or AH, inbound at the sender
}

// Kind is KindDelete.
func (*Delete) Kind() Kind { return KindDelete }

func (p *Delete) append(b []byte) []byte {
	size := byte(4)
	if p.Protocol == ProtoIKE {
		size = 0
	}
	b = append(b, p.Protocol, size)
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.SPIs)))
	for _, spi := range p.SPIs {
		b = binary.BigEndian.AppendUint32(b, spi)
	}
	return b
}

func (p *Delete) parse(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("delete of %d octets: %w", len(b), ike.ErrShort)
	}
	size, n := int(b[1]), int(binary.BigEndian.Uint16(b[2:]))
	p.Protocol = b[0]
	b = b[4:]
	switch {
	case p.Protocol == ProtoIKE && (size != 0 || n != 0):
		return fmt.Errorf("delete of the IKE SA with %d SPIs of %d octets: %w", n, size, ErrMalformed)
	case p.Protocol == ProtoIKE:
	case p.Protocol != ProtoESP && p.Protocol != ProtoAH:
		return fmt.Errorf("delete for protocol %d: %w", p.Protocol, ErrMalformed)
	case size != 4 || n > maxDeletes:
		return fmt.Errorf("delete of %d SPIs of %d octets: %w", n, size, ErrMalformed)
	}
	if len(b) != n*size {
		return fmt.Errorf("delete of %d SPIs in %d octets: %w", n, len(b), ike.ErrLength)
	}
	for ; len(b) > 0; b = b[4:] {
		p.SPIs = append(p.SPIs, binary.BigEndian.Uint32(b))
	}
	return nil
}
