package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"

	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/nettest"
	"seikan/internal/secret"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// patience is how long a test waits for what a gateway does.
const patience = 10 * time.Second

// waiting is a gateway whose two tunnels wait for peers on loopback that never
// come.
func waiting() Config {
	cfg := Config{Name: "test"}
	for i, remote := range []string{"127.0.0.8", "127.0.0.9"} {
		n := string(rune('1' + i))
		cfg.Tunnels = append(cfg.Tunnels, Tunnel{
			ID: n, Interface: "tun" + n, PSK: secret.FromString("ExampleKey_0123456789"),
			Outside: Outside{Local: netip.MustParseAddr("127.0.0.1"), Remote: netip.MustParseAddr(remote)},
			Inside:  prefix("169.254.1" + n + ".2/30"),
			IKE:     []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 19}},
			ESP:     []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 19}},
			Routes:  []netip.Prefix{prefix("10.0.0.0/16")},
		})
	}
	return cfg
}

// run runs cfg until the test ends or stop is called, which returns how Run
// ended.
func run(t *testing.T, cfg Config) (g *Gateway, log *nettest.Buffer, stop func() error) {
	t.Helper()
	log = &nettest.Buffer{}
	g, err := New(cfg, Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { stop() })
	return g, log, stop
}

// until waits for a status of g that satisfies cond, and returns it.
func until(t *testing.T, g *Gateway, what string, cond func(Status) bool) Status {
	t.Helper()
	late := time.After(patience)
	for {
		if s := g.Status(); cond(s) {
			return s
		}
		select {
		case <-g.Changed():
		case <-late:
			t.Fatalf("not in %v: %s; status %+v", patience, what, g.Status())
		}
	}
}

// link is a link of the test's namespace by name.
func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return l
}

// runs reports whether both tunnels of waiting wait.
func runs(s Status) bool {
	return len(s.Tunnels) == 2 && s.Tunnels[0].Phase == ike.Idle.String() && s.Tunnels[1].Phase == ike.Idle.String()
}

func TestRunLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g, _, stop := run(t, waiting())
	until(t, g, "both tunnels", runs)
	tun := link(t, "tun1")
	addrs, err := netlink.AddrList(tun, netlink.FAMILY_V4)
	if err != nil || len(addrs) != 1 || addrs[0].IPNet.String() != "169.254.11.2/30" {
		t.Errorf("addresses of tun1: got %v, %v, want 169.254.11.2/30", addrs, err)
	}
	if got := routes(t); !strings.Contains(got, "10.0.0.0/16") {
		t.Errorf("routes: got %s, want 10.0.0.0/16", got)
	}
	if err := stop(); err != nil {
		t.Errorf("Run: got %v, want no error", err)
	}
	if _, err := netlink.LinkByName("tun1"); err == nil {
		t.Error("tun1 is still there")
	}
	if got := routes(t); strings.Contains(got, "10.0.0.0/16") {
		t.Errorf("routes afterwards: got %s", got)
	}
}

// TestDriftIsSeenAndMended takes away what a gateway laid, and adds to it.
func TestDriftIsSeenAndMended(t *testing.T) {
	g, _, _ := run(t, waiting())
	until(t, g, "both tunnels", runs)
	if !g.intact(t.Context()) {
		t.Fatal("intact: got false, want true when all is as it shall be")
	}
	for _, drift := range []string{
		"route del unreachable 10.0.0.0/16", "address del 169.254.11.2/30 dev tun1", "address add 192.0.2.1/32 dev tun1",
		"link set tun2 mtu 1300", "link set tun2 down",
	} {
		if out, err := exec.Command("ip", strings.Fields(drift)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", drift, err, out)
		}
		if g.intact(t.Context()) {
			t.Errorf("ip %s: intact: got true, want false", drift)
		}
		g.forgetApplied()
		if err := g.converge(t.Context()); err != nil {
			t.Errorf("ip %s: %v", drift, err)
		}
		if !g.intact(t.Context()) {
			t.Errorf("ip %s: intact when mended: got false, want true", drift)
		}
	}
}

// routes are the destinations of the namespace's routes.
func routes(t *testing.T) string {
	t.Helper()
	list, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range list {
		b.WriteString(r.Dst.String() + " ")
	}
	return b.String()
}

func TestKernelSpeaksNoIPv6OnATUN(t *testing.T) {
	g, _, _ := run(t, waiting())
	until(t, g, "both tunnels", runs)
	addrs, err := netlink.AddrList(link(t, "tun1"), netlink.FAMILY_V6)
	if err != nil || len(addrs) != 0 {
		t.Errorf("IPv6 addresses of tun1: got %v, %v, want none, for who has one solicits routers", addrs, err)
	}
}

func TestWhatCannotStartAtAllEndsRun(t *testing.T) {
	cfg := waiting()
	for name, change := range map[string]func(){
		"192.0.2.1": func() {
			cfg.Tunnels[1].Outside.Local = netip.Addr{}
			cfg.Tunnels[1].Outside.Remote = netip.MustParseAddr("192.0.2.1") // there is no route
		},
		"198.51.100.7": func() { cfg.Tunnels[1].Outside.Local = netip.MustParseAddr("198.51.100.7") }, // not ours
	} {
		cfg = waiting()
		change()
		g, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := g.Run(ctx); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an error that names it", name, err)
		}
		cancel()
	}
}

