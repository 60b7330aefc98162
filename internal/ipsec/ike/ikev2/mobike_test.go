package ikev2

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// elsewhere is where a turns up.
var elsewhere = netip.MustParseAddrPort("192.0.2.7:4500")

// sayFrom is say with a message that comes from the given address.
func (d *duo) sayFrom(t testing.TB, from netip.AddrPort, list ...wire.Payload) []wire.Payload {
	t.Helper()
	home := d.a.cfg.Local
	d.a.cfg.Local = from
	defer func() { d.a.cfg.Local = home }()
	return d.say(t, wire.Informational, list...)
}

func notify(n wire.NotifyType, data ...byte) wire.Payload { return &wire.Notify{Type: n, Data: data} }

func TestUpdateMovesIKEAtOnceAndESPAfterTheCheck(t *testing.T) {
	d := upDuo(t, nil)
	got := d.sayFrom(t, elsewhere, notify(wire.UpdateSAAddresses))
	if len(got) != 0 || d.b.current.path.remote != elsewhere {
		t.Errorf("got %v and peer at %v, want an empty answer and %v", got, d.b.current.path.remote, elsewhere)
	}
	if at := d.Ends[1].Outbound.Remote; at == elsewhere {
		t.Error("ESP goes to an address that nobody has shown to be the peer's")
	}
	d.Run() // a answers COOKIE2
	if at := d.Ends[1].Outbound.Remote; at != elsewhere {
		t.Errorf("ESP goes to %v after the check, want %v", at, elsewhere)
	}
}

func TestWrongAnswerToTheCheckEndsTheSA(t *testing.T) {
	for name, list := range map[string][]wire.Payload{
		"none": nil, "other": {notify(wire.Cookie2, 1, 2, 3, 4, 5, 6, 7, 8)}, "other of the same length": {notify(wire.Cookie2, make([]byte, cookie2Len)...)},
	} {
		d := upDuo(t, nil)
		d.sayFrom(t, elsewhere, notify(wire.UpdateSAAddresses))
		f := d.b.current.window.out
		s := d.a.current
		data, err := wire.Seal(s.header(wire.Informational, f.id, true), list, s.seal)
		if err != nil {
			t.Fatal(err)
		}
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: elsewhere, Data: data})
		if got := d.b.State().Phase; got == ike.Established {
			t.Errorf("%s: got %v, want the SA closed", name, got)
		}
	}
}

func TestOnlyTheEndThatLeadsMayMoveTheSAs(t *testing.T) {
	d := upDuo(t, func(a, b *policy.Config) { a.Initiator, b.Initiator = true, true })
	d.b.current.ext.mobike.lead = true
	d.sayFrom(t, elsewhere, notify(wire.UpdateSAAddresses))
	if got := d.b.current.path.remote; got == elsewhere {
		t.Error("the end that leads was moved by the other")
	}
}

func TestWithMOBIKEAnotherAddressIsNotFollowedUntold(t *testing.T) {
	d := upDuo(t, func(a, _ *policy.Config) { a.ForceEncap = true })
	was := d.b.current.path.remote
	d.sayFrom(t, elsewhere)
	if got := d.b.current.path.remote; got != was {
		t.Errorf("got the peer at %v, want %v: it said nothing of a move", got, was)
	}
	rebound := netip.AddrPortFrom(was.Addr(), 20001)
	d.sayFrom(t, rebound)
	if got := d.b.current.path.remote; got != rebound {
		t.Errorf("got the peer at %v, want %v, where its NAT has moved to", got, rebound)
	}
}

func TestUpdateSeenBeforeMovesNothing(t *testing.T) {
	d := upDuo(t, nil)
	d.sayFrom(t, elsewhere, notify(wire.UpdateSAAddresses))
	d.Run()
	d.Step(0, ike.LocalChanged{Local: netip.MustParseAddrPort("192.0.2.8:500")})
	d.Run()
	at := d.b.current.path.remote
	for _, p := range d.Sent {
		if p.From == 0 {
			d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: netip.MustParseAddrPort("192.0.2.66:4500"), Data: p.Data})
		}
	}
	if got := d.b.current.path.remote; got != at {
		t.Errorf("got the peer at %v after replays from elsewhere, want %v", got, at)
	}
}

