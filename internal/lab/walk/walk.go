// Package walk leads through a running lab in steps and shows the evidence of
// each: addresses, times, octets.
//
// A walk-through is a list of steps over a lab.World; other topologies may have
// others. A step either holds or returns a Failure that says what was expected,
// what was seen and where to look. The package changes the world only through
// the World and always mends what it broke. The command line calls it.
package walk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"seikan/internal/lab"
)

// A Step is one stop of a walk-through.
type Step struct {
	Title string
	// Run does the step and tells its evidence. The error is a *Failure when
	// the world is not as it should be.
	Run func(ctx context.Context, w lab.World, tell *Teller) error
}

// A Failure is a step that did not hold.
type Failure struct {
	Expected string
	Seen     string
	Look     string // where the cause may be found
}

// Error is one line.
func (f *Failure) Error() string { return fmt.Sprintf("expected %s; saw %s", f.Expected, f.Seen) }

// ErrNotHeld is returned by Run when a step failed; what and why was printed.
var ErrNotHeld = errors.New("the walk-through did not hold")

// A Verdict is how one step went.
type Verdict struct {
	Title string        `json:"title"`
	Held  bool          `json:"held"`
	Error string        `json:"error,omitempty"`
	Took  time.Duration `json:"took"` // nanoseconds
}

// Run does the steps in order, telling each, until one fails: later steps build
// on earlier ones. began is when the lab was started, for the total time.
func Run(ctx context.Context, w lab.World, steps []Step, tell *Teller, began time.Time) ([]Verdict, error) {
	var verdicts []Verdict
	for i, s := range steps {
		tell.title(i+1, s.Title)
		start := time.Now()
		err := s.Run(ctx, w, tell)
		v := Verdict{Title: s.Title, Held: err == nil, Took: time.Since(start)}
		if err != nil {
			v.Error = err.Error()
		}
		verdicts = append(verdicts, v)
		tell.verdict(err, v.Took)
		if err != nil {
			break
		}
	}
	tell.summary(verdicts, len(steps), time.Since(began))
	if err := ctx.Err(); err != nil {
		return verdicts, err
	}
	if n := len(verdicts); n < len(steps) || n > 0 && !verdicts[n-1].Held {
		return verdicts, ErrNotHeld
	}
	return verdicts, nil
}

// A wait is for something that takes its time.
type wait struct {
	what  string        // "the endpoint to be available"
	limit time.Duration // how long it may take
	every time.Duration // how often to look
	// look reports whether it holds, and what is seen meanwhile. An error ends
	// the waiting.
	look func() (holds bool, seen string, err error)
}

// await looks again and again until it holds or took too long.
func await(ctx context.Context, tell *Teller, w wait) error {
	done := tell.Waiting(w.what)
	defer done()
	deadline := time.NewTimer(w.limit)
	defer deadline.Stop()
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		holds, seen, err := w.look()
		if err != nil || holds {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return &Failure{Expected: fmt.Sprintf("%s within %v", w.what, w.limit), Seen: seen}
		}
	}
}
