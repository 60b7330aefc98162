package dataplane

import (
	"bytes"
	"net/netip"
	"testing"

	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/packet"
)

// withTOS changes the type of service of an IPv4 packet.
func withTOS(b []byte, tos uint8) []byte {
	b = bytes.Clone(b)
	b[1] = tos
	packet.IPv4(b).SetChecksum()
	return b
}

// TestMarksCrossTheTunnel relays sealed packets through a third address, which
// sees their outer marks and sends them on as a congested router would.
func TestMarksCrossTheTunnel(t *testing.T) {
	const ef = 46 << 2
	for _, encap := range []bool{true, false} {
		a, b := newEnds(t, nil)
		relay := newEnd(t, "127.0.0.3", nil)
		forA, forB := sas(a, b, gcm, encap, 0x1000)
		forA.Remote = netip.AddrPortFrom(relay.out.Addr(), relay.out.Ports().NAT)
		a.install(t, forA)
		b.install(t, forB)
		kind := udp.Raw
		if encap {
			kind = udp.NAT
		}
		in, out := relay.out.Socket(kind).NewReader(), relay.out.Socket(kind).NewWriter()
		toB := netip.AddrPortFrom(b.out.Addr(), b.out.Ports().NAT)
		through := func(inner []byte, mark uint8) (outer uint8) {
			t.Helper()
			a.send(t, inner)
			for {
				n, err := in.Read()
				if err != nil || n != 1 {
					t.Fatalf("relay: got %d, %v, want 1", n, err)
				}
				m := in.Message(0)
				if m.From.Addr() != a.out.Addr() {
					continue // a raw socket hears others too
				}
				if _, err := out.WriteMarked([][]byte{m.Data}, []uint8{mark}, netip.Addr{}, toB); err != nil {
					t.Fatal(err)
				}
				return m.TOS
			}
		}
		for i, c := range []struct{ inner, mark, want uint8 }{
			{0, 0, 0}, {ef, 0, ef}, {ef | 2, 0, ef | 2}, {ef | 2, 3, ef | 3}, {1, 3, 3}, {3, 0, 3}, {ef, 8 << 2, ef},
		} {
			p := datagram4(left4, right4, 200, uint32(i))
			if got := through(withTOS(p, c.inner), c.mark); got != c.inner {
				t.Errorf("encap %v: outer mark of inner %#x: got %#x", encap, c.inner, got)
			}
			b.want(t, withTOS(p, c.want))
		}
		// Congestion that the sender would not understand is a loss.
		through(datagram4(left4, right4, 200, 99), 3)
		waitFor(t, func() bool { return b.tunnel.Counters().Drops.Congested == 1 })
		if got := b.tunnel.Counters().PacketsIn; got != 7 {
			t.Errorf("packets in: got %d, want 7", got)
		}
	}
}
