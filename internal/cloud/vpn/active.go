package vpn

import (
	"net/netip"
	"strconv"
	"strings"

	"seikan/internal/cloud/resource"
	"seikan/internal/cloud/store"
)

// An ActiveTunnelStatus is what a tunnel has negotiated (vpn §1.7); its fields
// are empty while there is nothing.
type ActiveTunnelStatus struct {
	IKEVersion                         string // "ikev1", "ikev2"
	Phase1Encryption, Phase2Encryption string // "AES256-GCM-16"
	Phase1Integrity, Phase2Integrity   string // "SHA2-256"; empty beside GCM in ESP
	Phase1DHGroup, Phase2DHGroup       int    // 0 where none was used
	// ProvisioningStatus is available, or pending with the reason.
	ProvisioningStatus, ProvisioningStatusReason string
}

// GetActiveVPNTunnelStatus tells what a tunnel has negotiated. Codes:
// InvalidVpnConnectionID.NotFound, MissingParameter, InvalidParameterValue.
func GetActiveVPNTunnelStatus(tx *store.Tx, who resource.Account, id resource.VPNConnectionID, outside netip.Addr) (ActiveTunnelStatus, error) {
	c, err := store.Find(tx, store.VPNConnections, who, id, codeVPNConnectionNotFound)
	if err != nil {
		return ActiveTunnelStatus{}, err
	}
	i, err := tunnelAt(c, outside)
	if err != nil {
		return ActiveTunnelStatus{}, err
	}
	t := c.Telemetry[i]
	out := ActiveTunnelStatus{IKEVersion: t.Detail.IKEVersion, ProvisioningStatus: string(resource.StateAvailable)}
	out.Phase1Encryption, out.Phase1Integrity, out.Phase1DHGroup = suiteParts(t.Detail.Phase1)
	out.Phase2Encryption, out.Phase2Integrity, out.Phase2DHGroup = suiteParts(t.Detail.Phase2)
	if c.State == resource.StatePending || c.State == resource.StateModifying || c.Endpoints[i].Busy() {
		out.ProvisioningStatus, out.ProvisioningStatusReason = string(resource.StatePending), "the tunnel endpoint is being made"
	}
	return out, nil
}

// suiteParts takes the name of a suite apart, such as
// "AES256-GCM-16/PRF-SHA2-384/DH20" or "AES128/SHA1/DH14": cipher, integrity or
// what stands for it in IKEv2, group.
func suiteParts(suite string) (encryption, integrity string, group int) {
	for i, part := range strings.Split(suite, "/") {
		number, isGroup := strings.CutPrefix(part, "DH")
		switch {
		case i == 0:
			encryption = part
		case isGroup:
			group, _ = strconv.Atoi(number) // 0 for a name that AWS has not
		case integrity == "":
			integrity = strings.TrimPrefix(part, "PRF-")
		}
	}
	return encryption, integrity, group
}
