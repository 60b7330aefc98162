// Package reconcile runs a function for keys that need another look, until the
// world is as the store says.
//
// It is level-triggered: a key says where to look, not what happened. A key
// added many times before its turn is handled once; one that fails is handled
// again, later each time. The package knows neither the store nor what a key
// means. The host uses it.
package reconcile

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// A Func brings the world to what is wanted for key, as far as it can now. It
// is called for one key at a time by each worker and never for the same key
// twice at once. After an error the key comes again after a back-off; after
// success it comes again after again, when that is positive.
type Func[K comparable] func(ctx context.Context, key K) (again time.Duration, err error)

// Options tune a Queue; each zero field takes the default beside it.
type Options[K comparable] struct {
	Workers  int           // keys handled at once; 1
	MinDelay time.Duration // before the first retry; 100 ms
	MaxDelay time.Duration // cap of the doubling delay; 30 s
	// OnError is told of each failure, from the worker's goroutine; nil tells
	// nobody.
	OnError func(key K, err error, retry time.Duration)
}

// A Queue holds keys to look at. It holds each key once, so it is bounded by
// the number of keys there are.
type Queue[K comparable] struct {
	fn   Func[K]
	opts Options[K]
	wake chan struct{} // holds one: the state below has changed

	// mu guards the fields below it.
	mu    sync.Mutex
	items map[K]*item[K]
	due   schedule[K]
}

// An item is what is known of one key.
type item[K comparable] struct {
	key      K
	at       time.Time // when it is due; meaningful while index >= 0
	index    int       // in the schedule; -1 when not scheduled
	running  bool
	again    bool // added while running: look once more at once
	failures int  // in a row
}

// New makes a queue that handles keys by fn. It starts nothing: Run does.
func New[K comparable](fn Func[K], opts Options[K]) *Queue[K] {
	if opts.Workers <= 0 {
		opts.Workers = 1
	}
	if opts.MinDelay <= 0 {
		opts.MinDelay = 100 * time.Millisecond
	}
	if opts.MaxDelay <= 0 {
		opts.MaxDelay = 30 * time.Second
	}
	return &Queue[K]{fn: fn, opts: opts, wake: make(chan struct{}, 1), items: make(map[K]*item[K])}
}

// Add asks for a look at key now, even when it waits for a retry or is being
// handled; the count of its failures stands. It may be called at any time, by
// any goroutine.
func (q *Queue[K]) Add(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.itemLocked(key)
	if it.running {
		it.again = true
		return
	}
	q.scheduleLocked(it, time.Now())
}

// Run handles keys until ctx ends. It returns when every call of the function
// has returned; keys still waiting are kept for another Run.
func (q *Queue[K]) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range q.opts.Workers {
		workers.Go(func() { q.work(ctx) })
	}
	workers.Wait()
	return context.Cause(ctx)
}

func (q *Queue[K]) work(ctx context.Context) {
	for {
		it := q.next(ctx)
		if it == nil {
			return
		}
		again, err := q.fn(ctx, it.key)
		q.done(it, again, err)
	}
}

// next waits for a key that is due and takes it; nil means ctx ended.
func (q *Queue[K]) next(ctx context.Context) *item[K] {
	for ctx.Err() == nil {
		it, wait := q.take(time.Now())
		if it != nil {
			return it
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-q.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	q.signal() // let the next worker see the end too, and the next Run the keys
	return nil
}

// idle is how long a worker sleeps when nothing is scheduled; a signal ends it
// sooner.
const idle = time.Hour

// take removes the first key that is due, or says how long to wait for one.
func (q *Queue[K]) take(now time.Time) (*item[K], time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.due) == 0 {
		return nil, idle
	}
	it := q.due[0]
	if wait := it.at.Sub(now); wait > 0 {
		return nil, wait
	}
	heap.Pop(&q.due)
	it.running = true
	if len(q.due) > 0 {
		q.signal() // another worker may have the next one
	}
	return it, 0
}

// done decides when the key comes again, if at all.
func (q *Queue[K]) done(it *item[K], again time.Duration, err error) {
	q.mu.Lock()
	now, retry := time.Now(), time.Duration(0)
	it.running = false
	if err != nil {
		retry = q.backOff(it.failures)
		it.failures++
		again = retry
	} else {
		it.failures = 0
	}
	switch {
	case it.again:
		it.again = false
		q.scheduleLocked(it, now)
	case again > 0:
		q.scheduleLocked(it, now.Add(again))
	default:
		delete(q.items, it.key)
	}
	q.mu.Unlock()
	if err != nil && q.opts.OnError != nil {
		q.opts.OnError(it.key, err, retry)
	}
}

// backOff is the delay after failures earlier failures: doubled each time up
// to the cap, then a random half of it spread, so that keys that failed
// together do not come back together.
func (q *Queue[K]) backOff(failures int) time.Duration {
	d := q.opts.MinDelay
	for range failures {
		if d *= 2; d >= q.opts.MaxDelay {
			d = q.opts.MaxDelay
			break
		}
	}
	return d/2 + rand.N(d/2+1)
}

func (q *Queue[K]) itemLocked(key K) *item[K] {
	it := q.items[key]
	if it == nil {
		it = &item[K]{key: key, index: -1}
		q.items[key] = it
	}
	return it
}

// scheduleLocked makes it due at at, or leaves an earlier date.
func (q *Queue[K]) scheduleLocked(it *item[K], at time.Time) {
	switch {
	case it.index < 0:
		it.at = at
		heap.Push(&q.due, it)
	case at.Before(it.at):
		it.at = at
		heap.Fix(&q.due, it.index)
	}
	q.signal()
}

// signal wakes one worker.
func (q *Queue[K]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
