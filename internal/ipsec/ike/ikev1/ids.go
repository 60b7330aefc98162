package ikev1

import (
	"encoding/binary"
	"slices"

	"seikan/internal/ipsec/ike/ikev1/wire"
)

// maxQuickIDs bounds the quick modes of one ISAKMP SA, since the message id of
// each is remembered for as long as the SA lives: a request that was recorded
// must not work twice. With a rekey every 15 minutes an SA of 8 hours needs 32.
const maxQuickIDs = 1024

// recentIDs is how many message ids of informational exchanges are remembered.
const recentIDs = 32

// ids are the message ids that one ISAKMP SA has seen, from either end: our
// own, too, since whoever sends our messages back to us must not be heard.
//
// For informational exchanges the last ones do. What comes of a message
// recorded earlier: R-U-THERE has numbers of its own, a DELETE names SAs that
// are gone, INITIAL-CONTACT works once, and other notices are only words.
type ids struct {
	quick   map[uint32]bool
	recent  []uint32
	contact bool // INITIAL-CONTACT was heard in an informational message
}

// knows reports whether id was seen.
func (i *ids) knows(id uint32) bool { return i.quick[id] || slices.Contains(i.recent, id) }

// full reports whether the SA has had all the quick modes that it may have.
func (i *ids) full() bool { return len(i.quick) >= maxQuickIDs }

// add remembers id.
func (i *ids) add(exchange uint8, id uint32) {
	if exchange == wire.QuickMode {
		if i.quick == nil {
			i.quick = map[uint32]bool{}
		}
		i.quick[id] = true
		return
	}
	if len(i.recent) == recentIDs {
		i.recent = append(i.recent[:0], i.recent[1:]...)
	}
	i.recent = append(i.recent, id)
}

// newID draws the message id of our next exchange on s: not zero, which is
// main mode's, and never used before (RFC 2409 section 5.5).
func (m *Machine) newID(t *turn, s *sa, exchange uint8) uint32 {
	for range 8 {
		id := binary.BigEndian.Uint32(m.random(t, 4))
		if id != 0 && !s.ids.knows(id) {
			s.ids.add(exchange, id)
			return id
		}
	}
	t.bug(errIDs)
	return 0
}
