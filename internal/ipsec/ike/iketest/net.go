// Package iketest is for tests: two IKE machines on a wire with a clock of its
// own, which loses, repeats, reorders and translates datagrams as it is told,
// and a runner for scripts that read like the RFC.
//
// It knows machines only by ike.Machine, so that both versions of IKE can use
// it. It opens no socket and reads no clock.
package iketest

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/secret"
)

// A Machine is an ike.Machine that can put into words what its peer sends.
type Machine interface {
	ike.Machine
	Describe(data []byte) string
}

// maxSteps bounds a run: more datagrams than this without an end is a storm.
const maxSteps = 2000

// A Net is two ends, "a" and "b", and the wire between them. The zero value
// is not usable; see NewNet.
type Net struct {
	Now    time.Time
	Ends   [2]*End
	Queue  []Packet      // sent and not yet delivered
	Sent   []Packet      // everything that was sent, in order
	Cut    bool          // everything sent is lost
	NAT    *NAT          // between end a and the wire; nil for none
	Home   [2]netip.Addr // where an end has moved to; what goes elsewhere is lost
	Log    strings.Builder
	Remake func(i int) (Machine, error) // a fresh machine for end i, for reboot
	// Revive makes a machine for end i that goes on with what was exported last.
	Revive func(i int, state secret.Secret) (Machine, error)
	// Crash says, if it is set, whether end i is killed in this step, and when.
	Crash func(i int) Moment
	// Held are datagrams that a script keeps back.
	Held []Packet
	// Watch makes it an error when at any moment, after a Step, ESP would not
	// pass both ways.
	Watch bool
	// Nonces are the ends' sources of randomness, if a script may steer them.
	Nonces [2]*Nonces
	// Extra runs commands that the script's runner does not know.
	Extra   func(n *Net, words []string) error
	start   time.Time
	shown   time.Duration
	numbers map[[2]uint32]int
	failure error
}

// An End is one machine and what it has done to its data plane.
type End struct {
	Name     string
	Machine  Machine
	Inbound  map[uint32]*ike.ChildSA
	Outbound *ike.ChildSA
	Phases   []ike.Phase
	Notices  []ike.Notice
	Kept     secret.Secret // what it exported after its last step; empty: nothing
}

// A Packet is one datagram on the wire, with the addresses that its sender
// gave it.
type Packet struct {
	From int // index in Net.Ends
	ike.Datagram
}

// A NAT translates what end a sends: each of its ports to the public address
// and another port. Rebind makes it forget.
type NAT struct {
	Public netip.Addr
	Shift  uint16 // public port = private port + Shift
}

// A Moment is when in a step a machine is killed.
type Moment int

// The moments. State is kept before anything is sent.
const (
	Never      Moment = iota
	BeforeSend        // its state is kept, and nothing of the step is sent
	AfterSend
)

// NewNet joins two machines at the given time.
func NewNet(now time.Time, a, b Machine) *Net {
	n := &Net{Now: now, start: now, numbers: map[[2]uint32]int{}}
	for i, m := range []Machine{a, b} {
		n.Ends[i] = &End{Name: string(rune('a' + i)), Machine: m, Inbound: map[uint32]*ike.ChildSA{}}
	}
	return n
}

// Err is the first error that a Step returned, or the first thing that cannot
// be: a child removed that was never there, a storm.
func (n *Net) Err() error { return n.failure }

func (n *Net) fail(format string, args ...any) {
	if n.failure == nil {
		n.failure = fmt.Errorf(format, args...)
		n.printf("ERROR %v", n.failure)
	}
}

func (n *Net) printf(format string, args ...any) {
	if at := n.Now.Sub(n.start); at != n.shown {
		fmt.Fprintf(&n.Log, "-- %v\n", at)
		n.shown = at
	}
	fmt.Fprintf(&n.Log, format+"\n", args...)
}

// Step feeds an event to end i and carries out what comes of it.
func (n *Net) Step(i int, ev ike.Event) {
	end, out := n.Ends[i], &ike.Outputs{}
	if err := end.Machine.Step(n.Now, ev, out); err != nil {
		n.fail("%s: %T: %w", end.Name, ev, err)
		return
	}
	if _, timer := ev.(ike.TimerFired); timer {
		if at := end.Machine.Deadline(); !at.IsZero() && !at.After(n.Now) {
			n.fail("%s: wants its timer at %v, which is not after now: it would spin", end.Name, at.Sub(n.Now))
		}
	}
	for _, a := range out.Actions {
		if in, ok := a.(ike.InstallInbound); ok {
			n.act(end, in)
		}
	}
	end.keep()
	killed := Never
	if n.Crash != nil {
		killed = n.Crash(i)
	}
	if killed == BeforeSend {
		n.Restart(i)
		return
	}
	for _, d := range out.Datagrams {
		n.send(i, d)
	}
	for _, a := range out.Actions {
		if _, ok := a.(ike.InstallInbound); !ok {
			n.act(end, a)
		}
	}
	if killed == AfterSend {
		n.Restart(i)
	}
	n.watched()
}

