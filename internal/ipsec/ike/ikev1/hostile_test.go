package ikev1

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
	"seikan/internal/ipsec/ike/policy"
)

func TestMessagesInTheClearChangeNothing(t *testing.T) {
	d := upDuo(t, nil)
	before := d.b.State()
	cookies := wire.Cookies(d.a.current.header(0, 0))
	for name, p := range map[string]wire.Payload{
		"DELETE of the ISAKMP SA": &wire.Delete{Protocol: wire.ProtoISAKMP, SPIs: [][]byte{cookies}},
		"DELETE of the CHILD SA":  wire.NewDelete(before.Child.SPIOut),
		"INITIAL-CONTACT":         &wire.Notify{Protocol: wire.ProtoISAKMP, SPI: cookies, Type: wire.InitialContact},
		"AUTHENTICATION-FAILED":   &wire.Notify{Protocol: wire.ProtoISAKMP, SPI: cookies, Type: wire.AuthenticationFailed},
		"INVALID-COOKIE":          &wire.Notify{Protocol: wire.ProtoISAKMP, Type: wire.InvalidCookie},
		"R-U-THERE":               d.a.current.dpdNotify(wire.RUThere, 1),
	} {
		sent := len(d.Sent)
		d.toB(d.clear(p))
		d.checkUnmoved(t, before, name)
		if len(d.Sent) != sent {
			t.Errorf("%s: got an answer, want silence", name)
		}
	}
}

func TestForgedSealedMessagesChangeNothing(t *testing.T) {
	d := upDuo(t, nil)
	before := d.b.State()
	sent := len(d.Sent)
	seen := d.b.live.seen
	d.Now = d.Now.Add(time.Second)
	for _, exchange := range []uint8{wire.MainMode, wire.QuickMode, wire.Informational} {
		for id := range uint32(40) {
			for _, n := range []int{1, 16, 48, 160} {
				d.toB(wire.AppendSealed(nil, d.a.current.header(exchange, id), wire.KindHash, bytes.Repeat([]byte{byte(id)}, n)))
			}
		}
	}
	d.checkUnmoved(t, before, "forged")
	if len(d.Sent) != sent || d.b.live.seen != seen {
		t.Errorf("got %d answers, last life %v, want none, %v", len(d.Sent)-sent, d.b.live.seen, seen)
	}
	if got := len(d.b.current.ids.lasting) + len(d.b.current.quicks); got > 2 {
		t.Errorf("got %d things kept of forged quick modes, want none beside the real one", got)
	}
}

func TestOwnMessagesSentBackAreNotThePeers(t *testing.T) {
	d := upDuo(t, nil)
	d.Cut = true
	d.Wait(13 * time.Second) // b probes a, which hears nothing
	before, probing := d.b.State(), d.b.live.probing
	if probing.IsZero() {
		t.Fatal("b does not probe")
	}
	d.Step(1, ike.RekeyChild{})
	d.Step(1, ike.RekeyIKE{})
	for _, p := range d.Sent {
		if p.From == 1 {
			d.toB(bytes.Clone(p.Data))
		}
	}
	d.checkUnmoved(t, before, "reflected")
	if d.b.live.probing != probing {
		t.Error("b's own probe, sent back, was taken for the peer's answer")
	}
	for _, s := range d.b.sas {
		if !s.initiator && s.state < up {
			t.Error("b's own main mode, sent back, made an SA with itself")
		}
	}
}

func TestRecordedMessagesAreNoSignOfLife(t *testing.T) {
	d := upDuo(t, nil)
	d.Wait(25 * time.Second)
	d.Step(0, ike.RekeyChild{})
	d.Run()
	d.Wait(5 * time.Second)
	d.Cut = true
	seen, sent := d.b.live.seen, len(d.Sent)
	d.Now = d.Now.Add(5 * time.Second)
	before := d.b.State()
	for _, p := range d.Sent[:sent] {
		if p.From == 0 {
			d.toB(bytes.Clone(p.Data))
		}
	}
	d.checkUnmoved(t, before, "recorded")
	if d.b.live.seen != seen {
		t.Errorf("last life of the peer: got %v, want %v", d.b.live.seen, seen)
	}
}

func TestFloodOfFirstMessagesIsBoundedAndLeavesTheSAAlone(t *testing.T) {
	d := upDuo(t, nil)
	before := d.b.State()
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	notices := len(d.Ends[1].Notices)
	for i := range 5000 {
		msg.Header.SPIi = uint64(i + 1)
		d.toB(msg.Append(nil))
		d.Queue = nil
	}
	if got, want := len(d.b.sas), maxOffered+1; got != want {
		t.Errorf("got %d SAs, want %d: those half open and the one that is up", got, want)
	}
	if got := len(d.Ends[1].Notices) - notices; got > 1 {
		t.Errorf("got %d notices, want at most one", got)
	}
	d.checkUnmoved(t, before, "flood")
	d.Wait(31 * time.Second)
	if got := len(d.b.sas); got != 1 {
		t.Errorf("half a minute later: got %d SAs, want 1", got)
	}
}

