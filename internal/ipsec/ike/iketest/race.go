package iketest

import (
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"seikan/internal/ipsec/ike"
)

// nonceLen is the length in octets of the nonces of both versions; nothing
// else that a machine draws is of that length, unless it uses Curve25519.
const nonceLen = 32

// Nonces is a source of randomness whose nonces begin as a script says, so
// that it can decide which of several is the lowest.
type Nonces struct {
	Rand io.Reader
	next []byte
}

// Read fills p; if p is a nonce its first octet is the next one asked for.
func (s *Nonces) Read(p []byte) (int, error) {
	n, err := io.ReadFull(s.Rand, p)
	if len(p) == nonceLen && len(s.next) > 0 {
		p[0], s.next = s.next[0], s.next[1:]
	}
	return n, err
}

// watched reports a moment at which ESP does not pass.
func (n *Net) watched() {
	if !n.Watch || n.failure != nil {
		return
	}
	if err := n.Traffic(); err != nil {
		n.fail("while watched: %w", err)
	}
}

// race runs the commands that make messages meet.
func (n *Net) race(words []string) error {
	switch words[0] {
	case "up":
		return n.up()
	case "settled":
		n.settled()
	case "toa":
		return n.toA(words[len(words)-1])
	case "watch":
		n.Watch = true
		n.watched()
	case "unwatch":
		n.Watch = false
	case "hold":
		i := 0
		if len(words) > 1 {
			if _, err := fmt.Sscan(words[1], &i); err != nil {
				return err
			}
		}
		if i < 0 || i >= len(n.Queue) {
			return fmt.Errorf("%d packets on the wire, not %d", len(n.Queue), i+1)
		}
		n.Held = append(n.Held, n.Queue[i])
		n.Queue = slices.Delete(slices.Clone(n.Queue), i, i+1)
	case "release":
		n.Queue, n.Held = append(n.Queue, n.Held...), nil
	case "nonce":
		if len(words) < 3 || n.Nonces[0] == nil {
			return fmt.Errorf("%v: an end and its next nonces", words)
		}
		first, err := hex.DecodeString(strings.Join(words[2:], ""))
		if err != nil {
			return err
		}
		n.Nonces[words[1][0]-'a'].next = first
	}
	return nil
}

// up has end a establish, without a word.
func (n *Net) up() error {
	log := n.Log.String()
	n.Step(0, ike.Initiate{})
	n.Run()
	n.Log.Reset()
	n.Log.WriteString(log)
	return n.Traffic()
}

// Kept is implemented by machines that tell how many SAs they hold, those on
// their way out included.
type Kept interface {
	Kept() (ikes, children int)
}

// settled delivers what there is, waits until what was replaced must be
// forgotten, and prints what is left.
func (n *Net) settled() {
	n.Watch = false
	n.Wait(40 * time.Second)
	for _, e := range n.Ends {
		text := fmt.Sprintf("%s is %v", e.Name, e.Machine.State().Phase)
		if k, ok := e.Machine.(Kept); ok {
			ikes, children := k.Kept()
			text += fmt.Sprintf(", holds %d IKE, %d CHILD", ikes, children)
		}
		if len(e.Inbound) != 1 || e.Outbound == nil {
			text += fmt.Sprintf(", %d inbound, outbound %v", len(e.Inbound), e.Outbound != nil)
		}
		n.printf("%s", text)
	}
	if a, b := n.Ends[0].Machine.State(), n.Ends[1].Machine.State(); a.SPIi != b.SPIi || a.SPIr != b.SPIr {
		n.printf("the ends are on different IKE SAs")
	}
	if err := n.Traffic(); err != nil {
		n.printf("no traffic: %v", err)
		return
	}
	n.printf("traffic passes on child %d", n.number(n.Ends[0].Outbound.SPIIn, n.Ends[0].Outbound.SPIOut))
}

// runHow is Run, on a wire that repeats.
func (n *Net) runHow(how string) error {
	switch how {
	case "":
		n.Run()
	case "twice", "forward":
		for range maxSteps {
			if n.failure != nil || len(n.Queue) == 0 {
				return nil
			}
			n.repeat(n.Queue[0], how == "forward")
		}
		n.fail("more than %d datagrams without an end", maxSteps)
	default:
		return fmt.Errorf("run %s: twice or forward", how)
	}
	return nil
}

// repeat delivers p, the oldest on the wire, twice, or if it was never sent
// before with all that its sender sent before it.
func (n *Net) repeat(p Packet, all bool) {
	n.Queue = n.Queue[1:]
	var before []Packet
	for _, q := range n.Sent {
		if q.From == p.From && !slices.Equal(q.Data, p.Data) {
			before = append(before, q)
		}
	}
	if repeated := len(n.Sent) - len(slices.DeleteFunc(slices.Clone(n.Sent), func(q Packet) bool { return slices.Equal(q.Data, p.Data) })); all && repeated > 1 {
		before = nil
	}
	if !all {
		before = []Packet{p}
	}
	for _, q := range before {
		n.Deliver(q)
	}
	n.Deliver(p)
}

// extra runs a command of the script's owner.
func (n *Net) extra(words []string) error {
	if n.Extra == nil {
		return fmt.Errorf("unknown command %q", strings.Join(words, " "))
	}
	return n.Extra(n, words)
}

