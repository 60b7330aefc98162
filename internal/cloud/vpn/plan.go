package vpn

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"seikan/internal/cloud/onlyv4"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/linux/netspec"
	"seikan/internal/secret"
)

// A Snapshot is every row that MakePlan needs, of one moment.
type Snapshot struct {
	VPCs             []resource.VPC
	CustomerGateways []resource.CustomerGateway
	Gateways         []resource.VPNGateway
	Connections      []resource.VPNConnection
	Pools            []resource.OutsidePool

	Transit            []resource.TransitGateway
	TransitAttachments []resource.TransitGatewayAttachment
	TransitTables      []resource.TransitGatewayRouteTable
	Authorities        []resource.CertificateAuthority
	Certificates       []resource.Certificate
}

// Load reads a Snapshot.
func Load(tx *store.Tx) Snapshot {
	return Snapshot{
		VPCs:             store.VPCs.List(tx),
		CustomerGateways: store.CustomerGateways.List(tx),
		Gateways:         store.VPNGateways.List(tx),
		Connections:      store.VPNConnections.List(tx),
		Pools:            store.OutsidePools.List(tx),

		Transit:            store.TransitGateways.List(tx),
		TransitAttachments: store.TransitGatewayAttachments.List(tx),
		TransitTables:      store.TransitGatewayRouteTables.List(tx),
		Authorities:        store.CertificateAuthorities.List(tx),
		Certificates:       store.Certificates.List(tx),
	}
}

// A Plan is what VPN gateways want of a host.
type Plan struct {
	// Spec has each gateway's namespace and both ends of its links to routers of
	// VPCs, and the route tables of transit gateways. Routes to what is behind the
	// tunnels of a VPN gateway are not in it: they are made by its worker. Those of
	// the VPC's tables are planned by cloud/vpc.
	Spec    netspec.Spec
	Workers []Worker // by gateway id; gateways without a connection have none
}

// A Worker is the process that one VPN gateway or transit gateway runs in, and
// what it is told.
type Worker struct {
	GatewayID string // of a VPN gateway or a transit gateway
	Name      string // for logs: the gateway's Name tag, or its id
	Namespace string // in which it runs and makes its TUNs
	// OutsideNamespace is where the sockets of the outside addresses are
	// opened.
	OutsideNamespace string
	Tunnels          []WorkerTunnel // by slot of the connection, tunnel 1 before 2
	BGP              WorkerBGP
	// Transit says that the routes are none of the worker's: they are in Plan.Spec.
	Transit bool
}

// WorkerBGP is what the BGP sessions of a gateway have in common. Its zero value
// stands for a gateway that has none.
type WorkerBGP struct {
	ASN      uint32         // the cloud's
	Announce []netip.Prefix // the VPC's blocks, which every customer gateway is told of (vpn §4.2)
	// Lists are what customer gateways are told of that name them: the route tables
	// of a transit gateway, by id.
	Lists map[string][]WorkerAnnouncement
}

// A WorkerSession is the BGP session of a tunnel of a dynamic connection; its
// zero value is none.
type WorkerSession struct {
	PeerASN         uint32 // the customer gateway's
	Hold, Keepalive time.Duration
	MaxPrefixes     int // that the customer gateway may announce; one more ends the session
	BFD             resource.BFD
}

// A WorkerTunnel is one tunnel as its worker sees it: here local is the cloud's
// side and remote the customer's, the reverse of AWS's option names.
type WorkerTunnel struct {
	ID        string     // "vpn-0123456789abcdef0/1"
	Interface string     // "tun1"; it stays the same as long as the connection lives
	Outside   netip.Addr // the cloud's outside address
	// Peer is the customer gateway's address, which is also its identity; invalid
	// for one that is known by its certificate alone and may come from anywhere.
	Peer netip.Addr
	// Inside is the cloud's inside address with its /30, or with its /126 when the
	// tunnel carries IPv6.
	Inside     netip.Prefix
	Auth       WorkerAuth
	Algorithms Algorithms
	// LocalTS and RemoteTS are the traffic selectors to negotiate.
	LocalTS, RemoteTS netip.Prefix
	// Initiate says that the cloud starts IKE (StartupAction start, IKEv2).
	Initiate bool

	Lifetime     WorkerLifetime
	Liveness     WorkerLiveness
	ReplayWindow int // packets

	// Routes are the static routes to what is behind the customer gateway, sorted.
	Routes []netip.Prefix

	Endpoint WorkerEndpoint
	Logs     resource.TunnelLogs
	BGP      WorkerSession
	// List names what of WorkerBGP.Lists the customer gateway is told of; empty: none.
	List string
}

