// Package onlyv4 is the packet filter that keeps IPv6 out of a namespace.
//
// The cloud is IPv4 only, and every rule of its security groups, endpoints and
// load balancers is written for IPv4. The kernel, though, gives each link an
// IPv6 address and listens to router advertisements. So each namespace that is
// the cloud's own has this table, and nothing at all passes over IPv6. It is a
// packet filter and no sysctl since those do not exist where the machine has
// IPv6 switched off. The features' plans use it.
package onlyv4

import "seikan/internal/linux/netspec"

// Table drops all IPv6 that is not of the namespace with itself.
func Table() netspec.Table {
	chain := func(hook string, rules ...netspec.NftRule) netspec.Chain {
		return netspec.Chain{Name: hook, Type: "filter", Hook: hook, Priority: "filter", Policy: "drop", Rules: rules}
	}
	return netspec.Table{Family: "ip6", Name: "seikan_onlyv4", Chains: []netspec.Chain{
		chain("forward"),
		chain("input", netspec.NftRule{Text: `iifname "lo" accept`}),
		chain("output", netspec.NftRule{Text: `oifname "lo" accept`}),
	}}
}
