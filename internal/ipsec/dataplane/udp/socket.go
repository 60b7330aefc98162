package udp

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Kind says what a socket is for.
type Kind uint8

// The kinds, in the order of Sockets and Files.
const (
	IKE Kind = iota // UDP 500: IKE
	NAT             // UDP 4500: ESP, and IKE behind a marker
	Raw             // IP protocol 50: ESP
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case IKE:
		return "ike"
	case NAT:
		return "nat-t"
	case Raw:
		return "raw-esp"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// packetConn is what UDP and raw IP sockets of package net have in common.
type packetConn interface {
	LocalAddr() net.Addr
	SyscallConn() (syscall.RawConn, error)
	File() (*os.File, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// A Socket is one socket of an Outside. Any number of Readers and Writers may
// work on it at once.
type Socket struct {
	kind Kind
	conn packetConn
	sys  syscall.RawConn
	log  *slog.Logger

	family   family
	anyLocal bool        // bound to 0.0.0.0: local addresses travel in IP_PKTINFO
	gso      atomic.Bool // UDP_SEGMENT works, as far as we know
	gro      bool        // UDP_GRO is on
}

// newSocket sets conn's options.
func newSocket(k Kind, conn packetConn, addr netip.Addr, opt Options) (*Socket, error) {
	sys, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Socket{kind: k, conn: conn, sys: sys, log: opt.Log, family: familyOf(addr), anyLocal: addr.IsUnspecified()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var optErr error
	err = sys.Control(func(fd uintptr) { optErr = s.setOptions(int(fd), opt) })
	if err != nil {
		return nil, err
	}
	return s, optErr
}

func (s *Socket) setOptions(fd int, opt Options) error {
	buffer := opt.Buffer
	if buffer == 0 {
		buffer = defaultBuffer
	}
	if err := setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, buffer); err != nil {
		return fmt.Errorf("receive buffer of %d octets: %w", buffer, err)
	}
	if err := setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, buffer); err != nil {
		return fmt.Errorf("send buffer of %d octets: %w", buffer, err)
	}
	f := s.family
	discover := f.dont
	if opt.DontFragment {
		discover = f.do
	}
	if err := unix.SetsockoptInt(fd, f.level, f.discover, discover); err != nil {
		return fmt.Errorf("MTU_DISCOVER: %w", err)
	}
	if s.anyLocal {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1); err != nil {
			return fmt.Errorf("IP_PKTINFO: %w", err)
		}
	}
	if s.kind == IKE || s.kind == Raw && f.level == unix.IPPROTO_IP {
		return nil // of no interest; or shown with the header
	}
	if err := unix.SetsockoptInt(fd, f.level, f.receiveMark, 1); err != nil {
		return fmt.Errorf("RECVTOS: %w", err)
	}
	if s.kind != NAT {
		return nil // only ESP in UDP comes in bulk
	}
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	s.gso.Store(err == nil)
	s.gro = unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
	return nil
}

// reaches reports whether a is of the socket's family.
func (s *Socket) reaches(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Is6() == (s.family.level == unix.IPPROTO_IPV6)
}

// Kind says what the socket is for.
func (s *Socket) Kind() Kind { return s.kind }

// Interrupt makes Read return os.ErrDeadlineExceeded, now and until Resume.
func (s *Socket) Interrupt() error { return s.conn.SetReadDeadline(time.Unix(1, 0)) }

// Resume undoes Interrupt.
func (s *Socket) Resume() error { return s.conn.SetReadDeadline(time.Time{}) }
