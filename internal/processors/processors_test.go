package processors

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGovernor(t *testing.T) {
	many := func(n int, share float64) []float64 { return slices.Repeat([]float64{share}, n) }
	for _, c := range []struct {
		name   string
		shares []float64
		all    bool
	}{
		{"at the beginning", nil, false},
		{"at rest", many(99, 0.04), false},
		{"a stream between two gateways on two processors", many(99, 0.7), false},
		{"full for a moment", slices.Concat(many(long-1, 1), many(1, 0.1), many(long-1, 1)), false},
		{"full", many(long, 1), true},
		{"what one processor cannot do", many(99, 1.4), true},
		{"more than enough, less than full", many(99, 0.8), false},
		{"full, then less", slices.Concat(many(long, 1), many(99, 0.8)), true},
		{"full, then not calm for long", slices.Concat(many(long, 1), many(calm-1, 0.2)), true},
		{"full, then calm with an exception", slices.Concat(many(long, 1), many(calm-1, 0.2), many(1, 0.9), many(calm-1, 0.2)), true},
		{"full, then calm", slices.Concat(many(long, 1), many(calm, 0.2)), false},
		{"full, calm, full", slices.Concat(many(long, 1), many(calm, 0.2), many(long, 1)), true},
	} {
		var g governor
		for i, share := range c.shares {
			was := g.all
			if changed := g.step(share); changed != (g.all != was) {
				t.Errorf("%s: interval %d: changed %v, all processors %v after %v", c.name, i, changed, g.all, was)
			}
		}
		if g.all != c.all {
			t.Errorf("%s: all processors %v, not %v", c.name, g.all, c.all)
		}
	}
}

// A process at rest has one processor, a busy one all, and when nobody follows
// it what is default.
func TestFollow(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var following sync.WaitGroup
		var share atomic.Int64 // in percent of one processor
		began, sum := time.Now(), time.Duration(0)
		following.Go(func() {
			follow(ctx, func() time.Duration {
				sum += time.Since(began) * time.Duration(share.Load()) / 100
				began = time.Now()
				return sum
			})
		})
		for _, c := range []struct {
			share int64
			after time.Duration
			want  int
		}{
			{4, interval, 1},
			{70, time.Minute, 1},
			{100, long * interval, all},
			{80, time.Minute, all},
			{70, calm * interval, 1},
		} {
			share.Store(c.share)
			time.Sleep(c.after) // of the bubble's time, which costs none
			synctest.Wait()
			if n := runtime.GOMAXPROCS(0); n != c.want {
				t.Errorf("%d %% of a processor for %v: GOMAXPROCS is %d, not %d", c.share, c.after, n, c.want)
			}
		}
		cancel()
		following.Wait()
	})
	if n := runtime.GOMAXPROCS(0); n != all {
		t.Errorf("%d processors after the end, not %d", n, all)
	}
}

func TestUsedGrows(t *testing.T) {
	for before := Used(); Used() == before; {
		continue
	}
}
