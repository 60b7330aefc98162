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
)

// AWS's dead peer detection gives a tunnel up when it was silent for 30 s, by
// default (vpn §2.1, DPDTimeoutSeconds). What follows, and to see it by asking
// the command line again and again, may take the rest of failoverTime.
const failoverTime = 40 * time.Second

// TestFailoverWithAWSsDeadPeerDetection cuts the tunnel in use in a lab without
// our liveness extension.
func TestFailoverWithAWSsDeadPeerDetection(t *testing.T) {
	file := variant(t, scratch(t), "        liveness: {interval: 250ms, timeout: 750ms}\n", "")
	l := labUp(t, "failover", file)
	until(t, "both tunnels at both ends", patience, l.tunnelsUp)
	until(t, "traffic", patience, l.reach)
	used := l.used()
	begun := time.Now()
	if s := l.do("cut", used.String()); s.code != 0 {
		t.Fatalf("lab cut %v: %v", used, s)
	}
	until(t, "the cut", patience, func() error {
		if l.reach() == nil {
			return errors.New("traffic passes")
		}
		return nil
	})
	until(t, "traffic over the other tunnel", failoverTime+patience, l.reach)
	took := time.Since(begun)
	if took > failoverTime {
		t.Errorf("traffic after the cut: got it after %v, want at most %v", took, failoverTime)
	}
	if now := l.used(); now == used {
		t.Errorf("the tunnel in use after the cut: got %v, want the other", now)
	}
	t.Logf("traffic went on %v after %v was cut", took.Round(100*time.Millisecond), used)
	if s := l.do("mend", used.String()); s.code != 0 {
		t.Fatalf("lab mend: %v", s)
	}
	until(t, "both tunnels after the mend", 2*failoverTime, l.tunnelsUp)
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