// keep does what the owner does before it sends anything.
func (e *End) keep() {
	e.Kept = secret.Secret{}
	if x, ok := e.Machine.(ike.Exporter); ok {
		state, _ := x.Export()
		e.Kept = secret.New(state.Reveal())
	}
}

// Restart replaces the machine of end i by one that goes on with what was kept,
// as after kill -9: the data plane is gone too.
func (n *Net) Restart(i int) {
	end := n.Ends[i]
	m, err := n.Revive(i, end.Kept)
	if err != nil {
		n.fail("%s: cannot go on: %w", end.Name, err)
		return
	}
	n.printf("%s is killed and goes on", end.Name)
	end.Machine, end.Inbound, end.Outbound = m, map[uint32]*ike.ChildSA{}, nil
	n.Step(i, ike.Resume{})
}

// send puts a datagram on the wire.
func (n *Net) send(i int, d ike.Datagram) {
	p := Packet{From: i, Datagram: d}
	note := ""
	if d.Remote.Port() != 500 {
		note = fmt.Sprintf(" to %d", d.Remote.Port())
	}
	if slices.ContainsFunc(n.Sent, func(q Packet) bool { return q.From == i && bytes.Equal(q.Data, d.Data) }) && len(d.Data) > 1 {
		note += ", again"
	}
	if n.Cut {
		note += ", lost"
	}
	n.printf("%s> %s%s", n.Ends[i].Name, n.Ends[1-i].Machine.Describe(d.Data), note)
	n.Sent = append(n.Sent, p)
	if !n.Cut {
		n.Queue = append(n.Queue, p)
	}
}

// Deliver hands packet p to the other end.
func (n *Net) Deliver(p Packet) {
	d := p.Datagram
	d.Data = bytes.Clone(d.Data)
	d.Local, d.Remote = d.Remote, d.Local
	if n.NAT != nil && p.From == 0 {
		d.Remote = netip.AddrPortFrom(n.NAT.Public, d.Remote.Port()+n.NAT.Shift)
	}
	if n.NAT != nil && p.From == 1 {
		inside := n.Ends[0].Machine.State().Local.Addr()
		if d.Local.Addr() != n.NAT.Public || d.Local.Port()-n.NAT.Shift != 500 && d.Local.Port()-n.NAT.Shift != 4500 {
			n.printf("nat drops %s's datagram to %v", n.Ends[1].Name, d.Local)
			return
		}
		d.Local = netip.AddrPortFrom(inside, d.Local.Port()-n.NAT.Shift)
	}
	if home := n.Home[1-p.From]; home.IsValid() && d.Local.Addr() != home {
		n.printf("lost: %s is no longer at %v", n.Ends[1-p.From].Name, d.Local.Addr())
		return
	}
	n.Step(1-p.From, d)
}

// DeliverNext delivers the oldest packet on the wire and reports whether there
// was one.
func (n *Net) DeliverNext() bool {
	if len(n.Queue) == 0 {
		return false
	}
	p := n.Queue[0]
	n.Queue = n.Queue[1:]
	n.Deliver(p)
	return true
}

// Run delivers until nothing is on the wire. No time passes.
func (n *Net) Run() {
	for range maxSteps {
		if n.failure != nil || !n.DeliverNext() {
			return
		}
	}
	n.fail("more than %d datagrams without an end", maxSteps)
}

// Wait lets time pass, delivering at once whatever is sent.
func (n *Net) Wait(d time.Duration) {
	end := n.Now.Add(d)
	for range maxSteps {
		n.Run()
		if n.failure != nil {
			return
		}
		i, at := n.nextDeadline()
		if i < 0 || at.After(end) {
			n.Now = end
			return
		}
		if at.After(n.Now) {
			n.Now = at
		}
		n.Step(i, ike.TimerFired{})
	}
	n.fail("more than %d timers in %v", maxSteps, d)
}

// nextDeadline is which end wants its timer first, -1 for none.
func (n *Net) nextDeadline() (int, time.Time) {
	which, first := -1, time.Time{}
	for i, e := range n.Ends {
		if at := e.Machine.Deadline(); !at.IsZero() && (which < 0 || at.Before(first)) {
			which, first = i, at
		}
	}
	return which, first
}

