package wire

import (
	"bytes"
	"fmt"
	"time"
)

// Bounds of one reassembly. Nothing about a fragment is proven, so that there
// is one reassembly for each ISAKMP SA, and it is small and short.
const (
	maxFragments  = 32
	maxReassembly = 32 << 10 // octets
	fragmentTime  = 30 * time.Second
)

// A Reassembly puts the fragments of one message at a time together. The zero
// value is empty. Its owner keeps one for each ISAKMP SA, and gives it
// fragments with that SA's cookies only.
type Reassembly struct {
	id    uint16
	parts [maxFragments][]byte
	got   int
	last  int // number of the last fragment; 0 while it is not known
	size  int // octets in parts
	began time.Time
}

// Add takes a fragment that came at now. It returns the whole message when
// that was the last one missing, and forgets it. A fragment that does not
// belong to those that are there, or that comes 30 s after the first, begins a
// new message. Beyond 32 fragments or 32 KiB everything is forgotten, with an
// error.
func (r *Reassembly) Add(now time.Time, f *Fragment) ([]byte, error) {
	if r.got > 0 && !r.belongs(now, f) {
		*r = Reassembly{}
	}
	if f.Number > maxFragments {
		*r = Reassembly{}
		return nil, fmt.Errorf("fragment %d, at most %d are taken: %w", f.Number, maxFragments, ErrMalformed)
	}
	if r.got == 0 {
		r.id, r.began = f.ID, now
	}
	part := &r.parts[f.Number-1]
	if *part != nil {
		return nil, nil // again
	}
	*part = f.Data
	r.got++
	if f.Last {
		r.last = int(f.Number)
	}
	if r.size += len(f.Data); r.size > maxReassembly {
		*r = Reassembly{}
		return nil, fmt.Errorf("fragments of more than %d octets: %w", maxReassembly, ErrMalformed)
	}
	if r.last == 0 || r.got < r.last {
		return nil, nil
	}
	whole := bytes.Join(r.parts[:r.last], nil)
	*r = Reassembly{}
	return whole, nil
}

// belongs reports whether f can be a part of the message that is being put
// together. Some peers give every message the same id.
func (r *Reassembly) belongs(now time.Time, f *Fragment) bool {
	if f.ID != r.id || now.Sub(r.began) >= fragmentTime || f.Number > maxFragments {
		return false
	}
	if r.last != 0 && (int(f.Number) > r.last || f.Last != (int(f.Number) == r.last)) {
		return false
	}
	if r.last == 0 && f.Last {
		for _, part := range r.parts[f.Number:] {
			if part != nil {
				return false
			}
		}
	}
	part := r.parts[f.Number-1]
	return part == nil || bytes.Equal(part, f.Data)
}
