package ikev1

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/proposal"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// request delivers to b message 1 of a quick mode with list behind the HASH, and
// returns the last reason that b gave.
func (d *duo) request(t testing.TB, list []wire.Payload) string {
	t.Helper()
	s, turn := d.a.current, &turn{now: d.Now, out: &ike.Outputs{}}
	id := d.a.newID(turn, s, true)
	data, _ := d.a.seal(turn, s, headerOf{wire.QuickMode, id}, s.keys.MessageIV(s.iv, id), s.hashed(id, nil, list))
	d.toB(data)
	d.Queue = nil
	return lastReason(d, 1)
}

// lastReason is the reason in the last notice of an end.
func lastReason(d *duo, end int) string {
	for i := len(d.Ends[end].Notices) - 1; i >= 0; i-- {
		n := d.Ends[end].Notices[i]
		for j := 0; j+1 < len(n.Attrs); j += 2 {
			if n.Attrs[j] == "reason" {
				return n.Attrs[j+1].(string)
			}
		}
	}
	return ""
}

// parts are the payloads of a good message 1 of quick mode.
func (d *duo) parts(t testing.TB) []wire.Payload {
	t.Helper()
	q := &quick{ni: make([]byte, nonceLen), offer: proposal.ESPOffer{SPI: 4711, Group: 19, Life: time.Hour}}
	list, err := d.a.offerQuick(q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// without is list without its payload of a kind.
func without(list []wire.Payload, kind wire.Kind) []wire.Payload {
	var out []wire.Payload
	for _, p := range list {
		if p.Kind() != kind {
			out = append(out, p)
		}
	}
	return out
}

// with is list with p in place of those of its kind.
func with(list []wire.Payload, p wire.Payload) []wire.Payload {
	return append(without(list, p.Kind()), p)
}

func TestOddQuickModesOfThePeerAreRefusedInWords(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]wire.Payload) []wire.Payload
		words  string
	}{
		{"no nonce", func(l []wire.Payload) []wire.Payload { return without(l, wire.KindNonce) }, "lacks an SA or a nonce"},
		{"no SA", func(l []wire.Payload) []wire.Payload { return without(l, wire.KindSA) }, "lacks an SA or a nonce"},
		{"no identities", func(l []wire.Payload) []wire.Payload { return without(l, wire.KindID) }, "peer names no traffic in quick mode (no ID payload"},
		{"one identity", func(l []wire.Payload) []wire.Payload { return l[:len(l)-1] }, "peer's quick mode holds ID payloads: 1, where 2 are wanted"},
		{"three identities", func(l []wire.Payload) []wire.Payload { return append(l, l[len(l)-1]) }, "peer's quick mode holds ID payloads: 3, where 2 are wanted"},
		{"PFS without a value", func(l []wire.Payload) []wire.Payload { return without(l, wire.KindKE) }, "no key exchange value"},
		{"a value that is no point", func(l []wire.Payload) []wire.Payload { return with(l, &wire.KE{Public: make([]byte, 64)}) }, "not valid"},
		{"a name as traffic", func(l []wire.Payload) []wire.Payload {
			id := wire.NewID(ike.Identity{Type: ike.IDFQDN, Data: "x.example"})
			return append(without(l, wire.KindID), id, id)
		}, "@x.example"},
	} {
		d := upDuo(t, nil)
		before := d.b.State()
		if got := d.request(t, c.change(d.parts(t))); !strings.Contains(got, c.words) {
			t.Errorf("%s: got %q, want words with %q", c.name, got, c.words)
		}
		d.checkUnmoved(t, before, c.name)
		if got := len(d.b.children); got != 1 {
			t.Errorf("%s: got %d CHILD SAs, want 1", c.name, got)
		}
	}
}

// reply delivers to a message 2 of its quick mode under way, with list behind
// the HASH.
func (d *duo) reply(t testing.TB, list []wire.Payload) {
	t.Helper()
	s, turn := d.b.current, &turn{now: d.Now, out: &ike.Outputs{}}
	var q *quick
	for _, x := range d.a.current.quicks {
		if x.state == quickAsked {
			q = x
		}
	}
	if q == nil {
		t.Fatal("a asks for nothing")
	}
	data, _ := d.b.seal(turn, s, headerOf{wire.QuickMode, q.id}, q.iv, s.hashed(q.id, q.ni, list))
	d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: data})
}

