//go:build e2e

package bgppeer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"seikan/e2e/world"
)

const gobgpConf = `
[global.config]
  as = {{.ASN}}
  router-id = "{{.Local}}"
  local-address-list = ["{{.Local}}", "{{.Local2}}"]
[global.apply-policy.config]
  export-policy-list = ["out"]
  default-export-policy = "accept-route"
{{define "neighbor"}}
  [neighbors.timers.config]
    hold-time = {{.Hold}}
    keepalive-interval = {{.Keepalive}}
    connect-retry = {{.Retry}}
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = {{.RestartFor}}
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
{{end}}
[[neighbors]]
  [neighbors.config]
    peer-as = {{.PeerASN}}
    neighbor-address = "{{.Remote}}"
  [neighbors.transport.config]
    local-address = "{{.Local}}"
{{template "neighbor" .}}
[[neighbors]]
  [neighbors.config]
    peer-as = {{.PeerASN}}
    neighbor-address = "{{.Remote2}}"
  [neighbors.transport.config]
    local-address = "{{.Local2}}"
{{template "neighbor" .}}
[[defined-sets.neighbor-sets]]
  neighbor-set-name = "first"
  neighbor-info-list = ["{{.Remote}}"]
[[defined-sets.neighbor-sets]]
  neighbor-set-name = "second"
  neighbor-info-list = ["{{.Remote2}}"]
[[defined-sets.prefix-sets]]
  prefix-set-name = "far"
  [[defined-sets.prefix-sets.prefix-list]]
    ip-prefix = "{{.Far}}"
[[policy-definitions]]
  name = "out"
  [[policy-definitions.statements]]
    name = "far"
    [policy-definitions.statements.conditions.match-neighbor-set]
      neighbor-set = "first"
    [policy-definitions.statements.conditions.match-prefix-set]
      prefix-set = "far"
    [policy-definitions.statements.actions]
      route-disposition = "accept-route"
    [policy-definitions.statements.actions.bgp-actions]
      set-med = "1"
    [policy-definitions.statements.actions.bgp-actions.set-as-path-prepend]
      as = "{{.ASN}}"
      repeat-n = 2
  [[policy-definitions.statements]]
    name = "first"
    [policy-definitions.statements.conditions.match-neighbor-set]
      neighbor-set = "first"
    [policy-definitions.statements.actions]
      route-disposition = "accept-route"
    [policy-definitions.statements.actions.bgp-actions]
      set-med = "100"
  [[policy-definitions.statements]]
    name = "second"
    [policy-definitions.statements.conditions.match-neighbor-set]
      neighbor-set = "second"
    [policy-definitions.statements.actions]
      route-disposition = "accept-route"
    [policy-definitions.statements.actions.bgp-actions]
      set-med = "200"
`

// A gobgp is GoBGP's own daemon, of another version than the library in ours.
type gobgp struct{ *program }

func startGoBGP(t testing.TB, w *world.World) Speaker {
	t.Helper()
	g := gobgp{newProgram(t, w, map[string]string{"gobgpd.toml": gobgpConf})}
	g.args = []string{"gobgpd", "-f", g.path("gobgpd.toml"), "-l", "info"}
	g.start()
	return g
}

func (g gobgp) start(more ...string) {
	g.t.Helper()
	g.run(more...)
	g.answers("gobgp", "global")
	for _, prefix := range []string{Site, Far} {
		if _, err := g.ask("gobgp", "global", "rib", "add", prefix); err != nil {
			g.t.Fatal(err)
		}
	}
}

func (g gobgp) Again() { g.t.Helper(); g.start("-r") }

func (g gobgp) Announce() error {
	_, err := g.ask("gobgp", "global", "rib", "add", Site)
	return err
}

func (g gobgp) Withdraw() error {
	_, err := g.ask("gobgp", "global", "rib", "del", Site)
	return err
}

// gobgpPath is one path of what `gobgp global rib -j` prints by prefix.
type gobgpPath struct {
	Best  bool   `json:"best"`
	From  string `json:"neighbor-ip"`
	Stale bool   `json:"stale"`
	Attrs []struct {
		Type   int `json:"type"`
		Metric int `json:"metric"`
		Paths  []struct {
			ASNs []int `json:"asns"`
		} `json:"as_paths"`
	} `json:"attrs"`
}

// Types of path attributes (RFC 4271 section 5).
const (
	asPath = 2
	med    = 4
)

func (g gobgp) Learned(prefix string) (out []Route, err error) {
	text, err := g.ask("gobgp", "global", "rib", "-j")
	if err != nil {
		return nil, err
	}
	var table map[string][]gobgpPath
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		return nil, fmt.Errorf("GoBGP: %w in %s", err, text)
	}
	for _, p := range table[prefix] {
		r := Route{From: p.From, Best: p.Best}
		for _, a := range p.Attrs {
			if a.Type == asPath && len(a.Paths) > 0 {
				r.ASPath = strings.Trim(fmt.Sprint(a.Paths[0].ASNs), "[]")
			}
			if a.Type == med {
				r.MED = a.Metric
			}
		}
		out = append(out, r)
	}
	return out, nil
}
