package health

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"seikan/internal/cloud/resource"
)

// A world is a fake network: what answers at each address.
type world struct {
	mu    sync.Mutex
	serve map[netip.AddrPort]func(net.Conn)
	dials map[netip.AddrPort]int
	seen  []string // reports: target and state
}

func (w *world) dial(ctx context.Context, p Probe) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials[p.Target]++
	serve := w.serve[p.Target]
	if serve == nil {
		return nil, errors.New("connection refused")
	}
	a, b := net.Pipe()
	go func() {
		defer b.Close()
		serve(b)
	}()
	return a, nil
}

func (w *world) set(target netip.AddrPort, serve func(net.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.serve[target] = serve
}

func (w *world) report(p Probe, s Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, p.Target.String()+" "+string(s.State))
}

func (w *world) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.seen
	w.seen = nil
	return seen
}

func open(net.Conn) {}

var testTarget = netip.MustParseAddrPort("10.0.1.20:443")

func testProbe() Probe {
	return Probe{Key: "a", Target: testTarget, Protocol: "TCP", Interval: 10 * time.Second, Timeout: 5 * time.Second,
		Thresholds: Thresholds{Healthy: 3, Unhealthy: 2}}
}

// run starts a Runner in a bubble and stops it when the test ends.
func run(t *testing.T) (*world, *Runner) {
	t.Helper()
	w := &world{serve: make(map[netip.AddrPort]func(net.Conn)), dials: make(map[netip.AddrPort]int)}
	r := NewRunner(w.dial, w.report)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v, want context.Canceled", err)
		}
	})
	return w, r
}

// after lets the bubble's clock pass and compares the reports made meanwhile.
func after(t *testing.T, d time.Duration, w *world, want ...string) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
	if got := w.take(); !slices.Equal(got, want) {
		t.Errorf("reports: got %q, want %q", got, want)
	}
}

func TestRunnerFollowsATargetThroughFailureAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		w.set(testTarget, open)
		if got := r.Set([]Wanted{{Probe: testProbe()}}); got != 0 {
			t.Errorf("Set: got %d left out, want 0", got)
		}
		after(t, 2*time.Second, w, "10.0.1.20:443 healthy")
		w.set(testTarget, nil)
		after(t, 10*time.Second, w)
		after(t, 10*time.Second, w, "10.0.1.20:443 unhealthy")
		w.set(testTarget, open)
		after(t, 20*time.Second, w)
		after(t, 10*time.Second, w, "10.0.1.20:443 healthy")
	})
}

func TestUnchangedProbesRunOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		w.set(testTarget, open)
		r.Set([]Wanted{{Probe: testProbe()}})
		after(t, 2*time.Second, w, "10.0.1.20:443 healthy")
		r.Set([]Wanted{{Probe: testProbe()}})
		after(t, 2*time.Second, w)
		if got := w.dials[testTarget]; got != 1 {
			t.Errorf("dials: got %d, want 1", got)
		}
		changed := testProbe()
		changed.Interval = 20 * time.Second
		r.Set([]Wanted{{Probe: changed, Last: Status{State: resource.HealthHealthy}}})
		after(t, 2*time.Second, w) // known to be healthy: nothing new
		if got := w.dials[testTarget]; got != 2 {
			t.Errorf("dials after a change: got %d, want 2", got)
		}
	})
}

func TestRemovedProbesStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := run(t)
		w.set(testTarget, open)
		r.Set([]Wanted{{Probe: testProbe()}})
		after(t, 2*time.Second, w, "10.0.1.20:443 healthy")
		r.Set(nil)
		after(t, time.Minute, w)
		if got := w.dials[testTarget]; got != 1 {
			t.Errorf("dials: got %d, want 1", got)
		}
	})
}

func TestRunnerKeepsABoundedNumberOfProbes(t *testing.T) {
	r := NewRunner(nil, nil)
	many := make([]Wanted, MaxProbes+7)
	for i := range many {
		many[i].Key = string(rune(i + 1))
	}
	if got := r.Set(many); got != 7 {
		t.Errorf("left out: got %d, want 7", got)
	}
}

func TestProbeOutcomes(t *testing.T) {
	answer := func(status string) func(net.Conn) {
		return func(c net.Conn) {
			req, err := http.ReadRequest(bufio.NewReader(c))
			if err != nil || req.Host != "10.0.1.5:443" || req.URL.Path != "/up" {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
		}
	}
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	for _, c := range []struct {
		name, protocol string
		serve          func(net.Conn)
		pass           bool
		code           string
	}{
		{"TCP, somebody listens", "TCP", open, true, ""},
		{"TCP, nobody listens", "TCP", nil, false, ""},
		{"HTTP, a code of the matcher", "HTTP", answer("204 No Content"), true, ""},
		{"HTTP, another code", "HTTP", answer("503 Busy"), false, reasonCodeMismatch},
		{"HTTP, not HTTP", "HTTP", func(c net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(c))
			_, _ = io.WriteString(c, "220 hello\r\n")
		}, false, ""},
		{"HTTP, silence", "HTTP", silent, false, reasonTimeout},
		{"HTTPS, silence", "HTTPS", silent, false, reasonTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &world{serve: map[netip.AddrPort]func(net.Conn){testTarget: c.serve}, dials: make(map[netip.AddrPort]int)}
				p := testProbe()
				p.Protocol, p.Path, p.Host, p.Matcher = c.protocol, "/up", "10.0.1.5:443", "200-399"
				got := once(t.Context(), w.dial, p)
				if (got.Err == nil) != c.pass || got.Code != c.code {
					t.Errorf("got %v, code %q, want pass %t, code %q", got.Err, got.Code, c.pass, c.code)
				}
			})
		})
	}
}

func TestHTTPSPassesWithoutATrustedCertificate(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer srv.Close()
	p := testProbe()
	p.Target = netip.MustParseAddrPort(srv.Listener.Addr().String())
	p.Protocol, p.Path, p.Host, p.Matcher = "HTTPS", "/", "10.0.1.5:443", "204"
	got := once(t.Context(), func(ctx context.Context, p Probe) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", p.Target.String())
	}, p)
	if got.Err != nil {
		t.Errorf("got %v, want a pass", got.Err)
	}
}
