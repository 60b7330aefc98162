//go:build e2e

package main

import (
	"bufio"
	"crypto/ecdh"
	"crypto/rand"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"time"

	"seikan/e2e/world"
)

// wirePort is WireGuard's usual one.
const wirePort = 51820

// startWireguard starts wireguard-go at both ends, with new keys, and tells
// each of the other over its socket.
func startWireguard(binary string) func(*path, variant) ([]*process, error) {
	return func(*path, variant) (list []*process, err error) {
		keyA, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		keyB, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		for _, e := range []struct {
			ns, link, inside, far, peer string
			own, other                  *ecdh.PrivateKey
		}{
			{gwA, "wgA", insideA, siteB, outsideB, keyA, keyB},
			{gwB, "wgB", insideB, siteA, outsideA, keyB, keyA},
		} {
			g, err := launch(e.ns, []string{"LOG_LEVEL=error"}, binary, "-f", e.link)
			if err != nil {
				return list, err
			}
			list = append(list, g)
			words := fmt.Sprintf("set=1\nprivate_key=%s\nlisten_port=%d\npublic_key=%s\nendpoint=%s:%d\nallowed_ip=0.0.0.0/0\n\n",
				hex.EncodeToString(e.own.Bytes()), wirePort, hex.EncodeToString(e.other.PublicKey().Bytes()), e.peer, wirePort)
			if err := g.until("wireguard-go's socket", 10*time.Second, func() error { return tell("/run/wireguard/"+e.link+".sock", words) }); err != nil {
				return list, err
			}
			if err := world.Lines("-n " + e.ns + " address add " + e.inside + "/30 dev " + e.link + "\n-n " + e.ns + " link set " + e.link + " up"); err != nil {
				return list, err
			}
			if err := route(e.ns, e.far, e.link); err != nil {
				return list, err
			}
		}
		return list, nil
	}
}

// tell sends a command and demands success.
func tell(socket, words string) error {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte(words)); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.TrimSpace(answer) != "errno=0" {
		err = fmt.Errorf("wireguard-go answers %q", answer)
	}
	return err
}

// wireguardVersion is that of the module it was built from.
func wireguardVersion(binary string) string {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "wireguard-go " + err.Error()
	}
	for _, d := range append(info.Deps, &info.Main) {
		if d.Path == "golang.zx2c4.com/wireguard" {
			return "wireguard-go " + d.Version
		}
	}
	return "wireguard-go of unknown version"
}
