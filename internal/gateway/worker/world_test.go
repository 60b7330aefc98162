package worker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seikan/internal/gateway"
	"seikan/internal/gateway/activity"
	"seikan/internal/ipsec/dataplane/udp"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
	"seikan/internal/nettest"
	"seikan/internal/secret"
)

// insideWorker tells the test binary that it is to be a worker.
const insideWorker = "SEIKAN_TEST_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(insideWorker) == "" {
		nettest.Main(m)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if err := Serve(ctx, os.Stdin, os.NewFile(3, "status"), log); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// patience is how long a test waits for what the gateways do.
const patience = 20 * time.Second

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

// A world is a client, its gateway, a NAT, the cloud's gateway and a server:
//
//	lan 192.168.1.10 ─ left 192.168.2.2 ─ nat 198.51.100.2 ─ right .10 .11 ─ far 10.0.1.20
//
// The client's way to anywhere is its gateway, whose own is the NAT.
type world struct {
	t   *testing.T
	net *netapply.Host
	// state is where the workers of a namespace keep their SAs.
	state map[string]string
	sides []*side
}

// veth is the two ends of a cable.
func veth(nsA, a, addrA, nsB, b, addrB string) (netspec.Link, netspec.Link) {
	return netspec.Link{Name: a, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: nsB, Link: b}, Addrs: []netip.Prefix{prefix(addrA)}},
		netspec.Link{Name: b, Kind: netspec.Veth, Peer: netspec.Peer{Namespace: nsA, Link: a}, Addrs: []netip.Prefix{prefix(addrB)}}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	lan, left0 := veth("lan", "eth0", "192.168.1.10/24", "left", "lan0", "192.168.1.2/24")
	left1, nat0 := veth("left", "wan0", "192.168.2.2/24", "nat", "in0", "192.168.2.1/24")
	nat1, right0 := veth("nat", "out0", "198.51.100.2/24", "right", "edge0", "198.51.100.10/24")
	right0.Addrs = append(right0.Addrs, prefix("198.51.100.11/24"))
	right1, far := veth("right", "vpc0", "10.0.1.1/24", "far", "eth0", "10.0.1.20/24")
	way := func(via, dev string) []netspec.Route {
		return []netspec.Route{{Dst: prefix("0.0.0.0/0"), Via: addr(via), Dev: dev}}
	}
	forward := map[string]string{"net.ipv4.ip_forward": "1"}
	w := &world{t: t, net: netapply.New(netapply.Options{})}
	t.Cleanup(func() {
		if _, err := w.net.Apply(context.Background(), netspec.Spec{}); err != nil {
			t.Error(err)
		}
		w.net.Close()
	})
	_, err := w.net.Apply(t.Context(), netspec.Spec{Namespaces: []netspec.Namespace{
		{Name: "lan", Links: []netspec.Link{lan}, Routes: way("192.168.1.2", "eth0")},
		{Name: "left", Links: []netspec.Link{left0, left1}, Routes: way("192.168.2.1", "wan0")},
		{Name: "nat", Sysctls: forward, Links: []netspec.Link{nat0, nat1}},
		{Name: "right", Links: []netspec.Link{right0, right1}},
		{Name: "far", Links: []netspec.Link{far}, Routes: way("10.0.1.1", "eth0")},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.run("nat", "nft", `table ip watch {
		counter leaks { }
		chain pre { type filter hook prerouting priority -300; ip daddr 10.0.0.0/8 counter name "leaks"; }
		chain between { type filter hook forward priority 0; }
		chain post { type nat hook postrouting priority 100; oifname "out0" masquerade; }
	}`)
	return w
}

// run runs a command that must succeed.
func (w *world) run(ns, name string, args ...string) string {
	w.t.Helper()
	out, err := w.net.CommandIn(w.t.Context(), ns, name, args...)
	if err != nil {
		w.t.Fatalf("%s: %s %q: %v: %s", ns, name, args, err, out)
	}
	return string(out)
}

// pings reports whether the server answers the client.
func (w *world) pings() bool {
	_, err := w.net.CommandIn(w.t.Context(), "lan", "ping", "-n", "-c", "1", "-W", "1", "10.0.1.20")
	return err == nil
}

// leaks is how many packets for the VPC the NAT saw in clear.
func (w *world) leaks() string {
	w.t.Helper()
	text := w.run("nat", "nft", "list", "counter", "ip", "watch", "leaks")
	_, rest, _ := strings.Cut(text, "packets ")
	n, _, _ := strings.Cut(rest, " ")
	return n
}

// cut drops everything to and from the cloud's outside addresses.
func (w *world) cut(outside ...string) {
	w.t.Helper()
	for _, a := range outside {
		w.run("nat", "nft", "add rule ip watch between ip daddr "+a+" drop")
		w.run("nat", "nft", "add rule ip watch between ip saddr "+a+" drop")
	}
}

// mend undoes cut.
func (w *world) mend() { w.t.Helper(); w.run("nat", "nft", "flush chain ip watch between") }

// key is a pre-shared key that no log may hold.
const key = "Never.In.Any.Log_0123456789"

// config is one end; the customer's when customer is set.
func config(customer bool, psk string) gateway.Config {
	cfg := gateway.Config{Name: "cloud", Forward: true}
	if customer {
		cfg.Name = "customer"
	}
	for i, outside := range []string{"198.51.100.10", "198.51.100.11"} {
		n := i + 1
		t := gateway.Tunnel{
			ID: fmt.Sprint("tunnel-", n), Interface: fmt.Sprint("tun", n), PSK: secret.FromString(psk),
			IKE:      []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 19}},
			ESP:      []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 19}},
			Liveness: gateway.Liveness{Interval: 200 * time.Millisecond, Timeout: time.Second},
		}
		if customer {
			t.Initiate = true
			t.Outside = gateway.Outside{Remote: addr(outside)}
			t.Inside, t.Routes = prefix(fmt.Sprintf("169.254.1%d.2/30", i)), []netip.Prefix{prefix("10.0.0.0/16")}
		} else {
			t.Outside = gateway.Outside{Local: addr(outside), Remote: addr("198.51.100.2"), RemoteID: "192.168.2.2"}
			t.Inside, t.Routes = prefix(fmt.Sprintf("169.254.1%d.1/30", i)), []netip.Prefix{prefix("192.168.1.0/24")}
		}
		cfg.Tunnels = append(cfg.Tunnels, t)
	}
	return cfg
}

