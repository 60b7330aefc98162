package gateway

import (
	"fmt"

	"seikan/internal/linux/netspec"
)

// natTable is the name of the nftables table that translates sources.
const natTable = "seikan_gateway"

// sourceNAT are the tables by which what leaves through a tunnel with SourceNAT
// has the tunnel's inside address, as FortiGate's option NAT does. Only who opens
// a connection is translated: the answers to what comes in are as they were.
//
// It is masquerade and no snat: a flow that goes on over another tunnel gets that
// tunnel's address, whose answers come back, and does not keep the first one's.
func sourceNAT(tunnels []Tunnel) (out []netspec.Table) {
	for _, family := range []string{"ip", "ip6"} {
		chain := netspec.Chain{Name: "source", Type: "nat", Hook: "postrouting", Priority: "srcnat", Policy: "accept"}
		for _, t := range tunnels {
			if t.SourceNAT && t.Inside.Addr().Is6() == (family == "ip6") {
				chain.Rules = append(chain.Rules, netspec.NftRule{Text: fmt.Sprintf("oifname %q masquerade", t.Interface), Comment: "to " + t.Inside.Addr().String()})
			}
		}
		if len(chain.Rules) > 0 {
			out = append(out, netspec.Table{Family: family, Name: natTable, Chains: []netspec.Chain{chain}})
		}
	}
	return out
}

// checkNAT reports why t, with its defaults, cannot translate sources.
func (t Tunnel) checkNAT() error {
	switch {
	case !t.SourceNAT:
		return nil
	case !t.Inside.IsValid():
		return fmt.Errorf("field SourceNAT: the tunnel has no inside address to translate to; give Inside")
	case !t.LocalTS.Contains(t.Inside.Addr()):
		return fmt.Errorf("field SourceNAT: LocalTS %v keeps the inside address %v out of the tunnel; leave it open", t.LocalTS, t.Inside.Addr())
	}
	return nil
}