func TestAddressOfAnotherFamilyIsNotAccepted(t *testing.T) {
	d := upDuo(t, nil)
	got := d.sayFrom(t, netip.MustParseAddrPort("[2001:db8::7]:4500"), notify(wire.UpdateSAAddresses))
	if _, ok := wire.FindNotify(got, wire.UnacceptableAddresses); !ok || d.b.current.path.remote != d.a.cfg.Local {
		t.Errorf("got %v and peer at %v, want UNACCEPTABLE_ADDRESSES and no move", got, d.b.current.path.remote)
	}
}

func TestForbiddenNATIsReportedAndNothingMoves(t *testing.T) {
	d := upDuo(t, nil)
	addresses := func(from netip.AddrPort) []byte {
		b := append(from.Addr().AsSlice(), d.b.cfg.Local.Addr().AsSlice()...)
		b = binary.BigEndian.AppendUint16(b, from.Port())
		return binary.BigEndian.AppendUint16(b, d.b.cfg.Local.Port())
	}
	got := d.sayFrom(t, elsewhere, notify(wire.UpdateSAAddresses), notify(wire.NoNATsAllowed, addresses(d.a.cfg.Local)...))
	if _, ok := wire.FindNotify(got, wire.UnexpectedNAT); !ok || d.b.current.path.remote == elsewhere {
		t.Errorf("through a NAT: got %v and peer at %v, want UNEXPECTED_NAT_DETECTED and no move", got, d.b.current.path.remote)
	}
	got = d.sayFrom(t, elsewhere, notify(wire.UpdateSAAddresses), notify(wire.NoNATsAllowed, addresses(elsewhere)...))
	if len(got) != 0 || d.b.current.path.remote != elsewhere {
		t.Errorf("without a NAT: got %v and peer at %v, want no complaint and %v", got, d.b.current.path.remote, elsewhere)
	}
}

func TestOtherAddressesOfAPeerAreBounded(t *testing.T) {
	d := upDuo(t, nil)
	list := []wire.Payload{notify(wire.AdditionalIP6, 1, 2, 3, 4), notify(wire.AdditionalIP4, 1)}
	for i := range byte(40) {
		list = append(list, notify(wire.AdditionalIP4, 192, 0, 2, i))
	}
	d.say(t, wire.Informational, list...)
	if got := len(d.b.current.ext.mobike.others); got != maxOthers {
		t.Errorf("got %d addresses kept, want %d", got, maxOthers)
	}
	d.say(t, wire.Informational, notify(wire.AdditionalIP6, netip.MustParseAddr("2001:db8::1").AsSlice()...))
	if got := d.b.current.ext.mobike.others; len(got) != 1 || got[0] != netip.MustParseAddr("2001:db8::1") {
		t.Errorf("got %v, want the new list in place of the old", got)
	}
	d.say(t, wire.Informational, notify(wire.NoAdditional))
	if got := d.b.current.ext.mobike.others; len(got) != 0 {
		t.Errorf("got %v after NO_ADDITIONAL_ADDRESSES, want none", got)
	}
}

func TestRefusedMoveBeginsAnew(t *testing.T) {
	for _, n := range []wire.NotifyType{wire.UnacceptableAddresses, wire.UnexpectedNAT} {
		d := upDuo(t, func(a, _ *policy.Config) { a.Restart = true })
		d.Step(0, ike.LocalChanged{Local: elsewhere})
		d.answerAs(t, wire.Informational, notify(n))
		if got := d.a.State(); got.Phase != ike.Failed || got.Reason == "" {
			t.Errorf("%v: got %v, %q, want failed, with words", n, got.Phase, got.Reason)
		}
		d.Wait(time.Second)
		checkTraffic(t, d)
		if got := d.a.State().Local.Addr(); got != elsewhere.Addr() {
			t.Errorf("%v: got the new tunnel from %v, want %v", n, got, elsewhere.Addr())
		}
	}
}

