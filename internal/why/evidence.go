package why

import (
	"fmt"
	"net/netip"
	"time"
)

// An Ask is the question: why does Client not reach Destination?
type Ask struct {
	Client string     `json:"client"` // as it was given
	From   netip.Addr `json:"from,omitzero"`
	// Destination is as it was given, a name or an address, and To the address
	// that was tried. Of a name that has none it is the server that should know it,
	// with Port 53, or the zero value.
	Destination string     `json:"destination"`
	To          netip.Addr `json:"to,omitzero"`
	Port        uint16     `json:"port,omitempty"` // 0: ping
}

// target is what is asked for, in words.
func (a Ask) target() string {
	name := a.Destination
	if a.To.IsValid() && a.To.String() != name {
		name += fmt.Sprintf(" (%v)", a.To)
	}
	if a.Port == 0 {
		return name
	}
	return fmt.Sprintf("%s port %d", name, a.Port)
}

// Evidence is what could be seen of both ends. A nil part is one that could not
// be looked at.
type Evidence struct {
	Ask  Ask
	Now  time.Time
	Name *Name // nil also when the destination is an address
	Host *Host
	// Customer is the customer gateway, Cloud the AWS end of its connection.
	Customer, Cloud *Gateway
	Connection      *Connection
	Transit         *Transit // nil also when the connection is not at one
	VPC             *VPC
	// Endpoint and Balancer are nil also when the destination is no endpoint;
	// Target is the program that answers in the end.
	Endpoint *Endpoint
	Balancer *Balancer
	Target   *Target
	Trials   []Trial
}

// A Name is what came of asking for the destination's address.
type Name struct {
	Server  netip.Addr   // whom the client asks
	Answers []netip.Addr // addresses
	Error   string       // "NXDOMAIN", "no answer from 192.168.1.53"
	// Forwarded are the addresses to which Server passes the name's zone on; nil
	// when it passes it to nobody.
	Forwarded []netip.Addr
	// Private is whether the zone holding the name is associated with the VPC,
	// nil when that could not be seen.
	Private *bool
}

// A Host is the client.
type Host struct {
	// Via is the next hop of the client's route to the destination, the zero
	// value when there is no such route. Gateway is the address of the customer
	// gateway on the client's network; the zero value when it is not known.
	Via, Gateway netip.Addr
	// Chain are the hops in between that route onward, such as the site's router:
	// a Via that is one of them is right when the last leads to Gateway.
	Chain []netip.Addr
}

// A Gateway is one end of a VPN connection.
type Gateway struct {
	Name string
	// Error is why it could not be asked: its program does not run.
	Error     string
	Tunnels   []Tunnel // the connection's, 1 before 2
	Routes    []Route
	BGP       bool
	ASN       uint32
	Announces []netip.Prefix
	// Strangers counts IKE messages from addresses that are no peer's, and
	// StrangerFrom is the last such address.
	Strangers    uint64
	StrangerFrom netip.Addr
	// StrictReverse says that its host drops packets that come in by another link
	// than their answers leave by (rp_filter 1), as a firewall with state does.
	StrictReverse bool
}

// A Route is a prefix that a gateway sends somewhere.
type Route struct {
	Prefix  netip.Prefix
	Tunnel  string // ID of the tunnel that carries it; empty: none, it is unreachable
	Learned bool   // by BGP
	Refused string // a prefix that the peer announces and that is not used: why
}

// A Tunnel is one end of a tunnel.
type Tunnel struct {
	ID       string
	Up       bool
	Phase    string
	Reason   string // why it is not up
	Initiate bool   // this end begins
	// Local and Remote are the outside addresses.
	Local, Remote         netip.Addr
	NATLocal              bool // this end is behind a NAT
	Fragmentation         bool // of IKE messages was negotiated
	InsideLocal           netip.Addr
	InsideRemote          netip.Addr // as this end expects it
	LocalTS, RemoteTS     []netip.Prefix
	MTU                   int // inner, octets
	PacketsIn, PacketsOut uint64
	Drops                 map[string]uint64
	Session               *Session // of BGP
	Downs                 []Down   // the last times that it went down, oldest first
	Dead                  Dead
}

