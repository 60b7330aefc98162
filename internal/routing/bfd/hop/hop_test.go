package hop

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seikan/internal/linux/netapply"
	"seikan/internal/linux/netspec"
	"seikan/internal/nettest"
	"seikan/internal/routing/bfd"
)

func TestMain(m *testing.M) { nettest.Main(m) }

// patience is how long a test waits for what sessions do.
const patience = 20 * time.Second

// An end is one end of the link of a test.
type end struct {
	namespace     string
	local, remote netip.Addr
	changed       chan struct{}
}

// newEnds lays a link between two namespaces.
func newEnds(t *testing.T, a, b string) (ends [2]*end, host *netapply.Host) {
	t.Helper()
	host = netapply.New(netapply.Options{})
	t.Cleanup(func() {
		if _, err := host.Apply(context.Background(), netspec.Spec{}); err != nil {
			t.Error(err)
		}
		host.Close()
	})
	from, to := netip.MustParsePrefix(a), netip.MustParsePrefix(b)
	_, err := host.Apply(t.Context(), netspec.Spec{Namespaces: []netspec.Namespace{
		{Name: "a", Links: []netspec.Link{{Name: "tun1", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "b", Link: "tun1"}, Addrs: []netip.Prefix{from}}}},
		{Name: "b", Links: []netspec.Link{{Name: "tun1", Kind: netspec.Veth, Peer: netspec.Peer{Namespace: "a", Link: "tun1"}, Addrs: []netip.Prefix{to}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ends[0] = &end{"a", from.Addr(), to.Addr(), make(chan struct{}, 16)}
	ends[1] = &end{"b", to.Addr(), from.Addr(), make(chan struct{}, 16)}
	return ends, host
}

// start begins the session of an end.
func (e *end) start(t *testing.T) (l *Link) {
	t.Helper()
	err := netapply.InNamespace(e.namespace, func() (err error) {
		l, err = Start(t.Context(), Config{
			Log: slog.New(slog.DiscardHandler), Local: e.local, Remote: e.remote, Device: "tun1", Interval: 100 * time.Millisecond, Multiplier: 3,
			Changed: func() { e.changed <- struct{}{} },
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// until waits for a state of l.
func (e *end) until(t *testing.T, l *Link, s bfd.State) {
	t.Helper()
	late := time.After(patience)
	for l.Status().State != s {
		select {
		case <-e.changed:
		case <-late:
			t.Fatalf("%s: got %+v, want %v", e.namespace, l.Status(), s)
		}
	}
}

func TestTwoEndsFindEachOtherAndTheCut(t *testing.T) {
	for _, family := range [][2]string{{"169.254.10.1/30", "169.254.10.2/30"}, {"fd00::1/126", "fd00::2/126"}} {
		t.Run(family[0], func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			ends, host := newEnds(t, family[0], family[1])
			a, b := ends[0].start(t), ends[1].start(t)
			ends[0].until(t, a, bfd.Up)
			ends[1].until(t, b, bfd.Up)

			cut := "table inet cut { chain in { type filter hook input priority 0; udp dport 3784 drop; }; }"
			if out, err := host.CommandIn(t.Context(), "a", "nft", cut); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			began := time.Now()
			ends[0].until(t, a, bfd.Down)
			ends[1].until(t, b, bfd.Down) // it is told
			t.Logf("both down after %v", time.Since(began))
			if x, y := a.Status(), b.Status(); x.Diag != bfd.Expired || x.Failed.IsZero() || y.Failed.IsZero() {
				t.Errorf("got %+v and %+v, want that both failed", x, y)
			}
			if out, err := host.CommandIn(t.Context(), "a", "nft", "delete table inet cut"); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			ends[0].until(t, a, bfd.Up)
			ends[1].until(t, b, bfd.Up)

			a.Stop()
			ends[1].until(t, b, bfd.Down)
			if s := b.Status(); s.RemoteState != bfd.AdminDown || !s.Failed.IsZero() {
				t.Errorf("after the end on purpose: got %+v, want no failure", s)
			}
			b.Stop()
		})
	}
}

// TestWhatCrossedARouterIsNotTaken sends what is right but for its TTL.
func TestWhatCrossedARouterIsNotTaken(t *testing.T) {
	for _, family := range [][2]string{{"169.254.10.1/30", "169.254.10.2/30"}, {"fd00::1/126", "fd00::2/126"}} {
		t.Run(family[0], func(t *testing.T) {
			ends, _ := newEnds(t, family[0], family[1])
			l := ends[0].start(t)
			defer l.Stop()
			stranger := ends[1]
			var conn *net.UDPConn
			err := netapply.InNamespace("b", func() (err error) {
				conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(stranger.local, bfd.Port)))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetReadDeadline(time.Now().Add(patience))
			const far, near = 77, 78 // discriminators
			say := func(ttl int, disc uint32, poll bool) {
				t.Helper()
				if err := setTTL(conn, stranger.local.Is6(), ttl); err != nil {
					t.Fatal(err)
				}
				p := bfd.Packet{State: bfd.Down, Poll: poll, DetectMult: 50, MyDisc: disc, DesiredMinTx: time.Second, RequiredMinRx: time.Second}
				if _, err := conn.WriteToUDPAddrPort(p.Append(nil), netip.AddrPortFrom(stranger.remote, bfd.Port)); err != nil {
					t.Fatal(err)
				}
			}
			say(254, far, true)
			say(bfd.TTL, near, false)
			buf := make([]byte, bfd.MaxSize)
			for {
				n, err := conn.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				p, err := bfd.Parse(buf[:n])
				if err != nil {
					t.Fatal(err)
				}
				if p.Final || p.YourDisc == far {
					t.Fatalf("got %+v, an answer to what crossed a router", p)
				}
				if p.State == bfd.Init && p.YourDisc == near {
					return
				}
			}
		})
	}
}

// setTTL sets the TTL or the hop limit of what conn sends.
func setTTL(conn *net.UDPConn, v6 bool, ttl int) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	level, option := syscall.IPPROTO_IP, syscall.IP_TTL
	if v6 {
		level, option = syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS
	}
	var setErr error
	if err := raw.Control(func(fd uintptr) { setErr = syscall.SetsockoptInt(int(fd), level, option, ttl) }); err != nil {
		return err
	}
	return setErr
}

func TestALinkThatIsNotThereIsNamed(t *testing.T) {
	_, err := Start(t.Context(), Config{Local: netip.MustParseAddr("169.254.99.1"), Remote: netip.MustParseAddr("169.254.99.2"), Device: "tun9", Interval: time.Second, Multiplier: 3})
	if err == nil {
		t.Fatal("it runs")
	}
	if want := "bfd: listening at 169.254.99.1 on tun9: "; len(err.Error()) < len(want) || err.Error()[:len(want)] != want {
		t.Errorf("got %v, want %s…", err, want)
	}
}
