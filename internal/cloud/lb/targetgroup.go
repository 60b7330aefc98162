package lb

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"seikan/internal/cloud/lb/health"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// CreateTargetGroupInput says what target group is wanted.
type CreateTargetGroupInput struct {
	Name        string // 1 to 32 letters, digits and hyphens
	Protocol    string // "TCP"
	Port        int    // 1 to 65535
	VPCID       resource.VPCID
	TargetType  resource.TargetType // empty is instance
	HealthCheck HealthCheckInput
	Tags        resource.Tags
}

// HealthCheckInput is how targets are to be probed; a zero field is the default
// of pl §2.8.
type HealthCheckInput struct {
	Protocol           string // "TCP" (default), "HTTP", "HTTPS"
	Port               string // "traffic-port" (default) or 1 to 65535: that port on every target
	Path               string // HTTP and HTTPS; default "/"
	Interval           time.Duration
	Timeout            time.Duration
	HealthyThreshold   int
	UnhealthyThreshold int
	Matcher            string // HTTP and HTTPS; default "200-399"
}

// CreateTargetGroup makes a target group. The same name with the same settings
// returns the one that exists. Codes: ValidationError, UnsupportedProtocol,
// DuplicateTargetGroupName, TooManyTargetGroups.
func CreateTargetGroup(tx *store.Tx, who resource.Account, in CreateTargetGroupInput) (resource.TargetGroup, error) {
	in.TargetType = cmp.Or(in.TargetType, resource.TargetInstance)
	vpc, ok := store.VPCs.Get(tx, in.VPCID)
	switch {
	case !validName(in.Name):
		return resource.TargetGroup{}, resource.Errorf(codeValidation, "Name: %q is not 1 to 32 letters, digits and hyphens without a hyphen at either end", in.Name)
	case in.Protocol != "TCP":
		return resource.TargetGroup{}, resource.Errorf(codeUnsupportedProtocol, "Protocol: %q: only TCP is offered", in.Protocol)
	case in.Port < 1 || in.Port > 65535:
		return resource.TargetGroup{}, resource.Errorf(codeValidation, "Port: %d is not 1 to 65535", in.Port)
	case in.TargetType != resource.TargetInstance && in.TargetType != resource.TargetIP:
		return resource.TargetGroup{}, resource.Errorf(codeValidation, "TargetType: %q is neither instance nor ip", in.TargetType)
	case !ok || vpc.OwnerID != who:
		return resource.TargetGroup{}, resource.Errorf(codeValidation, "VpcId: the VPC %q does not exist", in.VPCID)
	}
	check, err := parseHealthCheck(in.HealthCheck)
	if err != nil {
		return resource.TargetGroup{}, err
	}
	g := resource.TargetGroup{
		OwnerID: who, Name: in.Name, Protocol: in.Protocol, Port: uint16(in.Port), VPCID: in.VPCID,
		TargetType: in.TargetType, HealthCheck: check, TerminateUnhealthy: true, Tags: in.Tags,
	}
	count := 0
	for _, old := range store.TargetGroups.List(tx) {
		if old.OwnerID != who {
			continue
		}
		count++
		if old.Name != in.Name {
			continue
		}
		if old.Protocol == g.Protocol && old.Port == g.Port && old.VPCID == g.VPCID && old.TargetType == g.TargetType && old.HealthCheck == g.HealthCheck {
			return old, nil
		}
		return resource.TargetGroup{}, resource.Errorf(codeDuplicateGroupName, "a target group with the name %q exists with other settings", in.Name)
	}
	if count >= maxTargetGroups {
		return resource.TargetGroup{}, resource.Errorf(codeTooManyGroups, "the account has %d target groups, the most it can have", count)
	}
	g.ARN = resource.TargetGroupARN(arn(vpc.Region, who, "targetgroup/"+in.Name+"/"+hex16(tx)))
	store.TargetGroups.Put(tx, g.ARN, g)
	return g, nil
}

// parseHealthCheck fills in the defaults and checks the ranges of pl §2.8.
func parseHealthCheck(in HealthCheckInput) (resource.HealthCheck, error) {
	c := resource.HealthCheck{Protocol: cmp.Or(in.Protocol, "TCP"), Path: in.Path, Matcher: in.Matcher}
	switch c.Protocol {
	case "TCP":
		if in.Path != "" || in.Matcher != "" {
			return c, resource.Errorf(codeValidation, "HealthCheckPath, Matcher: %q, %q: only HTTP and HTTPS have them", in.Path, in.Matcher)
		}
	case "HTTP", "HTTPS":
		c.Path, c.Matcher = cmp.Or(c.Path, "/"), cmp.Or(c.Matcher, "200-399")
		if err := checkHTTP(c); err != nil {
			return c, err
		}
	default:
		return c, resource.Errorf(codeValidation, "HealthCheckProtocol: %q is none of TCP, HTTP, HTTPS", c.Protocol)
	}
	if in.Port != "" && in.Port != "traffic-port" {
		n, err := strconv.ParseUint(in.Port, 10, 16)
		if err != nil || n == 0 {
			return c, resource.Errorf(codeValidation, "HealthCheckPort: %q is neither traffic-port nor 1 to 65535", in.Port)
		}
		c.Port = uint16(n)
	}
	c.Interval = cmp.Or(in.Interval, 30*time.Second)
	timeout := 10 * time.Second
	if c.Protocol == "HTTP" {
		timeout = 6 * time.Second
	}
	c.Timeout = cmp.Or(in.Timeout, min(timeout, c.Interval))
	c.HealthyThreshold = cmp.Or(in.HealthyThreshold, 5)
	c.UnhealthyThreshold = cmp.Or(in.UnhealthyThreshold, 2)
	return c, checkRanges(c)
}