// A WorkerAnnouncement is a prefix, what of its AS path lies behind the cloud, and
// how the ids of the tunnels begin that lead there: their customer gateways are
// not told.
type WorkerAnnouncement struct {
	Prefix netip.Prefix
	ASPath []uint32
	Behind string
}

// WorkerAuth is how the two ends of a tunnel know each other: by a pre-shared key
// or, when Chain is not empty, by certificates.
type WorkerAuth struct {
	PSK secret.Secret
	// Chain is the cloud's certificate of this tunnel, Key its private key and CA
	// the certificate of who must have signed the customer gateway's, all PEM.
	Chain, CA []byte
	Key       secret.Secret
}

// WorkerLifetime says when SAs are renewed.
type WorkerLifetime struct {
	Phase1, Phase2, RekeyMargin time.Duration
	RekeyFuzz                   int // percent
}

// WorkerLiveness says how long a tunnel may be silent before it is probed, and
// how long probes may go unanswered. Action says what follows: clear, none or
// restart.
type WorkerLiveness struct {
	Interval, Timeout time.Duration
	Action            string
}

// A WorkerEndpoint is how a tunnel's end is replaced (vpn §3.6).
type WorkerEndpoint struct {
	Generation int    // of the endpoint: another one is begun anew
	Draining   bool   // the tunnel carries nothing that another one can
	MED        uint32 // of what is announced by the tunnel
}

// Algorithms are what a tunnel may negotiate.
type Algorithms = resource.Algorithms

// awsProbeAfter is how long AWS lets a tunnel be silent before it probes (vpn
// §2.2).
const awsProbeAfter = 10 * time.Second

// What AWS's end of a BGP session has (vpn §4.2, §4.5).
const (
	bgpHold        = 30 * time.Second
	bgpKeepalive   = 10 * time.Second
	maxBGPPrefixes = 100
	// A transit gateway takes and gives more.
	maxTransitBGPPrefixes = 1000
	maxTransitAnnounced   = 5000 // what is beyond is left out: AWS does not say what happens
)

// vpcLink is the gateway's end of the link to its VPC's router.
const vpcLink = "vpc0"

// MakePlan says what all gateways need. It is pure.
func MakePlan(s Snapshot) Plan {
	var p Plan
	for _, g := range s.Gateways {
		if g.State != resource.StatePending && g.State != resource.StateAvailable {
			continue
		}
		vpc, attached := s.vpcOf(g)
		w := s.worker(g, vpc)
		spaces := namespaces(g, vpc, attached)
		if len(w.Tunnels) > 0 {
			p.Workers = append(p.Workers, w)
			spaces[0].Tables = append(spaces[0].Tables, ends(w.Tunnels))
		}
		p.Spec.Namespaces = append(p.Spec.Namespaces, spaces...)
	}
	for _, g := range s.Transit {
		if g.State == resource.StatePending || g.State == resource.StateAvailable {
			spaces, w := s.transit(g)
			if len(w.Tunnels) > 0 {
				p.Workers = append(p.Workers, w)
			}
			p.Spec.Namespaces = append(p.Spec.Namespaces, spaces...)
		}
	}
	slices.SortFunc(p.Workers, func(a, b Worker) int { return cmp.Compare(a.GatewayID, b.GatewayID) })
	p.Spec = p.Spec.Normalize()
	return p
}

// vpcOf is the VPC to which g is, or is to be, attached.
func (s Snapshot) vpcOf(g resource.VPNGateway) (resource.VPC, bool) {
	for _, v := range s.VPCs {
		if joined(g) && v.ID == g.Attachment.VPCID {
			return v, true
		}
	}
	return resource.VPC{}, false
}

// namespaces are that of the gateway, which comes first, and, when it is attached, its link in that
// of the VPC's router.
func namespaces(g resource.VPNGateway, vpc resource.VPC, attached bool) []netspec.Namespace {
	own := netspec.Namespace{
		Name: string(g.ID),
		// A reply may come in by the other tunnel than its request went out by
		// (vpn §4.3), which a reverse path filter would drop.
		Sysctls: map[string]string{
			"net.ipv4.ip_forward":             "1",
			"net.ipv4.conf.all.rp_filter":     "0",
			"net.ipv4.conf.default.rp_filter": "0",
		},
	}
	own.Tables = []netspec.Table{onlyv4.Table()}
	if !attached {
		return []netspec.Namespace{own}
	}
	router := netspec.Namespace{Name: string(vpc.ID)}
	here, there := netspec.Peer{Namespace: own.Name, Link: vpcLink}, netspec.Peer{Namespace: router.Name, Link: resource.VPNGatewayLink}
	off := map[string]string{"rp_filter": "0"}
	own.Links = []netspec.Link{{
		Name: here.Link, Kind: netspec.Veth, Peer: there, Sysctls: off, Comment: "to the router of " + string(vpc.ID),
		Addrs: []netip.Prefix{netip.PrefixFrom(g.GatewayAddress(), g.Link.Bits())},
	}}
	own.Routes = []netspec.Route{{Dst: vpc.CIDR, Via: g.RouterAddress(), Dev: here.Link}}
	own.Tables = append(own.Tables, guard(vpc.CIDR))
	router.Links = []netspec.Link{{
		Name: there.Link, Kind: netspec.Veth, Peer: here, Sysctls: off, Comment: "to the VPN gateway " + string(g.ID),
		Addrs: []netip.Prefix{netip.PrefixFrom(g.RouterAddress(), g.Link.Bits())},
	}}
	return []netspec.Namespace{own, router}
}

