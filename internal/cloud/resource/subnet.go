package resource

import (
	"encoding/binary"
	"net/netip"
)

// A Subnet is a part of a VPC's block in one Availability Zone.
type Subnet struct {
	ID      SubnetID
	OwnerID Account
	State   State // pending, available
	VPCID   VPCID
	Zone    string       // "us-east-1a"
	CIDR    netip.Prefix // inside the VPC's block, /28 or larger
	Tags    Tags
}

// Reserved reports whether addr is one of the five addresses of a subnet that
// no interface can have: the first four and the last (pl §4.1).
func (s Subnet) Reserved(addr netip.Addr) bool {
	first := s.CIDR.Masked().Addr()
	low := first
	for range 4 {
		if addr == low {
			return true
		}
		low = low.Next()
	}
	return addr == LastAddress(s.CIDR)
}

// LastAddress is the highest address of an IPv4 block, its broadcast address.
func LastAddress(block netip.Prefix) netip.Addr {
	b := block.Masked().Addr().As4()
	n := binary.BigEndian.Uint32(b[:]) | (1<<(32-block.Bits()) - 1)
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}
