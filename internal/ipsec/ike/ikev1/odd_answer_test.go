package ikev1

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// answerChanged begins an attempt of a's and delivers b's answer to its nth
// message of main mode after change. Nothing else ever arrives.
func answerChanged(t *testing.T, n int, change func(data []byte) []byte) *duo {
	t.Helper()
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	for range 2*n - 1 {
		d.DeliverNext()
	}
	answer := d.Sent[len(d.Sent)-1].Data
	d.Queue, d.Cut = nil, true
	d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: change(slices.Clone(answer))})
	return d
}

// reparsed changes a message in the clear.
func reparsed(t *testing.T, change func(m *wire.Message)) func([]byte) []byte {
	return func(data []byte) []byte {
		m, err := wire.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		return (&wire.Message{Header: m.Header, Chain: wire.Chain{Payloads: m.Chain.Payloads}}).Append(nil)
	}
}

func lacking(kind wire.Kind) func(*wire.Message) {
	return func(m *wire.Message) { m.Chain.Payloads = without(m.Chain.Payloads, kind) }
}

// cut takes the end of a message away, and is honest about its length.
func cut(b []byte) []byte {
	b = b[:len(b)-3]
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	return b
}

func TestAnAnswerThatMakesNoSenseIsNamedWhenTheAttemptEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		n      int
		change func([]byte) []byte
		words  string
	}{
		{"message 2 cut", 1, cut, "an answer to main mode message 1 came from 203.0.113.10:500, but it cannot be read: "},
		{"message 2 without SA", 1, reparsed(t, lacking(wire.KindSA)), "main mode message 1 came from 203.0.113.10:500, but it has no SA or several"},
		{"message 2 with our cookie", 1, reparsed(t, func(m *wire.Message) { m.Header.SPIr = m.Header.SPIi }), "has our own cookie in place of the peer's"},
		{"message 2 encrypted", 1, func(b []byte) []byte { b[19] |= 1; return b }, "is encrypted before there are keys"},
		{"message 4 cut", 2, cut, "an answer to main mode message 3 came from 203.0.113.10:500, but it cannot be read: "},
		{"message 4 without KE", 2, reparsed(t, lacking(wire.KindKE)), "main mode message 3 came from 203.0.113.10:500, but it lacks a key exchange or a nonce"},
	} {
		d := answerChanged(t, c.n, c.change)
		if got := d.a.State(); got.Phase != ike.Connecting || got.Reason != "" {
			t.Errorf("%s: got %v, %q at once, want it to go on", c.name, got.Phase, got.Reason)
		}
		d.Wait(8 * time.Second)
		if got := d.a.State().Phase; got != ike.Connecting {
			t.Errorf("%s: got %v soon after, want it to go on as if nothing had come", c.name, got)
		}
		d.Wait(30 * time.Second)
		if got := d.a.State(); got.Phase != ike.Failed || !strings.Contains(got.Reason, c.words) {
			t.Errorf("%s: got %v, %q, want failed with %q", c.name, got.Phase, got.Reason, c.words)
		}
	}
}

func TestARepeatedMessage2IsNoOddMessage4(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	again := d.Sent[len(d.Sent)-1].Data
	d.DeliverNext()
	d.Queue, d.Cut = nil, true
	d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: again})
	d.Wait(31 * time.Second)
	if got := d.a.State(); got.Phase != ike.Failed || !strings.Contains(got.Reason, "no answer from 203.0.113.10:500 to the key exchange") {
		t.Errorf("got %v, %q, want failed for want of an answer", got.Phase, got.Reason)
	}
}

func TestTheRightMessage2AfterOneThatMakesNoSenseIsTaken(t *testing.T) {
	d := answerChanged(t, 1, cut)
	d.Cut = false
	d.Wait(3 * time.Second)
	d.Run()
	if got := d.a.State(); got.Phase != ike.Established {
		t.Errorf("got %v, %q, want established", got.Phase, got.Reason)
	}
}
