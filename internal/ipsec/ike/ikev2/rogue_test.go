package ikev2

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

var (
	update = flag.Bool("update", false, "rewrite the scripts with what they print")
	storms = flag.Int("storms", 15, "bad wires for each script")
)

// A rogue is an end that says inside the seal what a script tells it to, and
// forgets or deletes what it should not.
type rogue struct {
	*Machine
	alter *alteration // of its next message of that kind
}

// An alteration is what a rogue does to one of its messages.
type alteration struct {
	exchange uint8
	response bool
	change   func(r *rogue, m *wire.Message) // of its payloads, opened
	octets   func(b []byte)                  // of a message in the clear, at last
}

// Kept is how many SAs there are.
func (r *rogue) Kept() (ikes, children int) { return len(r.sas), len(r.children) }

// Step is the machine's, with its next message altered.
func (r *rogue) Step(now time.Time, ev ike.Event, out *ike.Outputs) error {
	err := r.Machine.Step(now, ev, out)
	for i := range out.Datagrams {
		d := &out.Datagrams[i]
		was := d.Data
		if d.Data = r.altered(was); bytes.Equal(d.Data, was) {
			continue
		}
		// What is sent again is what was sent.
		for _, s := range r.sas {
			if s.window.out != nil && len(s.window.out.data) == 1 && bytes.Equal(s.window.out.data[0], was) {
				s.window.out.data = [][]byte{d.Data}
			}
			if len(s.window.cached) == 1 && bytes.Equal(s.window.cached[0], was) {
				s.window.cached = [][]byte{d.Data}
			}
			if s.shake != nil && bytes.Equal(s.shake.request, was) {
				s.shake.request = d.Data
			}
			if s.shake != nil && bytes.Equal(s.shake.answer, was) {
				s.shake.answer = d.Data
			}
		}
	}
	return err
}

// altered is data as the script wants it.
func (r *rogue) altered(data []byte) []byte {
	msg, err := wire.Parse(data)
	if err != nil || r.alter == nil || msg.Header.Exchange != r.alter.exchange || (msg.Header.Flags&ike.FlagResponse != 0) != r.alter.response {
		return data
	}
	a := r.alter
	if msg.Header.Exchange == wire.IKESAInit {
		if a.change != nil {
			a.change(r, msg)
		}
		data = msg.Append(nil)
		if a.octets != nil {
			a.octets(data)
		}
		r.alter = nil
		return data
	}
	for _, s := range r.sas {
		if s.spiI != msg.Header.SPIi || s.spiR != msg.Header.SPIr || s.seal == nil {
			continue
		}
		list, authentic, err := wire.Open(msg, s.seal)
		if !authentic || err != nil {
			continue
		}
		opened := &wire.Message{Header: msg.Header, Payloads: list}
		a.change(r, opened)
		if sealed, err := wire.Seal(opened.Header, opened.Payloads, s.seal); err == nil {
			r.alter = nil
			return sealed
		}
	}
	return data
}

// afterHand is when an end whose CHILD SA was taken from it by hand asks for
// another: it does not by itself, as nothing has gone wrong.
const afterHand = 15 * time.Second

// do is what an operator of another product can have his end do, or what
// happens to it, at a moment that its own machine would not choose.
func (r *rogue) do(now time.Time, what string, out *ike.Outputs) error {
	t := &turn{now: now, out: out}
	s, c := r.current, r.used()
	if s == nil {
		return nil
	}
	switch what {
	case "delete-child":
		if c == nil {
			return nil
		}
		r.closeChild(t, c)
		r.start.childAt = now.Add(afterHand)
	case "delete-next": // what its peer's rekey has just made
		if c == nil || c.next == nil {
			return nil
		}
		next := c.next
		r.closeChild(t, next)
		r.keepAgain(t, next)
	case "delete-ike":
		s.tasks = nil
		r.fade(s, now)
		s.tasks = append(s.tasks, &deleteIKE{})
		r.down(t, "deleted by hand", dead)
	case "forget-child":
		if c != nil {
			r.removeChild(t, c)
			r.start.childAt = now.Add(afterHand)
		}
	case "forget-pending":
		s.ext.forgetPending()
	case "request-child":
		s.tasks = append(s.tasks, &createChild{})
	default:
		return fmt.Errorf("unknown command %q", what)
	}
	return t.err
}

// event makes do an event, so that the net carries out what comes of it.
func (r *rogue) event(n *iketest.Net, i int, what string) error {
	var out ike.Outputs
	if err := r.do(n.Now, what, &out); err != nil {
		return err
	}
	n.Carry(i, &out)
	n.Step(i, ike.PeerAlive{}) // whose step sends what is to be sent
	return nil
}

