package endpoint

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/linux/netspec"
)

// A Snapshot is every row that MakePlan needs, of one moment.
type Snapshot struct {
	Endpoints     []resource.Endpoint
	LoadBalancers []resource.LoadBalancer
	Listeners     []resource.Listener
}

// Load reads a Snapshot.
func Load(tx *store.Tx) Snapshot {
	return Snapshot{
		Endpoints:     store.Endpoints.List(tx),
		LoadBalancers: store.LoadBalancers.List(tx),
		Listeners:     store.Listeners.List(tx),
	}
}

// A Cut names connections that must end: every TCP connection that crosses the
// namespace. The host deletes their connection tracking entries.
type Cut struct{ Namespace string }

// A Plan is what endpoints want of a host.
type Plan struct {
	Spec netspec.Spec
	Cuts []Cut // of endpoints that are not available; cutting again does no harm
}

const (
	// fabricMTU is the largest packet that passes an endpoint, in octets (pl
	// §1.2).
	fabricMTU = 8500
	// idleTimeout is the load balancer's, in seconds (pl §1.8): an endpoint
	// must not forget a connection that the node still knows.
	idleTimeout = "350"
	// maxConnections is how many an endpoint's interface carries at once: what
	// a node's ports allow towards one target (pl §1.8). It keeps one consumer
	// from filling the node's connection table, which all share.
	maxConnections = 55000
)

// MakePlan says what endpoints need: for each interface the packet filter of
// its namespace and, while the endpoint is available, a link of the fabric
// between there and its load balancer node. What the node does with packets
// from links called fab… is the load balancer's own plan. It is pure.
func MakePlan(s Snapshot) Plan {
	var p Plan
	nodes := make(map[resource.NetworkInterfaceID]resource.LoadBalancerNode)
	for _, b := range s.LoadBalancers {
		for _, n := range b.Nodes {
			nodes[n.NetworkInterfaceID] = n
		}
	}
	ports := make(map[resource.LoadBalancerARN][]string)
	byPort := func(a, b resource.Listener) int { return cmp.Compare(a.Port, b.Port) }
	for _, l := range slices.SortedFunc(slices.Values(s.Listeners), byPort) {
		ports[l.LoadBalancerARN] = append(ports[l.LoadBalancerARN], strconv.Itoa(int(l.Port)))
	}
	for _, ep := range s.Endpoints {
		for _, a := range ep.Attachments {
			node, ok := nodes[a.Node]
			if !ok || ep.State != resource.StateAvailable {
				p.Spec.Namespaces = append(p.Spec.Namespaces, closed(a))
				p.Cuts = append(p.Cuts, Cut{Namespace: a.Namespace})
				continue
			}
			p.Spec.Namespaces = append(p.Spec.Namespaces, open(a, node, ports[a.LoadBalancerARN])...)
		}
	}
	p.Spec = join(p.Spec)
	return p
}

// join makes one namespace of those of equal name: a node has a link for each
// of its endpoints.
func join(s netspec.Spec) netspec.Spec {
	var out netspec.Spec
	at := make(map[string]int)
	for _, n := range s.Namespaces {
		if i, ok := at[n.Name]; ok {
			out.Namespaces[i].Links = append(out.Namespaces[i].Links, n.Links...)
			continue
		}
		at[n.Name] = len(out.Namespaces)
		out.Namespaces = append(out.Namespaces, n)
	}
	return out.Normalize()
}

// A link of the fabric has four addresses of 240.0.0.0/8, like any /30: the
// first usable is the node's, the second the endpoint's.

// fabricLinks is how many links the fabric has room for.
const fabricLinks = 1 << 22

// fabricAddr is the address of a fabric link's end.
func fabricAddr(link uint32, host uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 240<<24+link*4+host)
	return netip.AddrFrom4(b)
}

func nodeAddr(link uint32) netip.Addr     { return fabricAddr(link, 1) }
func endpointAddr(link uint32) netip.Addr { return fabricAddr(link, 2) }

// fabricInUse are the links that endpoints have.
func fabricInUse(tx *store.Tx) map[uint32]bool {
	used := make(map[uint32]bool)
	for _, ep := range store.Endpoints.List(tx) {
		for _, a := range ep.Attachments {
			used[a.Fabric] = true
		}
	}
	return used
}

