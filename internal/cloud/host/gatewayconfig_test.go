package host

import (
	"slices"
	"strings"
	"testing"

	"seikan/internal/cloud/vpn"
	"seikan/internal/ipsec/ike/policy"
)

// everything are lists that allow one suite in each phase.
func everything(versions ...string) vpn.Algorithms {
	return vpn.Algorithms{
		IKEVersions:      versions,
		Phase1Encryption: []string{"AES128"}, Phase1Integrity: []string{"SHA2-256"}, Phase1DHGroups: []int{14},
		Phase2Encryption: []string{"AES128"}, Phase2Integrity: []string{"SHA2-256"}, Phase2DHGroups: []int{14},
	}
}

func TestWorkersGatewayDoesWhatTheTunnelOptionsSay(t *testing.T) {
	for _, tt := range []struct {
		in       vpn.WorkerTunnel
		action   policy.Action
		versions []int
	}{
		{vpn.WorkerTunnel{DPDTimeoutAction: "clear", Algorithms: everything("ikev1", "ikev2")}, policy.Clear, []int{1, 2}},
		{vpn.WorkerTunnel{DPDTimeoutAction: "none", Algorithms: everything("ikev2")}, policy.None, []int{2}},
		{vpn.WorkerTunnel{DPDTimeoutAction: "restart", Initiate: true, Algorithms: everything("ikev1")}, policy.Restart, []int{1}},
	} {
		got, err := workerTunnel(tt.in)
		if err != nil {
			t.Fatal(err)
		}
		if got.Liveness.Action != tt.action || !slices.Equal(got.Versions, tt.versions) || got.Initiate != tt.in.Initiate {
			t.Errorf("%s: got action %d, versions %v, initiate %v", tt.in.DPDTimeoutAction, got.Liveness.Action, got.Versions, got.Initiate)
		}
	}
	if _, err := workerTunnel(vpn.WorkerTunnel{DPDTimeoutAction: "hold", Algorithms: everything("ikev2")}); err == nil || !strings.Contains(err.Error(), "hold") {
		t.Errorf("got %v, want an error that names the word", err)
	}
}
