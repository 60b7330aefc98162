package vpc_test

import (
	"fmt"
	"testing"

	"seikan/internal/cloud/ipam"
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
	"seikan/internal/cloud/vpc"
)

func ssh(cidr string) resource.Permission {
	return resource.Permission{Protocol: resource.TCP, FromPort: 22, ToPort: 22, CIDR: block(cidr)}
}

func TestRulesAreCheckedAndNeverDouble(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		other := newNetwork(t, tx, "10.9.0.0/16", "10.9.1.0/24")
		g := n.vpc.DefaultGroup
		any4 := block("0.0.0.0/0")
		const bad = "InvalidPermission.Malformed"
		for _, test := range []struct {
			rule resource.Permission
			code string
		}{
			{ssh("192.168.1.0/24"), ""},
			{ssh("192.168.1.9/24"), "InvalidPermission.Duplicate"}, // host bits do not count
			{resource.Permission{Protocol: resource.TCP, FromPort: 22, ToPort: 22}, bad},
			{resource.Permission{Protocol: resource.TCP, FromPort: 22, ToPort: 22, CIDR: any4, Group: g}, bad},
			{resource.Permission{Protocol: resource.TCP, FromPort: 23, ToPort: 22, CIDR: any4}, bad},
			{resource.Permission{Protocol: resource.UDP, FromPort: -1, ToPort: 22, CIDR: any4}, bad},
			{resource.Permission{Protocol: resource.UDP, FromPort: 0, ToPort: 65536, CIDR: any4}, bad},
			{resource.Permission{Protocol: resource.ICMP, FromPort: -1, ToPort: 0, CIDR: any4}, bad},
			{resource.Permission{Protocol: resource.ICMP, FromPort: 8, ToPort: -1, CIDR: any4}, ""},
			{resource.Permission{Protocol: resource.ICMP, FromPort: 256, ToPort: -1, CIDR: any4}, bad},
			{resource.Permission{Protocol: "sctp", CIDR: any4}, bad},
			{resource.Permission{Protocol: resource.AllProtocols, FromPort: 7, ToPort: 9, CIDR: any4}, ""},
			{resource.Permission{Protocol: resource.AllProtocols, CIDR: any4}, "InvalidPermission.Duplicate"},
			{resource.Permission{Protocol: resource.TCP, ToPort: 80, CIDR: block("fd00::/8")}, bad},
			{resource.Permission{Protocol: resource.TCP, ToPort: 80, Group: other.vpc.DefaultGroup}, "InvalidGroup.NotFound"},
			{resource.Permission{Protocol: resource.TCP, ToPort: 80, Group: g}, ""},
		} {
			wantCode(t, fmt.Sprintf("%+v", test.rule), vpc.AuthorizeSecurityGroupIngress(tx, alice, g, test.rule), test.code)
		}
		wantCode(t, "revoke unknown", vpc.RevokeSecurityGroupIngress(tx, alice, g, ssh("1.1.1.1/32")), "InvalidPermission.NotFound")
		check(t, vpc.RevokeSecurityGroupIngress(tx, alice, g, ssh("192.168.1.0/24")))
		check(t, vpc.RevokeSecurityGroupEgress(tx, alice, g, resource.Permission{Protocol: resource.AllProtocols, CIDR: any4}))
		row := must[[]resource.SecurityGroup](t)(vpc.DescribeSecurityGroups(tx, alice, g))[0]
		if len(row.Ingress) != 4 || len(row.Egress) != 0 {
			t.Errorf("rules left: got %d in, %d out, want 4 and 0", len(row.Ingress), len(row.Egress))
		}
	})
}

func TestAFailedAuthorizeAddsNothing(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		g := n.vpc.DefaultGroup
		err := vpc.AuthorizeSecurityGroupIngress(tx, alice, g, ssh("1.1.1.1/32"), ssh("1.1.1.1/32"))
		wantCode(t, "the same rule twice in one request", err, "InvalidPermission.Duplicate")
		if row := must[[]resource.SecurityGroup](t)(vpc.DescribeSecurityGroups(tx, alice, g))[0]; len(row.Ingress) != 1 {
			t.Errorf("ingress: got %v, want the first rule alone", row.Ingress)
		}
	})
}