func TestHonestAttemptComesThroughBetweenForgedOnes(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	flood := func(n int) {
		queue := d.Queue
		for range n {
			msg.Header.SPIi++
			d.toB(msg.Append(nil))
		}
		d.Queue = queue
	}
	for range 12 {
		flood(maxOffered/2 - 1) // less than the bound in one round trip
		d.DeliverNext()
	}
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

func TestHalfOpenExchangesAreBounded(t *testing.T) {
	d := newDuo(t, nil)
	for i := range 20 {
		end := newDuo(t, func(a, _ *policy.Config) {
			a.Tuning.Rand = newRand(byte(i + 10))
		})
		end.Step(0, ike.Initiate{})
		d.toB(end.Sent[0].Data) // message 1
		end.Step(0, ike.Datagram{Local: end.a.cfg.Local, Remote: end.b.cfg.Local, Data: d.Sent[len(d.Sent)-1].Data})
		d.toB(end.Sent[1].Data) // message 3
		d.Queue = nil
	}
	n := 0
	for _, s := range d.b.sas {
		if s.state == proving {
			n++
		}
	}
	if n != maxProving {
		t.Errorf("got %d exchanges that wait for a proof, want %d", n, maxProving)
	}
}

func TestGarbageForMessage5DoesNotEndTheAttempt(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	for range 4 {
		d.DeliverNext()
	}
	h := d.b.sas[0].header(wire.MainMode, 0)
	queue := d.Queue
	d.toB(wire.AppendSealed(nil, h, wire.KindID, make([]byte, 64)))
	d.toB(wire.AppendSealed(nil, h, wire.KindID, make([]byte, 63)))
	d.Queue = queue
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

func TestForgedRefusalsDoNotStopTheInitiator(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	h := d.a.sas[0].header(wire.Informational, 0)
	for _, n := range []wire.NotifyType{wire.NoProposalChosen, wire.AuthenticationFailed, wire.InvalidExchangeType} {
		msg := wire.Message{Header: h, Chain: wire.Chain{Payloads: []wire.Payload{&wire.Notify{Protocol: wire.ProtoISAKMP, Type: n}}}}
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: msg.Append(nil)})
	}
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
}

func TestPeerMovesOnlyByItsOwnFreshMessages(t *testing.T) {
	d := upDuo(t, func(a, _ *policy.Config) { a.ForceEncap = true })
	d.Wait(11 * time.Second)
	elsewhere := netip.MustParseAddrPort("192.0.2.66:9999")
	old := d.Sent[len(d.Sent)-2] // a's R-U-THERE or b's; whichever a sent
	for _, p := range d.Sent {
		if p.From == 0 {
			old = p
		}
	}
	d.Step(1, ike.Datagram{Local: old.Remote, Remote: elsewhere, Data: bytes.Clone(old.Data)})
	if got := d.b.State().Remote; got == elsewhere {
		t.Errorf("a recorded message moved the peer to %v", got)
	}
	s, turn := d.a.current, &turn{now: d.Now, out: &ike.Outputs{}}
	s.dpd.next++
	data := d.a.informational(turn, s, s.dpdNotify(wire.RUThere, s.dpd.next))
	s.dpd.next++
	d.Step(1, ike.Datagram{Local: old.Remote, Remote: elsewhere, Data: data})
	if got := d.b.State().Remote; got != elsewhere {
		t.Errorf("a fresh authentic message: got the peer at %v, want %v", got, elsewhere)
	}
}

func TestInitialContactWorksOnceAndOnANewSAOnly(t *testing.T) {
	d := upDuo(t, nil)
	before := d.b.State()
	d.Wait(contactFor + time.Second)
	d.say(t, &wire.Notify{Protocol: wire.ProtoISAKMP, SPI: wire.Cookies(d.a.current.header(0, 0)), Type: wire.InitialContact})
	d.checkUnmoved(t, before, "late INITIAL-CONTACT")

	d = upDuo(t, nil)
	contact := &wire.Notify{Protocol: wire.ProtoISAKMP, SPI: wire.Cookies(d.a.current.header(0, 0)), Type: wire.InitialContact}
	d.say(t, contact)
	if got := len(d.b.children); got != 0 {
		t.Fatalf("got %d CHILD SAs after INITIAL-CONTACT on a new SA, want none", got)
	}
	d.Step(0, ike.RekeyChild{})
	d.Run()
	d.Wait(time.Second)
	d.say(t, contact)
	if d.b.used() == nil {
		t.Error("a second INITIAL-CONTACT works, want it ignored")
	}
}

func TestTransactionsAreRefusedInWords(t *testing.T) {
	d := newDuo(t, nil)
	h := ike.Header{SPIi: 1, Version: wire.Version, Exchange: wire.Transaction}
	d.toB(h.Append(nil, ike.HeaderLen))
	if got := len(d.b.sas); got != 0 {
		t.Errorf("got %d SAs, want none", got)
	}
	if got := d.b.State().Reason; got == "" {
		t.Error("got no words, want some about XAUTH")
	}
}