// roguePair makes two ends that are rogues when they are told to be. Words:
// "multi" is an additional key exchange for every suite, "ts" narrows the
// selectors to 10.0.0.0/8, "seed=N" is for other randomness.
func roguePair(words []string) (*iketest.Net, error) {
	var ends [2]*rogue
	var nonces [2]*iketest.Nonces
	for i := range ends {
		c := testConfig(i)
		c.IKE[0].Group, c.ESP[0].Group, c.Restart = 20, 20, i == 0
		c.Extensions = policy.Extensions{FragmentSize: -1, NoMOBIKE: true}
		for _, w := range words {
			var seed byte
			switch _, err := fmt.Sscanf(w, "seed=%d", &seed); {
			case err == nil:
				c.Tuning.Rand = rand.NewChaCha8([32]byte{byte(i), seed})
			case w == "multi":
				c.IKE[0].AddKE, c.ESP[0].AddKE = suite.MoreKE{suite.MLKEM768}, suite.MoreKE{suite.MLKEM768}
			case w == "ts":
				ten := []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("10.0.0.0/8"))}
				c.LocalTS, c.RemoteTS = ten, ten
			case strings.HasPrefix(w, "a.") || strings.HasPrefix(w, "b."): // of a storm
			default:
				return nil, fmt.Errorf("unknown word %q", w)
			}
		}
		nonces[i] = &iketest.Nonces{Rand: c.Tuning.Rand}
		c.Tuning.Rand = nonces[i]
		m, err := New(c, nil)
		if err != nil {
			return nil, err
		}
		ends[i] = &rogue{Machine: m}
	}
	n := iketest.NewNet(begin, ends[0], ends[1])
	n.Nonces = nonces
	n.Extra = func(n *iketest.Net, words []string) error {
		if len(words) < 2 || (words[0] != "a" && words[0] != "b") {
			return fmt.Errorf("unknown command %q", words)
		}
		i := int(words[0][0] - 'a')
		if words[1] != "alter" {
			return ends[i].event(n, i, words[1])
		}
		a, ok := alterations()[words[2]]
		if !ok {
			return fmt.Errorf("unknown alteration %q", words[2])
		}
		ends[i].alter = &a
		return nil
	}
	return n, nil
}

// rogueScripts are the scripts under testdata/rogue by name.
func rogueScripts(t *testing.T) map[string]iketest.Script {
	t.Helper()
	files, err := filepath.Glob("testdata/rogue/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	out := map[string]iketest.Script{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if out[file], err = iketest.ParseScript(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestRogueScripts plays every conversation under testdata/rogue.
func TestRogueScripts(t *testing.T) {
	for file, script := range rogueScripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			got, err := script.Play(roguePair)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for i, b := range got.Blocks {
				if want := script.Blocks[i].Want; b.Want != want {
					t.Errorf("after %q:\ngot\n%s\nwant\n%s", b.Commands, b.Want, want)
				}
			}
		})
	}
}

// TestRogueOnABadWire plays what the ends do in the scripts about deletes and
// lost state on wires that lose, repeat and reorder at random.
func TestRogueOnABadWire(t *testing.T) {
	for file, script := range rogueScripts(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if !slices.ContainsFunc([]string{"child_", "ike_", "both_", "delete_"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for seed := range *storms {
				b := script.Blocks[seed%len(script.Blocks)]
				b.Commands = slices.Clone(b.Commands)
				for i, line := range b.Commands {
					if strings.HasPrefix(line, "pair") {
						b.Commands[i] = fmt.Sprintf("%s seed=%d", line, seed%251)
					}
				}
				r := rand.New(rand.NewPCG(uint64(seed), 3))
				n, err := b.Storm(roguePair, iketest.Weather{Rand: r, Loss: 0.35 * r.Float64()})
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				a, z := n.Ends[0].Machine.(*rogue), n.Ends[1].Machine.(*rogue)
				err = n.Traffic()
				if err != nil || len(a.sas) != 1 || len(z.sas) != 1 || len(a.children) != 1 || len(z.children) != 1 || a.current.spiR != z.current.spiR {
					t.Fatalf("seed %d: got %d and %d IKE SAs, %d and %d CHILD SAs, %v, want one of each\n%s", seed,
						len(a.sas), len(z.sas), len(a.children), len(z.children), err, n.Log.String())
				}
			}
		})
	}
}
