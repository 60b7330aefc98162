package lb

import (
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// maxListeners is the quota of a load balancer (pl §2.3).
const maxListeners = 50

// CreateListenerInput says what listener is wanted.
type CreateListenerInput struct {
	LoadBalancerARN resource.LoadBalancerARN
	Protocol        string // "TCP"
	Port            int    // 1 to 65535
	TargetGroupARN  resource.TargetGroupARN
	Tags            resource.Tags
}

// CreateListener forwards one port of a load balancer to a target group, whose
// targets are probed from then on. Codes: LoadBalancerNotFound,
// TargetGroupNotFound, UnsupportedProtocol, ValidationError, DuplicateListener,
// TooManyListeners, TooManyTargets, InvalidConfigurationRequest,
// TargetGroupAssociationLimit.
func CreateListener(tx *store.Tx, who resource.Account, in CreateListenerInput) (resource.Listener, error) {
	b, err := mine(tx, who, in.LoadBalancerARN)
	if err != nil {
		return resource.Listener{}, err
	}
	g, err := myGroup(tx, who, in.TargetGroupARN)
	if err != nil {
		return resource.Listener{}, err
	}
	switch {
	case in.Protocol != "TCP":
		return resource.Listener{}, resource.Errorf(codeUnsupportedProtocol, "Protocol: %q: only TCP is offered", in.Protocol)
	case in.Port < 1 || in.Port > 65535:
		return resource.Listener{}, resource.Errorf(codeValidation, "Port: %d is not 1 to 65535", in.Port)
	case g.VPCID != b.VPCID:
		return resource.Listener{}, resource.Errorf(codeInvalidConfig, "target group %s is of %s, the load balancer of %s", g.ARN, g.VPCID, b.VPCID)
	case g.LoadBalancer != "" && g.LoadBalancer != b.ARN:
		return resource.Listener{}, resource.Errorf(codeAssociationLimit, "target group %s serves another load balancer: at most one", g.ARN)
	}
	count := 0
	for _, l := range store.Listeners.List(tx) {
		if l.LoadBalancerARN != b.ARN {
			continue
		}
		if int(l.Port) == in.Port {
			return resource.Listener{}, resource.Errorf(codeDuplicateListener, "a listener on port %d exists already: %s", in.Port, l.ARN)
		}
		count++
	}
	if count >= maxListeners {
		return resource.Listener{}, resource.Errorf(codeTooManyListeners, "load balancer %s has %d listeners, the most it can have", b.ARN, count)
	}
	if err := checkTargets(tx, b.ARN, g); err != nil {
		return resource.Listener{}, err
	}
	l := resource.Listener{
		ARN:     resource.ListenerARN(arn(b.Region, who, "listener/net/"+b.Name+"/"+b.Hex+"/"+hex16(tx))),
		OwnerID: who, LoadBalancerARN: b.ARN, Protocol: in.Protocol, Port: uint16(in.Port), TargetGroupARN: g.ARN, Tags: in.Tags,
	}
	store.Listeners.Put(tx, l.ARN, l)
	g.LoadBalancer = b.ARN
	store.TargetGroups.Put(tx, g.ARN, g)
	return l, nil
}

// DescribeListeners lists the listeners of a load balancer by port or, when ids
// are given, those. Codes: LoadBalancerNotFound, ListenerNotFound.
func DescribeListeners(tx *store.Tx, who resource.Account, of resource.LoadBalancerARN, ids ...resource.ListenerARN) ([]resource.Listener, error) {
	if of != "" {
		if _, err := mine(tx, who, of); err != nil {
			return nil, err
		}
	}
	var out []resource.Listener
	for _, l := range store.Listeners.List(tx) {
		if l.OwnerID == who && (of == "" || l.LoadBalancerARN == of) && (len(ids) == 0 || slices.Contains(ids, l.ARN)) {
			out = append(out, l)
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(out, func(l resource.Listener) bool { return l.ARN == id }) {
			return nil, resource.Errorf(codeListenerUnknown, "listener %s does not exist", id)
		}
	}
	slices.SortFunc(out, func(a, b resource.Listener) int { return int(a.Port) - int(b.Port) })
	return out, nil
}

// DeleteListener removes a listener. Code: ListenerNotFound.
func DeleteListener(tx *store.Tx, who resource.Account, id resource.ListenerARN) error {
	l, ok := store.Listeners.Get(tx, id)
	if !ok || l.OwnerID != who {
		return resource.Errorf(codeListenerUnknown, "listener %s does not exist", id)
	}
	removeListener(tx, l)
	return nil
}

// removeListener removes l and, when it was the last to use its target group,
// frees the group: nobody probes it any more, and what was known is forgotten.
func removeListener(tx *store.Tx, l resource.Listener) {
	store.Listeners.Delete(tx, l.ARN)
	for _, other := range store.Listeners.List(tx) {
		if other.TargetGroupARN == l.TargetGroupARN {
			return
		}
	}
	g, ok := store.TargetGroups.Get(tx, l.TargetGroupARN)
	if !ok {
		return
	}
	g.LoadBalancer = ""
	store.TargetGroups.Put(tx, g.ARN, g)
	forget(tx, func(h resource.TargetHealth) bool { return h.TargetGroupARN == g.ARN })
}

// forget drops what is known of targets.
func forget(tx *store.Tx, which func(resource.TargetHealth) bool) {
	for _, h := range store.TargetHealths.List(tx) {
		if which(h) {
			store.TargetHealths.Delete(tx, h.Key())
		}
	}
}
