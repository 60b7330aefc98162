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
