package vpn

import (
	"cmp"
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// A TransitGatewayRoute is one line of a route table: a destination and where it
// leads, several attachments or tunnels for one of equal cost.
type TransitGatewayRoute struct {
	Destination netip.Prefix
	Static      bool
	Blackhole   bool // nothing is forwarded, and nobody is told of it
	Attachments []resource.TransitGatewayAttachmentID
	// Tunnels are those of VPN attachments that carry it, "vpn-…/1", sorted; empty
	// for a VPC, and while none is up.
	Tunnels []string
	// ASPath is that of a route learned by BGP, the customer gateway's number first.
	ASPath []uint32
}

// A transitPath is one way that an attachment offers to a destination.
type transitPath struct {
	Destination  netip.Prefix
	AttachmentID resource.TransitGatewayAttachmentID
	Type         resource.AttachmentType
	Tunnel       string   // of a VPN attachment: "vpn-…/1"
	ASPath       []uint32 // of a VPN attachment
	MED          uint32   // 100 when the peer sent none (vpn §4.2)
	Dynamic      bool     // learned by BGP, which alone is spread over tunnels
	Draining     bool     // its tunnel's end is about to be replaced (vpn §3.6)
}

// selectRoutes is what a route table holds of static routes and of the paths
// that its propagations offer: one line a destination, sorted (vpn §4.3).
func selectRoutes(static []resource.TransitGatewayStaticRoute, paths []transitPath, ecmp bool) []TransitGatewayRoute {
	lines := map[netip.Prefix]TransitGatewayRoute{}
	best := map[netip.Prefix]transitPath{}
	for _, p := range paths {
		if held, ok := best[p.Destination]; !ok || p.compare(held) < 0 {
			best[p.Destination] = p
		}
	}
	for _, p := range paths {
		if b := best[p.Destination]; p.same(b) || ecmp && p.joins(b) {
			lines[p.Destination] = lines[p.Destination].with(p)
		}
	}
	for _, s := range static {
		line := TransitGatewayRoute{Destination: s.Destination, Static: true, Blackhole: s.AttachmentID == ""}
		if s.AttachmentID != "" {
			line.Attachments = []resource.TransitGatewayAttachmentID{s.AttachmentID}
		}
		lines[s.Destination] = line
	}
	out := make([]TransitGatewayRoute, 0, len(lines))
	for _, line := range lines {
		out = append(out, line)
	}
	slices.SortFunc(out, func(a, b TransitGatewayRoute) int { return a.Destination.Compare(b.Destination) })
	return out
}

// compare is below 0 when p is better than q, which goes to the same
// destination: a VPC before a VPN, a tunnel whose end stays before one whose end
// is being replaced, the shorter AS path, the lower MED, and then any order that
// stays (vpn §4.3).
func (p transitPath) compare(q transitPath) int {
	return cmp.Or(cmp.Compare(rank(p.Type), rank(q.Type)), cmp.Compare(number(p.Draining), number(q.Draining)), cmp.Compare(len(p.ASPath), len(q.ASPath)), cmp.Compare(p.MED, q.MED),
		cmp.Compare(p.AttachmentID, q.AttachmentID), cmp.Compare(p.Tunnel, q.Tunnel))
}

func (p transitPath) same(q transitPath) bool {
	return p.AttachmentID == q.AttachmentID && p.Tunnel == q.Tunnel
}

// joins reports whether flows may be spread over p and the best path q: both
// learned by BGP over VPN, with the same AS path. The multipath of unequal paths
// of one length is not relaxed (vpn §4.3).
func (p transitPath) joins(q transitPath) bool {
	return p.Type == resource.AttachVPN && q.Type == resource.AttachVPN && p.Dynamic && q.Dynamic && p.Draining == q.Draining && slices.Equal(p.ASPath, q.ASPath) && p.MED == q.MED
}

// with adds a path of equal cost.
func (r TransitGatewayRoute) with(p transitPath) TransitGatewayRoute {
	r.Destination, r.ASPath = p.Destination, p.ASPath
	if at, found := slices.BinarySearch(r.Attachments, p.AttachmentID); !found {
		r.Attachments = slices.Insert(r.Attachments, at, p.AttachmentID)
	}
	if p.Tunnel != "" {
		at, _ := slices.BinarySearch(r.Tunnels, p.Tunnel)
		r.Tunnels = slices.Insert(r.Tunnels, at, p.Tunnel)
	}
	return r
}

// number is 1 for true.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rank is the precedence of what attachments propagate (vpn §4.3).
func rank(t resource.AttachmentType) int {
	if t == resource.AttachVPC {
		return 0
	}
	return 1
}

// SearchTransitGatewayRoutes returns what a route table holds: its static routes
// and the best of what is propagated to it, one line a destination, sorted. A
// static route to an attachment that is gone is a blackhole. Code:
// InvalidRouteTableID.NotFound.
func SearchTransitGatewayRoutes(tx *store.Tx, who resource.Account, id resource.TransitGatewayRouteTableID) ([]TransitGatewayRoute, error) {
	t, err := usableTable(tx, who, id)
	if err != nil {
		return nil, err
	}
	g, _ := store.TransitGateways.Get(tx, t.TransitGatewayID)
	return transitRoutes(Load(tx), t, g.Options.VPNECMP), nil
}

// transitRoutes is what table t holds at the moment of s.
func transitRoutes(s Snapshot, t resource.TransitGatewayRouteTable, ecmp bool) []TransitGatewayRoute {
	alive := map[resource.TransitGatewayAttachmentID]bool{}
	var paths []transitPath
	for _, a := range s.TransitAttachments {
		if alive[a.ID] = a.Alive(); alive[a.ID] && slices.Contains(t.Propagations, a.ID) {
			paths = append(paths, s.paths(a)...)
		}
	}
	static := slices.Clone(t.Routes)
	for i, r := range static {
		if !alive[r.AttachmentID] {
			static[i].AttachmentID = ""
		}
	}
	lines := selectRoutes(static, paths, ecmp)
	for i, line := range lines {
		if line.Static && !line.Blackhole {
			lines[i].Tunnels = s.carrier(line.Attachments[0])
		}
	}
	return lines
}

// carrier is the one tunnel that carries what static routes lead to a VPN
// attachment, of those that are up the first whose end is not being replaced:
// static routes are not spread (vpn §4.3). None when none is up.
func (s Snapshot) carrier(id resource.TransitGatewayAttachmentID) (tunnels []string) {
	at := slices.IndexFunc(s.TransitAttachments, func(a resource.TransitGatewayAttachment) bool { return a.ID == id })
	for _, c := range s.Connections {
		if at < 0 || c.ID != s.TransitAttachments[at].VPNConnectionID {
			continue
		}
		busy := false
		for i, t := range c.Telemetry {
			if t.Status == resource.TunnelUp && (tunnels == nil || busy) {
				tunnels, busy = []string{TunnelID(c.ID, i)}, c.Endpoints[i].Busy()
			}
		}
	}
	return tunnels
}

// paths are what attachment a offers: the block of its VPC, or what its customer
// gateway announces by each tunnel.
func (s Snapshot) paths(a resource.TransitGatewayAttachment) (out []transitPath) {
	for _, v := range s.VPCs {
		if a.Type == resource.AttachVPC && v.ID == a.VPCID {
			out = append(out, transitPath{Destination: v.CIDR, AttachmentID: a.ID, Type: a.Type})
		}
	}
	for _, c := range s.Connections {
		if a.Type != resource.AttachVPN || c.ID != a.VPNConnectionID || !c.Alive() {
			continue
		}
		for i, t := range c.Telemetry {
			for _, r := range t.Learned {
				out = append(out, transitPath{
					Destination: r.Prefix, AttachmentID: a.ID, Type: a.Type, Tunnel: TunnelID(c.ID, i),
					ASPath: r.ASPath, MED: r.MED, Dynamic: true, Draining: c.Endpoints[i].Busy(),
				})
			}
		}
	}
	return out
}
