package ikev2

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/ikev2/wire"
	"seikan/internal/ipsec/ike/policy"
)

// open lets the responder's peer come from anywhere.
func open(_, b *policy.Config) { b.Remote = netip.AddrPort{} }

// begins has b see an IKE_SA_INIT with SPI spi from the given address, with the
// cookie that belongs there if cookie is set, and returns what b answers.
func (d *duo) begins(t testing.TB, msg *wire.Message, from netip.AddrPort, spi uint64, cookie bool) []ike.Datagram {
	t.Helper()
	again := *msg
	again.Header.SPIi = spi
	if cookie {
		nonce, _ := wire.Find[*wire.Nonce](msg.Payloads)
		c, err := d.b.shared.Cookies.make(d.Now, cookieClaim{from, spi, nonce.Data})
		if err != nil {
			t.Fatal(err)
		}
		again.Payloads = append([]wire.Payload{&wire.Notify{Type: wire.CookieNotify, Data: c}}, msg.Payloads...)
	}
	var out ike.Outputs
	if err := d.b.Step(d.Now, ike.Datagram{Local: d.b.cfg.Local, Remote: from, Data: again.Append(nil)}, &out); err != nil {
		t.Fatal(err)
	}
	return out.Datagrams
}

// firstInit is a's IKE_SA_INIT.
func (d *duo) firstInit(t testing.TB) *wire.Message {
	t.Helper()
	d.Step(0, ike.Initiate{})
	msg, err := wire.Parse(d.Sent[len(d.Sent)-1].Data)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestOneSourceCannotTakeTheRoomOfOthers(t *testing.T) {
	d := newDuo(t, open)
	msg := d.firstInit(t)
	d.Queue = nil
	greedy := netip.MustParseAddrPort("192.0.2.66:500")
	answered := 0
	for i := range 100 {
		answered += len(d.begins(t, msg, greedy, uint64(i+1), true))
	}
	if got := d.b.halfOpen(); got != maxHalfOpen || answered != maxHalfOpen {
		t.Errorf("one source: got %d half open and %d key exchanges, want %d", got, answered, maxHalfOpen)
	}
	for i := range 100 { // many sources, one attempt of each
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 500)
		if got := d.begins(t, msg, from, uint64(1000+i), true); len(got) != 1 && from.Addr() != greedy.Addr() {
			t.Fatalf("source %d: got %d answers, want 1", i, len(got))
		}
	}
	if got := d.b.halfOpen(); got != maxHalfOpenAnybody {
		t.Errorf("many sources: got %d half open, want %d", got, maxHalfOpenAnybody)
	}
	if got := bySource(d.b.halfOpenSAs())[ike.Source(greedy.Addr())]; got > 1 {
		t.Errorf("got %d attempts left of the source with the most, want its share to have gone to others", got)
	}
}

func TestSourceIsAnIPv4AddressOrAnIPv6Network(t *testing.T) {
	same := [][2]string{{"192.0.2.1", "::ffff:192.0.2.1"}, {"2001:db8::1", "2001:db8::ffff:2"}}
	for _, c := range same {
		if a, b := ike.Source(netip.MustParseAddr(c[0])), ike.Source(netip.MustParseAddr(c[1])); a != b {
			t.Errorf("%s and %s: got %v and %v, want one source", c[0], c[1], a, b)
		}
	}
	for _, c := range [][2]string{{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8:0:1::1"}} {
		if a, b := ike.Source(netip.MustParseAddr(c[0])), ike.Source(netip.MustParseAddr(c[1])); a == b {
			t.Errorf("%s and %s: got %v for both, want two sources", c[0], c[1], a)
		}
	}
}

// TestSpoofedFloodLeavesRoomForAnHonestPeer has 20,000 IKE_SA_INIT a second,
// for 5 s, come from addresses that are not their senders', while an honest peer
// begins: it gets in and stays, and next to nothing is kept or computed for the
// flood.
func TestSpoofedFloodLeavesRoomForAnHonestPeer(t *testing.T) {
	const rate, seconds = 20000, 5
	d := newDuo(t, open)
	msg := d.firstInit(t)
	honest := d.Queue[0]
	d.Queue = nil
	r := rand.New(rand.NewPCG(1, 2))
	exchanges, sent, most := 0, 0, 0
	for i := range rate * seconds {
		d.Now = d.Now.Add(time.Second / rate)
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], r.Uint32())
		for _, out := range d.begins(t, msg, netip.AddrPortFrom(netip.AddrFrom4(ip), uint16(r.Uint32())), r.Uint64()|1, false) {
			sent++
			if m, err := wire.Parse(out.Data); err == nil && len(m.Payloads) > 1 {
				exchanges++
			}
		}
		most = max(most, len(d.b.sas))
		if i == rate { // after a second the honest peer comes
			d.Queue = append(d.Queue, honest)
		}
		if i%100 == 0 {
			d.DeliverNext() // its messages take 5 ms each way
		}
	}
	if d.a.State().Phase != ike.Established || d.b.State().Phase != ike.Established {
		t.Errorf("got %v and %v, want the honest peer established", d.a.State().Phase, d.b.State().Phase)
	}
	if err := d.Traffic(); err != nil {
		t.Error(err)
	}
	if exchanges > maxHalfOpenAnybody || most > maxHalfOpenAnybody+2 {
		t.Errorf("got %d key exchanges and %d IKE SAs kept for %d strangers, want at most %d", exchanges, most, rate*seconds, maxHalfOpenAnybody)
	}
	if sent != rate*seconds {
		t.Errorf("got %d answers, want a cookie for each of %d", sent, rate*seconds)
	}
	if !strings.Contains(d.Log.String(), "N(COOKIE) SA") {
		t.Errorf("got\n%s\nwant the honest peer to show a cookie", d.Log.String())
	}
}

func BenchmarkSpoofedInit(b *testing.B) {
	d := newDuo(b, open)
	msg := d.firstInit(b)
	d.begins(b, msg, netip.MustParseAddrPort("192.0.2.1:500"), 1, false)
	data := msg.Append(nil)
	var out ike.Outputs
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint64(data, uint64(i+2))
		out.Reset()
		if err := d.b.Step(d.Now, ike.Datagram{Local: d.b.cfg.Local, Remote: d.a.cfg.Local, Data: data}, &out); err != nil {
			b.Fatal(err)
		}
	}
}
