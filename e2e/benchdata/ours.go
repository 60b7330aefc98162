//go:build e2e

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"
)

// An end is one of our gateways.
type end struct {
	Name, Control        string
	Startup              string
	Encryption           string
	Tunnels              []endTunnel
	Namespace, Directory string
}

type endTunnel struct {
	N                int
	Local, Remote    string
	Inside, Far      string // our address in the tunnel; the site behind the peer
	OwnName, FarName string
}

// conf is the configuration of one end. NAT is feigned, since AWS's users have
// one: ESP travels in UDP.
var conf = template.Must(template.New("gateway.yaml").Parse(`
name: {{.Name}}
control_socket: {{.Control}}
tunnels:
{{- range .Tunnels}}
  - name: t{{.N}}
    interface: tun{{.N}}
    startup_action: {{$.Startup}}
    outside:
      local_address: {{.Local}}
      remote_address: {{.Remote}}
      local_id: {{.OwnName}}
      remote_id: {{.FarName}}
      force_encapsulation: true
    pre_shared_key: Bench.Test_PreShared.Key0
    ike_versions: [2]
    inside_address: {{.Inside}}/30
    routes: [{{.Far}}]
    phase1:
      encryption: [AES128-GCM-16]
      integrity: [SHA2-256]
      dh_groups: [19]
    phase2:
      encryption: [{{$.Encryption}}]
      integrity: [SHA2-256]
      dh_groups: [19]
{{- end}}
`))

// startOurs starts a build of ours at both ends.
func startOurs(binary string) func(*path, variant) ([]*process, error) {
	return func(p *path, v variant) ([]*process, error) {
		a := end{Name: "a", Namespace: gwA, Startup: "start", Encryption: "AES128-GCM-16"}
		b := end{Name: "b", Namespace: gwB, Startup: "add", Encryption: "AES128-GCM-16"}
		if v.cbc {
			a.Encryption, b.Encryption = "AES256", "AES256"
		}
		a.Tunnels = []endTunnel{{1, outsideA, outsideB, insideA, siteB, "a1", "b1"}}
		b.Tunnels = []endTunnel{{1, outsideB, outsideA, insideB, siteA, "b1", "a1"}}
		if v.tunnels == 2 {
			a.Tunnels = append(a.Tunnels, endTunnel{2, outsideA, outsideB2, "169.254.11.2", siteB2, "a2", "b2"})
			b.Tunnels = append(b.Tunnels, endTunnel{2, outsideB2, outsideA, "169.254.11.1", siteA2, "b2", "a2"})
		}
		var list []*process
		for _, e := range []end{b, a} {
			e.Directory = p.dir
			g, err := e.start(binary)
			if g != nil {
				list = append([]*process{g}, list...)
			}
			if err != nil {
				return list, err
			}
		}
		return list, list[0].until("the tunnels of "+binary, 15*time.Second, func() error { return up(filepath.Join(p.dir, "a.sock"), len(a.Tunnels)) })
	}
}

// start runs it until its control socket answers.
func (e end) start(binary string) (*process, error) {
	e.Control = filepath.Join(e.Directory, e.Name+".sock")
	var text bytes.Buffer
	if err := conf.Execute(&text, e); err != nil {
		return nil, err
	}
	file := filepath.Join(e.Directory, e.Name+".yaml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return nil, err
	}
	g, err := launch(e.Namespace, nil, binary, "gateway", "run", "--config", file)
	if err != nil {
		return nil, err
	}
	return g, g.until("the control socket of "+binary, 10*time.Second, func() error {
		conn, err := net.Dial("unix", e.Control)
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// up checks that a gateway has so many tunnels up, with ESP in UDP.
func up(socket string, n int) error {
	conn, err := net.DialTimeout("unix", socket, 2*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := json.NewEncoder(conn).Encode(map[string]string{"verb": "status"}); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return err
	}
	var answer struct {
		Status struct {
			Tunnels []struct {
				Up     bool   `json:"up"`
				Reason string `json:"reason"`
				Child  *struct {
					Encap bool `json:"encap"`
				} `json:"child"`
			} `json:"tunnels"`
		} `json:"status"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return err
	}
	if len(answer.Status.Tunnels) != n {
		return fmt.Errorf("%d tunnels, want %d", len(answer.Status.Tunnels), n)
	}
	for _, t := range answer.Status.Tunnels {
		switch {
		case !t.Up || t.Child == nil:
			return fmt.Errorf("not up: %s", t.Reason)
		case !t.Child.Encap:
			return errors.New("up, but ESP is not in UDP")
		}
	}
	return nil
}