// guard drops what comes out of a tunnel as if from the VPC itself: its
// security groups know their members by address. No answer to it could ever
// reach the tunnel, since the VPC's own route beats every other (vpn §4.3). It
// also drops what the VPC sends to the gateway's own addresses, to which a
// route of the VPC's can lead.
func guard(vpc netip.Prefix) netspec.Table {
	return netspec.Table{Family: "ip", Name: "vgw", Chains: []netspec.Chain{{
		Name: "forward", Type: "filter", Hook: "forward", Priority: "filter",
		Rules: []netspec.NftRule{{Text: fmt.Sprintf("iifname != %q ip saddr %v counter drop", vpcLink, vpc), Comment: "source check"}},
	}, {
		Name: "input", Type: "filter", Hook: "input", Priority: "filter",
		Rules: []netspec.NftRule{{Text: fmt.Sprintf("iifname %q counter drop", vpcLink), Comment: "nothing here is for the VPC"}},
	}}}
}

// ends drops what comes out of a tunnel for the inside address of another: the
// tunnels of AWS end in machines of their own. Linux would take it, so that a
// customer gateway with its two tunnels mixed up would seem to work, and one
// customer could talk to the end of another's.
func ends(tunnels []WorkerTunnel) netspec.Table {
	input := netspec.Chain{Name: "input", Type: "filter", Hook: "input", Priority: "filter"}
	for _, t := range tunnels {
		input.Rules = append(input.Rules, netspec.NftRule{Text: fmt.Sprintf("iifname %q %s daddr != %v counter drop", t.Interface, family(t.Inside.Addr()), t.Inside.Addr()), Comment: "its own end only"})
	}
	return netspec.Table{Family: "inet", Name: "tunnels", Chains: []netspec.Chain{input}}
}

// family is nftables's word for that of a.
func family(a netip.Addr) string {
	if a.Is6() {
		return "ip6"
	}
	return "ip"
}

// worker is what the process of g is told.
func (s Snapshot) worker(g resource.VPNGateway, vpc resource.VPC) Worker {
	w := Worker{GatewayID: string(g.ID), Name: cmp.Or(g.Tags.Name(), string(g.ID)), Namespace: string(g.ID)}
	for _, c := range s.connectionsAt(target{gateway: g.ID}) {
		s.addTunnels(&w, c, vpc.CIDR)
	}
	if w.speaks() {
		w.BGP.ASN = g.AmazonSideASN
	}
	if w.BGP.ASN != 0 && vpc.CIDR.IsValid() {
		w.BGP.Announce = []netip.Prefix{vpc.CIDR}
	}
	return w
}

// connectionsAt are the connections at a gateway that live, by slot.
func (s Snapshot) connectionsAt(at target) (out []resource.VPNConnection) {
	for _, c := range s.Connections {
		if targetOf(c) == at && c.Alive() {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b resource.VPNConnection) int { return cmp.Compare(a.Slot, b.Slot) })
	return out
}

// addTunnels gives w the tunnels of c.
func (s Snapshot) addTunnels(w *Worker, c resource.VPNConnection, vpc netip.Prefix) {
	at := slices.IndexFunc(s.CustomerGateways, func(cgw resource.CustomerGateway) bool { return cgw.ID == c.CustomerGatewayID })
	if at < 0 {
		return // the operations let no customer gateway go before its connections
	}
	for i := range c.Tunnels {
		t := tunnel(c, i, s.CustomerGateways[at].IPAddress, vpc)
		t.BGP = session(c, i, s.CustomerGateways[at].BGPASN)
		if s.CustomerGateways[at].CertificateARN != "" {
			t.Auth = s.certificates(t.ID)
		}
		w.Tunnels = append(w.Tunnels, t)
	}
	w.OutsideNamespace = namespaceOf(s.Pools, c.Tunnels[0].OutsideIP)
}

// speaks reports whether any tunnel has a BGP session.
func (w Worker) speaks() bool {
	return slices.ContainsFunc(w.Tunnels, func(t WorkerTunnel) bool { return t.BGP.PeerASN != 0 })
}

