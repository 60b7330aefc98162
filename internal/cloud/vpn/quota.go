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

func checkConnections(tx *store.Tx, c resource.VPNConnection) error {
	alive := func(old resource.VPNConnection) bool { return old.Alive() }
	if err := checkQuota(tx, store.VPNConnections, c.OwnerID, alive, quota{maxConnections, codeConnectionLimit, "VPN connections of the account"}); err != nil {
		return err
	}
	here := func(old resource.VPNConnection) bool { return old.Alive() && old.VPNGatewayID == c.VPNGatewayID }
	return checkQuota(tx, store.VPNConnections, c.OwnerID, here, quota{maxConnectionsPerGateway, codeConnectionLimit, "VPN connections of " + string(c.VPNGatewayID)})
}
