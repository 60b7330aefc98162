package dataplane

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seikan/internal/ipsec/dataplane/tun"
	"seikan/internal/ipsec/dataplane/tun/tuntest"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/nettest"
)

func TestPacketsCrossBothWays(t *testing.T) {
	for _, tt := range []struct {
		name  string
		s     suite.ESP
		encap bool
	}{
		{"GCM in UDP", gcm, true},
		{"GCM raw", gcm, false},
		{"CBC in UDP", cbc, true},
		{"CBC raw", cbc, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newEnds(t, nil)
			connect(t, a, b, tt.s, tt.encap)
			before := time.Now()
			const n = 1000
			var there, back [][]byte
			var octets uint64
			for i := range uint32(n) {
				size := 60 + int(i*37)%1300
				there = append(there, datagram4(left4, right4, size, i))
				back = append(back, datagram4(right4, left4, size, i))
				octets += uint64(size)
			}
			a.send(t, there...)
			b.want(t, there...)
			b.send(t, back...)
			a.want(t, back...)
			settle(t, a, b)
			c := a.tunnel.Counters()
			// settle's second packets may not be counted yet.
			if c.PacketsOut < n+1 || c.PacketsIn < n+1 || c.BytesOut < octets+40 || c.BytesIn < octets+40 || c.Sequence < n+1 || c.Drops != (Drops{}) {
				t.Errorf("got %+v, want at least %d packets and %d octets each way, no drops", c, n+1, octets+40)
			}
			if got := a.tunnel.LastInbound(); got.Before(before) || got.After(time.Now()) {
				t.Errorf("last inbound: got %v, want since %v", got, before)
			}
		})
	}
}

// TestRekeyUnderTrafficLosesNothing replaces the SA many times while numbered
// packets flow; each end changes its outbound SA at another moment, and the SA
// before the last stays acceptable.
func TestRekeyUnderTrafficLosesNothing(t *testing.T) {
	for _, s := range []suite.ESP{gcm, cbc} {
		a, b := newEnds(t, nil)
		forA, forB := connect(t, a, b, s, true)
		const packets, every, inFlight = 6000, 300, 200
		window := make(chan struct{}, inFlight)
		done := make(chan error, 1)
		go func() {
			for i := range uint32(packets) {
				window <- struct{}{}
				if err := a.dev.Send(datagram4(left4, right4, 200+int(i%1000), i)); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		old := [][2]uint32{{forA.SPIIn, forB.SPIIn}}
		for i := range uint32(packets) {
			b.want(t, datagram4(left4, right4, 200+int(i%1000), i))
			<-window
			if i%every != every-1 {
				continue
			}
			newA, newB := sas(a, b, s, true, 0x1000+i+1)
			if err := errors.Join(a.tunnel.InstallInbound(newA), b.tunnel.InstallInbound(newB), a.tunnel.UseOutbound(newA)); err != nil {
				t.Fatal(err)
			}
			old = append(old, [2]uint32{newA.SPIIn, newB.SPIIn})
			if len(old) > 2 {
				a.tunnel.Remove(old[0][0])
				b.tunnel.Remove(old[0][1])
				old = old[1:]
			}
			if err := b.tunnel.UseOutbound(newB); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		settle(t, a, b)
		if got := b.tunnel.Counters().Drops; got != (Drops{}) {
			t.Errorf("drops: got %+v, want none", got)
		}
		if got := a.tunnel.outside.spis.size(); got != 2 {
			t.Errorf("SAs left: got %d, want the last two", got)
		}
	}
}

func TestWithoutAnSANothingLeaves(t *testing.T) {
	a, b := newEnds(t, nil)
	a.send(t, datagram4(left4, right4, 100, 1), datagram4(left4, right4, 100, 2))
	forA, forB := sas(a, b, gcm, true, 0x1000)
	b.install(t, forB)
	if err := a.tunnel.InstallInbound(forA); err != nil {
		t.Fatal(err)
	}
	// b may send to a already; a must not answer.
	p := datagram4(right4, left4, 100, 3)
	b.send(t, p)
	a.want(t, p)
	waitFor(t, func() bool { return a.tunnel.Counters().Drops.NoSA == 2 })
	if err := a.tunnel.UseOutbound(forA); err != nil {
		t.Fatal(err)
	}
	p = datagram4(left4, right4, 100, 4)
	a.send(t, p)
	b.want(t, p) // and not the packets before
	a.tunnel.Remove(forA.SPIIn)
	a.send(t, datagram4(left4, right4, 100, 5))
	waitFor(t, func() bool { return a.tunnel.Counters().Drops.NoSA == 3 })
	if got := a.tunnel.MTU(); got != 0 {
		t.Errorf("MTU without an SA: got %d, want 0", got)
	}
}

// waitFor waits until ok, which another goroutine makes true, holds.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("it did not come true")
		}
	}
}

