//go:build e2e

package bgppeer

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"seikan/e2e/world"
)

const birdConf = `
log stderr all;
router id {{.Local}};
protocol device { scan time 2; }
protocol static site { ipv4; route {{.Site}} unreachable; }
protocol static far { ipv4; route {{.Far}} unreachable; }
protocol kernel { persist; ipv4 { export where source = RTS_BGP; }; }
filter over_one {
  if source != RTS_STATIC then reject;
  if net = {{.Far}} then { bgp_med = 1; bgp_path.prepend({{.ASN}}); bgp_path.prepend({{.ASN}}); accept; }
  bgp_med = 100;
  accept;
}
filter over_two {
  if source != RTS_STATIC then reject;
  bgp_med = 200;
  accept;
}
template bgp aws {
  hold time {{.Hold}}; keepalive time {{.Keepalive}};
  connect delay time 1; connect retry time {{.Retry}}; error wait time 1, {{.Retry}};
  graceful restart on; graceful restart time {{.RestartFor}};
}
protocol bgp one from aws {
  local {{.Local}} as {{.ASN}}; neighbor {{.Remote}} as {{.PeerASN}};
  ipv4 { import all; export filter over_one; next hop self; };
}
protocol bgp two from aws {
  local {{.Local2}} as {{.ASN}}; neighbor {{.Remote2}} as {{.PeerASN}};
  ipv4 { import all; export filter over_two; next hop self; };
}
`

// A bird is BIRD.
type bird struct{ *program }

func startBIRD(t testing.TB, w *world.World) Speaker {
	t.Helper()
	b := bird{newProgram(t, w, map[string]string{"bird.conf": birdConf})}
	b.start()
	return b
}

func (b bird) start() {
	b.t.Helper()
	b.args = []string{"bird", "-f", "-c", b.path("bird.conf"), "-s", b.path("ctl"), "-P", b.path("pid")}
	b.run()
	b.answers(b.birdc("show", "status")...)
}

func (b bird) birdc(words ...string) []string {
	return append([]string{"birdc", "-s", b.path("ctl")}, words...)
}

func (b bird) tell(words ...string) error {
	_, err := b.ask(b.birdc(words...)...)
	return err
}

func (b bird) Announce() error { return b.tell("enable", "site") }
func (b bird) Withdraw() error { return b.tell("disable", "site") }
func (b bird) Again()          { b.t.Helper(); b.run("-R") }

// Learned reads what birdc prints: a line with the protocol's name in brackets
// begins a route, with a star if it is the best, and attributes follow, a line each.
func (b bird) Learned(prefix string) (out []Route, err error) {
	text, err := b.ask(b.birdc("show", "route", "all", prefix)...)
	if err != nil {
		if strings.Contains(text, "not found") {
			err = nil
		}
		return nil, err
	}
	for line := range strings.Lines(text) {
		name, value, attribute := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case strings.Contains(line, "unicast ["):
			out = append(out, Route{Best: strings.Contains(line, "] *")})
		case !attribute || len(out) == 0:
		case name == "BGP.as_path":
			out[len(out)-1].ASPath = strings.TrimSpace(value)
		case name == "BGP.next_hop":
			out[len(out)-1].From = strings.TrimSpace(value)
		case name == "BGP.med":
			if out[len(out)-1].MED, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return nil, fmt.Errorf("BIRD: %q: %w", line, err)
			}
		}
	}
	return out, nil
}
