// Package linger waits for a descriptor in the kernel, on a thread of the
// caller's own that the kernel wakes up directly. That takes a fraction of what
// it takes until the runtime's poller has been woken and has woken a goroutine;
// but a thread is dear, so a Pool bounds how many wait so, and thousands of
// tunnels at rest leave it to the runtime.
//
// It reads and writes nothing. Package dataplane lends turns; tun and udp wait.
package linger

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// For is how long to linger after something has been carried. It also is how
// much longer closing a descriptor may take.
const For = 50 * time.Millisecond

// A Pool bounds how many linger at once. Any goroutine may use it.
type Pool chan struct{}

// NewPool returns a Pool for four times as many as there are processors.
func NewPool() Pool { return make(Pool, 4*runtime.GOMAXPROCS(0)) }

// Begin is how long the caller may linger: For, or 0 when enough others do. It
// tells End afterwards.
func (p Pool) Begin() time.Duration {
	select {
	case p <- struct{}{}:
		return For
	default:
		return 0
	}
}

// End ends what Begin allowed.
func (p Pool) End(d time.Duration) {
	if d > 0 {
		<-p
	}
}

// A Poller waits for one descriptor at a time, and allocates nothing but once.
type Poller struct {
	fds   [1]unix.PollFd
	ms    int
	ready bool
	do    func(fd uintptr) // Poller.poll, made once
}

// Readable waits until c can be read or has failed, at most for d, in whole
// milliseconds; it reports false when the time was up, or c is closed.
func (p *Poller) Readable(c syscall.RawConn, d time.Duration) bool {
	if p.do == nil {
		p.do = p.poll
	}
	p.ms, p.ready = int(d.Milliseconds()), false
	return c.Control(p.do) == nil && p.ready
}

func (p *Poller) poll(fd uintptr) {
	p.fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	n, err := unix.Poll(p.fds[:], p.ms)
	p.ready = n > 0 && err == nil // a signal counts as nothing: the runtime goes on waiting
}
