//go:build e2e

package bgppeer

import (
	"fmt"
	"strings"
	"testing"

	"seikan/e2e/world"
)

const crowdConf = `
log stderr all;
router id {{.Remote}};
protocol device { scan time 2; }
protocol static crowd {
  disabled; ipv4;
  %s
}
template bgp customer {
  hold time {{.Hold}}; keepalive time {{.Keepalive}};
  connect delay time 1; connect retry time {{.Retry}}; error wait time 1, {{.Retry}};
  ipv4 { import all; export where source = RTS_STATIC; next hop self; };
}
protocol bgp one from customer { local {{.Remote}} as {{.PeerASN}}; neighbor {{.Local}} as {{.ASN}}; }
protocol bgp two from customer { local {{.Remote2}} as {{.PeerASN}}; neighbor {{.Local2}} as {{.ASN}}; }
`

// A Crowd is BIRD as AWS's end of both tunnels, with many prefixes to announce,
// 10.100.0.0/24 and on, all at once.
type Crowd struct{ bird }

// StartCrowd runs it in the namespace resp, where it announces nothing yet.
func StartCrowd(t testing.TB, w *world.World, prefixes int) Crowd {
	t.Helper()
	var routes strings.Builder
	for i := range prefixes {
		fmt.Fprintf(&routes, "route 10.%d.%d.0/24 unreachable;\n", 100+i/256, i%256)
	}
	b := bird{newProgram(t, w, map[string]string{"bird.conf": fmt.Sprintf(crowdConf, routes.String())})}
	b.in = "resp"
	b.start()
	return Crowd{b}
}

// Announce and Withdraw are of all prefixes.
func (c Crowd) Announce() error { return c.tell("enable", "crowd") }
func (c Crowd) Withdraw() error { return c.tell("disable", "crowd") }

// Begin and End are of both sessions.
func (c Crowd) Begin() error { return c.both("enable") }
func (c Crowd) End() error   { return c.both("disable") }

func (c Crowd) both(word string) error {
	if err := c.tell(word, "one"); err != nil {
		return err
	}
	return c.tell(word, "two")
}
