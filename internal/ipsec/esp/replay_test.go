package esp

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"pgregory.net/rapid"

	"seikan/internal/ipsec/ike/suite"
)

// replaySuites are a suite of each way of opening, with and without ESN.
var replaySuites = []suite.ESP{
	{Encr: suite.AESGCM16, KeyBits: 128},
	{Encr: suite.AESGCM16, KeyBits: 128, ESN: true},
	{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256},
	{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256, ESN: true},
	{Encr: suite.AESCBC, KeyBits: 256, Integ: suite.IntegSHA1, ESN: true},
}

// numberedPackets seals n packets whose numbers follow last; each holds its own.
func numberedPackets(t testing.TB, out *Outbound, last uint64, n int) (inner, sealed [][]byte) {
	t.Helper()
	out.last.Store(last)
	for i := range n {
		p := inner4(48)
		binary.BigEndian.PutUint64(p[40:], last+1+uint64(i))
		inner = append(inner, p)
	}
	return inner, sealedBatch(t, out, inner)
}

// openCopies opens copies of packets as one batch and returns which were opened.
func openCopies(in *Inbound, pkts [][]byte) (opened [][]byte) {
	batch, errs := make([][]byte, len(pkts)), make([]error, len(pkts))
	for i, p := range pkts {
		batch[i] = bytes.Clone(p)
	}
	in.OpenBatch(batch, errs)
	for i := range batch {
		if (errs[i] == nil) != (batch[i] != nil) {
			return nil
		}
	}
	return batch
}

// TestBatchesAgreeWithASet opens packets in any order, repeated within a batch
// and after it, forged ones between, and holds what passes to the definition: a
// packet passes when its number was not accepted before and is not size or more
// below the highest. With ESN the numbers go over the end of the low half.
func TestBatchesAgreeWithASet(t *testing.T) {
	for _, s := range replaySuites {
		t.Run(nameOf(s), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				const n = 400
				size := rapid.SampledFrom([]int{MinWindow, 100, 256}).Draw(r, "size")
				last := rapid.SampledFrom([]uint64{0, 1, 1000}).Draw(r, "last")
				if s.ESN && rapid.Bool().Draw(r, "wrap") {
					last = rapid.SampledFrom([]uint64{1, 7}).Draw(r, "high")<<32 - uint64(rapid.IntRange(0, n).Draw(r, "before"))
				}
				out, in := newPair(t, s, size)
				inner, sealed := numberedPackets(t, out, last, n)
				if last > 0 {
					in.window.begin(last)
				}
				top, accepted := last, map[uint64]bool{}
				for at := 0; at < n; {
					at = min(n, at+rapid.IntRange(1, 60).Draw(r, "ahead"))
					var batch [][]byte
					var which []int
					var forged []bool
					for range rapid.IntRange(1, 40).Draw(r, "batch") {
						i := max(0, at-1-rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, size+40)).Draw(r, "back"))
						p := bytes.Clone(sealed[i])
						bad := rapid.IntRange(0, 9).Draw(r, "forged") == 0
						if bad {
							p[len(p)-1] ^= 1
						}
						batch, which, forged = append(batch, p), append(which, i), append(forged, bad)
					}
					got := openCopies(in, batch)
					for k, i := range which {
						number := last + 1 + uint64(i)
						want := !forged[k] && !accepted[number] && (number > top || top-number < uint64(size))
						if (got[k] != nil) != want || want && !bytes.Equal(got[k], inner[i]) {
							r.Fatalf("number %d (forged %v), highest %d, size %d: got %v, want it opened %v", number, forged[k], top, size, got[k] != nil, want)
						}
						if want {
							accepted[number] = true
							top = max(top, number)
						}
					}
				}
			})
		})
	}
}

// TestReplayNeverPassesAcrossTheEndOfTheLowHalf opens thousands of packets on
// both sides of 1<<32 in batches, and then all of them again, in order and
// backwards, in batches and one by one: none passes, and the window still takes
// what is new.
func TestReplayNeverPassesAcrossTheEndOfTheLowHalf(t *testing.T) {
	for _, s := range replaySuites {
		if !s.ESN {
			continue
		}
		t.Run(nameOf(s), func(t *testing.T) {
			const n = 3000
			out, in := newPair(t, s, DefaultWindow)
			last := uint64(1<<32 - n/2)
			in.window.begin(last)
			_, sealed := numberedPackets(t, out, last, n)
			for i := 0; i < n; i += 60 {
				for k, p := range openCopies(in, sealed[i:min(n, i+60)]) {
					if p == nil {
						t.Fatalf("number %d: refused", last+1+uint64(i+k))
					}
				}
			}
			backwards := make([][]byte, n)
			for i, p := range sealed {
				backwards[n-1-i] = p
			}
			for _, again := range [][][]byte{sealed, backwards} {
				for _, step := range []int{1, 60, n} {
					for i := 0; i < n; i += step {
						for _, p := range openCopies(in, again[i:min(n, i+step)]) {
							if p != nil {
								t.Fatalf("number %d passed again, in batches of %d", binary.BigEndian.Uint64(p[40:]), step)
							}
						}
					}
				}
			}
			_, fresh := numberedPackets(t, out, last+n, 1)
			if got := openCopies(in, fresh); got[0] == nil {
				t.Error("the next packet: refused")
			}
			if f := in.Failures(); f.Replay+f.Auth != 6*n || f.Malformed != 0 {
				t.Errorf("counted %+v, want %d in all", f, 6*n)
			}
		})
	}
}

// BenchmarkWindow is what the replay window costs a packet, in order and when
// each two come in the wrong order.
func BenchmarkWindow(b *testing.B) {
	for name, swap := range map[string]uint64{"in-order": 0, "swapped": 1} {
		b.Run(name, func(b *testing.B) {
			w := window{size: DefaultWindow, esn: true}
			b.ReportAllocs()
			seq := uint64(2)
			for b.Loop() {
				n, ok := w.sequence(uint32(seq ^ swap))
				if !ok || !w.fresh(n) {
					b.Fatal(seq, n)
				}
				w.accept(n)
				seq++
			}
		})
	}
}

func TestWindowDoesNotAllocate(t *testing.T) {
	w := window{size: DefaultWindow, esn: true, top: math.MaxUint32 - 50}
	next := w.top
	if got := testing.AllocsPerRun(100, func() {
		next++
		n, ok := w.sequence(uint32(next))
		before := w.fresh(n)
		w.accept(n)
		if !ok || n != next || !before || w.top != n || w.fresh(n) {
			t.Fatal(n, ok)
		}
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
