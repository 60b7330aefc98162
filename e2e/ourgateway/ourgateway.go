//go:build e2e

// Package ourgateway runs `seikan gateway run`, the program under test, as one end
// of a tunnel, and asks it over its control socket.
//
// The binary is the one that SEIKAN names. Only the tests of e2e call it.
package ourgateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"seikan/e2e/pki"
	"seikan/e2e/world"
	"seikan/internal/gateway"
)

// A Phase2 is what phase 2 has where it differs from phase 1.
type Phase2 struct {
	Encryption, Integrity string
	DH                    int
}

// A Config is one end of one tunnel.
type Config struct {
	Namespace         string // of the world
	Initiate          bool
	Inside, Site      string // its address in the tunnel with prefix length; the prefix behind the peer
	Local, Remote     string // addresses; Remote is the NAT's when the peer is behind one
	LocalID, RemoteID string
	Version           int // of IKE; 0: both
	PSK               string
	Certificates      *pki.Files // instead of PSK; the CA below the root is known, too
	Encryption        string     // for both phases, in AWS's words, as is Integrity
	Integrity         string
	DH                int
	MoreDH            []int // further groups of phase 1
	Phase2            Phase2
	Quantum           PostQuantum
	// Interval and Timeout are dead peer detection's.
	Interval, Timeout time.Duration
	FragmentSize      int // largest IP packet of IKE in octets; 0 is the default
}

// A PostQuantum is what protects from those who will have a quantum computer.
type PostQuantum struct {
	PPK      PPK
	AddKE    []string // additional key exchanges of both phases
	Required bool     // of AddKE
}

// A PPK is a post-quantum pre-shared key by its name (RFC 8784); none without a
// name.
type PPK struct {
	Key, ID  string
	Required bool // a peer without it is refused
}

var file = template.Must(template.New("gateway.yaml").Parse(`
name: e2e
control_socket: {{.Control}}
state_directory: state
routes: [{{.Site}}]
tunnels:
  - name: t1
    interface: tun1
    startup_action: {{if .Initiate}}start{{else}}add{{end}}
    outside:
      {{if .Local}}local_address: {{.Local}}{{end}}
      remote_address: {{.Remote}}
      local_id: {{.LocalID}}
      remote_id: {{.RemoteID}}
    {{with .Certificates}}certificate_file: {{.Chain}}
    private_key_file: {{.Key}}
    ca_file: {{.Above}}{{else}}pre_shared_key_file: psk{{end}}
    {{with .Quantum.PPK}}{{if .ID}}ppk_file: ppk
    ppk_id: {{.ID}}
    ppk_required: {{.Required}}{{end}}{{end}}
    {{if .Version}}ike_versions: [{{.Version}}]{{end}}
    inside_address: {{.Inside}}
    {{if .FragmentSize}}fragment_size: {{.FragmentSize}}{{end}}
    phase1:
      encryption: [{{.Encryption}}]
      integrity: [{{.Integrity}}]
      dh_groups: [{{.DH}}{{range .MoreDH}}, {{.}}{{end}}]
      {{template "more" .Quantum}}
    phase2:
      encryption: [{{or .Phase2.Encryption .Encryption}}]
      integrity: [{{or .Phase2.Integrity .Integrity}}]
      dh_groups: [{{or .Phase2.DH .DH}}]
      {{template "more" .Quantum}}
    liveness:
      interval: {{.Interval}}
      timeout: {{.Timeout}}
{{define "more"}}{{if .AddKE}}additional_key_exchanges: [{{range $i, $g := .AddKE}}{{if $i}}, {{end}}{{$g}}{{end}}]
      additional_key_exchanges_required: {{.Required}}{{end}}{{end}}
`))

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
	text = fmt.Sprintf("name: e2e\ncontrol_socket: %s\n%s", g.control(), text)
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
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	// Fields 14 and 15 of proc_pid_stat(5), counted from behind the name.
	_, after, _ := strings.Cut(string(b), ") ")
	words := strings.Fields(after)
	var total time.Duration
	for _, i := range []int{11, 12} {
		ticks, err := strconv.Atoi(words[i])
		if err != nil {
			return 0, err
		}
		total += time.Duration(ticks) * 10 * time.Millisecond
	}
	return total, nil
}

