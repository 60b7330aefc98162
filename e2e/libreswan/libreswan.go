//go:build e2e

// Package libreswan runs libreswan as the other end of a tunnel.
//
// One Pluto is one pluto with its own database of keys, control socket and log,
// in a namespace of a world; its ESP is e2e/pump's. Debian's package conflicts
// with strongSwan's, so scripts/need.sh unpacks it into the user's cache and
// pluto runs from there. Only the tests of e2e call it.
package libreswan

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"seikan/e2e/pki"
	"seikan/e2e/pump"
	"seikan/e2e/world"
	"seikan/internal/nettest"
)

// A Config is one end of one tunnel with selectors 0.0.0.0/0 on both sides.
type Config struct {
	Namespace         string // of the world
	Inside, Site      string // its address in the tunnel with prefix length; the prefix behind the peer
	Local, Remote     string // addresses
	LocalID, RemoteID string
	Version           int    // of IKE
	AuthBy            string // psk, rsasig or ecdsa
	PSK               string
	Certificates      pki.Files
	IKE, ESP          string // proposals in libreswan's words
	// DPDDelay is after how much silence the peer is asked.
	DPDDelay time.Duration
}

// nickname is what own certificate is called in the database.
const nickname = "own"

// Pluto is a running pluto.
type Pluto struct {
	t       testing.TB
	w       *world.World
	cfg     Config
	dir     string
	root    string
	pump    *pump.Pump
	process *exec.Cmd
	exited  chan struct{}
	out     nettest.Buffer
}

// root is where scripts/need.sh unpacks the package.
func root() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "seikan", "libreswan", "root", "usr", "libexec", "ipsec")
	_, err = os.Stat(filepath.Join(dir, "pluto"))
	return dir, err
}

// Version is what pluto says of itself.
func Version() (string, error) {
	dir, err := root()
	if err != nil {
		return "", err
	}
	out, err := exec.Command(filepath.Join(dir, "pluto"), "--version").Output()
	words := strings.Fields(string(out))
	if err != nil || len(words) < 2 {
		return "", fmt.Errorf("pluto --version: %w: %s", err, out)
	}
	return words[1], nil
}

// Start runs libreswan with cfg until the test ends. When the test has failed
// it shows the end of the log.
func Start(t testing.TB, w *world.World, cfg Config) *Pluto {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatalf("libreswan is not unpacked: scripts/need.sh e2e does it: %v", err)
	}
	p := &Pluto{t: t, w: w, cfg: cfg, dir: t.TempDir(), root: dir, exited: make(chan struct{})}
	p.pump = pump.Start(t, w, pump.Place{Namespace: cfg.Namespace, Inside: cfg.Inside, Site: cfg.Site, Shim: pump.XFRM})
	p.keys()
	// pluto wants its helpers where Debian puts them; the mount is this command's alone.
	libexec := filepath.Dir(dir)
	args := []string{"sh", "-c", `mount --bind "$0" /usr/libexec && exec /usr/libexec/ipsec/pluto "$@"`, libexec,
		"--config", filepath.Join(p.dir, "ipsec.conf"), "--nofork", "--stderrlog", "--rundir", p.dir, "--nssdir", p.dir,
		"--secretsfile", filepath.Join(p.dir, "secrets"), "--ipsecdir", p.dir, "--dumpdir", p.dir, "--use-xfrm", "--no-dnssec", "--nhelpers", "1"}
	p.process = w.Command(cfg.Namespace, args...)
	p.process.Env = append(os.Environ(), p.pump.Env()...)
	p.process.Stdout, p.process.Stderr = &p.out, &p.out
	if err := p.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		p.process.Wait()
	}()
	t.Cleanup(p.end)
	w.Until("libreswan's control socket", 10*time.Second, func() error {
		_, err := p.Whack("--status")
		return err
	})
	p.must(p.connection()...)
	p.must("--listen")
	return p
}

