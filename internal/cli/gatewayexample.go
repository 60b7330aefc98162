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

# Where the tunnels' SAs are kept, sealed, so that a gateway that crashed goes on
# with them when it is started again. Leave it out to begin anew each time.
# state_directory: /var/lib/seikan

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
    ike_versions: [2, 1]               # 2 is tried first; [2] keeps whoever can drop packets on the way from having 1 used
    startup_action: start              # or add: wait for the other end
    dpd_action: restart                # when the peer is dead: restart, clear (wait) or none (do not ask)
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
    fragmentation: true                # of long IKE messages, at fragment_size: 1280
    mobike: true                       # a changed address of ours keeps the tunnel, where the peer can

    # Beyond AWS. A peer that does not know them goes without, unless required.
    # phase1: {additional_key_exchanges: [ML-KEM-768], additional_key_exchanges_required: true}
    # phase1: {encryption: [CHACHA20-POLY1305]}
    # resumption: true
    # ppk_file: tunnel2.ppk
    # ppk_id: tunnel-2
    # ppk_required: true

    # Certificates instead of pre_shared_key; PEM files beside this one, the key
    # at mode 0600. A gateway that waits (startup_action: add) may then have
    # remote_address: any, and the peer may roam; remote_id says who it
    # must be, such as "O=Example, CN=office".
    # certificate_file: gateway.pem    # ours, then the intermediate ones
    # private_key_file: gateway.key
    # ca_file: ca.pem                  # who signs the peer's
    # crl_file: ca.crl
    # ocsp_file: peer.ocsp
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
