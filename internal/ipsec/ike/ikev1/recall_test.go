package ikev1

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev1/wire"
)

// A flooder sends first messages with a's address.
type flooder struct {
	d   *duo
	msg *wire.Message
}

func newFlooder(t testing.TB, d *duo) *flooder {
	t.Helper()
	msg, err := wire.Parse(d.Sent[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	return &flooder{d, msg}
}

// send sends n of them, of which what is answered goes to nobody. Varied ones
// all make another offer.
func (f *flooder) send(n int, varied bool) {
	queue := f.d.Queue
	for range n {
		f.msg.Header.SPIi++
		data := f.msg.Append(nil)
		if varied { // the last attribute of the SA is a lifetime
			sap, _ := wire.Find[*wire.SA](f.msg.Chain.Payloads)
			at := ike.HeaderLen + 4 + len(wire.Body(sap)) - 4
			binary.BigEndian.PutUint32(data[at:], uint32(f.msg.Header.SPIi))
		}
		f.d.toB(data)
	}
	f.d.Queue = queue
}

func TestHonestAttemptComesThroughAnyFloodOfTheSame(t *testing.T) {
	d := newDuo(t, nil)
	d.Step(0, ike.Initiate{})
	f := newFlooder(t, d)
	for range 12 {
		f.send(20*maxOffered, false)
		d.DeliverNext()
	}
	d.Run()
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
	if got := d.b.State().Extensions; !slices.Contains(got, "NAT-T") || !slices.Contains(got, "DPD") {
		t.Errorf("got %v, want what message 1 announced", got)
	}
}

func TestKnownPeerComesThroughAnyFloodWhatever(t *testing.T) {
	d := upDuo(t, nil)
	f := newFlooder(t, d)
	spi := d.b.State().SPIr
	d.Step(0, ike.RekeyIKE{})
	for range 12 {
		f.send(20*maxOffered, true)
		d.DeliverNext()
	}
	d.Run()
	if got := d.b.State().SPIr; got == spi {
		t.Error("the rekey did not come through")
	}
	if got := len(d.b.recall.offers); got > maxRecalled {
		t.Errorf("got %d offers kept, want at most %d", got, maxRecalled)
	}
}

func TestCookieOfNothingKeptIsForItsSenderAlone(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(p *ike.Datagram)
		later  time.Duration
		want   bool
	}{
		{"as it was made", func(*ike.Datagram) {}, 0, true},
		{"under the key before", func(*ike.Datagram) {}, recallKeyLife, true},
		{"too late", func(*ike.Datagram) {}, 2 * recallKeyLife, false},
		{"from another address", func(p *ike.Datagram) { p.Remote = netip.MustParseAddrPort("192.0.2.9:500") }, 0, false},
		{"another cookie of ours", func(p *ike.Datagram) { p.Data[8] ^= 1 }, 0, false},
		{"another cookie of theirs", func(p *ike.Datagram) { p.Data[0] ^= 1 }, 0, false},
	} {
		d := newDuo(t, nil)
		d.Step(0, ike.Initiate{})
		f := newFlooder(t, d)
		f.send(maxOffered, false)
		d.DeliverNext() // message 1
		d.DeliverNext()
		f.send(1, false)
		d.Now = d.Now.Add(c.later)
		f.send(1, false) // which may make another key
		message := ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: bytes.Clone(d.Queue[0].Data)}
		c.change(&message)
		d.Step(1, message)
		got := slices.ContainsFunc(d.b.sas, func(s *sa) bool { return s.state == proving })
		if got != c.want {
			t.Errorf("%s: got taken %v, want %v", c.name, got, c.want)
		}
	}
}
