package tunnel

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"seikan/internal/ipsec/ike"
)

// inboxSize is how many IKE datagrams of one kind wait for the machine. When
// there are more the newest is dropped and counted: IKE retransmits, and a
// flood must not hold memory.
const inboxSize = 64

// The rooms of an inbox.
const (
	known = iota // of the IKE SA that is up, by its SPIs
	begun        // of any other that has both SPIs
	first        // first messages, and what is none
	rooms
)

// An inbox is what waits for the machine, each kind in a room of its own, so
// that a flood of what costs nothing to forge drives out none of the rest. Any
// goroutine may put something in; Run takes it out, from all rooms alike. Rooms
// are as large as they must be, for most are empty for ever.
type inbox struct {
	waits   chan struct{} // holds a token while something may wait
	dropped atomic.Uint64

	mu    sync.Mutex // guards the fields below it
	rooms [rooms][]ike.Event
	last  int // the room that something was taken from last
}

func newInbox() *inbox { return &inbox{waits: make(chan struct{}, 1)} }

// put adds a copy of d, or drops it, which costs no copy.
func (b *inbox) put(d ike.Datagram, state *ike.Snapshot) {
	if !b.add(room(d.Data, state), d) {
		b.dropped.Add(1)
		return
	}
	b.wake()
}

// add puts a copy of d into a room; false when that is full.
func (b *inbox) add(room int, d ike.Datagram) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.rooms[room]) == inboxSize {
		return false
	}
	d.Data = bytes.Clone(d.Data)
	b.rooms[room] = append(b.rooms[room], d)
	return true
}

func (b *inbox) wake() {
	select {
	case b.waits <- struct{}{}:
	default:
	}
}

// take, called for a token, is the oldest of the next room in turn; false when
// nothing waits.
func (b *inbox) take() (ike.Event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range rooms {
		b.last = (b.last + 1) % rooms
		if room := b.rooms[b.last]; len(room) > 0 {
			d := room[0]
			b.rooms[b.last] = slices.Delete(room, 0, 1)
			if b.anyLocked() {
				b.wake()
			}
			return d, true
		}
	}
	return nil, false
}

// anyLocked reports whether something waits. The caller holds b.mu.
func (b *inbox) anyLocked() bool {
	for _, room := range b.rooms {
		if len(room) > 0 {
			return true
		}
	}
	return false
}

// room is where a message belongs. The SPIs are not proven, but only who sees
// the messages of an SA knows them.
func room(data []byte, state *ike.Snapshot) int {
	if len(data) < ike.HeaderLen {
		return first
	}
	initiator, responder := binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[8:])
	switch {
	case responder == 0:
		return first
	case initiator == state.SPIi && responder == state.SPIr:
		return known
	}
	return begun
}
