//go:build e2e

package bgppeer

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"seikan/e2e/world"
)

const openbgpdConf = `
AS {{.ASN}}
router-id {{.Local}}
holdtime {{.Hold}}
connect-retry {{.Retry}}
socket "{{.Dir}}/ctl"
listen on {{.Local}}
listen on {{.Local2}}
fib-update no
network {{.Site}}
network {{.Far}}
neighbor {{.Remote}} {
	remote-as {{.PeerASN}}
	local-address {{.Local}}
}
neighbor {{.Remote2}} {
	remote-as {{.PeerASN}}
	local-address {{.Local2}}
}
allow to ebgp
allow from ebgp
match to {{.Remote}} set metric 100
match to {{.Remote}} prefix {{.Far}} set { metric 1 prepend-self 2 }
match to {{.Remote2}} set metric 200
`

// An openbgpd is OpenBGPD, which on Linux lays no routes.
type openbgpd struct{ *program }

func startOpenBGPD(t testing.TB, w *world.World) Speaker {
	t.Helper()
	// Its processes shut themselves in there, whatever they are told.
	if err := os.MkdirAll("/run/openbgpd", 0o755); err != nil {
		t.Fatal(err)
	}
	b := openbgpd{newProgram(t, w, map[string]string{"bgpd.conf": openbgpdConf})}
	b.args = []string{"/usr/sbin/bgpd", "-d", "-v", "-f", b.path("bgpd.conf")}
	b.run()
	b.answers(b.bgpctl("show")...)
	return b
}

func (b openbgpd) bgpctl(words ...string) []string {
	return append([]string{"bgpctl", "-s", b.path("ctl")}, words...)
}

func (b openbgpd) Again() { b.t.Helper(); b.run() }

func (b openbgpd) Announce() error {
	_, err := b.ask(b.bgpctl("network", "add", Site)...)
	return err
}

func (b openbgpd) Withdraw() error {
	_, err := b.ask(b.bgpctl("network", "delete", Site)...)
	return err
}

func (b openbgpd) Learned(prefix string) (out []Route, err error) {
	text, err := b.ask(b.bgpctl("-j", "show", "rib", prefix)...)
	if err != nil {
		return nil, err
	}
	var table struct {
		RIB []struct {
			Best     bool   `json:"best"`
			Prefix   string `json:"prefix"`
			ASPath   string `json:"aspath"`
			Metric   int    `json:"metric"`
			Neighbor struct {
				Remote string `json:"remote_addr"`
			} `json:"neighbor"`
		} `json:"rib"`
	}
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		return nil, fmt.Errorf("OpenBGPD: %w in %s", err, text)
	}
	for _, r := range table.RIB {
		if r.Prefix == prefix {
			out = append(out, Route{From: r.Neighbor.Remote, ASPath: r.ASPath, MED: r.Metric, Best: r.Best})
		}
	}
	return out, nil
}
