//go:build e2e

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const (
	// underway is how many attempts the load-tester has under way: fewer than
	// make either responder ask for cookies.
	underway    = 12
	swanThreads = 16
)

// commonConf is strongswan.conf of both of its ends: no log, GMP for MODP, where
// it is twice as fast as OpenSSL, which does the rest, exponents as short as is
// safe, and hash tables for many SAs.
const commonConf = `
charon {
  load = random nonce gmp openssl hmac kdf load-tester kernel-netlink socket-default vici
  threads = %d
  dh_exponent_ansi_x9_42 = no
  dos_protection = no
  install_routes = no
  install_virtual_ip = no
  process_route = no
  ikesa_table_size = 4096
  ikesa_table_segments = 16
  retransmit_timeout = 4
  filelog {
  }
  syslog {
  }
  plugins {
    vici {
      socket = unix://%s
    }
    kernel-netlink {
      process_rules = no
    }
    load-tester {
      enable = yes
      fake_kernel = yes
      version = 2
      proposal = %s
      esp = %s
      initiator_auth = psk
      responder_auth = psk
      preshared_key = %s
      ike_rekey = 0
      child_rekey = 0
      dpd_delay = 0
      %s
    }
  }
}
`

// loadConf makes n tunnels from as many addresses.
func loadConf(s benchSuite, n int) func(socket string) string {
	const threads = 4
	return func(socket string) string {
		return fmt.Sprintf(commonConf, swanThreads, socket, s.ike, s.esp, psk, fmt.Sprintf(`
      initiators = %d
      iterations = %d
      delay = 1
      init_limit = %d
      responder = %s
      initiator_tsr = 0.0.0.0/0
      initiator_tsi = 0.0.0.0/0
      addrs_keep = yes
      addrs_prefix = 32
      addrs {
        lo = 10.1.0.0/16
      }`, threads, n/threads, underway, responder))
	}
}

// respondConf waits for whoever comes.
func respondConf(s benchSuite) func(socket string) string {
	return func(socket string) string {
		return fmt.Sprintf(commonConf, swanThreads, socket, s.ike, s.esp, psk, `
      initiators = 0
      responder = 0.0.0.0
      initiator = 0.0.0.0
      responder_tsi = 0.0.0.0/0
      responder_tsr = 0.0.0.0/0`)
	}
}

// startSwan starts strongSwan's responder.
func (b *bench) startSwan(s benchSuite, _ int) (responding, error) {
	return b.startCharon("respond", responders, respondConf(s))
}

// A charon is a running strongSwan.
type charon struct {
	cmd    *exec.Cmd
	out    bytes.Buffer
	socket string
	exited chan error
}

// startCharon starts one in a namespace and waits until it answers.
func (b *bench) startCharon(name, namespace string, conf func(socket string) string) (*charon, error) {
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	c := &charon{socket: filepath.Join(dir, "vici"), exited: make(chan error, 1)}
	file := filepath.Join(dir, "strongswan.conf")
	if err := os.WriteFile(file, []byte(conf(c.socket)), 0o600); err != nil {
		return nil, err
	}
	// A mount namespace of its own, for charon puts its pid into a file.
	c.cmd = exec.Command("ip", "netns", "exec", namespace, "unshare", "-m", "sh", "-c",
		"mount -t tmpfs none /run && mkdir -p "+dir+" && exec "+b.plan.swan+"/libexec/ipsec/charon")
	c.cmd.Env = append(os.Environ(), "STRONGSWAN_CONF="+file)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { c.exited <- c.cmd.Wait() }()
	for range 500 {
		if _, err := c.established(); err == nil {
			return c, nil
		}
		select {
		case err := <-c.exited:
			return nil, fmt.Errorf("strongSwan ended: %v: %s", err, c.out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	c.kill()
	return nil, fmt.Errorf("strongSwan does not answer: %s", c.out.String())
}

// pid is that of charon: what came before it has become it by exec.
func (c *charon) pid() int { return c.cmd.Process.Pid }

func (c *charon) stop() error { c.kill(); return nil }

// kill ends it at once: saying goodbye to thousands of peers is not measured.
func (c *charon) kill() {
	_ = c.cmd.Process.Kill()
	<-c.exited
}

// established asks how many IKE SAs there are that are not half open.
func (c *charon) established() (int, error) {
	conn, err := net.DialTimeout("unix", c.socket, time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	const command = "\x00\x05stats" // CMD_REQUEST, length and name
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(command))), command...)); err != nil {
		return 0, err
	}
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return 0, err
	}
	answer := make([]byte, min(binary.BigEndian.Uint32(head[:]), 1<<20))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return 0, err
	}
	_, ikesas, ok := bytes.Cut(answer, []byte("\x06ikesas"))
	total, err := value(ikesas, "total")
	half, err2 := value(ikesas, "half-open")
	if !ok || err != nil || err2 != nil {
		return 0, errors.Join(errors.New("vici: no ikesas in the answer to stats"), err, err2)
	}
	return total - half, nil
}

// value is the number that stands by key in a message of vici: the key with its
// length in one octet, the text with its in two.
func value(msg []byte, key string) (int, error) {
	_, rest, ok := bytes.Cut(msg, append([]byte{3, byte(len(key))}, key...))
	if !ok || len(rest) < 2 || len(rest) < 2+int(binary.BigEndian.Uint16(rest)) {
		return 0, fmt.Errorf("vici: no %s", key)
	}
	return strconv.Atoi(string(rest[2:][:binary.BigEndian.Uint16(rest)]))
}
