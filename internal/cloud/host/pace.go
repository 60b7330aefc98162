package host

import "time"

// What a peer announces may change as often as it likes, and each change is a
// transaction of the store and a new plan. Of one connection that is nothing but such
// changes, changesAtOnce are written as they come and then one each changesEvery: the
// last state there is, so that none is lost. What a tunnel's state is, is not held up.
const (
	changesEvery  = time.Second
	changesAtOnce = 5
)

// A pace is what one connection has used of that: the moment when it would be as one
// that never changed. Its zero value is one that has not.
type pace struct{ rested time.Time }

// take takes one change at now. When there is none to be had it takes nothing and says
// after how long there will be.
func (p *pace) take(now time.Time) (wait time.Duration) {
	if p.rested.Before(now) {
		p.rested = now
	}
	if wait = p.rested.Sub(now) - (changesAtOnce-1)*changesEvery; wait > 0 {
		return wait
	}
	p.rested = p.rested.Add(changesEvery)
	return 0
}
