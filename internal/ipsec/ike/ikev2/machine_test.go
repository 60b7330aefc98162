package ikev2

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/iketest"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// testConfig is that of end i; both use a fast group.
func testConfig(i int) policy.Config {
	c := policy.Config{
		Initiator: i == 0, Auth: policy.Auth{PSK: secret.FromString("correct.horse_battery")},
		Local: netip.MustParseAddrPort("198.51.100.2:500"), Remote: netip.MustParseAddrPort("203.0.113.10:500"),
		IKE: []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 31}},
		ESP: []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 31}},
	}
	if i == 1 {
		c.Local, c.Remote = c.Remote, c.Local
	}
	c.Tuning.Rand = rand.NewChaCha8([32]byte{byte(i)})
	return c
}

// A duo is two machines on a wire, with a view inside.
type duo struct {
	*iketest.Net
	a, b *Machine
}

func newDuo(t testing.TB, change func(a, b *policy.Config)) *duo {
	t.Helper()
	return newDuoSharing(t, change, nil)
}

// newDuoSharing is newDuo with a responder of a process that has shared.
func newDuoSharing(t testing.TB, change func(a, b *policy.Config), shared *Shared) *duo {
	t.Helper()
	ca, cb := testConfig(0), testConfig(1)
	if change != nil {
		change(&ca, &cb)
	}
	a, err := New(ca, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(cb, shared)
	if err != nil {
		t.Fatal(err)
	}
	return &duo{iketest.NewNet(begin, a, b), a, b}
}

// up is newDuo after IKE_AUTH.
func upDuo(t testing.TB, change func(a, b *policy.Config)) *duo {
	t.Helper()
	d := newDuo(t, change)
	d.Step(0, ike.Initiate{})
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Fatal(err)
	}
	return d
}

// say delivers to b a request of a's that holds list, as if a had made it.
func (d *duo) say(t testing.TB, exchange uint8, list ...wire.Payload) []wire.Payload {
	t.Helper()
	s := d.a.current
	data, err := wire.Seal(s.header(exchange, s.window.next, false), list, s.seal)
	if err != nil {
		t.Fatal(err)
	}
	s.window.next++
	sent := len(d.Sent)
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
	if len(d.Sent) == sent {
		return nil
	}
	m, err := wire.Parse(d.Sent[sent].Data)
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := wire.Open(m, s.open)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestUnknownCriticalPayloadIsRefused(t *testing.T) {
	d := upDuo(t, nil)
	got := d.say(t, wire.Informational, &wire.Raw{Type: 200, Critical: true})
	n, ok := wire.FindNotify(got, wire.UnsupportedCriticalPayload)
	if !ok || !bytes.Equal(n.Data, []byte{200}) {
		t.Errorf("got %v, want UNSUPPORTED_CRITICAL_PAYLOAD of 200", got)
	}
	if d.b.State().Phase != ike.Established {
		t.Errorf("got %v, want established", d.b.State().Phase)
	}
}

func TestWhatIsNotUnderstoodIsSkipped(t *testing.T) {
	d := upDuo(t, nil)
	got := d.say(t, wire.Informational, &wire.Raw{Type: 200}, &wire.VendorID{Data: []byte("x")},
		&wire.Notify{Type: 16431, SPI: []byte{}}, &wire.Notify{Type: 40000, SPI: []byte{}, Data: []byte{1}})
	if len(got) != 0 {
		t.Errorf("got %v, want an empty answer", got)
	}
}

func TestMalformedAuthenticRequestEndsTheSA(t *testing.T) {
	d := upDuo(t, nil)
	got := d.say(t, wire.Informational, &wire.Raw{Type: wire.KindDelete, Data: []byte{1}})
	if _, ok := wire.FindNotify(got, wire.InvalidSyntax); !ok {
		t.Errorf("got %v, want INVALID_SYNTAX", got)
	}
	if d.b.State().Phase != ike.Idle {
		t.Errorf("got %v, want idle", d.b.State().Phase)
	}
}

func TestRequestsOutsideTheWindowAreIgnored(t *testing.T) {
	d := upDuo(t, nil)
	d.a.current.window.next += 5
	sent := len(d.Sent)
	if d.say(t, wire.Informational); len(d.Sent) != sent {
		t.Error("ahead of the window: got an answer, want silence")
	}
	d.a.current.window.next = 2
	d.say(t, wire.Informational)
	d.a.current.window.next = 1
	before := len(d.Sent)
	d.say(t, wire.Informational, &wire.Delete{Protocol: wire.ProtoIKE})
	if len(d.Sent) != before || d.b.State().Phase != ike.Established {
		t.Errorf("behind the window: got %d answers, %v, want none, established", len(d.Sent)-before, d.b.State().Phase)
	}
}

func TestNATKeepaliveIsOneOctet(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) {
		a.ForceEncap, a.Liveness.Interval, b.Liveness.Interval = true, time.Hour, time.Hour
	})
	sent := len(d.Sent)
	d.Wait(21 * time.Second)
	if got := d.Sent[sent:]; len(got) != 1 || !bytes.Equal(got[0].Data, []byte{0xff}) || got[0].Local.Port() != portNAT {
		t.Errorf("got %v, want one octet from port 4500", got)
	}
}

