package worker

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"seikan/internal/gateway"
)

// spis are the SPIs of each tunnel.
func spis(st gateway.Status) (all []string) {
	for _, t := range st.Tunnels {
		all = append(all, t.Child.SPIIn, t.Child.SPIOut)
	}
	return all
}

func TestGatewaysCarryTrafficThroughNATAndFailOver(t *testing.T) {
	w := newWorld(t)
	customer, cloud := w.startBoth()
	if !w.pings() {
		t.Error("the server does not answer through the tunnels")
	}
	before := *customer.Status()
	for _, tun := range before.Tunnels {
		if !tun.IKE.NATLocal || tun.IKE.NATRemote || !tun.Child.Encap {
			t.Errorf("%s: got NAT %v/%v, encapsulation %v, want a NAT before us only", tun.ID, tun.IKE.NATLocal, tun.IKE.NATRemote, tun.Child.Encap)
		}
	}

	// More routes, the same tunnels: the SAs stay.
	wider := config(true, key)
	for i := range wider.Tunnels {
		wider.Tunnels[i].Routes = append(wider.Tunnels[i].Routes, prefix("10.9.0.0/16"))
	}
	if err := customer.Set(wider); err != nil {
		t.Fatal(err)
	}
	after := customer.until("the new route", func(st gateway.Status) bool { return len(st.Routes) == 2 && st.Routes[1].Tunnel != "" })
	if got, want := spis(after), spis(before); !slices.Equal(got, want) {
		t.Errorf("SPIs after a change of routes: got %v, want %v", got, want)
	}
	if got := w.run("left", "ip", "route", "get", "10.9.0.1"); !strings.Contains(got, "dev tun") {
		t.Errorf("the new route: got %q, want one by a TUN", got)
	}

	// The tunnel in use is cut.
	first := carrier(after)
	outside := map[string]string{"tunnel-1": "198.51.100.10", "tunnel-2": "198.51.100.11"}
	w.cut(outside[first])
	start := time.Now()
	for _, s := range []*side{customer, cloud} {
		s.until("the other tunnel", func(st gateway.Status) bool { return carrier(st) != "" && carrier(st) != first })
	}
	t.Logf("failover in %v with liveness 200ms/1s", time.Since(start).Round(10*time.Millisecond))
	if !w.pings() {
		t.Error("the server does not answer through the tunnel that is left")
	}
	w.mend()
	customer.until("both tunnels", func(st gateway.Status) bool { return up(st) == "tunnel-1 tunnel-2" })
}

func TestNothingLeavesInClearWhileNoTunnelIsUp(t *testing.T) {
	w := newWorld(t)
	customer, cloud := w.startBoth()
	w.cut("198.51.100.10", "198.51.100.11")
	var answered bool
	down := customer.until("no tunnel", func(st gateway.Status) bool {
		answered = w.pings() || answered // also in the very moment when the tunnels go down
		return up(st) == "" && carrier(st) == ""
	})
	if w.pings() || answered {
		t.Error("the server answers though both tunnels are cut")
	}
	for _, tun := range down.Tunnels {
		if tun.Child != nil || tun.Traffic.MTU != 0 {
			t.Errorf("%s: got child %+v and an MTU of %d, want no SA that outlives its IKE SA", tun.ID, tun.Child, tun.Traffic.MTU)
		}
	}
	if got := w.leaks(); got != "0" {
		t.Errorf("packets in clear: got %s, want 0", got)
	}
	w.mend()
	customer.until("both tunnels", bothUp)
	cloud.until("both tunnels", bothUp)
	if !w.pings() {
		t.Error("the server does not answer after the cut was mended")
	}
	if got := w.leaks(); got != "0" {
		t.Errorf("packets in clear: got %s, want 0", got)
	}

	// Asked to stop, it leaves nothing; now the counter counts, as it should.
	customer.Stop()
	if err := customer.Err(); err != nil {
		t.Errorf("stopped: got %v, want no error", err)
	}
	if got := w.run("left", "ip", "-o", "link"); strings.Contains(got, "tun") {
		t.Errorf("links after the end: got %s", got)
	}
	if got := w.run("left", "ip", "route"); strings.Contains(got, "10.0.0.0") {
		t.Errorf("routes after the end: got %s", got)
	}
	w.run("left", "sysctl", "-qw", "net.ipv4.ip_forward=1")
	if w.pings() || w.leaks() == "0" {
		t.Errorf("in clear without a gateway: got %s packets, want some and no answer", w.leaks())
	}
}

