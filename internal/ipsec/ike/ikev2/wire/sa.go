package wire

import (
	"encoding/binary"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// A TransformType says what a transform is for (RFC 7296 section 3.3.2).
type TransformType uint8

// The transform types.
const (
	TypeEncr  TransformType = 1
	TypePRF   TransformType = 2
	TypeInteg TransformType = 3
	TypeDH    TransformType = 4
	TypeESN   TransformType = 5

	TypeAddKE1 TransformType = 6 // RFC 9370 section 3
	TypeAddKE2 TransformType = 7
	TypeAddKE3 TransformType = 8
	TypeAddKE4 TransformType = 9
	TypeAddKE5 TransformType = 10
	TypeAddKE6 TransformType = 11
	TypeAddKE7 TransformType = 12
)

// maxProposals bounds an SA payload. A full AWS list is 8 proposals of 16
// transforms; the count of transforms is bounded by its single octet.
const maxProposals = 64

// maxTransforms bounds the transforms of all proposals of an SA payload
// together. Before anything is authentic each costs a comparison with every
// suite that we allow.
const maxTransforms = 512

// attrKeyLength is the only transform attribute that exists (section 3.3.5).
const attrKeyLength = 14

// SA is the Security Association payload (RFC 7296 section 3.3).
type SA struct{ Proposals []Proposal }

// A Proposal is one set of alternatives.
type Proposal struct {
	Number     uint8
	Protocol   uint8  // ProtoIKE or ProtoESP
	SPI        []byte // 8 octets for ProtoIKE, 4 for ProtoESP; empty in IKE_SA_INIT
	Transforms []Transform
}

// A Transform is one algorithm. KeyBits is its key length, 0 without one.
// Strange says that it has an attribute that nobody knows, so that it must not
// be chosen (section 3.3.6).
type Transform struct {
	Type    TransformType
	ID      uint16
	KeyBits uint16
	Strange bool
}

// Kind is KindSA.
func (*SA) Kind() Kind { return KindSA }

func (p *SA) append(b []byte) []byte {
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

// more is the octet that begins a substructure: mark when another follows.
func more(follows bool, mark byte) byte {
	if follows {
		return mark
	}
	return 0
}

func (t Transform) append(b []byte, follows bool) []byte {
	at := len(b)
	b = append(b, more(follows, 3), 0, 0, 0, byte(t.Type), 0)
	b = binary.BigEndian.AppendUint16(b, t.ID)
	if t.KeyBits != 0 {
		b = binary.BigEndian.AppendUint16(b, 1<<15|attrKeyLength)
		b = binary.BigEndian.AppendUint16(b, t.KeyBits)
	}
	if t.Strange {
		// What it was is not kept; a reserved attribute keeps it strange.
		b = append(b, 0x80, 0, 0, 0)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	return b
}

func (p *SA) parse(b []byte) error {
	transforms := 0
	for {
		if len(p.Proposals) == maxProposals {
			return fmt.Errorf("more than %d proposals: %w", maxProposals, ErrMalformed)
		}
		sub, last, rest, err := substructure(b, 8, 2)
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

// substructure takes one proposal or transform off b: at least low octets; its
// first is mark if another follows, else 0.
func substructure(b []byte, low int, mark byte) (sub []byte, last bool, rest []byte, err error) {
	if len(b) < low {
		return nil, false, nil, ike.ErrShort
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < low || n > len(b) {
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
	b = b[8:]
	if size > len(b) {
		return fmt.Errorf("SPI of %d octets with %d left: %w", size, len(b), ike.ErrLength)
	}
	p.SPI, b = b[:size], b[size:]
	for i := range n {
		sub, last, rest, err := substructure(b, 8, 3)
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
	t.Type, t.ID = TransformType(b[4]), binary.BigEndian.Uint16(b[6:])
	for b = b[8:]; len(b) > 0; {
		if len(b) < 4 {
			return fmt.Errorf("attribute: %w", ike.ErrShort)
		}
		kind, value := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		b = b[4:]
		switch {
		case kind == 1<<15|attrKeyLength && value != 0 && t.KeyBits == 0:
			t.KeyBits = value
		case kind>>15 == 1:
			t.Strange = true
		case int(value) > len(b): // type, length, value
			return fmt.Errorf("attribute of %d octets with %d left: %w", value, len(b), ike.ErrLength)
		default:
			t.Strange, b = true, b[value:]
		}
	}
	return nil
}
