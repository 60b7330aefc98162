package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/esp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/nettest"
)

// A wiretap stands between a and b: a's packets come to it.
type wiretap struct {
	out  *udp.Outside
	r    *udp.Reader
	w    *udp.Writer
	peer netip.AddrPort // b
}

// tap makes a send to a wiretap instead of b.
func tap(t *testing.T, a, b *end) *wiretap {
	t.Helper()
	out, err := udp.Listen(netip.MustParseAddr("127.0.0.3"), udp.Ports{}, udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	s := out.Socket(udp.NAT)
	a.tunnel.MovePeer(netip.AddrPort{}, netip.AddrPortFrom(out.Addr(), out.Ports().NAT))
	return &wiretap{out: out, r: s.NewReader(), w: s.NewWriter(), peer: netip.AddrPortFrom(b.out.Addr(), b.out.Ports().NAT)}
}

// take is copies of the next n datagrams.
func (w *wiretap) take(t *testing.T, n int) [][]byte {
	t.Helper()
	var got [][]byte
	for len(got) < n {
		k, err := w.r.Read()
		if err != nil {
			t.Fatal(err)
		}
		for i := range k {
			m := w.r.Message(i)
			for data := m.Data; len(data) > 0; data = data[min(m.Segment, len(data)):] {
				got = append(got, bytes.Clone(data[:min(m.Segment, len(data))]))
			}
		}
	}
	return got
}

func (w *wiretap) give(t *testing.T, pkts ...[]byte) {
	t.Helper()
	if _, err := w.w.Write(pkts, netip.Addr{}, w.peer); err != nil {
		t.Fatal(err)
	}
}

func TestReplayedAndReorderedPackets(t *testing.T) {
	a, b := newEnds(t, func(c *TunnelConfig) { c.ReplayWindow = 64 })
	connect(t, a, b, gcm, true)
	wire := tap(t, a, b)
	const n = 200
	var pkts [][]byte
	for i := range uint32(n) {
		pkts = append(pkts, datagram4(left4, right4, 100, i))
	}
	a.send(t, pkts...)
	sealed := wire.take(t, n)

	wire.give(t, sealed[100], sealed[100], sealed[50], sealed[100], sealed[37])
	b.want(t, pkts[100], pkts[50], pkts[37]) // 37 is 63 before 100: the last in the window
	wire.give(t, sealed[36], sealed[199], sealed[0], sealed[198])
	b.want(t, pkts[199], pkts[198])
	wire.give(t, sealed...) // all of it again
	for i := 199 - 63; i < 198; i++ {
		b.want(t, pkts[i])
	}
	// 2 and then 2 above; now those left of the window and the two seen.
	waitFor(t, func() bool { return b.tunnel.Counters().Drops.Replay == 2+2+n-62 })
	if got := b.tunnel.Counters().Drops; got != (Drops{Replay: 4 + n - 62}) {
		t.Errorf("drops: got %+v, want replays only", got)
	}
}

func TestGarbageFloodDoesNotDisturbTheTunnel(t *testing.T) {
	a, b := newEnds(t, nil)
	connect(t, a, b, cbc, true)
	wire := tap(t, a, b)
	p := datagram4(left4, right4, 100, 1)
	a.send(t, p)
	sealed := wire.take(t, 1)[0]
	unseen := bytes.Clone(sealed) // a number that passes the replay check
	unseen[7] = 2

	rng := rand.New(rand.NewPCG(1, 2))
	var garbage [][]byte
	var want OutsideCounters
	var auth, malformed uint64
	for i := range 3000 {
		g := make([]byte, 1+rng.IntN(200))
		for j := range g {
			g[j] = byte(1 + rng.IntN(255)) // no zero: neither IKE nor our SPI
		}
		switch {
		case i%3 == 0:
			g = bytes.Clone(unseen)
			g[8+rng.IntN(len(g)-8)] ^= byte(1 + rng.IntN(255))
			auth++
		case i%31 == 0:
			g = unseen[:8+rng.IntN(len(unseen)-9)]
			if rest := len(g) - 8 - 16 - 16; rest >= 16 && rest%16 == 0 {
				auth++
			} else {
				malformed++
			}
		case i%37 == 0:
			g = []byte{0xff}
			want.Keepalives++
		case i%41 == 0:
			g = append(make([]byte, 4), g...)
			want.IKE++
		case len(g) == 1 && g[0] == 0xff:
			want.Keepalives++
		case len(g) < 8:
			want.Malformed++
		default:
			want.UnknownSPI++
		}
		garbage = append(garbage, g)
	}
	const step = 100
	for i := 0; i < len(garbage); i += step {
		wire.give(t, garbage[i:i+step]...)
		wire.give(t, sealed)
		if i == 0 {
			b.want(t, p)
		}
	}
	waitFor(t, func() bool { return b.tunnel.Counters().Drops.Replay == uint64(len(garbage)/step-1) })
	if got := b.engine.OutsideCounters(b.out); got != want {
		t.Errorf("outside: got %+v, want %+v", got, want)
	}
	if got, want := b.tunnel.Counters().Drops, (Drops{Auth: auth, Malformed: malformed, Replay: uint64(len(garbage)/step - 1)}); got != want {
		t.Errorf("tunnel: got %+v, want %+v", got, want)
	}
	a.tunnel.MovePeer(netip.AddrPort{}, wire.peer)
	settle(t, a, b)
}

func TestPacketsOutsideTheSelectorsAreDropped(t *testing.T) {
	a, b := newEnds(t, nil)
	forA, forB := sas(a, b, gcm, true, 0x1000)
	side := func(prefix string) []ike.Selector {
		p := netip.MustParsePrefix(prefix)
		last := p.Addr().As4()
		binary.BigEndian.PutUint32(last[:], binary.BigEndian.Uint32(last[:])|(1<<(32-p.Bits())-1))
		return []ike.Selector{{EndPort: 65535, Start: p.Addr(), End: netip.AddrFrom4(last)}}
	}
	left, right := side("192.168.1.0/24"), side("10.0.0.0/16")
	forA.LocalTS, forA.RemoteTS = left, right // b believes in everything
	a.install(t, forA)
	b.install(t, forB)
	outside := netip.MustParseAddr("172.16.0.1")
	a.send(t,
		datagram4(outside, right4, 100, 1),
		datagram4(left4, outside, 100, 2),
		datagram6(left6, right6, 100),
	)
	b.send(t,
		datagram4(outside, left4, 100, 3),
		datagram4(right4, outside, 100, 4),
		datagram6(right6, left6, 100),
	)
	settle(t, a, b) // what comes first at both ends is this
	if got := a.tunnel.Counters().Drops; got != (Drops{Selector: 6}) {
		t.Errorf("got %+v, want six for the selectors", got)
	}
}

func TestSelectorsOfPortsAndProtocols(t *testing.T) {
	one := func(proto uint8, from, to uint16) []ike.Selector {
		return []ike.Selector{{Protocol: proto, StartPort: from, EndPort: to, Start: netip.MustParseAddr("0.0.0.0"), End: netip.MustParseAddr("255.255.255.255")}}
	}
	udp5000 := datagram4(left4, right4, 100, 1) // ports 5000 to 5001
	later := bytes.Clone(udp5000)
	later[7] = 1 // a later fragment
	echo := bytes.Clone(udp5000)
	echo[9], echo[20], echo[21] = 1, 8, 0
	tests := []struct {
		name     string
		src, dst []ike.Selector
		pkt      []byte
		want     bool
	}{
		{"any", one(0, 0, 65535), one(0, 0, 65535), udp5000, true},
		{"protocol", one(17, 0, 65535), one(17, 0, 65535), udp5000, true},
		{"other protocol", one(6, 0, 65535), one(6, 0, 65535), udp5000, false},
		{"ports", one(17, 5000, 5000), one(17, 5001, 5001), udp5000, true},
		{"other source port", one(17, 5001, 5001), one(17, 0, 65535), udp5000, false},
		{"other destination port", one(17, 0, 65535), one(17, 6000, 7000), udp5000, false},
		{"later fragment, any port", one(17, 0, 65535), one(17, 0, 65535), later, true},
		{"later fragment, one port", one(17, 5000, 5000), one(17, 0, 65535), later, false},
		{"echo request", one(1, 8<<8, 8<<8), one(1, 8<<8, 8<<8), echo, true},
		{"other ICMP", one(1, 3<<8, 3<<8), one(1, 0, 65535), echo, false},
		{"no selector", nil, nil, udp5000, false},
		{"no packet", one(0, 0, 65535), one(0, 0, 65535), udp5000[:19], false},
		{"IPv6", one(0, 0, 65535), one(0, 0, 65535), datagram6(left6, right6, 80), false},
	}
	for _, tt := range tests {
		s := newSelectors(tt.src, tt.dst)
		if got := s.match(tt.pkt); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// FuzzDatagram gives a receiver what anyone may send to the port for NAT
// traversal: it must not panic, must count each datagram exactly once, and
// delivers nothing, as nothing is authentic.
func FuzzDatagram(f *testing.F) {
	f.Add([]byte{0xff})
	f.Add([]byte{0, 0, 0, 0, 1})
	f.Add([]byte{0, 0, 0x10, 1, 0, 0, 0, 1, 2, 3})
	f.Add(append([]byte{0, 0, 0x10, 1, 0, 0, 0, 1}, make([]byte, 64)...))
	e := newEnd(f, "127.0.0.1", nil)
	forA, _ := sas(e, e, gcm, true, 0x1001)
	e.install(f, forA)
	r := newReceiver(e.tunnel.outside, e.out.Socket(udp.NAT))
	var count uint64
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return // step skips it
		}
		switch c := classify(b); {
		case c == isIKE && !bytes.HasPrefix(b, make([]byte, 4)), c == isESP && bytes.HasPrefix(b, make([]byte, 4)), (c == isShort) != (len(b) < 4 && !udp.IsKeepalive(b)):
			t.Fatalf("%x: class %d", b, c)
		}
		m := udp.Message{Data: b, Segment: len(b)}
		r.datagram(&m, bytes.Clone(b))
		r.deliver()
		count++
		o, d := e.engine.OutsideCounters(e.out), e.tunnel.Counters()
		got := o.IKE + o.Keepalives + o.Malformed + o.UnknownSPI + d.Drops.Auth + d.Drops.Replay + d.Drops.Malformed
		if got != count || d.PacketsIn != 0 {
			t.Fatalf("%x: counted %d of %d, delivered %d: %+v %+v", b, got, count, d.PacketsIn, o, d)
		}
	})
}

func TestRefusalsAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		err   error
		want  tally
		alive bool
	}{
		{esp.ErrReplay, tally{replay: 1}, false},
		{esp.ErrAuth, tally{auth: 1}, false},
		{esp.ErrMalformed, tally{malformed: 1}, false},
		{esp.ErrPadding, tally{malformed: 1}, true},
		{esp.ErrNextHeader, tally{malformed: 1}, true},
		{esp.ErrDummy, tally{}, true},
	} {
		var rx rxBatch
		rx.refuse(tt.err)
		if rx.count != tt.want || rx.alive != tt.alive {
			t.Errorf("%v: got %+v, alive %v", tt.err, rx.count, rx.alive)
		}
	}
}

// A brokenDevice is a TUN whose writes fail.
type brokenDevice struct{}

func (brokenDevice) Read([]byte) (int, error) { return 0, errors.New("broken") }
func (brokenDevice) Write(*tun.Frame) error   { return errors.New("broken") }
func (brokenDevice) Wait() error              { return nil }
func (brokenDevice) JoinsUDP() bool           { return true }
func (brokenDevice) Close() error             { return nil }

func TestBrokenTUNIsCountedAndItsLoopEnds(t *testing.T) {
	a := newEnd(t, "127.0.0.1", nil)
	b := newEnd(t, "127.0.0.2", func(c *TunnelConfig) { c.Dev = brokenDevice{} })
	var log nettest.Buffer
	b.engine.log = slog.New(slog.NewTextHandler(&log, nil))
	a.run(t)
	b.run(t)
	connect(t, a, b, gcm, true)
	a.send(t, datagram4(left4, right4, 100, 1))
	waitFor(t, func() bool { return b.tunnel.Counters().Drops.Device == 1 })
	// Said when it begins and when the reader gives up, not each time.
	waitFor(t, func() bool {
		return strings.Count(log.String(), "TUN cannot be read") == 1 && strings.Count(log.String(), "TUN is gone") == 1
	})
	b.tunnel.loop.Wait()
	if got := b.tunnel.Counters().PacketsIn; got != 0 {
		t.Errorf("packets in: got %d, want 0", got)
	}
	if b.tunnel.LastInbound().IsZero() {
		t.Error("last inbound: got never, want the packet's: it was authentic")
	}
	if got := b.tunnel.LastInbound(); !strings.Contains(got.String(), " m=") {
		t.Errorf("last inbound: got %v, which moves when somebody sets the clock", got)
	}
}

func TestRefusalOfTheSocketIsSaidOnceAndCounted(t *testing.T) {
	var log nettest.Buffer
	a, b := newEnd(t, "127.0.0.1", nil), newEnd(t, "127.0.0.2", nil)
	a.engine.log = slog.New(slog.NewTextHandler(&log, nil))
	a.run(t)
	b.run(t)
	good, _ := connect(t, a, b, gcm, true)
	nowhere := netip.MustParseAddrPort("192.0.2.1:4500") // there is no route
	for i := range uint64(3) {
		a.tunnel.MovePeer(netip.AddrPort{}, nowhere)
		a.send(t, datagram4(left4, right4, 100, 1))
		waitFor(t, func() bool { return a.tunnel.Counters().Drops.NoBuffer == i+1 })
		a.tunnel.MovePeer(netip.AddrPort{}, good.Remote) // it works again in between
		p := datagram4(left4, right4, 100, 2)
		a.send(t, p)
		b.want(t, p)
	}
	if got := strings.Count(log.String(), "refuses packets"); got != 1 {
		t.Errorf("said %d times, want once: %s", got, log.String())
	}
}
