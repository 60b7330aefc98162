package ikev2

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/proposal"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
	"seikan/internal/ipsec/ike/suite"
)

// childRequest is a's request for a CHILD SA between the given selectors.
func (d *duo) childRequest(t *testing.T, tsi, tsr []ike.Selector, first ...wire.Payload) []wire.Payload {
	t.Helper()
	x, err := suite.NewExchange(31, d.a.cfg.Tuning.Rand)
	if err != nil {
		t.Fatal(err)
	}
	return append(first, &wire.SA{Proposals: proposal.ESP(d.a.cfg.ESP, 0x01020304, true)}, &wire.Nonce{Data: make([]byte, 32)},
		&wire.KE{Group: 31, Public: x.Public()}, &wire.TS{Selectors: tsi}, &wire.TS{Responder: true, Selectors: tsr})
}

// TestRefusedChildLeavesTheOneThereIs has each end refuse a CHILD SA for each
// reason that a peer may have: the one that is up goes on.
func TestRefusedChildLeavesTheOneThereIs(t *testing.T) {
	ten := []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("10.0.0.0/8"))}
	other := []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("172.16.0.0/12"))}
	config := func(_, b *policy.Config) { b.LocalTS, b.RemoteTS = ten, ten }
	unknown := binary.BigEndian.AppendUint32(nil, 0xdeadbeef)
	for name, c := range map[string]struct {
		tsi, tsr []ike.Selector
		first    []wire.Payload
		closing  bool
		want     wire.NotifyType
	}{
		"TS_UNACCEPTABLE":    {tsi: other, tsr: other, want: wire.TSUnacceptable},
		"CHILD_SA_NOT_FOUND": {tsi: ten, tsr: ten, first: []wire.Payload{&wire.Notify{Protocol: wire.ProtoESP, SPI: unknown, Type: wire.RekeySA}}, want: wire.ChildSANotFound},
		"TEMPORARY_FAILURE":  {tsi: ten, tsr: ten, closing: true, want: wire.TemporaryFailure},
	} {
		d := upDuo(t, config)
		used := d.b.used()
		if c.closing {
			d.Step(1, ike.RekeyIKE{}) // its request is under way
		}
		got := d.say(t, wire.CreateChildSA, d.childRequest(t, c.tsi, c.tsr, c.first...)...)
		n, ok := wire.FindNotify(got, c.want)
		if !ok || len(got) != 1 {
			t.Errorf("%s: got %v, want it alone", name, got)
		} else if c.want == wire.ChildSANotFound && !bytes.Equal(n.SPI, unknown) {
			t.Errorf("%s: got SPI %x, want %x", name, n.SPI, unknown)
		}
		if d.b.used() != used || len(d.b.children) != 1 {
			t.Errorf("%s, as responder: got another CHILD SA in use, want the one there was", name)
		}
	}
	for _, n := range []wire.NotifyType{wire.TSUnacceptable, wire.TemporaryFailure, wire.NoProposalChosen, wire.NoAdditionalSAs} {
		d := upDuo(t, config)
		used := d.a.used()
		d.Step(0, ike.RekeyChild{})
		d.answerAs(t, wire.CreateChildSA, &wire.Notify{Type: n})
		if d.a.used() != used || len(d.a.children) != 1 || d.a.State().Phase != ike.Established {
			t.Errorf("%v, as initiator: got %v with %d CHILD SAs, want the one there was", n, d.a.State().Phase, len(d.a.children))
		}
		if !used.soft.After(d.Now) || used.soft.After(d.Now.Add(time.Minute)) {
			t.Errorf("%v: got the next try at %v, want within a minute", n, used.soft)
		}
	}
}

func TestRekeyedChildIsNarrowedLikeTheFirst(t *testing.T) {
	ten := []ike.Selector{ike.FromPrefix(netip.MustParsePrefix("10.0.0.0/8"))}
	d := upDuo(t, func(_, b *policy.Config) { b.LocalTS, b.RemoteTS = ten, ten })
	for i, ev := range []ike.Event{ike.RekeyChild{}, ike.RekeyChild{}} {
		d.Step(i, ev)
		d.Run()
		for _, m := range []*Machine{d.a, d.b} {
			if c := m.State().Child; len(c.LocalTS) != 1 || c.LocalTS[0] != ten[0] || len(c.RemoteTS) != 1 || c.RemoteTS[0] != ten[0] {
				t.Errorf("after %d rekeys: got %v to %v, want %v both", i+1, c.LocalTS, c.RemoteTS, ten)
			}
		}
	}
	d.Wait(2 * lingerFor)
	if len(d.a.children) != 1 || len(d.b.children) != 1 {
		t.Errorf("got %d and %d CHILD SAs, want exactly one at each end", len(d.a.children), len(d.b.children))
	}
	checkTraffic(t, d)
}
