package ikev1

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/policy"
)

// speak has a say that its identity is for a protocol and a port, in main mode
// until b has answered or not, and reports whether b believes it.
func speak(t *testing.T, protocol uint8, port uint16) (believed bool, words string) {
	t.Helper()
	d := newDuo(t, func(a, b *policy.Config) { a.Liveness.Action, b.Liveness.Action = policy.None, policy.None })
	d.Step(0, ike.Initiate{})
	for range 4 {
		d.DeliverNext()
	}
	s := d.a.sas[0]
	if s.state != proving {
		t.Fatalf("got %v, want main mode before message 5 is delivered", s.state)
	}
	id := wire.NewID(d.a.cfg.LocalID)
	id.Protocol, id.Port = protocol, port
	turn := &turn{now: d.Now, out: &ike.Outputs{}}
	list := []wire.Payload{id, &wire.Hash{Data: s.keys.Identity(true, s.shake.offer, wire.Body(id))}}
	data, _ := d.a.seal(turn, s, headerOf{wire.MainMode, 0}, s.keys.IV(), list)
	d.Queue = nil
	d.toB(data)
	return d.b.current != nil, fmt.Sprint(d.Ends[1].Notices)
}

func TestIdentityOfPhase1IsForIKEOnly(t *testing.T) {
	for _, c := range []struct {
		protocol uint8
		port     uint16
		want     bool
	}{
		{0, 0, true}, {17, 500, true}, {17, 4500, true}, {17, 0, true},
		{17, 501, false}, {6, 500, false}, {0, 500, false}, {6, 0, false},
	} {
		got, words := speak(t, c.protocol, c.port)
		if got != c.want {
			t.Errorf("protocol %d, port %d: got believed %v, want %v (RFC 2407 section 4.6.2)", c.protocol, c.port, got, c.want)
		}
		if !c.want && !strings.Contains(words, "in phase 1 its identity must have none") {
			t.Errorf("protocol %d, port %d: got words %q, want what to change", c.protocol, c.port, words)
		}
	}
}

func TestSeveralSAPayloadsAreRefused(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	first, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	sa := first.Chain.Payloads[0]
	first.Chain.Payloads = append([]wire.Payload{sa}, first.Chain.Payloads...)
	d.Queue = nil
	d.toB(first.Append(nil))
	if got := len(d.b.sas); got != 0 {
		t.Errorf("main mode with two SA payloads: got %d SAs, want none (RFC 2409 section 5)", got)
	}

	d = upDuo(t, nil)
	before, s, turn := d.b.State(), d.a.current, &turn{now: d.Now, out: &ike.Outputs{}}
	q := &quick{ni: make([]byte, nonceLen), groups: 1}
	q.offer.SPI, q.offer.Group = 0x1234, 19
	list, err := d.a.offerQuick(q)
	if err != nil {
		t.Fatal(err)
	}
	id := d.a.newID(turn, s, true)
	list = append([]wire.Payload{list[0]}, list...)
	data, _ := d.a.seal(turn, s, headerOf{wire.QuickMode, id}, s.keys.MessageIV(s.iv, id), s.hashed(id, nil, list))
	d.toB(data)
	if got := len(d.b.children); got != 1 {
		t.Errorf("quick mode with two SA payloads: got %d CHILD SAs, want the one before", got)
	}
	d.checkUnmoved(t, before, "two SA payloads")
}

// first has b hear the first message of a's main mode after change, and gives
// how many SAs it makes of it.
func first(t *testing.T, change func(msg *wire.Message)) int {
	t.Helper()
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	change(msg)
	d.Queue = nil
	d.toB(msg.Append(nil))
	return len(d.b.sas)
}

func TestFirstMessageOfMainMode(t *testing.T) {
	for _, c := range []struct {
		name   string
		want   int
		change func(msg *wire.Message)
	}{
		{"as it is", 1, func(*wire.Message) {}},
		{"message id 5 (RFC 2408 section 3.1)", 0, func(msg *wire.Message) { msg.Header.MessageID = 5 }},
		{"initiator's cookie 0", 0, func(msg *wire.Message) { msg.Header.SPIi = 0 }},
		{"an SPI in the proposal, which says nothing (RFC 2408 section 3.5)", 1, func(msg *wire.Message) {
			msg.Chain.Payloads[0].(*wire.SA).Proposals[0].SPI = []byte("whatever")
		}},
		{"without an SA payload", 0, func(msg *wire.Message) { msg.Chain.Payloads = msg.Chain.Payloads[1:] }},
		{"reserved flags", 1, func(msg *wire.Message) { msg.Header.Flags |= 0xf0 }},
	} {
		if got := first(t, c.change); got != c.want {
			t.Errorf("%s: got %d SAs, want %d", c.name, got, c.want)
		}
	}
}

