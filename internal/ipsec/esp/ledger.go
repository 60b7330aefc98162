package esp

import "sync/atomic"

// Skip is how many sequence numbers a resumed SA leaves out. The ledger is
// exact, so one would do; the rest is a margin. A restart costs an SA without
// ESN 1/65536 of its numbers, and the peer's window simply moves on: any number
// right of it is good, however far (RFC 4303 section 3.4.3).
const Skip = 1 << 16

// A Ledger is where an SA counts, in memory that outlives the process, so that
// whoever goes on with the SA after a crash knows what was used. Each number is
// there before the packet is sent or delivered.
type Ledger struct {
	Sent  *atomic.Uint64 // the sequence number sealed last
	Taken *atomic.Uint64 // the highest one opened
	// Owner is kept alive as long as anybody counts here.
	Owner any
}

// CountIn makes o note in l what it has sealed. If the SA was in use before
// (resumed) o goes on Skip beyond what l says. Call it before the first SealBatch.
func (o *Outbound) CountIn(l *Ledger, resumed bool) {
	if resumed {
		// At the end of the numbers nothing more may be sealed.
		o.last.Store(min(l.Sent.Load(), o.max-Skip) + Skip)
	}
	l.Sent.Store(o.last.Load())
	o.ledger = l
}

// CountIn makes in note in l what it has seen, and believe it: nothing up to
// l.Taken is opened again. Packets that were overtaken by one seen before the
// crash are lost by that. Call it before the first Open.
func (in *Inbound) CountIn(l *Ledger) {
	in.ledger = l
	if top := l.Taken.Load(); top > 0 {
		in.window.begin(top)
	}
}
