package lb

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Quotas (pl §2.4).
const (
	maxTargets         = 1000 // of a target group
	maxBalancerTargets = 3000 // of a load balancer, over its groups
	maxTargetGroups    = 3000 // of an account
)

// A TargetDescription names a target: an instance id or an address, as the
// group's type says.
type TargetDescription struct {
	ID   string
	Port int    // 0 is the group's port
	Zone string // "all" is needed for an address outside the VPC, and empty else
}

// RegisterTargets adds targets to a group; one that is registered already stays
// as it is. Codes: TargetGroupNotFound, InvalidTarget, TooManyTargets.
func RegisterTargets(tx *store.Tx, who resource.Account, id resource.TargetGroupARN, targets []TargetDescription) error {
	g, err := myGroup(tx, who, id)
	if err != nil {
		return err
	}
	for _, d := range targets {
		t, err := resolve(tx, g, d)
		if err != nil {
			return err
		}
		d.Port = int(t.Port)
		if !slices.ContainsFunc(g.Targets, d.names) {
			g.Targets = append(g.Targets, t)
		}
	}
	if len(g.Targets) > maxTargets {
		return resource.Errorf(codeTooManyTargets, "target group %s would have %d targets, at most %d", id, len(g.Targets), maxTargets)
	}
	if g.LoadBalancer != "" {
		if err := checkTargets(tx, g.LoadBalancer, g); err != nil {
			return err
		}
	}
	slices.SortFunc(g.Targets, func(a, b resource.Target) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Port, b.Port))
	})
	store.TargetGroups.Put(tx, id, g)
	return nil
}

// checkTargets holds the quota of a load balancer's targets, g among its
// groups. Of g, and of no other, the row may be older than g.
func checkTargets(tx *store.Tx, id resource.LoadBalancerARN, g resource.TargetGroup) error {
	n := len(g.Targets)
	for _, other := range store.TargetGroups.List(tx) {
		if other.LoadBalancer == id && other.ARN != g.ARN {
			n += len(other.Targets)
		}
	}
	if n > maxBalancerTargets {
		return resource.Errorf(codeTooManyTargets, "load balancer %s would have %d targets, at most %d", id, n, maxBalancerTargets)
	}
	return nil
}

// DeregisterTargets takes targets out of a group. New connections go to the
// others at once; those that exist go on, and nothing cuts them (pl §2.9). Codes:
// TargetGroupNotFound, InvalidTarget for one that is not registered.
func DeregisterTargets(tx *store.Tx, who resource.Account, id resource.TargetGroupARN, targets []TargetDescription) error {
	g, err := myGroup(tx, who, id)
	if err != nil {
		return err
	}
	for _, d := range targets {
		d.Port = cmp.Or(d.Port, int(g.Port))
		before := len(g.Targets)
		g.Targets = slices.DeleteFunc(g.Targets, d.names)
		if len(g.Targets) == before {
			return resource.Errorf(codeInvalidTarget, "target %s:%d is not registered with %s", d.ID, d.Port, id)
		}
		forget(tx, func(h resource.TargetHealth) bool {
			return h.TargetGroupARN == id && h.TargetID == d.ID && int(h.Port) == d.Port
		})
	}
	store.TargetGroups.Put(tx, id, g)
	return nil
}

// Tidy deregisters targets whose instance is gone: its address may soon be
// another's. The host calls it before each look; when there is none it writes
// nothing.
func Tidy(tx *store.Tx) {
	for _, g := range store.TargetGroups.List(tx) {
		if g.TargetType != resource.TargetInstance {
			continue
		}
		gone := func(t resource.Target) bool {
			i, ok := store.Instances.Get(tx, resource.InstanceID(t.ID))
			return !ok || i.PrivateIP != t.Address
		}
		for _, t := range g.Targets {
			if gone(t) {
				forget(tx, func(h resource.TargetHealth) bool {
					return h.TargetGroupARN == g.ARN && h.TargetID == t.ID && h.Port == t.Port
				})
			}
		}
		if kept := slices.DeleteFunc(slices.Clone(g.Targets), gone); len(kept) < len(g.Targets) {
			g.Targets = kept
			store.TargetGroups.Put(tx, g.ARN, g)
		}
	}
}

// names reports whether d, its port given, means t.
func (d TargetDescription) names(t resource.Target) bool {
	return t.ID == d.ID && int(t.Port) == d.Port
}