// A side is a running worker and what it said.
type side struct {
	*Process
	t       *testing.T
	ns      string
	changed chan struct{}
	log     nettest.Buffer
	seen    nettest.Buffer // its statuses, a line each

	mu   sync.Mutex
	said []activity.Notice
	last string // of seen
}

// hears reports whether the worker has handed up a notice of a tunnel, or of its
// session, with text in it.
func (s *side) hears(tunnel string, bgp bool, text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.said, func(n activity.Notice) bool {
		return n.Tunnel == tunnel && n.BGP == bgp && strings.Contains(n.Text, text) && !n.At.IsZero()
	})
}

// start runs cfg in namespace ns until the test ends. stderr, when not nil, is
// where its log goes.
func (w *world) start(ns string, cfg gateway.Config, files []*os.File, stderr io.Writer) *side {
	w.t.Helper()
	s := &side{t: w.t, ns: ns, changed: make(chan struct{}, 1)}
	if stderr == nil {
		stderr = &s.log
	}
	p, err := Start(Options{
		Command: []string{"/proc/self/exe"}, Config: cfg, Files: files, Stderr: stderr, Log: slog.New(slog.DiscardHandler), State: w.state[ns],
		Changed: func() {
			select {
			case s.changed <- struct{}{}:
			default:
			}
		},
		Reported: func(st gateway.Status, said []activity.Notice) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.see(st)
			s.said = append(s.said, said...)
		},
		Start: func(cmd *exec.Cmd) error {
			cmd.Env = append(os.Environ(), insideWorker+"=1")
			return w.net.Start(ns, cmd)
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	s.Process = p
	w.sides = append(w.sides, s)
	w.t.Cleanup(func() {
		p.Stop()
		if w.t.Failed() {
			w.t.Logf("log of %s:\n%s", ns, s.log.String())
		}
	})
	return s
}

// sockets are those of the cloud's outside addresses, opened for it.
func (w *world) sockets() (files []*os.File) {
	w.t.Helper()
	for _, a := range []string{"198.51.100.10", "198.51.100.11"} {
		err := w.net.In("right", func() error {
			o, err := udp.Listen(addr(a), udp.Ports{IKE: udp.IKEPort, NAT: udp.NATPort}, udp.Options{RawESP: true})
			if err != nil {
				return err
			}
			defer o.Close()
			some, err := o.Files()
			files = append(files, some...)
			return err
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return files
}

// startBoth runs both ends and waits until both tunnels are up.
func (w *world) startBoth() (customer, cloud *side) {
	w.t.Helper()
	cloud = w.start("right", config(false, key), w.sockets(), nil)
	customer = w.start("left", config(true, key), nil, nil)
	for _, s := range []*side{customer, cloud} {
		s.until("both tunnels up and routed", func(st gateway.Status) bool {
			return up(st) == "tunnel-1 tunnel-2" && carrier(st) != ""
		})
	}
	return customer, cloud
}

// until waits for a status that satisfies cond, and returns it.
func (s *side) until(what string, cond func(gateway.Status) bool) gateway.Status {
	s.t.Helper()
	late := time.After(patience)
	for {
		if st := s.Status(); st != nil && cond(*st) {
			return *st
		}
		select {
		case <-s.changed:
		case <-s.Done():
			s.t.Fatalf("worker ended: %v: %s", s.Err(), s.log.String())
		case <-late:
			s.t.Fatalf("not in %v: %s; status %+v", patience, what, s.Status())
		}
	}
}

// up names the tunnels that are up.
func up(st gateway.Status) string {
	var ids []string
	for _, t := range st.Tunnels {
		if t.Up {
			ids = append(ids, t.ID)
		}
	}
	return strings.Join(ids, " ")
}

// carrier is the tunnel of the first route.
func carrier(st gateway.Status) string { return st.Routes[0].Tunnel }
