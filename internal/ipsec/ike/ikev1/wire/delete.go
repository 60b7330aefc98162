package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// maxDeletes bounds the SPIs of one Delete payload.
const maxDeletes = 256

// Delete is the Delete payload (RFC 2408 section 3.15). All its SPIs have the
// same length.
type Delete struct {
	Protocol uint8
	SPIs     [][]byte // 16 octets of cookies for ProtoISAKMP, 4 octets for the others, inbound at the sender
}

// NewDelete deletes ESP SAs.
func NewDelete(spis ...uint32) *Delete {
	p := &Delete{Protocol: ProtoESP}
	for _, spi := range spis {
		p.SPIs = append(p.SPIs, binary.BigEndian.AppendUint32(nil, spi))
	}
	return p
}

// Kind is KindDelete.
func (*Delete) Kind() Kind { return KindDelete }

// spiLen is how long an SPI of protocol is, in octets; 0 when it is unknown.
func spiLen(protocol uint8) int {
	switch protocol {
	case ProtoISAKMP:
		return 16
	case ProtoAH, ProtoESP:
		return 4
	case ProtoIPComp:
		return 2
	}
	return 0
}

func (p *Delete) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, DOIIPsec)
	b = append(b, p.Protocol, byte(spiLen(p.Protocol)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.SPIs)))
	for _, spi := range p.SPIs {
		b = append(b, spi...)
	}
	return b
}

func (p *Delete) parse(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("delete of %d octets: %w", len(b), ike.ErrShort)
	}
	if doi := binary.BigEndian.Uint32(b); doi > DOIIPsec {
		return fmt.Errorf("delete of domain of interpretation %d: %w", doi, ErrMalformed)
	}
	size, n := int(b[5]), int(binary.BigEndian.Uint16(b[6:]))
	p.Protocol = b[4]
	b = b[8:]
	if size == 0 || size != spiLen(p.Protocol) || n > maxDeletes {
		return fmt.Errorf("delete of %d SPIs of %d octets for protocol %d: %w", n, size, p.Protocol, ErrMalformed)
	}
	if len(b) != n*size {
		return fmt.Errorf("delete of %d SPIs in %d octets: %w", n, len(b), ike.ErrLength)
	}
	for ; len(b) > 0; b = b[size:] {
		p.SPIs = append(p.SPIs, b[:size])
	}
	return nil
}
