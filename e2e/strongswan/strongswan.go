//go:build e2e

// Package strongswan runs strongSwan as the other end of a tunnel.
//
// One Charon is one charon-systemd with its own configuration, control socket
// and log, ESP in user space (kernel-libipsec), in a namespace of a world. Only
// the tests of e2e call it.
package strongswan

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
	"seikan/e2e/world"
)

// A Config is one end of one tunnel with selectors 0.0.0.0/0 on both sides.
type Config struct {
	Namespace         string // of the world
	Inside, Site      string // its address in the tunnel with prefix length; the prefix behind the peer
	Local, Remote     string // addresses; Remote empty: whoever comes
	LocalID, RemoteID string
	Version           int  // of IKE; 0: 2
	AnyVersion        bool // of IKE, as AWS has it
	PSK               string
	Certificates      *pki.Files // instead of PSK
	IKE, ESP          string     // proposals in strongSwan's words
	// DPDDelay is after how much silence the peer is asked; 0 never.
	DPDDelay time.Duration
	Cookies  bool // demand a cookie of every initiator
	MOBIKE   bool // AWS has none
	// FragmentSize is the largest IP packet of IKE in octets; 0 is strongSwan's
	// own, 1280.
	FragmentSize int
	PPK          PPK
}

// A PPK is a post-quantum pre-shared key by its name (RFC 8784); none without a
// name.
type PPK struct {
	Key, ID  string
	Required bool // a peer without it is refused
}

// charonConf is strongswan.conf. OpenSSL comes first, since strongSwan's own AES is ten times slower.
// Sixteen threads, since fewer starve the control socket. libipsec makes a default route through its
// TUN in table 220 whatever it is told: the priority puts that table behind the main one, where our
// routes are.
var charonConf = template.Must(template.New("strongswan.conf").Parse(`
charon {
  load = random nonce openssl aes sha1 sha2 hmac kdf gmp curve25519 gcm pem pkcs1 pkcs8 pubkey x509 constraints vici kernel-libipsec kernel-netlink socket-default updown
  routing_table_prio = 40000
  install_virtual_ip = no
  threads = 16
  retransmit_timeout = 1
  retransmit_base = 1.3
  retransmit_tries = 3
  {{if .Cookies}}cookie_threshold = 1
  cookie_threshold_ip = 0{{end}}
  {{if .FragmentSize}}fragment_size = {{.FragmentSize}}{{end}}
  filelog {
    log {
      path = {{.Dir}}/charon.log
      flush_line = yes
      time_format = %H:%M:%S
      default = 1
      ike = 2
      cfg = 2
      enc = 1
    }
  }
  plugins {
    vici {
      socket = unix://{{.Dir}}/vici
    }
    kernel-libipsec {
      allow_peer_ts = yes
    }
  }
}
swanctl {
  load = random nonce openssl pem pkcs1 pkcs8 pubkey x509
}
`))

// swanctlConf is swanctl.conf.
var swanctlConf = template.Must(template.New("swanctl.conf").Parse(`
connections {
  t1 {
    version = {{if .AnyVersion}}0{{else if .Version}}{{.Version}}{{else}}2{{end}}
    mobike = {{if .MOBIKE}}yes{{else}}no{{end}}
    {{if .Local}}local_addrs = {{.Local}}{{end}}
    {{if .Remote}}remote_addrs = {{.Remote}}{{end}}
    proposals = {{.IKE}}
    dpd_delay = {{.DPDDelay.Seconds}}s
    dpd_timeout = 10s
    rekey_time = 0
    {{if .PPK.ID}}ppk_id = {{.PPK.ID}}
    ppk_required = {{if .PPK.Required}}yes{{else}}no{{end}}{{end}}
    {{if .Certificates}}send_cert = always{{end}}
    local {
      {{if .Certificates}}auth = pubkey
      certs = {{.Certificates.Own}}{{else}}auth = psk{{end}}
      id = {{.LocalID}}
    }
    remote {
      {{if .Certificates}}auth = pubkey
      cacerts = {{.Certificates.Root}}{{else}}auth = psk{{end}}
      id = {{.RemoteID}}
    }
    children {
      net {
        local_ts = 0.0.0.0/0
        remote_ts = 0.0.0.0/0
        esp_proposals = {{.ESP}}
        rekey_time = 0
        {{if .Remote}}dpd_action = restart{{else}}dpd_action = clear{{end}}
      }
    }
  }
}
{{if not .Certificates}}secrets {
  ike-1 {
    id-1 = {{.LocalID}}
    id-2 = {{.RemoteID}}
    secret = "{{.PSK}}"
  }
}{{end}}
{{if .PPK.ID}}secrets {
  ppk-1 {
    id-1 = {{.PPK.ID}}
    secret = "{{.PPK.Key}}"
  }
}{{end}}
`))

// socketBuffer is what its UDP sockets hold, in octets, for it has no option for
// that: what a busy machine makes it drop must not look like a fault of the tunnel.
const socketBuffer = 4 << 20

// Charon is a running strongSwan.
type Charon struct {
	t       testing.TB
	w       *world.World
	cfg     Config
	dir     string
	process *exec.Cmd
	exited  chan struct{}
	out     bytes.Buffer
}