// number is a short name for the pair of SPIs of a child, the same at both
// ends.
func (n *Net) number(in, out uint32) int {
	key := [2]uint32{min(in, out), max(in, out)}
	if _, ok := n.numbers[key]; !ok {
		n.numbers[key] = len(n.numbers) + 1
	}
	return n.numbers[key]
}

// act does to the data plane of end what a says.
func (n *Net) act(end *End, a ike.Action) {
	switch a := a.(type) {
	case ike.InstallInbound:
		if end.Inbound[a.SA.SPIIn] != nil {
			n.fail("%s: SPI %08x installed twice", end.Name, a.SA.SPIIn)
		}
		end.Inbound[a.SA.SPIIn] = a.SA
		n.printf("%s: install child %d", end.Name, n.number(a.SA.SPIIn, a.SA.SPIOut))
	case ike.UseOutbound:
		if end.Inbound[a.SA.SPIIn] != a.SA {
			n.fail("%s: SPI %08x used before it was installed", end.Name, a.SA.SPIIn)
		}
		end.Outbound = a.SA
		n.printf("%s: use child %d, %v", end.Name, n.number(a.SA.SPIIn, a.SA.SPIOut), a.SA.Suite)
	case ike.RemoveChild:
		sa := end.Inbound[a.SPIIn]
		if sa == nil {
			n.fail("%s: SPI %08x removed, which is not there", end.Name, a.SPIIn)
			return
		}
		delete(end.Inbound, a.SPIIn)
		if end.Outbound == sa {
			end.Outbound = nil
		}
		n.printf("%s: remove child %d", end.Name, n.number(sa.SPIIn, sa.SPIOut))
	case ike.MovePeer:
		n.printf("%s: peer is at %v, we at %v", end.Name, a.Remote, a.Local)
	case ike.StateChanged:
		end.Phases = append(end.Phases, a.Phase)
		n.printf("%s: %s", end.Name, strings.TrimSuffix(fmt.Sprintf("%v: %s", a.Phase, a.Reason), ": "))
	case ike.Notice:
		end.Notices = append(end.Notices, a)
		if a.Level >= 0 {
			n.printf("%s: %s", end.Name, noticeText(a))
		}
	}
}

// noticeText is a notice as a log would show it, without addresses that every
// line would repeat.
func noticeText(a ike.Notice) string {
	text := "notice: " + a.Text
	for i := 0; i+1 < len(a.Attrs); i += 2 {
		if a.Attrs[i] == "reason" || a.Attrs[i] == "suite" {
			text += fmt.Sprintf(" %v=%q", a.Attrs[i], fmt.Sprint(a.Attrs[i+1]))
		}
	}
	return text
}

// errEncap is what Traffic says of ends that do not agree on ESP in UDP. Both
// take it either way (RFC 7296 section 2.23), yet without trouble on the wire
// they do agree.
var errEncap = errors.New("one end puts ESP into UDP and the other does not")

// Traffic checks that a packet sealed now at either end would be opened at the
// other: that its SA is installed there with the same keys and algorithms. The
// error says what is wrong.
func (n *Net) Traffic() error {
	for i, from := range n.Ends {
		to := n.Ends[1-i]
		out := from.Outbound
		if out == nil {
			return fmt.Errorf("%s has no outbound SA", from.Name)
		}
		in := to.Inbound[out.SPIOut]
		switch {
		case in == nil:
			return fmt.Errorf("%s sends on SPI %08x, which %s does not have", from.Name, out.SPIOut, to.Name)
		case in.Suite != out.Suite && (in.Suite.ESN != out.Suite.ESN || in.Suite.Encr != out.Suite.Encr || in.Suite.KeyBits != out.Suite.KeyBits || in.Suite.Integ != out.Suite.Integ):
			return fmt.Errorf("%s has %v, %s has %v", from.Name, out.Suite, to.Name, in.Suite)
		case !in.KeysIn.Encr.Equal(out.KeysOut.Encr) || !in.KeysIn.Integ.Equal(out.KeysOut.Integ):
			return fmt.Errorf("%s and %s disagree on the keys of SPI %08x", from.Name, to.Name, out.SPIOut)
		case in.KeysIn.Encr.IsZero():
			return fmt.Errorf("SPI %08x has no keys", out.SPIOut)
		case in.Encap != out.Encap:
			return fmt.Errorf("%w: %s %v, %s %v", errEncap, from.Name, out.Encap, to.Name, in.Encap)
		}
	}
	return nil
}