// certificates are what a tunnel that authenticates by them has.
func (s Snapshot) certificates(tunnel string) (out WorkerAuth) {
	for _, c := range s.Certificates {
		if c.TunnelID != tunnel {
			continue
		}
		out.Chain, out.Key = c.Chain, c.Key
		for _, a := range s.Authorities {
			if a.ARN == c.AuthorityARN {
				out.CA = a.Certificate
			}
		}
	}
	return out
}

// session is the BGP session of tunnel i of c. Selectors that leave the inside
// addresses out leave no way for one: such a tunnel stays at "IPSEC IS UP" (vpn
// §3.4).
func session(c resource.VPNConnection, i int, peer uint32) WorkerSession {
	o := c.Tunnels[i]
	if c.StaticRoutesOnly || !c.RemoteCIDR.Contains(o.InsideLocal()) || !c.LocalCIDR.Contains(o.InsideRemote()) {
		return WorkerSession{}
	}
	most := maxBGPPrefixes
	if c.TransitGatewayID != "" {
		most = maxTransitBGPPrefixes
	}
	return WorkerSession{PeerASN: peer, Hold: bgpHold, Keepalive: bgpKeepalive, MaxPrefixes: most, BFD: o.BFD}
}

// tunnel is tunnel i of c as its worker sees it.
func tunnel(c resource.VPNConnection, i int, peer netip.Addr, vpc netip.Prefix) WorkerTunnel {
	o := c.Tunnels[i]
	interval, timeout := livenessOf(o)
	return WorkerTunnel{
		ID:           TunnelID(c.ID, i),
		Interface:    tunnelLink(c, i),
		Outside:      o.OutsideIP,
		Peer:         peer,
		Inside:       netip.PrefixFrom(o.InsideLocal(), o.Inside().Bits()),
		Auth:         WorkerAuth{PSK: o.PreSharedKey},
		Algorithms:   o.Algorithms,
		LocalTS:      c.RemoteCIDR,
		RemoteTS:     c.LocalCIDR,
		Initiate:     o.StartupAction == startupStart,
		Lifetime:     WorkerLifetime{Phase1: o.Phase1Lifetime, Phase2: o.Phase2Lifetime, RekeyMargin: o.RekeyMargin, RekeyFuzz: o.RekeyFuzz},
		Liveness:     WorkerLiveness{Interval: interval, Timeout: timeout, Action: o.DPDTimeoutAction},
		ReplayWindow: o.ReplayWindow,
		Routes:       routesBehind(c, vpc),
		Endpoint:     WorkerEndpoint{Generation: c.Endpoints[i].Generation, Draining: c.Endpoints[i].Busy(), MED: MED(c, i)},
		Logs:         o.Logs,
	}
}

// tunnelLink is the name of the TUN of tunnel i of c.
func tunnelLink(c resource.VPNConnection, i int) string {
	return fmt.Sprintf("tun%d", tunnelNumber(c, i))
}

// tunnelNumber is that of tunnel i of c among those of its gateway, from 1.
func tunnelNumber(c resource.VPNConnection, i int) int { return 2*c.Slot + i + 1 }

// TunnelID names a tunnel of a connection, 0 or 1, to its worker:
// "vpn-0123456789abcdef0/1" is the first.
func TunnelID(id resource.VPNConnectionID, tunnel int) string {
	return fmt.Sprintf("%s/%d", id, tunnel+1)
}

// livenessOf is when a silent tunnel is probed and how long after that it is
// dead: what AWS does unless the extension says otherwise. DPDTimeout counts
// from the last sign of life: 40 s mean a probe after 10 s and death 30 s later
// (vpn §2.1).
func livenessOf(o resource.TunnelOptions) (interval, timeout time.Duration) {
	interval = cmp.Or(o.LivenessInterval, awsProbeAfter)
	return interval, cmp.Or(o.LivenessTimeout, o.DPDTimeout-interval)
}

// routesBehind are the static routes of c, but for those inside the block of the
// VPC: the VPC's own route beats them (vpn §4.3), and in the gateway they would
// take the VPC's traffic away.
func routesBehind(c resource.VPNConnection, vpc netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range c.Routes {
		inside := vpc.IsValid() && vpc.Bits() <= r.Destination.Bits() && vpc.Contains(r.Destination.Addr())
		if r.State != resource.StateDeleted && !inside {
			out = append(out, r.Destination)
		}
	}
	return out
}

// namespaceOf is where the sockets of an outside address are opened.
func namespaceOf(pools []resource.OutsidePool, a netip.Addr) string {
	for _, p := range pools {
		if slices.Contains(p.Addresses, a) {
			return p.Namespace
		}
	}
	return ""
}
