//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/e2e/ourgateway"
	"seikan/e2e/world"
	"seikan/internal/gateway"
)

// TestReloadLeavesUntouchedTunnelsAlone has the customer's file changed again and
// again under traffic over tunnel 1, and tunnel 2 comes, changes and goes.
func TestReloadLeavesUntouchedTunnelsAlone(t *testing.T) {
	w := world.New(t)
	w.SecondAddress()
	cloud := startText(t, w, "resp", cloudFile)
	head, second, _ := strings.Cut(customerFile, "  - name: t2\n")
	second = "  - name: t2\n" + second
	customer := startText(t, w, "cgw", head)
	w.Until("the first session", 60*time.Second, func() error { return established(customer, "t1") })
	w.Until("traffic", 10*time.Second, w.Reach)
	before := tunnel(t, customer, "t1")
	both := startStreams(t, w, "tun1", "tun1")

	reloaded(t, w, customer, head+second, "t1      unchanged", "t2      added")
	w.Until("the second session", 60*time.Second, func() error { return established(customer, "t2") })
	old := tunnel(t, customer, "t2")

	reloaded(t, w, customer, head+second+"    phase2: {lifetime: 50m}\n", "t1      unchanged", "t2      rebuilt    phase2.lifetime")
	w.Until("the second session, built anew", 60*time.Second, func() error { return established(customer, "t2") })
	if now := tunnel(t, customer, "t2"); now.tunnel.Child.SPIIn == old.tunnel.Child.SPIIn {
		t.Errorf("tunnel 2: got the SA of before, %s, want another", old.tunnel.Child.SPIIn)
	}
	old = tunnel(t, customer, "t2")

	// What only BGP has to do with keeps the SAs, and SIGHUP does as the command.
	reloaded(t, w, customer, head+strings.Replace(second, "peer_asn: 64512", "peer_asn: 64512, med: 300", 1)+"    phase2: {lifetime: 50m}\n", "t1      unchanged", "t2      changed    bgp.med")
	if now := tunnel(t, customer, "t2"); now.tunnel.Child == nil || now.tunnel.Child.SPIIn != old.tunnel.Child.SPIIn {
		t.Errorf("tunnel 2: got %+v, want the SA of before, %s", now.tunnel.Child, old.tunnel.Child.SPIIn)
	}
	log := len(customer.Log())
	customer.Hangup()
	w.Until("the log of SIGHUP", 5*time.Second, func() error {
		if text := customer.Log()[log:]; !strings.Contains(text, "tunnel=t2 change=unchanged") {
			return fmt.Errorf("got %s", text)
		}
		return nil
	})

	// A wrong file is refused, and nothing changes.
	out, err := customer.Reload(w, head+strings.Replace(second, "peer_asn: 64512", "peer_asn: zero", 1))
	if err == nil || !strings.Contains(out, "tunnel t2: line 17: bgp.peer_asn: \"zero\" is not an autonomous system number") {
		t.Errorf("a wrong file: got %v, %s, want it refused with line and field", err, out)
	}
	if err := established(customer, "t2"); err != nil {
		t.Errorf("after a wrong file: %v", err)
	}

	reloaded(t, w, customer, head, "t1      unchanged", "t2      removed")
	w.Until("the end of tunnel 2 at the peer, which was told", 2*time.Second, func() error {
		if s := tunnel(t, cloud, "t2"); s.tunnel.Up || !strings.Contains(s.tunnel.Reason, "deleted") {
			return fmt.Errorf("up %v: %s", s.tunnel.Up, s.tunnel.Reason)
		}
		return nil
	})

	all := both.stop(t)
	for _, d := range all {
		t.Log(d)
		if d.Sent == 0 || d.Lost != 0 || d.Duplicated != 0 || d.Late != 0 {
			t.Errorf("got %v, want none lost, duplicated or late", d)
		}
	}
	after := tunnel(t, customer, "t1")
	if after.tunnel.Child.SPIIn != before.tunnel.Child.SPIIn || !after.session.Since.Equal(before.session.Since) || after.tunnel.Traffic.PacketsOut < before.tunnel.Traffic.PacketsOut+uint64(all[0].Sent) {
		t.Errorf("tunnel 1: got %+v and %+v, want the SA, the session and the counters of before: %+v and %+v", after.tunnel, after.session, before.tunnel, before.session)
	}
	if st, err := customer.Whole(); err != nil || len(st.Tunnels) != 1 {
		t.Errorf("got %+v, %v, want tunnel 1 alone", st.Tunnels, err)
	}
}

// A tunnelState is a tunnel and its BGP session.
type tunnelState struct {
	tunnel  gateway.TunnelStatus
	session gateway.BGPPeer
}

// tunnel is the state of one of g's tunnels.
func tunnel(t *testing.T, g *ourgateway.Gateway, id string) (out tunnelState) {
	t.Helper()
	st, err := g.Whole()
	if err != nil {
		t.Fatal(err)
	}
	for _, tun := range st.Tunnels {
		if tun.ID == id {
			out.tunnel = tun
		}
	}
	if st.BGP == nil {
		return out
	}
	for _, p := range st.BGP.Peers {
		if p.Tunnel == id {
			out.session = p
		}
	}
	return out
}

// established checks that a tunnel of g has its SA and a BGP session with routes.
func established(g *ourgateway.Gateway, id string) error {
	st, err := g.Whole()
	if err != nil {
		return err
	}
	up := slices.ContainsFunc(st.Tunnels, func(s gateway.TunnelStatus) bool { return s.ID == id && s.Up && s.Child != nil })
	if st.BGP != nil {
		for _, p := range st.BGP.Peers {
			if p.Tunnel == id && up && p.Established && p.Accepted > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("%s: got %+v", id, st.BGP)
}

// reloaded reloads and checks lines of what is printed.
func reloaded(t *testing.T, w *world.World, g *ourgateway.Gateway, text string, lines ...string) {
	t.Helper()
	out, err := g.Reload(w, text)
	if err != nil {
		t.Fatalf("reload: %v: %s", err, out)
	}
	for _, want := range lines {
		if !strings.Contains("\n"+out, "\n"+want+"\n") {
			t.Errorf("reload printed\n%s\nwant the line %q", out, want)
		}
	}
}
