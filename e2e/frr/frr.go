//go:build e2e

// Package frr runs FRR's zebra and bgpd, and bfdd when it is asked for, as the
// BGP speaker of a namespace.
//
// Each Router has its own configuration, sockets and logs. Only the tests of e2e
// call it.
package frr

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/e2e/world"
)

// directory is where Debian puts them: bgpd on the path is OpenBGPD's.
const directory = "/usr/lib/frr/"

// A Router is a running FRR.
type Router struct {
	t         testing.TB
	w         *world.World
	namespace string
	dir       string
	out       bytes.Buffer
	bgpd      *world.Daemon
}

// Start runs FRR with the configuration of bgpd until the test ends. When the
// test has failed it shows its log.
func Start(t testing.TB, w *world.World, namespace, config string) *Router {
	t.Helper()
	return StartBFD(t, w, namespace, config, "")
}

// StartBFD is Start with the configuration of bfdd, which does not run without.
func StartBFD(t testing.TB, w *world.World, namespace, config, bfd string) *Router {
	t.Helper()
	r := &Router{t: t, w: w, namespace: namespace}
	// FRR's own user must reach its files, which t.TempDir does not let it.
	var err error
	if r.dir, err = os.MkdirTemp("", "frr"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(r.dir) })
	daemons := []string{"zebra", "bgpd"}
	if bfd != "" {
		daemons = []string{"zebra", "bfdd", "bgpd"}
	}
	for name, text := range map[string]string{
		"bfdd.conf":  bfd,
		"zebra.conf": "log file " + r.path("zebra.log") + "\n",
		"bgpd.conf":  "log file " + r.path("bgpd.log") + " informational\n" + config,
	} {
		if err := os.WriteFile(r.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("chown", "-R", "frr:frr", r.dir).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	if err := os.Chmod(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range daemons {
		d := r.start(name)
		if name == "bgpd" {
			r.bgpd = d
		}
	}
	t.Cleanup(r.show) // while they run
	w.Until("FRR", 10*time.Second, func() error {
		_, err := r.Vtysh("show bgp summary json")
		return err
	})
	return r
}

// Kill ends bgpd as a crash does. zebra goes on.
func (r *Router) Kill() {
	r.t.Helper()
	r.bgpd.Kill()
}

// Again starts the bgpd that was killed.
func (r *Router) Again() {
	r.t.Helper()
	for _, name := range []string{"bgpd.vty", "bgpd.pid"} {
		os.Remove(r.path(name))
	}
	r.bgpd = r.start("bgpd")
}

// start runs one daemon.
func (r *Router) start(name string) *world.Daemon {
	r.t.Helper()
	cmd := r.w.Command(r.namespace, directory+name, "-u", "frr", "-g", "frr", "-f", r.path(name+".conf"),
		"-i", r.path(name+".pid"), "-z", r.path("zserv.api"), "--vty_socket", r.dir, "-P", "0")
	if name == "bfdd" {
		cmd.Args = append(cmd.Args, "--bfdctl", r.path("bfdd.sock"))
	}
	cmd.Stdout, cmd.Stderr = &r.out, &r.out
	d := r.w.Daemon(cmd)
	r.w.Until(name+"'s socket", 10*time.Second, func() error {
		_, err := os.Stat(r.path(name + ".vty"))
		return err
	})
	return d
}

func (r *Router) path(name string) string { return filepath.Join(r.dir, name) }

// show shows the logs of a test that failed.
func (r *Router) show() {
	if !r.t.Failed() {
		return
	}
	log, _ := os.ReadFile(r.path("bgpd.log"))
	summary, _ := r.Vtysh("show bgp summary")
	r.t.Logf("FRR in %s:\n%s\n%s\n%s", r.namespace, log, summary, r.out.String())
}

// Vtysh runs commands, one after the other, and returns what they printed.
func (r *Router) Vtysh(commands ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	args := []string{"--vty_socket", r.dir}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	out, err := exec.CommandContext(ctx, "vtysh", args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("vtysh %s: %w: %s", strings.Join(commands, "; "), err, out)
	}
	return string(out), err
}

// Load has vtysh load a configuration for all daemons, as the service does with
// frr.conf; a line that one of them refuses fails the test.
func (r *Router) Load(config string) {
	r.t.Helper()
	if err := os.WriteFile(r.path("frr.conf"), []byte(config), 0o644); err != nil {
		r.t.Fatal(err)
	}
	out, err := exec.Command("vtysh", "--vty_socket", r.dir, "-f", r.path("frr.conf")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "% ") {
		r.t.Fatalf("vtysh -f: %v: %s", err, out)
	}
}

// Has checks that the best route to prefix has the AS path.
func (r *Router) Has(prefix, path string) error {
	out, err := r.Vtysh("show bgp ipv4 unicast " + prefix + " json")
	if err != nil {
		return err
	}
	var answer struct {
		Paths []struct {
			ASPath struct {
				String string `json:"string"`
			} `json:"aspath"`
			Valid bool `json:"valid"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return fmt.Errorf("%s: %w in %s", prefix, err, out)
	}
	if len(answer.Paths) != 1 || !answer.Paths[0].Valid || answer.Paths[0].ASPath.String != path {
		return fmt.Errorf("%s: got %+v, want one valid path %q", prefix, answer.Paths, path)
	}
	return nil
}
