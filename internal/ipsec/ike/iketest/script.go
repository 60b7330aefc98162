package iketest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"seikan/internal/ipsec/ike"
)

// A Maker builds the two ends that the words after "pair" describe.
type Maker func(words []string) (*Net, error)

// A Script is a conversation in text: commands, a line "----", what they
// print, an empty line, and so on. Lines that begin with # before a command
// are comments.
type Script struct {
	Blocks []Block
}

// A Block is commands and what they print.
type Block struct {
	Commands []string // with comments
	Want     string
}

// errNoPair says that a script forgot its first command.
var errNoPair = errors.New("the first command must be pair")

// ParseScript reads a script.
func ParseScript(text string) (Script, error) {
	var s Script
	var b Block
	output := false
	for i, line := range strings.Split(text, "\n") {
		switch {
		case output && line == "":
			s.Blocks = append(s.Blocks, b)
			b, output = Block{}, false
		case output:
			b.Want += line + "\n"
		case line == "----":
			output = true
		case line != "":
			b.Commands = append(b.Commands, line)
		case len(b.Commands) > 0:
			return s, fmt.Errorf("line %d: commands without ----", i+1)
		}
	}
	if output {
		s.Blocks = append(s.Blocks, b)
	}
	return s, nil
}

// String is the script as it is read.
func (s Script) String() string {
	var parts []string
	for _, b := range s.Blocks {
		parts = append(parts, strings.Join(b.Commands, "\n")+"\n----\n"+b.Want)
	}
	return strings.Join(parts, "\n")
}

// Play runs the script and returns it with what it printed this time.
func (s Script) Play(make Maker) (Script, error) {
	var n *Net
	var out Script
	for _, b := range s.Blocks {
		printed := ""
		for _, line := range b.Commands {
			words := strings.Fields(line)
			if strings.HasPrefix(line, "#") {
				continue
			}
			if words[0] == "pair" {
				made, err := make(words[1:])
				if err != nil {
					return out, fmt.Errorf("%s: %w", line, err)
				}
				n = made
				continue
			}
			if n == nil {
				return out, errNoPair
			}
			if err := n.command(words); err != nil {
				return out, fmt.Errorf("%s: %w", line, err)
			}
			printed += n.Log.String()
			n.Log.Reset()
			if n.Err() != nil {
				return out, fmt.Errorf("%s: %w", line, n.Err())
			}
		}
		out.Blocks = append(out.Blocks, Block{b.Commands, printed})
	}
	return out, nil
}

// command runs one command:
//
//	a initiate | rekey-child | rekey-ike | close | alive    an event for an end
//	up                  a initiates and all is delivered, without a word
//	settled             run, wait until what was replaced is forgotten, print what is left
//	run                 deliver until the wire is empty
//	run twice|forward   the same, each datagram twice, or after all that its sender sent before
//	deliver [N]         deliver the Nth packet on the wire (0 is the oldest)
//	drop [N]            lose it; dup [N] delivers it and keeps it
//	list                print what is on the wire
//	toa e|w             deliver to a what is next of b's attempt, or of its own
//	hold [N]            keep the Nth packet back; release puts all of these on the wire
//	watch | unwatch     from now on ESP must pass both ways after every step
//	nonce a HEX...      the first octets of the next nonces that a draws
//	replay a N          deliver once more the Nth datagram that a ever sent
//	forge a N           the same with its last octet changed
//	inject b HEX        deliver octets to b as if from its peer
//	reboot a            replace the machine by one that remembers nothing
//	restart a           kill it and let another go on with what was kept
//	wait 30s            let time pass, delivering at once
//	cut | heal          lose everything sent; stop that
//	rebind N            the NAT now shifts ports by N
//	nat N | nat off     a is now behind a NAT that shifts ports by N, or behind none
//	move a ADDRESS      a has another address; what is sent to the old one is lost
//	traffic             check that ESP would pass both ways
//	state               print the phases of both ends
func (n *Net) command(words []string) error {
	arg := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch words[0] {
	case "a", "b":
		return n.event(words)
	case "run":
		return n.runHow(arg(1))
	case "deliver", "drop", "dup":
		return n.handle(words[0], arg(1))
	case "list":
		for i, p := range n.Queue {
			n.printf("%d: %s> %s", i, n.Ends[p.From].Name, n.Ends[1-p.From].Machine.Describe(p.Data))
		}
	case "up", "settled", "toa", "hold", "release", "watch", "unwatch", "nonce":
		return n.race(words)
	case "replay", "forge":
		return n.replay(words[0] == "forge", arg(1), arg(2))
	case "inject":
		return n.inject(arg(1), arg(2))
	case "reboot":
		return n.reboot(arg(1))
	case "restart":
		if arg(1) != "a" && arg(1) != "b" {
			return fmt.Errorf("restart %s: a or b", arg(1))
		}
		n.Restart(int(arg(1)[0] - 'a'))
	case "wait":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			return err
		}
		n.Wait(d)
	case "cut":
		n.Cut = true
	case "heal":
		n.Cut = false
	case "rebind":
		shift, err := strconv.ParseUint(arg(1), 10, 16)
		if err != nil || n.NAT == nil {
			return fmt.Errorf("needs a NAT and a number: %w", err)
		}
		n.NAT.Shift = uint16(shift)
	case "nat":
		return n.nat(arg(1))
	case "move":
		return n.move(arg(1), arg(2))
	case "traffic":
		if err := n.Traffic(); err != nil {
			n.printf("no traffic: %v", err)
			break
		}
		n.printf("traffic passes on child %d and %d", n.number(n.Ends[0].Outbound.SPIIn, n.Ends[0].Outbound.SPIOut),
			n.number(n.Ends[1].Outbound.SPIIn, n.Ends[1].Outbound.SPIOut))
	case "state":
		for _, e := range n.Ends {
			n.printf("%s", e.stateWords())
		}
	default:
		return n.extra(words)
	}
	return nil
}

