package wire

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
)

// parts cuts a message of n octets as Split does and reads it again.
func parts(t *testing.T, n, size int) (whole []byte, list []*Fragment) {
	t.Helper()
	for i := range n {
		whole = append(whole, byte(i), byte(i>>8))
	}
	whole = whole[:n]
	h := ike.Header{SPIi: 1, SPIr: 2, Version: Version, Exchange: QuickMode, MessageID: 9, Flags: FlagEncrypted}
	messages, err := Split(h, 7, whole, size)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range messages {
		m, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := Find[*Fragment](m.Chain.Payloads)
		if !ok || len(b) > size || m.Header.SPIi != 1 || m.Header.SPIr != 2 {
			t.Fatalf("got %+v of %d octets, want a fragment of at most %d", m, len(b), size)
		}
		list = append(list, f)
	}
	return whole, list
}

func TestFragmentsComeTogetherInAnyOrder(t *testing.T) {
	whole, list := parts(t, 1000, 300)
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 2, 0, 3, 1}} {
		var r Reassembly
		for i, n := range order {
			got, err := r.Add(time.Time{}, list[n])
			if err != nil {
				t.Fatal(err)
			}
			if last := i == len(order)-1; last != bytes.Equal(got, whole) || !last && got != nil {
				t.Errorf("order %v, fragment %d: got %d octets", order, n, len(got))
			}
		}
		if r.got != 0 {
			t.Errorf("order %v: got %d parts left, want none", order, r.got)
		}
	}
}

func TestAFragmentThatDoesNotBelongBeginsAnew(t *testing.T) {
	_, list := parts(t, 1000, 300)
	at := time.Unix(1000, 0)
	change := func(f Fragment, how func(*Fragment)) *Fragment {
		how(&f)
		return &f
	}
	for _, c := range []struct {
		name string
		have []*Fragment
		next *Fragment
		when time.Time
		want int // parts after it
	}{
		{"another id", list[:2], change(*list[2], func(f *Fragment) { f.ID = 8 }), at, 1},
		{"too late", list[:2], list[2], at.Add(fragmentTime), 1},
		{"in time", list[:2], list[2], at.Add(fragmentTime - 1), 3},
		{"other octets", list[:2], change(*list[0], func(f *Fragment) { f.Data = []byte{1} }), at, 1},
		{"beyond the last", list[2:], change(*list[3], func(f *Fragment) { f.Number, f.Last = 5, false }), at, 1},
		{"another last", list[2:], change(*list[0], func(f *Fragment) { f.Last = true }), at, 0},
		{"a last before others", list[2:3], change(*list[1], func(f *Fragment) { f.Last = true }), at, 1},
	} {
		var r Reassembly
		for _, f := range c.have {
			if whole, err := r.Add(at, f); whole != nil || err != nil {
				t.Fatalf("%s: got %x, %v, want nothing yet", c.name, whole, err)
			}
		}
		if _, err := r.Add(c.when, c.next); err != nil || r.got != c.want {
			t.Errorf("%s: got %d parts, %v, want %d", c.name, r.got, err, c.want)
		}
	}
}

func TestReassemblyIsBounded(t *testing.T) {
	var r Reassembly
	if _, err := r.Add(time.Time{}, &Fragment{Number: maxFragments + 1, Data: []byte{1}}); !errors.Is(err, ErrMalformed) || r.got != 0 {
		t.Errorf("number: got %d parts, %v, want %v", r.got, err, ErrMalformed)
	}
	most := make([]byte, maxReassembly/2+1)
	if _, err := r.Add(time.Time{}, &Fragment{Number: 1, Data: most}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Add(time.Time{}, &Fragment{Number: 2, Data: most}); !errors.Is(err, ErrMalformed) || r.got != 0 {
		t.Errorf("size: got %d parts, %v, want %v", r.got, err, ErrMalformed)
	}
	if out, err := Split(ike.Header{}, 1, make([]byte, 1000), fragmentOverhead+31); err == nil {
		t.Errorf("got %d fragments, want an error above %d", len(out), maxFragments)
	}
	if out, err := Split(ike.Header{}, 1, make([]byte, 1000), fragmentOverhead); err == nil {
		t.Errorf("got %d fragments without room, want an error", len(out))
	}
}

// FuzzReassembly feeds fragments as two octets of number and flags and a
// length each; no peer may make it keep more than its bounds.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{1, 0, 9, 2, 1, 9})
	f.Add([]byte{2, 1, 255, 1, 0, 255, 1, 0, 255})
	f.Add([]byte{32, 3, 255, 31, 2, 0, 33, 1, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		var r Reassembly
		for ; len(in) >= 3; in = in[3:] {
			fragment := &Fragment{ID: uint16(in[1] >> 1), Number: max(1, in[0]), Last: in[1]&1 != 0, Data: make([]byte, 16*(int(in[2])+1))}
			whole, err := r.Add(time.Time{}, fragment)
			if err != nil && whole != nil {
				t.Fatalf("got %d octets and %v", len(whole), err)
			}
			size, got := 0, 0
			for _, part := range r.parts {
				size += len(part)
				if part != nil {
					got++
				}
			}
			if size != r.size || got != r.got || size > maxReassembly || len(whole) > maxReassembly {
				t.Fatalf("got %d octets in %d parts, counted %d in %d; returned %d", size, got, r.size, r.got, len(whole))
			}
		}
	})
}
