package resource

import (
	"net/netip"
	"time"
)

// A ConnectionHealth is what the owner of a VPN connection has been told of it,
// and what must be remembered to tell him more (vpn §6.4).
type ConnectionHealth struct {
	ID      VPNConnectionID
	OwnerID Account
	// Endpoints are what was last seen of the tunnels' ends at the cloud.
	Endpoints [2]SeenEndpoint
	Single    SingleTunnel
	Events    []HealthEvent // by the time at which they were made; the newest fifty
}

// A SeenEndpoint is what was last seen of an endpoint.
type SeenEndpoint struct {
	Generation int
	Pending    bool // maintenance
}

// A SingleTunnel is for how long a connection has had one tunnel up and the other
// one down.
type SingleTunnel struct {
	Since time.Time     // when it began, not before Day; zero while it is not so
	Day   time.Time     // midnight, UTC
	Spent time.Duration // on that day before Since
}

// A HealthEvent is one event of AWS Health.
type HealthEvent struct {
	ARN        string
	Code       string // AWS_VPN_REDUNDANCY_LOSS
	Category   string // EventNotification, EventScheduledChange
	Connection VPNConnectionID
	Outside    []netip.Addr // of the tunnels that it is about
	Start      time.Time
	End        time.Time // zero while it lasts
	Updated    time.Time
	Text       string
}

// Categories of a HealthEvent.
const (
	EventNotification    = "accountNotification"
	EventScheduledChange = "scheduledChange"
)

// Owner is OwnerID.
func (r ConnectionHealth) Owner() Account { return r.OwnerID }
