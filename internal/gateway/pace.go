package gateway

import (
	"context"
	"time"
)

// With thousands of tunnels a look at all of them takes long, and something
// happens to one of them all the time: looks may take one part in paceFactor of
// a processor. Looks that are quick do not count, and burst may be spent at once
// before any pause, so that a thousand routes that come or go in pieces are laid
// without one. It is no more, for what is spent while thousands of tunnels come
// up is missing for their setup. No pause is longer than maxPace.
const (
	quick      = 10 * time.Millisecond
	burst      = 500 * time.Millisecond
	paceFactor = 20
	maxPace    = 5 * time.Second
)

// A pace is how much of its share looks have spent.
type pace struct {
	spent time.Duration // beyond what was earned
	at    time.Time     // of the last look's end
}

// after is the pause after a look that took so long and ended now.
func (p *pace) after(took time.Duration, now time.Time) time.Duration {
	if !p.at.IsZero() {
		p.spent = max(0, p.spent-now.Sub(p.at)/paceFactor)
	}
	p.at = now
	if took <= quick {
		return 0
	}
	p.spent += took
	return min(paceFactor*max(0, p.spent-burst), maxPace)
}

// rest waits for d or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
