// Package processors says how a process uses processors: one for as long as one
// is enough for it, and all that there are when it is not (Follow); and before
// the programs that may wait (Prefer).
//
// A goroutine that becomes ready while another one runs makes Go wake a thread
// for it on an idle processor, and that thread look for more before it sleeps
// again. For a gateway that has little to do at a time, and often, this costs
// more than the work: see "One processor until it is full" in
// docs/performance.md. The package keeps no state but Go's own GOMAXPROCS and the
// kernel's nice values, and leaves alone what somebody has set: GOMAXPROCS in the
// environment, a nice value other than 0. What owns a whole process calls Prefer
// and Follow, once: a verb, or a worker.
package processors

import (
	"context"
	"os"
	"runtime"
	"syscall"
	"time"
)

const (
	// interval is how often the process looks at what it used.
	interval = 100 * time.Millisecond
	// full is the share of one processor from which on one is not enough: what
	// waits then waits for this process and not for others.
	full = 0.9
	// long is for how many intervals in turn it is borne.
	long = 2
	// enough is the share of one processor, used by all, below which one is
	// enough: less than full, for several use more than one for the same work.
	enough = 0.75
	// calm is for how many intervals in turn it must have been so.
	calm = 10
)

// Follow sets GOMAXPROCS by what the process uses until ctx ends, and then to
// what it is by default. With one processor, or with GOMAXPROCS in the
// environment, it only waits.
func Follow(ctx context.Context) {
	if os.Getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) == 1 {
		<-ctx.Done()
		return
	}
	follow(ctx, Used)
}

// follow is Follow of a process that used reports the processor time of.
func follow(ctx context.Context, used func() time.Duration) {
	runtime.GOMAXPROCS(1)
	defer runtime.SetDefaultGOMAXPROCS()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	began, before := time.Now(), used()
	var g governor
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, total := time.Now(), used()
		if g.step(float64(total-before) / float64(now.Sub(began))) {
			if g.all {
				runtime.SetDefaultGOMAXPROCS()
			} else {
				runtime.GOMAXPROCS(1)
			}
		}
		began, before = now, total
	}
}

// Used is the processor time of this process so far, in user space and in the kernel.
// Anybody may ask.
func Used() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0 // never for this process; the next difference would say the same
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// A governor decides between one processor, which it begins with, and all.
type governor struct {
	all  bool
	runs int // intervals in turn that were against what it is now
}

// step takes the share of one processor that was used in the last interval, 2
// for two that were busy all the time, and reports whether it decided anew.
func (g *governor) step(share float64) (changed bool) {
	against, bear := share >= full, long
	if g.all {
		against, bear = share < enough, calm
	}
	g.runs++
	if !against {
		g.runs = 0
	}
	if g.runs < bear {
		return false
	}
	g.all, g.runs = !g.all, 0
	return true
}
