package control

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seikan/internal/gateway"
	"seikan/internal/ipsec/ike/suite"
	"seikan/internal/secret"
)

// newGateway is a gateway that does not run.
func newGateway(t *testing.T) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(gateway.Config{Name: "office", Tunnels: []gateway.Tunnel{{
		ID: "tunnel-1", Interface: "tun1", PSK: secret.FromString("ExampleKey_0123456789"),
		Outside: gateway.Outside{Remote: netip.MustParseAddr("203.0.113.10")},
		IKE:     []suite.IKE{{Encr: suite.AESGCM16, KeyBits: 128, PRF: suite.PRFSHA256, Group: 19}},
		ESP:     []suite.ESP{{Encr: suite.AESGCM16, KeyBits: 128, Group: 19}},
	}}}, gateway.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// serve serves a gateway at a socket until the test ends or stop is called,
// which returns how Serve ended.
func serve(t *testing.T) (path string, stop func() error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "control")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, path, newGateway(t), nil) }()
	late := time.After(5 * time.Second)
	for {
		if conn, err := net.Dial("unix", path); err == nil {
			conn.Close()
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("Serve: %v", err)
		case <-late:
			t.Fatal("nobody answers")
		default:
		}
	}
	stopped := false
	stop = func() error {
		cancel()
		if stopped {
			return nil
		}
		stopped = true
		return <-ended
	}
	t.Cleanup(func() { stop() })
	return path, stop
}

func TestStatusIsAnswered(t *testing.T) {
	path, _ := serve(t)
	resp, err := Ask(t.Context(), path, Request{Verb: VerbStatus})
	if err != nil {
		t.Fatal(err)
	}
	if resp.Status == nil || resp.Status.Name != "" && resp.Status.Name != "office" {
		t.Errorf("got %+v, want the status of a gateway that does not run yet", resp.Status)
	}
}

func TestRefusalsAreErrorsInWords(t *testing.T) {
	path, _ := serve(t)
	for _, tt := range []struct {
		req  Request
		want string
	}{
		{Request{Verb: "reboot"}, "reboot"},
		{Request{}, "status"},
		{Request{Verb: VerbRekeyIKE, Tunnel: "tunnel-9"}, "tunnel-9"},
		{Request{Verb: VerbRekeyChild, Tunnel: "tunnel-1"}, "tunnel-1"}, // not up
	} {
		if _, err := Ask(t.Context(), path, tt.req); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want an error that names %q", tt.req, err, tt.want)
		}
	}
}

func TestNonsenseIsAnsweredAndServingGoesOn(t *testing.T) {
	path, _ := serve(t)
	for _, line := range []string{"\n", "[]\n", "{\"verb\":1}\n", strings.Repeat("x", 2*maxLine) + "\n"} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience))
		go conn.Write([]byte(line)) // fails when the line is too long to be read
		var resp Response
		if err := json.NewDecoder(bufio.NewReader(conn)).Decode(&resp); err != nil && len(line) < maxLine || err == nil && resp.Error == "" {
			t.Errorf("%.20q: got %+v, %v, want an error in the answer", line, resp, err)
		}
		conn.Close()
	}
	if _, err := Ask(t.Context(), path, Request{Verb: VerbStatus}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestSocketIsNeverOpenToOthers asks for the mode that the socket is born with:
// a chmod afterwards would be too late for who opened it before.
func TestSocketIsNeverOpenToOthers(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "control")
	listener, err := (&net.ListenConfig{Control: forOwner}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served, _ := serve(t)
	for _, p := range []string{path, served} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode of %s: got %o, want 600", p, got)
		}
	}
}

func TestServeEndsAtOnceThoughClientsAreIdle(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path, stop := serve(t)
	for range maxClients + 2 {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	start := time.Now()
	if err := stop(); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if took := time.Since(start); took > patience/2 {
		t.Errorf("took %v, want no wait for idle clients", took)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket file: got %v, want it gone", err)
	}
}

func TestStaleSocketIsReplacedAndALiveOneIsNot(t *testing.T) {
	path, _ := serve(t)
	if err := Serve(t.Context(), path, newGateway(t), nil); err == nil || !strings.Contains(err.Error(), "another gateway") {
		t.Errorf("beside a live one: got %v, want an error that says so", err)
	}
	if _, err := Ask(t.Context(), path, Request{Verb: VerbStatus}); err != nil {
		t.Errorf("the live one afterwards: %v", err)
	}

	stale := filepath.Join(t.TempDir(), "stale")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close()
	if err := clearStale(stale); err != nil {
		t.Errorf("a stale one: %v", err)
	}
	if _, err := os.Stat(stale); !os.IsNotExist(err) {
		t.Errorf("a stale one: got %v, want it removed", err)
	}

	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), precious, newGateway(t), nil); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: got %v, want an error that says so", err)
	}
	if b, err := os.ReadFile(precious); err != nil || string(b) != "data" {
		t.Errorf("the file afterwards: got %q, %v, want it as it was", b, err)
	}
}

func TestAskSaysThatNobodyAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nothing")
	if _, err := Ask(t.Context(), path, Request{Verb: VerbStatus}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names %s", err, path)
	}
}
