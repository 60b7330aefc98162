package esp

import (
	"bytes"
	"testing"
)

const benchSize = 1400

func BenchmarkSeal(b *testing.B) {
	for _, s := range allSuites() {
		if s.ESN {
			continue
		}
		b.Run(nameOf(s), func(b *testing.B) {
			out, _ := newPair(b, s, 0)
			pkts, lens := [][]byte{make([]byte, out.SealedLen(benchSize))}, []int{benchSize}
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				pkts[0][out.Prefix()] = 0x45
				if _, err := out.SealBatch(pkts, lens); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, s := range allSuites() {
		if s.ESN {
			continue
		}
		b.Run(nameOf(s), func(b *testing.B) {
			out, in := newPair(b, s, 0)
			pkt, dst := seal(b, out, inner4(benchSize)), make([]byte, 0, out.SealedLen(benchSize))
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				in.window = window{size: in.window.size} // or it would be a replay
				if _, err := in.Open(dst, pkt); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// benchBatch is how many packets a batch of the benchmarks has.
const benchBatch = 32

// batchOf lays benchBatch packets out in slab, to be sealed.
func batchOf(o *Outbound, slab []byte, pkts [][]byte, lens []int) {
	k := o.SealedLen(benchSize)
	for i := range pkts {
		pkts[i], lens[i] = slab[i*k:(i+1)*k:(i+1)*k], benchSize
		pkts[i][o.Prefix()] = 0x45
	}
}

func BenchmarkSealBatch(b *testing.B) {
	for _, s := range allSuites() {
		if s.ESN {
			continue
		}
		b.Run(nameOf(s), func(b *testing.B) {
			out, _ := newPair(b, s, 0)
			pkts, lens := make([][]byte, benchBatch), make([]int, benchBatch)
			slab := make([]byte, benchBatch*out.SealedLen(benchSize))
			b.SetBytes(benchBatch * benchSize)
			b.ReportAllocs()
			for b.Loop() {
				batchOf(out, slab, pkts, lens)
				if _, err := out.SealBatch(pkts, lens); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpenBatch includes a copy of the packets, which opening destroys.
func BenchmarkOpenBatch(b *testing.B) {
	for _, s := range allSuites() {
		if s.ESN {
			continue
		}
		b.Run(nameOf(s), func(b *testing.B) {
			out, in := newPair(b, s, 0)
			pkts, lens := make([][]byte, benchBatch), make([]int, benchBatch)
			slab := make([]byte, benchBatch*out.SealedLen(benchSize))
			batchOf(out, slab, pkts, lens)
			for _, p := range pkts {
				copy(p[out.Prefix():], inner4(benchSize))
			}
			if _, err := out.SealBatch(pkts, lens); err != nil {
				b.Fatal(err)
			}
			sealed, errs, k := bytes.Clone(slab), make([]error, benchBatch), out.SealedLen(benchSize)
			b.SetBytes(benchBatch * benchSize)
			b.ReportAllocs()
			for b.Loop() {
				copy(slab, sealed)
				for i := range pkts {
					pkts[i] = slab[i*k : (i+1)*k : (i+1)*k]
				}
				in.window = window{size: in.window.size} // or they would be replays
				in.OpenBatch(pkts, errs)
				if errs[0] != nil || errs[benchBatch-1] != nil {
					b.Fatal(errs)
				}
			}
		})
	}
}
