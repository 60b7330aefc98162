package ikev2

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
)

// answerChanged begins an attempt of a's and delivers b's answer after change.
// Nothing else ever arrives.
func answerChanged(t *testing.T, change func(data []byte) []byte) *duo {
	t.Helper()
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	answer := d.Sent[len(d.Sent)-1].Data
	d.Queue, d.Cut = nil, true
	d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: change(slices.Clone(answer))})
	return d
}

// reparsed changes the payloads of a message in the clear.
func reparsed(t *testing.T, change func(m *wire.Message)) func([]byte) []byte {
	return func(data []byte) []byte {
		m, err := wire.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		return (&wire.Message{Header: m.Header, Payloads: m.Payloads}).Append(nil)
	}
}

func lacking(kind wire.Kind) func(*wire.Message) {
	return func(m *wire.Message) {
		m.Payloads = slices.DeleteFunc(m.Payloads, func(p wire.Payload) bool { return p.Kind() == kind })
	}
}

func TestAnAnswerThatMakesNoSenseIsNamedWhenTheAttemptEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		words  string
	}{
		{"cut", func(b []byte) []byte { // the last payload, with the length in the header right
			b = b[:len(b)-3]
			binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
			return b
		}, "cannot be read: "},
		{"no KE", reparsed(t, lacking(wire.KindKE)), "lacks an SA, a key exchange or a nonce"},
		{"no SA", reparsed(t, lacking(wire.KindSA)), "lacks an SA, a key exchange or a nonce"},
		{"no SPI", reparsed(t, func(m *wire.Message) { m.Header.SPIr = 0 }), "has no SPI of the peer's"},
		{"two proposals", reparsed(t, func(m *wire.Message) {
			sa, _ := wire.Find[*wire.SA](m.Payloads)
			sa.Proposals = append(sa.Proposals, sa.Proposals[0])
		}), "chooses several proposals or algorithms of one kind"},
		{"KE of another group", reparsed(t, func(m *wire.Message) {
			ke, _ := wire.Find[*wire.KE](m.Payloads)
			ke.Group = 14
		}), "has a key exchange in DH14, though it chooses DH31 and we sent DH31"},
		{"message id", reparsed(t, func(m *wire.Message) { m.Header.MessageID = 7 }), "has message id 7 or the flag of an initiator"},
		{"critical", reparsed(t, func(m *wire.Message) {
			m.Payloads = append(m.Payloads, &wire.Raw{Type: 200, Critical: true})
		}), "needs an extension (payload type 200) that does not exist here"},
		{"cookie", reparsed(t, func(m *wire.Message) {
			m.Payloads = []wire.Payload{&wire.Notify{Type: wire.CookieNotify}}
		}), "asks for a cookie of 0 octets"},
		{"the group that we sent", reparsed(t, func(m *wire.Message) {
			m.Payloads = []wire.Payload{&wire.Notify{Type: wire.InvalidKEPayload, Data: []byte{0, 31}}}
		}), "asks for a key exchange in DH31, which we sent"},
		{"no group", reparsed(t, func(m *wire.Message) {
			m.Payloads = []wire.Payload{&wire.Notify{Type: wire.InvalidKEPayload}}
		}), "asks for another DH group without naming one"},
	} {
		d := answerChanged(t, c.change)
		if got := d.a.State(); got.Phase != ike.Connecting || got.Reason != "" {
			t.Errorf("%s: got %v, %q at once, want it to go on", c.name, got.Phase, got.Reason)
		}
		d.Wait(8 * time.Second)
		if got := d.a.State().Phase; got != ike.Connecting {
			t.Errorf("%s: got %v soon after, want it to go on as if nothing had come", c.name, got)
		}
		d.Wait(30 * time.Second)
		want := "an answer to IKE_SA_INIT came from 203.0.113.10:500, but it " + c.words
		if got := d.a.State(); got.Phase != ike.Failed || !strings.Contains(got.Reason, want) {
			t.Errorf("%s: got %v, %q, want failed with %q", c.name, got.Phase, got.Reason, want)
		}
	}
}

func TestTheRightAnswerAfterOneThatMakesNoSenseIsTaken(t *testing.T) {
	d := answerChanged(t, reparsed(t, lacking(wire.KindKE)))
	d.Cut = false
	d.Wait(3 * time.Second)
	d.Run()
	if got := d.a.State(); got.Phase != ike.Established {
		t.Errorf("got %v, %q, want established", got.Phase, got.Reason)
	}
}

func TestSilenceAfterACookieIsNotSaidToBeNoAnswer(t *testing.T) {
	d := answerChanged(t, reparsed(t, func(m *wire.Message) {
		m.Payloads = []wire.Payload{&wire.Notify{Type: wire.CookieNotify, Data: []byte("cookie")}}
	}))
	d.Wait(40 * time.Second)
	want := "no answer from 203.0.113.10:500 to our second IKE_SA_INIT: the peer answered the first"
	if got := d.a.State(); got.Phase != ike.Failed || !strings.Contains(got.Reason, want) {
		t.Errorf("got %v, %q, want failed with %q", got.Phase, got.Reason, want)
	}
}
