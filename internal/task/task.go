// Package task runs the named parts of a process: until the first of them
// ends, then it stops the rest in the reverse order of their start and waits
// for each.
//
// It starts a part when the part before it is ready, so the order of the list
// is the order of dependency. It keeps no state between runs, installs no
// signal handler and logs nothing. Any package may use it; usually a verb does.
package task

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrStopped is what a part that ended by itself without an error counts as,
// when it was not meant to: every part runs until it is told to stop.
var ErrStopped = errors.New("ended without being asked to")

// A Part is one named thing that runs.
type Part struct {
	// Name appears in errors, such as "customer gateway".
	Name string
	// Run blocks until ctx ends or it cannot go on. It calls ready once, when
	// what depends on it may start; a part that returns without having called
	// it keeps the parts after it from starting.
	Run func(ctx context.Context, ready func()) error
	// Grace is how long Run may take to return after its context ended; 0
	// means 5 s. A part that takes longer is named in the error and left.
	Grace time.Duration
	// MayEnd says that a nil return is no reason to stop the others.
	MayEnd bool
}

const defaultGrace = 5 * time.Second

// started is a part whose goroutine runs.
type started struct {
	part   Part
	cancel context.CancelFunc
	ready  chan struct{}
	done   chan struct{}
	err    error // valid after done is closed
}

// Run starts the parts in order, each when the one before it is ready, calls
// ready after the last is, and blocks until ctx ends or a part does. It then
// stops what runs, last first, waiting for each before it stops the next.
//
// The error joins, with the parts' names, the one that ended the run and what
// went wrong while stopping. When ctx ended and all stopped in time it is nil.
func Run(ctx context.Context, ready func(), parts ...Part) error {
	failed := make(chan *started, len(parts))
	var running []*started
	all, err := start(ctx, &running, failed, parts)
	if all && ready != nil {
		ready()
	}
	if err == nil {
		select {
		case <-ctx.Done():
		case s := <-failed:
			err = s.verdict()
		}
	}
	return errors.Join(err, stop(running))
}

// start starts the parts one after the other, appending to running, and reports
// whether all are ready. That ctx ended meanwhile is no error.
func start(ctx context.Context, running *[]*started, failed chan *started, parts []Part) (all bool, err error) {
	for _, p := range parts {
		if ctx.Err() != nil {
			return false, nil
		}
		s := launch(ctx, p, failed)
		*running = append(*running, s)
		select {
		case <-s.ready:
		case f := <-failed:
			return false, f.verdict()
		case <-ctx.Done():
			return false, nil
		}
	}
	return true, nil
}

// launch runs p with a context that ends only when stop says so: the parts end
// in order, not all at once when the caller's context does.
func launch(ctx context.Context, p Part, failed chan<- *started) *started {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &started{part: p, cancel: cancel, ready: make(chan struct{}), done: make(chan struct{})}
	var once sync.Once
	go func() {
		s.err = p.Run(own, func() { once.Do(func() { close(s.ready) }) })
		close(s.done)
		if s.err == nil && p.MayEnd {
			once.Do(func() { close(s.ready) })
			return
		}
		failed <- s // buffered for every part
	}()
	return s
}

// verdict is why the part that ended first ended.
func (s *started) verdict() error {
	if s.err == nil {
		return fmt.Errorf("%s: %w", s.part.Name, ErrStopped)
	}
	return fmt.Errorf("%s: %w", s.part.Name, s.err)
}

// stop ends the parts, last first. Errors of parts that ended because they
// were told to are reported unless they are the context's own.
func stop(running []*started) (err error) {
	for i := len(running) - 1; i >= 0; i-- {
		s := running[i]
		select {
		case <-s.done:
			continue // it is the one that ended first, or may end
		default:
		}
		s.cancel()
		err = errors.Join(err, s.wait())
	}
	return err
}

func (s *started) wait() error {
	grace := s.part.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-timer.C:
		return fmt.Errorf("%s: still running %v after it was told to stop", s.part.Name, grace)
	case <-s.done:
	}
	if s.err != nil && !errors.Is(s.err, context.Canceled) {
		return fmt.Errorf("stopping %s: %w", s.part.Name, s.err)
	}
	return nil
}
