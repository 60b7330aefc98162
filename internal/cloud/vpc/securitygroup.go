package vpc

import (
	"net/netip"
	"slices"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// defaultGroup is the name of the group that every VPC has.
const defaultGroup = "default"

// maxPermissions is the number of rules of a group in one direction (pl §4.3).
const maxPermissions = 60

// Codes that only security groups answer.
const (
	codeGroupDuplicate      = "InvalidGroup.Duplicate"
	codeGroupCannotDelete   = "CannotDelete"
	codePermissionDuplicate = "InvalidPermission.Duplicate"
	codePermissionNotFound  = "InvalidPermission.NotFound"
	codePermissionMalformed = "InvalidPermission.Malformed"
	codePermissionLimit     = "RulesPerSecurityGroupLimitExceeded"
)

// CreateSecurityGroupInput is the request of CreateSecurityGroup.
type CreateSecurityGroupInput struct {
	VPCID       resource.VPCID
	GroupName   string // 1 to 255 bytes, unique in the VPC, not "default"
	Description string
	Tags        resource.Tags
}

// CreateSecurityGroup makes a group that lets nothing in and everything out.
// It answers InvalidGroup.Duplicate and InvalidParameterValue.
func CreateSecurityGroup(tx *store.Tx, who resource.Account, in CreateSecurityGroupInput) (resource.SecurityGroup, error) {
	v, err := store.Find(tx, store.VPCs, who, in.VPCID, resource.CodeVPCNotFound)
	if err != nil {
		return resource.SecurityGroup{}, err
	}
	if in.GroupName == "" || len(in.GroupName) > 255 || in.GroupName == defaultGroup {
		return resource.SecurityGroup{}, resource.Errorf(resource.CodeInvalidParameterValue, "GroupName: %q must have 1 to 255 bytes and not be %q", in.GroupName, defaultGroup)
	}
	for _, g := range store.SecurityGroups.List(tx) {
		if g.VPCID == v.ID && g.Name == in.GroupName {
			return resource.SecurityGroup{}, resource.Errorf(codeGroupDuplicate, "GroupName: %q is the name of %s in %s already", in.GroupName, g.ID, v.ID)
		}
	}
	g := resource.SecurityGroup{
		ID: resource.SecurityGroupID(tx.NewID("sg")), OwnerID: who, VPCID: v.ID,
		Name: in.GroupName, Description: in.Description,
		Egress: []resource.Permission{allEgress()}, Tags: in.Tags,
	}
	store.SecurityGroups.Put(tx, g.ID, g)
	return g, nil
}

// allEgress is the rule that a new group has: everything to everywhere.
func allEgress() resource.Permission {
	return resource.Permission{Protocol: resource.AllProtocols, FromPort: -1, ToPort: -1, CIDR: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
}

// A direction is one of the two lists of a group.
type direction func(*resource.SecurityGroup) *[]resource.Permission

func ingress(g *resource.SecurityGroup) *[]resource.Permission { return &g.Ingress }
func egress(g *resource.SecurityGroup) *[]resource.Permission  { return &g.Egress }

// AuthorizeSecurityGroupIngress adds rules to what may reach the members. All
// or none are added: InvalidPermission.Duplicate for one that is there,
// InvalidPermission.Malformed for one that makes no sense, InvalidGroup.NotFound
// for one that names a group outside the VPC.
func AuthorizeSecurityGroupIngress(tx *store.Tx, who resource.Account, id resource.SecurityGroupID, rules ...resource.Permission) error {
	return authorize(tx, who, id, ingress, rules)
}

// AuthorizeSecurityGroupEgress is AuthorizeSecurityGroupIngress for what may
// leave the members.
func AuthorizeSecurityGroupEgress(tx *store.Tx, who resource.Account, id resource.SecurityGroupID, rules ...resource.Permission) error {
	return authorize(tx, who, id, egress, rules)
}

// RevokeSecurityGroupIngress removes rules, all or none:
// InvalidPermission.NotFound.
func RevokeSecurityGroupIngress(tx *store.Tx, who resource.Account, id resource.SecurityGroupID, rules ...resource.Permission) error {
	return revoke(tx, who, id, ingress, rules)
}

// RevokeSecurityGroupEgress is RevokeSecurityGroupIngress for what may leave.
func RevokeSecurityGroupEgress(tx *store.Tx, who resource.Account, id resource.SecurityGroupID, rules ...resource.Permission) error {
	return revoke(tx, who, id, egress, rules)
}

func authorize(tx *store.Tx, who resource.Account, id resource.SecurityGroupID, dir direction, rules []resource.Permission) error {
	g, err := store.Find(tx, store.SecurityGroups, who, id, resource.CodeGroupNotFound)
	if err != nil {
		return err
	}
	list := dir(&g)
	for _, rule := range rules {
		rule, err := normalPermission(rule)
		if err != nil {
			return err
		}
		if rule.Group != "" {
			if other, ok := store.SecurityGroups.Get(tx, rule.Group); !ok || other.VPCID != g.VPCID {
				return resource.Errorf(resource.CodeGroupNotFound, "the security group %s does not exist in %s", rule.Group, g.VPCID)
			}
		}
		if slices.Contains(*list, rule) {
			return resource.Errorf(codePermissionDuplicate, "the group %s has the rule %s already", id, describePermission(rule))
		}
		*list = append(*list, rule)
	}
	if len(*list) > maxPermissions {
		return resource.Errorf(codePermissionLimit, "the group %s would have %d rules, at most %d a direction", id, len(*list), maxPermissions)
	}
	store.SecurityGroups.Put(tx, id, g)
	return nil
}

func revoke(tx *store.Tx, who resource.Account, id resource.SecurityGroupID, dir direction, rules []resource.Permission) error {
	g, err := store.Find(tx, store.SecurityGroups, who, id, resource.CodeGroupNotFound)
	if err != nil {
		return err
	}
	list := dir(&g)
	for _, rule := range rules {
		rule, err := normalPermission(rule)
		if err != nil {
			return err
		}
		at := slices.Index(*list, rule)
		if at < 0 {
			return resource.Errorf(codePermissionNotFound, "the group %s has no rule %s", id, describePermission(rule))
		}
		*list = slices.Delete(*list, at, at+1)
	}
	store.SecurityGroups.Put(tx, id, g)
	return nil
}

// DescribeSecurityGroups returns the groups of ids, or all of who;
// InvalidGroup.NotFound.
func DescribeSecurityGroups(tx *store.Tx, who resource.Account, ids ...resource.SecurityGroupID) ([]resource.SecurityGroup, error) {
	return store.Describe(tx, store.SecurityGroups, who, ids, resource.CodeGroupNotFound)
}

// DeleteSecurityGroup removes a group that no interface carries and no other
// group names (DependencyViolation). The default group stays (CannotDelete).
func DeleteSecurityGroup(tx *store.Tx, who resource.Account, id resource.SecurityGroupID) error {
	g, err := store.Find(tx, store.SecurityGroups, who, id, resource.CodeGroupNotFound)
	if err != nil {
		return err
	}
	if g.Name == defaultGroup {
		return resource.Errorf(codeGroupCannotDelete, "the group %s is the default group of %s", id, g.VPCID)
	}
	for _, eni := range store.NetworkInterfaces.List(tx) {
		if slices.Contains(eni.Groups, id) {
			return inUse("security group", id, eni.ID)
		}
	}
	names := func(p resource.Permission) bool { return p.Group == id }
	for _, other := range store.SecurityGroups.List(tx) {
		if other.ID != id && (slices.ContainsFunc(other.Ingress, names) || slices.ContainsFunc(other.Egress, names)) {
			return inUse("security group", id, other.ID)
		}
	}
	store.SecurityGroups.Delete(tx, id)
	return nil
}
