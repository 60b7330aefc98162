package lb

import (
	"fmt"
	"strings"

	"seikan/internal/cloud/resource"
	"seikan/internal/linux/netspec"
)

// idleTimeout is how long a TCP connection may be silent, in seconds (pl §2.9).
const idleTimeout = "350"

// forward is the rule that sends new connections to port to one of targets, or
// nothing when there are none.
func forward(port uint16, targets []resource.Target) string {
	match := fmt.Sprintf("tcp dport %d dnat ip to ", port)
	switch len(targets) {
	case 0:
		return ""
	case 1:
		return match + targets[0].AddrPort().String()
	}
	slots := make([]string, len(targets))
	for i, t := range targets {
		slots[i] = fmt.Sprintf("%d : %s . %d", i, t.Address, t.Port)
	}
	// The sequence number makes a second connection of the same addresses and
	// ports independent of the first (pl §2.5).
	return fmt.Sprintf("%sjhash ip saddr . tcp sport . tcp sequence . ip daddr . tcp dport mod %d map { %s }",
		match, len(targets), strings.Join(slots, ", "))
}

// nodeTable is the packet filter of a node. Links whose names begin with fab
// come from endpoints; eth0 is the node's interface in its VPC.
func nodeTable(n resource.LoadBalancerNode, balance []netspec.NftRule, ports, backends []string) netspec.Table {
	rule := func(text, comment string) netspec.NftRule { return netspec.NftRule{Text: text, Comment: comment} }
	return netspec.Table{
		Family: "ip",
		Name:   "nlb",
		Sets: []netspec.Set{
			{Name: "listeners", Type: "inet_service", Elements: ports},
			{Name: "backends", Type: "inet_service", Elements: backends},
		},
		Chains: []netspec.Chain{
			{Name: "balance", Rules: balance},
			{Name: "prerouting", Type: "nat", Hook: "prerouting", Priority: "dstnat", Policy: "accept", Rules: []netspec.NftRule{
				rule(`iifname "fab*" jump balance`, "from endpoints"),
				rule(fmt.Sprintf(`iifname "eth0" ip daddr %s jump balance`, n.Address), "from the VPC"),
			}},
			{Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: "srcnat", Policy: "accept", Rules: []netspec.NftRule{
				rule(fmt.Sprintf(`oifname "eth0" ct status dnat snat ip to %s`, n.Address), "targets see the node"),
			}},
			{Name: "forward", Type: "filter", Hook: "forward", Priority: "filter", Policy: "drop", Rules: []netspec.NftRule{
				rule("ct state established,related accept", ""),
				rule(`oifname "eth0" ct state new ct status dnat accept`, "never to an endpoint"),
				rule("counter drop", ""),
			}},
			{Name: "input", Type: "filter", Hook: "input", Priority: "filter", Policy: "drop", Rules: []netspec.NftRule{
				rule("ct state established,related accept", "answers to health checks"),
				rule("ct state invalid tcp dport @listeners reject with tcp reset", "connection unknown here"),
				rule("ct state invalid tcp sport @backends reject with tcp reset", "connection unknown here"),
				rule("counter drop", "no listener: silence"),
			}},
		},
	}
}
