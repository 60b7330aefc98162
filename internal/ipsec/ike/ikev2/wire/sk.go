package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

// skHeaderLen is the generic header of the SK payload.
const skHeaderLen = 4

// SK is the Encrypted and Authenticated payload (RFC 7296 section 3.14), still
// sealed: IV, ciphertext and ICV.
type SK struct {
	First  Kind // of the payloads inside
	Sealed []byte
}

// Kind is KindSK.
func (*SK) Kind() Kind { return KindSK }

func (p *SK) append(b []byte) []byte { return append(b, p.Sealed...) }

func (p *SK) parse(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("empty SK: %w", ike.ErrShort)
	}
	p.Sealed = b
	return nil
}

// A sealer turns what stands before the sealed octets, and the inner payloads,
// into the whole message.
type sealer interface {
	SealedLen(plain int) int
	SealSK(msg, plaintext []byte) ([]byte, error)
}

// Seal builds the message that carries list under header h in an SK payload.
func Seal(h ike.Header, list []Payload, s sealer) ([]byte, error) {
	first, inner := AppendChain(nil, list)
	sealed := s.SealedLen(len(inner))
	if sealed > 0xffff-skHeaderLen {
		return nil, fmt.Errorf("seal %s: %d octets of payloads do not fit a message", ExchangeName(h.Exchange), len(inner))
	}
	h.Next = uint8(KindSK)
	b := h.Append(make([]byte, 0, ike.HeaderLen+skHeaderLen+sealed), ike.HeaderLen+skHeaderLen+sealed)
	n := skHeaderLen + sealed
	b = append(b, byte(first), 0, byte(n>>8), byte(n))
	return s.SealSK(b, inner)
}

// Covered is what AUTH covers of a message with an SK payload that has h for
// its header and plain inside: all before the IV, with lengths as if nothing
// were added by sealing, and plain (RFC 9242 section 3.3.2). first is the type
// of the first payload inside.
func Covered(h ike.Header, first Kind, plain []byte) []byte {
	h.Next = uint8(KindSK)
	b := h.Append(make([]byte, 0, ike.HeaderLen+skHeaderLen+len(plain)), ike.HeaderLen+skHeaderLen+len(plain))
	n := skHeaderLen + len(plain)
	b = append(b, byte(first), 0, byte(n>>8), byte(n))
	return append(b, plain...)
}

// CoveredAs is Covered of a message as it came, unfragmented, payloads before
// the SK payload included. o opens it, as it has done before.
func CoveredAs(m *Message, o opener) ([]byte, error) {
	sk, ok := Find[*SK](m.Payloads)
	if !ok {
		return nil, fmt.Errorf("no SK payload: %w", ErrMalformed)
	}
	at := len(m.Octets) - len(sk.Sealed)
	plain, err := o.OpenSK(m.Octets, at)
	if err != nil {
		return nil, err
	}
	b := append(make([]byte, 0, at+len(plain)), m.Octets[:at]...)
	b = append(b, plain...)
	binary.BigEndian.PutUint32(b[ike.HeaderLen-4:], uint32(len(b)))
	binary.BigEndian.PutUint16(b[at-2:], uint16(skHeaderLen+len(plain)))
	return b, nil
}

// An opener undoes a sealer; bodyOffset is where the IV begins.
type opener interface {
	OpenSK(msg []byte, bodyOffset int) ([]byte, error)
}

// Open returns the payloads inside m's SK payload. authentic says that the
// seal was right, so that an error is the peer's own: before that it may be
// anybody's.
func Open(m *Message, o opener) (list []Payload, authentic bool, err error) {
	if len(m.Payloads) == 0 {
		return nil, false, fmt.Errorf("no SK payload: %w", ErrMalformed)
	}
	sk, ok := m.Payloads[len(m.Payloads)-1].(*SK)
	if !ok {
		return nil, false, fmt.Errorf("no SK payload: %w", ErrMalformed)
	}
	plain, err := o.OpenSK(m.Octets, len(m.Octets)-len(sk.Sealed))
	if err != nil {
		return nil, errors.Is(err, suite.ErrPadding), err
	}
	list, err = ParseInner(sk.First, plain)
	return list, true, err
}