func TestGroupsHaveNamesAndLimits(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		create := func(name string) (resource.SecurityGroup, error) {
			return vpc.CreateSecurityGroup(tx, alice, vpc.CreateSecurityGroupInput{VPCID: n.vpc.ID, GroupName: name})
		}
		g := must[resource.SecurityGroup](t)(create("web"))
		_, err := create("web")
		wantCode(t, "same name", err, "InvalidGroup.Duplicate")
		_, err = create("default")
		wantCode(t, "reserved name", err, "InvalidParameterValue")
		wantCode(t, "delete default", vpc.DeleteSecurityGroup(tx, alice, n.vpc.DefaultGroup), "CannotDelete")

		check(t, vpc.AuthorizeSecurityGroupEgress(tx, alice, n.vpc.DefaultGroup, resource.Permission{Protocol: resource.TCP, ToPort: 80, Group: g.ID}))
		wantCode(t, "delete a group that another names", vpc.DeleteSecurityGroup(tx, alice, g.ID), "DependencyViolation")

		for i := range 61 {
			code := ""
			if i == 60 {
				code = "RulesPerSecurityGroupLimitExceeded"
			}
			wantCode(t, fmt.Sprint("rule ", i), vpc.AuthorizeSecurityGroupIngress(tx, alice, g.ID, ssh(fmt.Sprintf("192.168.%d.0/24", i))), code)
		}

		i := run(t, tx, n.subnet.ID)
		for name, groups := range map[string][]resource.SecurityGroupID{
			"SecurityGroupsPerInterfaceLimitExceeded": {g.ID, g.ID, g.ID, g.ID, g.ID, g.ID},
			"InvalidParameterValue":                   {g.ID, g.ID},
			"InvalidGroup.NotFound":                   {"sg-none"},
			"":                                        {g.ID},
		} {
			wantCode(t, fmt.Sprint(groups), vpc.ModifyNetworkInterfaceGroups(tx, alice, i.NetworkInterfaceID, groups), name)
		}
		if row := must[[]resource.Instance](t)(vpc.DescribeInstances(tx, alice, i.ID))[0]; len(row.Groups) != 1 || row.Groups[0] != g.ID {
			t.Errorf("the instance's groups: got %v, want %s", row.Groups, g.ID)
		}
	})
}

func TestAServicesInterfaceRefusesItsOwner(t *testing.T) {
	in(t, open(t), func(tx *store.Tx) {
		n := newNetwork(t, tx, "10.0.0.0/16", "10.0.1.0/24")
		eni := must[resource.NetworkInterface](t)(ipam.Create(tx, ipam.Request{
			Owner: alice, SubnetID: n.subnet.ID, RequesterID: "amazon-elb", Type: resource.InterfaceLoadBalancer,
			Description: "ELB net/x/0123456789abcdef", Namespace: "node",
		}))
		if eni.Status != resource.InterfaceInUse || eni.Attachment.InstanceOwnerID != "amazon-elb" || eni.Attachment.Status != resource.Attached {
			t.Errorf("attachment: got %+v, %s, want attached by amazon-elb", eni.Attachment, eni.Status)
		}
		wantCode(t, "delete", vpc.DeleteNetworkInterface(tx, alice, eni.ID), "OperationNotPermitted")
		wantCode(t, "modify", vpc.ModifyNetworkInterfaceGroups(tx, alice, eni.ID, nil), "OperationNotPermitted")
		if all := must[[]resource.NetworkInterface](t)(vpc.DescribeNetworkInterfaces(tx, alice)); len(all) != 1 {
			t.Errorf("described: got %d interfaces, want 1", len(all))
		}
		free := must[resource.NetworkInterface](t)(vpc.CreateNetworkInterface(tx, alice, vpc.CreateNetworkInterfaceInput{SubnetID: n.subnet.ID}))
		if free.Status != resource.InterfaceAvailable {
			t.Errorf("a user's interface: got %s, want available", free.Status)
		}
		check(t, vpc.DeleteNetworkInterface(tx, alice, free.ID))
		if got, want := ipam.Free(tx, n.subnet), 256-5-1; got != want {
			t.Errorf("Free: got %d, want %d", got, want)
		}
	})
}
