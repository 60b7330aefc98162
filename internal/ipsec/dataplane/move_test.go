package dataplane

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"seikan/internal/ipsec/dataplane/udp"
)

// TestTunnelGoesOnAtAnotherAddressOfOurs moves one end of a tunnel under
// traffic, there and back.
func TestTunnelGoesOnAtAnotherAddressOfOurs(t *testing.T) {
	a, b := newEnds(t, nil)
	stay := addTunnel(t, a, "t2") // keeps the old sockets read
	forA, forB := connect(t, a, b, gcm, true)
	settle(t, a, b)
	out, err := udp.Listen(netip.MustParseAddr("127.0.0.7"), udp.Ports{}, udp.Options{RawESP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	home := a.out
	for i, to := range []*udp.Outside{out, home, out} {
		if err := a.engine.MoveTunnel(a.tunnel, to, 1500); err != nil {
			t.Fatal(err)
		}
		a.out = to
		here, there := netip.AddrPortFrom(to.Addr(), to.Ports().NAT), netip.AddrPortFrom(b.out.Addr(), b.out.Ports().NAT)
		p := datagram4(left4, right4, 100, uint32(i))
		a.send(t, p)
		b.want(t, p) // before anybody has told b
		a.tunnel.MovePeer(here, there)
		b.tunnel.MovePeer(there, here)
		settle(t, a, b)
	}
	if got := a.tunnel.Counters().Drops; got != (Drops{}) {
		t.Errorf("drops: got %+v, want none", got)
	}
	// The old address takes nothing of the tunnel any more.
	before := a.engine.OutsideCounters(home).UnknownSPI
	b.tunnel.MovePeer(netip.AddrPortFrom(b.out.Addr(), b.out.Ports().NAT), netip.AddrPortFrom(home.Addr(), home.Ports().NAT))
	b.send(t, datagram4(right4, left4, 100, 9))
	waitFor(t, func() bool { return a.engine.OutsideCounters(home).UnknownSPI == before+1 })
	// What is installed from now on is found at the new one.
	b.tunnel.MovePeer(netip.AddrPortFrom(b.out.Addr(), b.out.Ports().NAT), netip.AddrPortFrom(out.Addr(), out.Ports().NAT))
	newA, newB := sas(a, b, cbc, true, 0x2000)
	a.install(t, newA)
	b.install(t, newB)
	a.tunnel.Remove(forA.SPIIn)
	b.tunnel.Remove(forB.SPIIn)
	settle(t, a, b)
	if got := a.tunnel.outside.spis.size(); got != 1 {
		t.Errorf("SAs at the new address: got %d, want 1", got)
	}
	a.engine.RemoveTunnel(stay.tunnel)
	if got := a.engine.OutsideCounters(home); got != (OutsideCounters{}) {
		t.Errorf("the old address is still read: %+v", got)
	}
}

func TestTunnelThatCannotMoveStaysAsItWas(t *testing.T) {
	a, b := newEnds(t, nil)
	connect(t, a, b, gcm, false)
	settle(t, a, b)
	bare, err := udp.Listen(netip.MustParseAddr("127.0.0.7"), udp.Ports{}, udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bare.Close() })
	for _, tt := range []struct {
		mtu  int
		want string
	}{{1500, "no raw-ESP socket"}, {500, "PathMTU 500"}} {
		if err := a.engine.MoveTunnel(a.tunnel, bare, tt.mtu); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tt.want)) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
		settle(t, a, b)
	}
	if err := a.engine.MoveTunnel(b.tunnel, a.out, 1500); err == nil {
		t.Error("a tunnel of another engine: moved")
	}
}

// TestTunnelThatMovedFitsItsNewPath moves one end to a path with a smaller MTU.
func TestTunnelThatMovedFitsItsNewPath(t *testing.T) {
	a, b := newEnd(t, "127.0.0.1", nil), newEnd(t, "127.0.0.2", func(c *TunnelConfig) { c.NoClamp = true })
	a.run(t)
	b.run(t)
	connect(t, a, b, gcm, true)
	out, err := udp.Listen(netip.MustParseAddr("127.0.0.7"), udp.Ports{}, udp.Options{RawESP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	before := a.tunnel.MTU()
	if err := a.engine.MoveTunnel(a.tunnel, out, 1400); err != nil {
		t.Fatal(err)
	}
	mtu := a.tunnel.MTU()
	if mtu != before-100 {
		t.Errorf("MTU: got %d, before %d; want 100 less", mtu, before)
	}
	b.tunnel.MovePeer(netip.AddrPortFrom(b.out.Addr(), b.out.Ports().NAT), netip.AddrPortFrom(out.Addr(), out.Ports().NAT))
	b.send(t, syn(right4, left4, 1460))
	if got, want := int(binary.BigEndian.Uint16(a.receive(t)[42:])), mtu-40; got != want {
		t.Errorf("segment size that the peer is offered: got %d, want %d", got, want)
	}
}
