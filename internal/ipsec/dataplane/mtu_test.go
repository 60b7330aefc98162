package dataplane

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/esp"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/packet"
)

func TestMTUFollowsSuiteAndPath(t *testing.T) {
	for _, tt := range []struct {
		s     suite.ESP
		encap bool
		path  int
		want  int
	}{
		{gcm, true, 0, 1438},
		{gcm, false, 0, 1446},
		{cbc, true, 0, 1422},
		{cbc, false, 0, 1438},
		{gcm, true, 1400, 1338},
	} {
		a, b := newEnds(t, func(c *TunnelConfig) { c.PathMTU = tt.path })
		connect(t, a, b, tt.s, tt.encap)
		if got := a.tunnel.MTU(); got != tt.want {
			t.Errorf("%+v: got %d, want %d", tt, got, tt.want)
		}
		// The largest goes through whole.
		p := setDF(datagram4(left4, right4, tt.want, 1))
		a.send(t, p)
		b.want(t, p)
	}
}

func TestTooLargeIsFragmentedBeforeEncryptionEvenWithDF(t *testing.T) {
	a, b := newEnds(t, nil)
	connect(t, a, b, gcm, true)
	const count = 200 // more than there are buffers for fragments
	var ids []uint16
	for i := range uint32(count) {
		p := datagram4(left4, right4, 1500, i)
		if i%2 == 0 {
			setDF(p)
		}
		a.send(t, bytes.Clone(p))
		var joined []byte
		var id uint16
		for len(joined) < 1480 {
			f, err := packet.ParseIPv4(b.receive(t))
			if err != nil || f.DF() || !f.ChecksumOK() || f.FragmentOffset() != len(joined) || len(f) > a.tunnel.MTU() {
				t.Fatalf("packet %d: fragment %x, %v", i, []byte(f[:20]), err)
			}
			if f.MF() != (len(joined)+len(f.Payload()) < 1480) {
				t.Fatalf("packet %d: more fragments %v at %d", i, f.MF(), len(joined))
			}
			if len(joined) > 0 && f.ID() != id {
				t.Fatalf("packet %d: identifications %d and %d", i, id, f.ID())
			}
			joined, id = append(joined, f.Payload()...), f.ID()
		}
		if !bytes.Equal(joined, p[20:]) {
			t.Fatalf("packet %d: the fragments do not join to it", i)
		}
		if i%2 == 0 {
			ids = append(ids, id)
		}
	}
	for i := 1; i < len(ids); i++ {
		if ids[i] == ids[i-1] {
			t.Fatalf("identification %d twice", ids[i])
		}
	}
}

func TestBatchOfLargePacketsIsFragmentedWhole(t *testing.T) {
	a, b := newEnd(t, "127.0.0.1", nil), newEnd(t, "127.0.0.2", nil)
	connect(t, a, b, gcm, true)
	const count = 120
	for i := range uint32(count) {
		a.send(t, datagram4(left4, right4, 4000, i)) // one batch: nobody reads yet
	}
	a.run(t)
	b.run(t)
	for i := range uint32(count) {
		p := datagram4(left4, right4, 4000, i)
		var joined []byte
		for len(joined) < len(p)-20 {
			joined = append(joined, packet.IPv4(b.receive(t)).Payload()...)
		}
		if !bytes.Equal(joined, p[20:]) {
			t.Fatalf("packet %d: the fragments do not join to it", i)
		}
	}
}

