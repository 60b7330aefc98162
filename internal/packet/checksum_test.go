package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// plainSum is Sum as RFC 1071 section 4.1 has it: a word at a time.
func plainSum(b []byte, acc uint64) uint64 {
	var sum uint64
	for len(b) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) > 0 {
		sum += uint64(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return acc + sum
}

func checkSum(t *testing.T, b []byte, acc uint64) {
	t.Helper()
	if got, want := Sum(b, acc), plainSum(b, acc); got != want {
		t.Fatalf("%d octets, %x to begin with: got %x, want %x", len(b), acc, got, want)
	}
	const guard = 0xa5
	room := bytes.Repeat([]byte{guard}, len(b)+1)
	if got, want := CopySum(room, b, acc), plainSum(b, acc); got != want {
		t.Fatalf("%d octets copied, %x to begin with: got %x, want %x", len(b), acc, got, want)
	}
	if !bytes.Equal(room[:len(b)], b) || room[len(b)] != guard {
		t.Fatalf("%d octets are not copied as they are", len(b))
	}
}

// TestSumOfEveryLength sums octets of all sorts, at every place in a cache line.
func TestSumOfEveryLength(t *testing.T) {
	random := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{}).Read(random)
	ones := bytes.Repeat([]byte{0xff}, len(random))
	zeros := make([]byte, len(random))
	single := make([]byte, 2000)
	for n := range len(single) {
		for _, b := range [][]byte{random, ones, zeros} {
			checkSum(t, b[n%67:n%67+n], uint64(n))
			checkSum(t, b[:n], 0)
		}
		single[n] = 0xfe
		checkSum(t, single, 0)
		single[n] = 0
	}
	for _, n := range []int{65535, 65536, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<20 + 191, 1<<20 + 193, 2<<20 + 33, 3 << 20} {
		for _, b := range [][]byte{random, ones, zeros} {
			checkSum(t, b[len(b)-n:], 1<<40)
		}
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{1, 2, 3}, uint32(0))
	f.Add(bytes.Repeat([]byte{0xff}, 1400), uint32(0xffff))
	f.Fuzz(func(t *testing.T, b []byte, acc uint32) {
		checkSum(t, b, uint64(acc))
		checkSum(t, bytes.Repeat(b, 50), uint64(acc))
	})
}

func BenchmarkCopySum(b *testing.B) {
	for _, n := range []int{64, 1400} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			from, to := make([]byte, n), make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				CopySum(to, from, 0)
			}
		})
	}
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{64, 160, 256, 576, 1400, 8192, 65536} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			buf := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				Sum(buf, 0)
			}
		})
	}
}