func TestHashComesFirstInQuickMode(t *testing.T) {
	for _, swap := range []bool{false, true} {
		d := upDuo(t, nil)
		s, turn := d.a.current, &turn{now: d.Now, out: &ike.Outputs{}}
		q := &quick{ni: make([]byte, nonceLen), groups: 1}
		q.offer.SPI, q.offer.Group = 0x1234, 19
		list, err := d.a.offerQuick(q)
		if err != nil {
			t.Fatal(err)
		}
		id := d.a.newID(turn, s, true)
		list = s.hashed(id, nil, list)
		if swap { // the HASH covers what follows it
			hash := s.hashed(id, nil, list[2:])[0]
			list = append([]wire.Payload{list[1], hash}, list[2:]...)
		}
		data, _ := d.a.seal(turn, s, headerOf{wire.QuickMode, id}, s.keys.MessageIV(s.iv, id), list)
		d.toB(data)
		if got, want := len(d.b.children) == 2, !swap; got != want {
			t.Errorf("HASH after SA %v: got taken %v, want %v (RFC 2409 section 5.5)", swap, got, want)
		}
	}
}

func TestInformationalMessageNeedsItsHash(t *testing.T) {
	d := upDuo(t, nil)
	before, s, turn := d.b.State(), d.a.current, &turn{now: d.Now, out: &ike.Outputs{}}
	for name, list := range map[string][]wire.Payload{
		"wrong HASH": {&wire.Hash{Data: make([]byte, 32)}, wire.NewDelete(before.Child.SPIOut)},
		"no HASH":    {wire.NewDelete(before.Child.SPIOut)},
	} {
		id := d.a.newID(turn, s, false)
		data, _ := d.a.seal(turn, s, headerOf{wire.Informational, id}, s.keys.MessageIV(s.iv, id), list)
		d.toB(data)
		d.checkUnmoved(t, before, name)
	}
	d.say(t, wire.NewDelete(before.Child.SPIOut))
	if d.b.used() != nil {
		t.Error("with its HASH: got the CHILD SA still in use, want it deleted")
	}
}

func TestQuickModeThatIsLongOverDoesNotBeginAgain(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) { a.Liveness.Action, b.Liveness.Action = policy.None, policy.None })
	var request []byte
	for _, p := range d.Sent {
		if msg, err := wire.Parse(p.Data); err == nil && msg.Header.Exchange == wire.QuickMode && request == nil {
			request = p.Data
		}
	}
	d.Wait(doneFor + time.Second) // so that its answer is forgotten
	before, sent := d.b.State(), len(d.Sent)
	d.toB(request)
	if len(d.Sent) != sent || len(d.b.children) != 1 {
		t.Errorf("got %d answers and %d CHILD SAs, want none and the one before", len(d.Sent)-sent, len(d.b.children))
	}
	d.checkUnmoved(t, before, "recorded quick mode")
}

func TestWithoutANATNobodyIsFollowed(t *testing.T) {
	d := upDuo(t, nil)
	d.Wait(11 * time.Second)
	s, turn := d.a.current, &turn{now: d.Now, out: &ike.Outputs{}}
	if s.dpd.next == 0 {
		s.dpd.next = 1
	}
	data := d.a.informational(turn, s, s.dpdNotify(wire.RUThere, s.dpd.next+1))
	s.dpd.next += 2
	sent := len(d.Sent)
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: netip.MustParseAddrPort("192.0.2.66:9999"), Data: data})
	if got := d.b.State().Remote; got != d.a.cfg.Local {
		t.Errorf("got the peer at %v, want %v", got, d.a.cfg.Local)
	}
	if len(d.Sent) == sent {
		t.Error("got no answer: the test says nothing")
	}
}