// A Tunnel is what the status says of the tunnel, as far as tests ask.
type Tunnel struct {
	Up     bool   `json:"up"`
	Phase  string `json:"phase"`
	Reason string `json:"reason"`
	IKE    struct {
		Version    int      `json:"version"`
		Extensions []string `json:"extensions"`
		Auth       string   `json:"auth"`
		NATLocal   bool     `json:"nat_local"`
		NATRemote  bool     `json:"nat_remote"`
		Suite      string   `json:"suite"`
		Rekeys     uint64   `json:"rekeys"`
		Dropped    uint64   `json:"dropped"`
	} `json:"ike"`
	Child *struct {
		SPIIn  string `json:"spi_in"`
		SPIOut string `json:"spi_out"`
		Suite  string `json:"suite"`
		Encap  bool   `json:"encap"`
	} `json:"child"`
	Traffic struct {
		PacketsIn  uint64            `json:"packets_in"`
		BytesIn    uint64            `json:"bytes_in"`
		PacketsOut uint64            `json:"packets_out"`
		BytesOut   uint64            `json:"bytes_out"`
		Drops      map[string]uint64 `json:"drops"`
	} `json:"traffic"`
}

// Whole asks the gateway about all of it.
func (g *Gateway) Whole() (gateway.Status, error) {
	var answer struct {
		Status gateway.Status `json:"status"`
		Error  string         `json:"error"`
	}
	err := g.ask("status", &answer)
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return answer.Status, err
}

// Status asks the gateway about its tunnel.
func (g *Gateway) Status() (Tunnel, error) {
	var answer struct {
		Status struct {
			Tunnels []Tunnel `json:"tunnels"`
		} `json:"status"`
		Error string `json:"error"`
	}
	if err := g.ask("status", &answer); err != nil {
		return Tunnel{}, err
	}
	if answer.Error != "" || len(answer.Status.Tunnels) != 1 {
		return Tunnel{}, fmt.Errorf("got %d tunnels, error %q, want 1", len(answer.Status.Tunnels), answer.Error)
	}
	return answer.Status.Tunnels[0], nil
}

// Current names the SAs the tunnel has: the text changes when one is replaced.
func (g *Gateway) Current() (string, error) {
	st, err := g.Status()
	if err != nil {
		return "", err
	}
	if !st.Up || st.Child == nil {
		return "", fmt.Errorf("not up: %s %s", st.Phase, st.Reason)
	}
	return fmt.Sprintf("%d rekeys, %s", st.IKE.Rekeys, st.Child.SPIIn), nil
}

// RekeyChild makes the gateway replace the CHILD SA.
func (g *Gateway) RekeyChild() { g.t.Helper(); g.rekey("rekey-child") }

// RekeyIKE makes the gateway replace the IKE SA.
func (g *Gateway) RekeyIKE() { g.t.Helper(); g.rekey("rekey-ike") }

func (g *Gateway) rekey(verb string) {
	g.t.Helper()
	var answer struct {
		Error string `json:"error"`
	}
	err := g.ask(verb, &answer)
	if err == nil && answer.Error != "" {
		err = errors.New(answer.Error)
	}
	if err != nil {
		g.t.Errorf("%s: %v", verb, err)
	}
}

func (g *Gateway) ask(verb string, answer any) error {
	conn, err := net.DialTimeout("unix", g.control(), 2*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if err := json.NewEncoder(conn).Encode(map[string]string{"verb": verb, "tunnel": "t1"}); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadBytes('\n')
	if err != nil {
		return err
	}
	if g.cfg.PSK != "" && bytes.Contains(line, []byte(g.cfg.PSK)) {
		return errors.New("the answer shows the pre-shared key")
	}
	return json.Unmarshal(line, answer)
}
