package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"seikan/internal/cloud/store"
)

func TestRivalUpdatesOfOneRowAllCount(t *testing.T) {
	s := open(t)
	const rivals, rounds = 6, 10
	var wg sync.WaitGroup
	for range rivals {
		wg.Go(func() {
			for range rounds {
				err := s.Update(t.Context(), func(tx *store.Tx) error {
					c, _ := counters().Get(tx, "a")
					c.N++
					counters().Put(tx, "a", c)
					return nil
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	view(t, s, func(tx *store.Tx) error {
		if c, _ := counters().Get(tx, "a"); c.N != rivals*rounds {
			t.Errorf("counter: got %d, want %d", c.N, rivals*rounds)
		}
		return nil
	})
}

// Each update adds a row named after how many there are. Without the guard on
// the listed table two would see the same number and one would overwrite the
// other.
func TestRivalUpdatesOfOneTableSeeEachOthersRows(t *testing.T) {
	s := open(t)
	const rivals = 12
	var wg sync.WaitGroup
	for range rivals {
		wg.Go(func() {
			err := s.Update(t.Context(), func(tx *store.Tx) error {
				name := strconv.Itoa(len(counters().List(tx)))
				counters().Put(tx, name, counter{Name: name})
				return nil
			})
			if err != nil {
				t.Errorf("Update: %v", err)
			}
		})
	}
	wg.Wait()
	view(t, s, func(tx *store.Tx) error {
		if got := len(counters().List(tx)); got != rivals {
			t.Errorf("rows: got %d, want %d", got, rivals)
		}
		return nil
	})
}

func TestATransactionReadsOneMoment(t *testing.T) {
	s := open(t)
	set := func(n int) {
		update(t, s, func(tx *store.Tx) error {
			counters().Put(tx, "a", counter{"a", n})
			counters().Put(tx, "b", counter{"b", n})
			return nil
		})
	}
	set(1)
	view(t, s, func(tx *store.Tx) error {
		a, _ := counters().Get(tx, "a")
		set(2)
		b, _ := counters().Get(tx, "b")
		if a.N != 1 || b.N != 1 {
			t.Errorf("two reads around a change: got %d and %d, want 1 and 1", a.N, b.N)
		}
		return nil
	})
}

func TestWatchBeginsWithEverythingAndNeverLosesTheLastChange(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	calls := make(chan []store.Change) // unbuffered: notify is busy until it is read
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, func(changes []store.Change) {
			select {
			case calls <- changes:
			case <-ctx.Done():
			}
		})
	}()
	if first := <-calls; first != nil {
		t.Errorf("first call: got %v, want nil", first)
	}
	for n := range 20 {
		update(t, s, func(tx *store.Tx) error {
			counters().Put(tx, "a", counter{"a", n})
			return nil
		})
	}
	update(t, s, func(tx *store.Tx) error {
		counters().Put(tx, "last/with/slashes", counter{})
		return nil
	})
	number := 0
	for {
		changes := <-calls
		number += len(changes)
		if last := changes[len(changes)-1]; last == (store.Change{Table: "test-counter", Key: "last/with/slashes"}) {
			break
		}
	}
	if number >= 21 {
		t.Errorf("changes told while busy: got %d, want fewer than the 21 made", number)
	}
	stop := errors.New("enough")
	cancel(stop)
	if err := <-done; !errors.Is(err, stop) {
		t.Errorf("Watch: got %v, want the cause of its context", err)
	}
}

func TestARowWrittenAsItWasWakesNobody(t *testing.T) {
	s := open(t)
	put := func(key string) {
		update(t, s, func(tx *store.Tx) error {
			counters().Get(tx, key)
			counters().Put(tx, key, counter{"same", 1})
			return nil
		})
	}
	put("a")
	ctx, cancel := context.WithCancel(t.Context())
	var seen []store.Change
	_ = s.Watch(ctx, func(changes []store.Change) {
		seen = append(seen, changes...)
		if changes == nil {
			put("a")
			put("b")
			return
		}
		cancel()
	})
	if len(seen) != 1 || seen[0].Key != "b" {
		t.Errorf("changes: got %v, want b alone", seen)
	}
}

// BenchmarkUpdate is one read, one change of one row, committed to disk.
func BenchmarkUpdate(b *testing.B) {
	for _, noSync := range []bool{false, true} {
		b.Run(fmt.Sprintf("nosync=%v", noSync), func(b *testing.B) {
			start := time.Now()
			s, err := store.Open(b.Context(), store.Config{Dir: b.TempDir(), NoSync: noSync})
			if err != nil {
				b.Fatalf("Open: %v", err)
			}
			defer s.Close()
			open := time.Since(start)
			for b.Loop() {
				update(b, s, func(tx *store.Tx) error {
					c, _ := counters().Get(tx, "a")
					c.N++
					counters().Put(tx, "a", c)
					return nil
				})
			}
			b.ReportMetric(float64(open.Milliseconds()), "open-ms")
			b.ReportMetric(residentMiB(b), "rss-MiB")
		})
	}
}

// residentMiB is the process's resident memory.
func residentMiB(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return float64(kib) / 1024
}