// keys makes the database and the file of secrets.
func (p *Pluto) keys() {
	p.t.Helper()
	db := "sql:" + p.dir
	p.run("certutil", "-N", "-d", db, "--empty-password")
	if p.cfg.AuthBy != "psk" {
		p.run("pk12util", "-i", p.cfg.Certificates.PKCS12, "-d", db, "-W", "")
		p.run("certutil", "-A", "-d", db, "-n", "root", "-t", "CT,,", "-a", "-i", p.cfg.Certificates.Root)
	}
	// IKEv1 is off unless this file has it, which pluto must read before it is
	// told where everything else is.
	if err := os.WriteFile(filepath.Join(p.dir, "ipsec.conf"), []byte("config setup\n\tikev1-policy=accept\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	secret := fmt.Sprintf("%s %s : PSK %q\n", p.cfg.id(p.cfg.LocalID), p.cfg.id(p.cfg.RemoteID), p.cfg.PSK)
	if err := os.WriteFile(filepath.Join(p.dir, "secrets"), []byte(secret), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *Pluto) run(args ...string) {
	p.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// id writes an identity as libreswan reads it: an address, or a name behind @.
func (c Config) id(text string) string {
	if strings.ContainsAny(text, "=@") || !strings.ContainsAny(text, "abcdefghijklmnopqrstuvwxyz") {
		return text
	}
	return "@" + text
}

// connection is what `ipsec auto --add` would hand to whack.
func (p *Pluto) connection() []string {
	common := []string{"--name", "t1", "--encrypt", "--tunnel", "--pfs", "--ike", p.cfg.IKE, "--esp", p.cfg.ESP, "--keyingtries", "1", "--no-esn", "--encaps", "auto",
		"--ikefrag-allow", "--dpddelay", fmt.Sprint(p.cfg.DPDDelay.Seconds()), "--dpdaction", "clear"}
	local, remote := []string{"--host", p.cfg.Local, "--id", p.cfg.id(p.cfg.LocalID)}, []string{"--host", p.cfg.Remote, "--id", p.cfg.id(p.cfg.RemoteID)}
	if p.cfg.AuthBy != "psk" {
		local = append(local, "--cert", nickname, "--sendcert", "always", "--sendca", "all")
	}
	if p.cfg.Version == 1 { // one way to prove who one is for both ends; otherwise each has its own
		common = append(common, "--ikev1", "--"+p.cfg.AuthBy, "--dpdtimeout", fmt.Sprint(3*p.cfg.DPDDelay.Seconds()))
	} else {
		common = append(common, "--ikev2", "--retransmit-timeout", "5")
		local, remote = append(local, "--authby", p.cfg.AuthBy), append(remote, "--authby", p.cfg.AuthBy)
	}
	all := []string{"--client", "0.0.0.0/0", "--updown", "/bin/true"}
	return slices.Concat(common, local, all, []string{"--to"}, remote, all)
}

func (p *Pluto) end() {
	p.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		p.process.Process.Kill()
		<-p.exited
	}
	if p.t.Failed() {
		lines := strings.Split(p.Log(), "\n")
		p.t.Logf("libreswan in %s, end of its log:\n%s", p.cfg.Namespace, strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

// Log is what libreswan has logged.
func (p *Pluto) Log() string { return p.out.String() }

// Pump is what carries its packets.
func (p *Pluto) Pump() *pump.Pump { return p.pump }

// Whack runs one command of whack, at most 20 s, and returns what it printed.
func (p *Pluto) Whack(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.root, "whack"), append([]string{"--rundir", p.dir}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("whack %s: %w: %s", strings.Join(args, " "), err, out.String())
	}
	return out.String(), err
}

func (p *Pluto) must(args ...string) string {
	p.t.Helper()
	out, err := p.Whack(args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// Initiate brings the tunnel up.
func (p *Pluto) Initiate() { p.t.Helper(); p.must("--name", "t1", "--initiate") }

// Begin lets libreswan try without waiting for what comes of it.
func (p *Pluto) Begin() { p.t.Helper(); p.must("--asynchronous", "--name", "t1", "--initiate") }

// RekeyIKE makes libreswan replace the IKE SA. IKEv1 has no command for it: the
// timer that would do it is made to fire.
func (p *Pluto) RekeyIKE() {
	p.t.Helper()
	if p.cfg.Version != 1 {
		p.must("--rekey-ike", "--name", "t1")
		return
	}
	ike, _, err := p.states()
	if err != nil || len(ike) != 1 {
		p.t.Fatalf("states of IKE: got %v, %v, want one", ike, err)
	}
	p.must("--asynchronous", "--impair", "event-sa-replace:"+strings.TrimPrefix(ike[0], "#"))
}

// RekeyChild makes libreswan replace the CHILD SA.
func (p *Pluto) RekeyChild() {
	p.t.Helper()
	if p.cfg.Version != 1 {
		p.must("--rekey-ipsec", "--name", "t1")
		return
	}
	_, child, err := p.states()
	if err != nil || len(child) != 1 {
		p.t.Fatalf("states of IPsec: got %v, %v, want one", child, err)
	}
	p.must("--asynchronous", "--impair", "event-sa-replace:"+strings.TrimPrefix(child[0], "#"))
}

// Terminate makes libreswan delete its SAs.
func (p *Pluto) Terminate() { p.t.Helper(); p.must("--terminate", "--name", "t1") }

// states are the numbers of the established SAs. With IKEv1 they are the newest:
// libreswan leaves those that it has replaced to their lifetime.
func (p *Pluto) states() (ike, child []string, err error) {
	out, err := p.Whack("--showstates")
	if err != nil {
		return nil, nil, err
	}
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		switch {
		case len(words) < 4 || p.cfg.Version == 1 && !strings.Contains(line, " newest"):
		case strings.Contains(line, "established IKE SA") || strings.Contains(line, "established ISAKMP SA") || strings.Contains(line, "IKE SA established"):
			ike = append(ike, strings.TrimSuffix(words[1], ":"))
		case strings.Contains(line, "established Child SA") || strings.Contains(line, "IPsec SA established"):
			child = append(child, strings.TrimSuffix(words[1], ":"))
		}
	}
	return ike, child, nil
}

// Current names the SAs of the tunnel by the numbers of their states, which
// change when one is replaced. While a rekey is being finished there are two,
// and an error says so.
func (p *Pluto) Current() (string, error) {
	ike, child, err := p.states()
	switch {
	case err != nil:
		return "", err
	case len(ike) == 0 && len(child) == 0:
		return "", world.ErrNoSA
	case len(ike) != 1 || len(child) != 1:
		return "", fmt.Errorf("got %d IKE and %d CHILD SAs established, want one of each", len(ike), len(child))
	}
	return ike[0] + " " + child[0], nil
}
