package dataplane

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// tableOf is a table of n SAs with random SPIs.
func tableOf(n int) (table *spiTable, spis []uint32) {
	table = &spiTable{}
	r := rand.New(rand.NewPCG(1, 2))
	for len(spis) < n {
		spi := r.Uint32()
		if spi < 256 || table.get(spi) != nil {
			continue
		}
		table.setLocked(spi, &inboundSA{})
		spis = append(spis, spi)
	}
	return table, spis
}

func TestLookupFindsWhatIsThereAndAllocatesNothing(t *testing.T) {
	table, spis := tableOf(3000)
	if got := table.size(); got != len(spis) {
		t.Errorf("size: got %d, want %d", got, len(spis))
	}
	first := table.get(spis[0])
	for _, spi := range spis[1:1500] {
		table.setLocked(spi, nil)
	}
	for i, spi := range spis {
		if got, want := table.get(spi) != nil, i == 0 || i >= 1500; got != want {
			t.Fatalf("SA %d of SPI %08x: found %v, want %v", i, spi, got, want)
		}
	}
	if got := testing.AllocsPerRun(100, func() {
		if table.get(spis[0]) != first || table.get(spis[1]) != nil {
			t.Fatal("another SA")
		}
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}

// BenchmarkLookup is what finding an SA costs a packet that follows one of
// another; in a run of one SA there is a lookup for 64.
func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			table, spis := tableOf(n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if table.get(spis[i]) == nil {
					b.Fatal(i)
				}
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}
