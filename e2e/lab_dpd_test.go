//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// A dpdSite is one site of testdata/dpdactions.yaml, which is called as the action
// that AWS's end of its tunnels takes when the customer gateway is dead.
type dpdSite struct {
	l              *runningLab
	action         string
	network, inner string // behind the customer gateway; its client
}

// TestDPDTimeoutActions kills three customer gateways that are alike but for the
// action at AWS's end, and sees what each action means (vpn §2.1, §3.1, §4.4):
// clear ends the SAs, takes the routes away and waits for the customer gateway;
// restart does the same and begins anew itself; none changes nothing.
func TestDPDTimeoutActions(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "dpdactions.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(scratch(t), "dpdactions.yaml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	l := labUp(t, "dpd", file)
	wait := dpdSite{l, "clear", "192.168.1.0/24", "192.168.1.10"}
	none := dpdSite{l, "none", "192.168.2.0/24", "192.168.2.10"}
	again := dpdSite{l, "restart", "192.168.3.0/24", "192.168.3.10"}
	all := []dpdSite{wait, none, again}
	for _, s := range all {
		until(t, s.action+": both tunnels and the route", patience, func() error { return errors.Join(s.up("customer", true), s.up("cloud", true), s.routed(true)) })
		until(t, s.action+": traffic", patience, l.pinging("app-1", s.inner))
		s.watch()
	}
	for _, s := range all {
		s.end()
	}

	// The peers are dead and stay so.
	for _, s := range []dpdSite{wait, again} {
		until(t, s.action+": no tunnel and no route", patience, func() error { return errors.Join(s.up("cloud", false), s.routed(false)) })
		s.forget()
	}
	until(t, "restart: AWS's end to call both tunnels again and again", 2*patience, func() error { return again.called(4) })
	if err := wait.called(1); err == nil {
		t.Error("clear: AWS's end calls a customer gateway that it shall wait for")
	}
	if err := errors.Join(none.up("cloud", true), none.routed(true)); err != nil {
		t.Errorf("none: when other tunnels have long been given up: got %v, want nothing changed", err)
	}
	l.exec("app-1", "ping", "-q", "-c", "3", "-i", "0.2", "-W", "0.2", none.inner)
	if n := none.seen("sealed"); n < 3 {
		t.Errorf("none: AWS's end sent %d packets of ESP to the dead peer, want those that were to go there", n)
	}

	// They come back, have forgotten everything and begin nothing.
	for _, s := range all {
		s.gateway("add")
	}
	until(t, "restart: both tunnels, begun by AWS's end, and the route", 2*patience, func() error {
		return errors.Join(again.up("customer", true), again.up("cloud", true), again.routed(true))
	})
	until(t, "restart: traffic", patience, l.pinging("app-1", again.inner))
	if err := errors.Join(wait.up("customer", false), wait.up("cloud", false), wait.routed(false)); err != nil || wait.called(1) == nil {
		t.Errorf("clear: beside a gateway that waits, too: got %v and %d calls, want nothing to happen", err, wait.seen("calls"))
	}
	if err := errors.Join(none.up("customer", false), none.up("cloud", true), none.routed(true)); err != nil || none.called(1) == nil {
		t.Errorf("none: beside a gateway that waits: got %v and %d calls, want AWS's end to believe in SAs that the peer has not", err, none.seen("calls"))
	}
	if l.pinging("app-1", none.inner)() == nil {
		t.Error("none: traffic passes by SAs that the peer has not")
	}

	// What the customer gateway begins ends either state.
	for _, s := range []dpdSite{wait, none} {
		s.end()
		s.gateway("start")
		until(t, s.action+": both tunnels and the route, begun by the customer gateway", patience, func() error {
			return errors.Join(s.up("customer", true), s.up("cloud", true), s.routed(true))
		})
		until(t, s.action+": traffic again", patience, l.pinging("app-1", s.inner))
	}
}

// up is an error unless an end of both tunnels is up, or of both down.
func (s dpdSite) up(end string, want bool) error {
	st, err := s.l.status()
	if err != nil {
		return err
	}
	ends := 0
	for _, tn := range st.Tunnels {
		if tn.Connection != "vpn-"+s.action || tn.End != end {
			continue
		}
		if ends++; tn.Up != want {
			err = errors.Join(err, fmt.Errorf("tunnel %d (%s): up %v, %s", tn.Number, end, tn.Up, tn.Detail))
		}
	}
	if ends != 2 {
		return fmt.Errorf("%d tunnels at the %s's end, %v", ends, end, st.Notes)
	}
	return err
}

