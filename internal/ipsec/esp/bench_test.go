package esp

import "testing"

const benchSize = 1400

func BenchmarkSeal(b *testing.B) {
	for _, s := range allSuites() {
		if s.ESN {
			continue
		}
		b.Run(nameOf(s), func(b *testing.B) {
			out, _ := newPair(b, s, 0)
			buf := make([]byte, HeaderLen+benchSize+TrailerLen)
			b.SetBytes(benchSize)
			b.ReportAllocs()
			for b.Loop() {
				buf[HeaderLen] = 0x45
				if _, err := out.Seal(buf, HeaderLen, benchSize); err != nil {
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
			pkt, dst := seal(b, out, inner4(benchSize)), make([]byte, 0, benchSize+TrailerLen)
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
