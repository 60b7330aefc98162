// Package evidence turns what a gateway says of itself into what package why
// reads.
//
// It asks nobody, and reads nothing but a setting of the kernel. The command line calls it for the gateway of its
// machine, the lab for the gateways of both ends.
package evidence

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/why"
)

// Of is the evidence of a gateway, with those of its tunnels that mine picks.
func Of(st gateway.Status, mine func(tunnel string) bool) *why.Gateway {
	g := &why.Gateway{Name: st.Name, Strangers: st.Strangers, StrangerFrom: st.StrangerFrom}
	sessions := map[string]gateway.BGPPeer{}
	if st.BGP != nil {
		g.BGP, g.ASN, g.Announces = true, st.BGP.ASN, st.BGP.Announce
		for _, p := range st.BGP.Peers {
			sessions[p.Tunnel] = p
		}
	}
	for _, t := range st.Tunnels {
		if mine(t.ID) {
			g.Tunnels = append(g.Tunnels, tunnel(t, sessions))
		}
	}
	for _, r := range st.Routes {
		if r.Tunnel == "" || mine(r.Tunnel) {
			g.Routes = append(g.Routes, why.Route{Prefix: r.Prefix, Tunnel: r.Tunnel, Learned: r.Learned})
		}
	}
	for id, p := range sessions {
		for _, r := range p.Routes {
			if r.Refused != "" && mine(id) {
				g.Routes = append(g.Routes, why.Route{Prefix: r.Prefix, Learned: true, Refused: r.Refused})
			}
		}
	}
	return g
}

func tunnel(t gateway.TunnelStatus, sessions map[string]gateway.BGPPeer) why.Tunnel {
	out := why.Tunnel{
		ID: t.ID, Up: t.Up, Phase: t.Phase, Reason: t.Reason, Initiate: t.Initiate,
		Local: t.IKE.Local.Addr(), Remote: t.IKE.Remote.Addr(), NATLocal: t.IKE.NATLocal, Fragmentation: slices.Contains(t.IKE.Extensions, "fragmentation"),
		InsideLocal: t.Inside.Addr(), MTU: t.Traffic.MTU, PacketsIn: t.Traffic.PacketsIn, PacketsOut: t.Traffic.PacketsOut, Drops: t.Traffic.Drops,
		Dead: why.Dead{After: seconds(t.Dead.AfterSeconds), Action: t.Dead.Action},
	}
	if t.Child != nil {
		out.LocalTS, out.RemoteTS = prefixes(t.Child.LocalTS), prefixes(t.Child.RemoteTS)
	}
	for _, d := range t.Downs {
		out.Downs = append(out.Downs, why.Down{At: d.At, Lasted: seconds(d.Seconds), Reason: d.Reason})
	}
	if p, ok := sessions[t.ID]; ok {
		out.InsideRemote = p.Remote
		out.Session = &why.Session{State: p.State, PeerASN: p.ASN, Received: p.Received, LastError: p.LastError}
	}
	return out
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// prefixes are the selectors that are all traffic of a prefix; others are left
// out, since a part of its ports is not what is asked about.
func prefixes(selectors []string) (out []netip.Prefix) {
	for _, s := range selectors {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// StrictReverse reports whether the host of a gateway, in the network namespace
// of the calling thread, drops what comes out of another tunnel than its answers
// go into: the reverse path filter is the higher of the two settings, and 1 is
// strict (Linux, Documentation/networking/ip-sysctl.rst).
func StrictReverse(st gateway.Status) bool {
	for _, t := range st.Tunnels {
		if max(reversePath("all"), reversePath(t.Interface)) == 1 {
			return true
		}
	}
	return false
}

// reversePath is the setting of a link; 0 when it cannot be read.
func reversePath(link string) int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + link + "/rp_filter")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
