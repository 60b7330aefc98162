package wire

import (
	"errors"
	"fmt"

	"seikan/internal/ipsec/ike"
)

// Version is the version of the protocol that this package reads and writes:
// 1.0 in the header's nibbles (RFC 2408 section 3.1).
const Version = 0x10

// The flags of Header.Flags (RFC 2408 section 3.1).
const (
	FlagEncrypted = 0x01 // what follows the header is ciphertext
	FlagCommit    = 0x02
	FlagAuthOnly  = 0x04
)

// maxPayloads bounds the payloads of one message, so that a datagram cannot
// make us allocate much more than its own size.
const maxPayloads = 64

// maxSlack is how many octets may follow the last payload of a message in the
// clear: what aligns it to four octets (RFC 2408 section 3).
const maxSlack = 3

// Errors of this package. Lengths that are wrong wrap ike.ErrShort or
// ike.ErrLength. In a message whose origin is not proven all of them are
// anybody's fault.
var (
	// ErrMalformed is for what breaks the rules in another way.
	ErrMalformed = errors.New("malformed")
	// ErrVersion is for another major version of the protocol.
	ErrVersion = errors.New("not IKEv1")
	// ErrDOI and ErrSituation are for an SA that is not about IPsec, or that
	// asks for labels (RFC 2408 section 5.4: DOI-NOT-SUPPORTED,
	// SITUATION-NOT-SUPPORTED).
	ErrDOI       = errors.New("not the IPsec domain of interpretation")
	ErrSituation = errors.New("situation is not SIT_IDENTITY_ONLY")
)

// Exchange types (RFC 2408 section 3.1, RFC 2409 section 5 and appendix A).
const (
	MainMode      = 2 // "identity protection"
	Aggressive    = 4
	Informational = 5
	Transaction   = 6 // mode config and XAUTH, which were never more than drafts
	QuickMode     = 32
	NewGroupMode  = 33
)

// ExchangeName is the usual name of an exchange type.
func ExchangeName(x uint8) string {
	switch x {
	case MainMode:
		return "main mode"
	case Aggressive:
		return "aggressive mode"
	case Informational:
		return "informational"
	case Transaction:
		return "transaction"
	case QuickMode:
		return "quick mode"
	case NewGroupMode:
		return "new group mode"
	}
	return fmt.Sprintf("exchange %d", x)
}

// A Kind is a payload type (RFC 2408 section 3.1, RFC 3947 section 6).
type Kind uint8

// The payload types that this package gives meaning to.
const (
	KindNone     Kind = 0
	KindSA       Kind = 1
	KindKE       Kind = 4
	KindID       Kind = 5
	KindCert     Kind = 6
	KindCertReq  Kind = 7
	KindHash     Kind = 8
	KindSig      Kind = 9
	KindNonce    Kind = 10
	KindNotify   Kind = 11
	KindDelete   Kind = 12
	KindVendorID Kind = 13
	KindNATD     Kind = 20
	KindNATOA    Kind = 21
	KindFragment Kind = 132
)

// A Payload is one payload of a message: *SA, *KE, *ID, *Cert, *CertReq,
// *Hash, *Sig, *Nonce, *Notify, *Delete, *VendorID, *NATD, *NATOA, *Fragment
// or *Raw.
type Payload interface {
	Kind() Kind
	append(b []byte) []byte
	parse(b []byte) error
}

// A Message is one IKEv1 message.
type Message struct {
	Header ike.Header // Next is set by Append
	// Chain is the payloads of a message in the clear; empty when Header.Flags
	// has FlagEncrypted.
	Chain Chain
	// Sealed is the ciphertext of an encrypted message; the first payload in
	// it is of type Header.Next. See ParseInner.
	Sealed []byte
	Octets []byte // the whole message as it crossed the wire
}

// Encrypted reports whether the payloads are in Sealed.
func (m *Message) Encrypted() bool { return m.Header.Flags&FlagEncrypted != 0 }

// Parse reads a whole message, without decrypting.
func Parse(b []byte) (*Message, error) {
	h, body, err := ike.ParseHeader(b)
	if err != nil {
		return nil, err
	}
	if h.Major() != 1 {
		return nil, fmt.Errorf("major version %d: %w", h.Major(), ErrVersion)
	}
	m := &Message{Header: h, Octets: b}
	if m.Encrypted() {
		if len(body) == 0 {
			return nil, fmt.Errorf("encrypted message without a body: %w", ike.ErrShort)
		}
		m.Sealed = body
		return m, nil
	}
	m.Chain, err = parseChain(Kind(h.Next), body)
	if err != nil {
		return nil, err
	}
	if slack := len(body) - len(m.Chain.Octets); slack > maxSlack {
		return nil, fmt.Errorf("%d octets after the last payload: %w", slack, ike.ErrLength)
	}
	return m, nil
}

// Append writes a message in the clear to b. It sets Header.Next and the
// length; of Chain only the Payloads are looked at.
func (m *Message) Append(b []byte) []byte {
	first, body := AppendChain(nil, m.Chain.Payloads)
	h := m.Header
	h.Next = uint8(first)
	return append(h.Append(b, ike.HeaderLen+len(body)), body...)
}

// AppendSealed writes an encrypted message to b: h with FlagEncrypted, whose
// first payload inside is of the kind first, and then ciphertext.
func AppendSealed(b []byte, h ike.Header, first Kind, ciphertext []byte) []byte {
	h.Next = uint8(first)
	h.Flags |= FlagEncrypted
	return append(h.Append(b, ike.HeaderLen+len(ciphertext)), ciphertext...)
}

// Pad fills plain up with zeros to a multiple of block octets (RFC 2409
// appendix B). It does not write a length: ParseInner needs none.
func Pad(plain []byte, block int) []byte {
	for len(plain)%block != 0 {
		plain = append(plain, 0)
	}
	return plain
}

// ParseInner reads what was sealed, once it is decrypted. The first payload
// has the kind first, which is the message's Header.Next. Whatever follows the
// last payload is padding, of any value and length. An error is all that a
// wrong key looks like.
func ParseInner(first Kind, plain []byte) (Chain, error) { return parseChain(first, plain) }
