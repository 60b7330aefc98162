// Package fragment puts the fragments of one IKE message together again (RFC
// 7383 section 2.6).
//
// A Buffer holds one message at a time, bounded in fragments and octets, and
// gives it up after a while. It opens and parses nothing, does no I/O and reads
// no clock. Its only caller, package ikev2, hands it fragments that are
// authentic, of the one message that it waits for.
package fragment

import (
	"bytes"
	"time"
)

const (
	// MaxTotal is how many fragments a message may have.
	MaxTotal = 64
	// MaxOctets is how long the payloads of a message may be together; no
	// message could be longer unfragmented.
	MaxOctets = 65535
	// MaxAge is how long a message may take from its first fragment to its
	// last. Whoever sends it repeats all of it meanwhile.
	MaxAge = 30 * time.Second
)

// A Piece is one fragment.
type Piece struct {
	Message       uint32 // its message id
	Exchange      uint8
	Number, Total uint16 // Number counts from 1
	First         uint8  // type of the first payload; it counts in fragment 1 only
	Plain         []byte // the Buffer's to keep
}

// A Buffer is a message of which some fragments are here. The zero value is
// empty and ready for use.
type Buffer struct {
	message  uint32
	exchange uint8
	first    uint8
	plain    [][]byte // by Number-1; nil is missing
	missing  int
	octets   int
	until    time.Time
}

// Wants reports whether Add would make use of p, whose Plain is not looked at:
// whoever asks first need not decrypt what would be dropped.
func (b *Buffer) Wants(p Piece) bool {
	if p.Number == 0 || p.Number > p.Total || p.Total > MaxTotal {
		return false
	}
	if len(b.plain) == 0 || b.message != p.Message {
		return true
	}
	// Who makes smaller fragments, and so more of them, has found that the
	// larger ones do not pass; what is left of those is of no use (RFC 7383
	// section 2.5.2).
	if b.exchange != p.Exchange || int(p.Total) < len(b.plain) {
		return false
	}
	return int(p.Total) > len(b.plain) || b.plain[p.Number-1] == nil
}

// Add takes an authentic fragment. When that was the last that was missing,
// done is true, whole is the message's payloads, the first of which has type
// first, and the Buffer is empty again.
func (b *Buffer) Add(now time.Time, p Piece) (first uint8, whole []byte, done bool) {
	if !b.Wants(p) {
		return 0, nil, false
	}
	if b.message != p.Message || len(b.plain) != int(p.Total) {
		*b = Buffer{
			message: p.Message, exchange: p.Exchange, plain: make([][]byte, p.Total), missing: int(p.Total),
			until: now.Add(MaxAge),
		}
	}
	if b.octets += len(p.Plain); b.octets > MaxOctets {
		b.Reset()
		return 0, nil, false
	}
	if p.Number == 1 {
		b.first = p.First
	}
	b.plain[p.Number-1] = append([]byte{}, p.Plain...) // never nil
	if b.missing--; b.missing > 0 {
		return 0, nil, false
	}
	first, whole = b.first, bytes.Join(b.plain, nil)
	b.Reset()
	return first, whole, true
}

// Deadline is when to call Expire; the zero time means never.
func (b *Buffer) Deadline() time.Time { return b.until }

// Expire forgets a message that has taken too long.
func (b *Buffer) Expire(now time.Time) {
	if !b.until.IsZero() && !now.Before(b.until) {
		b.Reset()
	}
}

// Reset forgets everything.
func (b *Buffer) Reset() { *b = Buffer{} }
