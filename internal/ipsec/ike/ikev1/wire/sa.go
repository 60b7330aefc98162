package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// DOIIPsec is the IPsec domain of interpretation (RFC 2407 section 4.2), and
// situationIdentity the only situation that we know (section 4.2.1).
const (
	DOIIPsec          = 1
	situationIdentity = 1
)

// Security protocol ids (RFC 2407 section 4.4.1).
const (
	ProtoISAKMP = 1
	ProtoAH     = 2
	ProtoESP    = 3
	ProtoIPComp = 4
)

// Bounds of an SA payload. Before anything is authentic each transform costs a
// comparison with every suite that we allow. Full AWS lists make about 100
// transforms of 6 attributes.
const (
	maxProposals  = 64
	maxTransforms = 512
	maxAttributes = 16 // of one transform
)

// SA is the Security Association payload (RFC 2408 section 3.4), of the IPsec
// domain of interpretation and the situation SIT_IDENTITY_ONLY.
type SA struct {
	Proposals []Proposal
	octets    []byte // the body as received
}

// A Proposal is one protocol with alternatives (RFC 2408 section 3.5).
// Proposals of the same number belong together.
type Proposal struct {
	Number     uint8
	Protocol   uint8
	SPI        []byte // 4 octets for ProtoESP; empty, or ignored, for ProtoISAKMP
	Transforms []Transform
}

// A Transform is one alternative (RFC 2408 section 3.6).
type Transform struct {
	Number     uint8
	ID         uint8
	Attributes []Attribute
}

// An Attribute is one data attribute (RFC 2408 section 3.3).
type Attribute struct {
	Type  uint16 // below 0x8000
	Basic bool   // the value stands in the place of the length, and has 2 octets
	Value []byte
}

// Basic is an attribute of two octets.
func Basic(kind, value uint16) Attribute {
	return Attribute{Type: kind, Basic: true, Value: binary.BigEndian.AppendUint16(nil, value)}
}

// Number is the attribute as an unsigned number; false when that needs more
// than 8 octets or there are none.
func (a Attribute) Number() (uint64, bool) {
	if len(a.Value) == 0 || len(a.Value) > 8 {
		return 0, false
	}
	n := uint64(0)
	for _, o := range a.Value {
		n = n<<8 | uint64(o)
	}
	return n, true
}

// Kind is KindSA.
func (*SA) Kind() Kind { return KindSA }

func (p *SA) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, DOIIPsec)
	b = binary.BigEndian.AppendUint32(b, situationIdentity)
	for i, prop := range p.Proposals {
		at := len(b)
		b = append(b, more(i+1 < len(p.Proposals), 2), 0, 0, 0)
		b = append(b, prop.Number, prop.Protocol, byte(len(prop.SPI)), byte(len(prop.Transforms)))
		b = append(b, prop.SPI...)
		for j, t := range prop.Transforms {
			b = t.append(b, j+1 < len(prop.Transforms))
		}
		binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	}
	return b
}

// more is the octet that begins a proposal or transform: mark when another
// follows.
func more(follows bool, mark byte) byte {
	if follows {
		return mark
	}
	return 0
}

