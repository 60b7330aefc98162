package lab

import (
	"context"
	"encoding/json"
	"net/netip"
	"time"

	"seikan/internal/lab/probe"
	"seikan/internal/lab/topology"
	"seikan/internal/why"
)

// A World is what the steps of a walk-through see and do of a running lab.
type World interface {
	// Topology is what the lab was built from.
	Topology() *topology.Topology
	// Ask runs one of the test clients (package probe) inside the network of
	// a host or an instance and returns what it saw. Not getting an answer is
	// a result, not an error.
	Ask(ctx context.Context, host string, q probe.Question) (probe.Result, error)
	// Status is the lab as it is now.
	Status(ctx context.Context) (Status, error)
	// Change does something to the world: stops a server, cuts a tunnel.
	Change(ctx context.Context, c Change) error
	// Watch counts the packets on a link until the returned function is called.
	Watch(ctx context.Context, link string) (stop func() (LinkCount, error), err error)
}

// A Change is something that a walk-through does to its world. Exactly one
// field is set.
type Change struct {
	StopInstance  string     // kill what the instance serves
	StartInstance string     // and serve it again
	Cut           netip.Addr // the internet drops what goes to and from this address
	Mend          netip.Addr // and carries it again
	Move          Move       // a router gets another address from its provider
	Replace       netip.Addr // the cloud replaces the end of a tunnel with this outside address, as for maintenance
}

// A Move gives a router's uplink another address.
type Move struct {
	Router string
	To     netip.Addr // of the subnet of its link
}

// A LinkCount is what passed a link.
type LinkCount struct {
	Packets, Bytes uint64
	IKE, ESP       uint64 // packets: UDP 500 and 4500 with a non-ESP marker; ESP and ESP in UDP 4500
	// Clear counts what is neither: with the tunnels down it must stay 0.
	Clear uint64
	// Sample is the first clear packets, one line each.
	Sample []string
}

// A Cloud is the AWS side as the lab needs it. It is built from the topology,
// by the same operations that a user's API calls run.
type Cloud interface {
	// Run makes what the topology asks for, calls ready when that is done, and
	// serves until ctx ends.
	Run(ctx context.Context, ready func()) error
	// Status describes the instances, targets, endpoints and the cloud's ends
	// of the tunnels.
	Status(ctx context.Context) (CloudStatus, error)
	// CustomerConfig is the configuration file of a connection's customer
	// gateway, as `seikan gateway` reads it, and the files that it names, which
	// stand beside it. They hold keys.
	CustomerConfig(ctx context.Context, connection string) (config []byte, others map[string][]byte, err error)
	// Look is what the cloud knows of the way of a through a connection: the parts
	// of the evidence that are the cloud's.
	Look(ctx context.Context, a why.Ask, connection string) (why.Evidence, error)
	// Replace begins to replace the end of the tunnel that has the outside address
	// (ReplaceVpnTunnel); it does not wait until that is done.
	Replace(ctx context.Context, outside netip.Addr) error
}

// A Status is the whole lab.
type Status struct {
	Name    string       `json:"name"`
	Started time.Time    `json:"started"`
	Hosts   []HostStatus `json:"hosts"`
	Links   []LinkStatus `json:"links"`
	CloudStatus
	Notes []string `json:"notes,omitempty"` // what could not be read, and why
}

// A CloudStatus is what the cloud adds to it.
type CloudStatus struct {
	Resources []ResourceStatus `json:"resources,omitempty"`
	Instances []HostStatus     `json:"instances,omitempty"`
	Tunnels   []TunnelStatus   `json:"tunnels"`
	Targets   []TargetStatus   `json:"targets"`
	Endpoints []EndpointStatus `json:"endpoints"`
	Logs      []TunnelLog      `json:"logs,omitempty"`
	Events    []HealthEvent    `json:"events,omitempty"` // the oldest first
	Metrics   []Metric         `json:"metrics,omitempty"`
}

// A Metric is one of CloudWatch's of a VPN connection. Data are those since the
// gateway of the cloud's end began to count.
type Metric struct {
	Name string `json:"name"` // TunnelState, TunnelDataIn, TunnelDataOut
	// VPNID and TunnelIP are the two dimensions, of which one is given.
	VPNID    string  `json:"vpn_id,omitempty"`
	TunnelIP string  `json:"tunnel_ip,omitempty"`
	Value    float64 `json:"value"` // 0 to 1, or octets
}

// A HealthEvent is what AWS Health tells the owner of a connection.
type HealthEvent struct {
	Time       time.Time    `json:"time"`
	Connection string       `json:"connection"` // name in the topology
	Code       string       `json:"code"`       // "AWS_VPN_REDUNDANCY_LOSS"
	Outside    []netip.Addr `json:"outside"`    // of the tunnels that it is about
	Text       string       `json:"text"`
	// Event is all of it as EventBridge delivers it.
	Event json.RawMessage `json:"event"`
}

