package udp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// errNoRoom reports a full send buffer.
var errNoRoom = errors.New("no room in the socket's buffer")

// A quietConn is a UDP socket that wakes the process only for a datagram that
// somebody waits for. Package net has the Go poller watch each socket all the
// time: it wakes a thread for every datagram that comes, also while those before
// it are still handled, and for every one that has left. With thousands of
// tunnels whose probes are answered, that is most of what the scheduler does.
//
// The socket is watched by an epoll instance of its own, while Read waits, and the
// Go poller watches that.
type quietConn struct {
	fd    int
	local net.Addr
	// epoll is the instance. While one of its methods runs neither it nor fd is
	// closed.
	epoll *os.File
	sys   syscall.RawConn // of epoll

	watched bool // the instance watches the socket; for Read, of which one runs at a time
	closed  atomic.Bool
}

// quiet takes conn over; on error it is still open.
func quiet(conn packetConn) (*quietConn, error) {
	c := &quietConn{fd: -1, local: conn.LocalAddr()}
	err := c.take(conn)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, conn.Close() // so the poller forgets it; the duplicate goes on
}

// take makes c's descriptors.
func (c *quietConn) take(conn packetConn) error {
	sys, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var dupErr error
	err = sys.Control(func(fd uintptr) { c.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, dupErr); err != nil {
		return fmt.Errorf("duplicate socket: %w", err)
	}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(ep, true); err != nil { // or package os does not have it polled
		unix.Close(ep)
		return os.NewSyscallError("fcntl", err)
	}
	c.epoll = os.NewFile(uintptr(ep), "epoll")
	c.sys, err = c.epoll.SyscallConn()
	return err
}

// Read has f read until it returns true, and waits for a datagram each time that
// it does not.
func (c *quietConn) Read(f func(fd uintptr) bool) error {
	var failed error
	err := c.sys.Read(func(ep uintptr) bool {
		if failed = c.watch(int(ep), false); failed != nil || f(uintptr(c.fd)) {
			return true
		}
		failed = c.watch(int(ep), true)
		return failed != nil
	})
	return c.explain(errors.Join(err, failed))
}

// watch has the instance watch the socket, or not any more. When a datagram is
// there already that is said at once. It is not enough to change what is watched
// for: an event that nobody took stays on the instance's list, and another one
// is no news then.
func (c *quietConn) watch(ep int, on bool) error {
	if on == c.watched {
		return nil
	}
	c.watched = on
	op := unix.EPOLL_CTL_DEL
	if on {
		op = unix.EPOLL_CTL_ADD
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(ep, op, c.fd, &unix.EpollEvent{Events: unix.EPOLLIN}))
}

// Write has f write once. It never waits: the buffer holds the messages of
// thousands of tunnels, and IKE repeats what is lost.
func (c *quietConn) Write(f func(fd uintptr) bool) error {
	wrote := false
	if err := c.Control(func(fd uintptr) { wrote = f(fd) }); err != nil {
		return err
	}
	if !wrote {
		return errNoRoom
	}
	return nil
}

// Control calls f with the socket.
func (c *quietConn) Control(f func(fd uintptr)) error {
	return c.explain(c.sys.Control(func(uintptr) { f(uintptr(c.fd)) }))
}

// explain is err, or net.ErrClosed if that is why.
func (c *quietConn) explain(err error) error {
	if err != nil && c.closed.Load() {
		return net.ErrClosed
	}
	return err
}

// SyscallConn is c itself.
func (c *quietConn) SyscallConn() (syscall.RawConn, error) { return c, nil }

// LocalAddr is what the socket is bound to.
func (c *quietConn) LocalAddr() net.Addr { return c.local }

// SetReadDeadline bounds Read.
func (c *quietConn) SetReadDeadline(t time.Time) error { return c.explain(c.epoll.SetReadDeadline(t)) }

// File is a duplicate of the socket.
func (c *quietConn) File() (*os.File, error) {
	var fd int
	var dupErr error
	err := c.Control(func(own uintptr) { fd, dupErr = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, dupErr); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "udp"), nil
}

// Close ends what waits, and closes the socket when nobody uses it any more.
func (c *quietConn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	if c.epoll != nil {
		if err := c.epoll.Close(); err != nil { // it waits for all users
			return err
		}
	}
	if c.fd < 0 {
		return nil
	}
	return os.NewSyscallError("close", unix.Close(c.fd))
}