func TestOneTunnelsFailureHoldsUpNoOther(t *testing.T) {
	g, log, _ := run(t, waiting())
	until(t, g, "both tunnels", runs)
	// Somebody else has the name of the new TUN.
	squatter := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "taken0"}}
	if err := netlink.LinkAdd(squatter); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(squatter) })
	next := waiting()
	next.Tunnels[0].Interface = "taken0"
	next.Tunnels[1].Inside = prefix("169.254.20.2/30")
	if err := g.Set(next); err != nil {
		t.Fatal(err)
	}
	s := until(t, g, "tunnel 1 failed, tunnel 2 changed", func(s Status) bool {
		return s.Tunnels[0].Phase == ike.Failed.String() && s.Tunnels[1].Inside == next.Tunnels[1].Inside
	})
	if !strings.Contains(s.Tunnels[0].Reason, "taken0") || s.Tunnels[1].Phase != ike.Idle.String() {
		t.Errorf("got %+v, want a reason that names taken0, and tunnel 2 waiting", s.Tunnels)
	}
	waitFor(t, "tunnel 2's new address", func() bool {
		addrs, err := netlink.AddrList(link(t, "tun2"), netlink.FAMILY_V4)
		return err == nil && len(addrs) == 1 && addrs[0].IPNet.String() == "169.254.20.2/30"
	})
	if err := netlink.LinkDel(squatter); err != nil {
		t.Fatal(err)
	}
	until(t, g, "tunnel 1 too", runs)
	if got := strings.Count(log.String(), "not as wanted"); got != 1 {
		t.Errorf("the log says it %d times, want once: %s", got, log.String())
	}
}

func TestTunnelThatBreaksAgainAndAgainWaitsLonger(t *testing.T) {
	var got []time.Duration
	last := time.Duration(0)
	for range 7 {
		last = nextPause(time.Second, last)
		got = append(got, last/time.Second)
	}
	if want := []time.Duration{1, 2, 4, 8, 16, 30, 30}; !slices.Equal(got, want) {
		t.Errorf("seconds: got %v, want %v", got, want)
	}
	if got := nextPause(steady, maxPause); got != retryAfter {
		t.Errorf("after a steady time: got %v, want %v", got, retryAfter)
	}

	// Only one goroutine looks at the tunnels, this one, so that nothing depends
	// on how fast it is.
	g, err := New(waiting(), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.stopAll()
	if err := g.converge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []time.Duration{retryAfter, 2 * retryAfter} {
		g.tunnels["1"].fail(errors.New("broken by the test"))
		g.converge(t.Context())
		if got := g.Status().Tunnels[0]; got.Phase != ike.Failed.String() || !strings.Contains(got.Reason, "broken by the test") {
			t.Errorf("got %s, reason %q, want the cause", got.Phase, got.Reason)
		}
		f := g.failed["1"]
		if f.pause != want {
			t.Errorf("got a pause of %v, want %v", f.pause, want)
		}
		f.at = f.at.Add(-f.pause) // it is over
		g.failed["1"] = f
		if err := g.converge(t.Context()); err != nil || !runs(g.Status()) {
			t.Errorf("after the pause: got %v, %+v, want both tunnels", err, g.Status())
		}
	}
}

func TestLostSocketEndsRunInWords(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	g, err := New(waiting(), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	until(t, g, "both tunnels", runs)
	g.mu.Lock()
	o := g.outsides[netip.MustParseAddr("127.0.0.1")]
	g.mu.Unlock()
	o.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "data plane") || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("got %v, want why the data plane ended", err)
	}
	if _, err := netlink.LinkByName("tun1"); err == nil {
		t.Error("tun1 is still there")
	}
}

func TestUnusedSocketsAreClosed(t *testing.T) {
	g, _, _ := run(t, waiting())
	until(t, g, "both tunnels", runs)
	next := waiting()
	for i := range next.Tunnels {
		next.Tunnels[i].Outside.Local = netip.MustParseAddr("127.0.0.2")
	}
	if err := g.Set(next); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "only the new address has sockets", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.outsides) == 1 && g.outsides[netip.MustParseAddr("127.0.0.2")] != nil
	})
	until(t, g, "both tunnels", runs)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 500})
	if err != nil {
		t.Fatalf("the old port is still taken: %v", err)
	}
	conn.Close()
}

