//go:build e2e

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"seikan/e2e/world"
)

// AWS's dead peer detection gives a tunnel up when it was silent for 30 s, by
// default (vpn §2.1, DPDTimeoutSeconds). What follows, and to see it by asking
// the command line again and again, may take the rest of failoverTime.
const failoverTime = 40 * time.Second

// failoverRate is how many packets a second cross the tunnels each way meanwhile.
const failoverRate = 100

// TestFailoverWithAWSsDeadPeerDetection cuts tunnel 1 at the site's NAT under a
// constant stream each way, in a lab with AWS's own timers: a session's hold time
// of 30 s, or with static routes dead peer detection alone.
func TestFailoverWithAWSsDeadPeerDetection(t *testing.T) {
	dir := scratch(t)
	for _, routing := range []struct {
		name   string
		change []string
	}{{"BGP", nil}, {"static routes", static}} {
		t.Run(routing.name, func(t *testing.T) {
			file := variant(t, dir, append([]string{"        liveness: {interval: 250ms, timeout: 750ms}\n", "",
				"            - {protocol: icmp, cidrs: [192.168.1.0/24]}\n", "            - {protocol: all, cidrs: [192.168.1.0/24]}\n"}, routing.change...)...)
			l := labUp(t, "failover", file)
			until(t, "both tunnels at both ends", patience, l.tunnelsUp)
			until(t, "traffic", patience, l.reach)
			l.replaceEnd("203.0.113.11") // which moves both ends to tunnel 1, where they stay
			until(t, "both tunnels at both ends", patience, l.tunnelsUp)
			until(t, "tunnel 1 to carry both ways", patience, func() error { return l.carries(1) })
			both := l.streams()
			until(t, "the streams", patience, both.after(failoverRate))
			nft("router", "ip daddr 203.0.113.10 drop; add rule inet why f ip saddr 203.0.113.10 drop")(t, l)
			until(t, "tunnel 2 to carry both ways", 2*failoverTime, func() error { return l.carries(2) })
			until(t, "traffic over tunnel 2", patience, l.reach)
			until(t, "the streams", patience, both.after(failoverRate))
			for _, d := range both.stop(t) {
				t.Logf("%s: %v", routing.name, d)
				if d.Away > failoverTime {
					t.Errorf("%s: none came for %v, want at most %v", d.Direction, d.Away, failoverTime)
				}
				if d.Lost < failoverRate {
					t.Errorf("%s: lost %d only: the tunnel that was cut carried nothing", d.Direction, d.Lost)
				}
			}
			l.run(t, "router", "nft delete table inet why")
			until(t, "both tunnels after the mend", 2*failoverTime, l.tunnelsUp)
		})
	}
}

// carries is an error unless both ends send over the tunnel of that number.
func (l *runningLab) carries(number int) error {
	return errors.Join(l.sends("customer", number), l.sends("cloud", number))
}

// sends is an error unless one end does.
func (l *runningLab) sends(end string, number int) error {
	l.t.Helper()
	st, err := l.status()
	for _, tn := range st.Tunnels {
		if tn.End == end && tn.Number == number && tn.Carries {
			return nil
		}
	}
	return errors.Join(err, fmt.Errorf("the %s's end does not send over tunnel %d", end, number))
}

// streams are one stream each way between the client and app-1, whose security
// group must let it in.
func (l *runningLab) streams() (both streams) {
	l.t.Helper()
	at := func(ns string) func(func() error) error {
		return func(open func() error) error { return l.in(ns, open) }
	}
	for _, p := range []world.Path{
		{Direction: "client → app-1", From: at("client"), To: at("app-1"), Address: appAddress},
		{Direction: "app-1 → client", From: at("app-1"), To: at("client"), Address: "192.168.1.10"},
	} {
		s, err := world.StartStreamOver(p, failoverRate)
		if err != nil {
			l.t.Fatal(err)
		}
		both = append(both, s)
	}
	return both
}

// after is an error until each stream has sent so many more.
func (s streams) after(more int) func() error {
	var until []int
	for _, one := range s {
		until = append(until, one.Sent()+more)
	}
	return func() error {
		for i, one := range s {
			if one.Sent() < until[i] {
				return fmt.Errorf("%d of %d sent", one.Sent(), until[i])
			}
		}
		return nil
	}
}