// TestAnswersMayComeThroughTheOtherTunnel is on a host that, like some
// distributions, checks the reverse path strictly on every link.
func TestAnswersMayComeThroughTheOtherTunnel(t *testing.T) {
	w := newWorld(t)
	for _, ns := range []string{"left", "right"} {
		w.run(ns, "sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1")
	}
	there, back := config(true, key), config(false, key)
	there.Tunnels[1].Routes, back.Tunnels[0].Routes = nil, nil
	cloud := w.start("right", back, w.sockets(), nil)
	customer := w.start("left", there, nil, nil)
	for _, s := range []*side{customer, cloud} {
		s.until("both tunnels up and routed", func(st gateway.Status) bool {
			return up(st) == "tunnel-1 tunnel-2" && carrier(st) != ""
		})
	}
	if !w.pings() {
		t.Errorf("no answer through %s to what went through %s", carrier(*cloud.Status()), carrier(*customer.Status()))
	}
}

func TestDeletedLinkComesBack(t *testing.T) {
	w := newWorld(t)
	customer, cloud := w.startBoth()
	before := *customer.Status()
	w.run("left", "ip", "link", "delete", "tun1")
	w.run("left", "ip", "link", "delete", "tun2")
	customer.until("both tunnels with new SAs", func(st gateway.Status) bool {
		return up(st) == "tunnel-1 tunnel-2" && carrier(st) != "" && !slices.ContainsFunc(spis(st), func(s string) bool { return slices.Contains(spis(before), s) })
	})
	cloud.until("both tunnels", bothUp)
	if !w.pings() {
		t.Error("the server does not answer through the new TUNs")
	}
	if got := w.leaks(); got != "0" {
		t.Errorf("packets in clear: got %s, want 0", got)
	}
	if got := customer.log.String(); !strings.Contains(got, "tunnel broke") || !strings.Contains(got, "TUN is gone") {
		t.Errorf("the log does not say what happened: %s", got)
	}
}

func TestWrongKeyIsSaidInWordsAndNoKeyIsShown(t *testing.T) {
	const other = "Some.Other.Key_987654321"
	w := newWorld(t)
	cloud := w.start("right", config(false, key), w.sockets(), nil)
	customer := w.start("left", config(true, other), nil, nil)
	for name, s := range map[string]*side{"customer": customer, "cloud": cloud} {
		// Log and status come by two pipes, in either order.
		st := s.until("the key named as the cause in "+name+"'s status and log", func(st gateway.Status) bool {
			return strings.Contains(st.Tunnels[0].Reason, "pre-shared key") && strings.Contains(s.log.String(), "pre-shared key")
		})
		text, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range []string{key, other} {
			if strings.Contains(s.log.String(), k) || strings.Contains(string(text), k) {
				t.Errorf("%s shows a key", name)
			}
		}
	}
	// The right key mends it, with no restart.
	if err := customer.Set(config(true, key)); err != nil {
		t.Fatal(err)
	}
	customer.until("both tunnels", bothUp)
	cloud.until("both tunnels", bothUp)
	if !w.pings() {
		t.Error("the server does not answer with the right key")
	}
}

func TestWorkerOutlivesItsSupervisor(t *testing.T) {
	w := newWorld(t)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := w.start("left", config(true, key), nil, writer)
	s.until("a status", func(gateway.Status) bool { return true })
	// The supervisor dies: nobody reads the log and the orders end. The worker
	// says so in its log, which must not be its end.
	writer.Close()
	reader.Close()
	s.stdin.Close()
	for range 3 {
		select {
		case <-s.changed: // once a second at the latest
		case <-s.Done():
			t.Fatalf("the worker ended with its supervisor: %v", s.Err())
		case <-time.After(patience):
			t.Fatal("no status any more")
		}
	}
}

func TestWorkerRefusesAConfigurationItCannotRun(t *testing.T) {
	w := newWorld(t)
	cfg := config(true, key)
	cfg.Tunnels[1].Interface = cfg.Tunnels[0].Interface
	s := w.start("left", cfg, nil, nil)
	select {
	case <-s.Done():
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if s.Err() == nil || !strings.Contains(s.log.String(), "used twice") {
		t.Errorf("got %v and %q, want an error that names the interface", s.Err(), s.log.String())
	}
}
