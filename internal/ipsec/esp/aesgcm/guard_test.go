package aesgcm

import (
	"bytes"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// guarded are octets with pages before and behind them that may not be touched.
type guarded []byte

// newGuarded returns at least n such octets.
func newGuarded(t *testing.T, n int) guarded {
	t.Helper()
	page := os.Getpagesize()
	n = (n + page - 1) / page * page
	all, err := unix.Mmap(-1, 0, n+2*page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(all); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mprotect(all[page:page+n], unix.PROT_READ|unix.PROT_WRITE); err != nil {
		t.Fatal(err)
	}
	return all[page : page+n : page+n]
}

// put copies b to the beginning or the end.
func (g guarded) put(b []byte, atEnd bool) []byte {
	at := g[:len(b):len(b)]
	if atEnd {
		at = g[len(g)-len(b):]
	}
	copy(at, b)
	return at
}

// TestNothingBeyond has everything that is read and written begin or end where
// a page does beyond which a touch is the end of the process.
func TestNothingBeyond(t *testing.T) {
	src, dst, iv, data := newGuarded(t, 1), newGuarded(t, 1), newGuarded(t, 1), newGuarded(t, 1)
	for _, size := range []int{16, 32} {
		ours, standard := pair(t, octets(1, size))
		for n := range 1300 {
			for _, atEnd := range []bool{false, true} {
				nonce, aad := iv.put(octets(2, nonceSize), atEnd), data.put(octets(3, n%41), atEnd)
				want := standard.Seal(nil, nonce, octets(4, n), aad)
				text, sealed := src.put(octets(4, n), atEnd), dst.put(make([]byte, n+tagSize), atEnd)
				if got := ours.Seal(sealed[:0], nonce, text, aad); !bytes.Equal(got, want) {
					t.Fatalf("%d octets: got %x, want %x", n, got, want)
				}
				if got, err := ours.Open(text[:0], nonce, sealed, aad); err != nil || !bytes.Equal(got, octets(4, n)) {
					t.Fatalf("%d octets: got %x, %v", n, got, err)
				}
				if got, err := ours.Open(sealed[:0], nonce, sealed, aad); err != nil || !bytes.Equal(got, octets(4, n)) {
					t.Fatalf("%d octets in place: got %x, %v", n, got, err)
				}
			}
		}
	}
}
