package udp

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Path is what the routes of this host say of the way to a peer.
type Path struct {
	Local netip.Addr // where packets leave from
	MTU   int        // of the route or its device, octets
}

// PathTo is the path to the IPv4 address remote in the network namespace of
// the calling thread. Nothing is sent. The error says that there is no route.
func PathTo(remote netip.Addr) (Path, error) {
	family := familyOf(remote)
	conn, err := net.DialUDP(family.udpNetwork, nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(remote, IKEPort)))
	if err != nil {
		return Path{}, fmt.Errorf("no route to the peer %v: %w", remote, err)
	}
	defer conn.Close()
	sys, err := conn.SyscallConn()
	if err != nil {
		return Path{}, err
	}
	path := Path{Local: localOf(conn).Addr()}
	var mtuErr error
	err = sys.Control(func(fd uintptr) { path.MTU, mtuErr = unix.GetsockoptInt(int(fd), family.level, family.mtu) })
	if err == nil {
		err = mtuErr
	}
	if err != nil {
		return Path{}, fmt.Errorf("MTU of the route to %v: %w", remote, err)
	}
	return path, nil
}
