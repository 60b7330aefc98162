package ikev1

import (
	"encoding/binary"
	"slices"

	"seikan/internal/ipsec/ike/ikev1/wire"
)

// maxLastingIDs bounds the message ids of one ISAKMP SA that are remembered for
// as long as it lives: those of quick modes and of error notices, which must not
// work twice when somebody has recorded them. With a rekey every 15 minutes an
// SA of 8 hours needs 32.
const maxLastingIDs = 1024

// recentIDs is how many message ids of other informational exchanges are
// remembered.
const recentIDs = 32

// ids are the message ids that one ISAKMP SA has seen, from either end: our
// own, too, since whoever sends our messages back to us must not be heard.
//
// For most informational exchanges the last ones do. What comes of a message
// recorded earlier: R-U-THERE has numbers of its own, a DELETE names SAs that
// are gone, INITIAL-CONTACT works once, and other status notices are only words.
// An error would end the quick mode that is under way, so it is remembered.
type ids struct {
	lasting map[uint32]bool
	recent  []uint32
	contact bool // INITIAL-CONTACT was heard in an informational message
}

// knows reports whether id was seen.
func (i *ids) knows(id uint32) bool { return i.lasting[id] || slices.Contains(i.recent, id) }

// full reports whether the SA remembers all that it may.
func (i *ids) full() bool { return len(i.lasting) >= maxLastingIDs }

// keep remembers id for as long as the SA lives.
func (i *ids) keep(id uint32) {
	if i.lasting == nil {
		i.lasting = map[uint32]bool{}
	}
	i.lasting[id] = true
}

// add remembers id for a while.
func (i *ids) add(id uint32) {
	if len(i.recent) == recentIDs {
		i.recent = append(i.recent[:0], i.recent[1:]...)
	}
	i.recent = append(i.recent, id)
}

// note remembers the id of an informational message that holds list. It reports
// whether the message may be heard: an error must not be when there is no room
// for its id.
func (i *ids) note(id uint32, list []wire.Payload) bool {
	if _, ok := wire.FindError(list); !ok {
		i.add(id)
		return true
	}
	if i.full() {
		return false
	}
	i.keep(id)
	return true
}

// newID draws the message id of our next exchange on s: not zero, which is
// main mode's, and never used before (RFC 2409 section 5.5).
// With lasting it is remembered for as long as s lives.
func (m *Machine) newID(t *turn, s *sa, lasting bool) uint32 {
	for range 8 {
		id := binary.BigEndian.Uint32(m.random(t, 4))
		if id != 0 && !s.ids.knows(id) {
			if lasting {
				s.ids.keep(id)
			} else {
				s.ids.add(id)
			}
			return id
		}
	}
	t.bug(errIDs)
	return 0
}
