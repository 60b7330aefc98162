package ikev1

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev1/keys"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

var update = flag.Bool("update", false, "rewrite the scripts with what they print")

// A rogue is an end that says what a script tells it to, under the hash and
// the cipher where there are any.
type rogue struct {
	*Machine
	alter *alteration // of its next message of that kind
	last  map[exchangeKey][]byte
	seen  map[exchangeKey]int // messages of an exchange so far, of both ends
}

// An exchangeKey is one exchange: of main mode, by its first cookie alone.
type exchangeKey struct {
	spiI uint64
	id   uint32
}

// An alteration is what a rogue does to one of its messages.
type alteration struct {
	exchange uint8
	nth      int                                                // message of the exchange
	change   func(r *rogue, list []wire.Payload) []wire.Payload // without the HASH
	badHash  bool
	header   func(h *ike.Header)
}

// Step is the machine's, with its next message altered.
func (r *rogue) Step(now time.Time, ev ike.Event, out *ike.Outputs) error {
	if d, ok := ev.(ike.Datagram); ok {
		if msg, err := wire.Parse(d.Data); err == nil {
			r.note(msg)
		}
	}
	err := r.Machine.Step(now, ev, out)
	for i := range out.Datagrams {
		d := &out.Datagrams[i]
		was := d.Data
		msg, perr := wire.Parse(was)
		if perr != nil {
			continue
		}
		d.Data = r.altered(msg)
		if msg, perr = wire.Parse(d.Data); perr == nil {
			r.note(msg)
		}
		r.resent(was, d.Data)
	}
	return err
}

// note counts a message and keeps its last block.
func (r *rogue) note(msg *wire.Message) {
	k := exchangeKey{msg.Header.SPIi, msg.Header.MessageID}
	r.seen[k]++
	if msg.Encrypted() && k.id != 0 {
		r.last[k] = keys.NextIV(msg.Sealed)
	}
}

// resent makes what is sent again what was sent.
func (r *rogue) resent(was, now []byte) {
	swap := func(p *[]byte) {
		if bytes.Equal(*p, was) {
			*p = now
		}
	}
	for _, s := range r.sas {
		if s.flight != nil {
			swap(&s.flight.data)
		}
		swap(&s.echo.answer)
		for _, q := range s.quicks {
			if q.flight != nil {
				swap(&q.flight.data)
			}
			swap(&q.echo.answer)
		}
	}
}

// altered is a message as the script wants it.
func (r *rogue) altered(msg *wire.Message) []byte {
	a, k := r.alter, exchangeKey{msg.Header.SPIi, msg.Header.MessageID}
	if a == nil || msg.Header.Exchange != a.exchange || r.seen[k]+1 != a.nth {
		return msg.Octets
	}
	r.alter = nil
	if !msg.Encrypted() {
		if a.change != nil {
			msg.Chain.Payloads = a.change(r, msg.Chain.Payloads)
		}
		if a.header != nil {
			a.header(&msg.Header)
		}
		return msg.Append(nil)
	}
	for _, s := range r.sas {
		if s.spiI == msg.Header.SPIi && s.spiR == msg.Header.SPIr && s.keys != nil {
			return r.resealed(s, msg, a)
		}
	}
	return msg.Octets
}

// resealed is altered for a message under the cipher.
func (r *rogue) resealed(s *sa, msg *wire.Message, a *alteration) []byte {
	id := msg.Header.MessageID
	iv := r.last[exchangeKey{s.spiI, id}]
	if iv == nil {
		iv = s.keys.MessageIV(s.iv, id)
	}
	chain, _, ok := s.open(msg, iv)
	if !ok {
		return msg.Octets
	}
	list := chain.Payloads
	if a.change != nil {
		var seed []byte
		if q := s.quick(id); q != nil && a.nth == 2 {
			seed = q.ni
		}
		list = s.hashed(id, seed, a.change(r, list[1:]))
	}
	if hash, ok := list[0].(*wire.Hash); ok && a.badHash {
		hash.Data[0] ^= 1
	}
	t := &turn{out: &ike.Outputs{}}
	data, next := r.seal(t, s, headerOf{msg.Header.Exchange, id}, iv, list)
	if q := s.quick(id); q != nil {
		q.iv = next
	}
	return data
}

// deleteTwice sends one message that deletes the ISAKMP SA two times, under a
// wrong HASH if it is told to.
func (r *rogue) deleteTwice(now time.Time, badly bool, out *ike.Outputs) error {
	s := r.current
	if s == nil {
		return nil
	}
	t := &turn{now: now, out: out}
	cookies := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.spiI), s.spiR)
	del := &wire.Delete{Protocol: wire.ProtoISAKMP, SPIs: [][]byte{cookies}}
	id := r.newID(t, s, false)
	list := s.hashed(id, nil, []wire.Payload{del, del})
	if badly {
		list[0].(*wire.Hash).Data[0] ^= 1
	}
	data, _ := r.seal(t, s, headerOf{wire.Informational, id}, s.keys.MessageIV(s.iv, id), list)
	r.transmit(t, s, data)
	return t.err
}

// roguePair makes two ends that are rogues when they are told to be. "fqdn"
// has a call its address a name.
func roguePair(words []string) (*iketest.Net, error) {
	var ends [2]*rogue
	for i := range ends {
		c := testConfig(i)
		c.Restart = i == 0
		c.Extensions.FragmentSize = -1
		for _, w := range words {
			if w != "fqdn" {
				return nil, fmt.Errorf("unknown word %q", w)
			}
			if address := testConfig(0).Local.Addr(); i == 0 {
				c.LocalID = ike.Identity{Type: ike.IDFQDN, Data: address.String()}
			} else {
				c.RemoteID = ike.Identity{Type: ike.IDIPv4, Data: string(address.AsSlice())}
			}
		}
		m, err := New(c)
		if err != nil {
			return nil, err
		}
		ends[i] = &rogue{Machine: m, last: map[exchangeKey][]byte{}, seen: map[exchangeKey]int{}}
	}
	n := iketest.NewNet(begin, ends[0], ends[1])
	n.Extra = func(n *iketest.Net, words []string) error {
		switch {
		case len(words) == 2 && (words[1] == "delete-twice" || words[1] == "delete-badly"):
			var out ike.Outputs
			i := int(words[0][0] - 'a')
			err := ends[i].deleteTwice(n.Now, words[1] == "delete-badly", &out)
			n.Carry(i, &out)
			return err
		case len(words) == 3 && words[1] == "alter":
			a, ok := alterations()[words[2]]
			if !ok {
				return fmt.Errorf("unknown alteration %q", words[2])
			}
			ends[words[0][0]-'a'].alter = &a
			return nil
		}
		return fmt.Errorf("unknown command %q", words)
	}
	return n, nil
}

// TestRogueScripts plays every conversation under testdata/rogue.
func TestRogueScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/rogue/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, err := iketest.ParseScript(string(text))
			if err != nil {
				t.Fatal(err)
			}
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
