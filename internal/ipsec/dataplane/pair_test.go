package dataplane

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"seikan/internal/ipsec/dataplane/tun/tuntest"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/nettest"
	"seikan/internal/packet"
	"seikan/internal/secret"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// patience is how long a test waits for a packet on loopback.
const patience = 10 * time.Second

var (
	gcm = suite.ESP{Encr: suite.AESGCM16, KeyBits: 256}
	cbc = suite.ESP{Encr: suite.AESCBC, KeyBits: 128, Integ: suite.IntegSHA256, ESN: true}

	left4, right4 = netip.MustParseAddr("192.168.1.10"), netip.MustParseAddr("10.0.1.20")
	left6, right6 = netip.MustParseAddr("2001:db8:1::10"), netip.MustParseAddr("2001:db8:2::20")
)

// An end is one gateway: an engine with one tunnel between a TUN in memory and
// an address of loopback.
type end struct {
	out    *udp.Outside
	dev    *tuntest.Device
	engine *Engine
	tunnel *Tunnel
	ike    chan ike.Datagram
}

// newEnd makes an end and does not run it.
func newEnd(t testing.TB, addr string, change func(*TunnelConfig)) *end {
	t.Helper()
	out, err := udp.Listen(netip.MustParseAddr(addr), udp.Ports{}, udp.Options{RawESP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	e := &end{out: out, dev: tuntest.New(4096), ike: make(chan ike.Datagram, 100)}
	e.engine = New(Config{OnIKE: func(o *udp.Outside, d ike.Datagram) {
		if o != out {
			t.Errorf("IKE of %v, want %v", o, out)
		}
		d.Data = bytes.Clone(d.Data)
		select {
		case e.ike <- d:
		default: // a flood; the test reads what it needs
		}
	}})
	cfg := TunnelConfig{ID: "t1", Dev: e.dev, Outside: out}
	if change != nil {
		change(&cfg)
	}
	if e.tunnel, err = e.engine.AddTunnel(cfg); err != nil {
		t.Fatal(err)
	}
	return e
}

// run runs e until the test ends.
func (e *end) run(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { e.engine.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// newEnds makes two ends and runs them.
func newEnds(t testing.TB, change func(*TunnelConfig)) (a, b *end) {
	a, b = newEnd(t, "127.0.0.1", change), newEnd(t, "127.0.0.2", change)
	a.run(t)
	b.run(t)
	return a, b
}

// sas are both sides of a fresh CHILD SA between a, on the left, and b.
func sas(a, b *end, s suite.ESP, encap bool, spi uint32) (forA, forB *ike.ChildSA) {
	keys := func() suite.ESPKeys {
		n, k := s.KeyBits/8+4, 0
		if s.Encr == suite.AESCBC {
			n, k = s.KeyBits/8, map[suite.Integ]int{suite.IntegSHA1: 20, suite.IntegSHA256: 32, suite.IntegSHA384: 48, suite.IntegSHA512: 64}[s.Integ]
		}
		b := make([]byte, n+k)
		rand.Read(b)
		return suite.ESPKeys{Encr: secret.New(b[:n]), Integ: secret.New(b[n:])}
	}
	ab, ba := keys(), keys()
	any4 := ike.Selector{EndPort: 65535, Start: netip.MustParseAddr("0.0.0.0"), End: netip.MustParseAddr("255.255.255.255")}
	any6 := ike.Selector{EndPort: 65535, Start: netip.MustParseAddr("::"), End: netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}
	all := []ike.Selector{any4, any6}
	addrA := netip.AddrPortFrom(a.out.Addr(), a.out.Ports().NAT)
	addrB := netip.AddrPortFrom(b.out.Addr(), b.out.Ports().NAT)
	forA = &ike.ChildSA{
		SPIIn: spi, SPIOut: spi + 1, Suite: s, KeysIn: ba, KeysOut: ab, LocalTS: all, RemoteTS: all,
		Encap: encap, Local: addrA, Remote: addrB, Initiator: true,
	}
	forB = &ike.ChildSA{
		SPIIn: spi + 1, SPIOut: spi, Suite: s, KeysIn: ab, KeysOut: ba, LocalTS: all, RemoteTS: all,
		Encap: encap, Local: addrB, Remote: addrA,
	}
	return forA, forB
}

// install does what tunnel does when an SA is negotiated.
func (e *end) install(t testing.TB, sa *ike.ChildSA) {
	t.Helper()
	if err := e.tunnel.InstallInbound(sa); err != nil {
		t.Fatal(err)
	}
	if err := e.tunnel.UseOutbound(sa); err != nil {
		t.Fatal(err)
	}
}

func connect(t testing.TB, a, b *end, s suite.ESP, encap bool) (forA, forB *ike.ChildSA) {
	t.Helper()
	forA, forB = sas(a, b, s, encap, 0x1000)
	a.install(t, forA)
	b.install(t, forB)
	return forA, forB
}

// datagram4 is a UDP datagram of n octets in all with a number in its payload.
func datagram4(src, dst netip.Addr, n int, number uint32) []byte {
	b := bytes.Repeat([]byte{byte(number)}, n)
	copy(b, []byte{0x45, 0, byte(n >> 8), byte(n), 0, 1, 0, 0, 64, packet.ProtoUDP, 0, 0})
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	copy(b[20:], []byte{0x13, 0x88, 0x13, 0x89, byte((n - 20) >> 8), byte(n - 20), 0, 0})
	binary.BigEndian.PutUint32(b[28:], number)
	packet.IPv4(b).SetChecksum()
	return b
}

func setDF(b []byte) []byte {
	b[6] |= 0x40
	packet.IPv4(b).SetChecksum()
	return b
}

// datagram6 is the same over IPv6.
func datagram6(src, dst netip.Addr, n int) []byte {
	b := make([]byte, n)
	b[0], b[6], b[7] = 0x60, packet.ProtoUDP, 64
	binary.BigEndian.PutUint16(b[4:], uint16(n-40))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	copy(b[40:], []byte{0x13, 0x88, 0x13, 0x89, byte((n - 40) >> 8), byte(n - 40), 0, 0})
	return b
}

func (e *end) send(t testing.TB, pkts ...[]byte) {
	t.Helper()
	for _, p := range pkts {
		if err := e.dev.Send(p); err != nil {
			t.Fatal(err)
		}
	}
}

// receive is the next packet that e's TUN was given.
func (e *end) receive(t testing.TB) []byte {
	t.Helper()
	select {
	case p := <-e.dev.Packets():
		return p
	case <-time.After(patience):
		t.Fatalf("no packet; tunnel %+v, outside %+v", e.tunnel.Counters(), e.engine.OutsideCounters(e.out))
		return nil
	}
}

// want waits for packets at e and compares them.
func (e *end) want(t testing.TB, pkts ...[]byte) {
	t.Helper()
	for i, want := range pkts {
		if got := e.receive(t); !bytes.Equal(got, want) {
			t.Fatalf("packet %d: got %d octets %x, want %d octets %x", i, len(got), got[:min(len(got), 40)], len(want), want[:min(len(want), 40)])
		}
	}
}

// settle sends a packet twice each way. When the second has arrived, the
// batches of the first and all before it have been counted.
func settle(t testing.TB, a, b *end) {
	t.Helper()
	for i := range uint32(2) {
		p := datagram4(left4, right4, 40, 0xfff0+i)
		a.send(t, p)
		b.want(t, p)
		p = datagram4(right4, left4, 40, 0xfff8+i)
		b.send(t, p)
		a.want(t, p)
	}
}