func TestHonouredDFIsAnsweredByICMP(t *testing.T) {
	inside := netip.MustParseAddr("169.254.10.1")
	a, b := newEnds(t, func(c *TunnelConfig) { c.HonourDF, c.ICMPSource = true, inside })
	connect(t, a, b, gcm, true)
	p := setDF(datagram4(left4, right4, 1500, 1))
	a.send(t, p)
	got, err := packet.ParseIPv4(a.receive(t))
	if err != nil || got.Src() != inside || got.Dst() != left4 || got.Protocol() != packet.ProtoICMP {
		t.Fatalf("got %x, %v", []byte(got), err)
	}
	m, err := packet.ParseICMP(got.Payload())
	if err != nil || m.Type() != 3 || m.Code() != 4 || m.Rest() != 1438 || !bytes.HasPrefix(p, m.Body()) {
		t.Errorf("got %x, %v, want fragmentation needed, 1438", []byte(m[:8]), err)
	}
	// Without DF it is fragmented all the same.
	a.send(t, datagram4(left4, right4, 1500, 2))
	if f := packet.IPv4(b.receive(t)); !f.MF() {
		t.Errorf("without DF: got %x, want a first fragment", []byte(f[:20]))
	}
	b.receive(t)
	settle(t, a, b)
	if got := a.tunnel.Counters().Drops; got != (Drops{TooBig: 1}) {
		t.Errorf("drops: got %+v, want one too big", got)
	}
}

func TestTooLargeIPv6IsAnsweredByICMP(t *testing.T) {
	a, b := newEnds(t, func(c *TunnelConfig) { c.ICMPSource = netip.MustParseAddr("169.254.10.1") })
	connect(t, a, b, gcm, true)
	p := datagram6(left6, right6, 1500)
	a.send(t, p)
	got, err := packet.ParseIPv6(a.receive(t))
	// The source given is IPv4, so it is the packet's destination.
	if err != nil || got.Src() != right6 || got.Dst() != left6 || got.NextHeader() != packet.ProtoICMPv6 {
		t.Fatalf("got %x, %v", []byte(got), err)
	}
	m, err := packet.ParseICMP(got.Payload())
	if err != nil || m.Type() != 2 || m.Rest() != 1438 || !bytes.HasPrefix(p, m.Body()) {
		t.Errorf("got %x, %v, want packet too big, 1438", []byte(m[:8]), err)
	}
	p = datagram6(left6, right6, 1438)
	a.send(t, p)
	b.want(t, p)
}

func TestICMPErrorsAreBounded(t *testing.T) {
	a, b := newEnd(t, "127.0.0.1", func(c *TunnelConfig) { c.HonourDF = true }), newEnd(t, "127.0.0.2", nil)
	connect(t, a, b, gcm, true)
	for i := range uint32(100) {
		a.send(t, setDF(datagram4(left4, right4, 1500, i)))
	}
	x := newTransmitter()
	if err := x.turn(a.tunnel, framesPerTurn, bytesPerTurn); err != nil {
		t.Fatal(err)
	}
	if got := len(a.dev.Packets()); got != icmpPerTurn {
		t.Errorf("got %d for one turn, want %d", got, icmpPerTurn)
	}
	if got := a.tunnel.Counters().Drops.TooBig; got != 100 {
		t.Errorf("counted: got %d, want 100", got)
	}
}

// syn is a TCP SYN over IPv4 that offers mss, without a TCP checksum.
func syn(src, dst netip.Addr, mss uint16) []byte {
	b := datagram4(src, dst, 44, 0)
	b[9] = packet.ProtoTCP
	clear(b[20:])
	b[32], b[33] = 6<<4, 2
	b[40], b[41] = 2, 4
	binary.BigEndian.PutUint16(b[42:], mss)
	packet.IPv4(b).SetChecksum()
	return b
}

func TestSegmentSizeIsClampedBothWays(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change [2]func(*TunnelConfig)
		want   uint16
	}{
		{"outwards", [2]func(*TunnelConfig){nil, func(c *TunnelConfig) { c.NoClamp = true }}, 1398},
		{"inwards", [2]func(*TunnelConfig){func(c *TunnelConfig) { c.NoClamp = true }, nil}, 1398},
		{"not at all", [2]func(*TunnelConfig){func(c *TunnelConfig) { c.NoClamp = true }, func(c *TunnelConfig) { c.NoClamp = true }}, 1460},
	} {
		a, b := newEnd(t, "127.0.0.1", tt.change[0]), newEnd(t, "127.0.0.2", tt.change[1])
		a.run(t)
		b.run(t)
		connect(t, a, b, gcm, true)
		a.send(t, syn(left4, right4, 1460))
		if got := binary.BigEndian.Uint16(b.receive(t)[42:]); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
		a.engine.RemoveTunnel(a.tunnel)
		b.engine.RemoveTunnel(b.tunnel)
	}
}