func TestIKEIsHandedOver(t *testing.T) {
	a, b := newEnds(t, nil)
	for _, tt := range []struct {
		name string
		from uint16
		to   uint16
	}{
		{"500", a.out.Ports().IKE, b.out.Ports().IKE},
		{"4500", a.out.Ports().NAT, b.out.Ports().NAT},
		{"500 again", a.out.Ports().IKE, b.out.Ports().IKE},
		{"4500 again", a.out.Ports().NAT, b.out.Ports().NAT},
	} {
		d := ike.Datagram{Local: netip.AddrPortFrom(a.out.Addr(), tt.from), Remote: netip.AddrPortFrom(b.out.Addr(), tt.to), Data: []byte(tt.name + " message")}
		if err := a.out.SendIKE(d); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-b.ike:
			if got.Local != d.Remote || got.Remote != d.Local || string(got.Data) != string(d.Data) {
				t.Errorf("%s: got %q from %v to %v, want %q from %v to %v", tt.name, got.Data, got.Remote, got.Local, d.Data, d.Local, d.Remote)
			}
		case <-time.After(patience):
			t.Fatalf("%s: nothing came", tt.name)
		}
	}
	if got := b.engine.OutsideCounters(b.out).IKE; got != 4 {
		t.Errorf("counted: got %d, want 4", got)
	}
}

func TestTunnelsComeAndGoWhileRunning(t *testing.T) {
	a, b := newEnds(t, nil)
	dev := tuntest.New(64)
	second, err := a.engine.AddTunnel(TunnelConfig{ID: "t2", Dev: dev, Outside: a.out})
	if err != nil {
		t.Fatal(err)
	}
	forA, _ := connect(t, a, b, gcm, true)
	clash := *forA
	if err := second.InstallInbound(&clash); err == nil {
		t.Error("an SPI of another tunnel: accepted")
	}
	settle(t, a, b)
	a.engine.RemoveTunnel(second)
	a.engine.RemoveTunnel(second) // does nothing
	if err := dev.Send(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("TUN of a removed tunnel: got %v, want %v", err, os.ErrClosed)
	}
	if err := second.InstallInbound(forA); !errors.Is(err, ErrEnded) {
		t.Errorf("SA for a removed tunnel: got %v, want %v", err, ErrEnded)
	}
	settle(t, a, b)

	// The last tunnel of an outside address goes, and another comes.
	a.engine.RemoveTunnel(a.tunnel)
	if got := a.engine.OutsideCounters(a.out); got != (OutsideCounters{}) {
		t.Errorf("counters of an unused address: got %+v, want none", got)
	}
	a.dev = tuntest.New(4096)
	if a.tunnel, err = a.engine.AddTunnel(TunnelConfig{ID: "t1", Dev: a.dev, Outside: a.out}); err != nil {
		t.Fatal(err)
	}
	newA, newB := sas(a, b, cbc, false, 0x2000)
	a.install(t, newA)
	b.install(t, newB)
	settle(t, a, b)
}

func TestAddTunnelNamesWhatIsWrong(t *testing.T) {
	a := newEnd(t, "127.0.0.1", nil)
	for name, change := range map[string]func(*TunnelConfig){
		"no ID":        func(c *TunnelConfig) { c.ID = "" },
		"same ID":      func(c *TunnelConfig) { c.ID = "t1" },
		"no device":    func(c *TunnelConfig) { c.Dev = nil },
		"no outside":   func(c *TunnelConfig) { c.Outside = nil },
		"tiny window":  func(c *TunnelConfig) { c.ReplayWindow = 63 },
		"large window": func(c *TunnelConfig) { c.ReplayWindow = 2049 },
		"tiny path":    func(c *TunnelConfig) { c.PathMTU = 575 },
	} {
		dev := tuntest.New(1)
		cfg := TunnelConfig{ID: "t2", Dev: dev, Outside: a.out}
		change(&cfg)
		if _, err := a.engine.AddTunnel(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if err := dev.Send(nil); cfg.Dev != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: the TUN stays open", name)
		}
	}
}

