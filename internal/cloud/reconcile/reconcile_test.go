package reconcile_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"seikan/internal/cloud/reconcile"
)

// advance lets the bubble's clock run on by d.
func advance(d time.Duration) { <-time.After(d) }

// run starts the queue and returns what stops it and waits for it.
func run(t *testing.T, q *reconcile.Queue[string]) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	return func() {
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v, want context.Canceled", err)
		}
	}
}

func TestAKeyAddedOftenIsHandledOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		q := reconcile.New(func(context.Context, string) (time.Duration, error) {
			calls++
			return 0, nil
		}, reconcile.Options[string]{})
		for range 10 {
			q.Add("a")
		}
		stop := run(t, q)
		advance(time.Hour)
		stop()
		if calls != 1 {
			t.Errorf("calls: got %d, want 1", calls)
		}
	})
}

func TestAKeyAddedWhileHandledIsHandledOnceMoreAndNeverTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls, at atomic.Int32
		q := reconcile.New(func(context.Context, string) (time.Duration, error) {
			calls.Add(1)
			if at.Add(1) > 1 {
				t.Error("the same key is handled twice at once")
			}
			advance(time.Second)
			at.Add(-1)
			return 0, nil
		}, reconcile.Options[string]{Workers: 4})
		stop := run(t, q)
		q.Add("a")
		for range 5 {
			advance(100 * time.Millisecond)
			q.Add("a")
		}
		advance(time.Hour)
		stop()
		if got := calls.Load(); got != 2 {
			t.Errorf("calls: got %d, want 2", got)
		}
	})
}

func TestKeysAreHandledAtOnceByAsManyWorkersAsThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var last atomic.Int64
		q := reconcile.New(func(context.Context, string) (time.Duration, error) {
			advance(time.Second)
			last.Store(int64(time.Since(start)))
			return 0, nil
		}, reconcile.Options[string]{Workers: 2})
		for _, key := range []string{"a", "b", "c", "d"} {
			q.Add(key)
		}
		stop := run(t, q)
		advance(time.Minute)
		stop()
		if got := time.Duration(last.Load()); got != 2*time.Second {
			t.Errorf("four keys of a second, two workers: got %v, want 2s", got)
		}
	})
}

func TestFailuresBackOffToTheCapAndSuccessForgetsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		q := reconcile.New(func(context.Context, string) (time.Duration, error) {
			times = append(times, time.Now())
			if len(times) == 8 {
				return 0, nil
			}
			return 0, errors.New("not yet")
		}, reconcile.Options[string]{MinDelay: time.Second, MaxDelay: 8 * time.Second})
		stop := run(t, q)
		q.Add("a")
		advance(time.Hour)
		synctest.Wait()
		if len(times) != 8 {
			t.Fatalf("calls: got %d, want 8", len(times))
		}
		for i, bound := range []time.Duration{1, 2, 4, 8, 8, 8, 8} {
			bound *= time.Second
			if gap := times[i+1].Sub(times[i]); gap < bound/2 || gap > bound {
				t.Errorf("delay %d: got %v, want %v to %v", i+1, gap, bound/2, bound)
			}
		}
		q.Add("a") // fails again: the delay begins anew
		advance(time.Minute)
		stop()
		if gap := times[9].Sub(times[8]); gap > time.Second {
			t.Errorf("first delay after a success: got %v, want at most 1s", gap)
		}
	})
}

func TestAFailureIsReportedWithItsDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong := errors.New("wrong")
		var got error
		var retry time.Duration
		q := reconcile.New(func(context.Context, string) (time.Duration, error) {
			return 0, wrong
		}, reconcile.Options[string]{MinDelay: time.Second, OnError: func(_ string, err error, d time.Duration) { got, retry = err, d }})
		stop := run(t, q)
		q.Add("a")
		synctest.Wait()
		stop()
		if !errors.Is(got, wrong) || retry < time.Second/2 || retry > time.Second {
			t.Errorf("OnError: got %v, %v, want the error and a delay of 500ms to 1s", got, retry)
		}
	})
}

func TestAddShortensAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Duration
		start := time.Now()
		q := reconcile.New(func(context.Context, string) (time.Duration, error) {
			times = append(times, time.Since(start))
			return time.Hour, nil
		}, reconcile.Options[string]{})
		stop := run(t, q)
		q.Add("a")
		advance(10 * time.Minute)
		q.Add("a")
		advance(90 * time.Minute)
		stop()
		want := []time.Duration{0, 10 * time.Minute, 70 * time.Minute}
		if len(times) != len(want) || times[0] != want[0] || times[1] != want[1] || times[2] != want[2] {
			t.Errorf("handled at: got %v, want %v", times, want)
		}
	})
}

func TestRunWaitsForTheFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finished := false
		q := reconcile.New(func(context.Context, string) (time.Duration, error) {
			advance(time.Minute)
			finished = true
			return 0, nil
		}, reconcile.Options[string]{})
		stop := run(t, q)
		q.Add("a")
		advance(time.Second)
		stop()
		if !finished {
			t.Error("Run returned before the function did")
		}
	})
}