// TestPacketPathDoesNotAllocate carries batches of both suites through both
// loops, real sockets included.
func TestPacketPathDoesNotAllocate(t *testing.T) {
	for _, s := range []suite.ESP{gcm, cbc} {
		a, b := newEnd(t, "127.0.0.1", nil), newEnd(t, "127.0.0.2", nil)
		connect(t, a, b, s, true)
		src, dst := &cannedDevice{}, &cannedDevice{}
		for i := range uint32(64) {
			src.pkts = append(src.pkts, datagram4(left4, right4, 1400, i))
		}
		a.tunnel.dev, b.tunnel.dev = src, dst
		x, r := newTransmitter(), newReceiver(b.tunnel.outside, b.out.Socket(udp.NAT))
		if n := testing.AllocsPerRun(50, func() {
			if err := x.turn(a.tunnel, framesPerTurn, bytesPerTurn); err != nil {
				t.Fatal(err)
			}
			for before := b.tunnel.count.packetsIn.Load(); b.tunnel.count.packetsIn.Load() < before+uint64(len(src.pkts)); {
				if err := r.step(); err != nil {
					t.Fatal(err)
				}
			}
		}); n != 0 {
			t.Errorf("%+v: got %v allocations for %d packets, want 0", s, n, len(src.pkts))
		}
		if got := b.tunnel.Counters(); got.PacketsIn != 51*64 || got.Drops != (Drops{}) {
			t.Errorf("%+v: got %+v, want %d packets in", s, got, 51*64)
		}
	}
}

// A cannedDevice reads the same packets in every turn and counts what is
// written.
type cannedDevice struct {
	pkts  [][]byte
	next  int
	wrote int // octets
}

func (d *cannedDevice) Read(b []byte) (int, error) {
	if d.next == len(d.pkts) {
		d.next = 0
		return 0, tun.ErrEmpty
	}
	offload.Header{}.Put(b)
	d.next++
	return offload.HeaderLen + copy(b[offload.HeaderLen:], d.pkts[d.next-1]), nil
}
func (d *cannedDevice) Write(f *tun.Frame) error { d.wrote += f.Octets(); return nil }
func (*cannedDevice) Wait() error                { return nil }
func (*cannedDevice) JoinsUDP() bool             { return true }
func (*cannedDevice) Close() error               { return nil }

// BenchmarkTunnel carries packets from one engine to the other over loopback,
// in one goroutine: the cost of a packet end to end without TUN devices.
func BenchmarkTunnel(b *testing.B) {
	for name, s := range map[string]suite.ESP{
		"GCM256":        gcm,
		"CBC128-SHA256": {Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256},
	} {
		b.Run(name, func(b *testing.B) {
			l, r := newEnd(b, "127.0.0.1", nil), newEnd(b, "127.0.0.2", nil)
			connect(b, l, r, s, true)
			src, dst := &cannedDevice{}, &cannedDevice{}
			for i := range uint32(64) {
				src.pkts = append(src.pkts, datagram4(left4, right4, esp.MTU(esp.Path{NAT: true}, s), i))
			}
			l.tunnel.dev, r.tunnel.dev = src, dst
			x, rx := newTransmitter(), newReceiver(r.tunnel.outside, r.out.Socket(udp.NAT))
			b.SetBytes(int64(len(src.pkts) * len(src.pkts[0])))
			b.ReportAllocs()
			for b.Loop() {
				if err := x.turn(l.tunnel, framesPerTurn, bytesPerTurn); err != nil {
					b.Fatal(err)
				}
				for before := r.tunnel.count.packetsIn.Load(); r.tunnel.count.packetsIn.Load() < before+uint64(len(src.pkts)); {
					if err := rx.step(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
