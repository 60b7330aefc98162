package vpn

import (
	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// Quotas of an account, and of one gateway, before anybody asked AWS for more
// (vpn §5.1). AWS counts by Region, of which there is one here.
const (
	maxCustomerGateways      = 50
	maxVPNGateways           = 5
	maxConnections           = 50
	maxConnectionsPerGateway = 10
	maxUnassociated          = 10
	maxLarge                 = 50
	maxTransitGateways       = 5 // transit gateway quotas
	maxTransitAttachments    = 5000
	maxTransitRouteTables    = 20
	maxTransitRoutes         = 10000
	maxTransitCIDRs          = 5
)

// checkQuota refuses a row of table beyond the highest number of those that who
// owns and that count says to count.
func checkQuota[K ~string, T store.Owned](tx *store.Tx, table store.Table[K, T], who resource.Account, count func(T) bool, limit quota) error {
	n := 0
	for _, row := range table.List(tx) {
		if row.Owner() == who && count(row) {
			n++
		}
	}
	if n >= limit.most {
		return resource.Errorf(limit.code, "%s: there are %d, the most there can be", limit.of, n)
	}
	return nil
}

// A quota is how many there may be of something, and the answer to one more.
type quota struct {
	most     int
	code, of string
}

// checkConnections checks the quotas that one more connection such as c meets.
func checkConnections(tx *store.Tx, c resource.VPNConnection) error {
	alive := func(old resource.VPNConnection) bool { return old.Alive() && old.ID != c.ID }
	if err := checkQuota(tx, store.VPNConnections, c.OwnerID, alive, quota{maxConnections, codeConnectionLimit, "VPN connections of the account"}); err != nil {
		return err
	}
	if c.Options.Bandwidth == resource.BandwidthLarge {
		large := func(old resource.VPNConnection) bool {
			return alive(old) && old.Options.Bandwidth == resource.BandwidthLarge
		}
		if err := checkQuota(tx, store.VPNConnections, c.OwnerID, large, quota{maxLarge, codeConnectionLimit, "VPN connections with large tunnels of the account"}); err != nil {
			return err
		}
	}
	return checkTargetQuota(tx, c)
}

// checkTargetQuota checks the quota of c's target.
func checkTargetQuota(tx *store.Tx, c resource.VPNConnection) error {
	here := func(old resource.VPNConnection) bool {
		return old.Alive() && old.ID != c.ID && targetOf(old) == targetOf(c)
	}
	limit := quota{maxConnectionsPerGateway, codeConnectionLimit, "VPN connections of " + string(c.VPNGatewayID)}
	switch {
	case c.TransitGatewayID != "":
		return checkAttachments(tx, c.TransitGatewayID)
	case c.VPNGatewayID == "":
		limit = quota{maxUnassociated, codeConnectionLimit, "VPN connections of the account that are not associated"}
	}
	return checkQuota(tx, store.VPNConnections, c.OwnerID, here, limit)
}
