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
// purpose: each of the 1<<32 numbers from the window's bottom on comes back
// from its low half; those below zero are refused.
func TestSequenceIsTheClosestOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := uint64(rapid.IntRange(MinWindow, MaxWindow).Draw(t, "size"))
		near := func(v uint64) *rapid.Generator[uint64] {
			return rapid.OneOf(rapid.Uint64Range(v, v+2), rapid.Uint64Range(v, v+5000))
		}
		high := rapid.SampledFrom([]uint64{0, 1 << 32, 5 << 32}).Draw(t, "high")
		top := high + rapid.OneOf(near(0), near(size-2), near(1<<31), near(1<<32-5001)).Draw(t, "low")
		w := window{size: size, esn: true, top: top}
		ahead := rapid.OneOf(near(0), near(size-2), near(1<<31), rapid.Uint64Range(math.MaxUint32-5, math.MaxUint32)).Draw(t, "ahead")
		want := int64(top) - int64(size) + 1 + int64(ahead)
		got, ok := w.sequence(uint32(want))
		if ok != (want >= 0) || ok && got != uint64(want) {
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

func TestRingIsEmptiedBeforeItIsUsedAgain(t *testing.T) {
	w := window{size: MaxWindow}
	for n := uint64(1); n <= windowBits; n++ {
		w.accept(n)
	}
	for n := uint64(windowBits + 2); n <= 3*windowBits; n += 2 { // every other is lost
		w.accept(n)
		if !w.fresh(n - 1) {
			t.Fatalf("number %d: got seen, want fresh", n-1)
		}
	}
}

func TestFarJumpIsCheap(t *testing.T) {
	w := window{size: MinWindow, esn: true}
	w.accept(1)
	w.accept(1 << 62) // would take an age if every word between were visited
	if w.fresh(1) || !w.fresh(1<<62-63) {
		t.Errorf("got 1 fresh %v, 63 below the highest fresh %v, want false, true", w.fresh(1), w.fresh(1<<62-63))
	}
}
