package cli

import (
	"io"

	"github.com/spf13/cobra"
)

// gatewayFile is what `seikan gateway example` prints; a test reads it back.
const gatewayFile = `# Customer gateway of one AWS Site-to-Site VPN connection, behind NAT or not.
# Take addresses and keys from the connection's tunnel details. Keep this file
# at mode 0600, or name key files instead: pre_shared_key_file.
name: office

# What lies behind the cloud's end; unreachable while no tunnel is up.
routes: [10.0.0.0/16]

tunnels:
  - name: tunnel-1
    interface: tun1
    outside:
      remote_address: 203.0.113.10     # the cloud's outside address of this tunnel
      local_id: 198.51.100.2           # our public address, as the customer gateway object has it
    inside_cidr: 169.254.10.0/30       # the cloud has .1, we have .2
    pre_shared_key: ReplaceThisKeyOfTunnel1
  - name: tunnel-2
    interface: tun2
    outside:
      remote_address: 203.0.113.11
      local_id: 198.51.100.2
    inside_cidr: 169.254.11.0/30
    pre_shared_key: ReplaceThisKeyOfTunnel2

    # All below is optional; these are the defaults.
    startup_action: start              # or add: wait for the other end
    phase1:
      encryption: [AES256-GCM-16, AES128-GCM-16, AES256, AES128]
      integrity: [SHA2-256, SHA2-384, SHA2-512]
      dh_groups: [19, 20, 21, 14]
      lifetime: 8h
    phase2:
      encryption: [AES256-GCM-16, AES128-GCM-16, AES256, AES128]
      integrity: [SHA2-256, SHA2-384, SHA2-512]
      dh_groups: [19, 20, 21, 14]
      lifetime: 1h
    rekey: {margin: 270s, fuzz_percent: 100}
    liveness: {interval: 10s, timeout: 20s}   # shorter means faster failover
    replay_window: 1024
`

func newGatewayExample(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a configuration file to start from",
		Example: "  seikan gateway example > gateway.yaml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(s.out, gatewayFile)
			return err
		},
	}
}
