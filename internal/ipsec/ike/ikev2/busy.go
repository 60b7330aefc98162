package ikev2

import "time"

// A peer that says TEMPORARY_FAILURE is believed for busyFor. Two of them that
// lie further apart than busyGap have nothing to do with each other.
const (
	busyFor = 3 * time.Minute
	busyGap = time.Minute
)

// busyReason is why an IKE SA ends whose peer is busy for ever.
const busyReason = "peer has answered TEMPORARY_FAILURE for minutes; its state and ours no longer agree"

// A busyness is since when the peer of an IKE SA has been too busy to do what
// we ask.
type busyness struct{ since, last time.Time }

// tooLong notes one more TEMPORARY_FAILURE, and reports whether there have
// been nothing else for so long that the two ends cannot be of one mind any
// more: then the IKE SA should be closed (RFC 7296 section 2.25).
func (b *busyness) tooLong(now time.Time) bool {
	if b.since.IsZero() || now.Sub(b.last) > busyGap {
		b.since = now
	}
	b.last = now
	return now.Sub(b.since) >= busyFor
}