// stateWords is an end's snapshot in one line.
func (e *End) stateWords() string {
	s := e.Machine.State()
	text := fmt.Sprintf("%s is %v", e.Name, s.Phase)
	if s.Auth != "" && s.Auth != "PSK" {
		text += ", by " + s.Auth
	}
	if s.NATLocal {
		text += ", behind a NAT"
	}
	if s.NATRemote {
		text += ", peer behind a NAT"
	}
	if s.Child != nil {
		text += fmt.Sprintf(", %v to %v", s.Child.LocalTS, s.Child.RemoteTS)
		if s.Child.Encap {
			text += " in UDP"
		}
	}
	return text
}

// event feeds the end an event by name.
func (n *Net) event(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("%s: which event?", words[0])
	}
	events := map[string]ike.Event{
		"initiate": ike.Initiate{}, "rekey-child": ike.RekeyChild{}, "rekey-ike": ike.RekeyIKE{},
		"close": ike.Close{}, "alive": ike.PeerAlive{At: n.Now},
	}
	ev, ok := events[words[1]]
	if !ok {
		return n.extra(words)
	}
	n.Step(int(words[0][0]-'a'), ev)
	return nil
}

// handle delivers, loses or repeats one packet on the wire.
func (n *Net) handle(how, which string) error {
	i := 0
	if which != "" {
		var err error
		if i, err = strconv.Atoi(which); err != nil {
			return err
		}
	}
	if i < 0 || i >= len(n.Queue) {
		return fmt.Errorf("%d packets on the wire, not %d", len(n.Queue), i+1)
	}
	p := n.Queue[i]
	if how != "dup" {
		n.Queue = append(n.Queue[:i:i], n.Queue[i+1:]...)
	}
	if how == "drop" {
		n.printf("lost: %s> %s", n.Ends[p.From].Name, n.Ends[1-p.From].Machine.Describe(p.Data))
		return nil
	}
	n.Deliver(p)
	return nil
}

// nat puts end a behind a NAT with that shift of ports, at 198.51.100.9, or
// behind none.
func (n *Net) nat(shift string) error {
	if shift == "off" {
		n.NAT = nil
		return nil
	}
	by, err := strconv.ParseUint(shift, 10, 16)
	n.NAT = &NAT{Public: netip.AddrFrom4([4]byte{198, 51, 100, 9}), Shift: uint16(by)}
	return err
}

// move gives an end another address.
func (n *Net) move(end, address string) error {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return err
	}
	i := int(end[0] - 'a')
	n.Home[i] = a
	n.Step(i, ike.LocalChanged{Local: netip.AddrPortFrom(a, 500)})
	return nil
}

// inject delivers octets in hexadecimal to an end.
func (n *Net) inject(end, octets string) error {
	data, err := hex.DecodeString(octets)
	if err != nil {
		return err
	}
	i := int(end[0] - 'a')
	at := n.Ends[i].Machine.State()
	n.Step(i, ike.Datagram{Local: at.Local, Remote: at.Remote, Data: data})
	return nil
}

// reboot replaces an end's machine by a new one, with an empty data plane.
func (n *Net) reboot(end string) error {
	if n.Remake == nil {
		return errors.New("this net cannot make machines")
	}
	i := int(end[0] - 'a')
	m, err := n.Remake(i)
	if err != nil {
		return err
	}
	n.Ends[i].Machine, n.Ends[i].Inbound, n.Ends[i].Outbound = m, map[uint32]*ike.ChildSA{}, nil
	return nil
}

// replay delivers once more the nth datagram that end sent.
func (n *Net) replay(forge bool, end, nth string) error {
	want, err := strconv.Atoi(nth)
	if err != nil {
		return err
	}
	for _, p := range n.Sent {
		if n.Ends[p.From].Name != end {
			continue
		}
		if want--; want < 0 {
			if forge {
				p.Data = append([]byte(nil), p.Data...)
				p.Data[len(p.Data)-1] ^= 1
			}
			n.Deliver(p)
			return nil
		}
	}
	return fmt.Errorf("%s has not sent that many", end)
}
