// Package udp holds the sockets of one outside IPv4 address of a VPN gateway:
// UDP for IKE (500), UDP for IKE and ESP behind a NAT (4500, RFC 3948) and,
// when asked for, a raw socket for ESP (IP protocol 50).
//
// It moves datagrams in batches, joined and split by the kernel where it can
// (UDP_SEGMENT, UDP_GRO), and reports addresses truthfully. It tells nothing
// of what is in a datagram, starts no goroutine and decides nothing. Package
// dataplane reads; tunnel sends IKE; gateway opens and closes.
package udp

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// The well-known ports.
const (
	IKEPort = 500
	NATPort = 4500
)

// rawESP is the network of a raw socket for IP protocol 50.
const rawESP = "ip4:50"

// defaultBuffer is asked for each socket, in octets: some 20 ms at 10 Gbit/s.
const defaultBuffer = 16 << 20

// Ports are the two UDP ports of an outside address. A port of 0 lets the
// kernel choose, which only tests want.
type Ports struct{ IKE, NAT uint16 }

// Options change how the sockets are opened; the zero value is right for most.
type Options struct {
	// RawESP opens the raw socket too; it needs CAP_NET_RAW. Without it the
	// address can only do ESP in UDP.
	RawESP bool
	// DontFragment sets DF on outer packets. By default it is clear, and the
	// network may fragment what is too large.
	DontFragment bool
	// Buffer is the size asked for each socket buffer in octets, 16 MiB when
	// zero. Above the system's limit it needs CAP_NET_ADMIN; otherwise the
	// limit is what one gets.
	Buffer int
	// Log is told once when an offload has to be switched off. It may be nil.
	Log *slog.Logger
}

// An Outside is the sockets of one outside address. All methods may be called
// from any goroutine.
type Outside struct {
	addr  netip.Addr
	ports Ports
	ike   *Socket
	nat   *Socket
	raw   *Socket // nil without RawESP

	senders sync.Pool // of *sender
}

// Listen opens the sockets of addr, an IPv4 address of the network namespace
// of the calling thread or 0.0.0.0 for all of them.
func Listen(addr netip.Addr, p Ports, opt Options) (*Outside, error) {
	addr = addr.Unmap()
	if !addr.Is4() {
		return nil, fmt.Errorf("listen on outside address %v: want an IPv4 address", addr)
	}
	o := &Outside{addr: addr}
	err := o.listen(p, opt)
	if err != nil {
		o.Close()
		return nil, fmt.Errorf("listen on outside address %v: %w", addr, err)
	}
	return o, nil
}

func (o *Outside) listen(p Ports, opt Options) error {
	for _, s := range []struct {
		kind Kind
		port uint16
	}{{IKE, p.IKE}, {NAT, p.NAT}} {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(o.addr, s.port)))
		if err != nil {
			return err
		}
		if err := o.add(s.kind, conn, opt); err != nil {
			return err
		}
	}
	if !opt.RawESP {
		return nil
	}
	conn, err := net.ListenIP(rawESP, &net.IPAddr{IP: o.addr.AsSlice()})
	if err != nil {
		return fmt.Errorf("raw ESP: %w", err)
	}
	return o.add(Raw, conn, opt)
}

// Adopt takes over sockets that another process opened and bound, as Files
// gives them: UDP for IKE, UDP for NAT traversal and, optionally, raw ESP. It
// duplicates the descriptors; the caller still closes files.
func Adopt(files []*os.File, opt Options) (*Outside, error) {
	if len(files) < 2 || len(files) > 3 {
		return nil, fmt.Errorf("adopt outside sockets: %d descriptors: want IKE, NAT-T and at most a raw one", len(files))
	}
	o := &Outside{}
	for i, f := range files {
		if err := o.adopt([]Kind{IKE, NAT, Raw}[i], f, opt); err != nil {
			o.Close()
			return nil, fmt.Errorf("adopt outside socket %d: %w", i, err)
		}
	}
	return o, nil
}

func (o *Outside) adopt(k Kind, f *os.File, opt Options) error {
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return err
	}
	conn, ok := pc.(packetConn)
	_, isUDP := pc.(*net.UDPConn)
	if !ok || isUDP != (k != Raw) {
		pc.Close()
		return fmt.Errorf("a %T: want the socket for %v", pc, k)
	}
	local := localOf(conn)
	if k != IKE && local.Addr() != o.addr {
		pc.Close()
		return fmt.Errorf("bound to %v, the others to %v", local.Addr(), o.addr)
	}
	o.addr = local.Addr()
	return o.add(k, conn, opt)
}

// add makes conn one of o's sockets; on error it is closed.
func (o *Outside) add(k Kind, conn packetConn, opt Options) error {
	if k == IKE {
		q, err := quiet(conn)
		if err != nil {
			conn.Close()
			return err
		}
		conn = q
	}
	s, err := newSocket(k, conn, o.addr, opt)
	if err != nil {
		conn.Close()
		return err
	}
	switch k {
	case IKE:
		o.ike, o.ports.IKE = s, localOf(conn).Port()
	case NAT:
		o.nat, o.ports.NAT = s, localOf(conn).Port()
	case Raw:
		o.raw = s
	}
	return nil
}

// localOf is the address that conn is bound to; the port is 0 for a raw one.
func localOf(conn packetConn) netip.AddrPort {
	switch a := conn.LocalAddr().(type) {
	case *net.UDPAddr:
		ap := a.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	case *net.IPAddr:
		ip, _ := netip.AddrFromSlice(a.IP)
		return netip.AddrPortFrom(ip.Unmap(), 0)
	}
	return netip.AddrPort{}
}

// Addr is the address the sockets are bound to, perhaps 0.0.0.0.
func (o *Outside) Addr() netip.Addr { return o.addr }

// Ports are the UDP ports the sockets are bound to.
func (o *Outside) Ports() Ports { return o.ports }

// Sockets are the sockets: IKE, NAT and, if there is one, Raw.
func (o *Outside) Sockets() []*Socket {
	all := []*Socket{o.ike, o.nat}
	if o.raw != nil {
		all = append(all, o.raw)
	}
	return all
}

// Socket is the socket of kind k, or nil when o has none.
func (o *Outside) Socket(k Kind) *Socket {
	switch k {
	case IKE:
		return o.ike
	case NAT:
		return o.nat
	case Raw:
		return o.raw
	}
	return nil
}

// Files returns duplicates of the descriptors in the order that Adopt wants.
// The caller closes them.
func (o *Outside) Files() ([]*os.File, error) {
	var files []*os.File
	for _, s := range o.Sockets() {
		f, err := s.conn.File()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("duplicate outside socket %v of %v: %w", s.kind, o.addr, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// IsKeepalive reports whether b is a NAT keepalive (RFC 3948 section 2.3).
func IsKeepalive(b []byte) bool { return len(b) == 1 && b[0] == 0xff }

// Close closes the sockets; readers and writers get net.ErrClosed.
func (o *Outside) Close() error {
	var errs []error
	for _, s := range []*Socket{o.ike, o.nat, o.raw} {
		if s != nil {
			errs = append(errs, s.conn.Close())
		}
	}
	return errors.Join(errs...)
}

// String is like "203.0.113.10 (500, 4500, esp)".
func (o *Outside) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v (%d, %d", o.addr, o.ports.IKE, o.ports.NAT)
	if o.raw != nil {
		io.WriteString(&b, ", esp")
	}
	return b.String() + ")"
}

// setBuffer asks for a buffer of n octets, first past the system's limit.
func setBuffer(fd, force, plain, n int) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, n) == nil {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, n)
}
