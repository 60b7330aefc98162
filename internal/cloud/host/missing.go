package host

import (
	"slices"
	"time"
)

// The host looks again for what waits for a link that somebody else makes, such as
// a worker's TUN: first after lookForLinks, then each time after as long as it has
// waited, at most lookForLinksMost. What a worker that cannot make its TUN costs is
// then a look now and then.
const (
	lookForLinks     = 250 * time.Millisecond
	lookForLinksMost = 5 * time.Second
)

// missing remembers since when the same links are missing. Its zero value is ready;
// one goroutine at a time uses it.
type missing struct {
	what  []string
	since time.Time
}

// wait is how soon to look again when a look at now has found that what waits; 0
// when nothing does. Anything that came or went begins anew.
func (m *missing) wait(what []string, now time.Time) time.Duration {
	what = slices.Sorted(slices.Values(what))
	if !slices.Equal(what, m.what) {
		m.what, m.since = what, now
	}
	if len(what) == 0 {
		return 0
	}
	return min(max(now.Sub(m.since), lookForLinks), lookForLinksMost)
}
