package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
)

// skfNumbersLen is the fragment number and the total in octets.
const skfNumbersLen = 4

// maxFragments is how many fragments we make of a message at most; a peer that
// bounds what it keeps might refuse more.
const maxFragments = 64

// SKF is the Encrypted Fragment payload (RFC 7383 section 2.5), still sealed.
type SKF struct {
	First         Kind   // of the payloads of the whole message; only in fragment 1
	Number, Total uint16 // Number is 1 to Total
	Sealed        []byte
}

// Kind is KindSKF.
func (*SKF) Kind() Kind { return KindSKF }

func (p *SKF) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, p.Number)
	b = binary.BigEndian.AppendUint16(b, p.Total)
	return append(b, p.Sealed...)
}

func (p *SKF) parse(b []byte) error {
	if len(b) <= skfNumbersLen {
		return fmt.Errorf("fragment of %d octets: %w", len(b), ike.ErrShort)
	}
	p.Number, p.Total = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if p.Number == 0 || p.Number > p.Total {
		return fmt.Errorf("fragment %d of %d: %w", p.Number, p.Total, ErrMalformed)
	}
	p.Sealed = b[skfNumbersLen:]
	return nil
}

// FindSKF is the fragment that m carries, if it is one.
func (m *Message) FindSKF() (*SKF, bool) {
	if len(m.Payloads) == 0 {
		return nil, false
	}
	p, ok := m.Payloads[len(m.Payloads)-1].(*SKF)
	return p, ok
}

// SealFragments is Seal for a message of which no part may have more than room
// octets, IKE header included: it returns one message with an SK payload if
// that fits, else fragments, each sealed on its own. A message that would take
// more than 64 fragments gets larger ones instead.
func SealFragments(h ike.Header, list []Payload, s sealer, room int) ([][]byte, error) {
	first, inner := AppendChain(nil, list)
	if ike.HeaderLen+skHeaderLen+s.SealedLen(len(inner)) <= room {
		whole, err := Seal(h, list, s)
		if err != nil {
			return nil, err
		}
		return [][]byte{whole}, nil
	}
	size := fragmentLen(s, room, len(inner))
	total := (len(inner) + size - 1) / size
	var out [][]byte
	for number := 1; number <= total; number++ {
		part := inner[:min(size, len(inner))]
		inner = inner[len(part):]
		skf := SKF{First: first, Number: uint16(number), Total: uint16(total)}
		b, err := SealFragment(h, skf, part, s)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
		// Fragments but the first name no payload (RFC 7383 section 2.5).
		first = KindNone
	}
	return out, nil
}

// fragmentLen is how many octets of plain go into one fragment.
func fragmentLen(s sealer, room, plain int) int {
	room -= ike.HeaderLen + skHeaderLen + skfNumbersLen
	n := room
	for n > 0 && s.SealedLen(n) > room {
		n--
	}
	return max(n, (plain+maxFragments-1)/maxFragments, 1)
}

// SealFragment builds the message that carries part under header h as the
// fragment skf, whose Sealed is not looked at.
func SealFragment(h ike.Header, skf SKF, part []byte, s sealer) ([]byte, error) {
	n := skHeaderLen + skfNumbersLen + s.SealedLen(len(part))
	if n > 0xffff {
		return nil, fmt.Errorf("seal %s: a fragment of %d octets does not fit a message", ExchangeName(h.Exchange), len(part))
	}
	h.Next = uint8(KindSKF)
	b := h.Append(make([]byte, 0, ike.HeaderLen+n), ike.HeaderLen+n)
	b = append(b, byte(skf.First), 0, byte(n>>8), byte(n))
	return s.SealSK(skf.append(b), part)
}

// OpenFragment returns what is inside m's fragment f. authentic says that the
// seal was right, so that an error is the peer's own.
func OpenFragment(m *Message, f *SKF, o opener) (plain []byte, authentic bool, err error) {
	plain, err = o.OpenSK(m.Octets, len(m.Octets)-len(f.Sealed))
	if err != nil {
		return nil, errors.Is(err, suite.ErrPadding), err
	}
	return plain, true, nil
}

// ParseInner reads the payloads that were sealed, the first of which has type
// first.
func ParseInner(first Kind, plain []byte) ([]Payload, error) {
	list, err := ParseChain(first, plain)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		if p.Kind() == KindSK || p.Kind() == KindSKF {
			return nil, fmt.Errorf("sealed payload inside another: %w", ErrMalformed)
		}
	}
	return list, nil
}
