//go:build e2e

// Package bird runs BIRD as the BGP speaker of a namespace, with a configuration
// as it is.
//
// Each Router has its own sockets and log. Only the tests of e2e call it.
package bird

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/e2e/world"
)

// A Router is a running BIRD.
type Router struct {
	t   testing.TB
	dir string
	out bytes.Buffer
}

// Start runs BIRD with config until the test ends. When the test has failed it
// shows what BIRD thinks of its protocols.
func Start(t testing.TB, w *world.World, namespace, config string) *Router {
	t.Helper()
	r := &Router{t: t, dir: t.TempDir()}
	if err := os.WriteFile(r.path("bird.conf"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := w.Command(namespace, "bird", "-f", "-c", r.path("bird.conf"), "-s", r.path("bird.ctl"), "-D", r.path("bird.log"))
	cmd.Stdout, cmd.Stderr = &r.out, &r.out
	d := w.Daemon(cmd)
	t.Cleanup(r.show) // while it runs
	w.Until("BIRD's control socket", 10*time.Second, func() error {
		select {
		case <-d.Exited():
			t.Fatalf("BIRD does not take its configuration:\n%s", r.out.String())
		default:
		}
		_, err := r.Birdc("show status")
		return err
	})
	return r
}

func (r *Router) path(name string) string { return filepath.Join(r.dir, name) }

func (r *Router) show() {
	if !r.t.Failed() {
		return
	}
	protocols, _ := r.Birdc("show protocols all")
	log, _ := os.ReadFile(r.path("bird.log"))
	r.t.Logf("BIRD:\n%s\n%s\n%s", protocols, log, r.out.String())
}

// Birdc runs one command and returns what it printed.
func (r *Router) Birdc(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "birdc", append([]string{"-s", r.path("bird.ctl")}, strings.Fields(command)...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("birdc %s: %w: %s", command, err, out)
	}
	return string(out), err
}
