//go:build e2e

// Package bgppeer runs other people's BGP speakers at the customer's end of two
// tunnels: BIRD, GoBGP, OpenBGPD, ExaBGP and FRR.
//
// Each is told the same in its own words: two sessions, what it announces over
// each of them, and hold and retry times as AWS's samples have them. Each is
// asked what it has learned by its own means. Only the tests of e2e call it.
package bgppeer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
	"time"

	"seikan/e2e/world"
)

// Where one of them runs and whom it calls.
const (
	Namespace = "cgw"
	ASN       = 65000
	PeerASN   = 64512
)

// What it announces over both sessions: Site, with the lower MED over the
// first, and Far, whose path over the first is two systems longer, though its
// MED is lower there.
const (
	Site = world.CustomerSite
	Far  = "172.20.2.0/24"
)

// A Route is what a speaker has learned over one session.
type Route struct {
	From   string // address of the session's other end
	ASPath string // systems with a space between
	MED    int
	Best   bool // it would use this one; ExaBGP chooses nothing
}

// A Speaker is a BGP speaker that runs.
type Speaker interface {
	// Learned are the routes to a prefix.
	Learned(prefix string) ([]Route, error)
	// Announce and Withdraw say whether Site is announced.
	Announce() error
	Withdraw() error
	// Kill ends it as a crash does, and Again starts it as one that restarts.
	Kill()
	Again()
}

// A Kind is one program.
type Kind struct {
	Name    string
	Version []string // the command that prints it
	// Chooses says that it chooses among routes, and Lays that it puts what it
	// has chosen into the kernel's table.
	Chooses, Lays bool
	// Keeps says that it can have its routes kept while it restarts (RFC 4724),
	// which takes that it says of itself that it forwards on.
	Keeps bool
	// Clings says that it takes an expired hold timer for our restart, and keeps
	// what it learned from us; RFC 4724 has it keep that only when the connection
	// broke without a word.
	Clings bool
	Start  func(t testing.TB, w *world.World) Speaker
}

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{
		{Name: "BIRD", Version: []string{"bird", "--version"}, Chooses: true, Lays: true, Keeps: true, Start: startBIRD},
		{Name: "GoBGP", Version: []string{"gobgp", "--version"}, Chooses: true, Keeps: true, Clings: true, Start: startGoBGP},
		{Name: "OpenBGPD", Version: []string{"/usr/sbin/bgpd", "-V"}, Chooses: true, Start: startOpenBGPD},
		{Name: "ExaBGP", Version: []string{"exabgp", "--version"}, Keeps: true, Start: startExaBGP},
		{Name: "FRR", Version: []string{"/usr/lib/frr/bgpd", "--version"}, Chooses: true, Lays: true, Keeps: true, Start: startFRR},
	}
}

// fields are what the configurations are written with.
type fields struct {
	Dir                                string
	ASN, PeerASN                       int
	Site, Far                          string
	Local, Remote, Local2, Remote2     string
	Hold, Keepalive, Retry, RestartFor int // seconds
}

// A program is a daemon and its folder.
type program struct {
	t      testing.TB
	w      *world.World
	in     string // namespace
	fields fields
	args   []string // the folder stands for {{.Dir}} in them
	env    []string
	*world.Daemon

	mu  sync.Mutex // guards out
	out bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

// newProgram makes the folder and writes the files into it, in which fields
// stand. When the test has failed it shows what the program has said.
func newProgram(t testing.TB, w *world.World, files map[string]string) *program {
	t.Helper()
	// Daemons that give up root must reach it, which t.TempDir does not let them.
	dir, err := os.MkdirTemp("", "bgp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, w: w, in: Namespace, fields: fields{
		Dir: dir, ASN: ASN, PeerASN: PeerASN, Site: Site, Far: Far,
		Local: world.InsideSecond, Remote: world.InsideFirst, Local2: world.InsideSecond2, Remote2: world.InsideFirst2,
		Hold: 30, Keepalive: 10, Retry: 2, RestartFor: 60,
	}}
	for name, text := range files {
		var b bytes.Buffer
		if err := template.Must(template.New(name).Parse(text)).Execute(&b, p.fields); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.path(name), b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("%s:\n%s", p.args[0], p.out.String())
		}
	})
	return p
}

func (p *program) path(name string) string { return filepath.Join(p.fields.Dir, name) }

// run starts it with more arguments, until the test ends or it is killed.
func (p *program) run(more ...string) {
	p.t.Helper()
	cmd := p.w.Command(p.in, append(p.args, more...)...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = p, p
	// Who outlives a killed daemon must not keep its output open for ever.
	cmd.WaitDelay = time.Second
	p.Daemon = p.w.Daemon(cmd)
}

// ask runs a command in the namespace and returns what it printed.
func (p *program) ask(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	named := p.w.Command(p.in, args...)
	out, err := exec.CommandContext(ctx, named.Args[0], named.Args[1:]...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// answers waits until the command succeeds.
func (p *program) answers(args ...string) {
	p.t.Helper()
	p.w.Until(args[0], 10*time.Second, func() error {
		select {
		case <-p.Exited():
			return fmt.Errorf("%s ended: %s", p.args[0], p.said())
		default:
		}
		_, err := p.ask(args...)
		return err
	})
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}
