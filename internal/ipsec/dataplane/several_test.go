package dataplane

import (
	"errors"
	"testing"

	"seikan/internal/ipsec/dataplane/tun/tuntest"
)

// addTunnel gives e another tunnel.
func addTunnel(t *testing.T, e *end, id string) *end {
	t.Helper()
	return addTunnelWith(t, e, TunnelConfig{ID: id})
}

// addTunnelWith gives e another tunnel with the given configuration.
func addTunnelWith(t *testing.T, e *end, cfg TunnelConfig) *end {
	t.Helper()
	second := &end{out: e.out, dev: tuntest.New(4096), engine: e.engine}
	cfg.Dev, cfg.Outside = second.dev, e.out
	var err error
	if second.tunnel, err = e.engine.AddTunnel(cfg); err != nil {
		t.Fatal(err)
	}
	return second
}

// TestTunnelsOfOneAddressDoNotMix sends through two tunnels between the same
// addresses, so that one batch of datagrams holds packets of both.
func TestTunnelsOfOneAddressDoNotMix(t *testing.T) {
	a1, b1 := newEnds(t, nil)
	a2, b2 := addTunnel(t, a1, "t2"), addTunnel(t, b1, "t2")
	connect(t, a1, b1, gcm, true)
	forA, forB := sas(a2, b2, cbc, true, 0x2000)
	a2.install(t, forA)
	b2.install(t, forB)
	const n = 2000
	sent := make(chan error, 2)
	for k, e := range []*end{a1, a2} {
		go func() {
			for i := range uint32(n) {
				if err := e.dev.Send(datagram4(left4, right4, 100+k, i)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
	}
	for i := range uint32(n) {
		b1.want(t, datagram4(left4, right4, 100, i))
		b2.want(t, datagram4(left4, right4, 101, i))
	}
	if err := errors.Join(<-sent, <-sent); err != nil {
		t.Fatal(err)
	}
	settle(t, a1, b1)
	settle(t, a2, b2)
	for _, e := range []*end{a1, b1, a2, b2} {
		if got := e.tunnel.Counters(); got.PacketsIn > n+4 || got.Drops != (Drops{}) {
			t.Errorf("got %+v, want at most %d packets in, no drops", got, n+4)
		}
	}
}

// TestTrafficGoesOnWhileOthersComeAndGo changes the tables under a running
// tunnel: nothing of it may be lost.
func TestTrafficGoesOnWhileOthersComeAndGo(t *testing.T) {
	a, b := newEnds(t, nil)
	connect(t, a, b, gcm, true)
	const n, inFlight = 4000, 200
	window, sent := make(chan struct{}, inFlight), make(chan error, 1)
	go func() {
		for i := range uint32(n) {
			window <- struct{}{}
			if err := a.dev.Send(datagram4(left4, right4, 500, i)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	var other *end
	for i := range uint32(n) {
		b.want(t, datagram4(left4, right4, 500, i))
		<-window
		switch i % 200 {
		case 50:
			other = addTunnel(t, b, "other")
			_, sa := sas(a, other, cbc, true, 0x10000+i)
			other.install(t, sa)
		case 150:
			b.engine.RemoveTunnel(other.tunnel)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if got := b.tunnel.outside.spis.size(); got != 1 {
		t.Errorf("SAs left: got %d, want 1", got)
	}
}