// Start runs strongSwan with cfg until the test ends. When the test has failed
// it shows the end of the log.
func Start(t testing.TB, w *world.World, cfg Config) *Charon {
	t.Helper()
	c := &Charon{t: t, w: w, cfg: cfg, dir: t.TempDir(), exited: make(chan struct{})}
	c.write("strongswan.conf", charonConf, map[string]any{"Dir": c.dir, "Cookies": cfg.Cookies, "FragmentSize": cfg.FragmentSize})
	c.write("swanctl/swanctl.conf", swanctlConf, cfg)
	c.keys()
	c.process = w.Command(cfg.Namespace, "charon-systemd")
	c.process.Env = append(os.Environ(), "STRONGSWAN_CONF="+c.path("strongswan.conf"))
	c.run()
	return c
}

// run starts the process until the test ends and loads the configuration.
func (c *Charon) run() {
	c.t.Helper()
	c.process.Stdout, c.process.Stderr = &c.out, &c.out
	if err := c.process.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() {
		defer close(c.exited)
		c.process.Wait()
	}()
	c.t.Cleanup(c.end)
	c.w.Until("strongSwan's control socket", 10*time.Second, func() error {
		_, err := c.Swanctl("--stats")
		return err
	})
	if err := world.DeepenOf(c.process.Process.Pid, socketBuffer); err != nil {
		c.t.Fatalf("strongSwan's sockets: %v", err)
	}
	c.must("--load-all", "--noprompt")
}

func (c *Charon) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Charon) write(name string, text *template.Template, data any) {
	c.t.Helper()
	var out bytes.Buffer
	if err := text.Execute(&out, data); err != nil {
		c.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(c.path(name)), 0o700); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(c.path(name), out.Bytes(), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// keys lays the key and what stands between it and the root where swanctl looks.
func (c *Charon) keys() {
	c.t.Helper()
	if c.cfg.Certificates == nil {
		return
	}
	for name, path := range map[string]string{"private/own.key": c.cfg.Certificates.Key, "x509ca/middle.pem": c.cfg.Certificates.Middle, "x509ca/root.pem": c.cfg.Certificates.Root} {
		b, err := os.ReadFile(path)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(c.path("swanctl/"+name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(c.path("swanctl/"+name), b, 0o600)
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *Charon) end() {
	c.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.exited:
	case <-time.After(5 * time.Second):
		c.process.Process.Kill()
		<-c.exited
	}
	if !c.t.Failed() {
		return
	}
	lines := strings.Split(c.Log(), "\n")
	c.t.Logf("strongSwan in %s, end of its log:\n%s%s", c.cfg.Namespace, c.out.String(), strings.Join(lines[max(0, len(lines)-60):], "\n"))
}

// Version is what Debian says of the package.
func Version() (string, error) {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", "strongswan-swanctl").Output()
	return string(out), err
}

// Log is what strongSwan has logged.
func (c *Charon) Log() string {
	b, err := os.ReadFile(c.path("charon.log"))
	if err != nil {
		c.t.Error(err)
	}
	return string(b)
}

// Swanctl runs one command of swanctl, at most 20 s, and returns what it
// printed.
func (c *Charon) Swanctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	// --uri only counts after the command.
	cmd := exec.CommandContext(ctx, "swanctl", append(args, "--uri", "unix://"+c.path("vici"))...)
	cmd.Env = append(os.Environ(), "STRONGSWAN_CONF="+c.path("strongswan.conf"), "SWANCTL_DIR="+c.path("swanctl"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("swanctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

func (c *Charon) must(args ...string) string {
	c.t.Helper()
	out, err := c.Swanctl(args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// Initiate brings the tunnel up.
func (c *Charon) Initiate() {
	c.t.Helper()
	c.must("--initiate", "--child", "net", "--timeout", "15")
}

// Route gives the TUN its inside address and leads the peer's site into it.
// The link is there once strongSwan runs.
func (c *Charon) Route() {
	c.t.Helper()
	c.w.Exec(c.cfg.Namespace, "ip", "address", "replace", c.cfg.Inside, "dev", "ipsec0")
	c.w.Exec(c.cfg.Namespace, "ip", "route", "replace", c.cfg.Site, "dev", "ipsec0")
}

// RekeyChild makes strongSwan replace the CHILD SA.
func (c *Charon) RekeyChild() { c.t.Helper(); c.must("--rekey", "--child", "net") }

// RekeyIKE makes strongSwan replace the IKE SA.
func (c *Charon) RekeyIKE() { c.t.Helper(); c.must("--rekey", "--ike", "t1") }

// Terminate makes strongSwan delete the IKE SA.
func (c *Charon) Terminate() { c.t.Helper(); c.must("--terminate", "--ike", "t1", "--timeout", "5") }

// SAs are the security associations of the tunnel as swanctl lists them.
func (c *Charon) SAs() string { c.t.Helper(); return c.must("--list-sas") }

// Current returns the SPIs of the one established tunnel, which change when an
// SA is replaced. While a rekey is being finished there are two, and an error
// says so.
func (c *Charon) Current() (string, error) {
	out, err := c.Swanctl("--list-sas")
	if err != nil {
		return "", err
	}
	var ike, child string
	ikes, children := 0, 0
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "t1: ") && strings.Contains(line, "ESTABLISHED"):
			ikes++
			ike = strings.Join(words[len(words)-2:], " ")
		case strings.Contains(line, "INSTALLED"):
			children++
		case len(words) > 1 && words[0] == "in":
			child = strings.TrimSuffix(words[1], ",")
		}
	}
	if ikes == 0 && children == 0 {
		return "", world.ErrNoSA
	}
	if ikes != 1 || children != 1 {
		return "", fmt.Errorf("got %d IKE and %d CHILD SAs established, want one of each:\n%s", ikes, children, out)
	}
	return ike + " " + child, nil
}