// A Weather is what a wire does to datagrams.
type Weather struct {
	Rand *rand.Rand
	Loss float64 // probability of losing one
}

// Storm plays what the ends do in a block of a script, over a wire that loses,
// repeats and reorders instead of doing what the script says, up to a minute
// of quiet on a good wire at the end.
func (b Block) Storm(make Maker, w Weather) (*Net, error) {
	var n *Net
	for _, line := range b.Commands {
		words := strings.Fields(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if words[0] == "pair" {
			made, err := make(words[1:])
			if err != nil {
				return nil, err
			}
			n = made
			continue
		}
		if n == nil {
			return nil, errNoPair
		}
		if err := n.storm(words, w); err != nil {
			return n, fmt.Errorf("%s: %w", line, err)
		}
		if n.Err() != nil {
			return n, fmt.Errorf("%s: %w", line, n.Err())
		}
	}
	n.Queue, n.Held, n.Cut = append(n.Queue, n.Held...), nil, false
	n.settle()
	return n, n.Err()
}

// storm runs one command of a storm.
func (n *Net) storm(words []string, w Weather) error {
	switch words[0] {
	case "run", "deliver", "drop", "dup", "hold", "release", "toa":
		n.muddle(w.Rand, w.Loss)
	case "up":
		n.Step(0, ike.Initiate{})
		n.comeUp(w)
	case "watch", "unwatch", "traffic", "settled", "state", "list", "cut", "heal", "replay", "forge", "nonce":
	case "wait":
		n.muddle(w.Rand, w.Loss)
		n.waitOne()
	default:
		if err := n.command(words); err != nil {
			return err
		}
		if len(words) == 2 && words[1] == "initiate" {
			n.comeUp(w)
		}
	}
	return nil
}

// comeUp lets the ends come up in the weather, or nearly so.
func (n *Net) comeUp(w Weather) {
	for range 200 {
		if n.failure != nil || n.bothUp() {
			return
		}
		if n.muddle(w.Rand, w.Loss); len(n.Queue) == 0 {
			n.waitOne()
		}
	}
}

// bothUp reports whether both ends are established and agree on the CHILD SA.
func (n *Net) bothUp() bool {
	for _, e := range n.Ends {
		if e.Machine.State().Phase != ike.Established {
			return false
		}
	}
	return n.Traffic() == nil
}

// settle lets the ends find together on a good wire, up to a moment at which
// nothing is being replaced.
func (n *Net) settle() {
	n.Wait(2 * time.Minute)
	for range 60 {
		if n.failure != nil || len(n.Ends[0].Inbound) == 1 && len(n.Ends[1].Inbound) == 1 {
			return
		}
		n.Wait(time.Second)
	}
}

// waitOne lets time pass until the next timer, and fires it.
func (n *Net) waitOne() {
	i, at := n.nextDeadline()
	if i < 0 {
		return
	}
	if at.After(n.Now) {
		n.Now = at
	}
	n.Step(i, ike.TimerFired{})
}

// muddle loses, repeats and reorders what is on the wire, and delivers some.
func (n *Net) muddle(r *rand.Rand, loss float64) {
	r.Shuffle(len(n.Queue), func(i, j int) { n.Queue[i], n.Queue[j] = n.Queue[j], n.Queue[i] })
	for range r.IntN(4) {
		if len(n.Queue) == 0 || n.Err() != nil {
			return
		}
		p := n.Queue[0]
		n.Queue = n.Queue[1:]
		if r.Float64() < loss {
			continue
		}
		if r.Float64() < 0.2 {
			n.Queue = append(n.Queue, p)
		}
		n.Deliver(p)
	}
}

// toA delivers to a what comes to it next of b's own requests, for "e", or of
// what belongs to its own attempt, for "w"; all that goes to b arrives at once.
// The first "w" is that a starts.
func (n *Net) toA(which string) error {
	if which == "w" && !slices.ContainsFunc(n.Sent, func(p Packet) bool { return p.From == 0 && p.Data[19]&ike.FlagResponse == 0 }) {
		n.Step(0, ike.Initiate{})
		n.toB()
		return nil
	}
	for i, p := range n.Queue {
		if response := p.Data[19]&ike.FlagResponse != 0; p.From == 1 && response == (which == "w") {
			n.Queue = slices.Delete(slices.Clone(n.Queue), i, i+1)
			n.Deliver(p)
			n.toB()
			return nil
		}
	}
	n.printf("nothing comes")
	return nil
}

// toB delivers everything that goes to b.
func (n *Net) toB() {
	for i := 0; i < len(n.Queue) && n.failure == nil; {
		p := n.Queue[i]
		if p.From != 0 {
			i++
			continue
		}
		n.Queue = slices.Delete(slices.Clone(n.Queue), i, i+1)
		n.Deliver(p)
		i = 0
	}
}

// Carry does what out says for end i, which did more than an event.
func (n *Net) Carry(i int, out *ike.Outputs) {
	for _, d := range out.Datagrams {
		n.send(i, d)
	}
	for _, a := range out.Actions {
		n.act(n.Ends[i], a)
	}
}
