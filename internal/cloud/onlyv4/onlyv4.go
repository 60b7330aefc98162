// Package onlyv4 is the packet filter that keeps IPv6 out of a namespace, but for
// links that it is told of.
//
// The cloud's VPCs are IPv4 only, and every rule of its security groups, endpoints
// and load balancers is written for IPv4. The kernel, though, gives each link an
// IPv6 address and listens to router advertisements. So each namespace that is
// the cloud's own has this table, and nothing passes over IPv6, except between
// tunnels that carry it. It is a packet filter and no sysctl since those do not
// exist where the machine has IPv6 switched off. The features' plans use it.
package onlyv4

import "seikan/internal/linux/netspec"

// Table drops all IPv6 that is neither of the namespace with itself nor on one of
// links: what comes in by one may go out by another.
func Table(links ...string) netspec.Table {
	chain := func(hook string, rules ...string) netspec.Chain {
		c := netspec.Chain{Name: hook, Type: "filter", Hook: hook, Priority: "filter", Policy: "drop"}
		for _, r := range rules {
			c.Rules = append(c.Rules, netspec.NftRule{Text: r})
		}
		return c
	}
	t := netspec.Table{Family: "ip6", Name: "seikan_onlyv4"}
	forward, input, output := []string(nil), []string{`iifname "lo" accept`}, []string{`oifname "lo" accept`}
	if len(links) > 0 {
		t.Sets = []netspec.Set{{Name: "links", Type: "ifname", Elements: links}}
		forward = append(forward, "iifname @links oifname @links accept")
		input, output = append(input, "iifname @links accept"), append(output, "oifname @links accept")
	}
	t.Chains = []netspec.Chain{chain("forward", forward...), chain("input", input...), chain("output", output...)}
	return t
}
