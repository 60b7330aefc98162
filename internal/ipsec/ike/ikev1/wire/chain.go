package wire

import (
	"fmt"

	"seikan/internal/ipsec/ike"
)

// A Chain is a message's payloads with the octets in which they came.
type Chain struct {
	Payloads []Payload
	Octets   []byte // of all payloads, without padding
	ends     []int  // where each payload ends in Octets
}

// After is the octets of every payload after number i, generic headers
// included: with i = 0 what HASH(1) to HASH(3) cover beside the message id and
// nonces (RFC 2409 sections 5.5 and 5.7).
func (c Chain) After(i int) []byte { return c.Octets[c.ends[i]:] }

// parseChain reads payloads, the first of the given kind, as long as each
// names a successor. What follows is no error here.
func parseChain(first Kind, b []byte) (Chain, error) {
	var c Chain
	at := 0
	for kind := first; kind != KindNone; {
		if len(c.Payloads) == maxPayloads {
			return Chain{}, fmt.Errorf("more than %d payloads: %w", maxPayloads, ErrMalformed)
		}
		g, rest, err := ike.ParseGeneric(b[at:])
		if err != nil {
			return Chain{}, fmt.Errorf("payload %d of type %d: %w", len(c.Payloads)+1, kind, err)
		}
		// RFC 2408 section 5.3 wants that verified; and it finds most of what a
		// wrong key decrypts to.
		if b[at+1] != 0 {
			return Chain{}, fmt.Errorf("payload %d of type %d: reserved octet is not 0: %w", len(c.Payloads)+1, kind, ErrMalformed)
		}
		p := fresh(kind)
		if err := p.parse(g.Body); err != nil {
			return Chain{}, fmt.Errorf("payload %d of type %d: %w", len(c.Payloads)+1, kind, err)
		}
		at = len(b) - len(rest)
		c.Payloads, c.ends = append(c.Payloads, p), append(c.ends, at)
		kind = Kind(g.Next)
	}
	c.Octets = b[:at]
	return c, nil
}

// fresh is an empty payload of the given kind.
func fresh(kind Kind) Payload {
	switch kind {
	case KindSA:
		return &SA{}
	case KindKE:
		return &KE{}
	case KindID:
		return &ID{}
	case KindCert:
		return &Cert{}
	case KindCertReq:
		return &CertReq{}
	case KindHash:
		return &Hash{}
	case KindSig:
		return &Sig{}
	case KindNonce:
		return &Nonce{}
	case KindNotify:
		return &Notify{}
	case KindDelete:
		return &Delete{}
	case KindVendorID:
		return &VendorID{}
	case KindNATD:
		return &NATD{}
	case KindNATOA:
		return &NATOA{}
	case KindFragment:
		return &Fragment{}
	}
	return &Raw{Type: kind}
}

// AppendChain writes payloads to b and returns the kind of the first. The
// octets of a payload depend on itself and its successor only, so that those
// of list[1:] can be hashed before list[0] is known.
func AppendChain(b []byte, list []Payload) (first Kind, out []byte) {
	for i, p := range list {
		next := KindNone
		if i+1 < len(list) {
			next = list[i+1].Kind()
		}
		var at int
		b, at = ike.BeginGeneric(b, uint8(next), false)
		b = ike.EndGeneric(p.append(b), at)
	}
	if len(list) == 0 {
		return KindNone, b
	}
	return list[0].Kind(), b
}

// Body is what p has after its generic header. Hashes of phase 1 cover those
// of SA and ID (RFC 2409 section 5: SAi_b, IDii_b, IDir_b); for an SA or ID
// that was received these are the octets that came.
func Body(p Payload) []byte {
	switch p := p.(type) {
	case *SA:
		if p.octets != nil {
			return p.octets
		}
	case *ID:
		if p.octets != nil {
			return p.octets
		}
	}
	return p.append(nil)
}

// Find is the first payload of type P, as in Find[*KE](list).
func Find[P Payload](list []Payload) (P, bool) {
	for _, p := range list {
		if p, ok := p.(P); ok {
			return p, true
		}
	}
	var none P
	return none, false
}

// Only is the payload of type P in list, if there is exactly one.
func Only[P Payload](list []Payload) (P, bool) {
	p, ok := Find[P](list)
	return p, ok && len(FindAll[P](list)) == 1
}

// FindAll is every payload of type P, in order.
func FindAll[P Payload](list []Payload) []P {
	var out []P
	for _, p := range list {
		if p, ok := p.(P); ok {
			out = append(out, p)
		}
	}
	return out
}