// answerAs delivers to a the response that b would seal to a's request under
// way, with list as its contents.
func TestNonsenseInAnAuthenticResponseEndsTheSA(t *testing.T) {
	for name, list := range map[string][]wire.Payload{
		"malformed":        {&wire.Raw{Type: wire.KindDelete, Data: []byte{1}}},
		"unknown critical": {&wire.Raw{Type: 222, Critical: true}},
		"no nonce":         {},
	} {
		d := upDuo(t, func(a, _ *policy.Config) { a.Restart = true })
		d.Step(0, ike.RekeyChild{})
		d.answerAs(t, wire.CreateChildSA, list...)
		if got := d.a.State().Phase; got != ike.Failed {
			t.Errorf("%s: got %v, want failed", name, got)
		}
		d.Wait(5 * time.Second)
		checkTraffic(t, d)
	}
}

func TestReservedOctetsOfTheIdentityAreCovered(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.DeliverNext()
	s := d.a.sas[0]
	for _, c := range []struct {
		name    string
		covered wire.ID
		want    bool
	}{
		{"as sent", wire.ID{Identity: d.a.cfg.LocalID, Reserved: [3]byte{1, 2, 3}}, true},
		{"zeroed", wire.ID{Identity: d.a.cfg.LocalID}, false},
	} {
		sent := &wire.ID{Identity: d.a.cfg.LocalID, Reserved: [3]byte{1, 2, 3}}
		proof, err := d.a.proof(s, &c.covered)
		if err != nil {
			t.Fatal(err)
		}
		first, octets := wire.AppendChain(nil, []wire.Payload{sent})
		list, err := wire.ParseChain(first, octets)
		if err != nil {
			t.Fatal(err)
		}
		err = d.b.verify(&turn{now: d.Now}, d.b.sas[0], list[0].(*wire.ID), proof)
		if (err == nil) != c.want {
			t.Errorf("%s: got %v, want accepted %v", c.name, err, c.want)
		}
	}
}

func TestOtherAuthenticationMethodsAreRefusedInWords(t *testing.T) {
	d := newDuo(t, nil)
	err := d.b.verify(&turn{now: d.Now}, &sa{}, &wire.ID{}, []wire.Payload{&wire.Auth{Method: 14, Data: []byte{1}}})
	if err == nil || !strings.Contains(err.Error(), "pre-shared key") {
		t.Errorf("got %v, want an error about pre-shared keys", err)
	}
}

func TestAnotherSATakesOverWhenTheCurrentOneDies(t *testing.T) {
	d := upDuo(t, nil)
	spare := &sa{state: up, spiI: 9, spiR: 9, path: d.b.current.path}
	d.b.sas = append(d.b.sas, spare)
	d.b.down(&turn{out: &ike.Outputs{}, now: d.Now}, "test", again)
	if d.b.current != spare || d.b.State().Phase != ike.Authed {
		t.Errorf("got %v, want the spare SA in use without a CHILD SA", d.b.State().Phase)
	}
}
