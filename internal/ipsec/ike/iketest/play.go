package iketest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"seikan/internal/ipsec/ike"
)

// maxPlayed bounds a program, in octets.
const maxPlayed = 400

// maxInbound is how many CHILD SAs an end may have installed at once, whatever
// its peer and strangers do.
const maxInbound = 64

// maxQueued is how many datagrams the wire holds; older ones are lost.
const maxQueued = 64

// A Play does to a Net what a program of octets says: what a wire may do to
// datagrams, what a stranger may send who reads along, what a peer may say who
// has the keys, and what an operator may ask. After each step it looks whether
// something happened that must not. Fuzz targets write the programs.
type Play struct {
	*Net
	// Seal makes an authentic message that end from sends: of an SA and with a
	// message id that pick chooses, with inner as its payloads, the first of
	// which is of type first. It is nil when there are no keys yet.
	Seal func(from int, pick, exchange, first byte, inner []byte) []byte
	// Covers reports whether a message that was changed under way to data is
	// proven to be changed. Nil: it is, whatever was changed.
	Covers func(data []byte) bool
	// Bounds looks at what the machines hold. Nil: nobody can look inside.
	Bounds func() error

	// Lied says that a peer has said something authentic that its machine did
	// not.
	Lied bool

	program []byte
}

// Run carries the program out. The error is the first thing that must not
// happen.
func (p *Play) Run(program []byte) error {
	p.program = program[:min(len(program), maxPlayed)]
	for i, e := range p.Ends {
		p.Home[i] = e.Machine.State().Local.Addr() // what goes to where it is not is lost
	}
	for len(p.program) > 0 && p.Err() == nil {
		p.one()
		p.Queue = p.Queue[max(0, len(p.Queue)-maxQueued):]
		for i, e := range p.Ends {
			if len(e.Inbound) > maxInbound {
				p.fail("%s: %d CHILD SAs installed, want at most %d", p.Ends[i].Name, len(e.Inbound), maxInbound)
			}
		}
		if p.Bounds != nil && p.Err() == nil {
			if err := p.Bounds(); err != nil {
				p.fail("%w", err)
			}
		}
	}
	return p.Err()
}

// next is the next octet of the program; when it is over, 0.
func (p *Play) next() byte {
	if len(p.program) == 0 {
		return 0
	}
	b := p.program[0]
	p.program = p.program[1:]
	return b
}

// some is up to n octets of the program.
func (p *Play) some(n byte) []byte {
	out := p.program[:min(len(p.program), int(n))]
	p.program = p.program[len(out):]
	return bytes.Clone(out)
}

// one carries out one instruction.
func (p *Play) one() {
	op, arg := p.next(), p.next()
	end := int(arg & 1)
	switch op % 16 {
	case 0, 1, 2: // the wire does what it should
		for range 1 + arg%8 {
			p.DeliverNext()
		}
	case 3: // another first, or twice, or never
		p.handle(arg, p.next())
	case 4: // something old, once more
		if len(p.Sent) > 0 {
			p.Deliver(p.Sent[(int(arg)<<8|int(p.next()))%len(p.Sent)])
		}
	case 5: // a message goes back to where it came from
		if old, ok := p.pick(arg, p.next()); ok {
			p.Step(old.From, p.to(old.From, old.Data))
		}
	case 6, 7:
		p.change(arg)
	case 8: // anything
		p.Forge(end, p.some(p.next()))
	case 9:
		p.header(end)
	case 10, 11:
		p.lie(arg)
	case 12: // from elsewhere
		if old, ok := p.pick(arg, p.next()); ok {
			d := p.to(1-old.From, old.Data)
			d.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, arg}), uint16(arg)<<8|1)
			p.Step(1-old.From, d)
		}
	case 13:
		p.pass(time.Duration(arg) * time.Duration(arg) * 50 * time.Millisecond)
	case 14:
		p.ask(end, p.next())
	case 15:
		p.Cut = arg%4 == 0
	}
}

// to is data as it comes to end i from its peer.
func (p *Play) to(i int, data []byte) ike.Datagram {
	at := p.Ends[i].Machine.State()
	return ike.Datagram{Local: at.Local, Remote: at.Remote, Data: bytes.Clone(data)}
}

// pick is a datagram that was sent.
func (p *Play) pick(high, low byte) (Packet, bool) {
	if len(p.Sent) == 0 {
		return Packet{}, false
	}
	return p.Sent[(int(high>>1)<<8|int(low))%len(p.Sent)], true
}

// handle takes the datagram at a place of the queue and delivers it, leaves it
// there besides, or loses it.
func (p *Play) handle(at, how byte) {
	if len(p.Queue) == 0 {
		return
	}
	i := int(at) % len(p.Queue)
	d := p.Queue[i]
	if how%3 != 0 {
		p.Queue = slices.Delete(slices.Clone(p.Queue), i, i+1)
	}
	if how%3 != 2 {
		p.Deliver(d)
	}
}

// change delivers a message with some of its octets changed, added or cut off.
func (p *Play) change(arg byte) {
	old, ok := p.pick(arg, p.next())
	if !ok || len(old.Data) == 0 {
		return
	}
	how := p.next()
	at := (int(p.next())<<8 | int(p.next())) % len(old.Data)
	patch := p.some(p.next() % 24)
	data := append(bytes.Clone(old.Data[:at]), patch...)
	switch how % 3 {
	case 0:
		data = append(data, old.Data[min(len(old.Data), at+len(patch)):]...)
	case 1:
		data = append(data, old.Data[at:]...)
	}
	if how&4 == 0 && len(data) >= ike.HeaderLen {
		binary.BigEndian.PutUint32(data[24:], uint32(len(data)))
	}
	end := 1 - old.From
	if how&8 != 0 {
		end = old.From
	}
	p.Forge(end, data)
}

