package lb

import (
	"slices"
	"strings"

	"seikan/internal/cloud/lb/health"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// RecordHealth writes what a probe of a Plan found out; key is the probe's.
// When the target has just failed it returns which connections the host must
// cut now, even if the node has no other target left and fails open. A target
// that nobody has any more, or a key that no plan gave, is ignored: the result
// came too late.
func RecordHealth(tx *store.Tx, key string, s health.Status) []Cut {
	g, t, node, ok := find(tx, key)
	if !ok {
		return nil
	}
	h := resource.TargetHealth{TargetGroupARN: g.ARN, TargetID: t.ID, Port: t.Port, Node: node.NetworkInterfaceID,
		State: s.State, Reason: s.Reason, Description: s.Description, Since: s.Since}
	before, _ := store.TargetHealths.Get(tx, key)
	store.TargetHealths.Put(tx, key, h)
	if h.State != resource.HealthUnhealthy || before.State == resource.HealthUnhealthy || !g.TerminateUnhealthy {
		return nil
	}
	return []Cut{{Namespace: node.Namespace, Target: t.AddrPort()}}
}

// find returns what the key of a TargetHealth row means today.
func find(tx *store.Tx, key string) (resource.TargetGroup, resource.Target, resource.LoadBalancerNode, bool) {
	group, _, _ := strings.Cut(key, "|")
	g, ok := store.TargetGroups.Get(tx, resource.TargetGroupARN(group))
	if !ok {
		return g, resource.Target{}, resource.LoadBalancerNode{}, false
	}
	b, _ := store.LoadBalancers.Get(tx, g.LoadBalancer)
	for _, n := range b.Nodes {
		i := slices.IndexFunc(g.Targets, func(t resource.Target) bool {
			h := resource.TargetHealth{TargetGroupARN: g.ARN, TargetID: t.ID, Port: t.Port, Node: n.NetworkInterfaceID}
			return h.Key() == key && b.Reaches(n, t)
		})
		if i >= 0 {
			return g, g.Targets[i], n, true
		}
	}
	return g, resource.Target{}, resource.LoadBalancerNode{}, false
}
