//go:build e2e

package libreswan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"seikan/e2e/pump"
	"seikan/e2e/world"
)

// StartFiles runs libreswan as its service does, for files that stand where
// their paths say, until the test ends.
func StartFiles(t testing.TB, w *world.World, namespace string, files map[string]string, p *pump.Pump) *Pluto {
	t.Helper()
	tools, err := root()
	if err != nil {
		t.Fatalf("libreswan is not unpacked: scripts/need.sh e2e does it: %v", err)
	}
	out := &Pluto{t: t, w: w, cfg: Config{Namespace: namespace}, dir: t.TempDir(), root: tools, pump: p, exited: make(chan struct{})}
	etc := filepath.Join(out.dir, "etc")
	out.run("cp", "-a", "/etc", etc)
	out.run("rm", "-rf", filepath.Join(etc, "ipsec.d"))
	lay := func(path, text string) {
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o700
		}
		path = filepath.Join(out.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	// As Debian's, but for the places.
	lay("etc/ipsec.conf", "config setup\n\tvirtual-private=%v4:10.0.0.0/8\n\ninclude /etc/ipsec.d/*.conf\n")
	lay("etc/ipsec.secrets", "include /etc/ipsec.d/*.secrets\n")
	for path, text := range files {
		lay(path, text)
	}
	out.run("certutil", "-N", "-d", "sql:"+out.dir, "--empty-password")
	out.process = w.Command(namespace, "sh", "-c", `mount --bind "$0" /usr/libexec && mount --bind "$1" /etc && shift && exec /usr/libexec/ipsec/pluto "$@"`, filepath.Dir(tools), etc,
		"--config", "/etc/ipsec.conf", "--nofork", "--stderrlog", "--rundir", out.dir, "--nssdir", out.dir, "--secretsfile", "/etc/ipsec.secrets", "--use-xfrm", "--no-dnssec", "--nhelpers", "1")
	out.process.Env = append(os.Environ(), p.Env()...)
	out.process.Stdout, out.process.Stderr = &out.out, &out.out
	if err := out.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(out.exited)
		out.process.Wait()
	}()
	t.Cleanup(out.end)
	w.Until("libreswan's control socket", 10*time.Second, func() error {
		_, err := out.Whack("--status")
		return err
	})
	return out
}
