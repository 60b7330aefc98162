package dataplane

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
)

// An endlessDevice always has something to read, until it is closed.
type endlessDevice struct {
	cannedDevice
	closed atomic.Bool
}

func (d *endlessDevice) Read(b []byte) (int, error) {
	if d.closed.Load() {
		return 0, os.ErrClosed
	}
	d.next = 0
	return d.cannedDevice.Read(b)
}

func (d *endlessDevice) Close() error { d.closed.Store(true); return nil }

// TestBusyTunnelsLeaveRoomForOthers has more tunnels that never rest than there
// are transmitters.
func TestBusyTunnelsLeaveRoomForOthers(t *testing.T) {
	a, b := newEnds(t, nil)
	connect(t, a, b, gcm, true)
	pool := a.engine.transmitters
	var busy []*Tunnel
	for i := range 3 * cap(pool.free) {
		dev := &endlessDevice{cannedDevice: cannedDevice{pkts: [][]byte{datagram4(left4, right4, 1400, 0)}}}
		tun, err := a.engine.AddTunnel(TunnelConfig{ID: fmt.Sprint("busy", i), Dev: dev, Outside: a.out})
		if err != nil {
			t.Fatal(err)
		}
		busy = append(busy, tun)
	}
	settle(t, a, b)
	for _, tun := range busy {
		waitFor(t, func() bool { return tun.Counters().Drops.NoSA > 0 }) // each has its turn
	}
	settle(t, a, b)
	for _, tun := range busy {
		a.engine.RemoveTunnel(tun) // which waits until nothing of it is under way
	}
	settle(t, a, b)
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if len(pool.idle) > cap(pool.free) {
		t.Errorf("transmitters: got %d, want at most %d", len(pool.idle), cap(pool.free))
	}
}

// TestReceiverWaitsForNoTransmitter has all of them lent for as long as packets
// come in: the socket is read all the same, for it is that of many tunnels.
func TestReceiverWaitsForNoTransmitter(t *testing.T) {
	a, b := newEnds(t, nil)
	connect(t, a, b, gcm, true)
	settle(t, a, b)
	pool := a.engine.transmitters
	for range cap(pool.free) {
		defer pool.give(pool.take())
	}
	for i := range uint32(10) {
		p := datagram4(right4, left4, 100, i)
		b.send(t, p)
		a.want(t, p)
	}
}

// TestTurnIsBoundedInOctets has frames of the largest size wait.
func TestTurnIsBoundedInOctets(t *testing.T) {
	a, b := newEnd(t, "127.0.0.1", nil), newEnd(t, "127.0.0.2", nil)
	connect(t, a, b, gcm, true)
	src := &cannedDevice{}
	for i := range uint32(100) {
		src.pkts = append(src.pkts, datagram4(left4, right4, 60000, i))
	}
	a.tunnel.dev = src
	if err := newTransmitter().turn(a.tunnel, framesPerTurn, bytesPerTurn); err != nil {
		t.Fatal(err)
	}
	if got := src.next * 60000; got < bytesPerTurn || got > bytesPerTurn+60000 {
		t.Errorf("a turn of %d octets, want some %d", got, bytesPerTurn)
	}
}
