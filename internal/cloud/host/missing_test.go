package host

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"seikan/internal/cloud/reconcile"
)

// A link that stays away is looked for more and more seldom, and often again from the
// moment when something changes; other looks in between put nothing off.
func TestMissingLinksAreLookedForMoreAndMoreSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		var looks []time.Duration
		var m missing
		links := []string{"vgw-1: link tun1", "vgw-1: link tun2"}
		q := reconcile.New(func(context.Context, string) (time.Duration, error) {
			mu.Lock()
			defer mu.Unlock()
			looks = append(looks, time.Since(start))
			return m.wait(links, time.Now()), nil
		}, reconcile.Options[string]{})
		ctx, cancel := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { _ = q.Run(ctx) })
		// since are the looks of the next d, from now on.
		since := func(d time.Duration) (out []time.Duration) {
			from := time.Since(start)
			<-time.After(d)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, at := range looks {
				if at >= from {
					out = append(out, at-from)
				}
			}
			looks = nil
			return out
		}
		const ms = time.Millisecond
		q.Add("machine")
		if got, want := since(time.Minute), []time.Duration{0, 250 * ms, 500 * ms, 1000 * ms, 2000 * ms, 4000 * ms, 8000 * ms, 13_000 * ms}; len(got) != 17 || !slices.Equal(got[:len(want)], want) {
			t.Errorf("a link that is missing for a minute: got looks at %v, want 17 that begin with %v and then come every 5 s", got, want)
		}
		mu.Lock()
		links = links[1:] // one has come
		mu.Unlock()
		q.Add("machine")
		if got, want := since(900*ms), []time.Duration{0, 250 * ms, 500 * ms}; !slices.Equal(got, want) {
			t.Errorf("after one has come: got looks at %v, want %v", got, want)
		}
		mu.Lock()
		links = nil
		mu.Unlock()
		q.Add("machine")
		if got := since(time.Hour); len(got) != 1 {
			t.Errorf("when none is missing: got looks at %v, want one", got)
		}
		mu.Lock()
		links = []string{"vgw-1: link tun2"}
		mu.Unlock()
		q.Add("machine")
		for range 7 { // rows change all the time
			<-time.After(100 * ms)
			q.Add("machine")
		}
		if got := since(2 * time.Second); !slices.Equal(got, []time.Duration{0, 700 * ms}) {
			t.Errorf("after a busy moment: got looks at %v from then on, want one after as long as it waited, 0.7 s", got)
		}
		cancel()
		loop.Wait()
	})
}
