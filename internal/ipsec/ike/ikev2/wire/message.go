// Package wire is the codec of IKEv2 messages and payloads (RFC 7296 section
// 3): one payload a file, each with an append and a parse.
//
// Parsing is strict about lengths, bounded in counts, and aliases the message;
// it never decrypts and knows no state. What it does not know it keeps as a
// Raw payload. Package ikev2 is its only caller.
package wire

import (
	"errors"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// Version is the only version of the protocol that this package reads: 2.0 in
// the header's nibbles. A higher minor number is read alike (RFC 7296 section
// 2.5).
const Version = 0x20

// maxPayloads bounds the payloads of one message, so that a datagram cannot
// make us allocate much more than its own size.
const maxPayloads = 64

// ErrMalformed is what every parse error wraps, except those about lengths,
// which wrap ike.ErrShort or ike.ErrLength. The peer is told INVALID_SYNTAX
// where the message was authentic.
var ErrMalformed = errors.New("malformed")

// ErrVersion is the error for another major version of the protocol.
var ErrVersion = errors.New("not IKEv2")

// Exchange types (RFC 7296 section 3.1).
const (
	IKESAInit     = 34
	IKEAuth       = 35
	CreateChildSA = 36
	Informational = 37

	IKESessionResume = 38 // RFC 5723
	IKEIntermediate  = 43 // RFC 9242
	IKEFollowupKE    = 44 // RFC 9370
)

// exchangeNames are the RFCs' names.
var exchangeNames = map[uint8]string{
	IKESAInit: "IKE_SA_INIT", IKEAuth: "IKE_AUTH", CreateChildSA: "CREATE_CHILD_SA", Informational: "INFORMATIONAL",
	IKESessionResume: "IKE_SESSION_RESUME", IKEIntermediate: "IKE_INTERMEDIATE", IKEFollowupKE: "IKE_FOLLOWUP_KE",
}

// ExchangeName is the RFC's name of an exchange type.
func ExchangeName(x uint8) string {
	if name, ok := exchangeNames[x]; ok {
		return name
	}
	return fmt.Sprintf("exchange %d", x)
}

// A Kind is a payload type (RFC 7296 section 3.2).
type Kind uint8

// The payload types that this package gives meaning to.
const (
	KindNone     Kind = 0
	KindSA       Kind = 33
	KindKE       Kind = 34
	KindIDi      Kind = 35
	KindIDr      Kind = 36
	KindCert     Kind = 37
	KindCertReq  Kind = 38
	KindAuth     Kind = 39
	KindNonce    Kind = 40
	KindNotify   Kind = 41
	KindDelete   Kind = 42
	KindVendorID Kind = 43
	KindTSi      Kind = 44
	KindTSr      Kind = 45
	KindSK       Kind = 46
	KindSKF      Kind = 53
)

// Known reports whether RFC 7296 defines k, so that its critical bit has no
// meaning (section 2.5): CP and EAP are among them, though they are kept Raw.
func (k Kind) Known() bool { return k >= KindSA && k <= 48 }

// A Payload is one payload of a message: *SA, *KE, *ID, *Cert, *CertReq, *Auth, *Nonce,
// *Notify, *Delete, *VendorID, *TS, *SK, *SKF or *Raw.
type Payload interface {
	Kind() Kind
	append(b []byte) []byte
	parse(b []byte) error
}

// A Message is one IKE message. Octets holds it exactly as it crossed the
// wire: AUTH covers octets (RFC 7296 section 2.15), never a re-encoding.
type Message struct {
	Header   ike.Header // Next is set by Append
	Payloads []Payload
	Octets   []byte
}

// Parse reads a whole message. If it has an SK or SKF payload, which must be
// the last, that stays sealed; see Open and OpenFragment.
func Parse(b []byte) (*Message, error) {
	h, body, err := ike.ParseHeader(b)
	if err != nil {
		return nil, err
	}
	if h.Major() != 2 {
		return nil, fmt.Errorf("major version %d: %w", h.Major(), ErrVersion)
	}
	m := &Message{Header: h, Octets: b}
	m.Payloads, err = ParseChain(Kind(h.Next), body)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// ParseChain reads the payloads in b, the first of which has the given kind.
// They must fill b.
func ParseChain(first Kind, b []byte) ([]Payload, error) {
	var list []Payload
	for kind := first; kind != KindNone; {
		if len(list) == maxPayloads {
			return nil, fmt.Errorf("more than %d payloads: %w", maxPayloads, ErrMalformed)
		}
		g, rest, err := ike.ParseGeneric(b)
		if err != nil {
			return nil, err
		}
		p := fresh(kind, g)
		if err := p.parse(g.Body); err != nil {
			return nil, fmt.Errorf("payload %d of type %d: %w", len(list)+1, kind, err)
		}
		list = append(list, p)
		b, kind = rest, Kind(g.Next)
		if p.Kind() == KindSK || p.Kind() == KindSKF {
			break // its Next belongs to what is inside
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%d octets after the last payload: %w", len(b), ike.ErrLength)
	}
	return list, nil
}

// fresh is an empty payload of the given kind.
func fresh(kind Kind, g ike.Generic) Payload {
	switch kind {
	case KindSA:
		return &SA{}
	case KindKE:
		return &KE{}
	case KindIDi, KindIDr:
		return &ID{Responder: kind == KindIDr}
	case KindCert:
		return &Cert{}
	case KindCertReq:
		return &CertReq{}
	case KindAuth:
		return &Auth{}
	case KindNonce:
		return &Nonce{}
	case KindNotify:
		return &Notify{}
	case KindDelete:
		return &Delete{}
	case KindVendorID:
		return &VendorID{}
	case KindTSi, KindTSr:
		return &TS{Responder: kind == KindTSr}
	case KindSK:
		return &SK{First: Kind(g.Next)}
	case KindSKF:
		return &SKF{First: Kind(g.Next)}
	default:
		return &Raw{Type: kind, Critical: g.Critical}
	}
}

// Append writes the message to b. It sets Header.Next and the length; Octets
// is not looked at.
func (m *Message) Append(b []byte) []byte {
	first, body := AppendChain(nil, m.Payloads)
	h := m.Header
	h.Next = uint8(first)
	return append(h.Append(b, ike.HeaderLen+len(body)), body...)
}

// AppendChain writes payloads to b and returns the kind of the first.
func AppendChain(b []byte, list []Payload) (first Kind, out []byte) {
	for i, p := range list {
		next, critical := KindNone, false
		if i+1 < len(list) {
			next = list[i+1].Kind()
		}
		switch p := p.(type) {
		case *SK:
			next = p.First
		case *SKF:
			next = p.First
		case *Raw:
			critical = p.Critical
		}
		var at int
		b, at = ike.BeginGeneric(b, uint8(next), critical)
		b = ike.EndGeneric(p.append(b), at)
	}
	if len(list) == 0 {
		return KindNone, b
	}
	return list[0].Kind(), b
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
