package ikev2

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// twoProposals has the ends offer what takes two proposals, so that these have
// something to count.
func twoProposals(a, b *policy.Config) {
	for _, c := range []*policy.Config{a, b} {
		cbc := suite.IKE{Encr: suite.AESCBC, KeyBits: 256, PRF: suite.PRFSHA256, Integ: suite.IntegSHA256, Group: 31}
		c.IKE = append(c.IKE, cbc)
		c.ESP = append(c.ESP, suite.ESP{Encr: suite.AESCBC, KeyBits: 256, Integ: suite.IntegSHA256, Group: 31})
	}
}

// checkForm holds one chain of payloads, as its sender wrote it, to RFC 7296
// sections 3.2, 3.3, 3.10 and 3.12.
func checkForm(t *testing.T, what string, first wire.Kind, b []byte) {
	t.Helper()
	for kind := first; kind != wire.KindNone; {
		if kind == wire.KindSK {
			return
		}
		if kind == wire.KindVendorID {
			t.Errorf("%s: got a Vendor ID, want none: no extension of ours needs one", what)
		}
		if b[1] != 0 {
			t.Errorf("%s, payload %d: got critical bit and reserved %#x, want 0", what, kind, b[1])
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		switch body := b[4:n]; kind {
		case wire.KindSA:
			checkProposals(t, what, body)
		case wire.KindNotify:
			if body[0] != 0 && body[1] == 0 {
				t.Errorf("%s: got protocol %d in a Notify without SPI, want 0", what, body[0])
			}
		case wire.KindKE:
			if body[2] != 0 || body[3] != 0 {
				t.Errorf("%s: got reserved octets %x in KE, want 0", what, body[2:4])
			}
		}
		kind, b = wire.Kind(b[0]), b[n:]
	}
	if len(b) != 0 {
		t.Errorf("%s: got %d octets after the last payload, want none", what, len(b))
	}
}

// checkProposals holds the body of an SA payload to RFC 7296 section 3.3.1:
// proposals are numbered from 1, the last one says so, reserved octets are 0.
// An answer may have the number of what it takes.
func checkProposals(t *testing.T, what string, b []byte) {
	t.Helper()
	alone := int(binary.BigEndian.Uint16(b[2:])) == len(b)
	for number := byte(1); len(b) > 0; number++ {
		n := int(binary.BigEndian.Uint16(b[2:]))
		last := byte(2)
		if n == len(b) {
			last = 0
		}
		if b[0] != last || b[1] != 0 || (!alone && b[4] != number) {
			t.Errorf("%s: proposal begins %x, want %02x00 and number %d", what, b[:8], last, number)
		}
		b = b[n:]
	}
}

func TestOurMessagesHaveTheFormOfTheRFC(t *testing.T) {
	d := newDuo(t, twoProposals)
	seen := map[uint8]int{}
	look := 0
	for _, ev := range []ike.Event{ike.Initiate{}, ike.RekeyChild{}, ike.RekeyIKE{}} {
		d.Step(0, ev)
		for more := true; more; more = d.DeliverNext() {
			look = d.checkForms(t, look, seen)
		}
	}
	d.Wait(time.Minute) // each probes the other
	d.checkForms(t, look, seen)
	for _, x := range []uint8{wire.IKESAInit, wire.IKEAuth, wire.CreateChildSA, wire.Informational} {
		if seen[x] == 0 {
			t.Errorf("%s: got none that could be read, want some to look at", wire.ExchangeName(x))
		}
	}
}

// checkForms holds the messages that were sent, from the one with number from,
// to the RFC, counts in seen those of each exchange that could be read, and
// gives the number of the next one.
func (d *duo) checkForms(t *testing.T, from int, seen map[uint8]int) (next int) {
	t.Helper()
	for i, p := range d.Sent[from:] {
		msg, err := wire.Parse(p.Data)
		if err != nil {
			t.Fatal(err)
		}
		h := msg.Header
		what := wire.ExchangeName(h.Exchange)
		if h.Version != 0x20 || h.Flags&^(ike.FlagInitiator|ike.FlagResponse) != 0 {
			t.Errorf("message %d, %s: got version %#x and flags %#x, want 0x20 and no others than I and R", i, what, h.Version, h.Flags)
		}
		opening := h.Exchange == wire.IKESAInit && h.Flags&ike.FlagResponse == 0
		if h.SPIi == 0 || (h.SPIr == 0) != opening {
			t.Errorf("message %d, %s: got SPIs %#x and %#x, want the responder's to be 0 in the first message only", i, what, h.SPIi, h.SPIr)
		}
		checkForm(t, what, wire.Kind(h.Next), p.Data[ike.HeaderLen:])
		sk, ok := wire.Find[*wire.SK](msg.Payloads)
		if !ok {
			seen[h.Exchange]++
			continue
		}
		for _, s := range append(slices.Clone(d.a.sas), d.b.sas...) { // whichever opens it
			for _, o := range []*suite.Protector{s.open, s.seal} {
				if o == nil {
					continue
				}
				if plain, err := o.OpenSK(bytes.Clone(p.Data), len(p.Data)-len(sk.Sealed)); err == nil {
					seen[h.Exchange]++
					checkForm(t, what, sk.First, plain)
				}
			}
		}
	}
	return len(d.Sent)
}

// refusal is an answer to a's first message that proves nothing.
func (d *duo) refusal(t *testing.T, n *wire.Notify) {
	t.Helper()
	h := parse(t, d.Sent[len(d.Sent)-1].Data).Header
	h.Flags = ike.FlagResponse
	msg := wire.Message{Header: h, Payloads: []wire.Payload{n}}
	d.Queue = nil
	d.Step(0, ike.Datagram{Local: d.a.cfg.Local, Remote: d.b.cfg.Local, Data: msg.Append(nil)})
}

func TestCookieGoesAlongWithAnotherGroup(t *testing.T) {
	d := newDuo(t, func(a, _ *policy.Config) {
		other := a.IKE[0]
		other.Group = 19
		a.IKE = append(a.IKE, other)
	})
	d.Step(0, ike.Initiate{})
	first := parse(t, d.Sent[0].Data)
	// The protocol of a notify without an SPI says nothing (RFC 7296 section
	// 3.10).
	d.refusal(t, &wire.Notify{Protocol: wire.ProtoESP, Type: wire.CookieNotify, Data: []byte("cookie")})
	second := parse(t, d.Sent[len(d.Sent)-1].Data)
	_, rest := wire.AppendChain(nil, second.Payloads[1:])
	if _, whole := wire.AppendChain(nil, first.Payloads); !bytes.Equal(rest, whole) {
		t.Errorf("after the cookie got %x, want what was there without it, %x (RFC 7296 section 2.6)", rest, whole)
	}
	d.refusal(t, &wire.Notify{Protocol: wire.ProtoIKE, Type: wire.InvalidKEPayload, Data: []byte{0, 19}})
	msg := parse(t, d.Sent[len(d.Sent)-1].Data)
	n, ok := msg.Payloads[0].(*wire.Notify)
	if !ok || n.Type != wire.CookieNotify || string(n.Data) != "cookie" {
		t.Errorf("got %T first, want the cookie (RFC 7296 section 2.6.1)", msg.Payloads[0])
	}
	ke, _ := wire.Find[*wire.KE](msg.Payloads)
	if ke == nil || ke.Group != 19 {
		t.Errorf("got %+v, want a value of group 19", ke)
	}
	sap, _ := wire.Find[*wire.SA](msg.Payloads)
	before, _ := wire.Find[*wire.SA](first.Payloads)
	if len(sap.Proposals) != len(before.Proposals) || msg.Header.SPIi != first.Header.SPIi || msg.Header.SPIr != 0 {
		t.Errorf("got another offer, or SPIs %#x and %#x, want the same offer and %#x and 0", msg.Header.SPIi, msg.Header.SPIr, first.Header.SPIi)
	}
}
