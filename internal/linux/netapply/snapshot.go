package netapply

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"seikan/internal/linux/netspec"
)

// dumpTries bounds how often a dump is repeated that the kernel marked as
// interrupted by a change.
const dumpTries = 8

// A snapshot is what rtnetlink says of one namespace.
type snapshot struct {
	links  map[string]kernelLink // by name
	names  map[int]string        // by index
	routes []kernelRoute
	rules  []kernelRule
}

// A kernelLink is a link with its addresses.
type kernelLink struct {
	netlink.Link
	addrs []netip.Prefix
}

// A kernelRoute is a route that may be ours, and the same in our words; plain
// is false when it has more to it than a netspec.Route can say.
type kernelRoute struct {
	raw   netlink.Route
	spec  netspec.Route
	plain bool
}

// A kernelRule is a policy rule that may be ours, as kernelRoute.
type kernelRule struct {
	raw   netlink.Rule
	spec  netspec.Rule
	plain bool
}

// dump runs list until the kernel was not disturbed while it answered.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	var out []T
	var err error
	for range dumpTries {
		if out, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return out, err
}

// readSnapshot dumps links, addresses, routes and rules through h, but for
// routes and rules of the protocol stranger.
func readSnapshot(h *netlink.Handle, stranger int) (snapshot, error) {
	var s snapshot
	if err := s.readLinks(h); err != nil {
		return s, err
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := dump(func() ([]netlink.Route, error) {
			return h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return s, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			if r.Table != unix.RT_TABLE_LOCAL && !madeByKernel(int(r.Protocol)) && int(r.Protocol) != stranger {
				s.routes = append(s.routes, s.route(r, family))
			}
		}
		rules, err := dump(func() ([]netlink.Rule, error) { return h.RuleList(family) })
		if err != nil {
			return s, fmt.Errorf("list rules: %w", err)
		}
		for _, r := range rules {
			if r.Family == family && !madeByKernel(int(r.Protocol)) && int(r.Protocol) != stranger {
				s.rules = append(s.rules, readRule(r))
			}
		}
	}
	return s, nil
}

// madeByKernel reports whether the kernel itself installs routes and rules of
// this protocol, RTPROT_*.
func madeByKernel(protocol int) bool {
	return protocol == unix.RTPROT_KERNEL || protocol == unix.RTPROT_REDIRECT || protocol == unix.RTPROT_RA
}

// readLinks dumps links and addresses.
func (s *snapshot) readLinks(h *netlink.Handle) error {
	links, err := dump(h.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	s.links, s.names = map[string]kernelLink{}, map[int]string{}
	byIndex := map[int][]netip.Prefix{}
	for _, a := range addrs {
		if p, ok := toPrefix(a.IPNet); ok {
			byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], p)
		}
	}
	for _, l := range links {
		at := l.Attrs()
		s.links[at.Name] = kernelLink{Link: l, addrs: byIndex[at.Index]}
		s.names[at.Index] = at.Name
	}
	return nil
}

// automatic reports whether p is an address that the kernel gives by itself:
// those of the loopback link and IPv6 link-local ones.
func automatic(p netip.Prefix) bool {
	return p == netip.MustParsePrefix("127.0.0.1/8") || p == netip.MustParsePrefix("::1/128") ||
		p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()
}

