//go:build e2e

package e2e

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"seikan/e2e/pump"
	"seikan/e2e/strongswan"
	"seikan/e2e/world"
	"seikan/internal/gateway"
	"seikan/internal/gateway/conffile"
	"seikan/internal/gateway/worker"
)

// A cloudEnd is our gateway as AWS's two endpoints, run as the cloud runs it: it is
// told by orders, so that an endpoint can be drained and replaced.
type cloudEnd struct {
	*worker.Process
	t   *testing.T
	w   *world.World
	cfg gateway.Config
	log output
}

// startCloud runs text in the namespace resp until the test ends.
func startCloud(t *testing.T, w *world.World, text string) *cloudEnd {
	t.Helper()
	f, err := conffile.Parse([]byte("name: cloud\n"+text), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &cloudEnd{t: t, w: w, cfg: f.Gateway}
	c.Process, err = worker.Start(worker.Options{
		Command: []string{os.Getenv("SEIKAN"), "gateway-worker"}, Config: c.cfg, Stderr: &c.log, Log: slog.New(slog.DiscardHandler), Changed: func() {},
		Start: func(cmd *exec.Cmd) error {
			inside := w.Command("resp", cmd.Args...)
			cmd.Path, cmd.Args = inside.Path, inside.Args
			return cmd.Start()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop()
		if t.Failed() {
			t.Logf("the cloud's end:\n%s", c.log.String())
		}
	})
	return c
}

// set tells it of another endpoint, and of the MED of the other tunnel.
func (c *cloudEnd) set(i int, e gateway.Endpoint, otherMED uint32) {
	c.t.Helper()
	tunnels := append([]gateway.Tunnel(nil), c.cfg.Tunnels...)
	tunnels[i].Endpoint, tunnels[1-i].BGP.MED = e, otherMED
	c.cfg.Tunnels = tunnels
	if err := c.Set(c.cfg); err != nil {
		c.t.Fatal(err)
	}
}

// speaks checks that both tunnels and both sessions are up, with a route each, and
// that tunnel i is of this endpoint.
func (c *cloudEnd) speaks(i, generation int) error {
	st := c.Status()
	if st == nil || st.BGP == nil {
		return fmt.Errorf("got status %+v", st)
	}
	for n, p := range st.BGP.Peers {
		if !st.Tunnels[n].Up || !p.Established || p.Accepted != 1 {
			return fmt.Errorf("%s: up %v, session %+v, want both up and one route", p.Tunnel, st.Tunnels[n].Up, p)
		}
	}
	if got := st.Tunnels[i].Endpoint; got != generation {
		return fmt.Errorf("tunnel %d: endpoint %d, want %d", i+1, got, generation)
	}
	return nil
}

// drainFor is how long the cloud drains an endpoint before it is replaced
// (cloud/vpn).
const drainFor = 5 * time.Second

// TestMaintenanceUnderStrongSwanAndFRR replaces both endpoints, one after the other
// and as the cloud does, under a customer gateway of strongSwan and FRR with the
// files that we wrote for it, which carries a stream each way.
func TestMaintenanceUnderStrongSwanAndFRR(t *testing.T) {
	w := world.New(t)
	w.SecondAddress()
	// The MEDs are the cloud's: 100, and 50 while the other tunnel is drained (vpn §3.6).
	cloud := startCloud(t, w, strings.ReplaceAll(awsFile(2, true), "med: 200", "med: 100"))
	p := pump.Start(t, w, pump.Place{Namespace: "cgw", Shim: pump.XFRM, Links: marks("vpn-9abcdef0-")})
	flags := []string{"--advertise", world.CustomerSite}
	strongswan.StartFiles(t, w, "cgw", exported(t, samples+"bgp.json", "strongswan", flags...), p.Env())
	speak(t, w, "frr", only(t, exported(t, samples+"bgp.json", "frr", flags...)))
	w.Until("both tunnels and sessions", 90*time.Second, func() error { return cloud.speaks(0, 0) })
	w.Until("traffic", 20*time.Second, w.Reach)
	both := startStreams(t, w, "tun1", "vpn-9abcdef0-1")
	for i := range 2 {
		began := time.Now()
		cloud.set(i, gateway.Endpoint{Draining: true}, 50)
		var moved [2]time.Duration
		for n, end := range []struct{ namespace, prefix, device string }{
			{"resp", world.CustomerSite, fmt.Sprint("tun", 2-i)}, {"cgw", world.ServerSite, fmt.Sprint("vpn-9abcdef0-", 2-i)},
		} {
			w.Until("traffic by the other tunnel in "+end.namespace, drainFor, func() error {
				if out := w.Exec(end.namespace, "ip", "route", "show", end.prefix); !strings.Contains(out, "dev "+end.device+" ") {
					return fmt.Errorf("got %q, want it by %s", out, end.device)
				}
				return nil
			})
			moved[n] = time.Since(began).Round(10 * time.Millisecond)
		}
		w.Until("the end of the drain", 2*drainFor, func() error {
			if left := drainFor - time.Since(began); left > 0 {
				return fmt.Errorf("in %v", left)
			}
			return nil
		})
		cloud.set(i, gateway.Endpoint{Generation: 1}, 50)
		took := w.Until("the new endpoint, with its session", 120*time.Second, func() error { return cloud.speaks(i, 1) })
		t.Logf("tunnel %d: traffic had moved after %v at the cloud and %v at the customer, and it was back %v after it was replaced", i+1, moved[0], moved[1], took.Round(10*time.Millisecond))
		cloud.set(i, gateway.Endpoint{Generation: 1}, 100)
		both.more(t, w)
	}
	r := newReport(t, w, "maintenance, Seikan and strongSwan with FRR", suites[0].name)
	for _, d := range both.stop(t) {
		r.line("under 2,000 packets a second", "%v", d)
		if d.Sent == 0 || d.Lost != 0 || d.Duplicated != 0 {
			t.Errorf("got %v, want none lost or duplicated", d)
		}
	}
}
