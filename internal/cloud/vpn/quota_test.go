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
