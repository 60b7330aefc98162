//go:build e2e

// Package openiked runs OpenIKED as the other end of a tunnel.
//
// One Iked is one iked with its own configuration, keys, control socket and
// log, in a namespace of a world; its ESP is e2e/pump's. It knows IKEv2 only,
// and Debian's build no integrity for ESP but HMAC-SHA1 and MD5, and no AES-GCM
// for ESP. Only the tests of e2e call it.
package openiked

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
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
	Initiate          bool
	AuthBy            string // of iked.conf, such as rfc7427; empty: PSK
	PSK               string
	Certificates      pki.Files
	IKE, ESP          string // transforms in iked.conf's words, behind ikesa and childsa
	// DPDDelay is after how much silence the peer is asked.
	DPDDelay time.Duration
	// IKELifetime is after which time it replaces the IKE SA; 0: never.
	IKELifetime time.Duration
}

// conf is iked.conf. AWS has no MOBIKE.
var conf = template.Must(template.New("iked.conf").Parse(`
set nomobike
set fragmentation
set dpd_check_interval {{.DPDDelay.Seconds}}
ikev2 "t1" {{if .Initiate}}active{{else}}passive{{end}} tunnel esp inet \
	from 0.0.0.0/0 to 0.0.0.0/0 \
	local {{.Local}} peer {{.Remote}} \
	ikesa {{.IKE}} \
	childsa {{.ESP}} \
	srcid "{{.LocalID}}" dstid "{{.RemoteID}}" \
	{{if .IKELifetime}}ikelifetime {{.IKELifetime.Seconds}} \
	{{end}}lifetime 3600 \
	{{if .AuthBy}}{{.AuthBy}}{{else}}psk "{{.PSK}}"{{end}}
`))

// Iked is a running iked.
type Iked struct {
	t       testing.TB
	w       *world.World
	cfg     Config
	dir     string
	pump    *pump.Pump
	process *exec.Cmd
	exited  chan struct{}
	out     nettest.Buffer
}

// Version is what Debian says of the package.
func Version() (string, error) {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", "openiked").Output()
	return string(out), err
}

// Start runs OpenIKED with cfg until the test ends. When the test has failed it
// shows the end of the log.
func Start(t testing.TB, w *world.World, cfg Config) *Iked {
	t.Helper()
	k := &Iked{t: t, w: w, cfg: cfg, dir: t.TempDir(), exited: make(chan struct{})}
	k.pump = pump.Start(t, w, pump.Place{Namespace: cfg.Namespace, Inside: cfg.Inside, Site: cfg.Site, Shim: pump.PFKEY})
	k.keys()
	var text bytes.Buffer
	if err := conf.Execute(&text, cfg); err != nil {
		t.Fatal(err)
	}
	k.write("iked.conf", text.Bytes(), 0o600)
	// Where keys are is compiled in; the mount is this command's alone.
	k.process = w.Command(cfg.Namespace, "sh", "-c", `mount --bind "$0" /etc/iked && exec iked "$@"`, filepath.Join(k.dir, "etc"),
		"-d", "-v", "-S", "-f", filepath.Join(k.dir, "iked.conf"), "-s", k.socket())
	k.process.Env = append(os.Environ(), k.pump.Env()...)
	k.process.Stdout, k.process.Stderr = &k.out, &k.out
	if err := k.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(k.exited)
		k.process.Wait()
	}()
	t.Cleanup(k.end)
	w.Until("OpenIKED's control socket", 10*time.Second, func() error {
		_, err := k.Ctl("show", "sa")
		return err
	})
	return k
}

func (k *Iked) socket() string { return filepath.Join(k.dir, "iked.sock") }

func (k *Iked) write(name string, content []byte, mode os.FileMode) {
	k.t.Helper()
	path := filepath.Join(k.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		k.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, mode); err != nil {
		k.t.Fatal(err)
	}
}