func checkHTTP(c resource.HealthCheck) error {
	if c.Path[0] != '/' || len(c.Path) > 1024 {
		return resource.Errorf(codeValidation, "HealthCheckPath: %q does not begin with / or is longer than 1024", c.Path)
	}
	for _, b := range []byte(c.Path) {
		if b <= ' ' || b > '~' {
			return resource.Errorf(codeValidation, "HealthCheckPath: %q holds a character that is not printable ASCII", c.Path)
		}
	}
	if err := health.CheckMatcher(c.Matcher); err != nil {
		return resource.Errorf(codeValidation, "Matcher.HttpCode: %v", err)
	}
	return nil
}

func checkRanges(c resource.HealthCheck) error {
	for _, r := range []struct {
		field            string
		value, low, high int
	}{
		{"HealthCheckIntervalSeconds", int(c.Interval / time.Second), 5, 300},
		{"HealthCheckTimeoutSeconds", int(c.Timeout / time.Second), 2, 120},
		{"HealthyThresholdCount", c.HealthyThreshold, 2, 10},
		{"UnhealthyThresholdCount", c.UnhealthyThreshold, 2, 10},
	} {
		if r.value < r.low || r.value > r.high {
			return resource.Errorf(codeValidation, "%s: %d is not %d to %d", r.field, r.value, r.low, r.high)
		}
	}
	if c.Interval%time.Second != 0 || c.Timeout%time.Second != 0 {
		return resource.Errorf(codeValidation, "health check interval %v and timeout %v: whole seconds", c.Interval, c.Timeout)
	}
	if c.Timeout > c.Interval {
		return resource.Errorf(codeValidation, "HealthCheckTimeoutSeconds: %v is more than the interval %v", c.Timeout, c.Interval)
	}
	return nil
}

// DescribeTargetGroupsInput chooses target groups; all empty chooses all.
type DescribeTargetGroupsInput struct {
	ARNs         []resource.TargetGroupARN
	Names        []string
	LoadBalancer resource.LoadBalancerARN
}

// DescribeTargetGroups lists who's target groups in order of their ARNs. One
// that is named and does not exist is TargetGroupNotFound.
func DescribeTargetGroups(tx *store.Tx, who resource.Account, in DescribeTargetGroupsInput) ([]resource.TargetGroup, error) {
	var out []resource.TargetGroup
	foundARN, foundName := make(map[resource.TargetGroupARN]bool), make(map[string]bool)
	all := len(in.ARNs) == 0 && len(in.Names) == 0
	for _, g := range store.TargetGroups.List(tx) {
		if g.OwnerID != who || in.LoadBalancer != "" && g.LoadBalancer != in.LoadBalancer {
			continue
		}
		if all || slices.Contains(in.ARNs, g.ARN) || slices.Contains(in.Names, g.Name) {
			foundARN[g.ARN], foundName[g.Name] = true, true
			out = append(out, g)
		}
	}
	for _, a := range in.ARNs {
		if !foundARN[a] {
			return nil, resource.Errorf(codeTargetGroupUnknown, "target group %s does not exist", a)
		}
	}
	for _, n := range in.Names {
		if !foundName[n] {
			return nil, resource.Errorf(codeTargetGroupUnknown, "target group %q does not exist", n)
		}
	}
	return out, nil
}

// DeleteTargetGroup removes a target group. One that does not exist is no error;
// one that a listener uses is ResourceInUse (pl §2.4).
func DeleteTargetGroup(tx *store.Tx, who resource.Account, id resource.TargetGroupARN) error {
	g, ok := store.TargetGroups.Get(tx, id)
	if !ok || g.OwnerID != who {
		return nil
	}
	for _, l := range store.Listeners.List(tx) {
		if l.TargetGroupARN == id {
			return resource.Errorf(codeInUse, "Target group '%s' is currently in use by a listener or a rule", id)
		}
	}
	store.TargetGroups.Delete(tx, id)
	return nil
}

// myGroup returns a target group that who owns.
func myGroup(tx *store.Tx, who resource.Account, id resource.TargetGroupARN) (resource.TargetGroup, error) {
	g, ok := store.TargetGroups.Get(tx, id)
	if !ok || g.OwnerID != who {
		return g, resource.Errorf(codeTargetGroupUnknown, "target group %s does not exist", id)
	}
	return g, nil
}