// resolve finds out where a target is.
func resolve(tx *store.Tx, g resource.TargetGroup, d TargetDescription) (resource.Target, error) {
	port := cmp.Or(d.Port, int(g.Port))
	if port < 1 || port > 65535 {
		return resource.Target{}, resource.Errorf(codeInvalidTarget, "target %s: port %d is not 1 to 65535", d.ID, port)
	}
	t := resource.Target{ID: d.ID, Port: uint16(port)}
	if g.TargetType == resource.TargetInstance {
		i, ok := store.Instances.Get(tx, resource.InstanceID(d.ID))
		if !ok || i.OwnerID != g.OwnerID || i.VPCID != g.VPCID || i.State != resource.StateRunning {
			return resource.Target{}, resource.Errorf(codeInvalidTarget, "target %s is not a running instance of %s", d.ID, g.VPCID)
		}
		t.Address, t.Zone = i.PrivateIP, i.Zone
		return t, nil
	}
	addr, err := netip.ParseAddr(d.ID)
	if err != nil || !addr.Is4() {
		return resource.Target{}, resource.Errorf(codeInvalidTarget, "target %q is not an IPv4 address", d.ID)
	}
	t.Address = addr
	for _, s := range store.Subnets.List(tx) {
		if s.VPCID != g.VPCID || !s.CIDR.Contains(addr) {
			continue
		}
		if d.Zone != "" && d.Zone != s.Zone && d.Zone != resource.ZoneAll {
			return resource.Target{}, resource.Errorf(codeInvalidTarget, "target %s: zone %q: the address is in %s", d.ID, d.Zone, s.Zone)
		}
		t.Zone = cmp.Or(d.Zone, s.Zone)
		return t, nil
	}
	if !private(addr) {
		return resource.Target{}, resource.Errorf(codeInvalidTarget, "target %s is neither in a subnet of %s nor in 10/8, 172.16/12, 192.168/16, 100.64/10", d.ID, g.VPCID)
	}
	if d.Zone != resource.ZoneAll {
		return resource.Target{}, resource.Errorf(codeInvalidTarget, "target %s is outside %s: AvailabilityZone must be %q", d.ID, g.VPCID, resource.ZoneAll)
	}
	t.Zone = resource.ZoneAll
	return t, nil
}

// private reports whether addr is of the ranges that ip targets may have
// outside the VPC (pl §2.4).
func private(addr netip.Addr) bool {
	return addr.IsPrivate() || netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10).Contains(addr)
}

// A TargetHealthDescription is one item of DescribeTargetHealth.
type TargetHealthDescription struct {
	Target          resource.Target
	HealthCheckPort string
	State           resource.HealthState
	Reason          string
	Description     string
}

// DescribeTargetHealth says how the targets of a group are: all, or those that
// are named. Where several nodes watch one target, the worst counts. Code:
// TargetGroupNotFound.
func DescribeTargetHealth(tx *store.Tx, who resource.Account, id resource.TargetGroupARN, targets ...TargetDescription) ([]TargetHealthDescription, error) {
	g, err := myGroup(tx, who, id)
	if err != nil {
		return nil, err
	}
	b, attached := store.LoadBalancers.Get(tx, g.LoadBalancer)
	known := index(Snapshot{Health: store.TargetHealths.List(tx)})
	var out []TargetHealthDescription
	for _, t := range g.Targets {
		if len(targets) > 0 && !slices.ContainsFunc(targets, func(d TargetDescription) bool {
			d.Port = cmp.Or(d.Port, int(g.Port))
			return d.names(t)
		}) {
			continue
		}
		d := TargetHealthDescription{Target: t, HealthCheckPort: strconv.Itoa(int(cmp.Or(g.HealthCheck.Port, t.Port))),
			State: resource.HealthUnused, Reason: resource.ReasonNotInUse,
			Description: "Target group is not configured to receive traffic from the load balancer"}
		if attached {
			d.Description = "Target is in an Availability Zone that is not enabled for the load balancer"
			known.worst(b, g, &d)
		}
		out = append(out, d)
	}
	return append(out, unregistered(g, targets)...), nil
}

// worst fills in the worst of what the nodes of b know of d's target.
func (r rows) worst(b resource.LoadBalancer, g resource.TargetGroup, d *TargetHealthDescription) {
	order := []resource.HealthState{resource.HealthUnused, resource.HealthHealthy, resource.HealthInitial, resource.HealthUnhealthy}
	for _, n := range b.Nodes {
		if !b.Reaches(n, d.Target) {
			continue
		}
		if h := r.stateOf(g, d.Target, n); slices.Index(order, h.State) > slices.Index(order, d.State) {
			d.State, d.Reason, d.Description = h.State, h.Reason, h.Description
		}
	}
}

// unregistered are the answers for targets that are asked for and not there.
func unregistered(g resource.TargetGroup, targets []TargetDescription) []TargetHealthDescription {
	var out []TargetHealthDescription
	for _, d := range targets {
		d.Port = cmp.Or(d.Port, int(g.Port))
		if !slices.ContainsFunc(g.Targets, d.names) {
			out = append(out, TargetHealthDescription{
				Target: resource.Target{ID: d.ID, Port: uint16(d.Port)}, State: resource.HealthUnused,
				Reason: resource.ReasonNotRegistered, Description: "Target is not registered to the target group"})
		}
	}
	return out
}
