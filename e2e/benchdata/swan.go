//go:build e2e

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"seikan/e2e/world"
)

// charonConf is strongswan.conf, with ESP in user space, in UDP as always with
// kernel-libipsec. OpenSSL comes first, since strongSwan's own AES is ten times
// slower. No log. The priority puts libipsec's own default route behind ours.
const charonConf = `
charon {
  load = random nonce openssl aes sha1 sha2 hmac kdf gmp gcm vici kernel-libipsec kernel-netlink socket-default updown
  routing_table_prio = 40000
  install_virtual_ip = no
  threads = 16
  plugins {
    vici {
      socket = unix://%s/vici
    }
    kernel-libipsec {
      allow_peer_ts = yes
    }
  }
}
swanctl {
  load = random nonce openssl
}
`

const swanctlConf = `
connections {
  t1 {
    version = 2
    mobike = no
    local_addrs = %[1]s
    remote_addrs = %[2]s
    proposals = aes128gcm16-prfsha256-ecp256
    local {
      auth = psk
      id = %[1]s
    }
    remote {
      auth = psk
      id = %[2]s
    }
    children {
      net {
        local_ts = 0.0.0.0/0
        remote_ts = 0.0.0.0/0
        esp_proposals = %[3]s
      }
    }
  }
}
secrets {
  ike-1 {
    id-1 = %[1]s
    id-2 = %[2]s
    secret = "Bench.Test_PreShared.Key0"
  }
}
`

// startSwan starts strongSwan at both ends and sets the tunnel up.
func startSwan(p *path, v variant) (list []*process, err error) {
	esp := "aes128gcm16"
	if v.cbc {
		esp = "aes256-sha256"
	}
	for _, e := range []struct{ ns, name, own, peer, inside, far string }{
		{gwA, "a", outsideA, outsideB, insideA, siteB},
		{gwB, "b", outsideB, outsideA, insideB, siteA},
	} {
		dir := filepath.Join(p.dir, e.name)
		if err := os.MkdirAll(filepath.Join(dir, "swanctl"), 0o700); err != nil {
			return list, err
		}
		for name, text := range map[string]string{
			"strongswan.conf":      fmt.Sprintf(charonConf, dir),
			"swanctl/swanctl.conf": fmt.Sprintf(swanctlConf, e.own, e.peer, esp),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				return list, err
			}
		}
		g, err := launch(e.ns, []string{"STRONGSWAN_CONF=" + filepath.Join(dir, "strongswan.conf")}, "charon-systemd")
		if err != nil {
			return list, err
		}
		list = append(list, g)
		if err := g.until("strongSwan's control socket", 10*time.Second, func() error { return swanctl(dir, "--stats") }); err != nil {
			return list, err
		}
		if err := swanctl(dir, "--load-all", "--noprompt"); err != nil {
			return list, err
		}
		if err := world.Lines("-n " + e.ns + " address replace " + e.inside + "/30 dev ipsec0"); err != nil {
			return list, err
		}
		if err := route(e.ns, e.far, "ipsec0"); err != nil {
			return list, err
		}
	}
	return list, swanctl(filepath.Join(p.dir, "a"), "--initiate", "--child", "net", "--timeout", "15")
}

// swanctl runs one command.
func swanctl(dir string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	// --uri only counts after the command.
	cmd := exec.CommandContext(ctx, "swanctl", append(args, "--uri", "unix://"+dir+"/vici")...)
	cmd.Env = append(os.Environ(), "STRONGSWAN_CONF="+dir+"/strongswan.conf", "SWANCTL_DIR="+dir+"/swanctl")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("swanctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}
