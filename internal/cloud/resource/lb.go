package resource

import (
	"net/netip"
	"strconv"
	"time"
)

// Identifiers of load balancing are ARNs, as its API uses them (pl §2.1).
type (
	LoadBalancerARN string // arn:aws:elasticloadbalancing:…:loadbalancer/net/<name>/<16 hex>
	ListenerARN     string // …:listener/net/<name>/<16 hex>/<16 hex>
	TargetGroupARN  string // …:targetgroup/<name>/<16 hex>
)

// A LoadBalancerScheme says from where a load balancer can be reached.
type LoadBalancerScheme string

// The schemes; only internal is offered here.
const (
	SchemeInternal       LoadBalancerScheme = "internal"
	SchemeInternetFacing LoadBalancerScheme = "internet-facing"
)

// StateActive is the state of a load balancer that works (pl §2.1).
const StateActive State = "active"

// A LoadBalancer is a Network Load Balancer: one node a zone, each node an
// interface of the VPC with an address that stays (pl §2.2).
type LoadBalancer struct {
	ARN                   LoadBalancerARN
	OwnerID               Account
	Name                  string
	Hex                   string // the ARN's last part: 16 hex digits
	DNSName               string // <name>-<16 hex>.elb.<region>.amazonaws.com, no final dot
	CanonicalHostedZoneID string
	Scheme                LoadBalancerScheme
	State                 State // provisioning, active
	VPCID                 VPCID
	Region                string
	Groups                []SecurityGroupID
	Nodes                 []LoadBalancerNode // sorted by zone
	CrossZone             bool               // load_balancing.cross_zone.enabled
	DeletionProtection    bool               // deletion_protection.enabled
	CreatedTime           time.Time
	Tags                  Tags
}

// A LoadBalancerNode is what a load balancer is in one zone.
type LoadBalancerNode struct {
	Zone               string
	SubnetID           SubnetID
	NetworkInterfaceID NetworkInterfaceID
	Address            netip.Addr
	Namespace          string // where the node's packets are rewritten
}

// A Listener takes the connections of one port of a load balancer to a target
// group.
type Listener struct {
	ARN             ListenerARN
	OwnerID         Account
	LoadBalancerARN LoadBalancerARN
	Protocol        string // "TCP"
	Port            uint16
	TargetGroupARN  TargetGroupARN
	Tags            Tags
}

// A TargetType says how the targets of a group are named.
type TargetType string

// Target types (pl §2.4).
const (
	TargetInstance TargetType = "instance"
	TargetIP       TargetType = "ip"
)

// A TargetGroup is a set of targets and how their health is found out.
type TargetGroup struct {
	ARN          TargetGroupARN
	OwnerID      Account
	Name         string
	Protocol     string // "TCP"
	Port         uint16 // of targets registered without one
	VPCID        VPCID
	TargetType   TargetType
	HealthCheck  HealthCheck
	Targets      []Target        // sorted by id and port
	LoadBalancer LoadBalancerARN // the one load balancer that uses the group, or empty
	// TerminateUnhealthy cuts the connections of a target that has failed
	// (target_health_state.unhealthy.connection_termination.enabled).
	TerminateUnhealthy bool
	Tags               Tags
}

// A HealthCheck is how one target group probes its targets (pl §2.8).
type HealthCheck struct {
	Protocol           string        // "TCP", "HTTP" or "HTTPS"
	Port               uint16        // 0 is "traffic-port": each target's own
	Path               string        // HTTP and HTTPS only
	Interval           time.Duration // 5 s to 300 s
	Timeout            time.Duration // 2 s to 120 s
	HealthyThreshold   int           // 2 to 10 passes bring an unhealthy target back
	UnhealthyThreshold int           // 2 to 10 failures take it out
	Matcher            string        // HTTP codes that pass: "200-399", "200,204"
}

// A Target is one member of a target group.
type Target struct {
	ID      string // instance id or address
	Port    uint16
	Address netip.Addr // where packets go
	Zone    string     // the target's zone, or "all"
}

// A HealthState is the word of DescribeTargetHealth (pl §2.8).
type HealthState string

// Health states.
const (
	HealthInitial   HealthState = "initial"
	HealthHealthy   HealthState = "healthy"
	HealthUnhealthy HealthState = "unhealthy"
	HealthUnused    HealthState = "unused"
)

// Reasons of a health state (pl §2.8).
const (
	ReasonRegistering     = "Elb.RegistrationInProgress"
	ReasonInitialChecking = "Elb.InitialHealthChecking"
	ReasonFailedChecks    = "Target.FailedHealthChecks"
	ReasonNotRegistered   = "Target.NotRegistered"
	ReasonNotInUse        = "Target.NotInUse"
)

// A TargetHealth is what one node has found out about one target. A target
// without a row is initial.
type TargetHealth struct {
	TargetGroupARN TargetGroupARN
	TargetID       string
	Port           uint16
	Node           NetworkInterfaceID
	State          HealthState
	Reason         string
	Description    string
	Since          time.Time // when State began
}

// Key is the row's name in the store.
func (h TargetHealth) Key() string {
	return string(h.TargetGroupARN) + "|" + h.TargetID + ":" + strconv.Itoa(int(h.Port)) + "|" + string(h.Node)
}

// AddrPort is where connections to the target go.
func (t Target) AddrPort() netip.AddrPort { return netip.AddrPortFrom(t.Address, t.Port) }

// ZoneAll is the zone of a target outside the VPC: every node may send to it
// (pl §2.4).
const ZoneAll = "all"

// Reaches reports whether node n may send to t: to targets of its own zone and
// of ZoneAll, or to all with cross-zone (pl §2.6).
func (b LoadBalancer) Reaches(n LoadBalancerNode, t Target) bool {
	return b.CrossZone || t.Zone == n.Zone || t.Zone == ZoneAll
}