// keys lays iked's folder of keys. iked does not start without a key of its own.
func (k *Iked) keys() {
	k.t.Helper()
	for _, dir := range []string{"ca", "certs", "crls", "private", "pubkeys/ipv4", "pubkeys/ipv6", "pubkeys/fqdn", "pubkeys/ufqdn"} {
		if err := os.MkdirAll(filepath.Join(k.dir, "etc", dir), 0o755); err != nil {
			k.t.Fatal(err)
		}
	}
	files := map[string]string{"certs/own.crt": k.cfg.Certificates.Own, "private/local.key": k.cfg.Certificates.Key,
		"ca/ca.crt": k.cfg.Certificates.Root, "ca/middle.crt": k.cfg.Certificates.Middle}
	if k.cfg.AuthBy == "" {
		files = nil
		key := filepath.Join(k.dir, "etc", "private", "local.key")
		if out, err := exec.Command("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key).CombinedOutput(); err != nil {
			k.t.Fatalf("openssl: %v: %s", err, out)
		}
	}
	for name, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			k.t.Fatal(err)
		}
		mode := os.FileMode(0o644) // who reads certificates is not root
		if path == k.cfg.Certificates.Key {
			mode = 0o600
		}
		k.write(filepath.Join("etc", name), b, mode)
	}
}

func (k *Iked) end() {
	k.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-k.exited:
	case <-time.After(5 * time.Second):
		k.process.Process.Kill()
		<-k.exited
	}
	if k.t.Failed() {
		lines := strings.Split(k.Log(), "\n")
		k.t.Logf("OpenIKED in %s, end of its log:\n%s", k.cfg.Namespace, strings.Join(lines[max(0, len(lines)-80):], "\n"))
	}
}

// Log is what OpenIKED has logged.
func (k *Iked) Log() string { return k.out.String() }

// Pump is what carries its packets.
func (k *Iked) Pump() *pump.Pump { return k.pump }

// Ctl runs one command of ikectl, at most 10 s, and returns what it printed.
func (k *Iked) Ctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ikectl", append([]string{"-s", k.socket()}, args...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("ikectl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func (k *Iked) must(args ...string) string {
	k.t.Helper()
	out, err := k.Ctl(args...)
	if err != nil {
		k.t.Fatal(err)
	}
	return out
}

// Initiate brings the tunnel up: iked begins passive.
func (k *Iked) Initiate() { k.t.Helper(); k.must("active") }

// Passive makes iked begin nothing.
func (k *Iked) Passive() { k.t.Helper(); k.must("passive") }

// RekeyChild makes OpenIKED replace the CHILD SA, as the kernel does when the
// SA's soft lifetime is over.
func (k *Iked) RekeyChild() { k.t.Helper(); k.pump.Expire() }

// RekeyIKE is the lifetime's matter: there is no command for it.
func (k *Iked) RekeyIKE() {}

// Terminate makes OpenIKED delete its SAs.
func (k *Iked) Terminate() { k.t.Helper(); k.must("passive"); k.must("reset", "sa") }

// Current names the SAs of the tunnel by their SPIs, which change when one is
// replaced. While a rekey is being finished there are two, and an error says so.
func (k *Iked) Current() (string, error) {
	out, err := k.Ctl("show", "sa")
	if err != nil {
		return "", err
	}
	var ike, child []string
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		switch {
		case len(words) < 6:
		case words[0] == "iked_sas:" && strings.Contains(line, "ESTABLISHED"):
			ike = append(ike, words[3]+" "+words[5])
		case words[0] == "sa_childsas:" && words[4] == "in":
			child = append(child, words[3])
		}
	}
	switch {
	case len(ike) == 0 && len(child) == 0:
		return "", world.ErrNoSA
	case len(ike) != 1 || len(child) != 1:
		return "", fmt.Errorf("got %d IKE and %d CHILD SAs established, want one of each:\n%s", len(ike), len(child), out)
	}
	return ike[0] + " " + child[0], nil
}