func TestSameAddressIsNoChange(t *testing.T) {
	d := upDuo(t, nil)
	sent := len(d.Sent)
	d.Step(0, ike.LocalChanged{Local: d.a.cfg.Local})
	d.Step(0, ike.LocalChanged{})
	if got := len(d.Sent) - sent; got != 0 {
		t.Errorf("got %d datagrams, want none", got)
	}
}

func TestAttemptUnderWayBeginsAnewFromTheNewAddress(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.Step(0, ike.LocalChanged{Local: elsewhere})
	if last := d.Sent[len(d.Sent)-1]; last.Local.Addr() != elsewhere.Addr() {
		t.Errorf("got a message from %v, want %v", last.Local, elsewhere.Addr())
	}
	d.Run()
	checkTraffic(t, d)
	if got := d.a.State().Local.Addr(); got != elsewhere.Addr() {
		t.Errorf("got an SA from %v, want %v", got, elsewhere.Addr())
	}
}

func TestWithoutTheOfferThereIsNoMOBIKE(t *testing.T) {
	for _, off := range [][2]bool{{true, false}, {false, true}} {
		d := upDuo(t, func(a, b *policy.Config) { a.Extensions.NoMOBIKE, b.Extensions.NoMOBIKE = off[0], off[1] })
		if slices.Contains(d.a.State().Extensions, "MOBIKE") || slices.Contains(d.b.State().Extensions, "MOBIKE") {
			t.Errorf("NoMOBIKE %v: got MOBIKE at one end", off)
		}
		d.sayFrom(t, elsewhere, notify(wire.UpdateSAAddresses))
		if d.b.current.path.remote == elsewhere {
			t.Errorf("NoMOBIKE %v: the peer moved us", off)
		}
	}
	if d := upDuo(t, nil); !slices.Contains(d.a.State().Extensions, "MOBIKE") || !slices.Contains(d.b.State().Extensions, "MOBIKE") {
		t.Error("with the defaults: got no MOBIKE")
	}
}

// FuzzMobike has a peer with the key say anything about addresses, from
// anywhere.
func FuzzMobike(f *testing.F) {
	f.Add([]byte{4, 7, 0, 5, 8, 3, 0, 7, 1}, false)
	f.Add([]byte{1, 7, 4, 2, 7, 16, 3, 7, 0}, true)
	f.Add([]byte{6, 7, 12, 4, 9, 0, 4, 8, 20}, true)
	types := []wire.NotifyType{
		wire.MobikeSupported, wire.AdditionalIP4, wire.AdditionalIP6, wire.NoAdditional, wire.UpdateSAAddresses, wire.Cookie2,
		wire.NoNATsAllowed, wire.UnacceptableAddresses, wire.UnexpectedNAT, wire.NATDetectionSource, wire.NATDetectionDest,
	}
	f.Fuzz(func(t *testing.T, in []byte, leads bool) {
		d := upDuo(t, nil)
		d.b.current.ext.mobike.lead = leads
		for ; len(in) >= 3 && d.b.current != nil && d.a.current != nil && d.a.current.spiI == d.b.current.spiI; in = in[3:] {
			data := slices.Repeat(in[1:2], int(in[2]%40))
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, in[1]}), uint16(in[2])<<4|1)
			d.sayFrom(t, from, notify(types[int(in[0])%len(types)], data...), notify(types[int(in[0]>>4)%len(types)], data...))
			if in[2]&64 != 0 {
				d.Step(1, ike.LocalChanged{Local: from})
			}
			if in[2]&128 != 0 {
				d.Run()
			}
			if d.b.current != nil && (len(d.b.current.ext.mobike.others) > maxOthers || len(d.b.current.tasks) > len(types)+maxChildren) {
				t.Fatalf("got %d addresses and %d exchanges kept", len(d.b.current.ext.mobike.others), len(d.b.current.tasks))
			}
		}
		d.Cut = true
		d.Wait(100 * time.Second)
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
	})
}
