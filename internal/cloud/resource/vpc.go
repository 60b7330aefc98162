package resource

import "net/netip"

// A VPC is an account's private network: one IPv4 block of /16 to /28 (pl
// §4.1). On a host it is a router namespace named by the id.
type VPC struct {
	ID      VPCID
	OwnerID Account
	State   State // pending, available
	Region  string
	CIDR    netip.Prefix // network address, host bits clear

	// MainRouteTable is the table of every subnet without an association.
	MainRouteTable RouteTableID
	// DefaultGroup is the group of every interface that names none.
	DefaultGroup SecurityGroupID
	// DefaultACL names the VPC's network ACL, which allows everything both
	// ways. It is kept so that clients find one; no ACL is enforced.
	DefaultACL NetworkACLID

	EnableDNSSupport   bool // the .2 resolver answers
	EnableDNSHostnames bool
	Tags               Tags
}

// RouterAddress is the first usable address of a block, on which the VPC's
// router answers for that subnet (pl §4.1: "+1 router").
func RouterAddress(block netip.Prefix) netip.Addr { return block.Masked().Addr().Next() }

// ResolverAddress is the VPC's ".2" resolver: two above the network address
// of the VPC's block (pl §4.1: "+2 DNS").
func ResolverAddress(block netip.Prefix) netip.Addr { return RouterAddress(block).Next() }

// LinkLocalResolver answers DNS in every VPC like the .2 address (pl §3.6).
func LinkLocalResolver() netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 169, 253}) }
