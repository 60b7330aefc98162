//go:build e2e

package strongswan

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seikan/e2e/world"
)

// base is the strongswan.conf of a daemon whose configuration is somebody
// else's: as Debian has it, but for the places of socket and log.
const base = `
charon {
  load = random nonce openssl aes sha1 sha2 hmac kdf gmp curve25519 gcm pem pkcs1 pkcs8 pubkey x509 constraints vici kernel-netlink socket-default updown
  filelog {
    log {
      path = %[1]s/charon.log
      flush_line = yes
      default = 1
      ike = 2
      cfg = 2
      knl = 2
    }
  }
  plugins {
    vici {
      socket = unix://%[1]s/vici
    }
  }
}
include %[1]s/etc/strongswan.d/*.conf
`

// StartFiles runs strongSwan, with the ESP of the kernel's interface, for files
// that stand where their paths say, until the test ends. Only paths below
// /etc/swanctl and /etc/strongswan.d are seen. More is its environment.
func StartFiles(t testing.TB, w *world.World, namespace string, files map[string]string, more []string) *Charon {
	t.Helper()
	c := &Charon{t: t, w: w, cfg: Config{Namespace: namespace}, dir: t.TempDir(), exited: make(chan struct{})}
	lay := func(path, text string) {
		path = c.path(path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o700
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	lay("strongswan.conf", fmt.Sprintf(base, c.dir))
	lay("etc/swanctl/swanctl.conf", "include conf.d/*.conf\n") // as Debian's
	lay("etc/strongswan.d/none.conf", "")
	for path, text := range files {
		lay(path, text)
	}
	if err := os.Symlink("etc/swanctl", c.path("swanctl")); err != nil {
		t.Fatal(err)
	}
	// The mounts are this command's alone.
	c.process = w.Command(namespace, "sh", "-c", `mount --bind "$0" /etc/swanctl && exec charon-systemd`, c.path("etc/swanctl"))
	c.process.Env = append(append(os.Environ(), "STRONGSWAN_CONF="+c.path("strongswan.conf")), more...)
	c.run()
	return c
}
