package ikev2

import (
	"bytes"
	"net/netip"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

func TestRekeyOfUnknownChildIsNotFound(t *testing.T) {
	d := upDuo(t, nil)
	got := d.say(t, wire.CreateChildSA, &wire.Notify{Protocol: wire.ProtoESP, SPI: []byte{1, 2, 3, 4}, Type: wire.RekeySA},
		&wire.SA{Proposals: proposal.ESP(d.a.cfg.ESP, 0x01020304, true)}, &wire.Nonce{Data: make([]byte, 32)})
	n, ok := wire.FindNotify(got, wire.ChildSANotFound)
	if !ok || !bytes.Equal(n.SPI, []byte{1, 2, 3, 4}) || n.Protocol != wire.ProtoESP {
		t.Errorf("got %v, want CHILD_SA_NOT_FOUND with the SPI of the request", got)
	}
}

func TestSecondChildReplacesTheFirst(t *testing.T) {
	d := upDuo(t, nil)
	first := d.b.used()
	x, err := suite.NewExchange(31, d.a.cfg.Tuning.Rand)
	if err != nil {
		t.Fatal(err)
	}
	d.say(t, wire.CreateChildSA, &wire.SA{Proposals: proposal.ESP(d.a.cfg.ESP, 0x01020304, true)}, &wire.Nonce{Data: make([]byte, 32)},
		&wire.KE{Group: 31, Public: x.Public()}, &wire.TS{Selectors: d.a.cfg.LocalTS}, &wire.TS{Responder: true, Selectors: d.a.cfg.RemoteTS})
	if got := d.b.used(); got == first || got.SA.SPIOut != 0x01020304 {
		t.Errorf("got child %08x in use, want 01020304", got.SA.SPIOut)
	}
	if first.state != childClosing {
		t.Errorf("got the first child in state %d, want closing", first.state)
	}
}

func (d *duo) answerAs(t testing.TB, exchange uint8, list ...wire.Payload) {
	t.Helper()
	mine := d.a.current
	if mine == nil {
		mine = d.a.sas[0]
	}
	at := 0
	for i, s := range d.b.sas {
		if s.spiI == mine.spiI {
			at = i
		}
	}
	theirs := d.b.sas[at]
	data, err := wire.Seal(theirs.header(exchange, mine.window.out.id, true), list, theirs.seal)
	if err != nil {
		t.Fatal(err)
	}
	d.Queue = nil
	d.Step(0, ike.Datagram{Local: mine.path.local, Remote: mine.path.remote, Data: data})
}

func TestWiderSelectorsThanOfferedAreRefused(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) {
		narrow := []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("10.0.0.0/8"))}
		a.LocalTS, b.RemoteTS = narrow, narrow
	})
	d.Step(0, ike.RekeyChild{})
	k := d.a.current.window.out.task.(*createChild)
	x, err := suite.NewExchange(31, d.b.cfg.Tuning.Rand)
	if err != nil {
		t.Fatal(err)
	}
	wide := []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("0.0.0.0/0"))}
	before := d.a.used()
	d.answerAs(t, wire.CreateChildSA, proposal.AnswerESP(d.a.cfg.ESP[0], wire.Proposal{Number: 1}, 0x01020304), &wire.Nonce{Data: make([]byte, 32)},
		&wire.KE{Group: 31, Public: x.Public()}, &wire.TS{Selectors: wide}, &wire.TS{Responder: true, Selectors: wide})
	if d.a.used() != before || d.a.State().Phase != ike.Established {
		t.Errorf("got another child in use, %v; want the old one", d.a.State().Phase)
	}
	deletes, ok := d.a.current.window.out.task.(*deleteChild)
	if !ok || deletes.spiIn != k.offer.spi {
		t.Errorf("got %T under way, want the peer's half made CHILD SA deleted", d.a.current.window.out.task)
	}
}

func TestChildThatThePeerForgotIsMadeAnew(t *testing.T) {
	d := upDuo(t, nil)
	d.b.removeChild(&turn{out: &ike.Outputs{}, now: d.Now}, d.b.used())
	d.Ends[1].Inbound, d.Ends[1].Outbound = map[uint32]*ike.ChildSA{}, nil
	d.Step(0, ike.RekeyChild{})
	d.Run()
	checkTraffic(t, d)
}

func checkTraffic(t *testing.T, d *duo) {
	t.Helper()
	if err := d.Traffic(); err != nil {
		t.Errorf("%v\n%s", err, d.Log.String())
	}
	if err := d.Err(); err != nil {
		t.Error(err)
	}
}

func TestUnknownErrorNotifyFailsTheExchange(t *testing.T) {
	d := upDuo(t, nil)
	before := d.a.used()
	d.Step(0, ike.RekeyChild{})
	d.answerAs(t, wire.CreateChildSA, &wire.Notify{Type: 8191})
	if d.a.used() != before {
		t.Error("an unknown error was taken for success")
	}
	if got, want := before.soft, d.Now.Add(retryRefused); !got.Equal(want) {
		t.Errorf("got the next try at %v, want %v", got, want)
	}
}
