// Package topology reads the declarative file of a lab: the sites, the
// internet, the cloud and the VPN connections between them.
//
// Parse is strict. An unknown key, a value outside its range, a name that
// nothing has and a prefix that overlaps another are errors that give file,
// line, column, field, value, rule and cure; all that are found are reported
// at once. What Parse returns is complete and consistent: nothing above it
// checks again. Things are named by the file's author; ids are made by the
// cloud. The package reads no file but the one ReadFile is given, and starts
// nothing. Package lab and the command line use it.
package topology

import (
	"net/netip"
	"time"

	"seikan/internal/secret"
)

// A Topology is one lab.
type Topology struct {
	Name     string // 1 to 15 of a-z 0-9 -, as every name here
	Internet []Link
	Sites    []Site
	Cloud    Cloud
	VPN      []Connection
}

// A Link is one subnet of the internet, between its router and one customer of
// it: a site's router or the cloud's edge.
type Link struct {
	Name   string
	Subnet netip.Prefix
	Router netip.Addr // the internet's end
	// Subnet6 and Router6 are the same of IPv6; zero values mean none.
	Subnet6 netip.Prefix
	Router6 netip.Addr
}

// A Site is one on-premises network: hosts on one LAN.
type Site struct {
	Name   string
	LAN    LAN
	Hosts  []Host
	Routes []SiteRoute
}

// A LAN is the network that joins a site's hosts.
type LAN struct {
	Name  string
	CIDR  netip.Prefix
	CIDR6 netip.Prefix // zero value: no IPv6
}

// A SiteRoute is a static route that the site's hosts have, but the host Via
// itself and the router.
type SiteRoute struct {
	To  netip.Prefix
	Via string // a host of the site
}

// A Role says what a host of a site is for.
type Role string

// The roles of a site's hosts.
const (
	Client          Role = "client"
	DNSServer       Role = "dns"
	CustomerGateway Role = "customer-gateway"
	Router          Role = "router"
)

// A Host is one machine of a site.
type Host struct {
	Name    string
	Role    Role
	Address netip.Addr // on the LAN
	// Address6 is one of IPv6 on the LAN, and Outside6 a router's to the internet;
	// zero values mean none. Nobody translates it.
	Address6, Outside6 netip.Addr
	// Resolver names the host whose DNS server this host asks; empty: none.
	Resolver string
	// Uplink names the internet link of a router and Outside is its address
	// there. With Masquerade the LAN goes out under that address and nothing
	// that was not asked for comes in.
	Uplink     string
	Outside    netip.Addr
	Masquerade bool
	// Zones and Forwarders are those of a DNS server.
	Zones      []SiteZone
	Forwarders []Forwarder
}

// A SiteZone is a DNS zone that a site's server answers for itself.
type SiteZone struct {
	Name    string // without the final dot
	Records []Record
}

// A Forwarder sends the names below Zone to other servers, tried in order.
type Forwarder struct {
	Zone string
	To   []netip.Addr
}

// A Record is one DNS record. Name is relative to the zone, "@" its apex.
type Record struct {
	Name  string
	Type  string // A, AAAA, CNAME, TXT; empty for an alias
	TTL   time.Duration
	Value string
	// Alias names the endpoint or the load balancer that the name stands for.
	Alias string
}

// A Cloud is the AWS side.
type Cloud struct {
	Edge             Edge
	Accounts         []Account
	VPCs             []VPC
	LoadBalancers    []LoadBalancer
	EndpointServices []EndpointService
	Endpoints        []Endpoint
	Zones            []Zone
	Directories      []Directory
	TransitGateways  []TransitGateway
}

// An Edge is where the cloud meets the internet: the outside addresses that
// its VPN gateways get, in order.
type Edge struct {
	Link      string
	Addresses []netip.Addr
	// Addresses6 are of IPv6, for connections with OutsideIPv6.
	Addresses6 []netip.Addr
}

// An Account owns resources.
type Account struct {
	Name string
	ID   string // 12 digits
}

// A VPC is one virtual private cloud with what lies in it.
type VPC struct {
	Name           string
	Account        string
	CIDR           netip.Prefix
	Subnets        []Subnet
	RouteTables    []RouteTable
	SecurityGroups []SecurityGroup
	Instances      []Instance
	VPNGateway     string // name of the virtual private gateway attached; empty: none
}

// A Subnet is a part of a VPC in one availability zone.
type Subnet struct {
	Name       string
	CIDR       netip.Prefix
	Zone       string // one letter
	RouteTable string
}

// A RouteTable of a VPC; Propagate takes the VPN gateway's routes in.
type RouteTable struct {
	Name      string
	Propagate bool
	Routes    []Route
}

// A Route of a VPC's table leads to a transit gateway that the VPC is attached to.
type Route struct {
	To             netip.Prefix
	TransitGateway string
}

// A SecurityGroup lets in what its rules name and lets everything out.
type SecurityGroup struct {
	Name    string
	Ingress []GroupRule
}

// A GroupRule allows one protocol from prefixes and groups of the same VPC.
type GroupRule struct {
	Protocol string // tcp, udp, icmp, all
	From, To uint16 // ports, for tcp and udp; 0 and 65535 are all
	CIDRs    []netip.Prefix
	Groups   []string
}

// A Service says what an instance serves.
type Service string

// What an instance can run.
const (
	NoService Service = "none"
	HTTPS     Service = "https" // TCP 443, and plain HTTP on 80
	FTP       Service = "ftp"   // TCP 21 and one passive port
)

// An Instance is one machine of a VPC.
type Instance struct {
	Name           string
	Subnet         string
	Address        netip.Addr // zero: the cloud chooses
	Service        Service
	SecurityGroups []string
	PassivePort    uint16 // FTP: the one port of passive transfers
}

