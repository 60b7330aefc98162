//go:build e2e

package ourgateway

import (
	"text/template"
	"time"

	"seikan/e2e/pki"
)

// A Phase2 is what phase 2 has where it differs from phase 1.
type Phase2 struct {
	Encryption, Integrity string
	DH                    int
}

// A Config is one end of one tunnel.
type Config struct {
	Namespace         string // of the world
	Initiate          bool
	Inside, Site      string // its address in the tunnel with prefix length; the prefix behind the peer
	Local, Remote     string // addresses; Remote is the NAT's when the peer is behind one
	LocalID, RemoteID string
	Version           int // of IKE; 0: both
	PSK               string
	Certificates      *pki.Files // instead of PSK; the CA below the root is known, too
	Encryption        string     // for both phases, in AWS's words, as is Integrity
	Integrity         string
	DH                int
	MoreDH            []int // further groups of phase 1
	Phase2            Phase2
	Quantum           PostQuantum
	// Interval and Timeout are dead peer detection's.
	Interval, Timeout time.Duration
	FragmentSize      int // largest IP packet of IKE in octets; 0 is the default
}

// A PostQuantum is what protects from those who will have a quantum computer.
type PostQuantum struct {
	PPK      PPK
	AddKE    []string // additional key exchanges of both phases
	Required bool     // of AddKE
}

// A PPK is a post-quantum pre-shared key by its name (RFC 8784); none without a
// name.
type PPK struct {
	Key, ID  string
	Required bool // a peer without it is refused
}

var file = template.Must(template.New("gateway.yaml").Parse(`
name: e2e
control_socket: {{.Control}}
state_directory: state
routes: [{{.Site}}]
tunnels:
  - name: t1
    interface: tun1
    startup_action: {{if .Initiate}}start{{else}}add{{end}}
    outside:
      {{if .Local}}local_address: {{.Local}}{{end}}
      remote_address: {{.Remote}}
      local_id: {{.LocalID}}
      remote_id: {{.RemoteID}}
    {{with .Certificates}}certificate_file: {{.Chain}}
    private_key_file: {{.Key}}
    ca_file: {{.Above}}{{else}}pre_shared_key_file: psk{{end}}
    {{with .Quantum.PPK}}{{if .ID}}ppk_file: ppk
    ppk_id: {{.ID}}
    ppk_required: {{.Required}}{{end}}{{end}}
    {{if .Version}}ike_versions: [{{.Version}}]{{end}}
    inside_address: {{.Inside}}
    {{if .FragmentSize}}fragment_size: {{.FragmentSize}}{{end}}
    phase1:
      encryption: [{{.Encryption}}]
      integrity: [{{.Integrity}}]
      dh_groups: [{{.DH}}{{range .MoreDH}}, {{.}}{{end}}]
      {{template "more" .Quantum}}
    phase2:
      encryption: [{{or .Phase2.Encryption .Encryption}}]
      integrity: [{{or .Phase2.Integrity .Integrity}}]
      dh_groups: [{{or .Phase2.DH .DH}}]
      {{template "more" .Quantum}}
    liveness:
      interval: {{.Interval}}
      timeout: {{.Timeout}}
{{define "more"}}{{if .AddKE}}additional_key_exchanges: [{{range $i, $g := .AddKE}}{{if $i}}, {{end}}{{$g}}{{end}}]
      additional_key_exchanges_required: {{.Required}}{{end}}{{end}}
`))
