package vpn

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// insideBits is the length of a tunnel's inside block (vpn §2.1).
const insideBits = 30

// insideBlocks is the number of inside blocks of 169.254.0.0/16.
const insideBlocks = 1 << (insideBits - 16)

// insideBlock is the inside block of number n, 0 to insideBlocks-1.
func insideBlock(n int) netip.Prefix {
	low := n << (32 - insideBits)
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, byte(low >> 8), byte(low)}), insideBits)
}

// reservedInside reports whether AWS keeps an inside block to itself: the first
// of each of 169.254.0.0/24 to 169.254.5.0/24, and 169.254.169.252/30 (vpn
// §2.1).
func reservedInside(block netip.Prefix) bool {
	a := block.Addr().As4()
	return a[2] <= 5 && a[3] == 0 || a[2] == 169 && a[3] == 252
}

// inside checks an inside block and clears its host bits, which AWS accepts
// (vpn §1.4).
func (c *checker) inside(p netip.Prefix) netip.Prefix {
	const option = "TunnelInsideCidr"
	block := p.Masked()
	all := netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16)
	switch {
	case !all.Contains(block.Addr()) || block.Bits() != insideBits:
		c.fail(option, "%v is not a /%d of %v", p, insideBits, all)
	case reservedInside(block):
		c.fail(option, "%v is reserved: so are the first /30 of each of 169.254.0.0/24 to 169.254.5.0/24, and 169.254.169.252/30", block)
	}
	return block
}

// insideIPv6Bits is the length of an inside block of IPv6.
const insideIPv6Bits = 126

// insideIPv6Network is where such blocks are from: unique local addresses (RFC
// 4193).
func insideIPv6Network() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd}), 8)
}

// insideIPv6 is inside for a block of IPv6.
func (c *checker) insideIPv6(p netip.Prefix) netip.Prefix {
	if all := insideIPv6Network(); p.Bits() != insideIPv6Bits || !all.Contains(p.Addr()) {
		c.fail("TunnelInsideIpv6Cidr", "%v is not a /%d of %v", p, insideIPv6Bits, all)
	}
	return p.Masked()
}

// An insideOption is one inside block of a connection.
type insideOption struct {
	tunnel int // from 0
	name   string
	block  *netip.Prefix
	free   func(*store.Tx, insideBlocksInUse) (netip.Prefix, bool)
}

// insideBlocksInUse are inside blocks by who has them; empty for the connection in
// hand. All of a family are equally long, so those that overlap are equal.
type insideBlocksInUse map[netip.Prefix]resource.VPNConnectionID

// insideOptions are the inside blocks that c has or shall have.
func insideOptions(c *resource.VPNConnection) (out []insideOption) {
	for i := range c.Tunnels {
		out = append(out, insideOption{i, "TunnelInsideCidr", &c.Tunnels[i].InsideCIDR, freeInside})
		if c.Options.InsideIPv6 {
			out = append(out, insideOption{i, "TunnelInsideIpv6Cidr", &c.Tunnels[i].InsideIPv6CIDR, freeInsideIPv6})
		}
	}
	return out
}

// insideInUse are the inside blocks of the tunnels of c's target, but for c's
// own. A block is free again once a host has taken the tunnel down. AWS lets two
// tunnels of a transit gateway have one block of IPv4 (vpn §2.1); here one process
// serves them all and could not tell them apart.
func insideInUse(tx *store.Tx, c resource.VPNConnection) insideBlocksInUse {
	used := make(insideBlocksInUse)
	for _, old := range store.VPNConnections.List(tx) {
		if old.ID == c.ID || c.Target() == "" || targetOf(old) != targetOf(c) || old.State == resource.StateDeleted {
			continue
		}
		for _, o := range insideOptions(&old) {
			used[*o.block] = old.ID
		}
	}
	return used
}

