package ikev2

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/secret"
)

func TestForgedInitAnswersDoNotStopTheInitiator(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	h := d.a.sas[0].header(wire.IKESAInit, 0, true)
	h.Flags = ike.FlagResponse
	forge := func(list ...wire.Payload) {
		m := wire.Message{Header: h, Payloads: list}
		d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: m.Append(nil)})
	}
	forge(&wire.Notify{Type: wire.InvalidKEPayload, Data: []byte{0, 2}}) // never offered
	forge(&wire.Notify{Type: wire.InvalidKEPayload, Data: []byte{0}})
	forge(&wire.Notify{Type: wire.CookieNotify, Data: make([]byte, 65)})
	forge(&wire.Notify{Type: wire.CookieNotify})
	forge(&wire.Raw{Type: 99, Critical: true})
	forge(&wire.SA{Proposals: proposal.IKE(d.a.cfg.IKE, nil)})
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(d.Log.String(), "peer wants DH2") {
		t.Errorf("got\n%s\nwant words about the group", d.Log.String())
	}
}

func TestFloodOfStrangersChangesNothing(t *testing.T) {
	d := upDuo(t, nil)
	before, sas := d.b.State(), len(d.b.sas)
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	notices := len(d.Ends[1].Notices)
	for i := range 200 {
		msg.Header.SPIi = uint64(i + 1)
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: msg.Append(nil)})
		bad := *msg
		bad.Payloads = append([]wire.Payload{&wire.SA{Proposals: []wire.Proposal{{Protocol: wire.ProtoIKE}}}}, msg.Payloads[1:]...)
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: bad.Append(nil)})
	}
	after := d.b.State()
	if before.Phase != after.Phase || before.SPIi != after.SPIi || before.Child.SPIIn != after.Child.SPIIn || d.Traffic() != nil {
		t.Errorf("got %+v, want %+v", after, before)
	}
	if got := len(d.b.sas) - sas; got != 1 {
		t.Errorf("got %d half-open attempts kept, want 1: the others must show a cookie", got)
	}
	if got := len(d.Ends[1].Notices) - notices; got > 1 {
		t.Errorf("got %d notices, want at most 1", got)
	}
}

func TestHalfOpenAttemptsAreBounded(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	nonce, _ := wire.Find[*wire.Nonce](msg.Payloads)
	plain := msg.Payloads
	for i := range 3 * maxHalfOpen {
		msg.Header.SPIi = uint64(i + 1)
		c, err := d.b.shared.Cookies.make(d.Now, cookieClaim{d.a.cfg.Local, msg.Header.SPIi, nonce.Data})
		if err != nil {
			t.Fatal(err)
		}
		msg.Payloads = append([]wire.Payload{&wire.Notify{Type: wire.CookieNotify, Data: c}}, plain...)
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: msg.Append(nil)})
	}
	if got := d.b.halfOpen(); got != maxHalfOpen {
		t.Errorf("got %d half-open attempts, want %d", got, maxHalfOpen)
	}
	d.Queue = nil
	d.Wait(31 * time.Second)
	if got := d.b.halfOpen(); got > 1 {
		t.Errorf("after 31 s: got %d half-open attempts, want at most that of the other end", got)
	}
}

func TestHugeFirstMessageIsNotKept(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	msg.Payloads = append(msg.Payloads, &wire.VendorID{Data: make([]byte, maxFirst)})
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: msg.Append(nil)})
	if got := len(d.b.sas); got != 0 || len(d.Sent) != 1 {
		t.Errorf("got %d attempts kept and %d answers, want none", got, len(d.Sent)-1)
	}
}

func TestLaterMajorVersionIsRefused(t *testing.T) {
	d := newDuo(t, nil)
	h := ike.Header{SPIi: 5, Version: 0x30, Exchange: wire.IKESAInit, Flags: ike.FlagInitiator}
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: h.Append(nil, ike.HeaderLen)})
	if len(d.Sent) != 1 || !strings.Contains(d.Log.String(), "INVALID_MAJOR_VERSION") {
		t.Errorf("got\n%s\nwant INVALID_MAJOR_VERSION", d.Log.String())
	}
	h.Flags |= ike.FlagResponse
	d.Now = d.Now.Add(2 * refusalPause)
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: h.Append(nil, ike.HeaderLen)})
	if len(d.Sent) != 1 {
		t.Error("a response was answered")
	}
}

func TestSecretsNeverShow(t *testing.T) {
	d := upDuo(t, func(a, _ *policy.Config) { a.Auth.PSK = secret.FromString("correct.horse_battery") })
	d.Step(0, ike.RekeyChild{})
	d.Run()
	log := d.Log.String()
	for _, e := range d.Ends {
		log += strings.Join(strings.Fields(strings.ReplaceAll(stringOf(e), "\n", " ")), " ")
	}
	if strings.Contains(log, "horse") {
		t.Error("the pre-shared key shows in notices or states")
	}
}

func stringOf(e *iketest.End) string {
	var b strings.Builder
	for _, n := range e.Notices {
		b.WriteString(n.Text)
		for _, a := range n.Attrs {
			if s, ok := a.(string); ok {
				b.WriteString(s)
			}
		}
	}
	return b.String()
}

func TestLateAnswersOfOldExchangesAreIgnored(t *testing.T) {
	d := upDuo(t, nil)
	for _, p := range d.Sent {
		d.Deliver(p)
	}
	d.Run()
	if d.b.State().Phase != ike.Established || d.a.State().Phase != ike.Established || d.Traffic() != nil {
		t.Errorf("got %v and %v, %v", d.a.State().Phase, d.b.State().Phase, d.Traffic())
	}
}

func TestReplayFromElsewhereDoesNotMoveThePeer(t *testing.T) {
	d := upDuo(t, func(a, _ *policy.Config) { a.ForceEncap = true })
	d.say(t, wire.Informational)
	before := d.b.current.path.remote
	last := d.a.current.window.next - 1
	list, err := wire.Seal(d.a.current.header(wire.Informational, last, false), nil, d.a.current.seal)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := netip.MustParseAddrPort("192.0.2.66:4500")
	d.Step(1, ike.Datagram{Local: d.b.current.path.local, Remote: elsewhere, Data: list})
	if got := d.b.current.path.remote; got != before {
		t.Errorf("got %v, want %v", got, before)
	}
}

func TestStrangersCannotFloodTheStatus(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		msg.Header.SPIi = uint64(i + 1)
		msg.Payloads[0] = &wire.SA{Proposals: []wire.Proposal{{Protocol: wire.ProtoIKE, Transforms: []wire.Transform{{Type: wire.TypeEncr, ID: uint16(100 + i)}}}}}
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: msg.Append(nil)})
	}
	if got := len(d.Ends[1].Phases); got != 1 {
		t.Errorf("got %d changes of state, want 1 within %v", got, strangerQuiet)
	}
}
