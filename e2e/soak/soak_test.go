//go:build e2e

package main

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
	"time"
)

// TestChangedOctetIsSeen proves the gate: one bit, a lost piece and a doubled
// one are found.
func TestChangedOctetIsSeen(t *testing.T) {
	const n = 3 * blockLen
	good := make([]byte, n+8)
	(&noise{7}).fill(good)
	good = good[:n+5] // an end within a word
	flipped := bytes.Clone(good)
	flipped[2*blockLen+17] ^= 4
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"as it was": {good, ""},
		"a bit":     {flipped, "octet 524305 "},
		"lost":      {append(bytes.Clone(good[:1000]), good[2400:]...), "octet 1000 "},
		"doubled":   {append(bytes.Clone(good[:2400]), good[1000:]...), "octet 2400 "},
	} {
		s := &stream{seed: 7}
		err := s.compare(bytes.NewReader(tt.data), sha256.New())
		if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
}

// TestGrowthIsSeen proves the other gates.
func TestGrowthIsSeen(t *testing.T) {
	run := func(change func(i int, s *sample)) error {
		r := &record{}
		for i := range 120 {
			s := sample{at: time.Duration(i) * 5 * time.Second, drops: map[string]uint64{"device": 3}}
			s.ends[0], s.ends[1] = use{resident: 30000 + i%7*100, goroutines: 20 + i%2}, use{resident: 30000, goroutines: 20}
			if change != nil {
				change(i, &s)
			}
			r.samples = append(r.samples, s)
		}
		return r.verdict()
	}
	if err := run(nil); err != nil {
		t.Errorf("flat: got %v, want nothing", err)
	}
	if err := run(func(i int, s *sample) { s.ends[0].resident -= max(0, 10-i) * 2000 }); err != nil {
		t.Errorf("growth while buffers are filled: got %v, want nothing", err)
	}
	for want, change := range map[string]func(i int, s *sample){
		"gateway B: memory grows":      func(i int, s *sample) { s.ends[1].resident += 90 * i },
		"gateway A: goroutines grow":   func(i int, s *sample) { s.ends[0].goroutines += i / 10 },
		"4 packets dropped: malformed": func(_ int, s *sample) { s.drops["malformed"] = 4 },
	} {
		if err := run(change); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestStreamOfDifferentEndsIsRefused(t *testing.T) {
	s := &stream{name: "x", sent: side{octets: 1, sum: []byte{1}}, received: side{octets: 1, sum: []byte{1}}}
	if err := s.verdict(); err != nil {
		t.Errorf("equal ends: got %v, want nothing", err)
	}
	s.received.sum = []byte{2}
	if s.verdict() == nil {
		t.Error("other hashes: got nothing")
	}
	s.received.octets = 0
	if s.verdict() == nil {
		t.Error("other lengths: got nothing")
	}
}