// used is the cloud's outside address of the tunnel that the customer sends
// over.
func (l *runningLab) used() (used netip.Addr) {
	l.t.Helper()
	until(l.t, "a tunnel that carries", patience, func() error {
		st, err := l.status()
		if err != nil {
			return err
		}
		for _, tn := range st.Tunnels {
			if tn.End == "customer" && tn.Carries {
				remote, err := netip.ParseAddrPort(tn.Remote)
				used = remote.Addr()
				return err
			}
		}
		return errors.New("there is none")
	})
	return used
}

// TestFailoverWithBFD cuts the tunnel in use, in a lab whose both ends have BFD and
// AWS's own slow DPD: traffic is away for a second at most.
func TestFailoverWithBFD(t *testing.T) {
	file := variant(t, scratch(t), "liveness: {interval: 250ms, timeout: 750ms}", "bfd: {interval: 250ms}")
	l := labUp(t, "bfd", file)
	until(t, "BFD at both ends of both tunnels", 2*patience, func() error { return l.pathsWatched(4) })
	until(t, "traffic", patience, l.reach)
	used := l.used()
	l.quicklyOver("client", appAddress, used.String())
	if now := l.used(); now == used {
		t.Errorf("the tunnel in use after the cut: got %v, want the other", now)
	}
	if s := l.do("mend", used.String()); s.code != 0 {
		t.Fatalf("lab mend: %v", s)
	}
	until(t, "BFD on both tunnels after the mend", 2*failoverTime, func() error { return l.pathsWatched(4) })
}

// quicklyOver cuts an outside address and fails unless what a host sends to another
// is away for some time, and for bfdLimit at most.
func (l *runningLab) quicklyOver(from, to, outside string) {
	l.t.Helper()
	lost, err := l.lostAcross(from, to, func() {
		if s := l.do("cut", outside); s.code != 0 {
			l.t.Errorf("lab cut %s: %v", outside, s)
		}
	})
	if err != nil {
		l.t.Fatal(err)
	}
	away := time.Duration(lost) * pingEvery
	l.t.Logf("from %s to %s: traffic was away for %v when %s was cut", from, to, away, outside)
	if away == 0 || away > bfdLimit {
		l.t.Errorf("got traffic away for %v, want at most %v, and some", away, bfdLimit)
	}
}

// pathsWatched is an error unless BFD is up at all ends of tunnels and would find a
// broken path within 3 × 250 ms.
func (l *runningLab) pathsWatched(ends int) error {
	st, err := l.status()
	if err != nil {
		return err
	}
	if len(st.Tunnels) != ends {
		return fmt.Errorf("%d ends of tunnels, %v", len(st.Tunnels), st.Notes)
	}
	for _, tn := range st.Tunnels {
		if tn.BGP == nil || tn.BGP.BFD == nil || tn.BGP.BFD.State != "Up" || tn.BGP.BFD.Detect != 750 || tn.BGP.BFD.Cut {
			return fmt.Errorf("tunnel %d (%s): got %+v, want BFD up, and to find a broken path within 750 ms", tn.Number, tn.End, tn.BGP)
		}
	}
	return nil
}

// pingEvery is how often lostAcross pings.
const pingEvery = 10 * time.Millisecond

// lostAcross pings from a host for 5 s, calls act after the first, and counts the
// answers that did not come.
func (l *runningLab) lostAcross(from, to string, act func()) (lost int, err error) {
	l.t.Helper()
	ping := exec.Command(seikan(l.t), "lab", "exec", "--name", l.name, from, "--", "ping", "-n", "-i", fmt.Sprint(pingEvery.Seconds()), "-c", "500", "-W", "1", to)
	out, err := ping.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := ping.Start(); err != nil {
		return 0, err
	}
	sent, received := 0, 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "icmp_seq=100 ") {
			act()
		}
		if strings.Contains(lines.Text(), "packets transmitted") {
			_, err = fmt.Sscanf(lines.Text(), "%d packets transmitted, %d received", &sent, &received)
		}
	}
	return sent - received, errors.Join(err, ping.Wait())
}
