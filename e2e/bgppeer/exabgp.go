//go:build e2e

package bgppeer

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"seikan/e2e/world"
)

const exabgpConf = `
process learned {
  run /bin/sh {{.Dir}}/learned.sh;
  encoder json;
}
process commands {
  run /usr/bin/tail -n 0 -f {{.Dir}}/commands;
  encoder text;
}
template {
  neighbor aws {
    local-as {{.ASN}};
    peer-as {{.PeerASN}};
    router-id {{.Local}};
    hold-time {{.Hold}};
    capability { graceful-restart {{.RestartFor}}; }
    family { ipv4 unicast; }
    api {
      processes [ learned, commands ];
      neighbor-changes;
      receive { parsed; update; }
    }
  }
}
neighbor {{.Remote}} {
  inherit aws;
  local-address {{.Local}};
  static {
    route {{.Site}} next-hop self med 100;
    route {{.Far}} next-hop self med 1 as-path [ {{.ASN}} {{.ASN}} {{.ASN}} ];
  }
}
neighbor {{.Remote2}} {
  inherit aws;
  local-address {{.Local2}};
  static {
    route {{.Site}} next-hop self med 200;
    route {{.Far}} next-hop self med 200;
  }
}
`

// An exabgp is ExaBGP, which hands what it learns to a process as lines of
// JSON, and does what another says.
type exabgp struct{ *program }

func startExaBGP(t testing.TB, w *world.World) Speaker {
	t.Helper()
	b := exabgp{newProgram(t, w, map[string]string{"exabgp.conf": exabgpConf, "learned.sh": "exec cat 3>&1 >{{.Dir}}/learned\n", "commands": ""})}
	b.args = []string{"exabgp", b.path("exabgp.conf")}
	b.env = []string{"exabgp.daemon.user=root", "exabgp.api.cli=false", "exabgp.log.destination=stdout", "exabgp.tcp.bind=" + b.fields.Local + " " + b.fields.Local2}
	b.run()
	return b
}

func (b exabgp) Again() { b.t.Helper(); b.run() }

func (b exabgp) Announce() error {
	return b.tell("neighbor "+b.fields.Remote+" announce route "+Site+" next-hop self med 100",
		"neighbor "+b.fields.Remote2+" announce route "+Site+" next-hop self med 200")
}

func (b exabgp) Withdraw() error {
	return b.tell("neighbor "+b.fields.Remote+" withdraw route "+Site+" next-hop self med 100",
		"neighbor "+b.fields.Remote2+" withdraw route "+Site+" next-hop self med 200")
}

// tell adds lines to the file that is followed.
func (b exabgp) tell(lines ...string) error {
	f, err := os.OpenFile(b.path("commands"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	return err
}

// An exabgpEvent is a line of what it says.
type exabgpEvent struct {
	Type     string `json:"type"`
	Neighbor struct {
		Address struct {
			Peer string `json:"peer"`
		} `json:"address"`
		State   string `json:"state"`
		Message struct {
			Update struct {
				Attribute struct {
					ASPath []int `json:"as-path"`
					MED    int   `json:"med"`
				} `json:"attribute"`
				Announce map[string]map[string][]exabgpNLRI `json:"announce"`
				Withdraw map[string][]exabgpNLRI            `json:"withdraw"`
			} `json:"update"`
		} `json:"message"`
	} `json:"neighbor"`
}

type exabgpNLRI struct {
	NLRI string `json:"nlri"`
}

// Learned plays what was said since it was started once more.
func (b exabgp) Learned(prefix string) (out []Route, err error) {
	text, err := os.ReadFile(b.path("learned"))
	if err != nil {
		return nil, err
	}
	const family = "ipv4 unicast"
	for line := range strings.Lines(string(text)) {
		var e exabgpEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, fmt.Errorf("ExaBGP: %w in %s", err, line)
		}
		peer, update := e.Neighbor.Address.Peer, e.Neighbor.Message.Update
		is := func(n exabgpNLRI) bool { return n.NLRI == prefix }
		announced := false
		for _, by := range update.Announce[family] {
			announced = announced || slices.ContainsFunc(by, is)
		}
		if announced || e.Neighbor.State == "down" || slices.ContainsFunc(update.Withdraw[family], is) {
			out = slices.DeleteFunc(out, func(r Route) bool { return r.From == peer })
		}
		if announced {
			out = append(out, Route{From: peer, ASPath: strings.Trim(fmt.Sprint(update.Attribute.ASPath), "[]"), MED: update.Attribute.MED})
		}
	}
	return out, nil
}
