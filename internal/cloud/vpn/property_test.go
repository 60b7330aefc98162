package vpn

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Whatever is created, deleted and realised, in whatever order: tunnels that
// may stand at the same time never share an outside address, nor an inside
// block or an interface on one gateway.
func TestTunnelsNeverShareAnAddress(t *testing.T) {
	c := newCloud(t)
	rollBack := errors.New("roll back")
	made := 0
	rapid.Check(t, func(r *rapid.T) {
		err := c.store.Update(t.Context(), func(tx *store.Tx) error {
			made += run(r, tx)
			return rollBack
		})
		if !errors.Is(err, rollBack) {
			r.Fatal(err)
		}
	})
	if made == 0 {
		t.Error("no connection was ever made")
	}
	t.Logf("%d connections made", made)
}

// run does random things in tx, checks after each, and returns how many
// connections it made.
func run(r *rapid.T, tx *store.Tx) (made int) {
	putPool(tx, "edge-2", "203.0.113.20", "203.0.113.21", "203.0.113.22", "203.0.113.10")
	var customers []resource.CustomerGatewayID
	var gateways []resource.VPNGatewayID
	for n := range 4 {
		customer, err := CreateCustomerGateway(tx, alice, customerInput(fmt.Sprintf("198.51.100.%d", n+1)))
		if err != nil {
			r.Fatal(err)
		}
		customers = append(customers, customer.ID)
	}
	for range 2 {
		gateway, err := CreateVPNGateway(tx, alice, CreateVPNGatewayInput{Type: "ipsec.1"})
		if err != nil {
			r.Fatal(err)
		}
		gateways = append(gateways, gateway.ID)
	}
	r.Repeat(map[string]func(*rapid.T){
		"create": func(r *rapid.T) {
			in := CreateVPNConnectionInput{Type: "ipsec.1", StaticRoutesOnly: true,
				CustomerGatewayID: rapid.SampledFrom(customers).Draw(r, "customer"), VPNGatewayID: rapid.SampledFrom(gateways).Draw(r, "gateway")}
			for i := range in.Tunnels {
				if n := rapid.IntRange(0, 3).Draw(r, "block"); n > 0 {
					in.Tunnels[i].InsideCIDR = netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 10, byte(4*n + i)}), 30)
				}
			}
			if _, err := CreateVPNConnection(tx, alice, in); err == nil {
				made++
			} else if resource.CodeOf(err) == "InternalError" {
				r.Fatal(err)
			}
		},
		"delete": func(r *rapid.T) {
			list := store.VPNConnections.List(tx)
			if len(list) == 0 {
				return
			}
			if err := DeleteVPNConnection(tx, alice, rapid.SampledFrom(list).Draw(r, "connection").ID); err != nil {
				r.Fatal(err)
			}
		},
		"realise": func(*rapid.T) { MarkRealised(tx, func(resource.VPNGateway) bool { return false }) },
		"":        func(r *rapid.T) { unshared(r, store.VPNConnections.List(tx)) },
	})
	return made
}

// unshared checks the connections that may stand.
func unshared(r *rapid.T, list []resource.VPNConnection) {
	seen := make(map[string]resource.VPNConnectionID)
	claim := func(c resource.VPNConnection, what string) {
		if other, taken := seen[what]; taken {
			r.Fatalf("%s and %s share %s", other, c.ID, what)
		}
		seen[what] = c.ID
	}
	for _, c := range list {
		if c.State == resource.StateDeleted {
			continue
		}
		claim(c, fmt.Sprintf("slot %d of %s", c.Slot, c.VPNGatewayID))
		for _, tun := range c.Tunnels {
			claim(c, "outside address "+tun.OutsideIP.String())
			claim(c, fmt.Sprintf("inside block %v of %s", tun.InsideCIDR, c.VPNGatewayID))
			if reservedInside(tun.InsideCIDR) || tun.InsideCIDR != tun.InsideCIDR.Masked() {
				r.Fatalf("%s: inside block %v is reserved or not a block", c.ID, tun.InsideCIDR)
			}
		}
	}
}
