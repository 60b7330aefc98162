package vpn

import (
	"fmt"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/secret"
)

// keepDeleted is how long a deleted connection stays listed (vpn §1.3: "for a
// while").
const keepDeleted = time.Hour

// MarkRealised notes that a host has made the plan of all rows true: what was
// pending is available, what was attaching attached, what was on its way out
// detached, deleted or gone. What belongs to a gateway of which faulty says so
// stays as it is. The host calls it after each look; when nothing was under way
// it writes nothing. A row that was written while the host was at work is taken
// for done, too: that write makes the host look again at once. What is of transit
// gateways is MarkTransitRealised's.
func MarkRealised(tx *store.Tx, faulty func(resource.VPNGateway) bool) {
	left := make(map[resource.VPNGatewayID]bool)
	for _, g := range store.VPNGateways.List(tx) {
		if left[g.ID] = faulty(g); !left[g.ID] {
			realiseGateway(tx, g)
		}
	}
	for _, c := range store.VPNConnections.List(tx) {
		if c.TransitGatewayID == "" && !left[c.VPNGatewayID] {
			realiseConnection(tx, c)
		}
	}
}

func realiseGateway(tx *store.Tx, g resource.VPNGateway) {
	switch g.State {
	case resource.StatePending:
		g.State = resource.StateAvailable
	case resource.StateDeleting:
		store.VPNGateways.Delete(tx, g.ID)
		return
	}
	switch g.Attachment.State {
	case resource.Attaching:
		g.Attachment.State = resource.Attached
	case resource.Detaching:
		g.Attachment.State = resource.Detached
	}
	store.VPNGateways.Put(tx, g.ID, g)
}

// realiseConnection takes c a step on.
func realiseConnection(tx *store.Tx, c resource.VPNConnection) {
	switch c.State {
	case resource.StatePending, resource.StateModifying:
		c.State = resource.StateAvailable
	case resource.StateDeleting:
		uncertify(tx, c)
		bury(&c, tx.Now())
	case resource.StateDeleted:
		if tx.Now().Sub(c.Deleted) >= keepDeleted {
			store.VPNConnections.Delete(tx, c.ID)
			return
		}
	}
	if c.State == resource.StateAvailable {
		for i := range c.Routes {
			if c.Routes[i].State == resource.StatePending {
				c.Routes[i].State = resource.StateAvailable
			}
		}
	}
	store.VPNConnections.Put(tx, c.ID, c)
}

// bury leaves of a connection what AWS still lists of a deleted one: no keys,
// no telemetry, its routes deleted (vpn §1.6).
func bury(c *resource.VPNConnection, now time.Time) {
	c.State, c.Deleted = resource.StateDeleted, now
	c.Telemetry = [2]resource.TunnelTelemetry{}
	for i := range c.Tunnels {
		c.Tunnels[i].PreSharedKey = secret.Secret{}
	}
	for i := range c.Routes {
		c.Routes[i].State = resource.StateDeleted
	}
}

// A Report is what a gateway says of one tunnel.
type Report struct {
	Up     bool   // the IPsec SA is installed
	Reason string // why it is not; with a dynamic connection also why BGP is down
	Detail resource.TunnelDetail
	BGP    bool // the BGP session is established
	// Learned are the routes that the customer gateway announces and that may be
	// used, by prefix, also while it restarts gracefully.
	Learned []resource.LearnedRoute
}

// SetTelemetry writes what a gateway reports of a tunnel; tunnel is 0 or 1. The
// time of the last change moves only when the status does. A report that says
// nothing new writes nothing, and so does one of a connection that is unknown,
// deleted or about to be.
func SetTelemetry(tx *store.Tx, id resource.VPNConnectionID, tunnel int, r Report) {
	c, ok := store.VPNConnections.Get(tx, id)
	if !ok || !c.Alive() || tunnel < 0 || tunnel >= len(c.Telemetry) {
		return
	}
	t := telemetry(c, tunnel, r)
	old := c.Telemetry[tunnel]
	t.LastStatusChange = old.LastStatusChange
	if t.Status != old.Status || t.StatusMessage != old.StatusMessage {
		t.LastStatusChange = tx.Now().Truncate(time.Second)
	}
	c.Telemetry[tunnel] = t
	store.VPNConnections.Put(tx, c.ID, c)
}

// Status messages of a dynamic connection; a static one has none (vpn §1.7).
const (
	messageDown   = "IPSEC IS DOWN"
	messageUp     = "IPSEC IS UP"
	messageRoutes = "%d BGP ROUTES"
)

// telemetry is how a report of a tunnel of c reads by the rules of vpn §1.7: a
// static tunnel is UP when its SA stands, a dynamic one only when BGP does, too.
// A session whose tunnel is down is of no use, though it may take as long as its
// hold time to notice.
func telemetry(c resource.VPNConnection, tunnel int, r Report) resource.TunnelTelemetry {
	t := resource.TunnelTelemetry{OutsideIP: c.Tunnels[tunnel].OutsideIP, Status: resource.TunnelDown, CertificateARN: c.Telemetry[tunnel].CertificateARN}
	if r.Up {
		t.Detail = r.Detail
		t.Detail.InsideLocal, t.Detail.InsideRemote = c.Tunnels[tunnel].InsideLocal(), c.Tunnels[tunnel].InsideRemote()
	}
	if !r.Up || !c.StaticRoutesOnly && !r.BGP {
		t.Reason = r.Reason
	}
	switch {
	case c.StaticRoutesOnly:
		t.AcceptedRouteCount = len(c.Routes)
		if r.Up {
			t.Status = resource.TunnelUp
		}
	case r.Up && r.BGP:
		t.Status, t.Learned, t.AcceptedRouteCount = resource.TunnelUp, r.Learned, len(r.Learned)
		t.StatusMessage = fmt.Sprintf(messageRoutes, len(r.Learned))
	case r.Up:
		t.Learned = r.Learned // of a customer gateway that restarts
		t.StatusMessage = messageUp
	default:
		t.StatusMessage = messageDown
	}
	return t
}
