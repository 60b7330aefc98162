package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sockaddr is an address as the kernel reads and writes it, of either family:
// the smaller one of IPv4 lies at its beginning.
type sockaddr = unix.RawSockaddrInet6

// four is sa as an address of IPv4.
func four(sa *sockaddr) *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
}

// setSockaddr makes sa say to, and returns how many octets count.
func setSockaddr(sa *sockaddr, to netip.AddrPort) uint32 {
	sa.Family = unix.AF_INET
	if to.Addr().Is6() {
		sa.Family = unix.AF_INET6
	}
	// The port stands at the same place in both.
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:], to.Port())
	if to.Addr().Is6() {
		sa.Addr = to.Addr().As16()
		return unix.SizeofSockaddrInet6
	}
	four(sa).Addr = to.Addr().As4()
	return unix.SizeofSockaddrInet4
}

// addrPortOf is what sa says.
func addrPortOf(sa *sockaddr) netip.AddrPort {
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&sa.Port))[:])
	if sa.Family == unix.AF_INET6 {
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(four(sa).Addr), port)
}

// A family is what the kernel calls things in one of the two.
type family struct {
	level                  int // of socket options
	discover, dont, do     int // MTU_DISCOVER and two of its values
	receiveMark, mark, mtu int // RECVTOS or RECVTCLASS, TOS or TCLASS, MTU
	udpNetwork, rawESP     string
}

// familyOf is that of an address.
func familyOf(a netip.Addr) family {
	if a.Is6() {
		return family{
			level: unix.IPPROTO_IPV6, discover: unix.IPV6_MTU_DISCOVER, dont: unix.IPV6_PMTUDISC_DONT, do: unix.IPV6_PMTUDISC_DO,
			receiveMark: unix.IPV6_RECVTCLASS, mark: unix.IPV6_TCLASS, mtu: unix.IPV6_MTU, udpNetwork: "udp6", rawESP: "ip6:50",
		}
	}
	return family{
		level: unix.IPPROTO_IP, discover: unix.IP_MTU_DISCOVER, dont: unix.IP_PMTUDISC_DONT, do: unix.IP_PMTUDISC_DO,
		receiveMark: unix.IP_RECVTOS, mark: unix.IP_TOS, mtu: unix.IP_MTU, udpNetwork: "udp4", rawESP: "ip4:50",
	}
}
