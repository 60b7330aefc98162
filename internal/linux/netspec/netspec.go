// Package netspec says as a value what the network of a Linux host shall be:
// namespaces, links, addresses, routes, rules and nftables tables.
//
// Pure planners compute a Spec, netapply makes the kernel match it. A Spec
// prints like ip and nft do, so that a network engineer can review a plan. The
// package does no I/O. Anything above it may use it.
package netspec

import (
	"net/netip"
	"slices"
	"strings"
)

// A Spec is all that Seikan wants of one machine. The order of its parts does
// not matter; Normalize sorts them.
type Spec struct {
	Namespaces []Namespace
}

// A Namespace is one network namespace. The empty Name is the namespace that
// the process runs in; netapply never creates or deletes that one. In it, and
// in any other that netapply did not create, names of nftables tables begin
// with "seikan".
type Namespace struct {
	Name    string            // as under /run/netns; at most 64 letters, digits, '.', '_', '-'
	Sysctls map[string]string // "net.ipv4.ip_forward": "1"; a key with slashes is taken as a path
	Links   []Link
	Routes  []Route
	Rules   []Rule
	Tables  []Table
}

// LinkKind is the rtnl link kind as ip-link(8) names it.
type LinkKind string

// The kinds of link that a Spec may want.
const (
	Veth     LinkKind = "veth"     // both ends are declared, each naming the other in Peer
	Bridge   LinkKind = "bridge"   //
	Loopback LinkKind = "loopback" // exists and is called lo; only MTU, addresses, sysctls and state are set
	External LinkKind = "external" // made by somebody else (a TUN): what is stated is set once it exists, but for Comment
)

// A Link is one network interface.
type Link struct {
	Name   string // at most 15 bytes
	Kind   LinkKind
	Peer   Peer   // Veth only: the other end
	Master string // name of a Bridge in the same namespace, or empty
	MTU    int    // bytes, 68 to 65535; 0 is the kernel's default, 1500 for a veth
	MAC    string // "02:…"; empty leaves the kernel's choice
	Addrs  []netip.Prefix
	// Sysctls are those of net.ipv4.conf.<link>, by their last part:
	// "proxy_arp": "1". They are set before the link is.
	Sysctls map[string]string
	Down    bool   // administratively down; the zero value means up
	Comment string // shown in the ifalias of a veth or bridge; at most 200 bytes
}

// A Peer names the other end of a veth pair.
type Peer struct {
	Namespace string
	Link      string
}

// RouteType is the type word of ip-route(8).
type RouteType string

// Route types; the zero value is Unicast.
const (
	Unicast     RouteType = ""
	Blackhole   RouteType = "blackhole"
	Unreachable RouteType = "unreachable"
	Prohibit    RouteType = "prohibit"
)

// A Route is one entry of a routing table. Destination, metric and table tell
// routes of one namespace apart.
type Route struct {
	Table  int // 0 means main (254); 255 is the kernel's
	Type   RouteType
	Dst    netip.Prefix // 0.0.0.0/0 or ::/0 is the default route
	Via    netip.Addr   // gateway; the zero value is a directly connected route
	Dev    string       // a link of the same namespace; Unicast needs it or Spread, others have none
	Spread Links        // links that share the flows instead of Dev, in equal parts; without a gateway; of IPv6 links without neighbours, such as TUNs
	Src    netip.Addr   // preferred source
	Metric int          // the lowest wins; 0 means 1024 for IPv6, as ip-route(8) has it
	OnLink bool         // the gateway is reached over Dev though no route says so
}

// Links are names of links, sorted and each once; LinksOf makes them. Unlike a
// slice they can be compared.
type Links string

// LinksOf returns the Links of these names, in any order.
func LinksOf(names ...string) Links {
	names = slices.Clone(names)
	slices.Sort(names)
	return Links(strings.Join(slices.Compact(names), " "))
}

// Names are the names of l, sorted.
func (l Links) Names() []string { return strings.Fields(string(l)) }

// A Rule is one entry of the routing policy database, ip-rule(8). Without any
// prefix it is an IPv4 rule; From ::/0 makes it an IPv6 one.
type Rule struct {
	Priority int          // 1 to 32765; the lowest is asked first
	IIF      string       // a link that need not exist yet
	From, To netip.Prefix // zero value: all
	Mark     uint32       // that the packet must have; 0: any
	Table    int
}

// A Table is one nftables table, replaced as a whole and atomically, or by its
// elements alone when only those differ. It is loaded before the links exist:
// rules name them with iifname and oifname, not iif and oif.
type Table struct {
	Family string // "ip", "ip6", "inet", "bridge"
	Name   string
	Sets   []Set
	Chains []Chain
}

// A Set is a named nftables set, or a map when Value is not empty.
type Set struct {
	Name     string
	Type     string   // "ipv4_addr . inet_service"
	Value    string   // for a map: "ipv4_addr . inet_service"
	Flags    []string // "interval", "timeout"
	Elements []string // "10.0.0.0/8", or "0 : 192.0.2.1" for a map; those of a timeout or dynamic set are where it begins
}

// A Chain is one nftables chain; a base chain when Hook is not empty.
type Chain struct {
	Name     string
	Type     string // "filter", "nat", "route"
	Hook     string // "prerouting", "input", "forward", "output", "postrouting"
	Priority string // "filter", "dstnat", "-150"
	Policy   string // "accept" (default) or "drop"
	Rules    []NftRule
}

// A NftRule is one nftables rule as nft(8) reads it, with an optional comment.
type NftRule struct {
	Text    string // "ct state established,related accept"
	Comment string
}
