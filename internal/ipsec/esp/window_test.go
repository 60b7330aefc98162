package esp

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestWindowAgreesWithASet compares the bitmap with the definition: a number is
// fresh when it was not accepted and is not size or more below the highest.
func TestWindowAgreesWithASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := window{size: uint64(rapid.IntRange(MinWindow, MaxWindow).Draw(t, "size"))}
		base := rapid.SampledFrom([]uint64{0, 1<<32 - 1000, 1 << 40}).Draw(t, "base")
		if base > 0 {
			w.accept(base)
		}
		top, accepted := base, map[uint64]bool{base: true, 0: true}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			var n uint64
			if rapid.Bool().Draw(t, "ahead") {
				n = top + uint64(rapid.IntRange(0, 5000).Draw(t, "by"))
			} else {
				n = top - min(top, uint64(rapid.IntRange(0, 3000).Draw(t, "back")))
			}
			want := !accepted[n] && (n > top || top-n < w.size)
			if got := w.fresh(n); got != want {
				t.Fatalf("number %d, highest %d, size %d: got fresh %v, want %v", n, top, w.size, got, want)
			}
			if want {
				w.accept(n)
				accepted[n] = true
				top = max(top, n)
			}
		}
	})
}

// TestSequenceIsTheClosestOne holds the inference of the high half to its
// purpose: every number from the window's bottom to 1<<32 beyond it comes back
// from its low half.
func TestSequenceIsTheClosestOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := uint64(rapid.IntRange(MinWindow, MaxWindow).Draw(t, "size"))
		edge := rapid.SampledFrom([]uint64{0, 1 << 31, 1 << 32, 5 << 32}).Draw(t, "edge")
		top := edge + rapid.Uint64Range(0, 5000).Draw(t, "after")
		if edge > 0 && rapid.Bool().Draw(t, "before") {
			top = edge - rapid.Uint64Range(0, 5000).Draw(t, "by")
		}
		w := window{size: size, esn: true, top: top}
		bottom := top - min(top, size-1)
		want := bottom + rapid.Uint64Range(0, math.MaxUint32-size).Draw(t, "number")
		if got, ok := w.sequence(uint32(want)); !ok || got != want {
			t.Fatalf("highest %d, size %d: got %d, %v, want %d", top, size, got, ok, want)
		}
	})
}

func TestSequenceBeforeTheFirstPacketIsRefused(t *testing.T) {
	w := window{size: 64, esn: true, top: 5}
	if got, ok := w.sequence(math.MaxUint32); ok {
		t.Errorf("got %d, want it refused", got)
	}
	w.top = math.MaxUint64
	if got, ok := w.sequence(3); ok {
		t.Errorf("after the last: got %d, want it refused", got)
	}
}

func TestWithoutESNTheNumberIsWhatIsWritten(t *testing.T) {
	w := window{size: 64, top: 10}
	if got, ok := w.sequence(math.MaxUint32); !ok || got != math.MaxUint32 {
		t.Errorf("got %d, %v, want %d, true", got, ok, uint64(math.MaxUint32))
	}
	if w.fresh(0) {
		t.Error("number 0: got fresh, want not")
	}
}
