package store_test

import (
	"runtime"
	"strings"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// A row of a VPN connection grows with what its customer gateway announces, which
// may change for ever: what etcd keeps in memory of each change has a bound.
func TestChangesOfALargeRowDoNotPileUpInMemory(t *testing.T) {
	const size, changes, most = 64 << 10, 1500, 48 << 20
	s := open(t)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	text := strings.Repeat("x", size)
	before := heap()
	for i := range changes {
		update(t, s, func(tx *store.Tx) error {
			store.VPNConnections.Put(tx, "vpn-1", resource.VPNConnection{ID: "vpn-1", Slot: i, Tags: resource.Tags{"note": text}})
			return nil
		})
	}
	if got := heap(); got > before+most {
		t.Errorf("after %d changes of a row of %d bytes: got %d bytes more, want at most %d", changes, size, got-before, most)
	}
}