// Dead is when a silent peer is taken for dead, and what follows.
type Dead struct {
	After  time.Duration // since the last sign of life
	Action string        // "clear", "none", "restart"
	BFD    time.Duration // detection time; zero without BFD
}

// A Down is a time when a tunnel was down.
type Down struct {
	At     time.Time
	Lasted time.Duration
	Reason string
}

// A Session is the BGP session of a tunnel.
type Session struct {
	State     string // of RFC 4271
	PeerASN   uint32 // as this end expects it
	Received  int
	LastError string
}

// A Connection is the VPN connection as the API describes it.
type Connection struct {
	ID    string
	State string
	// Static says that routes are configured, not announced.
	Static bool
	// CustomerAddress is the customer gateway's address as it was registered; the
	// zero value for one that authenticates by certificate.
	CustomerAddress netip.Addr
	CustomerASN     uint32
	// Insides are the inside CIDRs of both tunnels.
	Insides [2]netip.Prefix
	// SiteAddress is where the site's packets come from as the cloud sees them.
	SiteAddress netip.Addr
	// Replaced says which tunnel is being replaced: 1, 2, or 0 for none.
	Replaced int
}

// A VPC is what holds the destination.
type VPC struct {
	ID    string
	CIDRs []netip.Prefix
	// Attached is whether the connection's gateway is attached to it.
	Attached bool
	Gateway  string // its id
	// Transit says that Gateway is a transit gateway.
	Transit bool
	// Table is the route table of the destination's subnet, Propagates whether the
	// gateway's routes are propagated into it, and Back what it has for the client.
	Table      string
	Propagates bool
	Back       string // target, such as "vgw-0abc" or "local"; empty: no route
}

// Groups are the security groups at the destination's interface.
type Groups struct {
	Interface string
	IDs       []string
	Allowed   bool // the Ask is
}

// An Endpoint is an interface endpoint.
type Endpoint struct {
	ID, Service string
	State       string // as the API says: "available", "pendingAcceptance", "rejected"
	Groups      *Groups
}

// A Balancer is the network load balancer behind an endpoint.
type Balancer struct {
	Name    string
	State   string
	Ports   []uint16 // of its listeners
	Targets int      // of the listener of the asked port
	Healthy int
	Reasons []string // why targets are not healthy
}

// A Target is the machine that answers in the end.
type Target struct {
	Name    string
	Running bool
	Groups  *Groups // nil behind an endpoint, where the client's address is not seen
}

// A Trial is what came of trying from the client.
type Trial struct {
	What     string // "TCP to 10.0.1.4 port 443", "ping with 1,422 octets, not to be fragmented"
	Large    bool   // with packets as large as the client's link takes
	Answered bool
	Saw      string // "0.4 ms", "no answer in 2 s", "connection refused"
}

// holds reports whether any of list holds a.
func holds(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// route is the most specific route of g that holds a.
func (g Gateway) route(a netip.Addr) (best Route, ok bool) {
	for _, r := range g.Routes {
		if r.Refused == "" && r.Prefix.Contains(a) && (!ok || r.Prefix.Bits() > best.Prefix.Bits()) {
			best, ok = r, true
		}
	}
	return best, ok
}

// Carries is the tunnel that carries what is for a; false when none that is up
// does.
func (g Gateway) Carries(a netip.Addr) (Tunnel, bool) {
	r, _ := g.route(a)
	t, at := g.tunnel(r.Tunnel)
	return t, at >= 0 && t.Up
}

// tunnel is that with the ID.
func (g Gateway) tunnel(id string) (Tunnel, int) {
	for i, t := range g.Tunnels {
		if t.ID == id {
			return t, i
		}
	}
	return Tunnel{}, -1
}

// up are the positions of the tunnels that are up.
func (g Gateway) up() (out []int) {
	for i, t := range g.Tunnels {
		if t.Up {
			out = append(out, i)
		}
	}
	return out
}
