package vpn

import (
	"fmt"
	"net/netip"
	"testing"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

func TestWhatATunnelHasNegotiated(t *testing.T) {
	c := newCloud(t)
	row := c.available(c.pair().input())
	c.report(row.ID, 1, Report{Up: true, Detail: resource.TunnelDetail{IKEVersion: "ikev2", Phase1: "AES256-GCM-16/PRF-SHA2-384/DH20", Phase2: "AES128/SHA1/DH14"}})
	status := func(outside netip.Addr) (s ActiveTunnelStatus) {
		t.Helper()
		c.do(func(tx *store.Tx) (err error) {
			s, err = GetActiveVPNTunnelStatus(tx, alice, row.ID, outside)
			return err
		})
		return s
	}
	if got, want := fmt.Sprint(status(row.Tunnels[1].OutsideIP)), "{ikev2 AES256-GCM-16 AES128 SHA2-384 SHA1 20 14 available }"; got != want {
		t.Errorf("up: got %s, want %s", got, want)
	}
	if got, want := fmt.Sprint(status(row.Tunnels[0].OutsideIP)), "{     0 0 available }"; got != want {
		t.Errorf("down: got %s, want %s", got, want)
	}
	c.do(replacing(row.ID, row, 1, false))
	if got := status(row.Tunnels[1].OutsideIP); got.ProvisioningStatus != "pending" || got.ProvisioningStatusReason == "" {
		t.Errorf("being replaced: got %+v, want pending and a reason", got)
	}
	c.refused("InvalidParameterValue", func(tx *store.Tx) error {
		_, err := GetActiveVPNTunnelStatus(tx, alice, row.ID, netip.MustParseAddr("192.0.2.1"))
		return err
	})
}
