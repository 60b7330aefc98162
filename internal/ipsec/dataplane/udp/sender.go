package udp

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"seikan/internal/ipsec/ike"
)

// A sender is what one message needs to be sent, kept for the next one: most
// messages are the probes of thousands of tunnels.
type sender struct {
	hdr    unix.Msghdr
	iovs   [2]unix.Iovec // the marker, unless there is none, and the message
	name   sockaddr
	marker [4]byte // never anything but zero
	ctrl   [controlLen]byte
	try    func(fd uintptr) bool // method value, made once
	err    error
}

func newSender() *sender {
	s := &sender{}
	s.hdr.Name = (*byte)(unsafe.Pointer(&s.name))
	s.iovs[0].Base = &s.marker[0]
	s.iovs[0].SetLen(len(s.marker))
	s.try = s.sendmsg
	return s
}

// SendIKE sends d from d.Local to d.Remote. The port of d.Local chooses the
// socket; on that for NAT traversal the non-ESP marker goes before d.Data (RFC
// 3948 section 2.2), unless d.Data is the single octet 0xff, which is a
// keepalive (section 2.3) and goes as it is.
func (o *Outside) SendIKE(d ike.Datagram) error {
	s, marked := o.ike, false
	switch {
	case d.Local.Port() == o.ports.NAT || d.Local.Port() == NATPort && o.ports.IKE != NATPort:
		s, marked = o.nat, !IsKeepalive(d.Data)
	case d.Local.Port() != o.ports.IKE && d.Local.Port() != IKEPort:
		return fmt.Errorf("send IKE to %v: no socket on local port %d: want %d or %d", d.Remote, d.Local.Port(), o.ports.IKE, o.ports.NAT)
	}
	x, ok := o.senders.Get().(*sender)
	if !ok {
		x = newSender()
	}
	defer o.senders.Put(x)
	if err := x.send(s, d, marked); err != nil {
		return fmt.Errorf("send IKE to %v: %w", d.Remote, err)
	}
	return nil
}

// send sends d on s, behind a marker or not.
func (x *sender) send(s *Socket, d ike.Datagram, marked bool) error {
	to := d.Remote.Addr().Unmap()
	if !s.reaches(to) || len(d.Data) == 0 {
		return fmt.Errorf("%d octets to %v: want some, and an address of the socket's family", len(d.Data), to)
	}
	x.hdr.Namelen = setSockaddr(&x.name, netip.AddrPortFrom(to, d.Remote.Port()))
	x.iovs[1].Base = &d.Data[0]
	x.iovs[1].SetLen(len(d.Data))
	defer func() { x.iovs[1].Base = nil }() // it is the caller's
	x.hdr.Iov = &x.iovs[1]
	x.hdr.SetIovlen(1)
	if marked {
		x.hdr.Iov = &x.iovs[0]
		x.hdr.SetIovlen(2)
	}
	x.hdr.Control = nil
	x.hdr.SetControllen(0)
	if n := putSource(x.ctrl[:], s, d.Local.Addr()); n > 0 {
		x.hdr.Control = &x.ctrl[0]
		x.hdr.SetControllen(n)
	}
	if err := s.sys.Write(x.try); err != nil {
		return err
	}
	return x.err
}

// sendmsg is called by the poller; false means wait until writable.
//
// It is a raw system call, of which the scheduler is told nothing: it never
// blocks and takes microseconds, and the scheduler's watcher, which any other
// one wakes and keeps awake, took a seventh of all that probing costs.
func (x *sender) sendmsg(fd uintptr) bool {
	for {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&x.hdr)), unix.MSG_DONTWAIT)
		switch errno {
		case 0:
			x.err = nil
			return true
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		}
		x.err = errno
		return true
	}
}