// header delivers a message that begins like one of an SA that end i has, and
// has anything in it.
func (p *Play) header(i int) {
	at, what := p.Ends[i].Machine.State(), p.some(8)
	if len(what) < 8 {
		return
	}
	h := ike.Header{SPIi: at.SPIi, SPIr: at.SPIr, Next: what[0], Version: what[1], Exchange: what[2], Flags: what[3], MessageID: uint32(what[4])}
	switch what[5] % 4 {
	case 0:
		h.SPIr = 0
	case 1:
		h.SPIi = uint64(what[6])
	}
	inner := p.some(what[7])
	p.Forge(i, append(h.Append(nil, ike.HeaderLen+len(inner)), inner...))
}

// Forge delivers to end i what its peer has not said. If a tunnel is up it must
// stay exactly what it is, and at most one message may be sent for it.
func (p *Play) Forge(i int, data []byte) {
	if p.genuine(data) {
		return
	}
	if p.Covers != nil && !p.Covers(data) {
		p.Step(i, p.to(i, data))
		return
	}
	p.unmoved(i, p.to(i, data))
}

// genuine reports whether data was sent after all, or was but for its header
// and what follows it, neither of which a hash of IKEv1 covers.
func (p *Play) genuine(data []byte) bool {
	if len(data) < ike.HeaderLen {
		return false
	}
	return slices.ContainsFunc(p.Sent, func(q Packet) bool {
		if data[17]>>4 == 1 {
			return len(q.Data) > ike.HeaderLen && bytes.HasPrefix(data[ike.HeaderLen:], q.Data[ike.HeaderLen:])
		}
		return bytes.Equal(q.Data, data)
	})
}

// unmoved feeds end i a datagram that must not change a tunnel that is up.
func (p *Play) unmoved(i int, d ike.Datagram) {
	end := p.Ends[i]
	before, out, sent := plain(*end.Machine.State()), end.Outbound, len(p.Sent)
	inbound := len(end.Inbound)
	p.Step(i, d)
	if p.Err() != nil || before.Phase != ike.Established && before.Phase != ike.Authed {
		return
	}
	if after := plain(*end.Machine.State()); !reflect.DeepEqual(before, after) {
		p.fail("%s: %x, which proves nothing, changed\n%+v to\n%+v", end.Name, d.Data, before, after)
	}
	if end.Outbound != out || len(end.Inbound) != inbound {
		p.fail("%s: %x, which proves nothing, changed the CHILD SAs", end.Name, d.Data)
	}
	if got := len(p.Sent) - sent; got > 1 {
		p.fail("%s: %x, which proves nothing, had %d datagrams sent", end.Name, d.Data, got)
	}
}

// plain is s without what anybody may change.
func plain(s ike.Snapshot) ike.Snapshot {
	s.Retransmits = 0
	return s
}

// lie delivers something that a peer with the keys says.
func (p *Play) lie(arg byte) {
	from := int(arg & 1)
	pick, exchange, first := p.next(), p.next(), p.next()
	inner := p.some(p.next())
	if p.Seal == nil {
		return
	}
	if data := p.Seal(from, pick, exchange, first, inner); data != nil {
		p.Lied = true
		p.Step(1-from, p.to(1-from, data))
	}
}

// pass lets time go by, with the timers at both ends, but delivers nothing.
func (p *Play) pass(d time.Duration) {
	until := p.Now.Add(d)
	for range 64 {
		i, at := p.nextDeadline()
		if i < 0 || at.After(until) || p.Err() != nil {
			break
		}
		if at.After(p.Now) {
			p.Now = at
		}
		p.Step(i, ike.TimerFired{})
	}
	if until.After(p.Now) && p.due() {
		until = p.Now
	}
	p.Now = until
}

// due reports whether a timer waits.
func (p *Play) due() bool {
	_, at := p.nextDeadline()
	return !at.IsZero() && !at.After(p.Now)
}

// ask feeds end i an event of its owner.
func (p *Play) ask(i int, what byte) {
	switch what % 6 {
	case 0:
		p.Step(i, ike.Initiate{})
	case 1, 2:
		p.Step(i, ike.RekeyChild{})
	case 3, 4:
		p.Step(i, ike.RekeyIKE{})
	case 5:
		p.Step(i, ike.PeerAlive{At: p.Now})
	}
}

// Settle mends the wire and lets some minutes pass. Whatever went before, if
// nobody lied both ends have a tunnel then that carries traffic.
func (p *Play) Settle() error {
	p.Cut = false
	p.Wait(6 * time.Minute)
	if err := p.Err(); err != nil || p.Lied {
		return err
	}
	if err := p.Traffic(); err != nil && !errors.Is(err, errEncap) {
		return fmt.Errorf("after some minutes without trouble: %w", err)
	}
	return nil
}

// RandomProgram is a program for Play that r chooses.
func RandomProgram(r *rand.Rand) []byte {
	out := make([]byte, r.IntN(maxPlayed))
	for i := range out {
		out[i] = byte(r.Uint32())
	}
	return out
}
