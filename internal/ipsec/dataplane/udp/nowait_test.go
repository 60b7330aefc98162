package udp

import (
	"net/netip"
	"testing"
	"time"
)

// TestNoWaitIsNotHeldByAnotherWriter has one writer wait on the socket, as for
// room in its buffer, and one that must not.
func TestNoWaitIsNotHeldByAnotherWriter(t *testing.T) {
	a := listen(t, netip.MustParseAddr("127.0.0.1"), Ports{}, Options{})
	b := listen(t, netip.MustParseAddr("127.0.0.2"), Ports{}, Options{})
	s := a.Socket(NAT)
	waiting, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.sys.Write(func(uintptr) bool { close(waiting); <-release; return true })
	}()
	<-waiting
	wrote := make(chan int, 1)
	go func() {
		w := s.NewWriter()
		w.NoWait = true
		n, _ := w.Write(numbered(100, 100, 40), netip.Addr{}, to(b, NAT))
		wrote <- n
	}()
	select {
	case n := <-wrote:
		if n != 3 {
			t.Errorf("wrote %d packets, want 3", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the other writer")
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