func TestOutboundSAGoesOnWithItsNumbers(t *testing.T) {
	a, b := newEnds(t, nil)
	forA, forB := connect(t, a, b, gcm, true)
	settle(t, a, b)
	was := a.tunnel.Counters().Sequence
	if err := a.tunnel.UseOutbound(forA); err != nil {
		t.Fatal(err)
	}
	settle(t, a, b)
	if got := a.tunnel.Counters().Sequence; got < was+2 {
		t.Errorf("sequence after using the SA again: got %d, want more than %d", got, was+1)
	}
	if err := b.tunnel.InstallInbound(forB); err == nil {
		t.Error("the same inbound SA twice: accepted")
	}
	other := *forA
	other.SPIOut++
	if err := a.tunnel.UseOutbound(&other); err == nil {
		t.Error("another outbound SPI for the same pair: accepted")
	}
	reserved := *forA
	reserved.SPIIn = 255
	if err := a.tunnel.InstallInbound(&reserved); err == nil {
		t.Error("a reserved SPI: accepted")
	}
	v6 := *forA
	v6.Remote = netip.MustParseAddrPort("[2001:db8::1]:4500")
	if err := a.tunnel.UseOutbound(&v6); err == nil {
		t.Error("an IPv6 peer of an IPv4 address: accepted")
	}
}

func TestPlainESPNeedsARawSocket(t *testing.T) {
	out, err := udp.Listen(netip.MustParseAddr("127.0.0.1"), udp.Ports{}, udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	e := newEnd(t, "127.0.0.2", func(c *TunnelConfig) { c.Outside = out })
	forA, _ := sas(e, e, gcm, false, 0x1000)
	if err := e.tunnel.UseOutbound(forA); err == nil {
		t.Error("accepted")
	}
}

func TestPeerIsFollowedOnlyWhenIKESaysSo(t *testing.T) {
	a, b := newEnds(t, nil)
	connect(t, a, b, gcm, true)
	settle(t, a, b)
	// The same peer behind a new port: what it sends is accepted, what is sent
	// to it still goes where IKE said.
	c := newEnd(t, "127.0.0.3", nil)
	relay := netip.AddrPortFrom(c.out.Addr(), c.out.Ports().NAT)
	p := datagram4(left4, right4, 100, 1)
	a.tunnel.MovePeer(netip.AddrPort{}, relay)
	a.send(t, p)
	r := c.out.Socket(udp.NAT).NewReader()
	if n, err := r.Read(); err != nil || n != 1 {
		t.Fatalf("at the new address: got %d, %v, want 1", n, err)
	}
	m := r.Message(0)
	if _, err := c.out.Socket(udp.NAT).NewWriter().Write([][]byte{m.Data}, netip.Addr{}, netip.AddrPortFrom(b.out.Addr(), b.out.Ports().NAT)); err != nil {
		t.Fatal(err)
	}
	b.want(t, p) // from an address nobody told b about
	q := datagram4(right4, left4, 100, 2)
	b.send(t, q)
	a.want(t, q) // and b still sends to a
}

func TestRunLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	a := newEnd(t, "127.0.0.1", nil)
	ctx, cancel := context.WithCancelCause(context.Background())
	result := make(chan error)
	go func() { result <- a.engine.Run(ctx) }()
	// It runs once what it was sent is counted.
	a.send(t, datagram4(left4, right4, 100, 1))
	waitFor(t, func() bool { return a.tunnel.Counters().Drops.NoSA == 1 })
	why := errors.New("the test is over")
	cancel(why)
	if err := <-result; !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	if err := a.dev.Send(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the TUN: got %v, want %v", err, os.ErrClosed)
	}
	if err := a.engine.Run(context.Background()); err == nil {
		t.Error("run twice: got no error")
	}
	if _, err := a.engine.AddTunnel(TunnelConfig{ID: "t2", Dev: tuntest.New(1), Outside: a.out}); !errors.Is(err, ErrEnded) {
		t.Errorf("a tunnel afterwards: got %v, want %v", err, ErrEnded)
	}
	a.engine.RemoveTunnel(a.tunnel)

	// The sockets are as they were: another engine can use them.
	b, c := &end{out: a.out, dev: tuntest.New(64), engine: New(Config{})}, newEnd(t, "127.0.0.2", nil)
	var err error
	if b.tunnel, err = b.engine.AddTunnel(TunnelConfig{ID: "t", Dev: b.dev, Outside: a.out}); err != nil {
		t.Fatal(err)
	}
	t.Run("again", func(t *testing.T) {
		b.run(t)
		c.run(t)
		connect(t, b, c, gcm, true)
		settle(t, b, c)
	})
}

