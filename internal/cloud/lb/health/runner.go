package health

import (
	"context"
	"hash/maphash"
	"maps"
	"sync"
	"time"
)

// MaxProbes bounds how many probes a Runner keeps: as many as a load balancer
// may have targets (pl §2.4). Those above it are not run, and Set says so.
const MaxProbes = 3000

// A Runner sends probes and reports what they find out.
type Runner struct {
	dial   Dial
	report func(p Probe, s Status)
	wake   chan struct{} // holds one: want has changed
	seed   maphash.Seed

	// mu guards the fields below it.
	mu   sync.Mutex
	want map[string]Wanted
}

// Wanted is a probe to run and what was last known of its target.
type Wanted struct {
	Probe
	Last Status
}

// NewRunner makes a Runner. It starts nothing. report is called once for each
// change of a status, by many goroutines at once, never twice at once for one
// probe; while it blocks, that probe rests.
func NewRunner(dial Dial, report func(p Probe, s Status)) *Runner {
	return &Runner{dial: dial, report: report, wake: make(chan struct{}, 1), seed: maphash.MakeSeed()}
}

// Set says which probes shall run from now on. A probe that runs already and
// has not changed runs on undisturbed, and its Last is not looked at. It
// returns how many were left out because there are more than MaxProbes.
func (r *Runner) Set(probes []Wanted) (leftOut int) {
	want := make(map[string]Wanted, len(probes))
	for _, p := range probes {
		if len(want) == MaxProbes {
			leftOut++
			continue
		}
		want[p.Key] = p
	}
	r.mu.Lock()
	r.want = want
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default: // Run will look at want anyway
	}
	return leftOut
}

// Run sends probes until ctx ends. When it returns, so have all probes.
func (r *Runner) Run(ctx context.Context) error {
	running := make(map[string]worker)
	var work sync.WaitGroup
	defer work.Wait()
	defer func() {
		for _, w := range running {
			w.stop()
		}
	}()
	for {
		r.mu.Lock()
		want := maps.Clone(r.want)
		r.mu.Unlock()
		for key, w := range running {
			if next, ok := want[key]; !ok || next.Probe != w.probe {
				w.stop()
				<-w.done // before a successor reports about the same target
				delete(running, key)
			}
		}
		for key, wanted := range want {
			if _, ok := running[key]; ok {
				continue
			}
			ctx, stop := context.WithCancel(ctx)
			w := worker{probe: wanted.Probe, stop: stop, done: make(chan struct{})}
			running[key] = w
			work.Go(func() {
				defer close(w.done)
				r.watch(ctx, wanted)
			})
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.wake:
		}
	}
}

type worker struct {
	probe Probe
	stop  context.CancelFunc
	done  chan struct{}
}

// watch probes one target at its interval.
func (r *Runner) watch(ctx context.Context, w Wanted) {
	m := NewMachine(w.Thresholds, w.Last)
	timer := time.NewTimer(r.offset(w.Probe))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		timer.Reset(w.Interval)
		result := once(ctx, r.dial, w.Probe)
		if ctx.Err() != nil {
			return // not the target's fault
		}
		if s, changed := m.Step(time.Now(), result); changed {
			r.report(w.Probe, s)
		}
	}
}

// offset spreads first probes over a second, so that a thousand targets are
// not dialled in one instant; a new target still goes into service quickly.
func (r *Runner) offset(p Probe) time.Duration {
	return time.Duration(maphash.String(r.seed, p.Key)%1000) * time.Millisecond
}
