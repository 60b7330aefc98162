package vpc

import (
	"fmt"

	"seikan/internal/cloud/resource"
)

// normalPermission checks a rule and brings it into the one form by which two
// rules are the same: host bits clear, unused ports -1.
func normalPermission(p resource.Permission) (resource.Permission, error) {
	if p.CIDR.IsValid() == (p.Group != "") {
		return p, resource.Errorf(codePermissionMalformed, "rule %s: exactly one of a CIDR and a group must be given", describePermission(p))
	}
	if p.CIDR.IsValid() {
		if !p.CIDR.Addr().Is4() {
			return p, resource.Errorf(codePermissionMalformed, "rule %s: only IPv4 is served", describePermission(p))
		}
		p.CIDR = p.CIDR.Masked()
	}
	low, high := 0, 65535
	switch p.Protocol {
	case resource.AllProtocols:
		p.FromPort, p.ToPort = -1, -1 // AWS ignores ports here too
		return p, nil
	case resource.TCP, resource.UDP:
		if p.FromPort > p.ToPort {
			return p, resource.Errorf(codePermissionMalformed, "rule %s: the first port is above the last", describePermission(p))
		}
	case resource.ICMP:
		low, high = -1, 255
		if p.FromPort == -1 && p.ToPort != -1 {
			return p, resource.Errorf(codePermissionMalformed, "rule %s: an ICMP code needs a type", describePermission(p))
		}
	default:
		return p, resource.Errorf(codePermissionMalformed, "rule %s: the protocol must be tcp, udp, icmp or -1", describePermission(p))
	}
	for _, n := range []int{p.FromPort, p.ToPort} {
		if n < low || n > high {
			return p, resource.Errorf(codePermissionMalformed, "rule %s: %d is not in %d to %d", describePermission(p), n, low, high)
		}
	}
	return p, nil
}

// describePermission is a rule in words for an error.
func describePermission(p resource.Permission) string {
	peer := string(p.Group)
	if p.CIDR.IsValid() {
		peer = p.CIDR.String()
	}
	return fmt.Sprintf("%s %d-%d %s", p.Protocol, p.FromPort, p.ToPort, peer)
}
