package lb

import (
	"strconv"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Attributes of a load balancer that can be set (pl §2.11).
const (
	AttributeCrossZone          = "load_balancing.cross_zone.enabled"
	AttributeDeletionProtection = "deletion_protection.enabled"
)

// ModifyLoadBalancerAttributes sets attributes, whose values are strings, and
// returns all of them. An attribute that is not offered is a ValidationError
// whose text clients match: "… is not supported".
func ModifyLoadBalancerAttributes(tx *store.Tx, who resource.Account, id resource.LoadBalancerARN, set map[string]string) (map[string]string, error) {
	b, err := mine(tx, who, id)
	if err != nil {
		return nil, err
	}
	for key, value := range set {
		on, err := strconv.ParseBool(value)
		switch {
		case key != AttributeCrossZone && key != AttributeDeletionProtection:
			return nil, resource.Errorf(codeValidation, "Load balancer attribute key '%s' is not supported", key)
		case err != nil:
			return nil, resource.Errorf(codeValidation, "attribute %s: %q is neither true nor false", key, value)
		case key == AttributeCrossZone:
			b.CrossZone = on
		default:
			b.DeletionProtection = on
		}
	}
	store.LoadBalancers.Put(tx, id, b)
	return attributes(b), nil
}

// DescribeLoadBalancerAttributes returns the attributes that can be set.
func DescribeLoadBalancerAttributes(tx *store.Tx, who resource.Account, id resource.LoadBalancerARN) (map[string]string, error) {
	b, err := mine(tx, who, id)
	if err != nil {
		return nil, err
	}
	return attributes(b), nil
}

func attributes(b resource.LoadBalancer) map[string]string {
	return map[string]string{
		AttributeCrossZone:          strconv.FormatBool(b.CrossZone),
		AttributeDeletionProtection: strconv.FormatBool(b.DeletionProtection),
	}
}