// routed is an error unless the VPC's route table has the site's network, or has
// it not.
func (s dpdSite) routed(want bool) error {
	s.l.t.Helper()
	var out []byte
	err := s.l.in(s.l.routerOf("10.0.0.0/16"), func() (err error) {
		out, err = exec.Command("ip", "route", "show", "table", "all", s.network).CombinedOutput()
		return err
	})
	if err == nil && strings.Contains(string(out), "dev vgw") != want {
		err = fmt.Errorf("the VPC's routes to %s: got %q, want one to the VPN gateway: %v", s.network, out, want)
	}
	return err
}

// watch counts at the site's router what comes from AWS's ends: calls, which are
// IKE_SA_INIT requests, on port 500 or behind the marker on 4500, and what is sealed, which is ESP.
func (s dpdSite) watch() {
	s.l.t.Helper()
	script := "add table inet dpd; add counter inet dpd calls; add counter inet dpd sealed; add chain inet dpd seen { type filter hook prerouting priority -300; };" +
		" add rule inet dpd seen ip saddr 203.0.113.0/24 udp sport 500 @th,208,8 34 @th,216,8 8 counter name calls;" +
		" add rule inet dpd seen ip saddr 203.0.113.0/24 udp sport 4500 @th,64,32 0 @th,240,8 34 @th,248,8 8 counter name calls;" +
		" add rule inet dpd seen ip saddr 203.0.113.0/24 udp sport 4500 udp length > 12 @th,64,32 != 0 counter name sealed"
	if r := s.l.exec("router-"+s.action, "nft", script); r.code != 0 {
		s.l.t.Fatalf("nft on router-%s: %v", s.action, r)
	}
}

// forget begins to count anew.
func (s dpdSite) forget() {
	s.l.t.Helper()
	if r := s.l.exec("router-"+s.action, "nft", "reset", "counters", "table", "inet", "dpd"); r.code != 0 {
		s.l.t.Fatalf("nft on router-%s: %v", s.action, r)
	}
}

// seen is how many packets a counter of watch has.
func (s dpdSite) seen(counter string) (packets int) {
	s.l.t.Helper()
	r := s.l.exec("router-"+s.action, "nft", "list", "counter", "inet", "dpd", counter)
	_, after, _ := strings.Cut(r.out, "packets ")
	if _, err := fmt.Sscan(after, &packets); err != nil {
		s.l.t.Fatalf("counter %s: %v, %v", counter, r, err)
	}
	return packets
}

// called is an error unless AWS's ends have called n times.
func (s dpdSite) called(n int) error {
	if got := s.seen("calls"); got < n {
		return fmt.Errorf("got %d calls, want %d", got, n)
	}
	return nil
}

// gateway runs the site's customer gateway with that startup action.
func (s dpdSite) gateway(startup string) {
	s.l.t.Helper()
	text, err := os.ReadFile(s.l.file("gateways", "cgw-"+s.action, "gateway.yaml"))
	if err != nil {
		s.l.t.Fatal(err)
	}
	file := s.l.file("gateways", "cgw-"+s.action, startup+".yaml")
	text = regexp.MustCompile(`startup_action: \w+`).ReplaceAll(text, []byte("startup_action: "+startup))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		s.l.t.Fatal(err)
	}
	r := s.l.exec("cgw-"+s.action, "sh", "-c", `setsid "$0" gateway run --config "$1" --control "$2" >"$1.log" 2>&1 &`, seikan(s.l.t), file, "/run/gw-cgw-"+s.action+".sock")
	if r.code != 0 {
		s.l.t.Fatalf("gateway run: %v", r)
	}
	until(s.l.t, s.action+": the customer gateway runs", patience, func() error {
		st, err := s.l.status()
		for _, tn := range st.Tunnels {
			if tn.Connection == "vpn-"+s.action && tn.End == "customer" {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("it does not answer: %v", st.Notes))
	})
}

// end ends the site's customer gateway as a crash does.
func (s dpdSite) end() {
	s.l.t.Helper()
	for _, p := range processes(s.l.t) {
		if p.is("gateway") && strings.Contains(strings.Join(p.args, " "), s.l.file("gateways", "cgw-"+s.action)) {
			p.end(s.l.t, syscall.SIGKILL)
			return
		}
	}
	s.l.t.Fatalf("the customer gateway of site %s does not run", s.action)
}
