package ike

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderLen is the length of the IKE header in octets.
const HeaderLen = 28

// genericLen is the length of the header before every payload.
const genericLen = 4

// Errors of the decoders in this package. They are the peer's fault, or that
// of whoever sends in its name.
var (
	ErrShort  = errors.New("message is cut short")
	ErrLength = errors.New("length field disagrees with the message")
)

// The flags of Header.Flags (RFC 7296 section 3.1).
const (
	FlagInitiator = 0x08 // the sender began the IKE SA
	FlagResponse  = 0x20
)

// A Header is the IKE header (RFC 7296 section 3.1; RFC 2408 section 3.1 is
// laid out alike). Length is not kept: it is that of the message.
type Header struct {
	SPIi, SPIr uint64
	Next       uint8 // type of the first payload
	Version    uint8 // major in the high four bits, minor in the low four
	Exchange   uint8
	Flags      uint8
	MessageID  uint32
}

// Major is the protocol's major version, 1 or 2 of those that exist.
func (h Header) Major() int { return int(h.Version >> 4) }

// Append writes h, with the length that the whole message will have, to b.
func (h Header) Append(b []byte, length int) []byte {
	b = binary.BigEndian.AppendUint64(b, h.SPIi)
	b = binary.BigEndian.AppendUint64(b, h.SPIr)
	b = append(b, h.Next, h.Version, h.Exchange, h.Flags)
	b = binary.BigEndian.AppendUint32(b, h.MessageID)
	return binary.BigEndian.AppendUint32(b, uint32(length))
}

// ParseHeader reads the header of the message b, which must be as long as the
// header says. It returns what follows the header, within b.
func ParseHeader(b []byte) (h Header, body []byte, err error) {
	if len(b) < HeaderLen {
		return Header{}, nil, fmt.Errorf("header of %d octets: %w", len(b), ErrShort)
	}
	h = Header{
		SPIi:      binary.BigEndian.Uint64(b),
		SPIr:      binary.BigEndian.Uint64(b[8:]),
		Next:      b[16],
		Version:   b[17],
		Exchange:  b[18],
		Flags:     b[19],
		MessageID: binary.BigEndian.Uint32(b[20:]),
	}
	if n := binary.BigEndian.Uint32(b[24:]); uint64(n) != uint64(len(b)) {
		return Header{}, nil, fmt.Errorf("header says %d octets, message has %d: %w", n, len(b), ErrLength)
	}
	return h, b[HeaderLen:], nil
}

// A Generic is a payload's generic header and its body (RFC 7296 section 3.2).
type Generic struct {
	Next     uint8 // type of the payload that follows; 0 means none
	Critical bool
	Body     []byte // aliases the message
}

// ParseGeneric takes the first payload off b.
func ParseGeneric(b []byte) (p Generic, rest []byte, err error) {
	if len(b) < genericLen {
		return Generic{}, nil, fmt.Errorf("payload header: %w", ErrShort)
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < genericLen || n > len(b) {
		return Generic{}, nil, fmt.Errorf("payload of %d octets with %d left: %w", n, len(b), ErrLength)
	}
	return Generic{Next: b[0], Critical: b[1]&0x80 != 0, Body: b[genericLen:n]}, b[n:], nil
}

// BeginGeneric writes a payload's generic header to b, with the length still
// open, and returns where it begins; EndGeneric fills the length in.
func BeginGeneric(b []byte, next uint8, critical bool) (out []byte, at int) {
	flags := byte(0)
	if critical {
		flags = 0x80
	}
	return append(b, next, flags, 0, 0), len(b)
}

// EndGeneric closes the payload that began at at: it ends where b ends. A
// payload above 65535 octets is a bug of the caller.
func EndGeneric(b []byte, at int) []byte {
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	return b
}