// A slowDevice is a TUN whose reader takes its time to notice that it closed.
type slowDevice struct {
	started, closed chan struct{}
	once            sync.Once
	ended           atomic.Bool
}

func (d *slowDevice) Read([]byte) (int, error) {
	close(d.started)
	<-d.closed
	for range 1000 {
		runtime.Gosched()
	}
	d.ended.Store(true)
	return 0, os.ErrClosed
}
func (*slowDevice) Write(*tun.Frame) error { return nil }
func (*slowDevice) Wait() error            { return nil }
func (*slowDevice) JoinsUDP() bool         { return false }
func (d *slowDevice) Close() error         { d.once.Do(func() { close(d.closed) }); return nil }

func TestRemovedTunnelIsReadNoLonger(t *testing.T) {
	a, _ := newEnds(t, nil)
	dev := &slowDevice{started: make(chan struct{}), closed: make(chan struct{})}
	slow, err := a.engine.AddTunnel(TunnelConfig{ID: "slow", Dev: dev, Outside: a.out})
	if err != nil {
		t.Fatal(err)
	}
	<-dev.started
	a.engine.RemoveTunnel(slow)
	if !dev.ended.Load() {
		t.Error("RemoveTunnel returned while the TUN was still read")
	}
}

func TestTUNThatGoesAwayIsReported(t *testing.T) {
	var log nettest.Buffer
	gone := make(chan error, 2)
	a := newEnd(t, "127.0.0.1", func(c *TunnelConfig) { c.Gone = func(err error) { gone <- err } })
	a.engine.log = slog.New(slog.NewTextHandler(&log, nil))
	a.run(t)
	a.send(t, datagram4(left4, right4, 100, 1))
	waitFor(t, func() bool { return a.tunnel.Counters().Drops.NoSA == 1 })
	a.dev.Close() // not by the engine: someone deleted the link
	a.tunnel.loop.Wait()
	if got := log.String(); !strings.Contains(got, "TUN is gone") || !strings.Contains(got, "tunnel=t1") {
		t.Errorf("log: got %q, want the tunnel's TUN to be gone", got)
	}
	if len(gone) != 1 || !errors.Is(<-gone, os.ErrClosed) {
		t.Errorf("the owner was not told once that the TUN is closed")
	}
}

func TestOwnRemovalOfATunnelIsNotReported(t *testing.T) {
	gone := make(chan error, 1)
	a := newEnd(t, "127.0.0.1", func(c *TunnelConfig) { c.Gone = func(err error) { gone <- err } })
	a.run(t)
	a.engine.RemoveTunnel(a.tunnel)
	if len(gone) != 0 {
		t.Errorf("got %v, want nothing", <-gone)
	}
}

func TestSocketThatCannotBeReadEndsRun(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	a := newEnd(t, "127.0.0.1", nil)
	result := make(chan error, 1)
	go func() { result <- a.engine.Run(context.Background()) }()
	a.send(t, datagram4(left4, right4, 100, 1))
	waitFor(t, func() bool { return a.tunnel.Counters().Drops.NoSA == 1 })
	a.out.Close() // under the engine
	select {
	case err := <-result:
		if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("got %v, want one that names the address", err)
		}
	case <-time.After(patience):
		t.Fatal("Run goes on though nothing can be received")
	}
	if err := a.dev.Send(nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the TUN: got %v, want %v", err, os.ErrClosed)
	}
	a.engine.RemoveTunnel(a.tunnel) // as the owner does
}
