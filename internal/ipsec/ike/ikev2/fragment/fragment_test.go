package fragment

import (
	"bytes"
	"testing"
	"time"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// piece is fragment number of total of message 7, with text inside.
func piece(number, total uint16, text string) Piece {
	p := Piece{Message: 7, Exchange: 35, Number: number, Total: total, Plain: []byte(text)}
	if number == 1 {
		p.First = 36
	}
	return p
}

func TestFragmentsInAnyOrderMakeTheMessage(t *testing.T) {
	for _, order := range [][]uint16{{1, 2, 3}, {3, 2, 1}, {2, 2, 3, 3, 1}, {3, 1, 3, 1, 2}} {
		var b Buffer
		texts := map[uint16]string{1: "one ", 2: "", 3: "three"}
		for i, n := range order {
			first, whole, done := b.Add(begin, piece(n, 3, texts[n]))
			if done != (i == len(order)-1) {
				t.Fatalf("%v: after fragment %d of the order: got done %v", order, i+1, done)
			}
			if done && (first != 36 || string(whole) != "one three") {
				t.Errorf("%v: got first %d, %q, want 36, %q", order, first, whole, "one three")
			}
		}
		if at := b.Deadline(); !at.IsZero() {
			t.Errorf("%v: got a deadline of %v for an empty buffer", order, at)
		}
	}
}

func TestNumbersThatCannotBeAreRefused(t *testing.T) {
	for _, p := range []Piece{piece(0, 3, "x"), piece(4, 3, "x"), piece(1, 0, "x"), piece(1, MaxTotal+1, "x"), piece(0, 0, "x")} {
		var b Buffer
		if b.Wants(p) {
			t.Errorf("got %d of %d wanted", p.Number, p.Total)
		}
		if b.Add(begin, p); len(b.plain) != 0 {
			t.Errorf("got %d of %d kept", p.Number, p.Total)
		}
	}
}

func TestSecondCopyOfAFragmentIsNotTaken(t *testing.T) {
	var b Buffer
	b.Add(begin, piece(1, 2, "first"))
	if b.Wants(piece(1, 2, "other")) {
		t.Error("got the same fragment wanted twice")
	}
	b.Add(begin, piece(1, 2, "other"))
	if _, whole, done := b.Add(begin, piece(2, 2, "!")); !done || string(whole) != "first!" {
		t.Errorf("got %q, %v, want the first copy", whole, done)
	}
}

func TestSmallerFragmentsReplaceLargerOnes(t *testing.T) {
	var b Buffer
	b.Add(begin, piece(1, 2, "aa"))
	b.Add(begin, piece(3, 3, "c"))
	if b.Wants(piece(2, 2, "bb")) {
		t.Error("got a fragment of the larger kind wanted after a smaller one")
	}
	b.Add(begin, piece(1, 3, "a"))
	if _, whole, done := b.Add(begin, piece(2, 3, "b")); !done || string(whole) != "abc" {
		t.Errorf("got %q, %v, want abc of the smaller ones only", whole, done)
	}
}

func TestAnotherMessageReplacesTheOneBefore(t *testing.T) {
	var b Buffer
	b.Add(begin, piece(1, 2, "old"))
	next := piece(1, 2, "new")
	next.Message = 8
	b.Add(begin, next)
	if _, _, done := b.Add(begin, piece(2, 2, "old")); done {
		t.Error("fragments of two messages made one")
	}
	other := piece(2, 2, "x")
	other.Exchange = 37
	b.Reset()
	b.Add(begin, piece(1, 2, "a"))
	if _, _, done := b.Add(begin, other); done {
		t.Error("fragments of two exchanges made one message")
	}
}

func TestLongMessageIsDropped(t *testing.T) {
	var b Buffer
	big := make([]byte, MaxOctets/2+1)
	for n := range uint16(2) {
		p := piece(n+1, 3, "")
		p.Plain = big
		b.Add(begin, p)
	}
	if b.octets != 0 || len(b.plain) != 0 {
		t.Errorf("got %d octets in %d fragments kept, want none above %d", b.octets, len(b.plain), MaxOctets)
	}
}

func TestMessageThatIsNeverWholeIsForgotten(t *testing.T) {
	var b Buffer
	b.Add(begin, piece(1, 2, "a"))
	if got, want := b.Deadline(), begin.Add(MaxAge); got != want {
		t.Errorf("got deadline %v, want %v", got, want)
	}
	b.Expire(begin.Add(MaxAge - 1))
	if !b.Wants(piece(2, 2, "")) || b.Wants(piece(1, 2, "")) {
		t.Error("the message is forgotten before its time")
	}
	b.Expire(begin.Add(MaxAge))
	if !b.Wants(piece(1, 2, "")) || !b.Deadline().IsZero() {
		t.Error("the message is still there after its time")
	}
}

// FuzzBuffer feeds a hostile sequence: whatever comes, a buffer stays within
// its bounds, and a message that is done has one piece of each number.
func FuzzBuffer(f *testing.F) {
	f.Add([]byte{1, 1, 2, 1, 2, 2})
	f.Add([]byte{1, 1, 64, 1, 64, 64, 2, 1, 1})
	f.Add([]byte{1, 1, 3, 1, 1, 4, 1, 2, 3, 1, 3, 3})
	f.Fuzz(func(t *testing.T, in []byte) {
		var b Buffer
		now := begin
		for ; len(in) >= 3; in = in[3:] {
			p := Piece{Message: uint32(in[0] & 3), Exchange: in[0] >> 2 & 1, Number: uint16(in[1]), Total: uint16(in[2]), First: in[0]}
			p.Plain = bytes.Repeat([]byte{in[1]}, 1500)
			now = now.Add(time.Duration(in[0]>>3) * time.Second)
			b.Expire(now)
			_, whole, done := b.Add(now, p)
			if b.octets > MaxOctets || len(b.plain) > MaxTotal {
				t.Fatalf("got %d octets in %d fragments kept", b.octets, len(b.plain))
			}
			if !done {
				continue
			}
			if len(whole) != int(p.Total)*1500 {
				t.Fatalf("got %d octets of %d fragments", len(whole), p.Total)
			}
			for i := range int(p.Total) {
				if whole[i*1500] != byte(i+1) {
					t.Fatalf("got fragment %d in place %d", whole[i*1500], i+1)
				}
			}
		}
	})
}
