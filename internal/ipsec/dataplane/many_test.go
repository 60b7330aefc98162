package dataplane

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
)

// A gatedDevice gives as many packets as it is granted, all the same, and tells
// how many were written to it.
type gatedDevice struct {
	pkt    []byte
	grants chan int
	wrote  chan<- int
	closed chan struct{}
	once   sync.Once

	next atomic.Int64 // granted and not yet read
}

func (d *gatedDevice) Wait() error {
	if d.next.Load() > 0 {
		return nil
	}
	select {
	case n := <-d.grants:
		d.next.Add(int64(n))
		return nil
	case <-d.closed:
		return os.ErrClosed
	}
}

func (d *gatedDevice) Read(b []byte) (int, error) {
	if d.next.Load() == 0 {
		return 0, tun.ErrEmpty
	}
	d.next.Add(-1)
	offload.Header{}.Put(b)
	return offload.HeaderLen + copy(b[offload.HeaderLen:], d.pkt), nil
}

func (d *gatedDevice) Write(*tun.Frame) error {
	select {
	case d.wrote <- 1:
		return nil
	case <-d.closed:
		return os.ErrClosed
	}
}

func (*gatedDevice) JoinsUDP() bool { return false }

func (d *gatedDevice) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}

var _ tun.Device = (*gatedDevice)(nil)

// manyTunnels makes two engines with n tunnels between them, an SA each way in
// every one, and returns the devices to send by and where arrivals are told.
func manyTunnels(b *testing.B, n int) (from []*gatedDevice, came <-chan int) {
	b.Helper()
	wrote := make(chan int, 1024)
	pkt := datagram4(left4, right4, 1400, 0)
	device := func() *gatedDevice {
		return &gatedDevice{pkt: pkt, grants: make(chan int, 64), wrote: wrote, closed: make(chan struct{})}
	}
	var ends [2]*end
	for i, addr := range []string{"127.0.0.1", "127.0.0.2"} {
		ends[i] = newEnd(b, addr, func(c *TunnelConfig) { c.ID, c.Dev = "0", device() })
	}
	for i := range n {
		pair := ends
		for k, e := range ends {
			if i > 0 {
				t, err := e.engine.AddTunnel(TunnelConfig{ID: fmt.Sprint(i), Dev: device(), Outside: e.out})
				if err != nil {
					b.Fatal(err)
				}
				pair[k] = &end{out: e.out, engine: e.engine, tunnel: t}
			}
		}
		// SPIs are random in life: these spread as well.
		forA, forB := sas(pair[0], pair[1], gcm, true, 0x1000+3*uint32(i))
		pair[0].install(b, forA)
		pair[1].install(b, forB)
		from = append(from, pair[0].tunnel.dev.(*gatedDevice))
	}
	ends[0].run(b)
	ends[1].run(b)
	return from, wrote
}

// BenchmarkManySAs is what a packet of 1,400 octets costs when SAs are many:
// through both engines and a socket each, without TUN devices. Packets come in
// batches of 64, each of the next tunnel that has traffic; 32 are under way: enough that
// nobody sleeps. With four the wake-ups of a hundred goroutines are what is measured.
func BenchmarkManySAs(b *testing.B) {
	const batch, underway = 64, 32
	for _, bb := range []struct{ sas, busy int }{{1, 1}, {10_000, 1}, {10_000, 100}} {
		b.Run(fmt.Sprintf("%d-busy-of-%d", bb.busy, bb.sas), func(b *testing.B) {
			from, came := manyTunnels(b, bb.sas)
			stuck := time.NewTimer(patience)
			defer stuck.Stop()
			next, flying := 0, 0
			land := func(most int) {
				for flying > most {
					select {
					case n := <-came:
						flying -= n
					case <-stuck.C:
						b.Fatalf("%d of %d packets did not come: lost, or written several as one", flying, batch*underway)
					}
				}
				stuck.Reset(patience)
			}
			send := func(d *gatedDevice, n int) {
				d.grants <- n
				flying += n
				land(batch * (underway - 1))
			}
			for _, d := range from { // so that all of them run, and have been used
				send(d, 1)
			}
			land(0)
			runtime.GC()
			b.SetBytes(batch * 1400)
			for b.Loop() {
				send(from[next*len(from)/bb.busy], batch)
				next = (next + 1) % bb.busy
			}
			land(0)
		})
	}
}
