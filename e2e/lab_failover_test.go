//go:build e2e

package e2e

import (
	"errors"
	"net/netip"
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