func (t Transform) append(b []byte, follows bool) []byte {
	at := len(b)
	b = append(b, more(follows, 3), 0, 0, 0, t.Number, t.ID, 0, 0)
	for _, a := range t.Attributes {
		if a.Basic {
			b = binary.BigEndian.AppendUint16(b, 1<<15|a.Type)
			b = append(b, a.Value...)
			continue
		}
		b = binary.BigEndian.AppendUint16(b, a.Type)
		b = binary.BigEndian.AppendUint16(b, uint16(len(a.Value)))
		b = append(b, a.Value...)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	return b
}

// ParseSA reads the body of an SA payload, as Body gives it.
func ParseSA(body []byte) (*SA, error) {
	p := &SA{}
	return p, p.parse(body)
}

func (p *SA) parse(b []byte) error {
	if len(b) < 8 {
		return fmt.Errorf("SA of %d octets: %w", len(b), ike.ErrShort)
	}
	if doi := binary.BigEndian.Uint32(b); doi != DOIIPsec {
		return fmt.Errorf("domain of interpretation %d: %w", doi, ErrDOI)
	}
	if situation := binary.BigEndian.Uint32(b[4:]); situation != situationIdentity {
		return fmt.Errorf("situation %#x: %w", situation, ErrSituation)
	}
	p.octets = b
	transforms := 0
	for b = b[8:]; ; {
		if len(p.Proposals) == maxProposals {
			return fmt.Errorf("more than %d proposals: %w", maxProposals, ErrMalformed)
		}
		sub, last, rest, err := substructure(b, 2)
		if err != nil {
			return fmt.Errorf("proposal %d: %w", len(p.Proposals)+1, err)
		}
		var prop Proposal
		if err := prop.parse(sub); err != nil {
			return fmt.Errorf("proposal %d: %w", len(p.Proposals)+1, err)
		}
		p.Proposals = append(p.Proposals, prop)
		if transforms += len(prop.Transforms); transforms > maxTransforms {
			return fmt.Errorf("more than %d transforms: %w", maxTransforms, ErrMalformed)
		}
		if last && len(rest) != 0 {
			return fmt.Errorf("%d octets after the last proposal: %w", len(rest), ike.ErrLength)
		}
		if last {
			return nil
		}
		b = rest
	}
}

// substructureLen is the least length of a proposal or a transform, in octets.
const substructureLen = 8

// substructure takes one proposal or transform off b; its first octet is mark
// if another follows, else 0.
func substructure(b []byte, mark byte) (sub []byte, last bool, rest []byte, err error) {
	if len(b) < substructureLen {
		return nil, false, nil, ike.ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < substructureLen || n > len(b) {
		return nil, false, nil, fmt.Errorf("%d octets with %d left: %w", n, len(b), ike.ErrLength)
	}
	if b[0] != 0 && b[0] != mark {
		return nil, false, nil, fmt.Errorf("begins with %d, want 0 or %d: %w", b[0], mark, ErrMalformed)
	}
	return b[:n], b[0] == 0, b[n:], nil
}

func (p *Proposal) parse(b []byte) error {
	p.Number, p.Protocol = b[4], b[5]
	size, n := int(b[6]), int(b[7])
	b = b[substructureLen:]
	if size > len(b) {
		return fmt.Errorf("SPI of %d octets with %d left: %w", size, len(b), ike.ErrLength)
	}
	p.SPI, b = b[:size], b[size:]
	for i := range n {
		sub, last, rest, err := substructure(b, 3)
		if err == nil && last != (i+1 == n) {
			err = fmt.Errorf("says last=%v as number %d of %d: %w", last, i+1, n, ErrMalformed)
		}
		var t Transform
		if err == nil {
			err = t.parse(sub)
		}
		if err != nil {
			return fmt.Errorf("transform %d: %w", i+1, err)
		}
		p.Transforms = append(p.Transforms, t)
		b = rest
	}
	if len(b) != 0 {
		return fmt.Errorf("%d octets after the last transform: %w", len(b), ike.ErrLength)
	}
	return nil
}

func (t *Transform) parse(b []byte) error {
	t.Number, t.ID = b[4], b[5]
	for b = b[substructureLen:]; len(b) > 0; {
		if len(t.Attributes) == maxAttributes {
			return fmt.Errorf("more than %d attributes: %w", maxAttributes, ErrMalformed)
		}
		if len(b) < 4 {
			return fmt.Errorf("attribute %d: %w", len(t.Attributes)+1, ike.ErrShort)
		}
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		a := Attribute{Type: kind &^ (1 << 15), Basic: kind>>15 == 1}
		if a.Basic {
			a.Value, b = b[2:4], b[4:]
		} else {
			if n > len(b)-4 {
				return fmt.Errorf("attribute %d of %d octets with %d left: %w", len(t.Attributes)+1, n, len(b)-4, ike.ErrLength)
			}
			a.Value, b = b[4:4+n], b[4+n:]
		}
		t.Attributes = append(t.Attributes, a)
	}
	return nil
}
