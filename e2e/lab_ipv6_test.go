//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// Addresses of lab/ipv6.yaml.
const (
	northClient6 = "2001:db8:1::10"
	southClient6 = "2001:db8:2::10"
)

// TestIPv6AtTheCloud has tunnels at a transit gateway with IPv6 inside, outside and
// both: packets both ways, in ESP alone, failover by BFD, and nothing once both
// tunnels are cut.
func TestIPv6AtTheCloud(t *testing.T) {
	l := labUp(t, "six", "ipv6")
	until(t, "BFD at both ends of all tunnels", 3*patience, func() error { return l.pathsWatched(12) })
	for _, way := range [][2]string{
		{"client-n", appAddress}, {"app-1", "192.168.1.10"}, // IPv4 in IPv6
		{"client-n", southClient6}, {"client-s", northClient6}, // IPv6 in IPv4, and in IPv6
		{"cgw-n6", "fd00:12::1"}, {"cgw-n6", "fd00:13::1"}, // the cloud's own ends
	} {
		until(t, way[0]+" to reach "+way[1], patience, l.pinging(way[0], way[1]))
	}
	// What is too large for a tunnel is cut, or refused by who may not cut it: on the
	// way to south-6 the transit gateway, after the customer gateway, and on the way
	// back another one; each refuses the first.
	for _, way := range [][2]string{{"client-n", appAddress}, {"client-n", southClient6}} {
		if s := l.exec(way[0], "ping", "-q", "-c", "6", "-i", "0.3", "-W", "1", "-s", "4000", way[1]); s.code != 0 {
			t.Errorf("large pings to %s: got %v, want an answer", way[1], s)
		}
	}
	t.Run("families", func(t *testing.T) { inner := *l; inner.t = t; familiesOf(t, &inner) })
	t.Run("spread", func(t *testing.T) { inner := *l; inner.t = t; sixSpreads(t, &inner) })
	t.Run("failover", func(t *testing.T) { inner := *l; inner.t = t; sixFailsOver(t, &inner) })
}

// familiesOf checks the outside and inside addresses of each connection, and what is
// learned over it, as soon as something is: two that open a session at once may begin
// anew, while traffic goes by the other tunnel.
func familiesOf(t *testing.T, l *runningLab) {
	until(t, "routes over each tunnel", 3*patience, func() error {
		st, err := l.status()
		if err != nil {
			return err
		}
		for _, tn := range st.Tunnels {
			if len(tn.BGP.Learned) == 0 {
				return fmt.Errorf("%s/%d (%s): learned nothing", tn.Connection, tn.Number, tn.End)
			}
		}
		return nil
	})
	st, err := l.status()
	if err != nil {
		t.Fatal(err)
	}
	for _, tn := range st.Tunnels {
		remote, err := netip.ParseAddrPort(tn.Remote)
		if err != nil || remote.Addr().Is6() == (tn.Connection == "north-6") {
			t.Errorf("%s/%d (%s): got the outside address %v, %v, of the other family", tn.Connection, tn.Number, tn.End, tn.Remote, err)
		}
		for _, p := range tn.BGP.Learned {
			if netip.MustParsePrefix(p).Addr().Is6() != strings.HasSuffix(tn.Connection, "-6") {
				t.Errorf("%s/%d (%s): learned %s, which is of the other family", tn.Connection, tn.Number, tn.End, p)
			}
		}
	}
}

// sixSpreads wants many flows of IPv6 to come to a site by both of its tunnels.
func sixSpreads(t *testing.T, l *runningLab) {
	const flows, size = 64, 1200
	before := l.sent("south-6")
	script := fmt.Sprintf("for i in $(seq %d); do head -c %d /dev/zero > /dev/udp/%s/$((20000 + i)) || exit 1; done", flows, size, southClient6)
	if s := l.exec("client-n", "bash", "-c", script); s.code != 0 {
		t.Fatalf("%d datagrams: %v", flows, s)
	}
	// All of 64 flows fall on one side, or nearly, once in a thousand million times.
	until(t, "an eighth of them at least by either tunnel", patience/4, func() error {
		after := l.sent("south-6")
		if grown := [2]uint64{after[0] - before[0], after[1] - before[1]}; min(grown[0], grown[1]) < flows*size/8 {
			return fmt.Errorf("got %v octets by each", grown)
		}
		return nil
	})
}

// sixFailsOver cuts the tunnel in use of a connection with IPv6 inside and outside,
// then the other one.
func sixFailsOver(t *testing.T, l *runningLab) {
	var used, other string
	until(t, "the tunnel that south-6 uses at both ends", patience, func() error {
		st, err := l.status()
		if err != nil {
			return err
		}
		used, other = "", ""
		for _, tn := range st.Tunnels {
			if tn.Connection == "south-6" && tn.End == "customer" {
				remote, err := netip.ParseAddrPort(tn.Remote)
				if err != nil {
					return err
				}
				if tn.Carries {
					used = remote.Addr().String()
				} else {
					other = remote.Addr().String()
				}
			}
		}
		if used == "" || other == "" {
			return fmt.Errorf("got %q and %q, want one that carries and one that does not", used, other)
		}
		return nil
	})
	l.quicklyOver("client-s", northClient6, used)
	until(t, "the way back", patience, l.pinging("client-n", southClient6))
	if s := l.do("cut", other); s.code != 0 {
		t.Fatalf("lab cut: %v", s)
	}
	until(t, "nothing, with both tunnels cut", patience, func() error {
		if l.pinging("client-s", northClient6)() == nil {
			return errors.New("traffic passes")
		}
		return nil
	})
	for _, outside := range []string{used, other} {
		if s := l.do("mend", outside); s.code != 0 {
			t.Fatalf("lab mend: %v", s)
		}
	}
	until(t, "traffic after the mend", 3*patience, l.pinging("client-s", northClient6))
}
