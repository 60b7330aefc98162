//go:build e2e

package pump

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// outside is the link to the internet in either gateway's namespace.
const outside = "wan0"

// Protocols and the port of ESP in UDP (RFC 3948).
const (
	protocolESP = 50
	protocolUDP = 17
	natPort     = 4500
	ipHeader    = 20
	udpHeader   = 8
)

// A wire sends and receives what is below IPv4 on the link outside. It listens
// as a capture does: the daemon's own sockets get the same packets.
type wire struct {
	listen *os.File
	send   int
	addrs  []netip.Addr
}

// openWire opens both sockets in the namespace of the calling thread.
func openWire() (*wire, error) {
	link, err := net.InterfaceByName(outside)
	if err != nil {
		return nil, err
	}
	addrs, err := link.Addrs()
	if err != nil {
		return nil, err
	}
	w := &wire{}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			w.addrs = append(w.addrs, p.Addr())
		}
	}
	ipv4 := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_IP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(ipv4))
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	w.listen = os.NewFile(uintptr(fd), "wire")
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: link.Index}); err != nil {
		return nil, fmt.Errorf("bind the packet socket: %w", err)
	}
	if w.send, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
		return nil, fmt.Errorf("raw socket: %w", err)
	}
	return w, nil
}

// ours reports whether an address is the link's.
func (w *wire) ours(a netip.Addr) bool {
	for _, own := range w.addrs {
		if a == own {
			return true
		}
	}
	return false
}

// read returns the next packet's ESP, or nil if it has none.
func (w *wire) read(buffer []byte) ([]byte, error) {
	n, err := w.listen.Read(buffer)
	if err != nil {
		return nil, err
	}
	p := buffer[:n]
	if n < ipHeader || !w.ours(netip.AddrFrom4([4]byte(p[16:20]))) {
		return nil, nil
	}
	header, length := int(p[0]&15)*4, int(binary.BigEndian.Uint16(p[2:]))
	if length > n || header > length {
		return nil, nil
	}
	protocol, p := p[9], p[header:length]
	if protocol == protocolUDP {
		if len(p) < udpHeader || binary.BigEndian.Uint16(p[2:]) != natPort {
			return nil, nil
		}
		p = p[udpHeader:]
	} else if protocol != protocolESP {
		return nil, nil
	}
	if len(p) < espHeader || spiOf(p) == 0 { // a keepalive, or IKE (RFC 3948 section 2.2)
		return nil, nil
	}
	return p, nil
}

// write sends what stands behind an IPv4 header: UDP or ESP, by its SA.
func (w *wire) write(p []byte, s *sa) error {
	header := make([]byte, ipHeader, ipHeader+len(p))
	header[0], header[8], header[9] = 0x45, 64, protocolESP
	if s.port != 0 {
		header[9] = protocolUDP
	}
	from, to := s.from.As4(), s.to.As4()
	copy(header[12:], from[:])
	copy(header[16:], to[:])
	return unix.Sendto(w.send, append(header, p...), 0, &unix.SockaddrInet4{Addr: to})
}

// Close closes both sockets.
func (w *wire) Close() {
	w.listen.Close()
	unix.Close(w.send)
}

// openTUN makes a TUN of the pump's in the namespace of the calling thread.
func openTUN(device string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("TUN %s: %w", device, err)
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}
