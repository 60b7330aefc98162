package vpn

import (
	"fmt"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

func TestQuotasHold(t *testing.T) {
	c := newCloud(t)
	var gateways []resource.VPNGateway
	var customers []resource.CustomerGateway
	c.do(func(tx *store.Tx) error {
		for range maxVPNGateways {
			g, err := CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: "ipsec.1"})
			if err != nil {
				return err
			}
			gateways = append(gateways, g)
		}
		for i := range maxCustomerGateways {
			g, err := CreateCustomerGateway(tx, alice, customerInput(fmt.Sprintf("198.51.100.%d", i+1)))
			if err != nil {
				return err
			}
			customers = append(customers, g)
		}
		var more []string
		for i := range 2 * (maxConnectionsPerGateway + 1) {
			more = append(more, fmt.Sprintf("203.0.113.%d", 100+i))
		}
		putPool(tx, "edge", more...) // a gateway has all its addresses of one pool
		for i := range maxConnectionsPerGateway {
			if err := creating(CreateVPNConnectionInput{Type: "ipsec.1", StaticRoutesOnly: true, CustomerGatewayID: customers[i].ID, VPNGatewayID: gateways[0].ID})(tx); err != nil {
				return err
			}
		}
		return nil
	})
	another := func(gateway, customer int) func(*store.Tx) error {
		return creating(CreateVPNConnectionInput{Type: "ipsec.1", StaticRoutesOnly: true, CustomerGatewayID: customers[customer].ID, VPNGatewayID: gateways[gateway].ID})
	}
	c.refused("VpnConnectionLimitExceeded", another(0, 10), string(gateways[0].ID), "10")
	c.refused("VpnGatewayLimitExceeded", func(tx *store.Tx) error {
		_, err := CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: "ipsec.1"})
		return err
	}, "5")
	c.refused("CustomerGatewayLimitExceeded", func(tx *store.Tx) error {
		_, err := CreateCustomerGateway(tx, alice, customerInput("198.51.100.200"))
		return err
	}, "50")
	c.do(func(tx *store.Tx) error {
		if _, err := CreateVPNGateway(tx, bob, CreateVPNGatewayInput{Type: "ipsec.1"}); err != nil {
			return fmt.Errorf("another account: %w", err)
		}
		if _, err := CreateCustomerGateway(tx, alice, customerInput("198.51.100.1")); err != nil {
			return fmt.Errorf("the same customer gateway again: %w", err)
		}
		return another(1, 10)(tx)
	})
}

// The quotas of vpn §5.1 beside those of gateways: what stands in the store
// already is put there at once.
func TestQuotasOfConnectionsAndTransitGateways(t *testing.T) {
	c := newCloud(t)
	p := c.pair()
	var transit resource.TransitGateway
	c.do(func(tx *store.Tx) (err error) {
		transit, err = CreateTransitGateway(tx, alice, CreateTransitGatewayInput{})
		return err
	})
	fill := func(n int, row resource.VPNConnection) func(*store.Tx) {
		return func(tx *store.Tx) {
			for i := range n {
				row.ID, row.OwnerID, row.State = resource.VPNConnectionID(fmt.Sprintf("vpn-%d", i)), alice, resource.StateAvailable
				store.VPNConnections.Put(tx, row.ID, row)
			}
		}
	}
	connect := func(to target, bandwidth string) func(*store.Tx) error {
		return creating(CreateVPNConnectionInput{Type: "ipsec.1", CustomerGatewayID: p.customer.ID, VPNGatewayID: to.gateway, TransitGatewayID: to.transit, Options: FixedOptionsInput{Bandwidth: bandwidth}})
	}
	for _, test := range []struct {
		name string
		have func(*store.Tx)
		more func(*store.Tx) error
		code string
		word string
	}{
		{"50 connections", fill(50, resource.VPNConnection{VPNGatewayID: "vgw-x"}), connect(target{transit: transit.ID}, ""), "VpnConnectionLimitExceeded", "of the account: there are 50"},
		{"49 connections", fill(49, resource.VPNConnection{VPNGatewayID: "vgw-x"}), connect(target{transit: transit.ID}, ""), "", ""},
		{"10 of a VPN gateway", fill(10, resource.VPNConnection{VPNGatewayID: p.gateway.ID}), connect(target{gateway: p.gateway.ID}, ""), "VpnConnectionLimitExceeded", string(p.gateway.ID)},
		{"10 unassociated", fill(10, resource.VPNConnection{}), connect(target{}, ""), "VpnConnectionLimitExceeded", "not associated"},
		{"9 unassociated", fill(9, resource.VPNConnection{}), connect(target{}, ""), "", ""},
		{"50 large, beyond the account's raised quota", fill(50, resource.VPNConnection{TransitGatewayID: "tgw-x", Options: resource.ConnectionOptions{Bandwidth: "large"}}),
			func(tx *store.Tx) error {
				return checkQuota(tx, store.VPNConnections, alice, func(c resource.VPNConnection) bool { return c.Options.Bandwidth == resource.BandwidthLarge }, quota{maxLarge, codeConnectionLimit, "large"})
			}, "VpnConnectionLimitExceeded", "50"},
		{"5 transit gateways", func(tx *store.Tx) {
			for i := range 4 {
				id := resource.TransitGatewayID(fmt.Sprintf("tgw-%d", i))
				store.TransitGateways.Put(tx, id, resource.TransitGateway{ID: id, OwnerID: alice})
			}
		}, func(tx *store.Tx) error {
			_, err := CreateTransitGateway(tx, alice, CreateTransitGatewayInput{})
			return err
		}, "TransitGatewayLimitExceeded", "5"},
		{"20 route tables", func(tx *store.Tx) {
			for i := range 19 {
				id := resource.TransitGatewayRouteTableID(fmt.Sprintf("tgw-rtb-%d", i))
				store.TransitGatewayRouteTables.Put(tx, id, resource.TransitGatewayRouteTable{ID: id, OwnerID: alice, TransitGatewayID: transit.ID})
			}
		}, func(tx *store.Tx) error {
			_, err := CreateTransitGatewayRouteTable(tx, alice, transit.ID, nil)
			return err
		}, "TransitGatewayRouteTableLimitExceeded", "20"},
		{"10,000 static routes (§4.5)", func(tx *store.Tx) {
			table, _ := store.TransitGatewayRouteTables.Get(tx, transit.AssociationTable)
			table.Routes = make([]resource.TransitGatewayStaticRoute, maxTransitRoutes)
			store.TransitGatewayRouteTables.Put(tx, table.ID, table)
		}, func(tx *store.Tx) error {
			return CreateTransitGatewayRoute(tx, alice, TransitGatewayRouteInput{RouteTableID: transit.AssociationTable, Destination: prefix("10.0.0.0/8"), Blackhole: true})
		}, "RouteLimitExceeded", "10000"},
		{"5,000 attachments", func(tx *store.Tx) {
			for i := range maxTransitAttachments {
				id := resource.TransitGatewayAttachmentID(fmt.Sprintf("tgw-attach-%d", i))
				store.TransitGatewayAttachments.Put(tx, id, resource.TransitGatewayAttachment{ID: id, OwnerID: alice, TransitGatewayID: transit.ID})
			}
		}, connect(target{transit: transit.ID}, ""), "TransitGatewayAttachmentLimitExceeded", "5000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &cloud{T: t, store: c.store}
			var words []string
			if test.word != "" {
				words = []string{test.word}
			}
			c.refused(test.code, func(tx *store.Tx) error {
				test.have(tx)
				return test.more(tx)
			}, words...)
		})
	}
}
