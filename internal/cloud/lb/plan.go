// Package lb is the Network Load Balancer: its operations on the store, and the
// pure plan of what its nodes need of a host (pl §2).
//
// A node is a network namespace whose packet filter sends each new connection
// to one of the healthy targets, chosen by a hash, with the node's address as
// its source; client addresses are never preserved. Operations change rows and
// nothing else; MakePlan reads rows and nothing else; the host makes the plan
// true, runs the probes and hands what they find to RecordHealth. TCP only.
// internal/cloud/host, the API front and the lab call it; it never calls
// another feature.
package lb

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"seikan/internal/cloud/lb/health"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/linux/netspec"
)

// A Snapshot is every row that MakePlan needs, of one moment.
type Snapshot struct {
	LoadBalancers []resource.LoadBalancer
	Listeners     []resource.Listener
	TargetGroups  []resource.TargetGroup
	Health        []resource.TargetHealth
}

// Load reads a Snapshot.
func Load(tx *store.Tx) Snapshot {
	return Snapshot{
		LoadBalancers: store.LoadBalancers.List(tx),
		Listeners:     store.Listeners.List(tx),
		TargetGroups:  store.TargetGroups.List(tx),
		Health:        store.TargetHealths.List(tx),
	}
}

// A Cut names connections that must end: those of Namespace whose replies come
// from Target (TCP). The host deletes their connection tracking entries, and
// the node then answers what follows with RST.
type Cut struct {
	Namespace string
	Target    netip.AddrPort
}

// A Plan is what load balancing wants of a host.
type Plan struct {
	Spec   netspec.Spec
	Probes []health.Wanted // the Key of each is what RecordHealth takes
	// Cuts are the failed targets that no node sends anything to. Cutting again
	// what was cut does no harm, so a host may do it whenever it looks.
	Cuts []Cut
}

// MakePlan says what the nodes of all load balancers need. It is pure.
func MakePlan(s Snapshot) Plan {
	var p Plan
	rows := index(s)
	for _, b := range s.LoadBalancers {
		if b.State != resource.StateActive {
			continue
		}
		for _, n := range b.Nodes {
			planner{rows: rows, balancer: b, node: n}.plan(&p)
		}
	}
	p.Spec = p.Spec.Normalize()
	return p
}

// A planner plans one node of one load balancer.
type planner struct {
	rows     rows
	balancer resource.LoadBalancer
	node     resource.LoadBalancerNode
}

// plan adds the node to p: its namespace's packet filter, its probes, its cuts.
func (pl planner) plan(p *Plan) {
	var balance []netspec.NftRule
	var ports, backends []string
	probed := make(map[string]bool)
	using := make(map[netip.AddrPort]bool)
	for _, l := range pl.rows.listeners[pl.balancer.ARN] {
		g, ok := pl.rows.groups[l.TargetGroupARN]
		if !ok {
			continue
		}
		ports = append(ports, strconv.Itoa(int(l.Port)))
		reachable, chosen := pl.rows.targets(pl.balancer, pl.node, g)
		for _, t := range chosen {
			using[t.AddrPort()] = true
		}
		if text := forward(l.Port, chosen); text != "" {
			balance = append(balance, netspec.NftRule{Text: text, Comment: g.Name})
		}
		for _, t := range reachable {
			backends = append(backends, strconv.Itoa(int(t.Port)))
			// A group that several listeners use is probed once.
			if probe := pl.probe(l, g, t); !probed[probe.Key] {
				probed[probe.Key] = true
				p.Probes = append(p.Probes, probe)
			}
		}
	}
	p.Cuts = append(p.Cuts, pl.cuts(using)...)
	slices.Sort(backends)
	p.Spec.Namespaces = append(p.Spec.Namespaces, netspec.Namespace{
		Name: pl.node.Namespace,
		Sysctls: map[string]string{
			"net.ipv4.ip_forward":                                "1",
			"net.netfilter.nf_conntrack_tcp_loose":               "0",
			"net.netfilter.nf_conntrack_tcp_timeout_established": idleTimeout,
		},
		Tables: []netspec.Table{nodeTable(pl.node, balance, ports, slices.Compact(backends))},
	})
}