// A LoadBalancer is an internal network load balancer.
type LoadBalancer struct {
	Name      string
	VPC       string
	Subnets   []string
	Listeners []Listener
	CrossZone bool
}

// A Listener takes TCP connections on Port to the targets of its own group.
type Listener struct {
	Port    uint16
	Targets []string // instances
	// TargetPort is where they are served; 0 in the file means Port.
	TargetPort uint16
	Health     Health
}

// Health is a target group's TCP health check.
type Health struct {
	Port      uint16        // 0 in the file means the target's port
	Interval  time.Duration // 5 to 300 s
	Healthy   int           // checks in a row, 2 to 10
	Unhealthy int
}

// An EndpointService offers a load balancer to other accounts.
type EndpointService struct {
	Name               string
	LoadBalancer       string
	AcceptanceRequired bool
	AllowedAccounts    []string
}

// An Endpoint is an interface endpoint to a service.
type Endpoint struct {
	Name           string
	VPC            string
	Service        string
	Subnets        []string
	SecurityGroups []string
	Accept         bool // the provider accepts it
}

// A Zone is a private hosted zone.
type Zone struct {
	Name    string
	Account string
	VPCs    []string
	Records []Record
}

// A Directory is a managed directory of which DNS is what matters here: one
// forwarder address in each of two subnets, reachable from on-premises.
type Directory struct {
	Name      string
	Domain    string
	VPC       string
	Subnets   []string
	Addresses []netip.Addr
}

// A Connection is one Site-to-Site VPN connection with its two tunnels.
type Connection struct {
	Name            string
	CustomerGateway string // a host with that role
	// One of the two is at the cloud's end.
	VPNGateway, TransitGateway string
	// Routes are static routes to the customer's side; with them there is no BGP.
	Routes  []netip.Prefix
	BGP     BGP
	Tunnels [2]Tunnel
	// InsideIPv6 says that the tunnels carry IPv6 and nothing else, OutsideIPv6 that
	// they are between outside addresses of IPv6 (vpn §4.7).
	InsideIPv6, OutsideIPv6 bool
	// LocalCIDR is the customer's side of the traffic that the tunnels may carry,
	// and RemoteCIDR the cloud's (vpn §1.1); zero values mean everything.
	LocalCIDR, RemoteCIDR netip.Prefix
	// Certificates are used in the place of pre-shared keys. With Roaming the
	// cloud is not told the customer gateway's address: it knows it by its
	// certificate alone.
	Certificates, Roaming bool
}

// Dynamic reports whether the two ends tell each other by BGP what lies behind
// them.
func (c Connection) Dynamic() bool { return c.BGP.ASN != 0 }

// BGP is the customer's side of a dynamic connection; its zero value is none.
type BGP struct {
	ASN      uint32         // the customer gateway's
	Announce []netip.Prefix // what the customer gateway tells the cloud
}

// Tunnel holds the options of one tunnel by AWS's names and rules (vpn §2.1);
// zero values mean AWS's defaults.
type Tunnel struct {
	InsideCIDR       netip.Prefix
	InsideIPv6CIDR   netip.Prefix  // a /126 of fd00::/8 with IPv6 inside; zero: the cloud chooses
	PSK              secret.Secret // empty: the cloud generates one
	Phase1Lifetime   time.Duration // 900 to 28,800 s
	Phase2Lifetime   time.Duration // 900 to 3,600 s
	RekeyMargin      time.Duration // 60 s to half of Phase2Lifetime
	RekeyFuzz        int           // percent, 0 to 100; -1 when not given
	ReplayWindow     int           // packets, 64 to 2048
	DPDTimeout       time.Duration // at least 30 s
	DPDTimeoutAction string        // clear, none, restart
	StartupAction    string        // add, start
	Algorithms       Algorithms
	Liveness         Liveness
	BFD              BFD
}

// Algorithms restricts what a tunnel may use; empty lists allow all.
type Algorithms struct {
	IKEVersions      []string
	Phase1Encryption []string
	Phase2Encryption []string
	Phase1Integrity  []string
	Phase2Integrity  []string
	Phase1DHGroups   []int
	Phase2DHGroups   []int
}

// Liveness is Seikan's extension for a faster failover than AWS's DPD: silent
// for Interval, a tunnel is probed; silent for Timeout more, it is dead. Zero
// values mean AWS's 10 s, and what is left of DPDTimeout.
type Liveness struct{ Interval, Timeout time.Duration }

// BFD is Seikan's extension for a failover below a second: both ends of the
// tunnel are heard every Interval, and its path is broken after Multiplier of
// them in silence. Zero values mean none.
type BFD struct {
	Interval   time.Duration // 50 ms to 1 min
	Multiplier int           // 2 to 50
}

// Host returns the site's host called name.
func (t *Topology) Host(name string) (Host, Site, bool) {
	for _, s := range t.Sites {
		for _, h := range s.Hosts {
			if h.Name == name {
				return h, s, true
			}
		}
	}
	return Host{}, Site{}, false
}

// Instance returns the instance called name and the VPC it is in.
func (t *Topology) Instance(name string) (Instance, VPC, bool) {
	for _, v := range t.Cloud.VPCs {
		for _, i := range v.Instances {
			if i.Name == name {
				return i, v, true
			}
		}
	}
	return Instance{}, VPC{}, false
}

// Machines lists the names of all hosts and instances, in the file's order.
func (t *Topology) Machines() (names []string) {
	for _, s := range t.Sites {
		for _, h := range s.Hosts {
			names = append(names, h.Name)
		}
	}
	for _, v := range t.Cloud.VPCs {
		for _, i := range v.Instances {
			names = append(names, i.Name)
		}
	}
	return names
}