func TestOddAnswersInQuickModeAreRefusedInWords(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]wire.Payload) []wire.Payload
		words  string
	}{
		{"no nonce", func(l []wire.Payload) []wire.Payload { return without(l, wire.KindNonce) }, "lacks an SA or a nonce"},
		{"no key exchange", func(l []wire.Payload) []wire.Payload { return without(l, wire.KindKE) }, "no key exchange"},
		{"a value that is no point", func(l []wire.Payload) []wire.Payload { return with(l, &wire.KE{Public: make([]byte, 64)}) }, "not valid"},
		{"other traffic", func(l []wire.Payload) []wire.Payload {
			id := wire.NewID(ike.Identity{Type: ike.IDIPv4, Data: "\x0a\x00\x00\x01"})
			return append(without(l, wire.KindID), id, id)
		}, "10.0.0.1"},
		{"two choices", func(l []wire.Payload) []wire.Payload {
			sa, _ := wire.Find[*wire.SA](l)
			return with(l, &wire.SA{Proposals: append(sa.Proposals, sa.Proposals...)})
		}, "not offered"},
	} {
		d := upDuo(t, nil)
		d.Step(0, ike.RekeyChild{})
		d.Queue = nil
		sent := len(d.Sent)
		d.reply(t, c.change(d.parts(t)))
		if got := lastReason(d, 0); !strings.Contains(got, c.words) {
			t.Errorf("%s: got %q, want words with %q", c.name, got, c.words)
		}
		if got := d.b.Describe(d.Sent[sent].Data); !strings.HasPrefix(got, "informational* {HASH N(") {
			t.Errorf("%s: got %s, want a notice to the peer", c.name, got)
		}
		if err := d.Traffic(); err != nil || len(d.a.children) != 1 {
			t.Errorf("%s: %v, %d CHILD SAs, want the old one", c.name, err, len(d.a.children))
		}
	}
}

func TestKeyExchangeValueThatIsNoneDoesNotEndMainMode(t *testing.T) {
	for _, end := range []int{0, 1} {
		d := newDuo(t, nil)
		d.Step(0, ike.Initiate{})
		for range 3 - end {
			d.DeliverNext()
		}
		honest := d.Queue[0]
		msg, err := wire.Parse(honest.Data)
		if err != nil {
			t.Fatal(err)
		}
		forged := *msg
		forged.Chain.Payloads = with(msg.Chain.Payloads, &wire.KE{Public: bytes.Repeat([]byte{1}, 64)})
		queue := d.Queue
		d.Step(end, ike.Datagram{Local: honest.Remote, Remote: honest.Local, Data: forged.Append(nil)})
		forged.Chain.Payloads = without(msg.Chain.Payloads, wire.KindKE)
		d.Step(end, ike.Datagram{Local: honest.Remote, Remote: honest.Local, Data: forged.Append(nil)})
		d.Queue = queue
		d.Run()
		if err := d.Traffic(); err != nil {
			t.Errorf("end %d: %v", end, err)
		}
	}
}

func TestPeerWithoutNATTraversalGetsPlainESP(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Queue[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	msg.Chain.Payloads = without(msg.Chain.Payloads, wire.KindVendorID)
	d.Queue = nil
	d.toB(msg.Append(nil))
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
	if got := d.b.State(); got.Child.Encap || got.NATRemote || len(got.Extensions) != 0 {
		t.Errorf("got %+v, want no NAT traversal and no dead peer detection", got)
	}
}

func TestAnotherISAKMPSATakesOverWhenThePeerDeletesTheCurrentOne(t *testing.T) {
	d := upDuo(t, nil)
	spare := &sa{state: up, spiI: 9, spiR: 9, path: d.b.current.path, peer: d.b.current.peer}
	d.b.sas = append(d.b.sas, spare)
	old := d.a.current
	d.say(t, &wire.Delete{Protocol: wire.ProtoISAKMP, SPIs: [][]byte{wire.Cookies(old.header(0, 0))}})
	if d.b.current != spare || d.b.State().Phase != ike.Established {
		t.Errorf("got %v in use, %v, want the other SA, established", d.b.current, d.b.State().Phase)
	}
}

func TestEndOfMainModeHasWordsForEachStep(t *testing.T) {
	for deliver, words := range map[int]string{0: "no answer from 203.0.113.10:500 to main mode", 2: "key exchange", 4: "proof of identity"} {
		d := newDuo(t, nil)
		d.Step(0, ike.Initiate{})
		for range deliver {
			d.DeliverNext()
		}
		d.Queue, d.Cut = nil, true
		d.Wait(31 * time.Second)
		if got := d.a.State(); got.Phase != ike.Failed || !strings.Contains(got.Reason, words) {
			t.Errorf("after %d messages: got %v, %q, want failed with %q", deliver, got.Phase, got.Reason, words)
		}
	}
}
