package ikev2

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/fragment"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// small makes both ends fragment whatever does not fit 576 octets, and have
// much to say.
func small(a, b *policy.Config) {
	for _, c := range []*policy.Config{a, b} {
		c.Extensions.FragmentSize = 576
		c.LocalID = ike.Identity{Type: ike.IDKeyID, Data: strings.Repeat("long ", 300)}
	}
}

// cut seals a request of a's as fragments, as if a had more to say than fits.
func (d *duo) cut(t testing.TB, exchange uint8, room int, list ...wire.Payload) [][]byte {
	t.Helper()
	s := d.a.current
	data, err := wire.SealFragments(s.header(exchange, s.window.next, false), list, s.seal, room)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// toB delivers data to b and returns how many datagrams come back.
func (d *duo) toB(t testing.TB, data ...[]byte) int {
	t.Helper()
	sent := len(d.Sent)
	for _, one := range data {
		d.Step(1, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: bytes.Clone(one)})
	}
	return len(d.Sent) - sent
}

func TestNoPacketIsLargerThanFragmentSize(t *testing.T) {
	d := upDuo(t, small)
	d.Step(1, ike.RekeyIKE{})
	d.Run()
	fragments := 0
	for _, p := range d.Sent {
		if got := overIPv4 + len(p.Data); got > 576 {
			t.Errorf("got a packet of %d octets, want at most 576", got)
		}
		if strings.Contains(d.a.Describe(p.Data)+d.b.Describe(p.Data), "fragment 3 of") {
			fragments++
		}
	}
	if fragments != 2 {
		t.Errorf("got %d messages of three fragments or more, want IKE_AUTH both ways", fragments)
	}
	if got := d.b.State().Extensions; len(got) == 0 || got[0] != "fragmentation" {
		t.Errorf("got extensions %v, want fragmentation", got)
	}
}

func TestFragmentsAreRepeatedToTheOctet(t *testing.T) {
	d := newDuo(t, small)
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.DeliverNext()
	first := d.Queue
	d.Queue = nil
	d.Now = d.Now.Add(time.Second)
	d.Step(0, ike.TimerFired{})
	if len(d.Queue) != len(first) || len(first) < 2 {
		t.Fatalf("got %d datagrams again, want all %d fragments", len(d.Queue), len(first))
	}
	for i := range first {
		if !bytes.Equal(d.Queue[i].Data, first[i].Data) {
			t.Errorf("fragment %d differs when it is repeated", i+1)
		}
	}
}

func TestFragmentsAreNotTakenUnlessAgreed(t *testing.T) {
	d := upDuo(t, func(_, b *policy.Config) { b.Extensions.FragmentSize = -1 })
	data := d.cut(t, wire.Informational, 100, &wire.VendorID{Data: make([]byte, 200)})
	if got := d.toB(t, data...); got != 0 || d.b.current.ext.fragments.requests.Deadline() != (time.Time{}) {
		t.Errorf("got %d answers and a message under way, want neither", got)
	}
}

func TestOnlyAuthenticAwaitedFragmentsAreKept(t *testing.T) {
	d := upDuo(t, nil)
	kept := func() bool { return !d.b.current.ext.fragments.requests.Deadline().IsZero() }
	data := d.cut(t, wire.Informational, 100, &wire.VendorID{Data: make([]byte, 200)})
	forged := bytes.Clone(data[0])
	forged[len(forged)-1] ^= 1
	if d.toB(t, forged); kept() {
		t.Error("a forged fragment is kept")
	}
	renumbered := bytes.Clone(data[0])
	renumbered[ike.HeaderLen+5] = 2 // the number is covered by the seal
	if d.toB(t, renumbered); kept() {
		t.Error("a fragment with another number is kept")
	}
	d.a.current.window.next++
	if d.toB(t, d.cut(t, wire.Informational, 100, &wire.VendorID{Data: make([]byte, 200)})[0]); kept() {
		t.Error("a fragment outside the window is kept")
	}
	if d.toB(t, data[1]); !kept() {
		t.Error("an honest fragment is not kept")
	}
	if got := d.toB(t, data[0]); got != 0 {
		t.Errorf("got %d answers to two of %d fragments, want none", got, len(data))
	}
	if got := d.toB(t, data[2:]...); got != 1 || kept() {
		t.Errorf("got %d answers, want one to the whole, and nothing kept", got)
	}
}

func TestRequestThatIsNeverWholeIsForgotten(t *testing.T) {
	d := upDuo(t, nil)
	d.Cut = true
	data := d.cut(t, wire.Informational, 100, &wire.VendorID{Data: make([]byte, 200)})
	d.toB(t, data[0])
	at := d.b.Deadline()
	if want := d.Now.Add(fragment.MaxAge); at.After(want) {
		t.Errorf("got deadline %v, want at most %v", at, want)
	}
	d.Wait(fragment.MaxAge)
	if s := d.b.sas[0]; !s.ext.fragments.requests.Deadline().IsZero() {
		t.Error("a fragment is kept for ever")
	}
}

func TestNothingIsKeptOfFragmentsBeforeAuthentication(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	d.DeliverNext()
	d.DeliverNext()
	d.Queue = nil
	d.a.current = d.a.sas[0]
	data := d.cut(t, wire.CreateChildSA, 100, &wire.VendorID{Data: make([]byte, 200)})
	if got := d.toB(t, data...); got != 0 || !d.b.sas[0].ext.fragments.requests.Deadline().IsZero() {
		t.Errorf("got %d answers to CREATE_CHILD_SA before IKE_AUTH, and fragments kept", got)
	}
}

func TestFragmentedGarbageFromAPeerEndsTheSA(t *testing.T) {
	d := upDuo(t, nil)
	data := d.cut(t, wire.Informational, 100, &wire.Raw{Type: wire.KindDelete, Data: make([]byte, 200)})
	if got := d.toB(t, data...); got != 1 || d.b.State().Phase != ike.Idle {
		t.Errorf("got %d answers and %v, want INVALID_SYNTAX and the end, as for a whole message", got, d.b.State().Phase)
	}
}

// FuzzFragments has a peer with the key send any fragments in any order.
func FuzzFragments(f *testing.F) {
	f.Add([]byte{1, 2, 0, 2, 2, 0})
	f.Add([]byte{1, 200, 0, 1, 3, 1, 2, 3, 1, 3, 3, 1})
	f.Add([]byte{2, 2, 2, 1, 2, 37})
	f.Fuzz(func(t *testing.T, in []byte) {
		d := upDuo(t, nil)
		s := d.a.current
		for ; len(in) >= 3 && len(d.b.sas) > 0; in = in[3:] {
			h := s.header(wire.Informational, s.window.next+uint32(in[2]>>6), in[2]&32 != 0)
			skf := wire.SKF{First: wire.Kind(in[2] & 31), Number: uint16(in[0]), Total: uint16(in[1])}
			data, err := wire.SealFragment(h, skf, bytes.Repeat(in[:3], 100), s.seal)
			if err != nil {
				t.Fatal(err)
			}
			d.toB(t, data)
			d.Queue = nil
		}
		d.Cut = true
		d.Wait(100 * time.Second)
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
	})
}
