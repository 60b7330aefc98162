package tunnel

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"seikan/internal/ipsec/ike"
)

// inboxSize is how many IKE datagrams of one kind wait for the machine. When
// there are more the newest is dropped and counted: IKE retransmits, and a
// flood must not hold memory.
const inboxSize = 64

// An inbox is what waits for the machine, each kind in a room of its own, so
// that a flood of what costs nothing to forge drives out none of the rest. Any
// goroutine may put something in; Run takes it out, from all rooms alike. Rooms
// hold pointers, for most are empty for ever.
type inbox struct {
	known   chan *ike.Datagram // of the IKE SA that is up, by its SPIs
	begun   chan *ike.Datagram // of any other that has both SPIs
	first   chan *ike.Datagram // first messages, and what is none
	dropped atomic.Uint64
}

func newInbox() inbox {
	return inbox{
		known: make(chan *ike.Datagram, inboxSize),
		begun: make(chan *ike.Datagram, inboxSize),
		first: make(chan *ike.Datagram, inboxSize),
	}
}

// put adds a copy of d, or drops it, which costs no copy.
func (b *inbox) put(d ike.Datagram, state *ike.Snapshot) {
	room := b.room(d.Data, state)
	if len(room) == cap(room) {
		b.dropped.Add(1)
		return
	}
	kept := d
	kept.Data = bytes.Clone(d.Data)
	select {
	case room <- &kept:
	default: // somebody else was faster
		b.dropped.Add(1)
	}
}

// room is where a message belongs. The SPIs are not proven, but only who sees
// the messages of an SA knows them.
func (b *inbox) room(data []byte, state *ike.Snapshot) chan<- *ike.Datagram {
	if len(data) < ike.HeaderLen {
		return b.first
	}
	initiator, responder := binary.BigEndian.Uint64(data), binary.BigEndian.Uint64(data[8:])
	switch {
	case responder == 0:
		return b.first
	case initiator == state.SPIi && responder == state.SPIr:
		return b.known
	}
	return b.begun
}
