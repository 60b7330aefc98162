//go:build e2e

package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// smallDemoTime is what the demo of a small topology may take on a machine that
// does nothing else.
const smallDemoTime = 25 * time.Second

// TestLabDemosOfTheSmallTopologies runs the walk-throughs of the topologies that
// come beside the system overview, each by its name.
func TestLabDemosOfTheSmallTopologies(t *testing.T) {
	for name, evidence := range map[string][]string{
		"static":  {"authenticated by PSK", "static: 192.168.1.0/24 behind cgw", "the server saw 192.168.1.10:", "goes on       over tunnel", "all 4 steps held"},
		"roaming": {"authenticated by ECDSA-P256", "UP 1 BGP ROUTES", "198.51.100.2 → 198.51.100.3", "the cloud saw 198.51.100.2:", "and now sees 198.51.100.3:", "25165824 octets", "as sent", "all 4 steps held"},
		"ipv6":    {"[2001:db8:1::4]:500 → [2001:db8:fc::10]:500", "NAT in front of nobody", "192.168.0.0/16 to hub", "the server saw 192.168.1.10:", "(at most 1s)", "goes on       over tunnel", "all 4 steps held"},
		"transit": {"authenticated by PSK", "hub", "192.168.0.0/16 to hub", "the server saw 192.168.1.10:", "goes on       over tunnel", "all 4 steps held"},
	} {
		t.Run(name, func(t *testing.T) {
			before := traces(t)
			ctx, cancel := context.WithTimeout(context.Background(), demoPatience)
			defer cancel()
			cmd := exec.CommandContext(ctx, seikan(t), "lab", "demo", name, "--name", "demo-"+name)
			cmd.Dir = "/"
			begun := time.Now()
			s := finish(t, cmd)
			took := time.Since(begun)
			if s.code != 0 {
				t.Fatalf("lab demo %s after %v: %v", name, took, s)
			}
			rest := s.out
			for _, want := range evidence {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("no %q, or in the wrong place, in\n%s", want, s.out)
				}
				rest = after
			}
			if took > smallDemoTime {
				t.Errorf("lab demo %s: took %v, want at most %v", name, took, smallDemoTime)
			}
			before.nothingSince(t)
		})
	}
}
