//go:build e2e

// Package ourgateway runs `seikan gateway run`, the program under test, as one end
// of a tunnel, and asks it over its control socket.
//
// The binary is the one that SEIKAN names. Only the tests of e2e call it.
package ourgateway

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"seikan/e2e/world"
)

// Gateway is a running gateway.
type Gateway struct {
	t       testing.TB
	cfg     Config
	dir     string
	process *exec.Cmd
	exited  chan struct{}
	exitErr error
	launch  func()
	out     output
}

// output is a log that is read while it is written.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Start runs a gateway with cfg until the test ends. When the test has failed
// it shows the gateway's log.
func Start(t testing.TB, w *world.World, cfg Config) *Gateway {
	t.Helper()
	g := &Gateway{t: t, cfg: cfg, dir: t.TempDir()}
	var text bytes.Buffer
	if err := file.Execute(&text, struct {
		Config
		Control string
	}{cfg, g.control()}); err != nil {
		t.Fatal(err)
	}
	g.start(w, text.String())
	return g
}

// StartFile is Start for a file as it is, whoever has written it, with the flags
// that a user gives with it. Of cfg the namespace counts, and the key, which must
// not be seen.
func StartFile(t testing.TB, w *world.World, cfg Config, text string, flags ...string) *Gateway {
	t.Helper()
	g := &Gateway{t: t, cfg: cfg, dir: t.TempDir()}
	g.start(w, text, append(flags, "--control", g.control())...)
	return g
}

// StartText is Start for a gateway that the text of a file configures, but for
// the name and the control socket. Its tunnels have the key of cfg in the file psk.
func StartText(t testing.TB, w *world.World, cfg Config, text string) *Gateway {
	t.Helper()
	g := &Gateway{t: t, cfg: cfg, dir: t.TempDir()}
	g.start(w, fmt.Sprintf("name: e2e\ncontrol_socket: %s\n%s", g.control(), text))
	return g
}

func (g *Gateway) start(w *world.World, text string, flags ...string) {
	t, cfg := g.t, g.cfg
	t.Helper()
	binary := os.Getenv("SEIKAN")
	if binary == "" {
		t.Fatal("SEIKAN is not set: it is the path of the binary under test; make e2e sets it")
	}
	for name, content := range map[string]string{"gateway.yaml": text, "psk": cfg.PSK + "\n", "ppk": cfg.Quantum.PPK.Key + "\n"} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{binary, "gateway", "run", "--config", filepath.Join(g.dir, "gateway.yaml")}
	if len(flags) > 0 { // AWS's file, which needs no verb
		args = slices.Delete(args, 2, 3)
	}
	g.launch = func() {
		g.process = w.Command(cfg.Namespace, slices.Concat(args, flags)...)
		g.process.Stdout, g.process.Stderr = &g.out, &g.out
		g.exited = make(chan struct{})
		if err := g.process.Start(); err != nil {
			t.Fatal(err)
		}
		go func() {
			defer close(g.exited)
			g.exitErr = g.process.Wait()
		}()
	}
	g.launch()
	t.Cleanup(g.end)
	w.Until("the gateway's control socket", 10*time.Second, func() error {
		select {
		case <-g.exited:
			return fmt.Errorf("the gateway ended: %v: %s", g.exitErr, g.out.String())
		default:
		}
		_, err := g.Whole()
		return err
	})
}

// Reload gives the gateway another file, but for its head as StartText makes it,
// and has it read by the command that an operator uses. It returns what that
// printed.
func (g *Gateway) Reload(w *world.World, text string, flags ...string) (string, error) {
	g.t.Helper()
	return g.ReloadWhole(w, fmt.Sprintf("name: e2e\ncontrol_socket: %s\n%s", g.control(), text), flags...)
}

// ReloadWhole is Reload for a file as it is.
func (g *Gateway) ReloadWhole(w *world.World, text string, flags ...string) (string, error) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.dir, "gateway.yaml"), []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
	out, err := w.Command(g.cfg.Namespace, append([]string{os.Getenv("SEIKAN"), "gateway", "reload", "--control", g.control()}, flags...)...).CombinedOutput()
	return string(out), err
}

// Hangup sends the gateway SIGHUP.
func (g *Gateway) Hangup() {
	g.t.Helper()
	if err := g.process.Process.Signal(syscall.SIGHUP); err != nil {
		g.t.Fatal(err)
	}
}

// Log is what the gateway has logged.
func (g *Gateway) Log() string { return g.out.String() }

func (g *Gateway) control() string { return filepath.Join(g.dir, "control") }

func (g *Gateway) end() {
	g.Stop()
	if g.t.Failed() {
		g.t.Logf("gateway in %s:\n%s", g.cfg.Namespace, g.out.String())
	}
	if g.cfg.PSK != "" && strings.Contains(g.out.String(), g.cfg.PSK) {
		g.t.Errorf("the gateway's log shows the pre-shared key")
	}
}

// Stop ends the gateway as an operator does, by SIGTERM; it must end within
// 10 s and without an error.
func (g *Gateway) Stop() {
	g.t.Helper()
	g.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.exited:
		if g.exitErr != nil {
			g.t.Errorf("the gateway ended with %v, want success", g.exitErr)
		}
	case <-time.After(10 * time.Second):
		g.t.Error("the gateway still runs 10 s after SIGTERM")
		g.process.Process.Kill()
		<-g.exited
	}
}

// Kill ends the gateway as a crash does, and waits until it has gone.
func (g *Gateway) Kill() {
	g.t.Helper()
	if err := g.process.Process.Kill(); err != nil {
		g.t.Fatal(err)
	}
	<-g.exited
}

// Again starts the gateway that Kill has ended, and does not wait.
func (g *Gateway) Again() { g.t.Helper(); g.launch() }

// StateDirectory is where it keeps its state.
func (g *Gateway) StateDirectory() string { return filepath.Join(g.dir, "state") }

// PeakMemory is the most memory that the process has had at once, in octets.
func (g *Gateway) PeakMemory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(b), "VmHWM:")
	var kilobytes int64
	_, err = fmt.Sscanf(after, "%d kB", &kilobytes)
	return kilobytes << 10, err
}

// CPU is the time that the process has computed, in 10 ms.
func (g *Gateway) CPU() (time.Duration, error) {
	words, err := statOf(fmt.Sprintf("/proc/%d/stat", g.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, field := range []int{14, 15} {
		ticks, err := strconv.Atoi(words[field-behindName])
		if err != nil {
			return 0, err
		}
		total += time.Duration(ticks) * 10 * time.Millisecond
	}
	return total, nil
}

// Nices is the nice values that the threads of the process have, each once.
func (g *Gateway) Nices() ([]int, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", g.process.Process.Pid))
	if err != nil {
		return nil, err
	}
	var nices []int
	for _, f := range files {
		words, err := statOf(f)
		if err != nil {
			continue // the thread has ended
		}
		n, err := strconv.Atoi(words[19-behindName])
		if err != nil {
			return nil, err
		}
		if !slices.Contains(nices, n) {
			nices = append(nices, n)
		}
	}
	return nices, nil
}

// behindName is the number that proc_pid_stat(5) gives the first field of statOf.
const behindName = 3

// statOf is the fields of a stat file of a process or a thread behind its name,
// which may contain anything.
func statOf(file string) ([]string, error) {
	b, err := os.ReadFile(file)
	_, after, _ := strings.Cut(string(b), ") ")
	return strings.Fields(after), err
}
