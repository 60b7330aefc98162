package esp

import "errors"

// What SealBatch reports.
var (
	// ErrExhausted says that every sequence number has been used (RFC 4303
	// section 3.3.3). The SA seals nothing more; it must be rekeyed.
	ErrExhausted = errors.New("esp: seal: sequence numbers are exhausted; rekey the SA")
	// ErrRoom says that the room for a packet is not what it needs sealed.
	ErrRoom = errors.New("esp: seal: the room is not of SealedLen octets")
	// ErrNotIP says that the packet to seal is neither IPv4 nor IPv6.
	ErrNotIP = errors.New("esp: seal: packet is neither IPv4 nor IPv6")
)

// What Open reports. All of them mean: drop the packet; none is our bug.
var (
	// ErrMalformed says that the length cannot be that of a packet of the SA,
	// or that the SPI is another's.
	ErrMalformed = errors.New("esp: open: malformed packet")
	// ErrReplay says that the sequence number was seen or is left of the window.
	ErrReplay = errors.New("esp: open: sequence number seen before or too old")
	// ErrAuth says that the ICV is wrong.
	ErrAuth = errors.New("esp: open: integrity check value is wrong")
	// ErrPadding says that authentic content has padding other than 1, 2, 3, ….
	ErrPadding = errors.New("esp: open: padding is wrong")
	// ErrNextHeader says that the next header is not 4, 41 or 59, or that what
	// follows is not a packet of that version.
	ErrNextHeader = errors.New("esp: open: content is not what its next header says")
	// ErrDummy says that the packet was a dummy (RFC 4303 section 2.6): it is
	// authentic and it moved the window, but there is nothing inside.
	ErrDummy = errors.New("esp: open: dummy packet")
)