// A TunnelLog is one of the two logs that the cloud keeps of a tunnel.
type TunnelLog struct {
	Connection string `json:"connection"` // name in the topology
	Number     int    `json:"number"`     // 1 or 2
	Log        string `json:"log"`        // "activity", "bgp"
	File       string `json:"file"`       // there is none before its first line
}

// A ResourceStatus ties a name of the topology to the id that the cloud made.
type ResourceStatus struct {
	Kind  string `json:"kind"` // "vpc", "vpn-connection"
	Name  string `json:"name"`
	ID    string `json:"id"`
	State string `json:"state"`
}

// A HostStatus is one host or instance.
type HostStatus struct {
	Name      string       `json:"name"`
	Role      string       `json:"role"`
	Where     string       `json:"where"` // site or VPC
	Namespace string       `json:"namespace"`
	Addresses []netip.Addr `json:"addresses"`
	ID        string       `json:"id,omitempty"`
	State     string       `json:"state"`
}

// A LinkStatus is one link with its counters.
type LinkStatus struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Interface string `json:"interface"`
	Up        bool   `json:"up"`
	RxBytes   uint64 `json:"rx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	TxBytes   uint64 `json:"tx_bytes"`
	TxPackets uint64 `json:"tx_packets"`
}

// A TunnelStatus is one end of one tunnel.
type TunnelStatus struct {
	Connection string `json:"connection"` // name in the topology
	Number     int    `json:"number"`     // 1 or 2
	End        string `json:"end"`        // "customer" or "cloud"
	Up         bool   `json:"up"`
	Detail     string `json:"detail,omitempty"` // why it is down
	IKE        string `json:"ike,omitempty"`    // "ikev2"
	Auth       string `json:"auth,omitempty"`   // "PSK"
	// NATLocal says that this end found itself behind a NAT, NATRemote that the
	// other is.
	NATLocal  bool           `json:"nat_local"`
	NATRemote bool           `json:"nat_remote"`
	Phase1    string         `json:"phase1,omitempty"`
	Phase2    string         `json:"phase2,omitempty"`
	Weak      string         `json:"weak,omitempty"` // algorithms of both phases that should not be used any more: "DH2, SHA1"
	Local     netip.AddrPort `json:"local,omitzero"` // outside addresses
	Remote    netip.AddrPort `json:"remote,omitzero"`
	Inside    netip.Addr     `json:"inside,omitzero"` // this end's
	BytesIn   uint64         `json:"bytes_in"`        // inner octets
	BytesOut  uint64         `json:"bytes_out"`
	Carries   bool           `json:"carries"` // this end sends over it now
	// Telemetry is what AWS's API shows of the tunnel: "UP 1 BGP ROUTES"; the
	// cloud's end only.
	Telemetry string         `json:"telemetry,omitempty"`
	BGP       *SessionStatus `json:"bgp,omitempty"` // nil with static routes
}

// A SessionStatus is one end of a tunnel's BGP session.
type SessionStatus struct {
	Established bool           `json:"established"`
	State       string         `json:"state"`
	Learned     []netip.Prefix `json:"learned,omitempty"`    // what the other end announces and this one uses
	Announced   int            `json:"announced"`            // prefixes
	LastError   string         `json:"last_error,omitempty"` // why it last ended or did not come about
	BFD         *BFDStatus     `json:"bfd,omitempty"`        // nil without
}

// A BFDStatus is how one end of a tunnel finds its path.
type BFDStatus struct {
	State        string `json:"state"`               // "Up", "Down"
	DetectMillis int64  `json:"detect_ms,omitempty"` // how soon a broken path is found
	Cut          bool   `json:"cut"`                 // this end sends nothing over the tunnel, for its path is broken
}

// A TargetStatus is one target of a load balancer's listener.
type TargetStatus struct {
	LoadBalancer string         `json:"load_balancer"`
	Port         uint16         `json:"port"` // of the listener
	Instance     string         `json:"instance"`
	Address      netip.AddrPort `json:"address"`
	Health       string         `json:"health"` // as AWS says: healthy, unhealthy, initial
	Reason       string         `json:"reason,omitempty"`
}

// An EndpointStatus is one interface endpoint.
type EndpointStatus struct {
	Name      string       `json:"name"`
	ID        string       `json:"id"`
	Service   string       `json:"service"` // "com.amazonaws.vpce.…"
	State     string       `json:"state"`
	Addresses []netip.Addr `json:"addresses"`
	DNSName   string       `json:"dns_name,omitempty"`
}
