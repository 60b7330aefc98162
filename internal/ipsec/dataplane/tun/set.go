package tun

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	wgtun "golang.zx2c4.com/wireguard/tun"

	"golang.org/x/sys/unix"
)

// A Set is TUNs that share what they need only while packets pass. The
// library's device has 65 KiB of buffer and tables for joining segments, four
// descriptors and three goroutines with a thread of their own: ten thousand of
// those do not fit into a process. So there are as many as Reads and Writes are
// under way at once, and each is lent the file of the TUN it works for. The zero
// Set is ready; any goroutine may use it.
type Set struct {
	mu   sync.Mutex
	idle []*wgtun.NativeTun
}

// take lends the file of t to one of the library's devices.
func (s *Set) take(t *TUN) (*wgtun.NativeTun, error) {
	if t.closed.Load() {
		return nil, os.ErrClosed
	}
	s.mu.Lock()
	var c *wgtun.NativeTun
	if n := len(s.idle); n > 0 {
		c, s.idle = s.idle[n-1], s.idle[:n-1]
	}
	s.mu.Unlock()
	if c == nil {
		var err error
		if c, err = t.worker(); err != nil {
			return nil, err
		}
	}
	// An os.File is a handle, made to be copied over: what it stands for, with
	// its registration for waiting and its lock, is behind a pointer.
	*c.File() = *t.file
	return c, nil
}

// give takes c back. What is more than can work at once is left to the garbage
// collector.
func (s *Set) give(c *wgtun.NativeTun) {
	*c.File() = os.File{}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < 2*runtime.GOMAXPROCS(0) {
		s.idle = append(s.idle, c)
	}
}

// worker is one more of the library's devices, without a file. It is made with
// a copy of t's descriptor, from which it learns what the kernel can do.
func (t *TUN) worker() (*wgtun.NativeTun, error) {
	fd, err := -1, error(nil)
	if controlErr := t.raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); controlErr != nil {
		return nil, os.ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("TUN %s: %w", t.name, err)
	}
	dev, _, err := wgtun.CreateUnmonitoredTUNFromFD(fd)
	if errors.Is(err, unix.EBADFD) {
		return nil, os.ErrClosed // somebody deleted the link
	}
	if err != nil {
		return nil, fmt.Errorf("TUN %s: %w", t.name, err) // the library closes fd in the end
	}
	c, ok := dev.(*wgtun.NativeTun)
	if !ok {
		dev.Close()
		return nil, fmt.Errorf("TUN %s: the library's device is a %T", t.name, dev)
	}
	return c, dev.File().Close()
}
