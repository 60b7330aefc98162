package dataplane

import "sync/atomic"

// Counters is what a tunnel carried since it was made. Octets are those of
// inner packets.
type Counters struct {
	PacketsIn, BytesIn   uint64
	PacketsOut, BytesOut uint64
	// Sequence is the last ESP sequence number used on the outbound SA, 0
	// without one.
	Sequence uint64
	Drops    Drops
}

// Drops counts packets that were not delivered, by cause.
type Drops struct {
	// Outwards.
	NoSA      uint64 // no outbound SA
	TooBig    uint64 // larger than the MTU and not to be fragmented
	Exhausted uint64 // the sequence numbers of the SA are used up
	NoBuffer  uint64 // the socket did not take the packet
	// Both ways.
	Selector  uint64 // outside the traffic selectors
	Malformed uint64 // not an IP packet; or ESP of an impossible length, padding or content
	// Inwards.
	Replay uint64 // sequence number seen before or too old
	Auth   uint64 // the integrity check failed
	Device uint64 // the TUN did not take the packet
	// Congested packets were marked on the way, and their senders do not
	// understand marks: a loss tells them the same (RFC 6040 section 4.2).
	Congested uint64
}

// OutsideCounters is what an outside address received that belongs to no
// tunnel.
type OutsideCounters struct {
	IKE        uint64 // datagrams handed to OnIKE
	Keepalives uint64 // NAT keepalives
	UnknownSPI uint64 // ESP for no SA
	Malformed  uint64 // too short for either
}

// counters are a tunnel's. They are added to once a batch.
type counters struct {
	packetsIn, bytesIn, packetsOut, bytesOut   atomic.Uint64
	noSA, tooBig, exhausted, noBuffer          atomic.Uint64
	selectorOut, malformedOut                  atomic.Uint64
	selectorIn, malformedIn, replay, auth, dev atomic.Uint64
	congested                                  atomic.Uint64
	lastInbound                                atomic.Int64 // nanoseconds since Engine.epoch; 0 is never
}

// A tally is what one batch adds to a tunnel's counters.
type tally struct {
	packets, bytes                    uint64
	noSA, tooBig, exhausted, noBuffer uint64
	selector, malformed               uint64
	replay, auth, dev, congested      uint64
}

// add adds n to c unless it is 0, as most are.
func add(c *atomic.Uint64, n uint64) {
	if n != 0 {
		c.Add(n)
	}
}

// flushOut adds y, a batch from the TUN, and empties it.
func (c *counters) flushOut(y *tally) {
	add(&c.packetsOut, y.packets)
	add(&c.bytesOut, y.bytes)
	add(&c.noSA, y.noSA)
	add(&c.tooBig, y.tooBig)
	add(&c.exhausted, y.exhausted)
	add(&c.noBuffer, y.noBuffer)
	add(&c.selectorOut, y.selector)
	add(&c.malformedOut, y.malformed)
	*y = tally{}
}

// flushIn adds y, a batch from outside, and empties it.
func (c *counters) flushIn(y *tally) {
	add(&c.packetsIn, y.packets)
	add(&c.bytesIn, y.bytes)
	add(&c.selectorIn, y.selector)
	add(&c.malformedIn, y.malformed)
	add(&c.replay, y.replay)
	add(&c.auth, y.auth)
	add(&c.dev, y.dev)
	add(&c.congested, y.congested)
	*y = tally{}
}

// snapshot reads the counters; Sequence is left to the caller.
func (c *counters) snapshot() Counters {
	return Counters{
		PacketsIn: c.packetsIn.Load(), BytesIn: c.bytesIn.Load(),
		PacketsOut: c.packetsOut.Load(), BytesOut: c.bytesOut.Load(),
		Drops: Drops{
			NoSA: c.noSA.Load(), TooBig: c.tooBig.Load(),
			Exhausted: c.exhausted.Load(), NoBuffer: c.noBuffer.Load(),
			Selector:  c.selectorOut.Load() + c.selectorIn.Load(),
			Malformed: c.malformedOut.Load() + c.malformedIn.Load(),
			Replay:    c.replay.Load(), Auth: c.auth.Load(), Device: c.dev.Load(), Congested: c.congested.Load(),
		},
	}
}
