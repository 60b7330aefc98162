package tun_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"seikan/internal/ipsec/dataplane/offload"
	"seikan/internal/ipsec/dataplane/tun"
)

// descriptors is how many files this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// heap is how many octets are in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestTUNWithoutTrafficIsOneDescriptor(t *testing.T) {
	const n = 50
	warm, err := tun.Open("warm", 1400) // the runtime's own for waiting
	if err != nil {
		t.Fatal(err)
	}
	defer warm.Close()
	refused(t, warm)
	files, goroutines, octets := descriptors(t), runtime.NumGoroutine(), heap()
	devs := make([]*tun.TUN, 0, n)
	for i := range n {
		dev, err := tun.Open(fmt.Sprintf("idle%d", i), 1400)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		devs = append(devs, dev)
	}
	for _, dev := range devs {
		refused(t, dev)
	}
	if got := descriptors(t) - files; got > n {
		t.Errorf("got %d descriptors for %d TUNs", got, n)
	}
	if got := runtime.NumGoroutine() - goroutines; got > 0 {
		t.Errorf("got %d goroutines for %d TUNs, want none", got, n)
	}
	if got := (heap() - octets) / n; got > 4096 {
		t.Errorf("got %d octets of heap for each of %d TUNs, want at most 4096", got, n)
	}
	runtime.KeepAlive(devs)
}

// refused writes to dev, whose link is down.
func refused(t *testing.T, dev *tun.TUN) {
	t.Helper()
	if err := dev.Write(frame(echo())); err == nil {
		t.Error("a link that is down took a packet")
	}
}

func TestWaitEnds(t *testing.T) {
	waiting := func(dev *tun.TUN) chan error {
		ended := make(chan error, 1)
		go func() { ended <- dev.Wait() }()
		return ended
	}
	ends := func(ended chan error) error {
		t.Helper()
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
			t.Fatal("Wait still waits")
			return nil
		}
	}
	dev, err := tun.Open("wait0", 1400)
	if err != nil {
		t.Fatal(err)
	}
	ended := waiting(dev)
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
	if err := ends(ended); !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: got %v, want %v", err, os.ErrClosed)
	}

	if dev, err = tun.Open("wait1", 1400); err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	up(t, "wait1", "192.0.2.1/24")
	ended = waiting(dev)
	if out, err := exec.Command("ip", "link", "del", "wait1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b := make([]byte, tun.MaxFrame)
	for err = ends(ended); err == nil; err = ends(waiting(dev)) {
		if _, err = dev.Read(b); err != nil && !errors.Is(err, tun.ErrEmpty) { // what the kernel said of its own accord comes first
			break
		}
	}
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("deleted: got %v, want %v", err, os.ErrClosed)
	}
}

// TestSeveralTUNsAtOnce has packets for many links cross at once, and none the
// wrong one.
func TestSeveralTUNsAtOnce(t *testing.T) {
	const n, each = 20, 50
	ended := make(chan error, n)
	for i := range n {
		dev, err := tun.Open(fmt.Sprintf("many%d", i), 1400)
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		up(t, dev.Name(), fmt.Sprintf("198.18.%d.1/24", i))
		go func() { ended <- echoes(dev, byte(i), each) }()
	}
	for range n {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no answer")
		}
	}
}

// checksum writes the Internet checksum of b, an even number of octets, to at
// in b.
func checksum(b, at []byte) {
	at[0], at[1] = 0, 0
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	sum = sum>>16 + sum&0xffff
	sum = ^(sum>>16 + sum)
	at[0], at[1] = byte(sum>>8), byte(sum)
}

// echoes has the kernel answer each of count requests with mark in them.
func echoes(dev *tun.TUN, mark byte, count int) error {
	b := make([]byte, tun.MaxFrame)
	for range count {
		pkt := echo()
		copy(pkt[12:20], []byte{198, 18, mark, 2, 198, 18, mark, 1})
		checksum(pkt[:20], pkt[10:12])
		pkt[31] = mark
		checksum(pkt[20:], pkt[22:24])
		if err := dev.Write(frame(pkt)); err != nil {
			return err
		}
		for answered := false; !answered; {
			if err := dev.Wait(); err != nil {
				return err
			}
			n, err := dev.Read(b)
			if errors.Is(err, tun.ErrEmpty) {
				continue
			}
			if err != nil {
				return err
			}
			p := b[offload.HeaderLen:n]
			if p[0] != 0x45 || p[9] != 1 {
				continue // IPv6 neighbours
			}
			if answered = true; p[20] != 0 || !bytes.HasSuffix(p, []byte{mark}) {
				return fmt.Errorf("link %d: got %x, want its own echo reply", mark, p)
			}
		}
	}
	return nil
}
