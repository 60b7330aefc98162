package vpn

import (
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// attachment reads what is attached to what.
func (c *cloud) attachment(id resource.VPNGatewayID) (a resource.VPNGatewayAttachment) {
	c.Helper()
	c.do(func(tx *store.Tx) error {
		g, err := DescribeVPNGateways(tx, alice, []resource.VPNGatewayID{id})
		if err == nil {
			a = g[0].Attachment
		}
		return err
	})
	return a
}

func attaching(who resource.Account, vpc resource.VPCID, id resource.VPNGatewayID) func(*store.Tx) error {
	return func(tx *store.Tx) error {
		_, err := AttachVPNGateway(tx, who, vpc, id)
		return err
	}
}

func detaching(vpc resource.VPCID, id resource.VPNGatewayID) func(*store.Tx) error {
	return func(tx *store.Tx) error { return DetachVPNGateway(tx, alice, vpc, id) }
}

func TestAGatewayAndAVPCHaveEachOtherAlone(t *testing.T) {
	c := newCloud(t)
	first, second := c.pair().gateway.ID, c.pair().gateway.ID
	c.do(attaching(alice, "vpc-1", first))
	c.refused("InvalidVpcState", attaching(alice, "vpc-1", second), "vpc-1", string(first), "one VPN gateway at a time")
	c.refused("VpnGatewayAttachmentLimitExceeded", attaching(alice, "vpc-2", first), string(first), "vpc-1", "one VPC at a time")
	c.refused("", attaching(alice, "vpc-1", first)) // again: the same attachment
	c.refused("InvalidVpcID.NotFound", attaching(alice, "vpc-b", second))
	c.refused("InvalidVpcID.NotFound", attaching(alice, "vpc-none", second))
	c.refused("InvalidVpnGatewayID.NotFound", attaching(bob, "vpc-b", first))
	c.refused("InvalidVpnGatewayAttachment.NotFound", detaching("vpc-1", second))
	c.refused("InvalidVpnGatewayAttachment.NotFound", detaching("vpc-2", first))
	c.do(attaching(alice, "vpc-2", second))
}

func TestAnAttachmentLivesThroughItsStates(t *testing.T) {
	c := newCloud(t)
	first, second := c.pair().gateway.ID, c.pair().gateway.ID
	want := func(state resource.AttachmentStatus) {
		t.Helper()
		if got := c.attachment(first).State; got != state {
			t.Errorf("attachment: got %q, want %q", got, state)
		}
	}
	c.realise()
	want("")
	c.do(attaching(alice, "vpc-1", first))
	want(resource.Attaching)
	c.realise()
	want(resource.Attached)
	c.do(detaching("vpc-1", first))
	want(resource.Detaching)
	c.refused("InvalidVpnGatewayState", attaching(alice, "vpc-2", first), "detached")
	c.refused("InvalidVpcState", attaching(alice, "vpc-1", second), "detaching")
	c.refused("IncorrectState", func(tx *store.Tx) error { return DeleteVPNGateway(tx, alice, first) })
	c.do(detaching("vpc-1", first))
	c.realise()
	want(resource.Detached)
	c.do(attaching(alice, "vpc-2", first))
	c.do(attaching(alice, "vpc-1", second))
}

func TestGatewaysInUseAreKept(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	conn := c.connect(p.input())
	c.attach(p.gateway.ID)
	deleteGateway := func(tx *store.Tx) error { return DeleteVPNGateway(tx, alice, p.gateway.ID) }
	deleteCustomer := func(tx *store.Tx) error { return DeleteCustomerGateway(tx, alice, p.customer.ID) }

	c.refused("IncorrectState", deleteGateway, "vpc-1", "detach it first")
	c.do(detaching("vpc-1", p.gateway.ID))
	c.realise()
	c.refused("DependencyViolation", deleteGateway, string(conn.ID))
	c.refused("DependencyViolation", deleteCustomer, string(conn.ID))
	c.do(func(tx *store.Tx) error { return DeleteVPNConnection(tx, alice, conn.ID) })
	c.refused("DependencyViolation", deleteGateway, string(conn.ID)) // its tunnels may still be up
	c.realise()
	c.do(deleteGateway)
	c.do(deleteCustomer)
	c.do(deleteGateway) // again, while it is going
	c.refused("InvalidVpnGatewayState", attaching(alice, "vpc-1", p.gateway.ID), "deleting")
	c.realise()
	c.refused("InvalidVpnGatewayID.NotFound", deleteGateway)
	c.refused("InvalidCustomerGatewayID.NotFound", deleteCustomer)
}

func TestAnAccountSeesOnlyItsOwn(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	conn := c.connect(p.input())
	for code, ops := range map[string][]func(*store.Tx) error{
		"InvalidCustomerGatewayID.NotFound": {
			func(tx *store.Tx) error {
				_, err := DescribeCustomerGateways(tx, bob, []resource.CustomerGatewayID{p.customer.ID})
				return err
			},
			func(tx *store.Tx) error { return DeleteCustomerGateway(tx, bob, p.customer.ID) },
			func(tx *store.Tx) error { _, err := CreateVPNConnection(tx, bob, p.input()); return err },
		},
		"InvalidVpnGatewayID.NotFound": {
			func(tx *store.Tx) error {
				_, err := DescribeVPNGateways(tx, bob, []resource.VPNGatewayID{p.gateway.ID})
				return err
			},
			func(tx *store.Tx) error { return DeleteVPNGateway(tx, bob, p.gateway.ID) },
			func(tx *store.Tx) error { return DetachVPNGateway(tx, bob, "vpc-1", p.gateway.ID) },
		},
		"InvalidVpnConnectionID.NotFound": {
			func(tx *store.Tx) error {
				_, err := DescribeVPNConnections(tx, bob, []resource.VPNConnectionID{conn.ID})
				return err
			},
			func(tx *store.Tx) error { return DeleteVPNConnection(tx, bob, conn.ID) },
			func(tx *store.Tx) error { return CreateVPNConnectionRoute(tx, bob, conn.ID, prefix("10.9.0.0/16")) },
			func(tx *store.Tx) error { return DeleteVPNConnectionRoute(tx, bob, conn.ID, prefix("10.9.0.0/16")) },
		},
	} {
		for i, op := range ops {
			t.Log(code, i)
			c.refused(code, op)
		}
	}
	c.do(func(tx *store.Tx) error {
		mine, err := DescribeVPNConnections(tx, alice, nil)
		if err != nil {
			return err
		}
		bobs, err := DescribeVPNConnections(tx, bob, nil)
		if len(mine) != 1 || len(bobs) != 0 {
			t.Errorf("connections: alice sees %d and bob %d, want 1 and 0", len(mine), len(bobs))
		}
		return err
	})
}
