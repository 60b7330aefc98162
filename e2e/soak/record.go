//go:build e2e

package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A sample is both gateways at one moment.
type sample struct {
	at     time.Duration
	octets int64
	ends   [2]use
	drops  map[string]uint64
	suite  string
}

// A use is what one gateway's process uses.
type use struct {
	resident   int // KiB
	threads    int
	goroutines int
	heap       uint64 // octets
}

// A record is one run.
type record struct {
	began    time.Time
	samples  []sample
	renewals int
	slowest  time.Duration // renewal, from the request on
}

func (r *record) last() sample { return r.samples[len(r.samples)-1] }

// sample takes one.
func (r *record) sample(ends gateways, streams []*stream) error {
	now, err := ends.look()
	if err != nil {
		return err
	}
	s := sample{at: time.Since(r.began), octets: octets(streams), drops: drops(now), suite: now[0].Suite}
	for i, e := range ends {
		s.ends[i] = use{goroutines: now[i].Goroutines, heap: now[i].Heap}
		if s.ends[i].resident, s.ends[i].threads, err = process(e.cmd.Process.Pid); err != nil {
			return err
		}
	}
	r.samples = append(r.samples, s)
	fmt.Fprintf(os.Stderr, "%4.0f s  %6.2f GB  A %5d KiB, %2d goroutines, %2d threads  B %5d KiB, %2d goroutines, %2d threads\n", s.at.Seconds(), float64(s.octets)/1e9,
		s.ends[0].resident, s.ends[0].goroutines, s.ends[0].threads, s.ends[1].resident, s.ends[1].goroutines, s.ends[1].threads)
	return nil
}

// process is the resident set of a process in KiB, and its threads.
func process(pid int) (resident, threads int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for name, to := range map[string]*int{"VmRSS:": &resident, "Threads:": &threads} {
		_, after, _ := strings.Cut(string(b), name)
		if _, err := fmt.Sscan(after, to); err != nil {
			return 0, 0, fmt.Errorf("status of process %d: %s %w", pid, name, err)
		}
	}
	return resident, threads, nil
}

const (
	// warm is the share of the samples, from the first on, in which a gateway
	// fills its buffers.
	warm = 10 // a tenth
	// moreMemory is how much more memory a gateway may have, in the mean of the
	// second half against that of the first: for noise, in KiB.
	moreMemory = 4 << 10
	// moreGoroutines is the same of the most goroutines: one may be in the midst
	// of a renewal.
	moreGoroutines = 2
)

// halves are the samples of either half of the time, without the first tenth.
func (r *record) halves() (first, second []sample) {
	all := r.samples[len(r.samples)/warm:]
	return all[:len(all)/2], all[len(all)/2:]
}

// A figure is something of a use.
type figure func(use) int

func resident(u use) int   { return u.resident }
func goroutines(u use) int { return u.goroutines }
func threads(u use) int    { return u.threads }
func heap(u use) int       { return int(u.heap >> 10) }

// mean and most are of gateway i in some samples.
func mean(all []sample, i int, f figure) int {
	sum := 0
	for _, s := range all {
		sum += f(s.ends[i])
	}
	return sum / max(1, len(all))
}

func most(all []sample, i int, f figure) (n int) {
	for _, s := range all {
		n = max(n, f(s.ends[i]))
	}
	return n
}

// broken are the drops that say that a packet was not what it should have been.
// All others are losses, which TCP expects.
var broken = []string{"auth-failed", "malformed", "replay", "selector", "sequence-exhausted"}

// verdict is what is wrong with the gateways.
func (r *record) verdict() error {
	var errs []error
	first, second := r.halves()
	for i, name := range []string{"A", "B"} {
		if a, b := mean(first, i, resident), mean(second, i, resident); b > a+moreMemory {
			errs = append(errs, fmt.Errorf("gateway %s: memory grows: %d KiB in the first half, %d in the second", name, a, b))
		}
		if a, b := most(first, i, goroutines), most(second, i, goroutines); b > a+moreGoroutines {
			errs = append(errs, fmt.Errorf("gateway %s: goroutines grow: at most %d in the first half, %d in the second", name, a, b))
		}
	}
	for _, cause := range broken {
		if n := r.last().drops[cause]; n > 0 {
			errs = append(errs, fmt.Errorf("%d packets dropped: %s", n, cause))
		}
	}
	return errors.Join(errs...)
}

// table is the summary.
func (r *record) table(p plan, streams []*stream) string {
	var b strings.Builder
	end, first, second := r.last(), []sample(nil), []sample(nil)
	first, second = r.halves()
	fmt.Fprintf(&b, "%s\n\n| soak, %s, ESP in UDP | |\n|---|---:|\n", machine(), end.suite)
	fmt.Fprintf(&b, "| carried | %.2f GB in %.0f s, %.0f Mbit/s |\n", float64(end.octets)/1e9, end.at.Seconds(), rate(end.octets, end.at))
	for _, s := range streams {
		same := "equal"
		if err := s.verdict(); err != nil {
			same = err.Error()
		}
		fmt.Fprintf(&b, "| %s | %.2f GB, SHA-256 of both ends: %s |\n", s.name, float64(s.arrived.Load())/1e9, same)
	}
	fmt.Fprintf(&b, "| CHILD SAs renewed | %d, each %v; the slowest took %v |\n", r.renewals, p.rekey, r.slowest.Round(time.Millisecond))
	causes := "none"
	if len(end.drops) > 0 {
		causes = ""
		for _, cause := range slices.Sorted(maps.Keys(end.drops)) {
			causes += fmt.Sprintf("%s %d ", cause, end.drops[cause])
		}
	}
	fmt.Fprintf(&b, "| packets that the gateways dropped | %s |\n\n", strings.TrimSpace(causes))
	b.WriteString("| gateway | | first half | second half |\n|---|---|---:|---:|\n")
	for i, name := range []string{"A", "B"} {
		fmt.Fprintf(&b, "| %s | resident, MB, mean (most) | %.1f (%.1f) | %.1f (%.1f) |\n", name, mb(mean(first, i, resident)), mb(most(first, i, resident)), mb(mean(second, i, resident)), mb(most(second, i, resident)))
		fmt.Fprintf(&b, "| %s | heap, MB, mean (most) | %.1f (%.1f) | %.1f (%.1f) |\n", name, mb(mean(first, i, heap)), mb(most(first, i, heap)), mb(mean(second, i, heap)), mb(most(second, i, heap)))
		fmt.Fprintf(&b, "| %s | goroutines, mean (most) | %d (%d) | %d (%d) |\n", name, mean(first, i, goroutines), most(first, i, goroutines), mean(second, i, goroutines), most(second, i, goroutines))
		fmt.Fprintf(&b, "| %s | threads, most | %d | %d |\n", name, most(first, i, threads), most(second, i, threads))
	}
	return b.String()
}

func mb(kib int) float64 { return float64(kib) * 1024 / 1e6 }

// machine names the processor and what else it does.
func machine() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, model, _ := strings.Cut(string(info), "model name\t: ")
	model, _, _ = strings.Cut(model, "\n")
	load, _ := os.ReadFile("/proc/loadavg")
	return fmt.Sprintf("%s, %d processors, load at the end: %s; %s", model, runtime.NumCPU(), strings.TrimSpace(string(load)), runtime.Version())
}
