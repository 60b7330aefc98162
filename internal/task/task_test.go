package task

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// journal notes what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(s string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, s)
}

// part starts, is ready after d and runs until it is stopped.
func (j *journal) part(name string, d time.Duration) Part {
	return Part{Name: name, Run: func(ctx context.Context, ready func()) error {
		j.note("start " + name)
		select {
		case <-time.After(d):
			ready()
		case <-ctx.Done():
			return ctx.Err()
		}
		<-ctx.Done()
		j.note("stop " + name)
		return nil
	}}
}

func TestPartsStartInOrderAndStopInReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		err := Run(ctx, cancel, j.part("a", time.Second), j.part("b", time.Second), j.part("c", time.Second))
		if err != nil {
			t.Errorf("got %v, want no error when the caller ends the run", err)
		}
		want := []string{"start a", "start b", "start c", "stop c", "stop b", "stop a"}
		if !slices.Equal(j.lines, want) {
			t.Errorf("got %q, want %q", j.lines, want)
		}
	})
}

func TestFirstFailureStopsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		boom := errors.New("boom")
		bad := Part{Name: "bad", Run: func(_ context.Context, ready func()) error {
			ready()
			time.Sleep(3 * time.Second)
			return boom
		}}
		err := Run(t.Context(), nil, j.part("a", 0), bad, j.part("c", 0))
		if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "bad: ") {
			t.Errorf("got %v, want bad's error under its name", err)
		}
		if want := []string{"start a", "start c", "stop c", "stop a"}; !slices.Equal(j.lines, want) {
			t.Errorf("got %q, want %q", j.lines, want)
		}
	})
}

func TestAPartThatIsNeverReadyKeepsLaterPartsFromStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		early := Part{Name: "early", Run: func(context.Context, func()) error { return nil }}
		err := Run(t.Context(), func() { j.note("ready") }, early, j.part("b", 0))
		if !errors.Is(err, ErrStopped) {
			t.Errorf("got %v, want %v", err, ErrStopped)
		}
		if len(j.lines) != 0 {
			t.Errorf("got %q, want nothing started after it", j.lines)
		}
	})
}

func TestAPartThatMayEndLetsTheOthersRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		var j journal
		once := Part{Name: "once", MayEnd: true, Run: func(context.Context, func()) error { return nil }}
		if err := Run(ctx, nil, once, j.part("b", 0)); err != nil {
			t.Errorf("got %v, want no error", err)
		}
		if got := time.Since(start); got != time.Minute {
			t.Errorf("ran %v, want %v", got, time.Minute)
		}
	})
}

func TestAPartThatWillNotStopIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		stuck := Part{Name: "stuck", Grace: 2 * time.Second, Run: func(_ context.Context, ready func()) error {
			ready()
			<-release
			return nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		err := Run(ctx, cancel, stuck)
		close(release)
		if err == nil || !strings.Contains(err.Error(), "stuck: still running 2s") {
			t.Errorf("got %v, want the stuck part named", err)
		}
		if got := time.Since(start); got != 2*time.Second {
			t.Errorf("waited %v, want 2s", got)
		}
	})
}

func TestAnInterruptedStartIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		if err := Run(ctx, func() { j.note("ready") }, j.part("a", time.Second), j.part("b", time.Second), j.part("c", time.Second)); err != nil {
			t.Errorf("got %v, want no error", err)
		}
		if want := []string{"start a", "start b", "stop a"}; !slices.Equal(j.lines, want) {
			t.Errorf("got %q, want %q", j.lines, want)
		}
	})
}