// lowestFree is the lowest number that is not used. There are more numbers
// than the quotas of a region let endpoints exist.
func lowestFree(used map[uint32]bool) uint32 {
	for i := range uint32(fabricLinks) {
		if !used[i] {
			return i
		}
	}
	panic("endpoint: four million fabric links in use") // no store holds so many rows
}

// open is an endpoint interface that works: its own namespace, and its link's
// end in the node's.
func open(a resource.EndpointAttachment, node resource.LoadBalancerNode, ports []string) []netspec.Namespace {
	name := fmt.Sprintf("fab%d", a.Fabric)
	near := netspec.Link{Name: "fab0", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: node.Namespace, Link: name},
		MTU: fabricMTU, Addrs: []netip.Prefix{netip.PrefixFrom(endpointAddr(a.Fabric), 30)}, Comment: "to " + node.Namespace}
	far := netspec.Link{Name: name, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: a.Namespace, Link: near.Name},
		MTU: fabricMTU, Addrs: []netip.Prefix{netip.PrefixFrom(nodeAddr(a.Fabric), 30)}, Comment: "from " + a.Namespace}
	return []netspec.Namespace{
		{
			Name: a.Namespace,
			Sysctls: map[string]string{
				"net.ipv4.ip_forward":                                "1",
				"net.netfilter.nf_conntrack_tcp_loose":               "0",
				"net.netfilter.nf_conntrack_tcp_timeout_established": idleTimeout,
			},
			Links:  []netspec.Link{near},
			Tables: []netspec.Table{openTable(a, ports)},
		},
		{Name: node.Namespace, Links: []netspec.Link{far}},
	}
}

// openTable translates and filters what crosses an endpoint that works.
func openTable(a resource.EndpointAttachment, ports []string) netspec.Table {
	rule := func(text, comment string) netspec.NftRule { return netspec.NftRule{Text: text, Comment: comment} }
	// An MSS that is smaller already stays as it is.
	clamp := fmt.Sprintf("tcp flags & (syn|rst) == syn tcp option maxseg size set %d", fabricMTU-40)
	return netspec.Table{
		Family: "ip",
		Name:   "vpce",
		Sets:   []netspec.Set{{Name: "listeners", Type: "inet_service", Elements: ports}},
		Chains: []netspec.Chain{
			{Name: "prerouting", Type: "nat", Hook: "prerouting", Priority: "dstnat", Policy: "accept", Rules: []netspec.NftRule{
				rule(fmt.Sprintf(`iifname "eth0" ip daddr %s tcp dport @listeners dnat ip to %s`, a.Address, nodeAddr(a.Fabric)), "to the load balancer node"),
			}},
			{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: "srcnat", Policy: "accept", Rules: []netspec.NftRule{
				rule(fmt.Sprintf(`oifname "fab0" snat ip to %s`, endpointAddr(a.Fabric)), "the consumer's addresses stay here"),
			}},
			{Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Policy: "drop", Rules: []netspec.NftRule{
				rule(clamp, ""),
				rule("ct state established,related accept", ""),
				rule(fmt.Sprintf(`iifname "eth0" oifname "fab0" ct state new ct count over %d counter drop`, maxConnections), "no consumer fills the node"),
				rule(`iifname "eth0" oifname "fab0" ct state new ct status dnat accept`, "one way: never from the provider"),
				rule("counter drop", ""),
			}},
			{Name: "input", Type: "filter", Hook: "input", Priority: "filter", Policy: "drop", Rules: []netspec.NftRule{
				rule(`iifname "eth0" ct state invalid tcp dport @listeners reject with tcp reset`, "connection unknown here"),
				rule("counter drop", "no listener: silence"),
			}},
		},
	}
}

// closed is an endpoint interface without a path: it drops everything, since an
// address without a packet filter would answer by itself.
func closed(a resource.EndpointAttachment) netspec.Namespace {
	drop := func(hook string) netspec.Chain {
		return netspec.Chain{Name: hook, Type: "filter", Hook: hook, Priority: "filter", Policy: "drop",
			Rules: []netspec.NftRule{{Text: "counter drop", Comment: "not available"}}}
	}
	return netspec.Namespace{Name: a.Namespace, Tables: []netspec.Table{
		{Family: "ip", Name: "vpce", Chains: []netspec.Chain{drop("forward"), drop("input")}},
	}}
}