// route reads r in our words.
func (s *snapshot) route(r netlink.Route, family int) kernelRoute {
	out := kernelRoute{raw: r}
	types := map[int]netspec.RouteType{
		unix.RTN_UNICAST:     netspec.Unicast,
		unix.RTN_BLACKHOLE:   netspec.Blackhole,
		unix.RTN_UNREACHABLE: netspec.Unreachable,
		unix.RTN_PROHIBIT:    netspec.Prohibit,
	}
	kind, known := types[r.Type]
	dst, ok := toPrefix(r.Dst)
	if !ok {
		dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		if family == unix.AF_INET6 {
			dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
	}
	out.spec = netspec.Route{
		Table:  r.Table,
		Type:   kind,
		Dst:    dst,
		Via:    toAddr(r.Gw),
		Src:    toAddr(r.Src),
		Metric: r.Priority,
		OnLink: r.Flags&int(netlink.FLAG_ONLINK) != 0,
	}
	if kind == netspec.Unicast {
		out.spec.Dev = s.names[r.LinkIndex]
	}
	even := s.spread(r, &out.spec)
	out.plain = known && even && r.Tos == 0 && r.Via == nil && r.Encap == nil && r.MTU == 0 && r.Realm == 0
	return out
}

// spread reads the links that share r's flows, if any, into out. It reports
// whether there is nothing more to them than a Spread can say.
func (s *snapshot) spread(r netlink.Route, out *netspec.Route) bool {
	var names []string
	for _, hop := range r.MultiPath {
		asked := out.Dst.Addr().Is6() && hop.Gw.Equal(otherEnd()) || out.Dst.Addr().Is4() && hop.Gw == nil
		if !asked || hop.Via != nil || hop.Encap != nil || hop.Hops != 0 || hop.Flags&int(unix.RTNH_F_DEAD) != 0 {
			return false
		}
		names = append(names, s.names[hop.LinkIndex])
	}
	out.Spread = netspec.LinksOf(names...)
	return len(out.Spread.Names()) == len(r.MultiPath)
}

// readRule reads r in our words.
func readRule(r netlink.Rule) kernelRule {
	out := kernelRule{raw: r, spec: netspec.Rule{Priority: r.Priority, IIF: r.IifName, Table: r.Table, Mark: r.Mark}}
	out.spec.From, _ = toPrefix(r.Src)
	out.spec.To, _ = toPrefix(r.Dst)
	if r.Family == unix.AF_INET6 && !out.spec.From.IsValid() && !out.spec.To.IsValid() {
		out.spec.From = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	// What a netspec.Rule cannot say must be at the default of the dump.
	rest := r
	rest.Priority, rest.Family, rest.Table, rest.IifName, rest.Src, rest.Dst, rest.Protocol, rest.Type = 0, 0, 0, "", nil, nil, 0, 0
	if rest.Mark = 0; r.Mark != 0 && r.Mask != nil && *r.Mask == math.MaxUint32 {
		rest.Mask = nil // the whole of the mark, which is what a rule with one means
	}
	for _, field := range []*int{&rest.SuppressIfgroup, &rest.SuppressPrefixlen} {
		if *field == math.MaxUint32 { // the library does not extend the sign
			*field = -1
		}
	}
	blank := *netlink.NewRule()
	blank.Priority = 0
	out.plain = rest == blank && (r.Type == unix.RTN_UNICAST || r.Type == 0)
	return out
}

// toPrefix converts what the library calls a network, keeping host bits.
func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	if !ok {
		return netip.Prefix{}, false
	}
	bits, size := n.Mask.Size()
	if size == 32 {
		addr = addr.Unmap()
	}
	return netip.PrefixFrom(addr, bits), true
}

// fromPrefix is the reverse of toPrefix; nil for the zero value.
func fromPrefix(p netip.Prefix) *net.IPNet {
	if !p.IsValid() {
		return nil
	}
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func toAddr(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

// removable reports whether l is of a kind that somebody makes and deletes at
// will. Others belong to hardware, to the process that holds a TUN open, or to
// the kernel, which puts fallback tunnels into every namespace.
func (l kernelLink) removable() bool {
	return slices.Contains([]string{"veth", "bridge", "dummy", "vlan", "vxlan", "macvlan", "ipvlan", "bond", "ifb"}, l.Type())
}

// ours reports whether the ifalias of l says that owner made it.
func (l kernelLink) ours(owner string) bool {
	return l.Attrs().Alias == aliasMark(owner) || strings.HasPrefix(l.Attrs().Alias, aliasMark(owner)+" ")
}

// aliasMark is how the ifalias of every link of owner begins.
func aliasMark(owner string) string { return "seikan:" + owner }

// alias returns the ifalias of a link with this comment.
func alias(owner, comment string) string {
	return strings.TrimSuffix(aliasMark(owner)+" "+comment, " ")
}
