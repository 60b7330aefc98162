package ikev2

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// A peer that can do no more than IKE_SA_INIT and IKE_AUTH refuses every
// CREATE_CHILD_SA: RFC 7296 section 4 has us delete and begin anew then.
func TestPeerThatMakesNoMoreSAsGetsANewIKESA(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) {
		for _, c := range []*policy.Config{a, b} {
			c.Liveness.Action = policy.None
		}
		a.Restart = true
	})
	first := d.a.current.spiI
	d.Cut = true
	d.Step(0, ike.RekeyChild{})
	d.answerAs(t, wire.CreateChildSA, &wire.Notify{Type: wire.NoAdditionalSAs})
	d.Cut = false
	d.Run()
	d.Wait(5 * time.Second)
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
	if d.a.current == nil || d.a.current.spiI == first {
		t.Errorf("got the IKE SA of before, want a new one")
	}
	if got := len(d.b.sas); got != 1 {
		t.Errorf("got %d IKE SAs at the peer, want the new one only: the old one is deleted", got)
	}
}

// authenticates has a begin, and b hear a's IKE_AUTH request with what change
// makes of its payloads. It gives b's answer.
func (d *duo) authenticates(t *testing.T, change func(list []wire.Payload) []wire.Payload) []wire.Payload {
	t.Helper()
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.DeliverNext()
	s := d.a.sas[0]
	msg := parse(t, d.Sent[len(d.Sent)-1].Data)
	list, _, err := wire.Open(msg, s.seal)
	if err != nil || msg.Header.Exchange != wire.IKEAuth {
		t.Fatalf("%s: %v", wire.ExchangeName(msg.Header.Exchange), err)
	}
	data, err := wire.Seal(msg.Header, change(list), s.seal)
	if err != nil {
		t.Fatal(err)
	}
	d.Queue = nil
	sent := len(d.Sent)
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data})
	answer, _, err := wire.Open(parse(t, d.Sent[sent].Data), s.open)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestForbiddenNATEndsIKEAuth(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		d := newDuo(t, nil)
		from := d.a.cfg.Local
		if elsewhere {
			from = netip.MustParseAddrPort("10.0.0.1:500")
		}
		b := append(from.Addr().AsSlice(), d.b.cfg.Local.Addr().AsSlice()...)
		b = binary.BigEndian.AppendUint16(b, from.Port())
		b = binary.BigEndian.AppendUint16(b, d.b.cfg.Local.Port())
		answer := d.authenticates(t, func(list []wire.Payload) []wire.Payload { return append(list, notify(wire.NoNATsAllowed, b...)) })
		_, refused := wire.FindNotify(answer, wire.UnexpectedNAT)
		if up := d.b.current != nil; refused != elsewhere || up == elsewhere {
			t.Errorf("through a NAT %v: got UNEXPECTED_NAT_DETECTED %v and an SA %v (RFC 4555 section 3.9)", elsewhere, refused, up)
		}
	}
}

func TestPayloadsMayComeInAnyOrder(t *testing.T) {
	d := newDuo(t, nil)
	answer := d.authenticates(t, func(list []wire.Payload) []wire.Payload {
		slices.Reverse(list)
		return list
	})
	if d.b.current == nil || d.b.used() == nil {
		t.Errorf("got %v, want an SA: order means nothing (RFC 7296 section 2.5)", answer)
	}
	d = newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	msg := parse(t, d.Sent[0].Data)
	slices.Reverse(msg.Payloads)
	d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: bytes.Clone(msg.Append(nil))})
	if got := d.b.halfOpen(); got != 1 {
		t.Errorf("got %d attempts half open after IKE_SA_INIT in reverse, want 1", got)
	}
}

func TestWhatMOBIKESupportedSaysIsIgnored(t *testing.T) {
	d := newDuo(t, nil)
	d.authenticates(t, func(list []wire.Payload) []wire.Payload {
		for _, p := range list {
			if n, ok := p.(*wire.Notify); ok && n.Type == wire.MobikeSupported {
				n.Data = []byte("more")
			}
		}
		return list
	})
	if d.b.current == nil || !d.b.current.ext.mobike.on {
		t.Error("got no MOBIKE, want the data of its notify ignored (RFC 4555 section 4.2.1)")
	}
}
