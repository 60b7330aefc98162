//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seikan/e2e/bgppeer"
	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
)

// The peer's gateway carries the tunnels and speaks no BGP: that is the
// peer's. Static routes stand in for a peer that lays none.
const carrierFile = `
tunnels:
  - name: t1
    interface: tun1
    outside: {remote_address: ` + world.Responder + `, local_id: customer.example, remote_id: ` + world.Responder + `}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideSecond + world.InsideBits + `
  - name: t2
    interface: tun2
    outside: {remote_address: ` + world.Responder2 + `, local_id: customer.example, remote_id: ` + world.Responder2 + `}
    pre_shared_key_file: psk
    inside_address: ` + world.InsideSecond2 + world.InsideBits + `
`

// hastyCloud is cloudFile with a hold time that a test can wait for.
func hastyCloud() string {
	return strings.ReplaceAll(cloudFile, "max_prefixes: 100,", "max_prefixes: 100, hold_time: 9s, keepalive: 3s,")
}

// TestBGPPeers has other people's BGP speakers behind our two tunnels, whom our
// gateway meets as AWS's end.
func TestBGPPeers(t *testing.T) {
	for _, kind := range bgppeer.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			version, _ := exec.Command(kind.Version[0], kind.Version[1:]...).CombinedOutput() // some say it and fail
			first, _, _ := strings.Cut(string(version), "\n")
			t.Logf("%s: %s", kind.Name, first)
			p := meet(t, kind)
			p.choices()
			p.withdrawal()
			p.holdTimer()
			p.restart()
			p.goodbye()
		})
	}
}

// A meeting is our gateway with a peer.
type meeting struct {
	t       *testing.T
	w       *world.World
	kind    bgppeer.Kind
	ours    *ourgateway.Gateway // AWS's end
	speaker bgppeer.Speaker
}

// meet brings the tunnels up, and the sessions, which the peer has to open.
func meet(t *testing.T, kind bgppeer.Kind) *meeting {
	t.Helper()
	m := &meeting{t: t, w: world.New(t), kind: kind}
	m.w.SecondAddress()
	m.ours = startText(t, m.w, "resp", hastyCloud())
	carrier := carrierFile
	if !kind.Lays {
		carrier = "routes: [" + world.ServerSite + "]" + carrier
	}
	customer := startText(t, m.w, "cgw", carrier)
	m.w.Until("both tunnels", 30*time.Second, func() error { return bothUp(customer) })
	m.w.Nft("cgw", `
		table ip bgp {
			chain in {
				type filter hook input priority 0
			}
			chain out {
				type filter hook output priority 0
			}
		}`)
	m.only("in")
	m.speaker = kind.Start(t, m.w)
	m.established("the peer", "sport")
	return m
}

// bothUp checks that the two tunnels of g are.
func bothUp(g *ourgateway.Gateway) error {
	st, err := g.Whole()
	if err == nil && (len(st.Tunnels) != 2 || !st.Tunnels[0].Up || !st.Tunnels[1].Up) {
		err = fmt.Errorf("got %+v, want two tunnels up", st.Tunnels)
	}
	return err
}

// only refuses the sessions that are opened in a direction: "in" those that we
// open, "out" those that the peer does.
func (m *meeting) only(refused string) {
	m.t.Helper()
	m.w.Nft("cgw", "flush chain ip bgp in\nflush chain ip bgp out\n"+
		"add rule ip bgp "+refused+" tcp dport 179 tcp flags & (syn | ack) == syn reject with tcp reset\n")
}

// established waits until both sessions are up, and demands that it was we or
// the peer who opened them: the other one's port is 179.
func (m *meeting) established(opener, port string) {
	m.t.Helper()
	took := m.w.Until("both sessions, opened by "+opener, 120*time.Second, func() error { return spoken(m.ours, 2, world.CustomerSite, "t1") })
	out := m.w.Exec("resp", "ss", "-Htn", "state", "established", "( "+port+" = :179 )")
	if n := strings.Count(out, "\n"); n != 2 {
		m.t.Errorf("sessions that %s opened: got %d, want 2: %s", opener, n, out)
	}
	m.t.Logf("both sessions, opened by %s, after %v", opener, took.Round(100*time.Millisecond))
}

// lies waits until the kernel of AWS's end has prefix by device, or not at all.
func (m *meeting) lies(prefix, device string, limit time.Duration) {
	m.t.Helper()
	m.w.Until(prefix+" by "+device, limit, func() error {
		out := m.w.Exec("resp", "ip", "route", "show", prefix)
		if device == "" && out != "" || device != "" && !strings.Contains(out, "dev "+device+" ") {
			return fmt.Errorf("got %q, want it by %q", out, device)
		}
		return nil
	})
}

// learned waits until the peer has our route from both ends, with our MEDs, and
// has chosen the first; or has none.
func (m *meeting) learned(have bool) {
	m.t.Helper()
	var want []bgppeer.Route
	if have {
		want = []bgppeer.Route{
			{From: world.InsideFirst, ASPath: "64512", MED: 100, Best: m.kind.Chooses},
			{From: world.InsideFirst2, ASPath: "64512", MED: 200},
		}
	}
	m.w.Until("what the peer has learned", 20*time.Second, func() error {
		got, err := m.speaker.Learned(world.ServerSite)
		slices.SortFunc(got, func(a, b bgppeer.Route) int { return strings.Compare(a.From, b.From) })
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("got %+v, want %+v", got, want)
		}
		return err
	})
	if !m.kind.Lays {
		return
	}
	m.w.Until("what the peer has laid", 10*time.Second, func() error {
		out := m.w.Exec("cgw", "ip", "route", "show", world.ServerSite)
		if strings.Contains(out, "dev tun1 ") != have {
			return fmt.Errorf("got %q, want it by tun1: %v", out, have)
		}
		return nil
	})
}

// choices checks what each end makes of MED and AS path, in its tables and the
// kernel's, and that traffic follows.
func (m *meeting) choices() {
	m.t.Helper()
	m.lies(bgppeer.Site, "tun1", 5*time.Second) // MED 100 beats 200
	m.lies(bgppeer.Far, "tun2", 5*time.Second)  // one system beats three, whatever their MED
	m.learned(true)
	m.w.Until("traffic", 10*time.Second, m.w.Reach)
}

// withdrawal has the peer withdraw a prefix and announce it again.
func (m *meeting) withdrawal() {
	m.t.Helper()
	if err := m.speaker.Withdraw(); err != nil {
		m.t.Fatal(err)
	}
	m.lies(bgppeer.Site, "", 15*time.Second)
	m.lies(bgppeer.Far, "tun2", time.Second)
	if err := m.speaker.Announce(); err != nil {
		m.t.Fatal(err)
	}
	m.lies(bgppeer.Site, "tun1", 15*time.Second)
}

// holdTimer lets no BGP through while the tunnels go on. Afterwards the session
// is for us to open.
func (m *meeting) holdTimer() {
	m.t.Helper()
	m.w.Nft("cgw", "flush chain ip bgp in\nflush chain ip bgp out\n"+
		"add rule ip bgp in meta l4proto tcp th dport 179 drop\nadd rule ip bgp in meta l4proto tcp th sport 179 drop\n"+
		"add rule ip bgp out meta l4proto tcp th dport 179 drop\nadd rule ip bgp out meta l4proto tcp th sport 179 drop\n")
	began := time.Now()
	m.w.Until("our hold timers", 20*time.Second, func() error {
		st, err := m.ours.Whole()
		if err != nil {
			return err
		}
		for i, p := range st.BGP.Peers {
			if want := "sent 4/0 (Hold Timer Expired)"; p.Established || !strings.Contains(m.ours.Log(), want) || len(p.Routes) > 0 || !st.Tunnels[i].Up {
				return fmt.Errorf("got %+v, tunnel up %v, want it ended, %q logged, no routes, and the tunnel up", p, st.Tunnels[i].Up, want)
			}
		}
		return nil
	})
	// Nobody says any more that it is gone, so nothing leaves in clear.
	if out := m.w.Exec("resp", "ip", "route", "show", bgppeer.Site); !strings.Contains(out, "unreachable") {
		m.t.Errorf("%s after the hold timers: got %q, want it unreachable", bgppeer.Site, out)
	}
	m.t.Logf("hold timers of 9 s expired after %v", time.Since(began).Round(100*time.Millisecond))
	m.learned(m.kind.Clings)
	m.only("out")
	m.established("us", "dport")
	m.choices()
	m.w.Nft("cgw", "flush chain ip bgp out\n")
}

// restart kills the peer and starts it again. One that can restart gracefully
// keeps its place in our kernel's table, without an instant in which it is gone.
func (m *meeting) restart() {
	m.t.Helper()
	watch, gone := m.monitor()
	m.speaker.Kill()
	m.w.Until("our sessions ended", 20*time.Second, func() error {
		st, err := m.ours.Whole()
		if err == nil && (st.BGP.Peers[0].Established || st.BGP.Peers[1].Established) {
			err = fmt.Errorf("got %+v", st.BGP.Peers)
		}
		return err
	})
	if m.kind.Keeps {
		m.lies(bgppeer.Site, "tun1", time.Second)
		if err := m.w.Reach(); err != nil {
			m.t.Errorf("traffic while the peer restarts: %v", err)
		}
	}
	m.speaker.Again()
	m.w.Until("both sessions after the restart", 120*time.Second, func() error { return spoken(m.ours, 2, world.CustomerSite, "t1") })
	m.choices()
	lost := gone()
	watch()
	if lost == m.kind.Keeps {
		m.t.Errorf("%s left our kernel's table while the peer restarted: got %v, want %v", bgppeer.Site, lost, !m.kind.Keeps)
	}
	m.t.Logf("routes kept while it restarts: %v", !lost)
}

// monitor begins to watch the routes of AWS's end, and returns what ends that
// and what says whether Site was deleted since.
func (m *meeting) monitor() (end func(), gone func() bool) {
	m.t.Helper()
	var out output
	cmd := m.w.Command("resp", "ip", "monitor", "route")
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			if _, exit := errors.AsType[*exec.ExitError](err); !exit {
				m.t.Error(err)
			}
		}
	})
	m.t.Cleanup(end)
	// It hears when it hears of a route that is made for it to hear.
	const probe = "192.0.2.77"
	m.w.Until("the monitor", 5*time.Second, func() error {
		m.w.Exec("resp", "ip", "route", "replace", "blackhole", probe)
		m.w.Exec("resp", "ip", "route", "del", "blackhole", probe)
		if !strings.Contains(out.String(), probe) {
			return errors.New("it does not hear yet")
		}
		return nil
	})
	return end, func() bool {
		const last = "192.0.2.78"
		m.w.Exec("resp", "ip", "route", "replace", "blackhole", last)
		m.w.Until("the monitor's last word", 5*time.Second, func() error {
			if !strings.Contains(out.String(), last) {
				return errors.New("it has not heard the last route")
			}
			return nil
		})
		m.w.Exec("resp", "ip", "route", "del", "blackhole", last)
		return strings.Contains(out.String(), "Deleted "+bgppeer.Site+" ")
	}
}

// goodbye ends our gateway, with which the peer must forget what it learned.
func (m *meeting) goodbye() {
	m.t.Helper()
	m.ours.Stop()
	m.learned(false)
	if packets, _ := m.w.Seen("clear"); packets != 0 {
		m.t.Errorf("%d packets crossed the internet in clear", packets)
	}
}
