package ikev2

import (
	"slices"
	"strings"
	"testing"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// hybrid gives both ends a suite with the given additional key exchanges, and
// messages in one piece, so that they can be counted.
func hybrid(more ...suite.Group) func(a, b *policy.Config) {
	return func(a, b *policy.Config) {
		for _, c := range []*policy.Config{a, b} {
			s := suite.IKE{Encr: suite.AESGCM16, KeyBits: 256, PRF: suite.PRFSHA384, Group: 20}
			copy(s.AddKE[:], more)
			c.IKE = []suite.IKE{s}
			c.Extensions.FragmentSize = -1
		}
	}
}

func TestAuthCoversIntermediateExchanges(t *testing.T) {
	for name, change := range map[string]func(x *intermediates){
		"initiator's": func(x *intermediates) { x.i[0] ^= 1 },
		"responder's": func(x *intermediates) { x.r[len(x.r)-1] ^= 1 },
		"message id":  func(x *intermediates) { x.done++ },
	} {
		d := newDuo(t, hybrid(suite.MLKEM768))
		d.Step(0, ike.Initiate{})
		for range 4 {
			d.DeliverNext()
		}
		// What b believes to have seen differs from what a sent.
		change(&d.b.sas[0].shake.mid)
		if name == "message id" {
			d.b.sas[0].suite.AddKE[1] = 0
		}
		d.Run()
		if got := d.a.State(); got.Phase != ike.Failed || !strings.Contains(got.Reason, "AUTHENTICATION_FAILED") {
			t.Errorf("%s: got %v, %q, want the authentication refused", name, got.Phase, got.Reason)
		}
	}
}

func TestEachIntermediateChangesAllKeys(t *testing.T) {
	d := newDuo(t, hybrid(suite.MLKEM768, suite.MLKEM1024, 31))
	d.Step(0, ike.Initiate{})
	var seen []string
	for range 4 {
		d.DeliverNext()
		d.DeliverNext()
		k := d.b.sas[0].keys
		for _, s := range []string{string(k.D.Reveal()), string(k.Ei.Reveal()), string(k.Er.Reveal()), string(k.Pi.Reveal()), string(k.Pr.Reveal())} {
			if slices.Contains(seen, s) {
				t.Error("a key outlives an additional key exchange")
			}
			seen = append(seen, s)
		}
	}
	d.Run()
	want := []string{"ML-KEM-768", "ML-KEM-1024", "DH31"}
	if got := d.a.State(); got.Phase != ike.Established || !slices.Equal(got.Extensions[len(got.Extensions)-3:], want) {
		t.Errorf("got %v with %v, want established with %v", got.Phase, got.Extensions, want)
	}
}

func TestAuthBeforeTheLastIntermediateIsNotAnswered(t *testing.T) {
	d := newDuo(t, hybrid(suite.MLKEM768))
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.DeliverNext()
	d.Queue = nil
	s := d.a.sas[0]
	s.window.out, s.window.next, s.tasks = nil, 1, []task{&authenticate{spi: 1000}}
	d.Step(0, ike.TimerFired{})
	if len(d.Queue) != 1 {
		t.Fatalf("got %d datagrams, want one IKE_AUTH", len(d.Queue))
	}
	d.DeliverNext()
	if got := d.b.sas[0]; len(d.Queue) != 0 || got.state != keyed || got.window.expect != 1 {
		t.Errorf("got %d answers in state %v, want none, and the IKE_INTERMEDIATE still awaited", len(d.Queue), got.state)
	}
}

func TestIntermediateWithoutTheRightKeyExchangeEndsTheAttempt(t *testing.T) {
	for name, list := range map[string][]wire.Payload{
		"nothing":       nil,
		"another group": {&wire.KE{Group: 31, Public: make([]byte, 32)}},
		"bad key":       {&wire.KE{Group: uint16(suite.MLKEM768), Public: slices.Repeat([]byte{0xff}, 1184)}},
		"short key":     {&wire.KE{Group: uint16(suite.MLKEM768), Public: make([]byte, 1183)}},
	} {
		d := newDuo(t, hybrid(suite.MLKEM768))
		d.Step(0, ike.Initiate{})
		d.DeliverNext()
		d.DeliverNext()
		d.Queue = nil
		s := d.a.sas[0]
		data, err := wire.Seal(s.header(wire.IKEIntermediate, 1, false), list, s.seal)
		if err != nil {
			t.Fatal(err)
		}
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
		if got := d.b.sas[0]; got.state != gone || len(d.Queue) != 1 || !strings.Contains(d.b.State().Reason, "ML-KEM-768") && !strings.Contains(d.b.State().Reason, "not valid") {
			t.Errorf("%s: got state %v, %d answers, %q, want INVALID_SYNTAX, the end, and words", name, got.state, len(d.Queue), d.b.State().Reason)
		}
	}
}