// chooseInside checks the inside blocks of a connection against those that its
// gateway has in use, and gives each tunnel without one a random free one. It adds
// to used.
func chooseInside(tx *store.Tx, used insideBlocksInUse, c *resource.VPNConnection) error {
	options := insideOptions(c)
	for _, o := range options {
		if !o.block.IsValid() {
			continue
		}
		if by, ok := used[*o.block]; ok {
			who := string(by)
			if by == "" {
				who = "the other tunnel of this connection"
			}
			return resource.Errorf(codeCIDRInUse, "TunnelOptions.%d.%s: %v is used by %s; each tunnel of a gateway has a block of its own", o.tunnel+1, o.name, o.block, who)
		}
		used[*o.block] = ""
	}
	for _, o := range options {
		if o.block.IsValid() {
			continue
		}
		block, ok := o.free(tx, used)
		if !ok {
			return resource.Errorf(codeNoAddresses, "TunnelOptions.%d.%s: no free block was found on this gateway; name one", o.tunnel+1, o.name)
		}
		*o.block = block
		used[block] = ""
	}
	return nil
}

// freeInsideIPv6 draws a block. The second draw is for show: there are 2^118.
func freeInsideIPv6(tx *store.Tx, used insideBlocksInUse) (netip.Prefix, bool) {
	for range 2 {
		var b [16]byte
		tx.Random(b[1:])
		b[0] = insideIPv6Network().Addr().As16()[0]
		block := netip.PrefixFrom(netip.AddrFrom16(b), insideIPv6Bits).Masked()
		if _, taken := used[block]; !taken {
			return block, true
		}
	}
	return netip.Prefix{}, false
}

// freeInside looks for a free block from a random one onwards.
func freeInside(tx *store.Tx, used insideBlocksInUse) (netip.Prefix, bool) {
	var b [2]byte
	tx.Random(b[:])
	start := int(binary.BigEndian.Uint16(b[:]))
	for n := range insideBlocks {
		block := insideBlock((start + n) % insideBlocks)
		if _, taken := used[block]; !taken && !reservedInside(block) {
			return block, true
		}
	}
	return netip.Prefix{}, false
}

// chooseOutside gives the tunnels of a new connection two addresses of one
// namespace, and of its family, that no tunnel has: the worker of a gateway opens its sockets in
// one, so they come from where the gateway's other tunnels are. Pools are
// taken in order of name, addresses in the pool's. A connection that has
// addresses keeps them, if its gateway's other tunnels are there, too.
func chooseOutside(tx *store.Tx, c *resource.VPNConnection) error {
	pools := store.OutsidePools.List(tx)
	used := make(map[netip.Addr]bool)
	bound := "" // the namespace that the gateway is bound to
	for _, old := range store.VPNConnections.List(tx) {
		if old.State == resource.StateDeleted || old.ID == c.ID {
			continue
		}
		for _, t := range old.Tunnels {
			used[t.OutsideIP] = true
		}
		if c.Target() != "" && targetOf(old) == targetOf(*c) {
			bound = namespaceOf(pools, old.Tunnels[0].OutsideIP)
		}
	}
	if own := c.Tunnels[0].OutsideIP; own.IsValid() {
		if here := namespaceOf(pools, own); bound != "" && here != bound {
			return resource.Errorf(codeNoAddresses, "the outside addresses of %s are of %q and those of %s of %q, and a connection keeps its addresses; make another connection", c.ID, here, c.Target(), bound)
		}
		return nil
	}
	free := make(map[string][]netip.Addr) // by namespace
	for _, p := range pools {
		for _, a := range p.Addresses {
			if used[a] || a.Is6() != c.Options.OutsideIPv6 || bound != "" && p.Namespace != bound || slices.Contains(free[p.Namespace], a) {
				continue
			}
			free[p.Namespace] = append(free[p.Namespace], a)
			if f := free[p.Namespace]; len(f) == len(c.Tunnels) {
				c.Tunnels[0].OutsideIP, c.Tunnels[1].OutsideIP = f[0], f[1]
				return nil
			}
		}
	}
	family := "IPv4"
	if c.Options.OutsideIPv6 {
		family = "IPv6"
	}
	return resource.Errorf(codeNoAddresses, "a VPN connection needs two outside addresses of %s and no pool has two left for %s; delete a connection or enlarge a pool", family, targetOf(*c).label())
}