func TestChangedAddressOfOursStartsTheTunnelAnew(t *testing.T) {
	cfg := waiting()
	cfg.Tunnels = cfg.Tunnels[:1]
	cfg.Tunnels[0].Outside = Outside{Remote: netip.MustParseAddr("198.51.100.1")}
	wan := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "wan0"}}
	if err := errors.Join(netlink.LinkAdd(wan), netlink.LinkSetUp(wan)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(wan) })
	lease := func(s string) *netlink.Addr {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if err := netlink.AddrAdd(wan, lease("198.51.100.20/24")); err != nil {
		t.Fatal(err)
	}
	g, _, _ := run(t, cfg)
	local := func(want string) func(Status) bool {
		return func(s Status) bool { return len(s.Tunnels) == 1 && s.Tunnels[0].IKE.Local.Addr().String() == want }
	}
	until(t, g, "the first lease", local("198.51.100.20"))
	err := errors.Join(netlink.AddrDel(wan, lease("198.51.100.20/24")), netlink.AddrAdd(wan, lease("198.51.100.30/24")))
	if err != nil {
		t.Fatal(err)
	}
	until(t, g, "the second lease", local("198.51.100.30"))
}

func TestOutsidePathIsNeverBelievedLargerThanTheInternets(t *testing.T) {
	for _, tt := range []struct {
		o    Outside
		want int
	}{
		{Outside{Remote: netip.MustParseAddr("127.0.0.9")}, 1500}, // loopback has 65536
		{Outside{Local: netip.MustParseAddr("203.0.113.10"), Remote: netip.MustParseAddr("192.0.2.1")}, 1500},
	} {
		got, err := pathOf(tt.o)
		if err != nil || got.MTU != tt.want || tt.o.Local.IsValid() && got.Local != tt.o.Local {
			t.Errorf("%+v: got %+v, %v, want an MTU of %d", tt.o, got, err, tt.want)
		}
	}
	lo := link(t, "lo")
	if err := netlink.LinkSetMTU(lo, 1400); err != nil {
		t.Fatal(err)
	}
	defer netlink.LinkSetMTU(lo, 65536)
	if got, err := pathOf(Outside{Remote: netip.MustParseAddr("127.0.0.9")}); err != nil || got.MTU != 1400 {
		t.Errorf("a link of 1400: got %+v, %v", got, err)
	}
}

func TestConfigurationsThatWouldFailLaterAreRefused(t *testing.T) {
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Tunnels[1].Outside.Remote = c.Tunnels[0].Outside.Remote }, "IKE tells tunnels apart"},
		{func(c *Config) { c.Tunnels[1].Interface = "tun1" }, "used twice"},
		{func(c *Config) { c.Tunnels[1].Interface = "tun%d" }, "percent"}, // the kernel would choose the number
		{func(c *Config) { c.Tunnels[1].Interface = "../x" }, "slash"},
		{func(c *Config) { c.Tunnels[1].ID = "1" }, "used twice"},
		{func(c *Config) { c.Tunnels[1].PSK = secret.FromString("short") }, "8 to 64"},
		{func(c *Config) { c.Tunnels[1].Versions = []int{1} }, "IKEv1 has only AES-CBC in phase 1"},
		{func(c *Config) { c.Tunnels[1].Versions = []int{3} }, "3 is no version of IKE"},
		{func(c *Config) { c.Tunnels[1].Versions = []int{2, 2} }, "twice"},
		{func(c *Config) { c.Tunnels[1].Extensions.PPKID = "one" }, "come together"},
		{func(c *Config) {
			c.Tunnels[1].Extensions = Extensions{PPK: secret.FromString("k"), PPKID: "one", PPKRequired: true}
		}, "allow version 2 only"},
		{func(c *Config) { c.Tunnels[1].Extensions.FragmentSize = 100 }, "576 to 65535"},
		{func(c *Config) { c.Tunnels[1].Liveness.Action = 9 }, "clear, none or restart"},
		{func(c *Config) { c.Tunnels[1].Lifetime.RekeyFuzz = 101 }, "RekeyFuzz"}, // the protocol's rule
		{func(c *Config) { c.Tunnels[1].Routes = []netip.Prefix{prefix("127.0.0.0/8")} }, "chase themselves"},
		{func(c *Config) { c.Tunnels[1].Routes = []netip.Prefix{prefix("127.0.0.8/32")} }, "of tunnel 1"},
	} {
		cfg := waiting()
		tt.change(&cfg)
		if _, err := New(cfg, Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want an error with %q", err, tt.want)
		}
	}
}

// TestPeerBehindATunnelIsAllowedWhereRoutesDoNotReach is the cloud's end of a
// connection with the static route 0.0.0.0/0: its sockets are another
// namespace's.
func TestPeerBehindATunnelIsAllowedWhereRoutesDoNotReach(t *testing.T) {
	o, err := udp.Listen(netip.MustParseAddr("127.0.0.1"), udp.Ports{}, udp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	cfg := waiting()
	cfg.Tunnels[0].Routes = []netip.Prefix{prefix("0.0.0.0/0")}
	if _, err := New(cfg, Options{Outsides: []*udp.Outside{o}}); err != nil {
		t.Errorf("sockets handed over: got %v, want no error", err)
	}
	if _, err := New(cfg, Options{}); err == nil {
		t.Error("sockets of our own: got no error")
	}
}

// waitFor polls what no event tells.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not in %v: %s", patience, what)
		}
	}
}
