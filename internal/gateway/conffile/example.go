package conffile

// Example is a file to start from, with every option; tests hold it to that.
const Example = `# Customer gateway of one AWS Site-to-Site VPN connection, behind NAT or not.
# Take addresses and keys from the connection's tunnel details. Keep this file
# at mode 0600, or name key files instead: pre_shared_key_file.
name: office

# What lies behind the cloud's end; unreachable while no tunnel is up.
routes: [10.0.0.0/16]

# Or instead of routes, for a connection with dynamic routing: the cloud's end
# says by BGP what lies behind it, and is told what lies behind us. Each tunnel
# then has a block bgp of its own.
# bgp:
#   asn: 65000                         # ours, as the customer gateway object has it
#   announce: [192.168.1.0/24]         # our networks; 0.0.0.0/0 would draw all the cloud's traffic here
#   accept_default: true               # let the cloud be the way to everywhere; needs routes of your own to its outside addresses
#   router_id: 192.168.1.2             # if not the inside address of the first tunnel

# Where the tunnels' SAs are kept, sealed, so that a gateway that crashed goes on
# with them when it is started again. Leave it out to begin anew each time.
# state_directory: /var/lib/seikan

# Where this gateway answers "seikan gateway status", if not at the usual place,
# and whether it leaves the kernel's switch for forwarding as it is.
# control_socket: /run/seikan-office.sock
# no_forwarding: true

# Where measurements are shown to Prometheus, at /metrics: on loopback, or at a
# socket such as unix:/run/seikan/metrics. Leave it out to show none.
# metrics: 127.0.0.1:9469

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

    # All below is optional; these are the defaults. The order in a list does
    # not matter: what is strongest is offered first.
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
    # bgp:                             # with the block bgp above
    #   peer_asn: 64512                # the cloud's
    #   hold_time: 30s                 # how long the cloud may be silent
    #   keepalive: 10s
    #   max_prefixes: 5000             # one more ends the session; 0: any number
    #   bfd: {interval: 300ms, multiplier: 3}   # find a broken path in 0.9 s; not with AWS, which has no BFD
    #   med: 200                       # with prepend: 2 makes the cloud prefer the other tunnel
    # local_cidr: 0.0.0.0/0            # what the tunnel may carry; routes say what it does
    # remote_cidr: 0.0.0.0/0
    # inside_address: 169.254.11.2/30  # instead of inside_cidr
    # inside_ipv6_cidr: fd00:a:b:c::/126   # the tunnel carries IPv6, and nothing else: routes and what is announced are of IPv6 here
    # source_nat: true                 # what leaves has our inside address: the cloud needs no route to us, and cannot call us
    # In outside:
    #   local_address: 192.168.1.2     # ours, if not the one that the route to the peer has
    #   force_encapsulation: true      # in UDP though there is no NAT

    # Beyond AWS, and IKEv2 only: what is required goes with ike_versions: [2].
    # A peer that does not know the others goes without. In phase1 or phase2:
    #   encryption: [CHACHA20-POLY1305]
    #   additional_key_exchanges: [ML-KEM-768]
    #   additional_key_exchanges_required: true
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
    # rsa_pss: true                    # sign with RSA-PSS if the key is RSA
    # crl_file: ca.crl
    # ocsp_file: peer.ocsp
    # weak_keys: true                  # take RSA keys of 1024 to 2047 bits, too; status marks them
`
