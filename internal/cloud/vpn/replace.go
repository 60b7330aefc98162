package vpn

import (
	"net/netip"
	"time"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

const (
	// drainFor is how long an endpoint is emptied before it is replaced: the
	// peers' BGP has heard of the other tunnel's lower MED long before, and flows
	// have gone over.
	drainFor = 5 * time.Second
	// returnWithin is how long traffic is kept off a tunnel that does not come up
	// after its endpoint was replaced: a peer that waits may never call.
	returnWithin = 10 * time.Minute
)

// MEDs of a dynamic connection's announcements. AWS lowers the MED that it sends
// by the other tunnel while one is updated (vpn §3.6); its own default counts as
// 100 (vpn §4.2).
const (
	normalMED  = 100
	loweredMED = 50
)

// MED is what the cloud's end announces with each prefix by tunnel i of c: lower
// than else while traffic is kept off the other tunnel.
func MED(c resource.VPNConnection, i int) uint32 {
	if c.Endpoints[1-i].Busy() && !c.Endpoints[i].Busy() {
		return loweredMED
	}
	return normalMED
}

// ReplaceVPNTunnelInput names a tunnel.
type ReplaceVPNTunnelInput struct {
	ID        resource.VPNConnectionID
	OutsideIP netip.Addr // VpnTunnelOutsideIpAddress
	// ApplyPendingMaintenance also does what maintenance is pending.
	ApplyPendingMaintenance bool
}

// ReplaceVPNTunnel replaces the endpoint of one tunnel: its traffic goes to the
// other tunnel first, then it is built anew, and traffic may come back when it is
// up. One tunnel of a connection at a time. Codes: those of
// ModifyVPNTunnelOptions.
func ReplaceVPNTunnel(tx *store.Tx, who resource.Account, in ReplaceVPNTunnelInput) error {
	c, err := modifiable(tx, who, in.ID)
	if err != nil {
		return err
	}
	i, err := tunnelAt(c, in.OutsideIP)
	if err != nil {
		return err
	}
	if c.Endpoints[1-i].Busy() {
		return resource.Errorf(codeConcurrentMutation, "the endpoint of the other tunnel of %s, %v, has been replaced and is not back; replace one at a time", in.ID, c.Tunnels[1-i].OutsideIP)
	}
	if in.ApplyPendingMaintenance {
		c.Endpoints[i].Maintenance.Pending = false
		c.Endpoints[i].Maintenance.LastApplied = tx.Now()
		c.Endpoints[i].Maintenance.AppliedAfter = time.Time{}
	}
	c.Endpoints[i].Draining = tx.Now()
	store.VPNConnections.Put(tx, c.ID, c)
	return nil
}

// GetVPNTunnelReplacementStatus tells of the maintenance of one tunnel. Codes:
// InvalidVpnConnectionID.NotFound, MissingParameter, InvalidParameterValue.
func GetVPNTunnelReplacementStatus(tx *store.Tx, who resource.Account, id resource.VPNConnectionID, outside netip.Addr) (resource.Maintenance, error) {
	c, err := store.Find(tx, store.VPNConnections, who, id, codeVPNConnectionNotFound)
	if err != nil {
		return resource.Maintenance{}, err
	}
	i, err := tunnelAt(c, outside)
	return c.Endpoints[i].Maintenance, err
}

// ScheduleMaintenance is how whoever runs the cloud asks for a new endpoint. With
// lifecycle control it is pending until deadline, for the owner to apply;
// without, or when it is critical, it is due at once. Either way no two tunnels
// of a connection are replaced at a time. Codes: those of
// GetVPNTunnelReplacementStatus; InvalidVpnConnection.InvalidState.
func ScheduleMaintenance(tx *store.Tx, who resource.Account, in MaintenanceInput) error {
	c, err := store.Find(tx, store.VPNConnections, who, in.ID, codeVPNConnectionNotFound)
	if err != nil {
		return err
	}
	i, err := tunnelAt(c, in.OutsideIP)
	if err != nil {
		return err
	}
	if !c.Alive() {
		return resource.Errorf(codeVPNConnectionState, "the VPN connection %s is %s, not available", in.ID, c.State)
	}
	m := &c.Endpoints[i].Maintenance
	m.Pending, m.AppliedAfter = true, tx.Now()
	if c.Tunnels[i].LifecycleControl && !in.Critical {
		m.AppliedAfter = in.Deadline.UTC()
	}
	store.VPNConnections.Put(tx, c.ID, c)
	return nil
}

// A MaintenanceInput is the maintenance of one tunnel.
type MaintenanceInput struct {
	ID        resource.VPNConnectionID
	OutsideIP netip.Addr
	Deadline  time.Time // when it is applied at the latest; only with lifecycle control
	Critical  bool      // do not wait for the owner
}

// Advance carries the replacement of endpoints on: due maintenance begins to
// drain its tunnel, a drained tunnel gets its new endpoint, and one that is up
// again gets its traffic back. It also renews the certificates of the cloud's ends
// that end soon. It returns when to call it again, 0 for not. The host calls it
// before each look; when nothing is under way it writes nothing.
func Advance(tx *store.Tx) (again time.Duration) {
	now := tx.Now()
	soon := func(at time.Time) {
		if wait := max(at.Sub(now), time.Millisecond); again == 0 || wait < again {
			again = wait
		}
	}
	for _, c := range store.VPNConnections.List(tx) {
		if !c.Alive() {
			continue
		}
		for i := range c.Endpoints {
			if at := advance(&c, i, now); !at.IsZero() {
				soon(at)
			}
		}
		store.VPNConnections.Put(tx, c.ID, c)
	}
	if at := renewDue(tx); !at.IsZero() {
		soon(at)
	}
	return again
}

// advance carries tunnel i on and returns when there will be more to do; zero
// when something else must happen first.
func advance(c *resource.VPNConnection, i int, now time.Time) time.Time {
	e, other := &c.Endpoints[i], c.Endpoints[1-i]
	if m := &e.Maintenance; m.Pending && !e.Busy() && c.State == resource.StateAvailable {
		switch {
		case now.Before(m.AppliedAfter):
			return m.AppliedAfter
		case other.Busy():
			return time.Time{} // its end is a change that brings us back
		}
		*m = resource.Maintenance{LastApplied: now}
		e.Draining = now
	}
	if !e.Draining.IsZero() {
		if end := e.Draining.Add(drainFor); now.Before(end) {
			return end
		}
		e.Draining, e.Replaced, e.Returning = time.Time{}, now, true
		e.Generation++
	}
	if !e.Returning {
		return time.Time{}
	}
	t := c.Telemetry[i]
	back := t.Status == resource.TunnelUp && t.Detail.Generation == e.Generation
	end := e.Replaced.Add(returnWithin)
	if back || !now.Before(end) {
		e.Returning = false
		return time.Time{}
	}
	return end
}