// probe is how the node watches target t of group g, which listener l uses.
func (pl planner) probe(l resource.Listener, g resource.TargetGroup, t resource.Target) health.Wanted {
	h, c := pl.rows.stateOf(g, t, pl.node), g.HealthCheck
	return health.Wanted{
		Probe: health.Probe{
			Key:        h.Key(),
			Namespace:  pl.node.Namespace,
			Source:     pl.node.Address,
			Target:     netip.AddrPortFrom(t.Address, cmp.Or(c.Port, t.Port)),
			Protocol:   c.Protocol,
			Path:       c.Path,
			Host:       netip.AddrPortFrom(pl.node.Address, l.Port).String(),
			Matcher:    c.Matcher,
			Interval:   c.Interval,
			Timeout:    c.Timeout,
			Thresholds: health.Thresholds{Healthy: c.HealthyThreshold, Unhealthy: c.UnhealthyThreshold},
		},
		Last: health.Status{State: h.State, Reason: h.Reason, Description: h.Description, Since: h.Since},
	}
}

// cuts lists the failed targets to which the node sends nothing. When it fails
// open it does send to them, and then nothing of it may be cut.
func (pl planner) cuts(using map[netip.AddrPort]bool) []Cut {
	var out []Cut
	for _, l := range pl.rows.listeners[pl.balancer.ARN] {
		g := pl.rows.groups[l.TargetGroupARN]
		reachable, _ := pl.rows.targets(pl.balancer, pl.node, g)
		for _, t := range reachable {
			cut := Cut{Namespace: pl.node.Namespace, Target: t.AddrPort()}
			failed := g.TerminateUnhealthy && pl.rows.stateOf(g, t, pl.node).State == resource.HealthUnhealthy
			if failed && !using[cut.Target] && !slices.Contains(out, cut) {
				out = append(out, cut)
			}
		}
	}
	return out
}

// rows are those of a Snapshot made for looking up.
type rows struct {
	listeners map[resource.LoadBalancerARN][]resource.Listener // by port
	groups    map[resource.TargetGroupARN]resource.TargetGroup
	health    map[string]resource.TargetHealth
}

func index(s Snapshot) rows {
	r := rows{
		listeners: make(map[resource.LoadBalancerARN][]resource.Listener),
		groups:    make(map[resource.TargetGroupARN]resource.TargetGroup),
		health:    make(map[string]resource.TargetHealth),
	}
	for _, l := range s.Listeners {
		r.listeners[l.LoadBalancerARN] = append(r.listeners[l.LoadBalancerARN], l)
	}
	for _, list := range r.listeners {
		slices.SortFunc(list, func(a, b resource.Listener) int { return cmp.Compare(a.Port, b.Port) })
	}
	for _, g := range s.TargetGroups {
		r.groups[g.ARN] = g
	}
	for _, h := range s.Health {
		r.health[h.Key()] = h
	}
	return r
}

// stateOf is a target's health as node n sees it.
func (r rows) stateOf(g resource.TargetGroup, t resource.Target, n resource.LoadBalancerNode) resource.TargetHealth {
	h := resource.TargetHealth{TargetGroupARN: g.ARN, TargetID: t.ID, Port: t.Port, Node: n.NetworkInterfaceID}
	if known, ok := r.health[h.Key()]; ok {
		return known
	}
	h.State, h.Reason, h.Description = resource.HealthInitial, resource.ReasonRegistering, "Target registration is in progress"
	return h
}

// targets are those of g that node n may send to, and among them those that it
// hashes over: the healthy ones or, when none is, all (fail open, pl §2.2).
func (r rows) targets(b resource.LoadBalancer, n resource.LoadBalancerNode, g resource.TargetGroup) (reachable, chosen []resource.Target) {
	for _, t := range g.Targets {
		if !b.Reaches(n, t) {
			continue
		}
		reachable = append(reachable, t)
		if r.stateOf(g, t, n).State == resource.HealthHealthy {
			chosen = append(chosen, t)
		}
	}
	if len(chosen) == 0 {
		return reachable, reachable
	}
	return reachable, chosen
}
